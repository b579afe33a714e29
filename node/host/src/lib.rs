//! What this host is, and who must never be locked out of it.
//!
//! [`observe`] looks once, [`Watcher`] whenever something changed. No name is ever asked for, every file is read with a
//! limit, and what cannot be understood says nothing. [`login`] follows what sshd itself says of logins.

pub mod login;
pub mod net;
mod observe;
mod read;
mod sources;
mod ssh;
#[cfg(test)]
mod testing;
mod watch;

pub use observe::{HostConfig, Observed, observe};
pub use ssh::{GRACE, MAX_SESSIONS, Scanner, Session, Sessions};
pub use watch::Watcher;
