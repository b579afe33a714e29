//! Whose task a source is.

use alloc::vec::Vec;
use core::{hash::Hasher, net::IpAddr};

use siphasher::sip::SipHasher13;

use super::campaign::Failing;
use crate::{fleet::NodeId, prefix, sensor::LoginKind};

/// Two, so that the end of one forgets nothing, and one that lies hides nothing.
const OWNERS: usize = 2;

/// The members, and hashes that are the same on all of them. Its key is no secret among them: who attacks does not know
/// the cluster's name and the members' keys, and could only choose which of them add up.
#[derive(Debug)]
pub(super) struct Ring {
    key: (u64, u64),
    me: NodeId,
    members: Vec<NodeId>,
}

impl Ring {
    pub(super) fn new(cluster: &str, me: NodeId) -> Self {
        let half = |salt| {
            let mut hasher = SipHasher13::new_with_keys(salt, 0x736d_6172_7466_7773);
            hasher.write(cluster.as_bytes());
            hasher.finish()
        };
        Self { key: (half(1), half(2)), me, members: alloc::vec![me] }
    }

    /// Whether that is another ring.
    pub(super) fn set_members(&mut self, alive: impl Iterator<Item = NodeId>) -> bool {
        let mut members: Vec<_> = alive.chain([self.me]).collect();
        members.sort_unstable();
        members.dedup();
        let changed = members != self.members;
        self.members = members;
        changed
    }

    pub(super) fn contains(&self, node: &NodeId) -> bool {
        self.members.binary_search(node).is_ok()
    }

    pub(super) fn members(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.members.iter().copied()
    }

    /// The owners of a source: those with the highest hash of themselves and the source (Thaler, Ravishankar 1998).
    pub(super) fn owners_of(&self, source: IpAddr) -> Vec<NodeId> {
        self.highest(bits(source))
    }

    pub(super) fn owners_of_campaign(&self, kind: LoginKind) -> Vec<NodeId> {
        self.highest(u128::MAX - kind as u128)
    }

    /// A port of a host, as a number that says no more.
    pub(super) fn probe(&self, host: IpAddr, port: u16) -> u32 {
        self.hash(|hasher| {
            hasher.write_u128(bits(host));
            hasher.write_u16(port);
        }) as u32
    }

    /// Where a source is marked among those that fail.
    pub(super) fn spread(&self, source: IpAddr) -> usize {
        self.hash(|hasher| hasher.write_u128(bits(source))) as usize % (size_of::<Failing>() * 8)
    }

    fn highest(&self, what: u128) -> Vec<NodeId> {
        let mut best: Vec<(u64, NodeId)> = Vec::with_capacity(OWNERS + 1);
        for member in &self.members {
            let weight = self.hash(|hasher| {
                hasher.write(&member.0);
                hasher.write_u128(what);
            });
            best.push((weight, *member));
            best.sort_unstable_by(|a, b| b.cmp(a));
            best.truncate(OWNERS);
        }
        best.into_iter().map(|(_, member)| member).collect()
    }

    fn hash(&self, write: impl FnOnce(&mut SipHasher13)) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.key.0, self.key.1);
        write(&mut hasher);
        hasher.finish()
    }
}

/// What counts as one source: an IPv4 address, or the /64 that is one customer's.
pub(super) fn key(address: IpAddr) -> IpAddr {
    prefix::network(address).unwrap_or_else(|| prefix::canonical(address))
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()) | 0xffff << 32,
        IpAddr::V6(v6) => v6.to_bits(),
    }
}
