//! What the node must not forget: rows of bytes on disk, behind a trait. Nothing of sled leaves `sled.rs`.

mod backlog;
mod codec;
mod committer;
mod lock;
mod pack;
mod sled;

pub use backlog::{Backlog, most_rows};
pub use codec::{VERSION, decode, encode, row_key};
pub(crate) use committer::damaged;
pub use committer::{Committer, MANY_ROWS, OpenStore, Persistence};
pub use lock::{DirLock, LockError};
pub use sled::{Opened, SledStore};

/// A row's key.
pub type Key = Vec<u8>;

/// A row's value; `None` deletes it.
pub type Value = Option<Vec<u8>>;

/// Rows on disk.
pub trait Store: Send {
    /// Shows every row to `each`.
    ///
    /// # Errors
    /// When the disk refuses or what it holds is damaged; some rows may have been shown.
    fn load(&mut self, each: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), StoreError>;

    /// Writes rows; when it returns `Ok` they survive any crash.
    ///
    /// # Errors
    /// When the disk refuses; any part of the rows may have been written.
    fn commit(&mut self, rows: &[(Key, Value)]) -> Result<(), StoreError>;

    /// Lets go what counts no more. It may read everything: call it after much was written, when nothing waits.
    ///
    /// # Errors
    /// When the disk refuses; nothing that counts is lost.
    fn tidy(&mut self) -> Result<(), StoreError>;
}

/// Why rows could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk is full, read-only or gone; what is stored is as it was.
    #[error("the disk refuses: {0}")]
    Unavailable(String),
    /// Another program wrote it, or another version.
    #[error(
        "the cache at {path} cannot be used by this version: {why}; go back to the version that wrote it, or move the folder away: then only what the kernel holds is taken over"
    )]
    Foreign {
        /// The folder.
        path: std::path::PathBuf,
        /// What does not fit.
        why: String,
    },
    /// What is stored makes no sense.
    #[error("the cache is damaged: {0}")]
    Damaged(String),
    /// The folder may not be written by this user.
    #[error("{path}: {why}; run the node as root or give the folder to its user")]
    Forbidden {
        /// The folder.
        path: std::path::PathBuf,
        /// The system's reason.
        why: String,
    },
}
