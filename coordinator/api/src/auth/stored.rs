//! Accounts as they lie in the state folder.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Role, name::Name, passwords::Hashed};

/// The version of the file that this program reads and writes.
pub(crate) const FORMAT: u32 = 1;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stored {
    pub(crate) format: u32,
    pub(crate) users: BTreeMap<Name, User>,
    /// By the token's id.
    pub(crate) tokens: BTreeMap<String, Token>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct User {
    pub(crate) role: Role,
    pub(crate) password: Hashed,
    /// Seconds since 1970.
    pub(crate) created: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Token {
    pub(crate) name: Name,
    pub(crate) role: Role,
    /// Of the token, in hex.
    pub(crate) sha256: String,
    /// Seconds since 1970.
    pub(crate) created: i64,
    /// Seconds since 1970; none: never.
    pub(crate) expires: Option<i64>,
    /// Who made it.
    pub(crate) by: String,
}

impl Token {
    pub(crate) fn holds(&self, now: i64) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }
}

impl Default for Stored {
    fn default() -> Self {
        Self { format: FORMAT, users: BTreeMap::new(), tokens: BTreeMap::new() }
    }
}
