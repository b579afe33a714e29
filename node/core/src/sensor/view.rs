//! Which end of a packet is ours, and which one is judged.

use alloc::vec::Vec;
use core::net::IpAddr;

use ipnet::IpNet;

use crate::packet::{Direction, Packet};

/// From where traffic is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum View {
    /// From a host (or a network) with these prefixes: the other end is judged. What touches none of them is
    /// forwarded, and judged by its initiator.
    Host(Vec<IpNet>),
    /// From nowhere in particular: whoever begins is judged.
    Initiator,
}

/// Who is judged in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// The source: it came from outside.
    Source,
    /// The destination: we sent it.
    Destination,
    /// Whoever began the conversation.
    Initiator,
    /// Nobody, since the interface is trusted; what it answers counts for the one who asked.
    Trusted,
    /// Nobody: it is counted elsewhere, or to everybody.
    Nobody,
}

impl View {
    pub(super) fn judge(&self, packet: &Packet<'_>, direction: Option<Direction>, trusted: bool) -> Judged {
        if is_to_everybody(packet.destination) {
            return Judged::Nobody;
        }
        let Self::Host(prefixes) = self else { return Judged::Initiator };
        let ours = |address: IpAddr| prefixes.iter().any(|net| net.contains(&address));
        match (ours(packet.source), ours(packet.destination), direction) {
            (true, true, _) => Judged::Initiator,
            // Under our address from outside: forged, but nobody else can be held to account for it.
            (true, false, Some(Direction::In)) => Judged::Nobody,
            (true, false, _) => Judged::Destination,
            (false, true, Some(Direction::Out)) => Judged::Nobody,
            (false, true, _) => Judged::Source,
            // Forwarded packets pass twice: the way in counts.
            (false, false, Some(Direction::Out)) => Judged::Nobody,
            (false, false, _) if trusted => Judged::Trusted,
            (false, false, _) => Judged::Initiator,
        }
    }

    /// Whether the address is one of ours.
    pub(super) fn is_ours(&self, address: IpAddr) -> bool {
        matches!(self, Self::Host(prefixes) if prefixes.iter().any(|net| net.contains(&address)))
    }
}

fn is_to_everybody(destination: IpAddr) -> bool {
    match destination {
        IpAddr::V4(v4) => v4.is_multicast() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_multicast(),
    }
}
