//! The daemon as a whole: its start, its life, its end.
//!
//! The start keeps the kernel dropping at every moment: what is stored is restored, what the kernel holds besides is
//! adopted, who must not be locked out is known, and only then anything is changed.

mod end;
mod inward;
mod parts;
mod reload;
mod restore;
mod serving;
mod shown;
mod signals;
mod watched;

use std::{
    io::IsTerminal as _,
    sync::{Arc, Mutex, Weak, atomic::AtomicBool, mpsc},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};
use smartfw_config::{EnforcerKind, LogFormat, NodeConfig, Sources};
use smartfw_enforce::{DryRun, Enforcer, Surplus, snapshot};
use smartfw_host::{HostConfig, Watcher};

use crate::{
    clock,
    control::{ControlSocket, Drops},
    detector::Watching,
    driver::Driver,
    enforcement::{Agreement, BootSnapshot, Cutter, Desired, Repairer, Worker},
    files,
    fleet::{
        Control, FleetHandle,
        joining::{self, Vault},
    },
    guard::{Guard, Notes},
    inbox::{Input, Inputs},
    learning::Student,
    logins, memory, mirror,
    notify::Notifier,
    store::{Committer, DirLock},
    vital::Vital,
};
use end::Ending;
use parts::{Links, Shared};

/// How long the first changes of the kernel may take before the node says that it guards.
const FIRST_CHANGES: Duration = Duration::from_secs(60);

