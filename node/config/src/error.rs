//! What can be wrong with a configuration.

use std::{io, path::PathBuf};

use crate::{Place, raw::shortened};

/// What is wrong with the configuration, where, and what would be right. Nothing was applied.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is larger than any configuration.
    #[error("{path}: larger than {limit} bytes, which no configuration is")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// The file is not TOML.
    #[error("{place}: not valid TOML: {what}")]
    Syntax {
        /// Where.
        place: Place,
        /// The parser's word.
        what: String,
    },
    /// There is no such key.
    #[error("{place}: unknown key `{}`; did you mean `{nearest}`?", shortened(.key))]
    UnknownKey {
        /// Where.
        place: Place,
        /// The key, dotted.
        key: String,
        /// The known key that looks most like it.
        nearest: String,
    },
    /// The value has the wrong type, or is out of range.
    #[error("{place}: `{key}` must be {expected}, not {found}")]
    WrongValue {
        /// Where.
        place: Place,
        /// The key, dotted.
        key: String,
        /// What it must be, with its range.
        expected: String,
        /// What it is.
        found: String,
    },
    /// Two values contradict each other.
    #[error("{place}: `{key}` {what}")]
    Conflict {
        /// Where the first is written.
        place: Place,
        /// The first key, dotted.
        key: String,
        /// How it contradicts another.
        what: String,
    },
}
