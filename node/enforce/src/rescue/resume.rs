//! The end of a panic, which must come even when the daemon stays dead.

use std::{
    ffi::OsString,
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use smartfw_core::Time;

use crate::{
    EnforceError, command,
    snapshot::{self, Suspension},
};

/// The name of the timer's unit.
const UNIT: &str = "smartfw-resume";
/// Where systemd runs, it has made this directory.
const SYSTEMD: &str = "/run/systemd/system";
/// The longest sleep at once: the clock may be set meanwhile.
const PAUSE: Duration = Duration::from_secs(1);

/// The command that calls [`wait_for_end`] and then ends the panic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// The absolute path of `smartfw-cli`.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

/// Who ends the panic.
#[derive(Debug)]
pub enum Resumer {
    /// A timer of systemd, by its unit's name.
    Timer(String),
    /// A process of our own. It outlives who started it.
    Process(Child),
}

impl Resumer {
    /// Nobody is needed any more: somebody else has ended the panic, or will.
    pub fn dismiss(self) {
        match self {
            Self::Timer(_) => cancel_resume(),
            Self::Process(mut child) => {
                // It may have ended already; then it is only waited for.
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

/// Sees to it that the panic ends `after` this long: by a timer of systemd where systemd runs, else by a process that
/// waits. Systemd would run the command in its own network namespace: in any other, a process waits.
///
/// # Errors
/// When neither can be had: the caller tells the person to type `enable` in time.
pub fn schedule_resume(after: Duration, resume: &Resume) -> Result<Resumer, EnforceError> {
    if is_systemds() && timer(after, resume).is_ok() {
        return Ok(Resumer::Timer(format!("{UNIT}.timer")));
    }
    let mut command = Command::new(&resume.program);
    command.args(&resume.arguments).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().map_err(EnforceError::file(&resume.program)).map(Resumer::Process)
}

/// Takes the timer away, if there is one: somebody has ended the panic before it did. Only root can.
pub fn cancel_resume() {
    // The timer of another namespace is not ours.
    if is_systemds() {
        // Without a timer there is nothing to stop, and that is no error.
        let units = [format!("{UNIT}.timer"), format!("{UNIT}.service")];
        let _ = command::run("systemctl", &["stop", &units[0], &units[1]], b"");
    }
}

/// Waits for the end of a panic: `until`, or what `<state>/boot/` says then, for it may have been prolonged meanwhile.
/// False when enforcement was switched off: then it stays so.
///
/// # Errors
/// When `<state>/boot/` cannot be read.
pub fn wait_for_end(state: &Path, until: Time) -> Result<bool, EnforceError> {
    // A session of its own, so that it outlives the terminal. It fails only where it has one already.
    let _ = nix::unistd::setsid();
    let mut end = until;
    loop {
        while now() < end {
            thread::sleep(end.since(now()).min(PAUSE));
        }
        match snapshot::suspension(state)? {
            Some(Suspension::Off) => return Ok(false),
            Some(Suspension::Panic(later)) if later > now() => end = later,
            // No word of it: a full disk could not take it.
            Some(Suspension::Panic(_)) | None => return Ok(true),
        }
    }
}

/// Whether systemd runs here, in this network namespace.
fn is_systemds() -> bool {
    Path::new(SYSTEMD).is_dir() && is_namespace_of("/proc/1/ns/net")
}

/// Not, when that cannot be read.
fn is_namespace_of(link: &str) -> bool {
    let ours = fs::read_link("/proc/self/ns/net").ok();
    ours.is_some() && ours == fs::read_link(link).ok()
}

fn timer(after: Duration, resume: &Resume) -> Result<(), EnforceError> {
    cancel_resume();
    let mut arguments: Vec<OsString> = vec![
        format!("--unit={UNIT}").into(),
        format!("--on-active={}s", after.as_secs().max(1)).into(),
        "--timer-property=AccuracySec=1s".into(),
        "--collect".into(),
        "--".into(),
        resume.program.clone().into(),
    ];
    arguments.extend(resume.arguments.iter().cloned());
    command::run("systemd-run", &arguments, b"").map(drop)
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::ZERO.after(since)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_switched_off_meanwhile_stays_off() {
        let state = tempfile::tempdir().unwrap();
        snapshot::suspend(state.path(), Suspension::Off).unwrap();
        assert!(!wait_for_end(state.path(), now()).unwrap());
    }

    #[test]
    fn a_panic_that_was_prolonged_ends_when_it_is_over() {
        let state = tempfile::tempdir().unwrap();
        let later = now().after(Duration::from_millis(300));
        snapshot::suspend(state.path(), Suspension::Panic(later)).unwrap();
        assert!(wait_for_end(state.path(), now()).unwrap());
        assert!(now() >= later);
    }

    #[test]
    fn a_panic_that_could_not_be_written_down_ends_all_the_same_but_not_at_once() {
        let state = tempfile::tempdir().unwrap();
        let until = now().after(Duration::from_millis(300));
        assert!(wait_for_end(state.path(), until).unwrap());
        assert!(now() >= until);
    }

    #[test]
    fn a_waiting_process_is_started_where_there_is_no_systemd() {
        if is_systemds() {
            return;
        }
        let resume = Resume { program: "/bin/sleep".into(), arguments: vec!["60".into()] };
        let resumer = schedule_resume(Duration::from_secs(1), &resume).unwrap();
        let Resumer::Process(child) = &resumer else { panic!("{resumer:?}") };
        let process = format!("/proc/{}", child.id());
        assert!(Path::new(&process).exists());
        resumer.dismiss();
        assert!(!Path::new(&process).exists(), "neither it nor what is left of it");
    }

    #[test]
    fn a_timer_is_only_for_the_network_namespace_of_systemd() {
        assert!(is_namespace_of("/proc/self/ns/net"));
        assert!(!is_namespace_of("/proc/self/ns/mnt"), "another namespace");
        assert!(!is_namespace_of("/proc/0/ns/net"), "one that cannot be read");
    }
}
