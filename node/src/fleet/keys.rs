//! Keys and certificates for the membership: ring behind the core's trait.

use std::{collections::BTreeMap, sync::Arc};

use smartfw_core::{
    Time,
    fleet::NodeId,
    members::{Keys, MAX_MEMBERS},
};
use smartfw_identity::{Chain, Current, Domain, Member, Revocations, Roles};

/// Whose certificates are known: learned from introductions and handshakes.
pub(super) struct MemberKeys {
    current: Current,
    revocations: Arc<Revocations>,
    /// Our chain as it travels.
    chain: Vec<u8>,
    /// At most [`MAX_MEMBERS`], as many as there may be.
    known: BTreeMap<NodeId, Member>,
    /// The time of the last input: whether a certificate holds is looked at with each datagram.
    now: Time,
}

impl MemberKeys {
    pub(super) fn new(current: Current, revocations: Arc<Revocations>, now: Time) -> Self {
        let chain = current.get().chain().to_bytes();
        Self { current, revocations, chain, known: BTreeMap::new(), now }
    }

    /// Our certificate was renewed.
    pub(super) fn refresh(&mut self) {
        self.chain = self.current.get().chain().to_bytes();
    }

    pub(super) const fn clock(&mut self, now: Time) {
        self.now = now;
    }

    /// A member whose certificate is known.
    pub(super) fn member(&self, node: &NodeId) -> Option<&Member> {
        self.known.get(node)
    }

    /// Those whose certificate is known.
    pub(super) fn members(&self) -> impl Iterator<Item = &Member> {
        self.known.values()
    }

    /// Takes in a member whose chain was checked; the newer certificate counts.
    pub(super) fn admit(&mut self, member: Member) -> bool {
        if !Roles::SERVING.0.contains(&member.role) || !self.holds(&member) {
            return false;
        }
        match self.known.get(&member.id) {
            Some(known) if known.not_after >= member.not_after => true,
            None if self.known.len() >= MAX_MEMBERS => false,
            _ => {
                self.known.insert(member.id, member);
                true
            }
        }
    }

    pub(super) fn forget(&mut self, node: &NodeId) {
        self.known.remove(node);
    }

    fn holds(&self, member: &Member) -> bool {
        member.valid_at(self.now).is_ok() && self.revocations.check(member).is_ok()
    }
}

impl Keys for MemberKeys {
    fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        self.current.get().key().sign(Domain::Datagram, bytes)
    }

    fn verify(&self, signer: &NodeId, bytes: &[u8], signature: &[u8; 64]) -> bool {
        let identity = self.current.get();
        if *signer == identity.id() {
            return identity.key().public().verify(Domain::Datagram, bytes, signature);
        }
        self.known
            .get(signer)
            .is_some_and(|member| self.holds(member) && member.key.verify(Domain::Datagram, bytes, signature))
    }

    fn knows(&self, node: &NodeId) -> bool {
        *node == self.current.get().id() || self.known.get(node).is_some_and(|member| self.holds(member))
    }

    fn chain(&self) -> &[u8] {
        &self.chain
    }

    fn introduce(&mut self, _: Time, node: &NodeId, chain: &[u8]) -> bool {
        let checked = Chain::from_bytes(chain).and_then(|chain| self.current.get().trust().check(&chain));
        checked.is_ok_and(|member| member.id == *node && self.admit(member))
    }
}
