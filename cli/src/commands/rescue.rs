//! The way out without the daemon, as root, straight on the kernel. Nothing here ends with "cannot be reached".

use std::{ffi::OsString, time::Duration};

use smartfw_core::{IpNet, Time, enforcement::Entry};
use smartfw_enforce::{
    EnforceError, Options,
    rescue::{self, Disabled, Rescued, Resume, Resumer},
    snapshot::{self, Restored, Suspension},
};
use smartfw_proto::{json, wire};

use super::targets;
use crate::{
    args::{Format, Global},
    client::{self, Daemon},
    duration::{human, now},
    failure::Failure,
    output::{Output, complain},
    render,
};

pub(super) fn disable(global: &Global, output: &mut Output, why: &Failure) -> Result<(), Failure> {
    need_root("disable", why)?;
    let rescued = rescue::disable(&global.state_dir, now())?;
    cancel_resume();
    let Disabled { removed, left } = told(output, rescued)?;
    say(
        output,
        &format!("Enforcement is off: {}. It stays off until: smartfw-cli enable", removal(&removed)),
    )?;
    leftovers(output, &left)
}

pub(super) fn panic(
    global: &Global,
    output: &mut Output,
    duration: Duration,
    why: &Failure,
) -> Result<(), Failure> {
    need_root("panic", why)?;
    let rescued = rescue::panic(&global.state_dir, now(), duration)?;
    let Disabled { removed, left } = told(output, rescued)?;
    say(output, &format!("Enforcement is stopped: {}.", removal(&removed)))?;
    leftovers(output, &left)?;
    if let Ok(Some(Suspension::Off)) = snapshot::suspension(&global.state_dir) {
        return say(output, "It was switched off before, and stays so: smartfw-cli enable");
    }
    schedule(global, output, duration)
}

/// What was enforced before is enforced again. There is nothing to roll back to, and no daemon to do it.
pub(super) fn enable(
    global: &Global,
    output: &mut Output,
    confirm: Option<Duration>,
    why: Failure,
) -> Result<(), Failure> {
    if confirm.is_some() || !nix::unistd::geteuid().is_root() {
        return Err(why);
    }
    let rescued = match rescue::enable(&global.state_dir, now(), Options::default()) {
        Err(EnforceError::NoSnapshot { .. }) => return Err(why),
        result => result?,
    };
    cancel_resume();
    let restored = told(output, rescued)?;
    restored_or_not(global, output, &restored, now())
}

/// Sees to it that a panic ends, whatever becomes of the daemon.
pub(super) fn schedule(global: &Global, output: &mut Output, duration: Duration) -> Result<(), Failure> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(()); // the daemon resumes; a member of the group cannot set a timer of the system
    }
    let resumer = resume_command(global, now().after(duration))
        .and_then(|resume| rescue::schedule_resume(duration, &resume));
    match resumer {
        Ok(Resumer::Timer(unit)) => say(
            output,
            &format!("Even without the daemon it resumes in {} (systemd timer {unit}).", human(duration)),
        ),
        Ok(Resumer::Process(child)) => {
            let (after, id) = (human(duration), child.id());
            say(output, &format!("Even without the daemon it resumes in {after} (process {id})."))
        }
        Err(error) => Err(Failure::failed(format!(
            "nothing will resume enforcement: {error}; type `smartfw-cli enable` in time"
        ))),
    }
}

/// The panic was ended before its time. Only root can take the timer away, systemd would ask anybody else for a
/// password; a timer that is left finds out at its time that there is nothing to end.
pub(super) fn cancel_resume() {
    if nix::unistd::geteuid().is_root() {
        rescue::cancel_resume();
    }
}

fn resume_command(global: &Global, until: Time) -> Result<Resume, EnforceError> {
    let program = std::env::current_exe()
        .map_err(|source| EnforceError::System { what: "finding smartfw-cli's own path".into(), source })?;
    let arguments: [OsString; 7] = [
        "--socket".into(),
        global.socket.clone().into(),
        "--state-dir".into(),
        global.state_dir.clone().into(),
        "resume".into(),
        "--until".into(),
        until.as_secs().to_string().into(),
    ];
    Ok(Resume { program, arguments: arguments.to_vec() })
}

pub(super) fn unblock(
    global: &Global,
    output: &mut Output,
    target: IpNet,
    false_positive: bool,
    why: &Failure,
) -> Result<(), Failure> {
    need_root("unblock", why)?;
    let ended = told(output, rescue::unblock(&global.state_dir, now(), target, false_positive)?)?;
    match output.format {
        // A daemon that was too slow to say so may have done it, and if not, nothing was left to do.
        Format::Human if ended.is_empty() => say(output, &format!("Nothing of {target} is dropped.")),
        Format::Human => {
            let names = targets(ended.iter().map(|entry| &entry.target));
            say(output, &format!("No longer dropped on this node: {names}"))
        }
        Format::Json => ended.iter().try_for_each(|entry| output.json(&kernel_block(entry, now()))),
        Format::Raw => ended.iter().try_for_each(|entry| output.raw(&[entry.target.to_string()])),
    }
}

/// A block as far as the kernel knows it; what only the daemon knows is null.
fn kernel_block(entry: &Entry, now: Time) -> serde_json::Value {
    serde_json::json!({
        "kind": "block",
        "time": json::rfc3339(now),
        "id": entry.note.id.to_string(),
        "target": entry.target.to_string(),
        "class": entry.note.class.as_str(),
        "origin": entry.note.origin,
        "confidence": null,
        "strength": entry.strength.as_str(),
        "since": null,
        "expires": entry.expires.map(json::rfc3339),
        "level": null,
        "packets": null,
        "bytes": null,
        "scope": "node",
    })
}

