//! Folders and files that only root and the group may read.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
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

/// Replaces a file whole or not at all (mode 0600); on disk when this returns.
///
/// # Errors
/// When the disk refuses; what was there before is untouched.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let passing = path.with_file_name(name);
    let written = write_new(&passing, bytes).and_then(|()| fs::rename(&passing, path));
    if written.is_err() {
        let _ = fs::remove_file(&passing);
    }
    written?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Removes a file, which may be gone already, with its folder; on disk when this returns.
///
/// # Errors
/// When the disk refuses.
pub fn remove(path: &Path) -> io::Result<()> {
    let or_gone = |done: io::Result<()>| match done {
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    or_gone(fs::remove_file(path))?;
    path.parent().map_or(Ok(()), |folder| or_gone(File::open(folder).and_then(|folder| folder.sync_all())))
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
