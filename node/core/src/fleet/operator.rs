//! What operators order the whole fleet to do.

use alloc::{string::String, vec::Vec};
use core::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{NodeId, Version};
use crate::{Class, Time};

/// An operator's order, decoded from a [`SignedOrder`](super::SignedOrder) whose signature was checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperatorOrder {
    /// Random: the same order carried by several members is one order.
    pub id: u128,
    /// The operator's name, from the certificate that signed.
    pub operator: String,
    /// When it was signed, by the operator's clock.
    pub issued: Time,
    /// What shall be done.
    pub kind: OrderKind,
}

/// What an operator may order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum OrderKind {
    /// Drop targets.
    Block {
        /// The targets; at most [`ORDER_TARGETS`](super::ORDER_TARGETS).
        targets: Vec<IpNet>,
        /// For how long; `None` for ever.
        duration: Option<Duration>,
        /// What for.
        class: Class,
        /// Why, in the operator's words; at most [`TEXT_BYTES`](super::TEXT_BYTES).
        reason: String,
        /// Also where a target is wide, but never what a node protects.
        force: bool,
    },
    /// Never drop a target.
    Allow {
        /// The target.
        target: IpNet,
        /// For how long; `None` until its id is disallowed.
        duration: Option<Duration>,
        /// Why, in the operator's words; at most [`TEXT_BYTES`](super::TEXT_BYTES).
        comment: String,
    },
    /// End blocks of a target.
    Unblock {
        /// The target.
        target: IpNet,
        /// The versions that are void; at most [`COVERED`](super::COVERED).
        covers: Vec<(NodeId, Version)>,
        /// The operators' blocks, by id, that are void; at most [`COVERED`](super::COVERED).
        orders: Vec<u128>,
        /// For how long new detection blocks of the target are held back.
        hold: Duration,
        /// Whether the blocks were mistakes: their origins are trusted less.
        false_positive: bool,
    },
    /// End an [`Allow`](Self::Allow).
    Disallow {
        /// Its id.
        id: u128,
    },
    /// Believe an origin's blocks, or no longer.
    Trust {
        /// Whose.
        node: NodeId,
        /// Whether they are believed.
        believed: bool,
    },
    /// Expel a member and void everything it ever said.
    Revoke {
        /// Whom.
        node: NodeId,
    },
    /// An address that no honest node blocks, or no longer.
    Canary {
        /// The address.
        target: IpNet,
        /// Whether it is one.
        watched: bool,
    },
}
