//! The way out when the daemon is dead: straight on the kernel, as root. What is done is written down for the
//! daemon's return, but a full disk stops nobody.

mod notes;
mod resume;

use std::{path::Path, time::Duration};

use smartfw_core::{
    IpNet, Time,
    enforcement::{Change, Entry},
    prefix::{canonical_net, overlap},
};

pub use self::{
    notes::{Action, Note, Taken, take_notes},
    resume::{Resume, Resumer, cancel_resume, schedule_resume, wait_for_end},
};
use crate::{
    EnforceError, Options,
    iptables::{Sets, remove_rules},
    snapshot::{self, Restored, Suspension},
};

/// What was done, and whether it could be written down.
#[derive(Debug)]
pub struct Rescued<T> {
    /// What was done in the kernel.
    pub done: T,
    /// Why it could not be written down: then the daemon will not know of it, and may undo it.
    pub not_noted: Option<EnforceError>,
}

/// What [`disable`] and [`panic`] removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disabled {
    /// The chains that were removed.
    pub removed: Vec<String>,
    /// Sets that foreign rules use: emptied, but still there.
    pub left: Vec<String>,
}

/// Removes every rule, chain and set of SmartFW, of both engines and families, and nothing else. A reboot does not
/// bring them back; [`enable`] does.
///
/// # Errors
/// When rules or sets could not be removed.
pub fn disable(state: &Path, now: Time) -> Result<Rescued<Disabled>, EnforceError> {
    let done = stop(state, now)?;
    let noted = snapshot::suspend(state, Suspension::Off)
        .and_then(|()| notes::write(state, &note(now, Action::Disable)));
    Ok(Rescued { done, not_noted: noted.err() })
}

/// Like [`disable`], but only for `duration`; the caller sees to its end with [`schedule_resume`]. What a person had
/// switched off before stays off after it.
///
/// # Errors
/// As [`disable`].
pub fn panic(state: &Path, now: Time, duration: Duration) -> Result<Rescued<Disabled>, EnforceError> {
    let done = stop(state, now)?;
    let note = Note { duration: Some(duration.as_secs()), ..note(now, Action::Panic) };
    let noted = snapshot::suspend(state, Suspension::Panic(now.after(duration)))
        .and_then(|()| notes::write(state, &note));
    Ok(Rescued { done, not_noted: noted.err() })
}

/// Enforces again what was enforced before [`disable`] or [`panic`].
///
/// # Errors
/// When there is no snapshot, or this host cannot enforce.
pub fn enable(state: &Path, now: Time, options: Options) -> Result<Rescued<Restored>, EnforceError> {
    snapshot::lift(state)?;
    let done = snapshot::restore(state, now, options)?;
    Ok(Rescued { done, not_noted: notes::write(state, &note(now, Action::Enable)).err() })
}

/// Ends every block that covers `target` or is covered by it, and says which. Where it was a `false_positive`, the daemon
/// learns that when it is back.
///
/// # Errors
/// When the kernel cannot be asked or refuses.
pub fn unblock(
    state: &Path,
    now: Time,
    target: IpNet,
    false_positive: bool,
) -> Result<Rescued<Vec<Entry>>, EnforceError> {
    let target = canonical_net(target);
    let mut sets = Sets::open()?;
    let enforced = sets.enforced(now)?;
    let ended: Vec<Entry> =
        enforced.blocks.into_values().filter(|entry| overlap(&entry.target, &target)).collect();
    let changes: Vec<_> = ended.iter().map(|entry| Change::Unblock(entry.target)).collect();
    refused(sets.apply(now, &changes)?.failed)?;
    Ok(Rescued { done: ended, not_noted: note_unblock(state, now, target, false_positive).err() })
}

fn note_unblock(state: &Path, now: Time, target: IpNet, false_positive: bool) -> Result<(), EnforceError> {
    let note = Note { target: Some(target), false_positive, ..note(now, Action::Unblock) };
    snapshot::edit(state, now, |saved| saved.blocks.retain(|held, _| !overlap(held, &target)))
        .and_then(|()| notes::write(state, &note))
}

/// Protects `target`, for `duration` or for ever. False when nothing is enforced, so that there is nothing to be
/// protected from yet.
///
/// # Errors
/// When the kernel cannot be asked or refuses.
pub fn allow(
    state: &Path,
    now: Time,
    target: IpNet,
    duration: Option<Duration>,
    comment: &str,
) -> Result<Rescued<bool>, EnforceError> {
    let target = canonical_net(target);
    let done = Sets::open()?.protect(target, duration)?;
    let note = Note {
        target: Some(target),
        duration: duration.map(|duration| duration.as_secs()),
        comment: comment.to_owned(),
        ..note(now, Action::Allow)
    };
    let noted = snapshot::edit(state, now, |saved| {
        if !saved.protected.contains(&target) {
            saved.protected.push(target);
        }
    })
    .and_then(|()| notes::write(state, &note));
    Ok(Rescued { done, not_noted: noted.err() })
}

fn stop(state: &Path, now: Time) -> Result<Disabled, EnforceError> {
    let mut sets = Sets::open()?;
    let enforced = sets.enforced(now)?;
    if !enforced.blocks.is_empty() || !enforced.protected.is_empty() {
        // An older snapshot will do where the disk is full.
        let _ = snapshot::save(state, now, &enforced);
    }
    let emptied = sets.empty();
    let removed = remove_rules()?;
    emptied?;
    Ok(Disabled { removed, left: sets.remove()? })
}

fn refused(mut failed: Vec<crate::Failed>) -> Result<(), EnforceError> {
    failed.pop().map_or(Ok(()), |failed| {
        Err(EnforceError::Kernel { what: format!("unblocking {}", failed.target), why: failed.why })
    })
}

fn note(time: Time, action: Action) -> Note {
    Note { time, action, target: None, duration: None, comment: String::new(), false_positive: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_false_positive_is_noted_as_one_and_no_other_unblock_is() {
        let (state, now) = (tempfile::tempdir().unwrap(), Time::from_secs(1));
        let target = "203.0.113.7/32".parse().unwrap();
        note_unblock(state.path(), now, target, true).unwrap();
        note_unblock(state.path(), now, target, false).unwrap();
        let notes = take_notes(state.path()).unwrap().notes;
        assert!(notes.iter().all(|note| note.action == Action::Unblock && note.target == Some(target)));
        assert_eq!(notes.iter().map(|note| note.false_positive).collect::<Vec<_>>(), [true, false]);
    }
}
