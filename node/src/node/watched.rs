//! The detector under its supervisor.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use smartfw_capture::{CaptureError, Live, live::LiveConfig};
use smartfw_config::NodeConfig;

use super::parts::{Links, Shared};
use crate::{
    clock,
    detector::{Board, Event, Job, Supervisor, Watching},
    health::{Level, Matter},
    heartbeat::{Beat, Heartbeat},
    notify::Notifier,
};

/// A detector that gave a sign of life so recently lives: its loop takes at most a twentieth of a second.
const LIVELY: Duration = Duration::from_secs(2);

/// Opens the interfaces.
pub(super) fn open(config: &NodeConfig) -> Result<Live, CaptureError> {
    Live::open(live_config(config))
}

fn live_config(config: &NodeConfig) -> LiveConfig {
    LiveConfig { interfaces: config.interfaces.clone(), trusted: config.trusted_interfaces.clone() }
}

impl Watching {
    /// What the detector needs, beginning with interfaces that are already open.
    pub(super) fn new(config: &NodeConfig, first: Live, links: &Links) -> Self {
        let again = live_config(config);
        let names = first.interfaces().iter().map(|interface| interface.name().to_owned()).collect();
        *links.interfaces.lock().unwrap_or_else(PoisonError::into_inner) = names;
        Self {
            open: Box::new(move || Live::open(again.clone())),
            first: Mutex::new(Some(first)),
            config: Arc::new(Mutex::new(config.sensor.clone())),
            feed: links.feed.clone(),
            board: links.board.clone(),
            inbox: links.inbox.clone(),
            logs: links.logs.clone(),
            counters: links.shared.counters.clone(),
            interfaces: links.interfaces.clone(),
        }
    }
}

/// A restart is shown for so long at least, or nobody would see it.
const SHOWN: Duration = Duration::from_secs(3);

/// Who is told how the detector is.
pub(super) struct Watcher {
    state_dir: PathBuf,
    board: Arc<Board>,
    shared: Shared,
    notifier: Arc<Notifier>,
    /// When the detector was last started again.
    restarted: Option<Instant>,
}

impl Watcher {
    /// A watcher that tells the service manager, and ends the process when nothing helps.
    pub(super) fn new(config: &NodeConfig, links: &Links, notifier: &Arc<Notifier>) -> Self {
        let (state_dir, board) = (config.state_dir.clone(), links.board.clone());
        Self { state_dir, board, shared: links.shared.clone(), notifier: notifier.clone(), restarted: None }
    }

    /// Starts the detector and watches over it.
    pub(super) fn start(mut self, watching: Watching) -> std::io::Result<Supervisor> {
        let heartbeat = Heartbeat::new(&self.state_dir);
        let job: Job = Arc::new(move |lifeline| watching.live(lifeline));
        Supervisor::start("detector", job, move |event| self.hear(&heartbeat, event))
    }

    fn hear(&mut self, heartbeat: &Heartbeat, event: Event) {
        match event {
            Event::Tick(silent) if silent < LIVELY => {
                self.beat(heartbeat, silent);
                if self.restarted.is_none_or(|at| at.elapsed() > SHOWN) {
                    self.shared.health.clear(Matter::Detector);
                }
                self.notifier.alive();
            }
            Event::Tick(_) => {}
            Event::Restarted { why } => {
                self.restarted = Some(Instant::now());
                self.shared.counters.detector_restarts.add(1);
                let remedy =
                    "it is started again by itself; look for the reason in the journal, and report it";
                let what = format!("the detector was started again: {why}");
                self.shared.health.set(Matter::Detector, Level::Error, what, remedy);
            }
            Event::GivenUp { why } => {
                self.shared.vital.failed(format!("the detector cannot be started again: {why}"));
            }
        }
    }

    fn beat(&self, heartbeat: &Heartbeat, silent: Duration) {
        let (seen, counters) = (self.board.seen(), &self.shared.counters);
        let at = clock::now().as_nanos().saturating_sub(u64::try_from(silent.as_nanos()).unwrap_or(0));
        let beat = Beat {
            time: clock::rfc3339(smartfw_core::Time::from_nanos(at)),
            packets: seen.packets,
            lost: counters.lost.get(),
            sources: seen.sources,
            verdicts: counters.verdicts.iter().map(|(_, count)| count).sum(),
            restarts: counters.detector_restarts.get(),
        };
        if let Err(error) = heartbeat.write(&beat) {
            tracing::debug!(%error, "the heartbeat cannot be written");
        }
    }
}
