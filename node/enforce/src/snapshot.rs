//! What is enforced, on disk, so that a reboot does not unprotect: loaded at boot before the network is up, and
//! without the daemon.
//!
//! `<state>/boot/` holds `sets.ipset`, `rules.v4` and `rules.v6`, in the formats of `ipset restore` and
//! `iptables-restore -n`, so that a person can load them with nothing but those tools. Timeouts in `sets.ipset` count
//! from its line `saved-at`.

mod format;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use smartfw_core::{
    Time,
    enforcement::{Change, Enforced},
};

use crate::{
    EnforceError, Enforcer, Failed, Installed, Iptables, Options, Surplus, difference, files,
    iptables::restore_file, sets::Family,
};

const DIRECTORY: &str = "boot";
const SETS: &str = "sets.ipset";
const SUSPENSION: &str = "suspended.json";
const BOOT: &str = "boot-id";
/// Where the kernel names the time from one boot to the next.
const THIS_BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// Why nothing is restored although there is a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Suspension {
    /// A person has switched enforcement off.
    Off,
    /// A person has switched enforcement off until this time.
    Panic(Time),
}

/// What [`restore`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Restored {
    /// The snapshot is enforced.
    Done(Loaded),
    /// Nothing: a person has switched enforcement off. The caller schedules the end of a panic anew, for a reboot
    /// takes the timer with it.
    Suspended(Suspension),
}

/// What came out of a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Blocks that were added.
    pub blocks: usize,
    /// Protected prefixes in the snapshot.
    pub protected: usize,
    /// Lines that could not be read and were passed over.
    pub damaged: usize,
    /// What the kernel refused.
    pub failed: Vec<Failed>,
    /// What was made of rules and sets.
    pub installed: Installed,
}

/// A snapshot that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// What was enforced, without what is over.
    pub enforced: Enforced,
    /// Lines that could not be read and were passed over.
    pub damaged: usize,
}

/// Writes the snapshot: each file is replaced as a whole, the sets last.
///
/// # Errors
/// When a file cannot be written; the old snapshot is still there then.
pub fn save(state: &Path, now: Time, enforced: &Enforced) -> Result<(), EnforceError> {
    let directory = state.join(DIRECTORY);
    files::make_directory(&directory)?;
    files::replace(&directory.join("rules.v4"), restore_file(Family::V4).as_bytes())?;
    files::replace(&directory.join("rules.v6"), restore_file(Family::V6).as_bytes())?;
    files::replace(&directory.join(SETS), format::write(now, enforced).as_bytes())
}

/// Reads the snapshot.
///
/// # Errors
/// When there is none, or it cannot be read at all.
pub fn load(state: &Path, now: Time) -> Result<Snapshot, EnforceError> {
    let path = state.join(DIRECTORY).join(SETS);
    let text = files::read(&path)?.ok_or(EnforceError::NoSnapshot { path })?;
    Ok(format::read(now, &text))
}

/// Enforces the snapshot, unless a person has switched enforcement off: sets, protection, rules, blocks. What the
/// kernel holds already stays as it is.
///
/// # Errors
/// When there is no snapshot, or this host cannot enforce.
pub fn restore(state: &Path, now: Time, options: Options) -> Result<Restored, EnforceError> {
    match suspension(state)? {
        Some(Suspension::Panic(until)) if until <= now => lift(state)?,
        Some(suspension) => return Ok(Restored::Suspended(suspension)),
        None => {}
    }
    let snapshot = load(state, now)?;
    let mut enforcer = Iptables::open(options)?;
    into_kernel(&mut enforcer, now, snapshot).map(Restored::Done)
}

/// Writes down that enforcement is off, so that a reboot does not bring it back. A panic changes nothing about what
/// is switched off already: its end must not switch it on.
///
/// # Errors
/// When the file cannot be written.
pub fn suspend(state: &Path, suspension: Suspension) -> Result<(), EnforceError> {
    if matches!(suspension, Suspension::Panic(_))
        && matches!(self::suspension(state), Ok(Some(Suspension::Off)))
    {
        return Ok(());
    }
    files::make_directory(&state.join(DIRECTORY))?;
    let content = serde_json::to_vec(&suspension).unwrap_or_default();
    files::replace(&suspension_path(state), &content)
}

/// Enforcement is on again: a reboot restores the snapshot.
///
/// # Errors
/// When the file cannot be removed.
pub fn lift(state: &Path) -> Result<(), EnforceError> {
    files::remove(&suspension_path(state))
}

