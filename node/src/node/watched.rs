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
    heartbeat::{Beat, Beats, Heartbeat},
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
            models: links.models.clone(),
            board: links.board.clone(),
            inbox: links.inbox.clone(),
            logs: links.logs.clone(),
            ear: links.ear.clone(),
            counters: links.shared.counters.clone(),
            interfaces: links.interfaces.clone(),
        }
    }
}

/// A restart is shown for so long at least, or nobody would see it, and nobody is told before that all is well.
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
        let beats = Beats::start(Heartbeat::new(&self.state_dir), &self.shared.vital)?;
        let job: Job = Arc::new(move |lifeline| watching.live(lifeline));
        Supervisor::start("detector", job, move |event| self.hear(&beats, event))
    }

    fn hear(&mut self, beats: &Beats, event: Event) {
        match event {
            Event::Tick(silent) if self.lives(silent) => {
                self.notifier.alive();
                self.shared.health.clear(Matter::Detector);
                beats.send(self.beat(silent));
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

    /// A detector that dies again and again beats at every start: it lives once it has lived for a while.
    fn lives(&self, silent: Duration) -> bool {
        silent < LIVELY && self.restarted.is_none_or(|at| at.elapsed() > SHOWN)
    }

    fn beat(&self, silent: Duration) -> Beat {
        let (seen, counters) = (self.board.seen(), &self.shared.counters);
        let at = clock::now().as_nanos().saturating_sub(u64::try_from(silent.as_nanos()).unwrap_or(0));
        Beat {
            time: clock::rfc3339(smartfw_core::Time::from_nanos(at)),
            packets: seen.packets,
            lost: counters.lost.get(),
            sources: seen.sources,
            verdicts: counters.verdicts.iter().map(|(_, count)| count).sum(),
            restarts: counters.detector_restarts.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vital::Vital;

    #[test]
    fn a_detector_that_dies_at_every_start_gives_no_sign_of_life() {
        let shared = Shared { vital: Vital::new().0, counters: Arc::default(), health: Arc::default() };
        let (state_dir, board) = (PathBuf::new(), Arc::default());
        let notifier = Arc::new(Notifier::from_environment());
        let mut watcher = Watcher { state_dir, board, shared, notifier, restarted: None };
        assert!(watcher.lives(Duration::ZERO) && !watcher.lives(LIVELY));
        watcher.restarted = Some(Instant::now());
        assert!(!watcher.lives(Duration::ZERO));
        watcher.restarted = Instant::now().checked_sub(SHOWN * 2);
        assert!(watcher.lives(Duration::ZERO));
    }
}
