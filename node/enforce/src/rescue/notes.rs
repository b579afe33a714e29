//! What was done while the daemon was dead, for its return.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use smartfw_core::{IpNet, Time};

use crate::{EnforceError, files};

const FILE: &str = "rescue.jsonl";
const TAKEN: &str = "rescue.taken.jsonl";
/// About 5,000 notes: nobody types more while the daemon is dead.
const LIMIT: u64 = 1 << 20;

/// Something that a person did without the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// When.
    pub time: Time,
    /// What.
    pub action: Action,
    /// To whom; `None` for what concerns everybody.
    #[serde(default)]
    pub target: Option<IpNet>,
    /// For how many seconds; `None` for ever.
    #[serde(default)]
    pub duration: Option<u64>,
    /// Why, in the person's words.
    #[serde(default)]
    pub comment: String,
    /// Of an unblock: detection was wrong, and shall learn it.
    #[serde(default)]
    pub false_positive: bool,
}

/// What a person can do without the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Stop enforcing.
    Disable,
    /// Enforce again.
    Enable,
    /// Stop enforcing for a while.
    Panic,
    /// End the blocks of a target.
    Unblock,
    /// Never drop a target.
    Allow,
}

/// Notes that the daemon has taken over, until [`Taken::done`].
#[derive(Debug)]
pub struct Taken {
    /// In the order in which things were done.
    pub notes: Vec<Note>,
    /// Lines that could not be read.
    pub damaged: usize,
    /// How many of the notes, from the first on, [`Taken::done`] forgets; the others are given again.
    pub leaving: usize,
    /// Why the others cannot be moved to where they can be forgotten.
    pub stuck: Option<EnforceError>,
    path: PathBuf,
}

/// Takes over all notes. Until [`Taken::done`] says that they have been acted on, they are given again: those that a
/// read-only file system keeps where they are for ever, and in the same order.
///
/// # Errors
/// When the files cannot be read.
pub fn take_notes(state: &Path) -> Result<Taken, EnforceError> {
    let (path, fresh) = (state.join(TAKEN), state.join(FILE));
    // Renamed as a whole, so that no note falls between reading and removing. What cannot be moved is acted on all the
    // same, as is what comes while others are being acted on.
    let moved = if path.exists() { Ok(()) } else { fs::rename(&fresh, &path) };
    let stuck = moved.err().filter(|error| error.kind() != io::ErrorKind::NotFound);
    let stuck = stuck.map(EnforceError::file(&fresh));
    let (mut notes, damaged) = read(&path)?;
    let (others, damaged_others) = read(&fresh)?;
    let leaving = notes.len();
    notes.extend(others);
    Ok(Taken { notes, damaged: damaged + damaged_others, leaving, stuck, path })
}

/// The notes in a file, and how many lines are none.
fn read(path: &Path) -> Result<(Vec<Note>, usize), EnforceError> {
    let text = files::read(path)?.unwrap_or_default();
    let lines = || text.lines().filter(|line| !line.is_empty());
    let notes: Vec<Note> = lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let damaged = lines().count() - notes.len();
    Ok((notes, damaged))
}

impl Taken {
    /// They have been acted on and persisted: forget the first [`Taken::leaving`] of them.
    ///
    /// # Errors
    /// When the file cannot be removed; they are given again then.
    pub fn done(self) -> Result<(), EnforceError> {
        files::remove(&self.path)
    }
}

/// Writes down what was done, and waits for the disk.
pub(super) fn write(state: &Path, note: &Note) -> Result<(), EnforceError> {
    files::make_directory(state)?;
    let path = state.join(FILE);
    if fs::metadata(&path).is_ok_and(|metadata| metadata.len() >= LIMIT) {
        return Err(EnforceError::FileFull { path, limit: LIMIT });
    }
    let line = serde_json::to_string(note).unwrap_or_default();
    files::append(&path, &line)
}

#[cfg(test)]
mod tests {
    use std::{io::Write, os::unix::fs::PermissionsExt};

    use super::*;

    fn note(seconds: u64) -> Note {
        Note {
            time: Time::from_secs(seconds),
            action: Action::Unblock,
            target: Some("203.0.113.7/32".parse().unwrap()),
            duration: None,
            comment: "locked out".into(),
            false_positive: true,
        }
    }

    #[test]
    fn notes_are_given_until_they_have_been_acted_on() {
        let state = tempfile::tempdir().unwrap();
        write(state.path(), &note(1)).unwrap();
        assert_eq!(take_notes(state.path()).unwrap().notes, [note(1)]);
        write(state.path(), &note(2)).unwrap();
        let taken = take_notes(state.path()).unwrap();
        assert_eq!(taken.notes, [note(1), note(2)]);
        taken.done().unwrap();
        // What came while others were acted on is given again.
        let taken = take_notes(state.path()).unwrap();
        assert_eq!(taken.notes, [note(2)]);
        taken.done().unwrap();
        assert_eq!(take_notes(state.path()).unwrap().notes, []);
    }

    #[test]
    fn a_line_that_a_crash_cut_short_does_not_swallow_the_next() {
        let state = tempfile::tempdir().unwrap();
        write(state.path(), &note(1)).unwrap();
        let mut file = fs::OpenOptions::new().append(true).open(state.path().join(FILE)).unwrap();
        file.write_all(b"{\"time\":12").unwrap();
        write(state.path(), &note(2)).unwrap();
        let taken = take_notes(state.path()).unwrap();
        assert_eq!((taken.notes, taken.damaged), (vec![note(1), note(2)], 1));
    }

    #[test]
    fn notes_of_another_version_are_read_as_far_as_they_go() {
        let state = tempfile::tempdir().unwrap();
        let short = r#"{"time":1000000000,"action":"unblock","target":"203.0.113.7/32"}"#;
        let long = r#"{"time":1000000000,"action":"unblock","target":"203.0.113.7/32","weather":["rain"]}"#;
        fs::write(state.path().join(FILE), [short, long, ""].join("\n")).unwrap();
        let Taken { notes, damaged, .. } = take_notes(state.path()).unwrap();
        let plain = Note { comment: String::new(), false_positive: false, ..note(1) };
        assert_eq!((notes, damaged), (vec![plain.clone(), plain], 0));
    }

    #[test]
    fn only_root_may_read_the_notes_and_they_end_at_their_limit() {
        let state = tempfile::tempdir().unwrap();
        write(state.path(), &note(1)).unwrap();
        let path = state.path().join(FILE);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&path, vec![b'\n'; LIMIT as usize]).unwrap();
        assert!(matches!(write(state.path(), &note(2)), Err(EnforceError::FileFull { .. })));
    }
}