pub(super) fn allow(
    global: &Global,
    output: &mut Output,
    target: IpNet,
    duration: Option<Duration>,
    comment: &str,
) -> Result<(), Failure> {
    let protected = told(output, rescue::allow(&global.state_dir, now(), target, duration, comment)?)?;
    let since = if protected { "" } else { " (nothing is dropped now: it is written down)" };
    say(output, &format!("{target} is never dropped, {}, on this node{since}", render::span(duration)))
}

/// For smartfw-restore.service: what was enforced before the reboot.
pub(super) fn restore(global: &Global, output: &mut Output) -> Result<(), Failure> {
    of_root("restore")?;
    match snapshot::restore(&global.state_dir, now(), Options::default()) {
        Ok(restored) => restored_or_not(global, output, &restored, now()),
        // The first boot: there is nothing yet that could be restored.
        Err(EnforceError::NoSnapshot { .. }) => say(output, "There is nothing to restore."),
        Err(error) => Err(error.into()),
    }
}

fn restored_or_not(
    global: &Global,
    output: &mut Output,
    restored: &Restored,
    now: Time,
) -> Result<(), Failure> {
    match restored {
        Restored::Done(loaded) => {
            let (blocks, failed, damaged) = (loaded.blocks, loaded.failed.len(), loaded.damaged);
            say(
                output,
                &format!("{blocks} blocks are enforced again, {failed} refused, {damaged} lines unreadable"),
            )
        }
        Restored::Suspended(Suspension::Off) => {
            say(output, "Enforcement is switched off: nothing is restored.")
        }
        Restored::Suspended(Suspension::Panic(until)) => {
            say(output, "A panic is on: nothing is restored yet.")?;
            schedule(global, output, until.since(now))
        }
    }
}

/// For the timer of a panic. A daemon that lives resumes by itself, and knows better whether it shall.
pub(super) fn resume(global: &Global, output: &mut Output, until: Time) -> Result<(), Failure> {
    of_root("resume")?;
    if !rescue::wait_for_end(&global.state_dir, until)? {
        return say(output, "Enforcement was switched off: it stays so.");
    }
    if client::block_on(alive(global)).is_ok() {
        return say(output, "The daemon lives: it resumes by itself.");
    }
    let restored = told(output, rescue::enable(&global.state_dir, now(), Options::default())?)?;
    restored_or_not(global, output, &restored, now())
}

async fn alive(global: &Global) -> Result<wire::NodeStatus, Failure> {
    let mut daemon = Daemon::connect(&global.socket).await?.within(client::SHORT);
    daemon.ask(async |mut client| client.status(wire::StatusRequest {}).await).await
}

/// Without the daemon only root can help. `why` it is missing belongs into the answer.
pub(super) fn need_root(command: &str, why: &Failure) -> Result<(), Failure> {
    if nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    let why = why.line().unwrap_or_default();
    Err(Failure::failed(format!(
        "cannot {command}: {why}; without the daemon, only root can: try it with sudo"
    )))
}

fn of_root(command: &str) -> Result<(), Failure> {
    if nix::unistd::geteuid().is_root() {
        Ok(())
    } else {
        Err(Failure::failed(format!("only root can {command}")))
    }
}

/// Says when the daemon will not know of what was done.
fn told<T>(output: &mut Output, rescued: Rescued<T>) -> Result<T, Failure> {
    say(output, "The daemon does not answer: done straight in the kernel.")?;
    if let Some(error) = rescued.not_noted {
        complain(&format!("done, but it could not be written down, and the daemon may undo it: {error}"));
    }
    Ok(rescued.done)
}

fn say(output: &mut Output, text: &str) -> Result<(), Failure> {
    if output.format == Format::Human { output.line(text) } else { Ok(()) }
}

fn removal(chains: &[String]) -> String {
    match chains.len() {
        0 => "there was nothing to remove".to_owned(),
        count => format!("{count} chains and all sets of SmartFW are removed"),
    }
}

fn leftovers(output: &mut Output, sets: &[String]) -> Result<(), Failure> {
    if sets.is_empty() {
        return Ok(());
    }
    say(output, &format!("Emptied, but kept because other rules use them: {}", sets.join(", ")))
}

#[cfg(test)]
mod tests {
    use smartfw_core::{BlockId, Class, Strength, enforcement::Note};

    use super::*;

    #[test]
    fn a_block_of_the_kernels_has_the_keys_of_a_block() {
        let note = Note { id: BlockId(0xab), class: Class::PortScan, origin: "web-1".into() };
        let target = "203.0.113.7/32".parse().unwrap();
        let entry = Entry { target, strength: Strength::Hard, expires: Some(Time::from_secs(60)), note };
        let value = kernel_block(&entry, Time::ZERO);
        assert_eq!(value["target"], "203.0.113.7/32");
        assert_eq!(value["expires"], "1970-01-01T00:01:00.000000Z");
        let whole = json::block(Time::ZERO, &crate::commands::samples::row().block, 0, 0);
        for key in whole.as_object().unwrap().keys().filter(|key| *key != "reason") {
            assert!(value.get(key).is_some(), "{key}");
        }
    }
}
