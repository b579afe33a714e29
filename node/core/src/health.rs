//! What is not as it should be, and what a person can do about it.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::class::named;

/// Something to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// How bad.
    pub level: HealthLevel,
    /// What is wrong.
    pub what: String,
    /// What a person can do: the `do` of `status`.
    pub remedy: String,
}

named! {
    /// How bad.
    HealthLevel {
        /// As intended, but worth knowing.
        Info = "info",
        /// Something works less well than it should.
        Warn = "warn",
        /// Something does not work.
        Error = "error",
    }
}
