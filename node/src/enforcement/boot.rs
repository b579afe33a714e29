//! The snapshot that protects the next boot, kept up to date behind everybody's back.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use smartfw_core::{Time, order::EnforcementState};
use smartfw_enforce::{EnforceError, snapshot, snapshot::Suspension};

use super::Desired;
use crate::{
    clock,
    health::{Health, Level, Matter},
    memory,
    vital::Vital,
};

/// Changes come in bursts: wait this long for the next before writing.
const DEBOUNCE: Duration = Duration::from_secs(2);

/// Writing takes at most one part in so many of the time: a list of a hundred thousand is written less often.
const SHARE: u32 = 50;

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Some blocks or protections.
    Entries,
    /// What enforcement does, and for a panic until when.
    State(EnforcementState, Option<Time>),
}

/// The way to the snapshot's thread; when it is dropped the thread writes a last time and ends.
#[derive(Clone, Debug)]
pub struct BootSnapshot {
    changes: Sender<Change>,
}

impl BootSnapshot {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(
        state_dir: &Path,
        desired: Desired,
        health: Arc<Health>,
        vital: &Vital,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (changes, receiver) = channel();
        let writer = Writer { state_dir: state_dir.to_owned(), desired, health };
        let thread = vital.spawn("boot", move || writer.run(&receiver))?;
        Ok((Self { changes }, thread))
    }

    /// Something changed.
    pub fn changed(&self, change: Change) {
        let _ = self.changes.send(change); // after the end nobody needs it
    }
}

struct Writer {
    state_dir: PathBuf,
    desired: Desired,
    health: Arc<Health>,
}

impl Writer {
    fn run(self, changes: &Receiver<Change>) {
        let mut pause = DEBOUNCE;
        while let Ok(change) = changes.recv() {
            let connected = self.gather(change, changes, pause);
            let begun = Instant::now();
            self.show(self.save());
            memory::give_back();
            pause = DEBOUNCE.max(begun.elapsed() * SHARE);
            if !connected {
                return;
            }
        }
    }

    /// Takes what comes within the pause. Whether more can come.
    fn gather(&self, first: Change, changes: &Receiver<Change>, pause: Duration) -> bool {
        let (mut next, deadline) = (first, Instant::now() + pause);
        loop {
            if let Change::State(state, until) = next {
                self.show(self.switch(state, until));
            }
            match changes.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(change) => next = change,
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
    }

    fn save(&self) -> Result<(), EnforceError> {
        match (self.desired)() {
            // While enforcement is off nothing is desired: what was last enforced is what shall come back.
            Some(enforced) => snapshot::save(&self.state_dir, clock::now(), &enforced),
            None => Ok(()),
        }
    }

    fn switch(&self, state: EnforcementState, until: Option<Time>) -> Result<(), EnforceError> {
        match (state, until) {
            (EnforcementState::On, _) => snapshot::lift(&self.state_dir),
            (EnforcementState::Panic, Some(until)) => {
                snapshot::suspend(&self.state_dir, Suspension::Panic(until))
            }
            (EnforcementState::Off | EnforcementState::Panic, _) => {
                snapshot::suspend(&self.state_dir, Suspension::Off)
            }
        }
    }

    fn show(&self, result: Result<(), EnforceError>) {
        match result {
            Ok(()) => self.health.clear(Matter::Boot),
            Err(error) => self.health.set(
                Matter::Boot,
                Level::Warn,
                format!("a reboot would bring back older blocks: {error}"),
                "make room or repair the permissions of the state folder",
            ),
        }
    }
}
