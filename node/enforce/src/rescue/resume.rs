//! The end of a panic, which must come even when the daemon stays dead.

use std::{
    ffi::OsString,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use smartfw_core::Time;

use crate::{
    EnforceError, Options, command,
    snapshot::{self, Suspension},
};

/// The name of the timer's unit.
const UNIT: &str = "smartfw-resume";
/// Where systemd runs, it has made this directory.
const SYSTEMD: &str = "/run/systemd/system";
/// How often the waiting process looks whether somebody has ended the panic before it does.
const PAUSE: Duration = Duration::from_secs(1);

/// How a panic is ended: the program, and its arguments for either way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// The absolute path of `smartfw-cli`.
    pub program: PathBuf,
    /// Arguments with which it ends the panic at once.
    pub at_once: Vec<OsString>,
    /// Arguments with which it calls [`wait_and_resume`].
    pub after_waiting: Vec<OsString>,
}

/// Who ends the panic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resumer {
    /// A timer of systemd, by its unit's name.
    Timer(String),
    /// A process of our own, by its id.
    Process(u32),
}

/// Sees to it that the panic ends `after` this long: by a timer of systemd where systemd runs, else by a process that
/// waits.
///
/// # Errors
/// When neither can be had: the caller tells the person to type `enable` in time.
pub fn schedule_resume(after: Duration, resume: &Resume) -> Result<Resumer, EnforceError> {
    if Path::new(SYSTEMD).is_dir() && timer(after, resume).is_ok() {
        return Ok(Resumer::Timer(format!("{UNIT}.timer")));
    }
    let mut command = Command::new(&resume.program);
    command.args(&resume.after_waiting).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().map_err(EnforceError::file(&resume.program))?;
    Ok(Resumer::Process(child.id()))
}

/// Takes the timer away, if there is one: somebody has ended the panic before it did.
pub fn cancel_resume() {
    if Path::new(SYSTEMD).is_dir() {
        // Without a timer there is nothing to stop, and that is no error.
        let _ = command::run("systemctl", &["stop", &format!("{UNIT}.timer")], b"");
    }
}

/// Waits for the end of the panic of which `<state>/boot/` knows, then enforces again; returns early when the panic
/// was ended or changed by somebody else. For the process that [`schedule_resume`] starts.
///
/// # Errors
/// As [`super::enable`].
pub fn wait_and_resume(state: &Path, options: Options) -> Result<(), EnforceError> {
    // A session of its own, so that it outlives the terminal. It fails only where it has one already.
    let _ = nix::unistd::setsid();
    let begun = snapshot::suspension(state)?;
    let Some(Suspension::Panic(until)) = begun else { return Ok(()) };
    while now() < until {
        thread::sleep(until.since(now()).min(PAUSE));
        if snapshot::suspension(state)? != begun {
            return Ok(());
        }
    }
    super::enable(state, now(), options).map(drop)
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
    arguments.extend(resume.at_once.iter().cloned());
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
    fn a_panic_that_somebody_else_ended_is_left_alone() {
        let state = tempfile::tempdir().unwrap();
        snapshot::suspend(state.path(), Suspension::Off).unwrap();
        wait_and_resume(state.path(), Options::default()).unwrap();
        assert_eq!(snapshot::suspension(state.path()).unwrap(), Some(Suspension::Off));
    }

    #[test]
    fn a_waiting_process_is_started_where_there_is_no_systemd() {
        if Path::new(SYSTEMD).is_dir() {
            return;
        }
        let resume =
            Resume { program: "/bin/true".into(), at_once: Vec::new(), after_waiting: vec!["x".into()] };
        let resumer = schedule_resume(Duration::from_secs(1), &resume).unwrap();
        assert!(matches!(resumer, Resumer::Process(id) if id > 1));
    }
}
