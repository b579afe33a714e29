//! How a command can fail, and what a script sees of it.

use std::{io, path::Path};

use smartfw_core::order::Refusal;
use smartfw_proto::ConvertError;
use thiserror::Error;

/// Why a command did not do what was asked.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// It was refused or went wrong: one line says what, why, and what to do.
    #[error("{0}")]
    Failed(String),
    /// As `Failed`, and everything was said already.
    #[error("failed")]
    Silent,
    /// The daemon cannot be reached.
    #[error("{0}")]
    Unreachable(String),
    /// The daemon lives, but could not do it.
    #[error("{0}")]
    Broken(String),
    /// Nobody reads our output any more.
    #[error("nobody reads")]
    Hangup,
}

impl Failure {
    pub(crate) fn failed(text: impl Into<String>) -> Self {
        Self::Failed(text.into())
    }

    /// The daemon at `socket` does not answer.
    pub(crate) fn unreachable(socket: &Path, why: &str) -> Self {
        let socket = socket.display();
        Self::Unreachable(format!(
            "cannot reach the daemon at {socket}: {why}; is smartfw-node running? (systemctl status smartfw-node; \
             --socket PATH names another one)"
        ))
    }

    /// The same failure, with what it means for the rest.
    pub(crate) fn after(self, text: &str) -> Self {
        match self {
            Self::Failed(why) => Self::Failed(format!("{why}; {text}")),
            Self::Unreachable(why) => Self::Unreachable(format!("{why}; {text}")),
            Self::Broken(why) => Self::Broken(format!("{why}; {text}")),
            silent @ (Self::Silent | Self::Hangup) => silent,
        }
    }

    /// The exit code that `interface` promises to scripts.
    pub(crate) const fn code(&self) -> u8 {
        match self {
            Self::Failed(_) | Self::Broken(_) | Self::Silent => 1,
            Self::Unreachable(_) => 3,
            Self::Hangup => 0,
        }
    }

    /// What to say, on one line; `None` when nothing is left to say.
    pub(crate) fn line(&self) -> Option<String> {
        match self {
            Self::Silent | Self::Hangup => None,
            said => Some(said.to_string().split_whitespace().collect::<Vec<_>>().join(" ")),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Hangup,
            _ => Self::Failed(format!("cannot write: {error}")),
        }
    }
}

impl From<ConvertError> for Failure {
    fn from(error: ConvertError) -> Self {
        Self::Failed(format!("the daemon's answer cannot be read: {error}; are both of the same version?"))
    }
}

impl From<smartfw_enforce::EnforceError> for Failure {
    fn from(error: smartfw_enforce::EnforceError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// `what` was refused: why, and what to do.
pub(crate) fn refused(what: &str, refusal: &Refusal) -> Failure {
    Failure::Failed(format!("{what}: {refusal}{}", remedy(refusal)))
}

/// What to do about a target that names too much, after a semicolon.
pub(crate) const fn remedy_of_width(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Everything => "; name the addresses that you mean",
        Refusal::TooWide { .. } => "; name a narrower prefix, or say --force",
        _ => "",
    }
}

/// What to do about a refusal, after a semicolon.
pub(crate) fn remedy(refusal: &Refusal) -> &'static str {
    use smartfw_core::protect::Why;
    match refusal {
        Refusal::Protected { why: Why::AllowList, .. } => "; take it off the allow list first (allow remove)",
        Refusal::Protected { .. } => {
            "; with --force it is blocked for 60 s, and for longer once you `confirm`"
        }
        Refusal::Everything | Refusal::TooWide { .. } => remedy_of_width(refusal),
        Refusal::NotFound => "; look with `blocks --all`, `pending` or `allow list`",
        Refusal::Full { .. } => "; remove what is no longer needed, or raise the limit in the configuration",
        Refusal::Within { .. } => "; unblock all of it, or allow what you mean (allow add)",
        Refusal::NothingToConfirm => "; it has been confirmed, or has rolled back already",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_says_one_line_or_nothing() {
        let failure = Failure::failed("two\nlines\r\n of text");
        assert_eq!(failure.line().unwrap(), "two lines of text");
        assert!(Failure::Hangup.line().is_none() && Failure::Silent.line().is_none());
    }

    #[test]
    fn a_broken_pipe_is_no_failure() {
        assert_eq!(Failure::from(io::Error::from(io::ErrorKind::BrokenPipe)).code(), 0);
        assert_eq!(Failure::from(io::Error::from(io::ErrorKind::StorageFull)).code(), 1);
    }

    #[test]
    fn a_refusal_says_what_why_and_what_to_do() {
        let line = refused("10.0.0.0/8 is not blocked", &Refusal::TooWide { shortest: 16 }).line().unwrap();
        assert_eq!(line, "10.0.0.0/8 is not blocked: wider than /16; name a narrower prefix, or say --force");
    }
}
