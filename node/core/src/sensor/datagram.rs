//! UDP, ICMP, fragments, and every other protocol.

use super::{
    Sensor,
    conversation::{Conversation, Ends, UDP_IDLE},
    rules,
    service::Touch,
    view::Judged,
};
use crate::{
    packet::{Icmp, Packet, Udp},
    verdict::Protocol,
};

impl Sensor {
    pub(super) fn udp(&mut self, packet: &Packet<'_>, judged: Judged, udp: &Udp<'_>) {
        if judged == Judged::Nobody {
            return;
        }
        let ends = Ends {
            source: packet.source,
            source_port: udp.source_port,
            destination: packet.destination,
            destination_port: udp.destination_port,
            protocol: Protocol::Udp,
        };
        let id = ends.id(&self.keyed);
        let known = self.conversations.get(id, &id).filter(|known| self.now.since(known.last) < UDP_IDLE);
        let (fresh, mut conversation) = match known {
            Some(known) => (false, known.clone()),
            None => (true, Conversation::new(self.now)),
        };
        if fresh {
            conversation.state.set_low_began(ends.source_is_low());
        }
        self.datagram(packet, judged, &ends, &mut conversation, fresh);
        conversation.last = self.now;
        match self.conversations.get_mut(id, &id) {
            Some(stored) => *stored = conversation,
            None => {
                self.stats.flows += 1;
                self.conversations.insert(id, id, conversation);
            }
        }
    }

    fn datagram(
        &mut self,
        packet: &Packet<'_>,
        judged: Judged,
        ends: &Ends,
        conversation: &mut Conversation,
        fresh: bool,
    ) {
        let Some(seen) = self.sighting_in(packet, judged, ends, conversation) else { return };
        if !seen.from_remote {
            self.datagram_answered(packet, judged, ends, conversation);
            return;
        }
        self.count(&seen, true);
        if conversation.state.answered() {
            return;
        }
        conversation.request_bytes = conversation.request_bytes.saturating_add(seen.segments);
        self.touch(&seen, ends.destination_port, Protocol::Udp, Touch::Datagram);
        let (rules, asked) = (self.rules.clone(), seen.asked);
        let Some(source) = self.source_of(&seen) else { return };
        source.window.add(seen.now, |counts| counts.udp = counts.udp.saturating_add(seen.segments));
        let new = fresh && source.udp.mark(seen.now, asked);
        let scan = if new { rules::udp_scan(source, seen.now, &rules.port_scan) } else { None };
        let flood = rules::udp_flood(source, seen.now, &rules.net_flood);
        self.accuse(seen.remote, scan);
        self.accuse(seen.remote, flood);
    }

    /// The first answer: what was asked was not in vain.
    fn datagram_answered(
        &mut self,
        packet: &Packet<'_>,
        judged: Judged,
        ends: &Ends,
        conversation: &mut Conversation,
    ) {
        let Some(seen) = self.sighting_in(packet, judged, ends, conversation) else { return };
        if conversation.state.answered() {
            return;
        }
        conversation.state.set_answered(true);
        self.touch(&seen, ends.source_port, Protocol::Udp, Touch::Answered);
        let asked = seen.asked;
        let waited = conversation.request_bytes;
        if let Some(source) = self.source_of(&seen) {
            source.udp.clear(asked);
            source
                .window
                .add(seen.now, |counts| counts.udp_answered = counts.udp_answered.saturating_add(waited));
        }
    }

    pub(super) fn icmp(&mut self, packet: &Packet<'_>, judged: Judged, icmp: Icmp) {
        // Replies and errors are answers: they count for the one who asked, their destination.
        let answer = matches!(icmp, Icmp::EchoReply | Icmp::Unreachable | Icmp::Error);
        let judged = match (judged, answer) {
            (Judged::Initiator | Judged::Trusted, true) => Judged::Destination,
            (judged, _) => judged,
        };
        let Some(seen) = self.sighting(packet, judged, 0) else { return };
        if icmp == Icmp::Discovery || seen.from_remote == answer {
            return;
        }
        self.count(&seen, false);
        let (rules, asked) = (self.rules.clone(), seen.asked);
        let Some(source) = self.source_of(&seen) else { return };
        match icmp {
            Icmp::EchoReply => source.tcp.clear(asked),
            Icmp::Unreachable => source.window.add(seen.now, |counts| counts.unreachable += 1),
            Icmp::Error | Icmp::Discovery => {}
            Icmp::EchoRequest | Icmp::Other(_) => {
                source.window.add(seen.now, |counts| counts.echo = counts.echo.saturating_add(seen.segments));
                let new = source.tcp.mark(seen.now, asked);
                let sweep = if new { rules::port_scan(source, seen.now, &rules.port_scan) } else { None };
                let flood = rules::echo_flood(source, seen.now, &rules.net_flood);
                self.accuse(seen.remote, sweep);
                self.accuse(seen.remote, flood);
            }
        }
    }

    /// Part of a packet. A first part too short for its header is made to slip by; its port is shown all the same.
    pub(super) fn fragment(&mut self, packet: &Packet<'_>, judged: Judged, port: Option<u16>) {
        let Some(seen) = self.sighting(packet, judged, port.unwrap_or(0)) else { return };
        self.count(&seen, port.is_some());
        if !seen.from_remote || port.is_none() {
            return;
        }
        let (rules, asked) = (self.rules.clone(), seen.asked);
        let Some(source) = self.source_of(&seen) else { return };
        source.slow.mark(seen.now, asked);
        if source.tcp.mark(seen.now, asked) {
            let scan = rules::port_scan(source, seen.now, &rules.port_scan);
            self.accuse(seen.remote, scan);
        }
    }

    pub(super) fn other(&mut self, packet: &Packet<'_>, judged: Judged, protocol: u8) {
        let Some(seen) = self.sighting(packet, judged, 0) else { return };
        self.count(&seen, false);
        let (rules, hash) = (self.rules.clone(), self.keyed.number(protocol.into()));
        let Some(source) = self.source_of(&seen) else { return };
        if !seen.from_remote {
            source.protocols.clear(hash);
        } else if source.protocols.mark(hash, seen.now.as_secs()) {
            let scan = rules::protocol_scan(source, seen.now, &rules.port_scan);
            self.accuse(seen.remote, scan);
        }
    }
}
