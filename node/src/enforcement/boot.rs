//! The snapshot that protects the next boot, kept up to date behind everybody's back.

use std::{
    ffi::OsString,
    mem,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use nix::unistd::geteuid;
use smartfw_core::{Time, order::EnforcementState};
use smartfw_enforce::{
    EnforceError,
    rescue::{Resume, Resumer, schedule_resume},
    snapshot,
    snapshot::Suspension,
};

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
    /// A panic of the fleet, until when. To the end of one that a person here began that person's command sees.
    FleetPanic(Time),
}

/// The way to the snapshot's thread; when it is dropped the thread writes a last time and ends.
#[derive(Debug)]
pub struct BootSnapshot(Arc<Slot>);

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
        let slot = Arc::<Slot>::default();
        let writer = Writer {
            state_dir: state_dir.to_owned(),
            desired,
            health,
            owed: None,
            unwritten: false,
            resumer: None,
        };
        let way = Self(slot.clone());
        let thread = vital.spawn("boot", move || writer.run(&slot))?;
        Ok((way, thread))
    }

    /// From now on a panic of the fleet ends also where this daemon does not live to see that, as one that a person begins does:
    /// whoever ends it asks on this socket whether it lives.
    pub fn resume_by(&self, socket: PathBuf) {
        // A daemon has one socket.
        let _ = self.0.socket.set(socket);
    }

    /// Something changed.
    pub fn changed(&self, change: Change) {
        self.0.tell(|news| match change {
            Change::Entries => news.entries = true,
            Change::State(state, until) => (news.state, news.fleet_panic) = (Some((state, until)), None),
            Change::FleetPanic(until) => {
                news.state = Some((EnforcementState::Panic, Some(until)));
                news.fleet_panic = Some(until);
            }
        });
    }
}

impl Drop for BootSnapshot {
    fn drop(&mut self) {
        self.0.tell(|news| news.last = true);
    }
}

/// What is new: however much changes while the disk hangs, the last switch counts and entries are read anew.
#[derive(Debug, Default)]
struct Slot {
    news: Mutex<News>,
    changed: Condvar,
    /// Where the daemon answers whoever ends a panic in its place.
    socket: OnceLock<PathBuf>,
}

/// What is new for the snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct News {
    entries: bool,
    state: Option<(EnforcementState, Option<Time>)>,
    /// Until when the fleet stops, if that is the last switch.
    fleet_panic: Option<Time>,
    /// Nothing more will come.
    last: bool,
}

impl Slot {
    fn tell(&self, change: impl FnOnce(&mut News)) {
        change(&mut self.lock());
        self.changed.notify_one();
    }

