//! What can go wrong, and what the person can do about it.

use std::{io, path::PathBuf};

/// Why frames cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The process may not open packet sockets.
    #[error("cannot capture: this process lacks CAP_NET_RAW; run it as root, or give it the capability")]
    NoPermission,
    /// No interface of that name exists.
    #[error("there is no interface {name:?}; there are: {}", existing.join(", "))]
    UnknownInterface {
        /// What was asked for.
        name: String,
        /// The interfaces that exist.
        existing: Vec<String>,
    },
    /// There is nothing to capture on.
    #[error("no interface but loopback is up; name one, or bring one up")]
    NoInterface,
    /// The kernel did not say which interfaces exist.
    #[error("cannot list the interfaces")]
    Interfaces(#[source] io::Error),
    /// A system call on a packet socket failed.
    #[error("cannot {what} on interface {interface}: {source}")]
    Socket {
        /// The interface.
        interface: String,
        /// What was tried.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// Waiting for packets failed.
    #[error("cannot wait for packets: {0}")]
    Wait(#[source] io::Error),
    /// A file could not be opened.
    #[error("cannot open {}: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A file could not be read to its end.
    #[error("cannot read {} beyond byte {offset}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// How many (unpacked) bytes were read before.
        offset: u64,
        /// What went wrong.
        source: io::Error,
    },
    /// A file is no capture.
    #[error("{} is neither pcap nor pcapng; it looks like {looks_like}", path.display())]
    NotACapture {
        /// The file.
        path: PathBuf,
        /// What its first bytes look like.
        looks_like: String,
    },
    /// A file stops making sense.
    #[error("{} is damaged at byte {offset}: {what}; everything before it was read", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where, in (unpacked) bytes from its start.
        offset: u64,
        /// What makes no sense.
        what: String,
    },
}
