//! Changes of what the fleet does, who asks for them, and why they may be refused.

use std::{net::IpAddr, time::Duration};

use ipnet::IpNet;
use serde::Serialize;

use crate::auth::Role;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// The user's or the token's name.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// From where.
    pub from: IpAddr,
}

/// A change of what the fleet does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Block a target.
    Block {
        /// What.
        target: IpNet,
        /// For how long; none: for ever.
        duration: Option<Duration>,
        /// Why.
        reason: String,
        /// Although it is wide or protected.
        force: bool,
    },
    /// End the blocks of a target.
    Unblock {
        /// What.
        target: IpNet,
        /// The block was a mistake: trust in who said it falls.
        false_positive: bool,
    },
    /// Never block a target.
    Allow {
        /// What.
        target: IpNet,
        /// For how long; none: for ever.
        duration: Option<Duration>,
        /// Why.
        comment: String,
    },
    /// Take a target off the allow list.
    Disallow {
        /// What.
        target: IpNet,
    },
    /// Believe a member's blocks, or no longer.
    Trust {
        /// Whose: its [`Node::id`].
        node: String,
        /// Whether they are believed.
        believed: bool,
    },
    /// Expel a member and void everything it ever said.
    Revoke {
        /// Whom: its [`Node::id`].
        node: String,
        /// Although members go with it whose certificates it signed.
        with_its_members: bool,
    },
    /// Declare that no honest node blocks a target.
    AddCanary {
        /// What.
        target: IpNet,
        /// Although it is more than one address.
        wide: bool,
        /// Although it ends blocks.
        yes: bool,
    },
    /// Take that back.
    RemoveCanary {
        /// What.
        target: IpNet,
    },
    /// Stop enforcing, everywhere, and resume by itself.
    Panic {
        /// For how long; at most [`LONGEST_PANIC`](crate::LONGEST_PANIC).
        duration: Duration,
    },
    /// End every panic of the fleet.
    Resume,
}

/// An order was given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ordered {
    /// Its id, where it has one.
    pub id: Option<String>,
    /// The id of the member that it is about, where it is about one.
    pub node: Option<String>,
    /// Members alive, who hear of it at once.
    pub members: u64,
}

/// What was refused, why, and what a person can do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {why}; {remedy}")]
pub struct Refusal {
    /// Of what sort it is.
    pub kind: Refused,
    /// What failed.
    pub what: String,
    /// Why.
    pub why: String,
    /// What to do.
    pub remedy: String,
}

/// Of what sort a refusal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It makes no sense: 422.
    Invalid,
    /// There is no such thing: 404.
    Missing,
    /// It contradicts how things are, such as a protected target or a missing certificate: 409.
    Conflict,
    /// It would work at another time: 503.
    Unavailable,
}
