//! One packet, with who is judged for it.

use core::net::IpAddr;

use super::{
    Sensor,
    conversation::{Conversation, Ends},
    source::Asked,
    view::Judged,
};
use crate::{
    Time,
    packet::{Packet, Transport},
    verdict::Protocol,
};

/// A sighting: one packet, with who is judged for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sighting {
    pub(super) now: Time,
    /// The judged end.
    pub(super) remote: IpAddr,
    /// The other end.
    pub(super) local: IpAddr,
    /// Whether the judged end sent it.
    pub(super) from_remote: bool,
    /// The judged end's hash.
    pub(super) hash: u64,
    /// The port at the other end; 0 where there is none.
    pub(super) port: u16,
    pub(super) protocol: Protocol,
    /// The port and address at the other end, hashed.
    pub(super) asked: Asked,
    pub(super) segments: u32,
    pub(super) bytes: u32,
}

impl Sensor {
    /// The sighting of a packet that belongs to no conversation: its initiator is its source.
    pub(super) fn sighting(&self, packet: &Packet<'_>, judged: Judged, port: u16) -> Option<Sighting> {
        let from_remote = match judged {
            Judged::Source | Judged::Initiator => true,
            Judged::Destination => false,
            Judged::Trusted | Judged::Nobody => return None,
        };
        Some(self.sighting_of(packet, from_remote, port))
    }

    pub(super) fn sighting_of(&self, packet: &Packet<'_>, from_remote: bool, port: u16) -> Sighting {
        let (remote, local) = match from_remote {
            true => (packet.source, packet.destination),
            false => (packet.destination, packet.source),
        };
        let (segments, bytes) = (packet.segments, packet.bytes);
        let hash = self.keyed.address(remote);
        let asked = Asked::new(&self.keyed, local, port);
        let protocol = match packet.transport {
            Transport::Tcp(_) => Protocol::Tcp,
            Transport::Udp(_) => Protocol::Udp,
            Transport::Icmp(_) => Protocol::Icmp,
            Transport::Fragment { .. } | Transport::Other(_) => Protocol::Other,
        };
        Sighting { now: self.now, remote, local, from_remote, hash, port, protocol, asked, segments, bytes }
    }

    /// The sighting of a packet within its conversation; `None` when nobody is judged, or the judged end answers a
    /// conversation that ours began.
    pub(super) fn sighting_in(
        &self,
        packet: &Packet<'_>,
        judged: Judged,
        ends: &Ends,
        conversation: &Conversation,
    ) -> Option<Sighting> {
        let source_began = ends.source_is_low() == conversation.state.low_began();
        let from_remote = match judged {
            Judged::Nobody => return None,
            Judged::Initiator => source_began,
            Judged::Source if source_began => true,
            Judged::Destination if !source_began => false,
            Judged::Trusted if !source_began => false,
            Judged::Source | Judged::Destination | Judged::Trusted => return None,
        };
        let port = if from_remote { ends.destination_port } else { ends.source_port };
        Some(self.sighting_of(packet, from_remote, port))
    }
}
