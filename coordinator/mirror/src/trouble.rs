//! What can go wrong between us and the database, and what to do about it.

use std::time::Duration;

use thiserror::Error;

/// Why the mirror stands still. Nothing of it loses what waits in the outbox.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Trouble {
    /// No connection, or it broke.
    #[error("the database cannot be reached: {0}")]
    Unreachable(String),
    /// No answer in time.
    #[error("the database does not answer in time")]
    Silent,
    /// It has no time for us (429, 5xx, 412).
    #[error("the database is busy: it answers {status}")]
    Busy {
        /// The answer's status.
        status: u16,
        /// How long it wants to be left alone.
        after: Option<Duration>,
    },
    /// It does not take our credentials (401, 403, auth_revoked).
    #[error("the database does not take the credentials: it answers {0}")]
    Unauthorised(String),
    /// No token was to be had.
    #[error("no access token: {0}")]
    Token(String),
    /// It does not take what we say.
    #[error("the database refuses what it is sent: it answers {status}, {said}")]
    Refused {
        /// The answer's status.
        status: u16,
        /// The beginning of what it said.
        said: String,
    },
    /// It sends us where our credentials must not go.
    #[error("the database redirects to {0}, which is neither it nor a host of Firebase: refused")]
    ForeignRedirect(String),
    /// It sends us round in circles.
    #[error("the database redirects again and again")]
    Redirects,
    /// More than we read.
    #[error("the database sends more than {most} bytes as {what}")]
    TooLong {
        /// What was too long.
        what: &'static str,
        /// The limit.
        most: usize,
    },
    /// It answers, but not as the documentation says.
    #[error("the database answers what makes no sense: {0}")]
    Nonsense(String),
    /// The database no longer lets us read.
    #[error("the database cancelled the stream: it no longer lets us read there")]
    Cancelled,
    /// Our own outbox.
    #[error("{0}")]
    Outbox(String),
}

impl Trouble {
    /// What a person can do about it.
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Unreachable(_) | Self::Silent => {
                "check the network, the database's address, and that ca-certificates is installed; nothing is lost meanwhile"
            }
            Self::Busy { .. } => "wait; if it stays, look at the database's quota in the Firebase console",
            Self::Unauthorised(_) => {
                "check the service account's key or the secret, its rights on the database, and this machine's clock"
            }
            Self::Token(_) => "check the service account's key file, and this machine's clock and network",
            Self::Refused { .. } => "check the database's address, and its limits in the Firebase console",
            Self::ForeignRedirect(_) | Self::Redirects => {
                "check the database's address in the Firebase console; it may have moved to another region"
            }
            Self::TooLong { .. } | Self::Nonsense(_) => {
                "check who else writes to the database, and that the address is that of a Firebase Realtime Database"
            }
            Self::Cancelled => {
                "check that the secret or the service account is still good: the database's rules do not bind them, and granting a right in the rules changes nothing"
            }
            Self::Outbox(_) => "free space in the state folder",
        }
    }

    /// How long the other side wants to be left alone.
    pub(crate) const fn asked_wait(&self) -> Option<Duration> {
        match self {
            Self::Busy { after, .. } => *after,
            _ => None,
        }
    }
}

impl From<reqwest::Error> for Trouble {
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() { Self::Silent } else { Self::Unreachable(innermost(error)) }
    }
}

/// The cause that says most. Without the address: a database secret is part of it.
fn innermost(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
