//! TCP: attempts, proofs, answers, endings.

use core::time::Duration;

use super::{
    Sensor, Sighting,
    conversation::{Conversation, Ends},
    rules,
    service::Touch,
    source::Asked,
    view::{Judged, View},
};
use crate::{
    Class, Features, Subject,
    packet::{Packet, Tcp},
    verdict::{Protocol, Service, Standing},
};

/// No system sends a SYN again sooner: Linux's shortest retransmission timeout, and its first for a SYN is a second.
const RETRANSMISSION: Duration = Duration::from_millis(200);
/// A connection that lasted this long did its work, though it is not over.
const LASTING: Duration = Duration::from_secs(10);

impl Sensor {
    pub(super) fn tcp(&mut self, packet: &Packet<'_>, judged: Judged, tcp: &Tcp<'_>) {
        let ends = Ends {
            source: packet.source,
            source_port: tcp.source_port,
            destination: packet.destination,
            destination_port: tcp.destination_port,
            protocol: Protocol::Tcp,
        };
        if judged == Judged::Nobody || self.is_ftp_errand(&ends, tcp) {
            return;
        }
        let id = ends.id(&self.keyed);
        let known = self.conversations.get(id, &id).cloned();
        let Some(mut conversation) = self.begun_or_continued(known, &ends, tcp) else {
            return self.reset_nothing(packet, judged, tcp);
        };
        match self.sighting_in(packet, judged, &ends, &conversation) {
            Some(seen) if seen.from_remote => {
                self.tcp_asked(&seen, &ends, tcp, &mut conversation);
            }
            Some(seen) => {
                let vouched = self.vouches(judged, &seen);
                // Who once spoke for itself is not spoken for by others.
                if conversation.sent != 0 && !vouched {
                    return;
                }
                conversation.state.set_vouched(vouched);
                self.tcp_answered(&seen, &ends, tcp, &mut conversation);
            }
            None => self.own_connection(&ends, tcp, &conversation),
        }
        conversation.last = self.now;
        match self.conversations.get_mut(id, &id) {
            Some(stored) => *stored = conversation,
            None => {
                self.stats.flows += 1;
                self.conversations.insert(id, id, conversation);
            }
        }
    }

    /// The conversation that a segment belongs to, new where it begins one; `None` for a RST to nothing.
    fn begun_or_continued(
        &mut self,
        known: Option<Conversation>,
        ends: &Ends,
        tcp: &Tcp<'_>,
    ) -> Option<Conversation> {
        let syn_end = tcp.sequence.wrapping_add(1).wrapping_add(tcp.payload_len);
        match known {
            // The same ports again: another SYN than the one we know. Nobody takes it while that connection lives.
            Some(known) if tcp.flags.is_syn() && known.syn_end != syn_end && !known.state.lives() => {}
            Some(known) => return Some(known),
            None if tcp.flags.is_rst() => return None,
            None => {}
        }
        let mut conversation = Conversation::new(self.now);
        let source_began = !tcp.flags.is_syn_ack();
        conversation.state.set_low_began(ends.source_is_low() == source_began);
        if tcp.flags.is_syn() {
            conversation.state.set_begin_seen(true);
        }
        Some(conversation)
    }

    fn tcp_asked(&mut self, seen: &Sighting, ends: &Ends, tcp: &Tcp<'_>, conversation: &mut Conversation) {
        self.count(seen, true);
        let owned = conversation.owns(tcp);
        if let Some(source) = self.source_of(seen) {
            let proven = if conversation.state.proven() && owned { seen.segments } else { 0 };
            source.window.add(seen.now, |counts| {
                counts.tcp = counts.tcp.saturating_add(seen.segments);
                counts.proven = counts.proven.saturating_add(proven);
            });
        }
        let asked = seen.asked;
        if !owned {
            // Of what does not belong to the connection only a SYN counts, as an attempt.
            return if tcp.flags.is_syn() {
                self.attempted_again(seen, asked)
            };
        }
        let state = &mut conversation.state;
        state.set_finished(state.finished() || tcp.flags.is_fin());
        state.set_resumed(state.resumed() || (state.reset() && !tcp.flags.is_rst()));
        if tcp.flags.is_rst() {
            self.tcp_reset(seen, ends.destination_port, conversation);
        } else if tcp.flags.is_syn() {
            self.attempted(seen, ends, tcp, conversation, asked);
        } else if conversation.state.begin_seen() {
            self.followed(seen, ends, tcp, conversation, asked);
        } else {
            self.strayed(seen, tcp, conversation, asked);
        }
    }

