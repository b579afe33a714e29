//! Files that hold secrets: written whole or not at all, readable by their owner alone.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use thiserror::Error;
use zeroize::Zeroizing;

/// The largest file of an identity: a revocation set at its limit is the largest.
pub const FILE_BYTES: u64 = 64 << 20;

/// A file of the identity could not be read or written.
#[derive(Debug, Error)]
pub enum FileError {
    /// It is not there.
    #[error("{0} is missing: this node has no identity yet; make a cluster with `cluster init` or join one")]
    Missing(PathBuf),
    /// Others could read or change it.
    #[error(
        "{path} has mode {mode:o}: others could read it; run `chmod 600 {path}` and consider the key known"
    )]
    Loose {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to somebody else.
    #[error("{path} belongs to user {owner}, not to the user that runs this program: run `chown` on it")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// It is longer than anything that we write.
    #[error("{0} is longer than {FILE_BYTES} bytes: it is none of ours; restore it from a backup")]
    TooLong(PathBuf),
    /// It is not what its name says.
    #[error("{path} cannot be read as {what}: {why}; restore it from a backup")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// What is wrong.
        why: String,
    },
    /// The system refused.
    #[error("cannot {doing} {path}: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
}

impl FileError {
    pub(crate) fn malformed(path: &Path, what: &'static str, why: impl ToString) -> Self {
        Self::Malformed { path: path.into(), what, why: why.to_string() }
    }
}

/// Reads a secret: refused unless it is ours alone.
///
/// # Errors
/// When it is missing, readable by others, or too long.
pub(crate) fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let file = open(path)?;
    let seen = file.metadata().map_err(failed("look at", path))?;
    let mode = seen.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(FileError::Loose { path: path.into(), mode });
    }
    let me = nix::unistd::geteuid().as_raw();
    // Root may use what belongs to another, as `sudo` does with an operator's key.
    if me != 0 && seen.uid() != me {
        return Err(FileError::Foreign { path: path.into(), owner: seen.uid() });
    }
    read_open(file, path).map(Zeroizing::new)
}

/// Reads what is no secret.
///
/// # Errors
/// When it is missing or too long.
pub(crate) fn read_public(path: &Path) -> Result<Vec<u8>, FileError> {
    read_open(open(path)?, path)
}

/// Writes a file whole or not at all, with mode 0600, in a folder with mode 0700; on disk when this returns.
///
/// # Errors
/// When the system refuses; what was there before is untouched.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed("create", folder))?;
    let passing = beside(path);
    let written = write_new(&passing, bytes).and_then(|()| fs::rename(&passing, path));
    if written.is_err() {
        let _ = fs::remove_file(&passing);
    }
    written.map_err(failed("write", path))?;
    File::open(folder).and_then(|f| f.sync_all()).map_err(failed("flush", folder))
}

/// A name that no other writer of this machine uses at the same time.
fn beside(path: &Path) -> PathBuf {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}-{}.new", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    path.with_file_name(name)
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let _ = fs::remove_file(path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn open(path: &Path) -> Result<File, FileError> {
    let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
    match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Err(FileError::Missing(path.into())),
        other => other.map_err(failed("open", path)),
    }
}

fn read_open(file: File, path: &Path) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    file.take(FILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed("read", path))?;
    if bytes.len() as u64 > FILE_BYTES { Err(FileError::TooLong(path.into())) } else { Ok(bytes) }
}

pub(crate) fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_path_buf();
    move |source| FileError::Io { doing, path, source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_is_written_for_its_owner_alone_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity/key.pem");
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
        assert_eq!(read_secret(&path).unwrap().as_slice(), b"two");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_secret_with_loosened_permissions_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.pem");
        write(&path, b"secret").unwrap();
        for mode in [0o640, 0o604, 0o620, 0o666, 0o644] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(matches!(read_secret(&path), Err(FileError::Loose { mode: m, .. }) if m == mode));
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        assert!(read_secret(&path).is_ok());
    }

    #[test]
    fn a_link_in_the_place_of_a_secret_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        write(&real, b"secret").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        assert!(matches!(read_secret(&link), Err(FileError::Io { .. })));
        assert!(matches!(read_secret(&dir.path().join("none")), Err(FileError::Missing(_))));
    }
}
