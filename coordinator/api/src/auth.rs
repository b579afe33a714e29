//! Who somebody is, and what they may do.

mod accounts;
mod limiter;
mod name;
mod passwords;
mod role;
mod secret;
mod sessions;
mod stored;

pub(crate) use accounts::{AccountError, Accounts, UserView};
pub(crate) use limiter::{Limiter, neighbourhood};
pub(crate) use name::Name;
pub(crate) use passwords::{MOST_PASSWORD, PasswordError, Passwords, SHORTEST_PASSWORD};
pub use role::Role;
pub(crate) use secret::Secret;
pub(crate) use sessions::Sessions;

use std::net::IpAddr;

/// Who asks, and how that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Principal {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) via: Via,
    pub(crate) from: IpAddr,
}

/// How it is known who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    /// The session's id.
    Session([u8; 32]),
    /// The token's id.
    Token(String),
}