/// Whether a person has switched enforcement off.
///
/// # Errors
/// When the file cannot be read. One that makes no sense counts as none: never unprotect by accident.
pub fn suspension(state: &Path) -> Result<Option<Suspension>, EnforceError> {
    let text = files::read(&suspension_path(state))?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

/// Whether the host was booted since [`note_boot`], so that the kernel holds what an older snapshot brought back.
/// False where that is not known.
pub fn booted_since(state: &Path) -> bool {
    let noted = files::read(&state.join(DIRECTORY).join(BOOT)).ok().flatten();
    matches!((noted, this_boot()), (Some(noted), Ok(this)) if noted != this)
}

/// Notes that the kernel holds no older snapshot any more, until the next boot.
///
/// # Errors
/// When the file cannot be written.
pub fn note_boot(state: &Path) -> Result<(), EnforceError> {
    let this = this_boot().map_err(EnforceError::file(THIS_BOOT))?;
    files::make_directory(&state.join(DIRECTORY))?;
    files::replace(&state.join(DIRECTORY).join(BOOT), this.as_bytes())
}

fn this_boot() -> std::io::Result<String> {
    std::fs::read_to_string(THIS_BOOT)
}

/// Changes the snapshot, if there is one.
pub(crate) fn edit(state: &Path, now: Time, change: impl FnOnce(&mut Enforced)) -> Result<(), EnforceError> {
    let mut snapshot = match load(state, now) {
        Err(EnforceError::NoSnapshot { .. }) => return Ok(()),
        loaded => loaded?,
    };
    change(&mut snapshot.enforced);
    save(state, now, &snapshot.enforced)
}

fn into_kernel(enforcer: &mut dyn Enforcer, now: Time, snapshot: Snapshot) -> Result<Loaded, EnforceError> {
    let Snapshot { enforced, damaged } = snapshot;
    let installed = enforcer.install(&enforced.protected)?;
    let actual = enforcer.enforced(now)?;
    let mut changes = difference(&enforced, &actual, now, Surplus::Keep);
    // What the kernel holds is newer than any snapshot.
    changes.retain(
        |change| !matches!(change, Change::Block(entry) if actual.blocks.contains_key(&entry.target)),
    );
    let blocks = changes.iter().filter(|change| matches!(change, Change::Block(_))).count();
    let failed = enforcer.apply(now, &changes)?.failed;
    let blocks = blocks.saturating_sub(failed.len());
    Ok(Loaded { blocks, protected: enforced.protected.len(), damaged, failed, installed })
}

fn suspension_path(state: &Path) -> PathBuf {
    state.join(DIRECTORY).join(SUSPENSION)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use smartfw_core::{
        BlockId, Class, Strength,
        enforcement::{Entry, Note},
    };

    use super::*;
    use crate::DryRun;

    const NOW: Time = Time::from_secs(1_000_000);

    fn enforced() -> Enforced {
        let note = Note { id: BlockId(7), class: Class::PortScan, origin: "web-1".into() };
        let target = "203.0.113.7/32".parse().unwrap();
        let entry = Entry { target, strength: Strength::Hard, expires: None, note };
        Enforced { blocks: [(target, entry)].into(), protected: vec!["192.0.2.1/32".parse().unwrap()] }
    }

    #[test]
    fn what_is_saved_is_loaded_and_only_root_may_read_it() {
        let state = tempfile::tempdir().unwrap();
        save(state.path(), NOW, &enforced()).unwrap();
        assert_eq!(load(state.path(), NOW).unwrap(), Snapshot { enforced: enforced(), damaged: 0 });
        for file in fs::read_dir(state.path().join("boot")).unwrap() {
            assert_eq!(file.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn without_a_snapshot_the_error_says_where_it_was_looked_for() {
        let state = tempfile::tempdir().unwrap();
        let error = load(state.path(), NOW).unwrap_err().to_string();
        assert!(error.contains("boot/sets.ipset"), "{error}");
    }

    #[test]
    fn a_suspension_is_kept_until_it_is_lifted() {
        let state = tempfile::tempdir().unwrap();
        for wanted in [Suspension::Panic(NOW), Suspension::Off] {
            suspend(state.path(), wanted).unwrap();
            assert_eq!(suspension(state.path()).unwrap(), Some(wanted));
        }
        lift(state.path()).unwrap();
        lift(state.path()).unwrap();
        assert_eq!(suspension(state.path()).unwrap(), None);
    }

    #[test]
    fn the_end_of_a_panic_does_not_switch_on_what_was_off_before() {
        let state = tempfile::tempdir().unwrap();
        suspend(state.path(), Suspension::Off).unwrap();
        suspend(state.path(), Suspension::Panic(NOW)).unwrap();
        assert_eq!(suspension(state.path()).unwrap(), Some(Suspension::Off));
        lift(state.path()).unwrap();
        suspend(state.path(), Suspension::Panic(NOW)).unwrap();
        assert_eq!(suspension(state.path()).unwrap(), Some(Suspension::Panic(NOW)));
    }

    #[test]
    fn a_boot_is_noticed_once_another_was_noted() {
        let state = tempfile::tempdir().unwrap();
        assert!(!booted_since(state.path()), "nothing is known");
        note_boot(state.path()).unwrap();
        assert!(!booted_since(state.path()));
        fs::write(state.path().join(DIRECTORY).join(BOOT), "another\n").unwrap();
        assert!(booted_since(state.path()));
    }

    #[test]
    fn a_damaged_suspension_unprotects_nobody() {
        let state = tempfile::tempdir().unwrap();
        suspend(state.path(), Suspension::Off).unwrap();
        fs::write(suspension_path(state.path()), b"{\"off\0").unwrap();
        assert_eq!(suspension(state.path()).unwrap(), None);
    }

    #[test]
    fn what_the_kernel_holds_is_newer_than_the_snapshot() {
        let mut kernel = DryRun::default();
        let mut newer = enforced();
        newer.blocks.values_mut().for_each(|entry| entry.strength = Strength::Soft);
        kernel.replace(NOW, &newer).unwrap();
        let loaded = into_kernel(&mut kernel, NOW, Snapshot { enforced: enforced(), damaged: 0 }).unwrap();
        assert_eq!(loaded.blocks, 0);
        assert_eq!(kernel.enforced(NOW).unwrap(), newer);
    }
}
