//! Folders and files that only root and the group may read.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::Path,
};

/// Creates a folder (0750) and its parents where they are missing.
///
/// # Errors
/// When it cannot be created, or is something else than a folder.
pub fn private_dir(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(io::Error::new(io::ErrorKind::NotADirectory, "is not a folder")),
        Err(_) => DirBuilder::new().recursive(true).mode(0o750).create(path),
    }
}
