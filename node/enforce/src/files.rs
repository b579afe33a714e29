//! Files that must survive a crash in the middle of being written.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use crate::EnforceError;

/// Only root may read what was blocked, and only root may say what is restored.
const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

/// Makes a directory and its parents, if they are not there.
pub(crate) fn make_directory(path: &Path) -> Result<(), EnforceError> {
    let made = fs::DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path);
    made.map_err(EnforceError::file(path))
}

/// Replaces a file as a whole: after a crash there is the old one or the new one.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<(), EnforceError> {
    let temporary = path.with_extension("new");
    let write = || {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(EnforceError::file(path))?;
    sync_parent(path)
}

/// Appends a line and waits for the disk.
pub(crate) fn append(path: &Path, line: &str) -> Result<(), EnforceError> {
    let write = || {
        let mut file = OpenOptions::new().append(true).create(true).mode(FILE_MODE).open(path)?;
        // The line break comes first as well: what a crash has cut short must not swallow this line.
        file.write_all(format!("\n{line}\n").as_bytes())?;
        file.sync_all()
    };
    write().map_err(EnforceError::file(path))?;
    sync_parent(path)
}

/// Removes a file, if it is there.
pub(crate) fn remove(path: &Path) -> Result<(), EnforceError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(EnforceError::file(path)(error)),
        _ => sync_parent(path),
    }
}

/// A file's content as text; `None` when there is no file. Bytes that are no text are replaced.
pub(crate) fn read(path: &Path) -> Result<Option<String>, EnforceError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(EnforceError::file(path)(error)),
    }
}

fn sync_parent(path: &Path) -> Result<(), EnforceError> {
    let Some(parent) = path.parent().filter(|parent| parent.is_dir()) else { return Ok(()) };
    File::open(parent).and_then(|directory| directory.sync_all()).map_err(EnforceError::file(parent))
}
