//! This node's part in a fleet: streams and datagrams to the other members, and what of it reaches the driver.
//!
//! ```text
//! tls::Net -> Peer service | dialler -> streams -> verify -> inbox -> driver thread: Brain (Gossip, Members, Sums) + Agent
//!                                       streams <- outboxes (bounded) <- Send             |
//!                                                                disk <- Persist <--------+
//! ```
//! A node without `<state>/identity` has none of this: no thread, no socket, no cost.

mod announcing;
pub(crate) mod asked;
pub mod beside;
mod brain;
mod codec;
mod control;
pub(crate) mod coordinators;
mod datagrams;
mod dial;
mod handle;
pub mod joining;
mod keys;
mod links;
mod network;
mod place;
pub mod rows;
mod service;
mod sessions;
mod spread;
mod stats;
mod stream;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use smartfw_core::{
    Agent, IpNet, Time,
    agent::Foreigner,
    fleet::{FleetBlock, NodeId, SignedOrder, VerifiedRun, Version},
    gossip::Message,
    protect::ProtectedSet,
    sensor::Weak,
    sums::SumsMessage,
};
use smartfw_identity::{Current, Judge, Revocations, tls::Peer};
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};

use crate::{
    counters::Counters,
    health::{Health, Level, Matter},
    mirror::Mouth,
};
pub use brain::{Brain, Named};
pub use codec::PeerCodec;
pub use control::{Control, State};
pub(crate) use handle::give;
pub use handle::{FleetBlockView, FleetBlocks, FleetHandle, FleetRefused, FleetStatus, MemberView};
pub use place::{FOLDER, Reach, ReachError, is_identity};
pub use stats::FleetCounters;

/// Who waits for something to be done.
pub type Reply = oneshot::Sender<Result<(), FleetRefused>>;

/// Who is in the fleet, or why an announcement is not taken.
pub type Announced = Result<Vec<smartfw_proto::convert::FleetMember>, String>;

/// A question to the driver about the fleet.
pub type Question = Box<dyn FnOnce(&Agent, Option<&Brain>, Time) + Send>;

/// What reaches the driver of the fleet. Whoever sends faster than it is handled waits for its permit.
pub enum Input {
    /// A stream with a member is open.
    Connected(Box<Peer>, OwnedSemaphorePermit),
    /// It is closed.
    Disconnected(NodeId),
    /// A member says something; the signatures of all runs hold.
    Message(NodeId, Box<Message<VerifiedRun>>, OwnedSemaphorePermit),
    /// Datagrams have come.
    Datagrams(Vec<datagrams::Datagram>),
    /// A datagram has come over a member's stream.
    Passed(NodeId, Vec<u8>, OwnedSemaphorePermit),
    /// A member tells what adds up.
    Sums(NodeId, Box<SumsMessage>, OwnedSemaphorePermit),
    /// What our own host protects.
    Protected(ProtectedSet),
    /// Our own sensor has seen what adds up.
    Weak(Vec<Weak>),
    /// Sources that are regular guests here.
    Regulars(Vec<std::net::IpAddr>),
    /// Our certificate was renewed.
    Renewed,
    /// Somebody was expelled.
    Revoked,
    /// An operator's order, to be said to the fleet.
    Order(Box<SignedOrder>, Reply),
    /// A coordinator says where it is; it is answered with who is in the fleet.
    Announced(NodeId, SocketAddr, oneshot::Sender<Announced>),
    /// Take part from now on.
    Enter(Box<Opening>, Reply),
    /// Say good-bye, and take part no more.
    Leave(Reply),
    /// The other clusters whose roots are believed, by the ids of these.
    Foreigners(BTreeMap<NodeId, String>),
    /// Somebody in another cluster says something; all signatures hold. Answered with the words that are dated ahead of the
    /// cluster's time, and not taken.
    Foreign(Vec<ForeignWord>, oneshot::Sender<Vec<ForeignWord>>),
    /// A question.
    Ask(Question),
}

/// What somebody in another cluster signed.
#[derive(Clone, Debug, PartialEq)]
pub struct ForeignWord {
    /// Who.
    pub from: Arc<Foreigner>,
    /// Under which version: of one target the highest of a key holds.
    pub version: Version,
    /// When it was signed, by the signer's clock.
    pub issued: Time,
    /// For how long from then; `None` for ever.
    pub lasts: Option<Duration>,
    /// What.
    pub says: ForeignSays,
}

/// What another cluster may say.
#[derive(Clone, Debug, PartialEq)]
pub enum ForeignSays {
    /// Drop a target.
    Block(Box<FleetBlock>),
    /// What the same key said of the target is over.
    Withdraw(IpNet),
}

/// What the driver's part needs to begin.
pub struct Opening {
    cluster: String,
    current: Current,
    revocations: Arc<Revocations>,
    judge: Arc<Judge<PeerCodec>>,
    links: Arc<links::Links>,
    udp: network::Udp,
    address: SocketAddr,
    seeds: Vec<SocketAddr>,
    epoch: Arc<AtomicU64>,
    places: watch::Sender<coordinators::Places>,
    counters: Arc<Counters>,
    health: Arc<Health>,
    mouth: Mouth,
}

/// Shows that something is wrong with the fleet; the node itself guards as it did.
pub(crate) fn trouble(health: &Health, what: impl Into<String>, remedy: &str) {
    health.set(Matter::Fleet, Level::Error, what, remedy);
}

#[cfg(test)]
mod tests;
