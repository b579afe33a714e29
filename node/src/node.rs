//! The daemon as a whole: its start, its life, its end.
//!
//! The start keeps the kernel dropping at every moment: what is stored is restored, what the kernel holds besides is
//! adopted, who must not be locked out is known, and only then anything is changed.

mod end;
mod parts;
mod reload;
mod restore;
mod shown;
mod signals;
mod watched;

use std::{
    sync::{Arc, atomic::AtomicBool, mpsc},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};
use smartfw_config::{EnforcerKind, LogFormat, NodeConfig, Sources};
use smartfw_core::protect::ProtectedSet;
use smartfw_proto::{limits, wire::control_server::ControlServer};

use crate::{
    control::{ControlSocket, Drops, Facts, Service},
    detector::{Board, Feed, Watching},
    driver::{Driver, Recent},
    enforcement::{BootSnapshot, Cutter, Queue, Worker},
    files,
    guard::{Guard, Notes},
    health::{Level, Matter},
    host::Host,
    inbox::{Input, inbox},
    logs::{Limits, LogPaths, Logs},
    metrics,
    notify::Notifier,
    store::{Backlog, Committer, DirLock},
};
use end::Ending;
use parts::Shared;

/// Followers' alerts that may wait: a slower one is told how many it missed.
const FOLLOWED: usize = 256;

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
    let (failed, failures) = mpsc::channel();
    let ending = runtime.block_on(async { start(&config, &sources, &notifier, failed, remove) })?;
    notifier.ready(&format!("guards by {}", config.enforcer.as_str()));
    let result = runtime.block_on(signals::wait(&ending.reload, &notifier, failures));
    notifier.stopping();
    ending.end();
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

fn start(
    config: &NodeConfig,
    sources: &Sources,
    notifier: &Arc<Notifier>,
    failed: mpsc::Sender<String>,
    remove: bool,
) -> anyhow::Result<Ending> {
    let started = Instant::now();
    let lock = DirLock::take(&config.state_dir)?;
    files::private_dir(&config.log_dir)
        .with_context(|| format!("cannot use the log folder {}", config.log_dir.display()))?;
    let mut enforcer = parts::enforcer(config.enforcer)?;
    let live = watched::open(config)?;
    let mut socket = ControlSocket::bind(&config.socket, &config.socket_group)?;

    let shared = Shared::default();
    let restored = restore::restore(config, &mut *enforcer, &shared)?;
    let mut host = Host::default();
    let (agent, first) = protect(restored.agent, &mut host, &shared);

    let (inbox, inputs) = inbox(shared.counters.clone());
    let (queue, backlog) = (Arc::<Queue>::default(), Arc::<Backlog>::default());
    let (feed, board) = (Arc::new(Feed::new(shared.counters.clone())), Arc::<Board>::default());
    let recent = Arc::<Recent>::default();
    let (alerts, _) = tokio::sync::broadcast::channel(FOLLOWED);
    let limits = Limits { max_size: config.logs.max_size, keep: config.logs.keep };
    let paths = LogPaths::new(&config.log_dir, &config.state_dir);
    let (logs, logs_thread) = Logs::start(&paths, limits, shared.counters.clone(), shared.health.clone())?;
    let desired = parts::desired(inbox.clone());
    let (boot, boot_thread) = BootSnapshot::start(&config.state_dir, desired.clone(), shared.health.clone())?;

    let committer = Committer {
        store: restored.store,
        open: restored.open,
        backlog: backlog.clone(),
        told: Box::new(inbox.clone()),
        counters: shared.counters.clone(),
        health: shared.health.clone(),
    }
    .start()?;
    let worker = Worker {
        enforcer,
        queue: queue.clone(),
        inbox: inbox.clone(),
        cutter: cutter(config, &shared)?,
        desired: desired.clone(),
        counters: shared.counters.clone(),
        health: shared.health.clone(),
    }
    .start()?;
    let driver = Driver {
        agent,
        inputs,
        queue: queue.clone(),
        backlog: backlog.clone(),
        feed: feed.clone(),
        followers: alerts.clone(),
        logs: logs.clone(),
        boot,
        recent: recent.clone(),
        may_change_kernel: config.enforcer != EnforcerKind::DryRun,
        counters: shared.counters.clone(),
    };
    // Before the first change: whoever switched enforcement off meanwhile must not see it come back.
    let notes = Notes::new(&config.state_dir, inbox.clone());
    notes.carry_out();
    let (begun, kernel_agrees) = mpsc::channel();
    inbox.send(Input::Begin(Box::new(move |_| begun.send(()).unwrap_or_default())));
    let driver = driver.start()?;
    if kernel_agrees.recv_timeout(FIRST_CHANGES).is_err() {
        tracing::warn!("the kernel does not agree yet; the node starts watching all the same");
    }

    let stop_guard = Arc::new(AtomicBool::new(false));
    let guard =
        Guard { host, first, inbox: inbox.clone(), feed: feed.clone(), health: shared.health.clone(), notes };
    let guard = guard.start(stop_guard.clone())?;
    let interfaces = Arc::default();
    let watching = Watching::new(config, live, &feed, &board, &inbox, &logs, &shared.counters, &interfaces);
    let sensor_config = watching.config.clone();
    let watcher = watched::Watcher {
        state_dir: config.state_dir.clone(),
        board: board.clone(),
        shared: shared.clone(),
        notifier: notifier.clone(),
        failed,
    };
    let supervisor = watcher.start(watching)?;

    let drops = Arc::new(Drops::new(parts::enforcer(config.enforcer)?));
    let reload = reload::reloader(config, sources, &inbox, &feed, &sensor_config, &logs);
    let facts = Facts {
        node: config.policy.node.clone(),
        enforcer: config.enforcer.as_str().into(),
        started,
        interfaces,
    };
    let service = Service {
        inbox: inbox.clone(),
        board: board.clone(),
        counters: shared.counters.clone(),
        health: shared.health.clone(),
        alerts,
        recent,
        drops: drops.clone(),
        facts,
        reload: reload.clone(),
    };
    let connections = socket.connections();
    let server = ControlServer::new(service).max_decoding_message_size(limits::MESSAGE);
    let server = tonic::transport::Server::builder()
        .concurrency_limit_per_connection(CALLS)
        .add_service(server)
        .serve_with_incoming(connections);
    let server = tokio::spawn(server);
    serve_metrics(config, shown::Shown { inbox: inbox.clone(), board, drops, shared: shared.clone() });

    Ok(Ending {
        inbox,
        queue,
        backlog,
        desired,
        state_dir: config.state_dir.clone(),
        remove,
        supervisor: Some(supervisor),
        stop_guard,
        server,
        threads: vec![guard, driver, worker, boot_thread, committer, logs_thread],
        logs: Some(logs),
        reload,
        _socket: socket,
        _lock: lock,
    })
}