    /// A SYN: it counts until the connection goes on.
    fn attempted(
        &mut self,
        seen: &Sighting,
        ends: &Ends,
        tcp: &Tcp<'_>,
        conversation: &mut Conversation,
        asked: Asked,
    ) {
        let syn_end = tcp.sequence.wrapping_add(1).wrapping_add(tcp.payload_len);
        if conversation.syn_end == syn_end {
            return self.retransmitted(seen, conversation, asked);
        }
        conversation.syn_end = syn_end;
        conversation.state.set_syn_carried(tcp.payload_len > 0);
        self.touch(seen, ends.destination_port, Protocol::Tcp, Touch::Syn);
        let keyed = self.keyed;
        self.attempt(seen, ends.destination_port, || ends.id(&keyed));
        let rules = self.rules.clone();
        let Some(source) = self.source_of(seen) else { return };
        source.attempt(seen.now, asked.pair);
        source.slow.mark(seen.now, asked);
        let new = source.tcp.mark(seen.now, asked);
        let scan = if new { rules::port_scan(source, seen.now, &rules.port_scan) } else { None };
        let flood = rules::syn_flood(source, seen.now, &rules.net_flood);
        self.accuse(seen.remote, scan);
        self.accuse(seen.remote, flood);
    }

    /// The same SYN again counts for nothing, unless it comes sooner than any system sends it again.
    fn retransmitted(&mut self, seen: &Sighting, conversation: &Conversation, asked: Asked) {
        if seen.now.since(conversation.last) < RETRANSMISSION {
            self.attempted_again(seen, asked);
        }
    }

    fn attempted_again(&mut self, seen: &Sighting, asked: Asked) {
        let rules = self.rules.clone();
        let Some(source) = self.source_of(seen) else { return };
        source.attempt(seen.now, asked.pair);
        let flood = rules::syn_flood(source, seen.now, &rules.net_flood);
        self.accuse(seen.remote, flood);
    }

    /// The initiator goes on: the port was open, and its address may be proven.
    fn followed(
        &mut self,
        seen: &Sighting,
        ends: &Ends,
        tcp: &Tcp<'_>,
        conversation: &mut Conversation,
        asked: Asked,
    ) {
        if !conversation.state.followed() {
            conversation.state.set_followed(true);
            self.touch(seen, ends.destination_port, Protocol::Tcp, Touch::Followed);
            self.answered_probe(seen, asked);
            if let Some(source) = self.source_of(seen) {
                source.window.add(seen.now, |counts| counts.followed += 1);
            }
        }
        if !conversation.state.proven() && conversation.proves(tcp) {
            self.proven(seen, ends.destination_port, conversation);
        }
        if !conversation.state.answered() && !conversation.state.asked() && tcp.payload_len > 0 {
            self.stats.unanswered += 1;
        }
        if tcp.payload_len > 0 {
            self.asked(seen, conversation);
            self.request(seen, ends, tcp, conversation);
        } else if conversation.state.replied() {
            self.window_moved(seen, tcp, conversation);
        }
        if conversation.state.replied() && seen.now.since(conversation.begun) >= LASTING {
            self.worked(seen, conversation);
        }
    }

    fn proven(&mut self, seen: &Sighting, port: u16, conversation: &mut Conversation) {
        conversation.state.set_proven(true);
        // What ended it before was nobody's word that counts.
        conversation.state.set_closed(false);
        self.stats.handshakes += 1;
        self.clients.mark(seen.hash, seen.now.as_secs());
        let (id, port) = (conversation.starving_id(), self.keyed.number(port));
        let source = self.proven_source(seen.remote);
        conversation.state.set_first_try(source.opened.mark(port, seen.now.as_secs() / 60));
        source.open = source.open.saturating_add(1);
        // The SYN, and what followed it.
        source.window.add(seen.now, |counts| counts.proven = counts.proven.saturating_add(1 + seen.segments));
        // Until it asks for something, it may be held open for nothing.
        source.starving.mark_first(id, seen.now.as_secs());
        self.watch_starving(seen.remote);
    }

    /// The initiator's first payload: a probe no more.
    fn asked(&mut self, seen: &Sighting, conversation: &mut Conversation) {
        if conversation.state.asked() {
            return;
        }
        conversation.state.set_asked(true);
        let id = conversation.starving_id();
        if let Some(source) = self.source_of(seen) {
            source.starving.clear(id);
        }
    }

    /// A segment of a connection whose beginning nobody saw. What carries payload, or is answered by anything but a
    /// RST, was there before us; what is bare was made to see how we react.
    fn strayed(&mut self, seen: &Sighting, tcp: &Tcp<'_>, conversation: &mut Conversation, asked: Asked) {
        let bare = tcp.payload_len == 0 && !tcp.flags.is_syn_ack();
        if !bare || conversation.state.answered() {
            return;
        }
        let rules = self.rules.clone();
        let Some(source) = self.source_of(seen) else { return };
        source.window.add(seen.now, |counts| counts.stray = counts.stray.saturating_add(seen.segments));
        let new = source.tcp.mark(seen.now, asked);
        let scan = if new { rules::port_scan(source, seen.now, &rules.port_scan) } else { None };
        let flood = rules::stray_flood(source, seen.now, &rules.net_flood);
        self.accuse(seen.remote, scan);
        self.accuse(seen.remote, flood);
    }

