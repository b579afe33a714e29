//! Files that only their owner may read.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

/// Creates a folder (0750) and its parents where they are missing.
pub(crate) fn private_dir(path: &Path) -> io::Result<()> {
    if path.is_dir() { Ok(()) } else { DirBuilder::new().recursive(true).mode(0o750).create(path) }
}

/// Replaces a file whole or not at all (mode 0600); on disk when this returns.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let passing = path.with_extension("new");
    let written = write_new(&passing, bytes).and_then(|()| fs::rename(&passing, path));
    if written.is_err() {
        let _ = fs::remove_file(&passing); // it holds half of what nobody shall read
    }
    written?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
