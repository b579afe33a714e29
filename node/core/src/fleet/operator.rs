//! What operators order the whole fleet to do.

use alloc::{string::String, vec::Vec};
use core::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{NodeId, Version};
use crate::{Class, Time};

/// An operator's order, decoded from a [`SignedOrder`](super::SignedOrder) whose signature was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorOrder {
    /// Random: the same order carried by several members is one order.
    pub id: u128,
    /// The operator's name, from the certificate that signed.
    pub operator: String,
    /// When it was signed, by the operator's clock.
    pub issued: Time,
    /// For how long it has to be remembered, where what it orders does not say so itself; `None` for ever.
    pub lasts: Option<Duration>,
    /// The site that alone it concerns: private addresses mean another host at another site.
    pub site: Option<String>,
    /// What shall be done.
    pub kind: OrderKind,
}

impl OperatorOrder {
    /// How long after it was signed it holds or is remembered; `None` for ever. Whoever carries it has no say in this.
    pub fn lasts(&self) -> Option<Duration> {
        match &self.kind {
            OrderKind::Block { duration, .. } | OrderKind::Allow { duration, .. } => *duration,
            OrderKind::Panic { duration } => Some((*duration).min(LONGEST_PANIC)),
            _ => self.lasts,
        }
    }
}

/// An order whose signature was checked, and who vouches for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedOrder {
    /// The order.
    pub order: OperatorOrder,
    /// The operator's key.
    pub signer: NodeId,
    /// Who made the operator's certificate.
    pub issuer: NodeId,
}

/// No panic of the fleet lasts longer, whoever signs it: what nobody ends must not leave a fleet without protection.
pub const LONGEST_PANIC: Duration = Duration::from_secs(24 * 3600);

/// What an operator may order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Stop enforcing, everywhere, and resume by itself.
    Panic {
        /// For how long after it was signed; at most [`LONGEST_PANIC`].
        duration: Duration,
    },
    /// End every panic that began before; what was switched off stays off.
    Resume,
}