/// Calls at once on one connection: a person has one terminal, a script perhaps a few threads.
const CALLS: usize = 32;

/// Tells the agent whom the host protects, before anything is enforced.
fn protect(
    mut agent: smartfw_core::Agent,
    host: &mut Host,
    shared: &Shared,
) -> (smartfw_core::Agent, ProtectedSet) {
    match host.protected() {
        Ok(protected) => {
            agent.handle_protected(crate::clock::now(), protected.clone());
            (agent, protected)
        }
        Err(why) => {
            let remedy = "smartfw-cli doctor says what is missing";
            shared.health.set(
                Matter::Host,
                Level::Error,
                format!("this host cannot be observed: {why}"),
                remedy,
            );
            (agent, ProtectedSet::default())
        }
    }
}

fn cutter(config: &NodeConfig, shared: &Shared) -> anyhow::Result<Cutter> {
    if !config.destroy_connections || config.enforcer == EnforcerKind::DryRun {
        return Ok(Cutter::idle(shared.counters.clone()));
    }
    // The thread ends with the worker that holds its queue.
    let (cutter, _) = Cutter::start(parts::enforcer(config.enforcer)?, shared.counters.clone())?;
    Ok(cutter)
}

/// A page that cannot be served keeps nobody from guarding.
fn serve_metrics(config: &NodeConfig, shown: shown::Shown) {
    let Some(address) = config.metrics else { return };
    let health = shown.shared.health.clone();
    tokio::spawn(async move {
        match metrics::serve(address, Arc::new(move || shown.page())).await {
            Ok(address) => tracing::info!(%address, "metrics"),
            Err(error) => health.set(Matter::Metrics, Level::Warn, error.to_string(), "smartfw-node --check"),
        }
    });
}

fn hostname() -> anyhow::Result<String> {
    let name = nix::unistd::gethostname().context("cannot read the host's name")?;
    name.into_string().map_err(|_| anyhow!("the host's name is no text; choose one by --name"))
}

fn speak(format: LogFormat) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("SMARTFW_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,sled=warn"));
    let builder = tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter);
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
