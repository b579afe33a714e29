//! Connections that were there before the sensor looked.

use core::net::IpAddr;

use super::{
    Sensor,
    conversation::{Conversation, Ends},
};
use crate::{Time, prefix, verdict::Protocol};

/// An established TCP connection of this host, as its kernel knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenConnection {
    /// Our address and port.
    pub local: (IpAddr, u16),
    /// The other end's.
    pub remote: (IpAddr, u16),
    /// Whether the other end began it.
    pub remote_began: bool,
}

impl Sensor {
    /// Takes a connection that is open already: the kernel's word that its handshake was completed. What it carries
    /// from here on is judged; that its beginning was missed is held against nobody.
    pub fn handle_open(&mut self, now: Time, open: &OpenConnection) {
        self.now = self.now.max(now);
        let ends = Ends {
            source: prefix::canonical(open.local.0),
            source_port: open.local.1,
            destination: prefix::canonical(open.remote.0),
            destination_port: open.remote.1,
            protocol: Protocol::Tcp,
        };
        let id = ends.id(&self.keyed);
        if ends.source == ends.destination || self.conversations.get(id, &id).is_some() {
            return;
        }
        self.stats.flows += 1;
        self.conversations.insert(id, id, self.midway(&ends, open.remote_began));
        if open.remote_began && !self.blocked.contains(ends.destination) {
            let source = self.proven_source(ends.destination);
            source.open = source.open.saturating_add(1);
            self.acquaintances.worked(&self.keyed, now, ends.destination);
        }
    }

    /// A connection in its midst, of unknown age: no login that has just failed.
    fn midway(&self, ends: &Ends, remote_began: bool) -> Conversation {
        let mut conversation = Conversation::new(self.now);
        conversation.begun = Time::ZERO;
        conversation.syn_end = ends.id(&self.keyed) as u32 | 1;
        let state = &mut conversation.state;
        state.set_low_began(ends.source_is_low() != remote_began);
        state.set_begin_seen(true);
        state.set_answered(true);
        state.set_followed(true);
        state.set_proven(remote_began);
        state.set_asked(true);
        state.set_replied(true);
        state.set_vouched(true);
        conversation
    }
}
