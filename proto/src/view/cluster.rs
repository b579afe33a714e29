//! What the daemon tells of its cluster.

use std::{fmt, net::IpAddr, time::Duration};

use smartfw_core::{
    Class, IpNet, Time, Withheld,
    fleet::{NodeId, OperatorOrder, SignedOrder, Version},
    members::MemberState,
};

/// A cluster to be founded.
#[derive(Clone, PartialEq, Eq)]
pub struct Founding {
    /// What it is called.
    pub cluster: String,
    /// The site of its first signer.
    pub site: String,
    /// The first operator's name.
    pub operator: String,
    /// Where peers reach the node: ADDR:PORT.
    pub advertise: String,
    /// For the root's export.
    pub passphrase: String,
}

/// A cluster that was founded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Founded {
    /// What it is called.
    pub cluster: String,
    /// Its first signer.
    pub node: NodeId,
    /// What that is called.
    pub name: String,
    /// The root, its key under the passphrase.
    pub root: String,
    /// The SHA-256 of the root's certificate.
    pub fingerprint: [u8; 32],
    /// The first operator.
    pub operator: OperatorKey,
}

/// An operator's identity, on its way to the operator's home.
#[derive(Clone, PartialEq, Eq)]
pub struct OperatorKey {
    /// The private key, PKCS#8.
    pub key: Vec<u8>,
    /// Its certificates, as chains travel.
    pub chain: Vec<u8>,
    /// The root's certificate, DER.
    pub root: Vec<u8>,
}

/// Who shall be invited.
#[derive(Clone, PartialEq, Eq)]
pub struct Invite {
    /// How long the token holds.
    pub lasts: Duration,
    /// The site of who joins; else the signer's.
    pub site: Option<String>,
    /// What it becomes.
    pub role: String,
    /// The name that it takes over.
    pub replace: Option<String>,
    /// The exported root and its passphrase: for a signer.
    pub root: Option<(String, String)>,
}

/// An invitation.
#[derive(Clone, PartialEq, Eq)]
pub struct Invited {
    /// The token: a secret.
    pub token: String,
    /// Until when.
    pub expires: Time,
    /// Where it is redeemed.
    pub address: String,
}

/// A cluster to be joined.
#[derive(Clone, PartialEq, Eq)]
pub struct Entering {
    /// The signer: HOST:PORT.
    pub address: String,
    /// Its token.
    pub token: String,
    /// Where peers reach this node, if not at the address that the signer sees.
    pub advertise: Option<String>,
    /// Another name than the node's.
    pub name: Option<String>,
}

/// A cluster that was joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entered {
    /// What it is called.
    pub cluster: String,
    /// The site.
    pub site: String,
    /// What the node is called in it.
    pub name: String,
    /// What it is in it.
    pub role: String,
    /// Who it is.
    pub node: NodeId,
    /// Members known so far, this node among them.
    pub members: u32,
    /// How far the signer's clock is ahead, nanoseconds; negative: behind.
    pub ahead: i64,
}

/// A member, as the node that answers sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterNode {
    /// What it is called.
    pub name: String,
    /// Who it is; `None` without a cluster.
    pub id: Option<NodeId>,
    /// Where it is, where that is known.
    pub address: Option<String>,
    /// How it is.
    pub state: MemberState,
    /// Its program's version.
    pub version: String,
    /// Its blocks that are held here.
    pub blocks: u64,
    /// Those of them that are not enforced here on its word.
    pub withheld: u64,
    /// How far it is believed, 0 to 1.
    pub trust: f32,
    /// Whether its blocks may be enforced.
    pub believed: bool,
    /// How long a datagram to it and back takes, where it was measured.
    pub round_trip: Option<Duration>,
    /// When its certificate ends.
    pub certificate_expires: Option<Time>,
    /// Its site; empty without a cluster.
    pub site: String,
    /// Whether it is the node that answers.
    pub me: bool,
    /// What its certificate lets it do, where that is known.
    pub role: Option<String>,
    /// Who signed its certificate, where that is known; signers name themselves.
    pub signer: Option<NodeId>,
}

/// Which blocks of the fleet are meant; neither: all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FleetBlockFilter {
    /// Only what this member or operator says.
    pub origin: Option<String>,
    /// Only what drops this address.
    pub covering: Option<IpAddr>,
}

/// A block of the fleet.
#[derive(Clone, Debug, PartialEq)]
pub struct FleetBlockRow {
    /// Who is dropped.
    pub target: IpNet,
    /// What for.
    pub class: Class,
    /// The member or operator whose word it is.
    pub origin: String,
    /// The member; `None`: an operator.
    pub origin_id: Option<NodeId>,
    /// Others that say the same.
    pub confirmed_by: Vec<String>,
    /// The members whose kernel drops it, as far as is known here.
    pub enforced_on: Vec<String>,
    /// Since when.
    pub since: Time,
    /// Until when; `None` for ever.
    pub expires: Option<Time>,
    /// From decision to the receiver's word that its kernel drops: of what the node that answers said itself.
    pub propagation: Vec<(String, Duration)>,
    /// Why the node that answers does not enforce it.
    pub withheld: Option<Withheld>,
}

/// An operator's order that is not over; of a block's targets the first.
#[derive(Clone, Debug, PartialEq)]
pub struct StandingOrder {
    /// The order.
    pub order: OperatorOrder,
    /// How many targets it has.
    pub targets: u64,
    /// Until when it holds, or is remembered; `None` for ever.
    pub expires: Option<Time>,
}

/// What an order to unblock a target has to name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Covers {
    /// What members said.
    pub covers: Vec<(NodeId, Version)>,
    /// What operators said, by id.
    pub orders: Vec<u128>,
    /// How long the longest of them still lasts; `None` for ever.
    pub lasts: Option<Duration>,
    /// The first [`crate::limits::ENDED`] targets of which something ends.
    pub targets: Vec<IpNet>,
    /// How many, of those that were looked at.
    pub total: u64,
    /// Whether there is more to be named than this.
    pub more: bool,
}

/// Operators' orders for the fleet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// The orders; at most [`crate::limits::ORDERS`].
    pub orders: Vec<SignedOrder>,
    /// Revocations, as they travel.
    pub revocations: Vec<Vec<u8>>,
}

/// Secrets are not for logs.
macro_rules! secret {
    ($($name:ident),+) => { $(impl fmt::Debug for $name {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(concat!(stringify!($name), "(secret)"))
        }
    })+ };
}

secret!(Founding, OperatorKey, Invite, Invited, Entering);
