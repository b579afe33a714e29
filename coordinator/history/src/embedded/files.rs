//! The folder of a history: what is in it, who has it, and how a file comes into it whole.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use nix::fcntl::{Flock, FlockArg};

use super::{disk, segment::Segment};
use crate::HistoryError;

/// The ending of a segment's name.
pub(super) const SEGMENT: &str = "segment";

/// The ending of a journal's name.
pub(super) const JOURNAL: &str = "journal";

/// The ending of what is not whole yet.
const UNFINISHED: &str = "unfinished";

/// What is in a folder.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The segments, by number.
    pub(super) segments: BTreeMap<u64, Arc<Segment>>,
    /// The numbers of the journals: one, or two when the machine died while one took the other's place.
    pub(super) journals: BTreeSet<u64>,
}

/// Makes the folder if it is not there, and sees to it that it is there after a power cut too.
///
/// # Errors
/// When the disk refuses.
pub(super) fn create(folder: &Path) -> Result<(), HistoryError> {
    let missing: Vec<&Path> = folder.ancestors().take_while(|path| !path.exists()).collect();
    let created = fs::create_dir_all(folder);
    let mut parents = missing.iter().filter_map(|path| path.parent());
    let parent = |path: &Path| if path.as_os_str().is_empty() { Path::new(".") } else { path }.to_owned();
    let lasting = created.and_then(|()| parents.try_for_each(|path| File::open(parent(path))?.sync_all()));
    lasting.map_err(|error| disk(folder, &error))
}

/// Takes the folder for this process.
///
/// # Errors
/// When somebody else has it.
pub(super) fn lock(folder: &Path) -> Result<Flock<File>, HistoryError> {
    let path = folder.join("lock");
    let file = File::create(&path).map_err(|error| disk(&path, &error))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
        nix::errno::Errno::EWOULDBLOCK => HistoryError::Taken { path: folder.to_owned() },
        errno => disk(&path, &errno.into()),
    })
}

/// Looks what is there. What was being written when the machine died is removed: nothing in it was acknowledged that is
/// not elsewhere.
///
/// # Errors
/// When the disk refuses or a segment is damaged.
pub(super) fn find(folder: &Path) -> Result<Found, HistoryError> {
    let mut found = Found::default();
    for entry in fs::read_dir(folder).map_err(|error| disk(folder, &error))? {
        let path = entry.map_err(|error| disk(folder, &error))?.path();
        let ending = path.extension().and_then(|ending| ending.to_str());
        let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
        match (ending, number) {
            (Some(UNFINISHED), _) => fs::remove_file(&path).map_err(|error| disk(&path, &error))?,
            (Some(SEGMENT), Some(number)) => {
                found.segments.insert(number, Arc::new(Segment::find(&path)?));
            }
            (Some(JOURNAL), Some(number)) => {
                found.journals.insert(number);
            }
            _ => (),
        }
    }
    Ok(found)
}

/// Removes journals of which another has taken the place.
///
/// # Errors
/// When the disk refuses.
pub(super) fn remove_journals<'a>(
    folder: &Path,
    mut numbers: impl Iterator<Item = &'a u64>,
) -> Result<(), HistoryError> {
    numbers.try_for_each(|number| {
        let path = path(folder, *number, JOURNAL);
        fs::remove_file(&path).map_err(|error| disk(&path, &error))
    })
}

/// The path of a file with this number.
pub(super) fn path(folder: &Path, number: u64, ending: &str) -> PathBuf {
    folder.join(format!("{number:010}.{ending}"))
}

/// Has a file written under another name, which it changes when everything is on disk.
///
/// # Errors
/// When the disk refuses; then there is no such file, or the one before.
pub(super) fn publish(path: &Path, write: impl FnOnce(File) -> io::Result<File>) -> io::Result<File> {
    let passing = path.with_extension(UNFINISHED);
    let file = write(File::create(&passing)?)?;
    file.sync_all()?;
    fs::rename(&passing, path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())?;
    Ok(file)
}
