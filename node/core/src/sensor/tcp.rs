//! TCP: attempts, proofs, answers, endings.

use core::time::Duration;

use super::{
    Sensor, Sighting, Sign,
    conversation::{Conversation, Ends},
    rules,
    service::Touch,
    source::{Asked, STARVED_HALF_LIFE},
    view::{Judged, View},
};
use crate::{
    Class, Features, Subject,
    packet::{Packet, Tcp},
    verdict::{Protocol, Service, Standing},
};

/// No system sends a SYN again sooner: Linux's shortest retransmission timeout, and its first for a SYN is a second.
const RETRANSMISSION: Duration = Duration::from_millis(200);
/// A handshake that carries nothing and ends sooner than this was a probe.
const PROBE: Duration = Duration::from_secs(5);
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
                conversation.state.set_vouched(self.vouches(judged, &seen));
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
            // The same ports again: another SYN than the one we know.
            Some(known) if tcp.flags.is_syn() && known.syn_end != syn_end => self.abandoned(&known, ends),
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

    /// Nobody saw the end of the connection whose ports begin another.
    fn abandoned(&mut self, known: &Conversation, ends: &Ends) {
        if !known.state.proven() || known.state.closed() {
            return;
        }
        let source_began = ends.source_is_low() == known.state.low_began();
        let remote = if source_began { ends.source } else { ends.destination };
        if let Some(source) = self.source(remote) {
            source.open = source.open.saturating_sub(1);
            source.starving.clear(known.starving_id());
        }
    }

    fn tcp_asked(&mut self, seen: &Sighting, ends: &Ends, tcp: &Tcp<'_>, conversation: &mut Conversation) {
        self.count(seen, true);
        if let Some(source) = self.source_of(seen) {
            let proven = if conversation.state.proven() { seen.segments } else { 0 };
            source.window.add(seen.now, |counts| {
                counts.tcp = counts.tcp.saturating_add(seen.segments);
                counts.proven = counts.proven.saturating_add(proven);
            });
        }
        let asked = seen.asked;
        if tcp.flags.is_rst() {
            self.tcp_closed(seen, ends.destination_port, conversation);
        } else if tcp.flags.is_syn() {
            self.attempted(seen, ends, tcp, conversation, asked);
        } else if conversation.state.begin_seen() {
            self.followed(seen, ends, tcp, conversation, asked);
        } else {
            self.strayed(seen, tcp, conversation, asked);
        }
        let over = tcp.flags.is_fin() && conversation.state.begin_seen();
        if over {
            self.tcp_closed(seen, ends.destination_port, conversation);
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
        if seen.now.since(conversation.last) >= RETRANSMISSION {
            return;
        }
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
        if !conversation.state.proven() && proves(tcp, conversation) {
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
            self.tcp_closed(seen, ends.source_port, conversation);
            return;
        }
        if !conversation.state.answered() {
            conversation.state.set_answered(true);
            self.answered_probe(seen, seen.asked);
        }
        if tcp.flags.is_syn_ack() && conversation.state.vouched() {
            conversation.proof = tcp.sequence.wrapping_add(1);
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

    /// Accounts for a connection that is over, once.
    fn tcp_closed(&mut self, seen: &Sighting, port: u16, conversation: &mut Conversation) {
        if conversation.state.closed() {
            return;
        }
        conversation.state.set_closed(true);
        let (state, age) = (conversation.state, seen.now.since(conversation.begun));
        let rules = self.rules.clone();
        if state.proven() {
            let id = conversation.starving_id();
            let source = self.proven_source(seen.remote);
            source.open = source.open.saturating_sub(1);
            source.starving.clear(id);
            if !state.asked() && state.first_try() && age < PROBE {
                source.window.add(seen.now, |counts| counts.probes += 1);
                let finding = rules::port_scan(source, seen.now, &rules.port_scan);
                self.accuse(seen.remote, finding);
                self.weak(seen.remote, Sign::Probed { host: seen.local, port, proven: true });
            } else if state.asked() && state.pending() && !state.replied() && age >= rules.slow_dos.min_age {
                source.starved.add(seen.now, STARVED_HALF_LIFE, 1.0);
                let finding = rules::slow_dos(source, seen.now, &rules.slow_dos);
                self.accuse(seen.remote, finding);
            }
        }
        self.login_ended(seen, port, conversation, age);
        if state.asked() && state.replied() {
            self.worked(seen, conversation);
        }
    }

    /// A connection did what connections are for: once for each.
    fn worked(&mut self, seen: &Sighting, conversation: &mut Conversation) {
        let state = conversation.state;
        if state.worked() || !state.proven() || !state.asked() || state.pending() || conversation.is_login() {
            return;
        }
        conversation.state.set_worked(true);
        let source = self.proven_source(seen.remote);
        source.worked_at = seen.now;
        source.window.add(seen.now, |counts| counts.worked += 1);
        let (suspect, guilty) = (source.is_suspect(seen.now), source.is_guilty(seen.now));
        // Whatever others forge in the name of somebody known, its own work keeps it known.
        if !suspect || (!guilty && self.acquaintances.is_known(&self.keyed, seen.now, seen.remote)) {
            self.acquaintances.worked(&self.keyed, seen.now, seen.remote);
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

/// Whether a segment of the initiator shows that it saw our SYN-ACK: it acknowledges that number, or what we sent
/// after it. A RST proves nothing: after a SYN scan it carries the scanner's own number.
fn proves(tcp: &Tcp<'_>, conversation: &Conversation) -> bool {
    let beyond = tcp.acknowledgement.wrapping_sub(conversation.proof);
    tcp.flags.is_ack() && conversation.proof != 0 && beyond <= conversation.reply_bytes.saturating_add(1)
}

impl Conversation {
    /// Whether it is about a login that has not succeeded.
    fn is_login(&self) -> bool {
        !self.state.logged_in()
            && (self.failures > 0
                || self.state.credentials()
                || self.dialect == super::conversation::Dialect::Ssh)
    }
}
