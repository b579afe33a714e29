//! The snapshot that protects the next boot, kept up to date behind everybody's back.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
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

/// How often what the disk refused is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// How long the thread sleeps when there is nothing to do.
const IDLE: Duration = Duration::from_secs(3600);

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
        let writer =
            Writer { state_dir: state_dir.to_owned(), desired, health, owed: None, unwritten: false };
        let thread = vital.spawn("boot", move || writer.run(&receiver))?;
        Ok((Self { changes }, thread))
    }

    /// Something changed.
    pub fn changed(&self, change: Change) {
        let _ = self.changes.send(change); // after the end nobody needs it
    }
}

/// One at a time: the files that take the old ones' places have fixed names.
static SAVING: Mutex<()> = Mutex::new(());

/// Writes what the next boot shall load; nothing while enforcement is off: what was last enforced is what shall come
/// back.
///
/// # Errors
/// When the disk refuses; what was written before is still there then.
pub fn save_for_boot(state_dir: &Path, desired: &Desired) -> Result<(), EnforceError> {
    let Some(enforced) = desired() else { return Ok(()) };
    let _one = SAVING.lock().unwrap_or_else(PoisonError::into_inner);
    snapshot::save(state_dir, clock::now(), &enforced)
}

struct Writer {
    state_dir: PathBuf,
    desired: Desired,
    health: Arc<Health>,
    /// The last switch, if it could not be written down.
    owed: Option<(EnforcementState, Option<Time>)>,
    /// Whether the last save failed.
    unwritten: bool,
}

impl Writer {
    fn run(mut self, changes: &Receiver<Change>) {
        let mut pause = DEBOUNCE;
        loop {
            let owing = self.owed.is_some() || self.unwritten;
            let change = match changes.recv_timeout(if owing { RETRY } else { IDLE }) {
                Ok(change) => change,
                // What the disk refused is tried again.
                Err(RecvTimeoutError::Timeout) if owing => Change::Entries,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let connected = self.gather(change, changes, pause);
            let begun = Instant::now();
            let saved = save_for_boot(&self.state_dir, &self.desired);
            self.unwritten = saved.is_err();
            self.show(saved);
            memory::give_back();
            pause = DEBOUNCE.max(begun.elapsed() * SHARE);
            if !connected {
                return;
            }
        }
    }

    /// Takes what comes within the pause. Whether more can come.
    fn gather(&mut self, first: Change, changes: &Receiver<Change>, pause: Duration) -> bool {
        let (mut next, deadline) = (first, Instant::now() + pause);
        loop {
            if let Change::State(state, until) = next {
                self.owed = Some((state, until));
            }
            self.switch_owed();
            match changes.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(change) => next = change,
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
    }

    fn switch_owed(&mut self) {
        let Some((state, until)) = self.owed else { return };
        let switched = self.switch(state, until);
        if switched.is_ok() {
            self.owed = None;
        }
        self.show(switched);
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
            // A save that went well says nothing about a switch that did not.
            Ok(()) if self.owed.is_some() || self.unwritten => {}
            Ok(()) => self.health.clear(Matter::Boot),
            Err(error) => self.health.set(
                Matter::Boot,
                Level::Warn,
                format!("a reboot would bring back what was enforced earlier: {error}"),
                "make room or repair the permissions of the state folder",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_switch_that_could_not_be_written_down_shows_until_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (state_dir, health) = (folder.path().to_owned(), Arc::<Health>::default());
        let desired: Desired = Arc::new(|| None);
        let mut writer = Writer { state_dir, desired, health: health.clone(), owed: None, unwritten: false };
        // A file is in the folder's place.
        fs::write(folder.path().join("boot"), "").unwrap();
        writer.owed = Some((EnforcementState::Off, None));
        writer.switch_owed();
        writer.show(save_for_boot(folder.path(), &writer.desired));
        assert_eq!(health.list().len(), 1, "a save does not hide it");
        fs::remove_file(folder.path().join("boot")).unwrap();
        writer.switch_owed();
        assert_eq!(health.list().len(), 0);
        assert_eq!(snapshot::suspension(folder.path()).unwrap(), Some(Suspension::Off));
    }
}