    /// Waits, at most so long, for something new, and takes it.
    fn take(&self, patience: Duration) -> News {
        let nothing = |news: &mut News| *news == News::default();
        let waited = self.changed.wait_timeout_while(self.lock(), patience, nothing);
        let (mut news, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let last = news.last;
        mem::replace(&mut news, News { last, ..News::default() })
    }

    fn lock(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
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
    /// Who ends the fleet's panic where this daemon does not live to see that.
    resumer: Option<Resumer>,
}

impl Writer {
    fn run(mut self, slot: &Slot) {
        let mut pause = DEBOUNCE;
        loop {
            let owing = self.owed.is_some() || self.unwritten;
            let news = slot.take(if owing { RETRY } else { IDLE });
            // What the disk refused is tried again.
            if news == News::default() && !owing {
                continue;
            }
            let last = self.gather(news, slot, pause);
            let begun = Instant::now();
            let saved = save_for_boot(&self.state_dir, &self.desired);
            self.unwritten = saved.is_err();
            self.show(saved);
            memory::give_back();
            pause = DEBOUNCE.max(begun.elapsed() * SHARE);
            if last {
                return;
            }
        }
    }

    /// Takes what comes within the pause. Whether nothing more can come.
    fn gather(&mut self, mut news: News, slot: &Slot, pause: Duration) -> bool {
        let deadline = Instant::now() + pause;
        loop {
            self.owed = news.state.or(self.owed);
            self.switch_owed();
            self.see_to_end(news, slot.socket.get());
            let left = deadline.saturating_duration_since(Instant::now());
            if news.last || left.is_zero() {
                return news.last;
            }
            news = slot.take(left);
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

    /// Whoever was to end the last panic is not needed once it is over, or another takes its place.
    fn see_to_end(&mut self, news: News, socket: Option<&PathBuf>) {
        let over = news.state.is_some_and(|(state, _)| state != EnforcementState::Panic);
        if (over || news.fleet_panic.is_some())
            && let Some(resumer) = self.resumer.take()
        {
            resumer.dismiss();
        }
        if let (Some(until), Some(socket)) = (news.fleet_panic, socket) {
            self.resumer = self.schedule(until, socket);
        }
    }

    fn schedule(&self, until: Time, socket: &Path) -> Option<Resumer> {
        let program = std::env::current_exe().map(|program| program.with_file_name("smartfw-cli"));
        let program = program.ok().filter(|program| geteuid().is_root() && program.is_file())?;
        let arguments: [OsString; 7] = [
            "--socket".into(),
            socket.into(),
            "--state-dir".into(),
            self.state_dir.clone().into(),
            "resume".into(),
            "--until".into(),
            until.as_secs().to_string().into(),
        ];
        let resume = Resume { program, arguments: arguments.to_vec() };
        schedule_resume(until.since(clock::now()), &resume)
            .inspect_err(|error| {
                tracing::warn!(%error, "should this daemon end meanwhile, then nothing resumes enforcement");
            })
            .ok()
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
    fn whatever_changes_while_the_disk_hangs_is_kept_in_one_place() {
        let slot = Arc::<Slot>::default();
        let way = BootSnapshot(slot.clone());
        (0..1000).for_each(|_| way.changed(Change::Entries));
        way.changed(Change::State(EnforcementState::Off, None));
        way.changed(Change::State(EnforcementState::On, None));
        let state = Some((EnforcementState::On, None));
        assert_eq!(slot.take(Duration::ZERO), News { entries: true, state, ..News::default() });
        assert_eq!(slot.take(Duration::ZERO), News::default());
        drop(way);
        assert!(slot.take(Duration::ZERO).last);
    }

    #[test]
    fn only_a_panic_of_the_fleet_is_seen_to_and_only_while_it_lasts() {
        let slot = Arc::<Slot>::default();
        let way = BootSnapshot(slot.clone());
        let until = Time::from_secs(900);
        way.changed(Change::State(EnforcementState::Panic, Some(until)));
        assert_eq!(slot.take(Duration::ZERO).fleet_panic, None, "a person's command sees to it");
        way.changed(Change::FleetPanic(until));
        let state = Some((EnforcementState::Panic, Some(until)));
        let expected = News { state, fleet_panic: Some(until), ..News::default() };
        assert_eq!(slot.take(Duration::ZERO), expected);
        way.changed(Change::FleetPanic(until));
        way.changed(Change::State(EnforcementState::On, None));
        assert_eq!(slot.take(Duration::ZERO).fleet_panic, None, "it is over");
    }

    #[test]
    fn whoever_waits_for_the_end_of_a_panic_is_gone_once_it_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let child = std::process::Command::new("/bin/sleep").arg("60").spawn().unwrap();
        let process = PathBuf::from(format!("/proc/{}", child.id()));
        let mut writer = Writer {
            state_dir: folder.path().to_owned(),
            desired: Arc::new(|| None),
            health: Arc::default(),
            owed: None,
            unwritten: false,
            resumer: Some(Resumer::Process(child)),
        };
        writer.see_to_end(News { entries: true, ..News::default() }, None);
        assert!(process.exists());
        writer.see_to_end(News { state: Some((EnforcementState::On, None)), ..News::default() }, None);
        assert!(!process.exists(), "neither it nor what is left of it");
    }

    #[test]
    fn a_switch_that_could_not_be_written_down_shows_until_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (state_dir, health) = (folder.path().to_owned(), Arc::<Health>::default());
        let desired: Desired = Arc::new(|| None);
        let health_too = health.clone();
        let mut writer =
            Writer { state_dir, desired, health: health_too, owed: None, unwritten: false, resumer: None };
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
