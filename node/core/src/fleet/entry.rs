//! What an origin may say.

use alloc::{string::String, sync::Arc, vec::Vec};
use core::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::NodeId;
use crate::{Class, Detector, Evidence, Strength};

/// One thing that an origin says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Entry {
    /// The origin's detection blocks a target.
    Block(FleetBlock),
    /// The origin takes its own blocks of a target back: those with a lower version.
    Withdraw {
        /// The target.
        target: IpNet,
        /// How long it has to be remembered: what it takes back would have lasted, and an hour. `None` for ever.
        lasts: Option<Duration>,
    },
    /// An operator's order, which any member may carry.
    Order(SignedOrder),
    /// What a later version of the program says: kept and passed on, never applied.
    Unknown {
        /// Its kind on the wire.
        kind: u32,
        /// How long it has to be remembered. `None` for ever.
        lasts: Option<Duration>,
        /// What it says.
        bytes: Arc<[u8]>,
    },
    /// Who is logged in at the origin: nobody else blocks them meanwhile.
    Sessions {
        /// The remote ends of its authenticated sessions, at most [`SESSIONS`](super::SESSIONS).
        addresses: Vec<IpAddr>,
        /// How long they are protected.
        lasts: Option<Duration>,
    },
    /// Where a coordinator is: members report to it, and nobody blocks it.
    Coordinator {
        /// Whose certificate answers there.
        id: NodeId,
        /// Where it is reached.
        address: SocketAddr,
        /// How long this holds.
        lasts: Option<Duration>,
    },
}

/// The kinds of [`Entry`] that this version knows, as the wire numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum EntryKind {
    /// [`Entry::Block`].
    Block = 1,
    /// [`Entry::Withdraw`].
    Withdraw = 2,
    /// [`Entry::Order`].
    Order = 3,
    /// [`Entry::Sessions`].
    Sessions = 4,
    /// [`Entry::Coordinator`].
    Coordinator = 5,
}

impl Entry {
    /// How long it has to be remembered after it was issued; `None` for ever.
    pub const fn lasts(&self) -> Option<Duration> {
        match self {
            Self::Block(block) => block.duration,
            Self::Withdraw { lasts, .. }
            | Self::Unknown { lasts, .. }
            | Self::Sessions { lasts, .. }
            | Self::Coordinator { lasts, .. } => *lasts,
            Self::Order(order) => order.lasts,
        }
    }

    /// The same, to be remembered for `lasts`.
    pub(crate) fn lasting(&self, new: Option<Duration>) -> Self {
        let mut entry = self.clone();
        match &mut entry {
            Self::Block(block) => block.duration = new,
            Self::Withdraw { lasts, .. }
            | Self::Unknown { lasts, .. }
            | Self::Sessions { lasts, .. }
            | Self::Coordinator { lasts, .. } => *lasts = new,
            Self::Order(order) => order.lasts = new,
        }
        entry
    }

    /// What a later entry of the same origin replaces: the target of a block, or of its withdrawal.
    pub const fn target(&self) -> Option<IpNet> {
        match self {
            Self::Block(block) => Some(block.target),
            Self::Withdraw { target, .. } => Some(*target),
            Self::Order(_) | Self::Unknown { .. } | Self::Sessions { .. } | Self::Coordinator { .. } => None,
        }
    }

    /// At most how many bytes it is encoded: runs are cut by it before they are.
    pub fn weight(&self) -> usize {
        const FRAME: usize = 120;
        FRAME
            + match self {
                Self::Block(block) => block.reason.len(),
                Self::Withdraw { .. } | Self::Coordinator { .. } => 0,
                Self::Order(order) => order.bytes.len() + order.certificate.len(),
                Self::Unknown { bytes, .. } => bytes.len(),
                Self::Sessions { addresses, .. } => 18 * addresses.len(),
            }
    }
}

/// A block as its origin's detection made it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FleetBlock {
    /// Who is dropped.
    pub target: IpNet,
    /// What for.
    pub class: Class,
    /// How sure, 0 to 1.
    pub confidence: f32,
    /// How much is dropped.
    pub strength: Strength,
    /// Who found it.
    pub detector: Detector,
    /// What proves that the address is real.
    pub evidence: Option<Evidence>,
    /// Why, for a human being; at most [`TEXT_BYTES`](super::TEXT_BYTES).
    pub reason: String,
    /// How many times it has offended: 1 for the first block.
    pub level: u8,
    /// For how long, from when it was issued; `None` for ever.
    pub duration: Option<Duration>,
}

/// An operator's order as it was signed. The carrier can neither change it nor make it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedOrder {
    /// What was signed, verbatim: an encoded [`OperatorOrder`](super::OperatorOrder).
    pub bytes: Arc<[u8]>,
    /// The operator's signature over [`ORDER_DOMAIN`](super::ORDER_DOMAIN) and the bytes.
    #[serde(with = "signature")]
    pub signature: [u8; 64],
    /// The operator's certificate chain as it travels; at most [`CHAIN_BYTES`](super::CHAIN_BYTES).
    pub certificate: Arc<[u8]>,
    /// How long the carrier's log remembers it; `None` for ever. The carrier's word alone: how long the order holds is
    /// what the operator signed.
    pub lasts: Option<Duration>,
}

/// serde knows arrays up to 32.
mod signature {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &[u8; 64], to: S) -> Result<S::Ok, S::Error> {
        value.as_slice().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 64], D::Error> {
        let bytes = alloc::vec::Vec::<u8>::deserialize(from)?;
        bytes.try_into().map_err(|_| D::Error::custom("a signature has 64 bytes"))
    }
}
