//! What stands in the way, and what a person can do about it.

use std::{io, time::Duration};

use thiserror::Error;

use crate::text;

/// So much of what others say is shown.
const SHOWN: usize = 200;

/// Why something did not go out.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Trouble {
    /// Nobody answers there.
    #[error("no connection: {0}")]
    Unreachable(String),
    /// The other side is not who it should be, or does not want us.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// The connection ended in the middle.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// The other side neither takes nor says anything.
    #[error("no sign of life for {} s", .0.as_secs())]
    Silent(Duration),
    /// The disk refuses.
    #[error("the file cannot be written: {0}")]
    File(String),
    /// The other side wants us to come back later.
    #[error("the other side is busy: it answers {status} {said}")]
    Busy {
        /// Its number for it.
        status: u16,
        /// The beginning of what it says.
        said: String,
        /// How long it wants to be left alone.
        after: Option<Duration>,
    },
    /// The other side does not want this message, today or tomorrow.
    #[error("the other side refuses: it answers {status} {said}")]
    Refused {
        /// Its number for it.
        status: u16,
        /// The beginning of what it says.
        said: String,
    },
    /// The other side sends us somewhere else.
    #[error("the other side redirects ({status}) to {host}, which is not followed")]
    Redirected {
        /// Its number for it.
        status: u16,
        /// The host that it names.
        host: String,
    },
    /// What was said is no answer.
    #[error("the answer makes no sense: {0}")]
    Nonsense(String),
    /// The message cannot be made.
    #[error("the message cannot be made: {0}")]
    Unsayable(String),
}

impl Trouble {
    /// What a person can do.
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => {
                "look whether the address is right, the service runs, and no firewall is between"
            }
            Self::Tls(_) => {
                "look whether the certificate names the configured host, and `ca_file` has its authority"
            }
            Self::Broken(_) => "look at the receiver's log: it closed the connection",
            Self::Silent(_) => "look whether the receiver is overloaded; what waits is sent when it is back",
            Self::File(_) => "make room on the disk, and let the program's user write there",
            Self::Busy { .. } => "nothing, unless it lasts: then send less, or ask who runs the receiver",
            Self::Refused { .. } => "look whether the address and the secret are right, and send a test",
            Self::Redirected { .. } => "configure the address that it redirects to, if it is the right one",
            Self::Nonsense(_) => "look whether the right service listens at this address and port",
            Self::Unsayable(_) => "look at the template and the addresses in the configuration",
        }
    }

    /// Whether the same message would fare no better later.
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Redirected { .. } | Self::Unsayable(_))
    }

    /// How long the other side wants to be left alone.
    pub(crate) const fn asked(&self) -> Option<Duration> {
        match self {
            Self::Busy { after, .. } => *after,
            _ => None,
        }
    }

    pub(crate) fn unreachable(error: &io::Error) -> Self {
        Self::Unreachable(said(&error.to_string()))
    }

    pub(crate) fn tls(error: &io::Error) -> Self {
        Self::Tls(said(&error.to_string()))
    }

    pub(crate) fn broken(error: &io::Error) -> Self {
        Self::Broken(said(&error.to_string()))
    }

    pub(crate) fn file(error: &io::Error) -> Self {
        Self::File(said(&error.to_string()))
    }
}

/// The beginning of what others say, harmless.
pub(crate) fn said(text: &str) -> String {
    text::shown(text.trim(), SHOWN)
}