/// Runs the daemon until it is told to end. With `remove` every rule and set goes at the end.
///
/// # Errors
/// When it cannot start, with what to do about it, or when it had to end by itself.
pub fn run(mut config: NodeConfig, sources: Sources, remove: bool) -> anyhow::Result<()> {
    speak(config.logs.format);
    if config.policy.node.is_empty() {
        config.policy.node = hostname()?;
    }
    let notifier = Arc::new(Notifier::from_environment());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("control")
        .enable_all()
        .build()
        .context("cannot start the control threads")?;
    let (vital, failures) = Vital::new();
    // What comes while it starts is heard once it has started, and ends it in good order.
    let signals = runtime.block_on(async { signals::Signals::listen() })?;
    let ending = runtime.block_on(async { start(&config, &sources, &notifier, vital, remove) })?;
    notifier.ready(&format!("guards by {}", config.enforcer.as_str()));
    memory::give_back(); // what the start copied
    let result = runtime.block_on(signals.wait(&ending.reload, &notifier, failures));
    notifier.stopping();
    ending.end();
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

fn start(
    config: &NodeConfig,
    sources: &Sources,
    notifier: &Arc<Notifier>,
    vital: Vital,
    remove: bool,
) -> anyhow::Result<Ending> {
    let started = Instant::now();
    // Whatever can be refused is refused before anything is changed.
    let lock = DirLock::take(&config.state_dir)?;
    files::private_dir(&config.log_dir)
        .with_context(|| format!("cannot use the log folder {}", config.log_dir.display()))?;
    let mut enforcer = parts::enforcer(config.enforcer)?;
    let live = watched::open(config)?;
    let configured = inward::check(config)?;
    let socket = ControlSocket::bind(&config.socket, &config.socket_group)?;
    let watcher = watcher(config)?;

    let (links, inputs) = Links::new(config, vital)?;
    let (mirror, mouth, begun) = mirror::prepare(config, &links.uplink, &links.shared.health)?;
    let vault = Vault::default();
    let fleet = Arc::new_cyclic(|fleet| control(config, &links, (fleet.clone(), vault.clone()), mouth));
    let mut restored = restore::restore(config, &mut *enforcer, (&fleet, &mirror.roots), &links.shared)?;
    // Who must not be locked out is known before anything is enforced.
    restored.protected = watcher.observed().protected.clone();
    restored.agent.handle_protected(clock::now(), restored.protected.clone());
    // The fleet hears who is logged in here.
    links.inbox.send(Input::Protected(restored.protected.clone()));
    let deciding = decide(config, &links, restored, inputs, enforcer)?;

    let ending = Arc::new(AtomicBool::new(false));
    let inward = inward::start(config, configured, &links, &ending)?;
    let mut threads = inward.threads;
    threads.extend(watch_host(config, &links, watcher, deciding.notes, &ending)?);
    threads.push(
        repairer(config, &links, deciding.agreement, deciding.surplus)?
            .start(ending.clone(), &links.shared.vital)?,
    );
    threads.extend(deciding.threads);
    if let Some(mirroring) = begun {
        tokio::spawn(mirroring.run(fleet.clone(), links.inbox.clone()));
    }
    if let Err(error) = fleet.begin() {
        let what = format!("this node does not talk to its cluster: {error}");
        crate::fleet::trouble(&links.shared.health, what, "see to it, then restart the node");
    }
    let watching = Watching::new(config, live, &links);
    let sensor = watching.config.clone();
    let watcher = watched::Watcher::new(config, &links, notifier);
    let supervisor = watcher.start(watching)?;
    let learning = student(config, &links).start(ending.clone())?;

    let reload = reload::reloader(config, sources, &links, (&sensor, &inward.feeds));
    let drops = Arc::new(Drops::new(parts::enforcer(config.enforcer)?));
    let (feeds, ledger) = (inward.feeds.clone(), inward.ledger);
    serving::metrics(config, shown::Shown { links: links.clone(), drops: drops.clone(), feeds, ledger });
    let handle = FleetHandle::new(links.inbox.clone(), fleet.clone());
    let server = serving::serve(
        config,
        &links,
        drops,
        (reload.clone(), handle, vault, inward.feeds, mirror),
        started,
        socket,
    );
    let state_dir = config.state_dir.clone();
    Ok(Ending {
        links,
        state_dir,
        at_boot: deciding.at_boot,
        remove,
        supervisor,
        stop_guard: ending,
        server,
        fleet,
        learning,
        threads,
        reload,
        _lock: lock,
    })
}

/// Who learns what is usual here.
fn student(config: &NodeConfig, links: &Links) -> Student {
    Student {
        ear: links.ear.clone(),
        models: links.models.clone(),
        board: links.board.clone(),
        inbox: links.inbox.clone(),
        health: links.shared.health.clone(),
        settings: config.learning.clone(),
        path: config.state_dir.join("models").join("learner"),
    }
}

/// What opens and closes this node's part in a fleet.
fn control(
    config: &NodeConfig,
    links: &Links,
    (fleet, vault): (Weak<Control>, Vault),
    mouth: mirror::Mouth,
) -> Control {
    Control {
        state_dir: config.state_dir.clone(),
        listen: config.listen,
        inbox: links.inbox.clone(),
        counters: links.shared.counters.clone(),
        health: links.shared.health.clone(),
        uplink: links.uplink.clone(),
        mouth,
        beside: joining::beside(links.inbox.clone(), fleet, vault),
        state: Mutex::default(),
    }
}

/// Who decides and who carries out, at work.
struct Deciding {
    notes: Notes,
    agreement: Agreement,
    surplus: Surplus,
    /// What the next boot shall load.
    at_boot: Desired,
    /// In the order in which they end.
    threads: Vec<thread::JoinHandle<()>>,
}

/// Starts who decides and who carries out, and waits until the kernel agrees.
fn decide(
    config: &NodeConfig,
    links: &Links,
    restored: restore::Restored,
    inputs: Inputs,
    enforcer: Box<dyn Enforcer>,
) -> anyhow::Result<Deciding> {
    let (shared, agreement) = (&links.shared, Agreement::default());
    let surplus = restored.surplus;
    let real = config.enforcer != EnforcerKind::DryRun;
    // An older snapshot knows more than who could not read what was stored; and a boot loads it into the real kernel.
    let at_boot: Desired = if restored.unread || !real { Arc::new(|| None) } else { links.desired() };
    let (boot, boot_thread) =
        BootSnapshot::start(&config.state_dir, at_boot.clone(), shared.health.clone(), &shared.vital)?;
    if real {
        boot.resume_by(config.socket.clone());
    }
    let committer = Committer {
        store: restored.store,
        open: restored.open,
        unread: restored.unread,
        written: 0,
        damage: 0,
        backlog: links.backlog.clone(),
        told: Box::new(links.inbox.clone()),
        counters: shared.counters.clone(),
        health: shared.health.clone(),
    };
    let worker = Worker {
        enforcer,
        queue: links.queue.clone(),
        inbox: links.inbox.clone(),
        cutter: cutter(config, shared)?,
        read_before: Some(restored.enforced),
        surplus,
        agreement: agreement.clone(),
        desired: links.desired(),
        counters: shared.counters.clone(),
        health: shared.health.clone(),
    };
    let driver = Driver {
        agent: restored.agent,
        brain: restored.brain,
        protected: restored.protected,
        inputs,
        queue: links.queue.clone(),
        backlog: links.backlog.clone(),
        feed: links.feed.clone(),
        followers: links.alerts.clone(),
        logs: links.logs.clone(),
        boot,
        recent: links.recent.clone(),
        uplink: links.uplink.clone(),
        may_change_kernel: real,
        counters: shared.counters.clone(),
    };
    if restored.damaged {
        links.backlog.ask_for_everything();
        links.inbox.send(Input::StoreLost);
    }
    let (committer, worker) = (committer.start(&shared.vital)?, worker.start(&shared.vital)?);
    // Before the first change: whoever switched enforcement off meanwhile must not see it come back.
    let notes = Notes::new(&config.state_dir, links.inbox.clone(), shared.health.clone());
    notes.carry_out();
    let (begun, kernel_agrees) = mpsc::channel();
    links.inbox.send(Input::Begin(Box::new(move |_| begun.send(()).unwrap_or_default())));
    let driver = driver.start(&shared.vital)?;
    if kernel_agrees.recv_timeout(FIRST_CHANGES).is_err() {
        tracing::warn!("the kernel does not agree yet; the node starts watching all the same");
    } else if !restored.unread {
        // Unnoted, at worst a block is adopted whose record a crash took.
        let _ = snapshot::note_boot(&config.state_dir);
    }
    Ok(Deciding { notes, agreement, surplus, at_boot, threads: vec![driver, worker, boot_thread, committer] })
}

/// Starts who watches over the host.
fn watch_host(
    config: &NodeConfig,
    links: &Links,
    watcher: Watcher,
    notes: Notes,
    ending: &Arc<AtomicBool>,
) -> anyhow::Result<Vec<thread::JoinHandle<()>>> {
    let (inbox, feed, health) = (links.inbox.clone(), links.feed.clone(), links.shared.health.clone());
    let vital = &links.shared.vital;
    let logins = logins::start(&config.logins, feed.clone(), health.clone(), ending.clone(), vital)?;
    let guard = Guard { watcher, inbox, feed, health, notes }.start(ending.clone(), vital)?;
    Ok(logins.into_iter().chain([guard]).collect())
}

fn repairer(
    config: &NodeConfig,
    links: &Links,
    agreement: Agreement,
    surplus: Surplus,
) -> anyhow::Result<Repairer> {
    let (agreement, enforcer): (_, Box<dyn Enforcer>) = match config.enforcer {
        // A dry run's sets are the worker's own: there is nobody to repair after.
        EnforcerKind::DryRun => (Agreement::default(), Box::new(DryRun::default())),
        kind => (agreement, parts::enforcer(kind)?),
    };
    let Shared { counters, health, vital: _ } = links.shared.clone();
    Ok(Repairer {
        enforcer,
        surplus,
        agreement,
        inbox: links.inbox.clone(),
        desired: links.desired(),
        counters,
        health,
    })
}

/// Looks at the host for the first time.
fn watcher(config: &NodeConfig) -> anyhow::Result<Watcher> {
    let sessions_file = Some(config.state_dir.join("sessions"));
    let watched = Watcher::new(HostConfig { sessions_file, ..HostConfig::default() });
    watched.context(
        "cannot read this host's addresses and routes, which must be protected before anything is blocked",
    )
}

fn cutter(config: &NodeConfig, shared: &Shared) -> anyhow::Result<Cutter> {
    if !config.destroy_connections || config.enforcer == EnforcerKind::DryRun {
        return Ok(Cutter::idle(shared.counters.clone()));
    }
    // The thread ends with the worker that holds its queue.
    let (cutter, _) =
        Cutter::start(parts::enforcer(config.enforcer)?, shared.counters.clone(), &shared.vital)?;
    Ok(cutter)
}

fn hostname() -> anyhow::Result<String> {
    let name = nix::unistd::gethostname().context("cannot read the host's name")?;
    name.into_string().map_err(|_| anyhow!("the host's name is no text; choose one by --name"))
}

fn speak(format: LogFormat) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("SMARTFW_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,sled=warn"));
    // Colours are for a person who looks on, not for a file or the journal.
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let builder =
        tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(colours).with_env_filter(filter);
    // A second start in one process (tests) keeps the first one's voice.
    let _ = match format {
        LogFormat::Human => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}

/// Waits for a thread, but not for ever.
fn join(thread: thread::JoinHandle<()>, patience: Duration) {
    let begun = Instant::now();
    while !thread.is_finished() && begun.elapsed() < patience {
        thread::sleep(Duration::from_millis(2));
    }
    if thread.is_finished() {
        // Its panic, if any, has been printed.
        let _ = thread.join();
    }
}