    /// A RST to nothing: what we sent would have made a conversation, so that it answers nobody. It asks for no port.
    fn reset_nothing(&mut self, packet: &Packet<'_>, judged: Judged, tcp: &Tcp<'_>) {
        let Some(seen) = self.sighting(packet, judged, tcp.destination_port) else { return };
        self.count(&seen, true);
        let rules = self.rules.clone();
        let Some(source) = self.source_of(&seen).filter(|_| seen.from_remote) else { return };
        source.window.add(seen.now, |counts| counts.stray = counts.stray.saturating_add(seen.segments));
        let flood = rules::stray_flood(source, seen.now, &rules.net_flood);
        self.accuse(seen.remote, flood);
    }

    /// Whether the answer is the responder's own: we sent it ourselves, or it came from an interface that is trusted.
    /// Whatever else we forward could have been forged by the one whom it would prove.
    fn vouches(&self, judged: Judged, seen: &Sighting) -> bool {
        judged != Judged::Initiator || self.view == View::Initiator || self.view.is_ours(seen.local)
    }

    fn tcp_answered(&mut self, seen: &Sighting, ends: &Ends, tcp: &Tcp<'_>, conversation: &mut Conversation) {
        if tcp.flags.is_rst() {
            if let Some(source) = self.source_of(seen) {
                source.window.add(seen.now, |counts| counts.refused += 1);
            }
            return self.tcp_closed(seen, ends.source_port, conversation);
        }
        if tcp.flags.is_syn_ack() && conversation.is_another(tcp) {
            self.replaced(seen, tcp, conversation);
        }
        if !conversation.state.answered() {
            conversation.state.set_answered(true);
            self.answered_probe(seen, seen.asked);
        }
        if conversation.follow(tcp) {
            self.revived(seen, conversation);
        }
        if tcp.flags.is_syn_ack() && conversation.state.vouched() {
            // Only a valid cookie of the initiator's makes us take the data of its SYN (RFC 7413).
            let data_taken = tcp.acknowledgement == conversation.syn_end && conversation.state.syn_carried();
            if data_taken && !conversation.state.proven() && conversation.state.begin_seen() {
                self.proven(seen, ends.source_port, conversation);
            }
        }
        if tcp.payload_len > 0 {
            self.reply(seen, ends.source_port, tcp, conversation);
        }
        if tcp.flags.is_fin() && conversation.state.begin_seen() {
            self.tcp_closed(seen, ends.source_port, conversation);
        }
    }

    /// The responder answered: the port was no blind probe.
    fn answered_probe(&mut self, seen: &Sighting, asked: Asked) {
        if let Some(source) = self.source_of(seen) {
            source.tcp.clear(asked);
            source.slow.clear(asked);
        }
    }

    pub(super) fn touch(&mut self, seen: &Sighting, port: u16, protocol: Protocol, touch: Touch) {
        let service = Service { address: seen.local, port, protocol };
        let rule = &self.rules.net_flood;
        let flood = self.services.touch(seen.now, &self.keyed, rule, service, seen.remote, touch);
        let Some(flood) = flood else { return };
        let subject = Subject::Destination { service: flood.service, sources_seen: flood.sources.into() };
        let features = Features { packets_per_second: flood.packets_per_second, ..Features::default() };
        self.report(rules::distributed(&flood).verdict(seen.now, subject, features, Standing::default()));
    }

    /// Our own connections are held against nobody; but when we scan others, somebody here should know.
    fn own_connection(&mut self, ends: &Ends, tcp: &Tcp<'_>, conversation: &Conversation) {
        let source_began = ends.source_is_low() == conversation.state.low_began();
        let (own, other, port) = match source_began {
            true => (ends.source, ends.destination, ends.destination_port),
            false => (ends.destination, ends.source, ends.source_port),
        };
        if !self.view.is_ours(own) || !(tcp.flags.is_syn() || tcp.flags.is_syn_ack()) {
            return;
        }
        let asked = Asked::new(&self.keyed, other, port);
        let (now, rule) = (self.now, self.rules.port_scan.clone());
        let source = self.own_source(own);
        if tcp.flags.is_syn_ack() {
            source.tcp.clear(asked);
        } else {
            source.window.frame(now, 1, 0);
            source.tcp.mark(now, asked);
            let finding = rules::port_scan(source, now, &rule).map(|finding| rules::Finding {
                class: Class::Botnet,
                evidence: None,
                text: alloc::format!("this host asks others: {}", finding.text),
                ..finding
            });
            self.accuse(own, finding);
        }
    }
}
