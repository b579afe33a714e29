//! Who says what in the fleet, as far as it must outlive the process.

use alloc::vec::Vec;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::net_key;
use crate::{
    Block, Time,
    fleet::{NodeId, Version},
};

/// Who says something in the fleet: for one target, what the same speaker says later replaces what it said before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Speaker {
    /// A member's detection.
    Member {
        /// The member.
        node: NodeId,
        /// Whether it says so to its site alone.
        site: bool,
    },
    /// An operator, by the order of this id.
    Order(u128),
    /// Somebody in another cluster, under whose root it is signed.
    Foreign {
        /// The cluster: the id of its root's key.
        cluster: NodeId,
        /// Who says so there.
        node: NodeId,
    },
}

impl Speaker {
    /// Against whose share of this node's room and quota it counts. However many speak there, another cluster is one:
    /// its root makes as many members as it likes.
    pub(crate) const fn charged(&self) -> Option<NodeId> {
        match self {
            Self::Member { node, .. } => Some(*node),
            Self::Foreign { cluster, .. } => Some(*cluster),
            Self::Order(_) => None,
        }
    }
}

/// What operators have said for and against a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trust {
    /// The member.
    pub node: NodeId,
    /// The orders that called its blocks mistakes, with the times when they were signed; the latest, bounded.
    pub blames: Vec<(Time, u128)>,
    /// Since when it is proven to block what no honest member blocks.
    pub proof: Option<Time>,
    /// The last order that said whether to believe it: signed when, which, and what.
    pub word: Option<(Time, u128, bool)>,
}

/// What of the fleet's word a person on this node ended, here alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overruled {
    /// The target.
    pub target: IpNet,
    /// Who had said so.
    pub speaker: Speaker,
    /// Up to which version, where a member had.
    pub upto: Version,
    /// How long it has to be remembered.
    pub until: Time,
}

/// The last that somebody in another cluster said of a target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ForeignWord {
    /// The target.
    pub target: IpNet,
    /// Who said so.
    pub speaker: Speaker,
    /// Under which version.
    pub version: Version,
    /// How long it has to be remembered, so that what comes late is not believed.
    pub until: Time,
    /// The block that stands on it; none where it was taken back, has ended or found no room.
    pub block: Option<Block>,
}

/// The key of what a speaker says of a target.
pub(super) fn word_key(target: &IpNet, speaker: &Speaker) -> Vec<u8> {
    let mut key = net_key(target);
    match speaker {
        Speaker::Member { node, site } => {
            key.extend_from_slice(&node.0);
            key.push(u8::from(*site));
        }
        Speaker::Order(id) => key.extend_from_slice(&id.to_be_bytes()),
        Speaker::Foreign { cluster, node } => {
            key.extend_from_slice(&cluster.0);
            key.extend_from_slice(&node.0);
        }
    }
    key
}
