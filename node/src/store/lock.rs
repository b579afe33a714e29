//! One daemon per state folder.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use nix::fcntl::{Flock, FlockArg};

/// Holds the state folder until dropped, or until the process dies however it dies.
#[derive(Debug)]
pub struct DirLock {
    _file: Flock<File>,
}

/// Why the state folder cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another daemon has it.
    #[error(
        "{path} belongs to a running smartfw-node (process {pid}); stop it, or choose another --state-dir"
    )]
    Taken {
        /// The folder.
        path: PathBuf,
        /// The other's process id.
        pid: String,
    },
    /// It cannot be created or written.
    #[error("cannot use the state folder {path}: {source}")]
    Unusable {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl DirLock {
    /// Takes the folder, creating it (0750) where it is missing.
    ///
    /// # Errors
    /// When another daemon has it, or it cannot be used.
    pub fn take(folder: &Path) -> Result<Self, LockError> {
        let unusable = |source| LockError::Unusable { path: folder.to_owned(), source };
        crate::files::private_dir(folder).map_err(unusable)?;
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false).mode(0o640);
        let file = options.open(folder.join("lock")).map_err(unusable)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut file) => {
                write_pid(&mut file).map_err(unusable)?;
                Ok(Self { _file: file })
            }
            Err((file, nix::errno::Errno::EWOULDBLOCK)) => Err(taken(folder, file)),
            Err((_, errno)) => Err(unusable(errno.into())),
        }
    }
}

/// A full disk must not keep the node from starting: the number is only for the message of whoever comes second.
fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    match writeln!(file, "{}", std::process::id()) {
        Err(error) if error.kind() == io::ErrorKind::StorageFull => Ok(()),
        result => result,
    }
}

fn taken(folder: &Path, file: File) -> LockError {
    let mut pid = String::new();
    let read = file.take(16).read_to_string(&mut pid);
    let known = read.is_ok() && pid.trim().parse::<u32>().is_ok();
    LockError::Taken {
        path: folder.to_owned(),
        pid: if known { pid.trim().to_owned() } else { "unknown".to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_has_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let first = DirLock::take(folder.path()).unwrap();
        let error = DirLock::take(folder.path()).unwrap_err().to_string();
        assert!(error.contains(&format!("(process {})", std::process::id())), "{error}");
        drop(first);
        DirLock::take(folder.path()).unwrap();
    }
}
