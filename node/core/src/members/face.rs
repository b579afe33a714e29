//! What goes in and out.

use alloc::vec::Vec;
use core::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{Card, Member, MemberState};
#[cfg(doc)]
use super::{MAX_CHAIN, MAX_DATAGRAM};
use crate::{Time, fleet::NodeId};

/// Keys and certificates: Ed25519 in the shell, a keyed hash in the simulation.
pub trait Keys {
    /// This node's signature over `bytes`, which begin with a domain.
    fn sign(&self, bytes: &[u8]) -> [u8; 64];
    /// Whether `signer` signed `bytes`; false for those whose certificate is unknown, not valid or revoked.
    fn verify(&self, signer: &NodeId, bytes: &[u8], signature: &[u8; 64]) -> bool;
    /// Whether a valid certificate of `node` is known.
    fn knows(&self, node: &NodeId) -> bool;
    /// This node's own certificate with its signer's, at most [`MAX_CHAIN`] bytes.
    fn chain(&self) -> &[u8];
    /// Takes in a certificate chain: whether it makes `node` a member of this cluster.
    fn introduce(&mut self, now: Time, node: &NodeId, chain: &[u8]) -> bool;
}

/// The way of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// By UDP; when it arrives, the address says nothing about its sender.
    Datagram(SocketAddr),
    /// Inside an authenticated stream with this member, because UDP does not get through. Where there is none and none
    /// can be opened, the datagram is lost as others are.
    Stream(NodeId),
}

impl Path {
    /// With whom the stream is, where it is one.
    pub(super) const fn stream(&self) -> Option<NodeId> {
        match self {
            Self::Datagram(_) => None,
            Self::Stream(node) => Some(*node),
        }
    }
}

/// What the machine wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum MembersEffect {
    /// Send these bytes: signed, at most [`MAX_DATAGRAM`].
    Send(Path, Vec<u8>),
    /// A member is there.
    Up(Member),
    /// A member does not answer; it counts as alive until it is down.
    Suspect(NodeId),
    /// A member is dead, or has left: `state` says which.
    Down(Member),
    /// A living member's address or labels changed.
    Changed(Member),
    /// Keep this for the next start, in place of what was kept of the same member.
    Remember(Remembered),
    /// Keep nothing of this member any more.
    Forget(NodeId),
}

/// What is kept of a member over a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// The member.
    pub node: NodeId,
    /// Its signed record, as it travels.
    pub record: Vec<u8>,
    /// The last of its lives that was heard of: datagrams of earlier ones are refused.
    pub epoch: u64,
    /// Whether it was in the cluster.
    pub state: MemberState,
    /// Since when.
    pub since: Time,
}

/// Where and when a node begins.
#[derive(Clone, Debug)]
pub struct MembersConfig {
    /// This node.
    pub id: NodeId,
    /// What it says of itself.
    pub card: Card,
    /// Greater than at every start before: the clock in milliseconds, or the last one plus one where that is greater.
    pub boot: u64,
    /// Addresses to ask for members, where none are remembered.
    pub seeds: Vec<SocketAddr>,
}
