//! Who is logged in by SSH, *after* authentication: a mere connection to port 22 proves nothing.
//!
//! Three witnesses, any of which suffices: the sshd processes and their sockets (works in containers and without any
//! records), logind's sessions, and the records of logins (utmp).

pub(crate) mod logind;
mod process;
mod scanner;
mod sessions;
pub(crate) mod table;
mod title;
pub(crate) mod utmp;

use std::net::IpAddr;

pub use scanner::Scanner;
pub use sessions::{GRACE, MAX_SESSIONS, Sessions};

/// An authenticated session.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Session {
    /// The remote end.
    pub address: IpAddr,
    /// Who logged in; for people, not for decisions.
    pub user: String,
}
