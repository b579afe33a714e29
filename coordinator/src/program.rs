//! The program as a whole: its start, its life, its end.

mod signals;

use std::{io::IsTerminal as _, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use smartfw_config::LogFormat;
use smartfw_history::{MOST_NODES, Size};
use smartfw_identity::{Current, Revocations, tls::Net};
use tokio::{
    net::TcpListener,
    sync::watch,
    task::JoinSet,
    time::{Instant, interval},
};

use crate::{
    announcing::{Announcing, Expelling, Known, Renewing},
    clock,
    fleet::Fleet,
    health::{Health, Level, Matter},
    intake::{self, Counters},
    keeper::{self, Keeper},
    metrics::{self, Shown},
    mirroring,
    place::{self, Kept, Lock},
    retention,
    settings::{Mirror, Retention, Settings, Sources},
    telling::Telling,
    view::{MOST_BLOCKS, View},
    web::Web,
};

/// How often blocks that ran out and nodes that are long gone are let go.
const TIDY: Duration = Duration::from_secs(10);

/// Runs until it is told to end.
///
/// # Errors
/// When it cannot start, with what to do about it.
pub fn run(settings: Settings, sources: Sources) -> anyhow::Result<()> {
    speak(settings.log_format);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("coordinator")
        .enable_all()
        .build()
        .context("cannot start threads")?;
    runtime.block_on(async {
        // What comes while it starts is heard once it has started.
        let signals = signals::Signals::listen()?;
        let coordinator = Coordinator::start(&settings).await?;
        tracing::info!(listen = %coordinator.address(), "the coordinator is there for the fleet");
        signals.wait(settings, &sources, &coordinator.retention).await;
        coordinator.end().await;
        anyhow::Ok(())
    })?;
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(())
}

/// The program's own messages.
pub fn speak(format: LogFormat) {
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

/// A coordinator at work.
pub struct Coordinator {
    fleet: Fleet,
    intake: Arc<intake::Running>,
    retention: watch::Sender<Retention>,
    tasks: JoinSet<()>,
    telling: Option<Telling>,
    _served: Option<smartfw_api::Served>,
    _lock: Lock,
}

impl Coordinator {
    /// Starts one. Needs a runtime.
    ///
    /// # Errors
    /// When it is in no cluster, its folder or the history cannot be used, or its address is taken.
    pub async fn start(settings: &Settings) -> anyhow::Result<Self> {
        let lock = Lock::take(&settings.folder())?;
        let kept = Kept::load(&settings.folder())?;
        let health = Arc::<Health>::default();
        let cluster = kept.identity.trust().cluster().as_str();
        let history = keeper::open(&settings.history, cluster, &settings.folder()).await?;
        let listener = TcpListener::bind(settings.listen).await.with_context(|| {
            format!("cannot listen on {}: choose another address by --listen", settings.listen)
        })?;
        Self::assemble(settings, kept, (history.into(), health), listener, lock).await
    }

    async fn assemble(
        settings: &Settings,
        Kept { identity, revocations, reach }: Kept,
        (history, health): (Arc<dyn Keeper>, Arc<Health>),
        listener: TcpListener,
        lock: Lock,
    ) -> anyhow::Result<Self> {
        let (cluster, site) =
            (identity.trust().cluster().to_string(), identity.member().name.site.to_string());
        let (current, revocations) = (Current::new(identity), Arc::new(revocations));
        let (view, counters) = (Arc::<View>::default(), Arc::<Counters>::default());
        let mut tasks = JoinSet::new();
        let events = || view.subscribe_events();
        let telling = settings.outward.as_deref().map(|file| Telling::start(file, events(), health.clone()));
        let telling = telling.transpose()?;
        let (retention, told) = watch::channel(settings.retention);
        let mirror = (&settings.mirror, settings.folder(), told.clone());
        let history = mirrored(mirror, &cluster, history, &health, &mut tasks)?;
        tell_unreadable(&revocations, &health);
        let net = Arc::new(Net::new(current.clone(), revocations.clone()));
        let parts = intake::Parts {
            history: history.clone(),
            view: view.clone(),
            health: health.clone(),
            counters: counters.clone(),
        };
        let running = Arc::new(intake::Running::start(parts, &net, listener)?);
        let (measured, size) = watch::channel(Size::default());
        tasks.spawn(retention::run(history.clone(), health.clone(), told, measured));
        tasks.spawn(tidy(view.clone(), health.clone()));
        tasks.spawn(expel(view.clone(), revocations.clone()));
        let folder = place::folder(&settings.folder());
        let known = Arc::new(Known::load(&folder, reach.seeds));
        let expelling = Expelling {
            net: net.clone(),
            current: current.clone(),
            revocations: revocations.clone(),
            known: known.clone(),
        };
        let announcing = Announcing {
            net: net.clone(),
            current: current.clone(),
            revocations,
            view: view.clone(),
            health: health.clone(),
            known: known.clone(),
            advertise: reach.advertise,
            listen: running.address(),
            heard: Arc::default(),
        };
        let shown = Shown {
            view: view.clone(),
            health: health.clone(),
            counters,
            announced: announcing.heard.clone(),
            size,
            waiting: waiting(&running),
            started: Instant::now().into_std(),
        };
        tasks.spawn(announcing.run());
        tasks.spawn(Renewing { net, current, known, health: health.clone(), folder }.run());
        show(settings.metrics, shown).await;
        let fleet = Fleet { view, history, health, carrier: running.carrier(), expelling };
        let served = match settings.http {
            None => None,
            Some(address) => {
                let (files, state_dir, log_dir) = (&settings.web, settings.folder(), &settings.log_dir);
                let web = Web { address, files, state_dir, log_dir, cluster, site };
                Some(web.serve(fleet.clone(), &mut tasks).await?)
            }
        };
        Ok(Self { fleet, intake: running, retention, tasks, telling, _served: served, _lock: lock })
    }

    /// Where nodes connect.
    pub fn address(&self) -> SocketAddr {
        self.intake.address()
    }

    /// The fleet, for whoever shows it.
    pub fn fleet(&self) -> Fleet {
        self.fleet.clone()
    }

    /// What of the history is let go, from now on.
    pub fn retain(&self, retention: Retention) {
        self.retention.send_replace(retention);
    }

    /// Ends: streams are told so, what is being written has some seconds.
    pub async fn end(self) {
        let Self { fleet: _, intake, retention: _, mut tasks, telling, _served, _lock } = self;
        // First nothing new comes in; then what came goes out.
        intake.end().await;
        if let Some(telling) = telling {
            telling.end().await;
        }
        tasks.abort_all();
        tracing::info!("the coordinator has ended");
    }
}

/// Starts the mirror, which the history that is given back feeds.
fn mirrored(
    (settings, state_dir, retention): (&Mirror, PathBuf, watch::Receiver<Retention>),
    cluster: &str,
    history: Arc<dyn Keeper>,
    health: &Arc<Health>,
    tasks: &mut JoinSet<()>,
) -> anyhow::Result<Arc<dyn Keeper>> {
    let begun = mirroring::begin(settings, cluster, &state_dir, history.clone(), health.clone(), retention)?;
    match begun {
        None => Ok(history),
        Some(mirroring::Begun { history, sender }) => {
            tasks.spawn(mirroring::run(sender, health.clone()));
            Ok(history)
        }
    }
}

/// How much waits, while there is an intake.
fn waiting(intake: &Arc<intake::Running>) -> Box<dyn Fn() -> u64 + Send + Sync> {
    let intake = Arc::downgrade(intake);
    Box::new(move || intake.upgrade().map_or(0, |intake| intake.waiting()))
}

fn tell_unreadable(revocations: &Revocations, health: &Health) {
    if let Some(why) = revocations.unreadable() {
        let what = format!("who was expelled is not known, and nobody is let in: {why}");
        health.set(Matter::Revocations, Level::Error, what, "repair the file, then restart the coordinator");
    }
}

/// Without its page the coordinator works all the same.
async fn show(at: Option<SocketAddr>, shown: Shown) {
    let Some(address) = at else { return };
    let (health, shown) = (shown.health.clone(), Arc::new(shown));
    if let Err(why) = metrics::serve(address, Arc::new(move || shown.page())).await {
        let remedy = "choose another address by --metrics, then restart the coordinator";
        health.set(Matter::Metrics, Level::Warn, why.to_string(), remedy);
    }
}

async fn tidy(view: Arc<View>, health: Arc<Health>) {
    let mut turn = interval(TIDY);
    loop {
        turn.tick().await;
        view.tidy(clock::now());
        // Only well below a limit it is right again: at it, it would be so every other moment.
        if view.blocked() < MOST_BLOCKS / 2 {
            health.clear(Matter::Blocks);
        }
        let totals = view.totals();
        if totals.connected + totals.absent < MOST_NODES as u64 / 2 {
            health.clear(Matter::Nodes);
        }
    }
}

/// Follows who is expelled. The connections of those who are end by themselves.
async fn expel(view: Arc<View>, revocations: Arc<Revocations>) {
    let mut changes = revocations.changes();
    loop {
        if let Ok(expelled) = revocations.get() {
            view.expel(|member| expelled.check(member).is_err());
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}
