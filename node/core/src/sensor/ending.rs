//! How TCP connections end, and what is made of them then.

use core::time::Duration;

use super::{
    Sensor, Sighting, Sign,
    conversation::{Conversation, Dialect},
    rules,
    source::STARVED_HALF_LIFE,
};
use crate::packet::Tcp;

/// A handshake that carries nothing and ends sooner than this was a probe.
const PROBE: Duration = Duration::from_secs(5);

impl Sensor {
    /// Accounts for a connection that is over, once. That is when the responder says so, and when the initiator resets it;
    /// an initiator that has nothing more to say still holds it open.
    pub(super) fn tcp_closed(&mut self, seen: &Sighting, port: u16, conversation: &mut Conversation) {
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
                conversation.state.set_first_try(false);
                source.window.add(seen.now, |counts| counts.probes += 1);
                let finding = rules::port_scan(source, seen.now, &rules.port_scan);
                self.accuse(seen.remote, finding);
                self.weak(seen.remote, Sign::Probed { host: seen.local, port, proven: true });
            } else if state.starves() && age >= rules.slow_dos.min_age {
                conversation.state.set_pending(false);
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
    pub(super) fn worked(&mut self, seen: &Sighting, conversation: &mut Conversation) {
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

    /// The initiator resets it.
    pub(super) fn tcp_reset(&mut self, seen: &Sighting, port: u16, conversation: &mut Conversation) {
        let state = &mut conversation.state;
        if !state.revived() {
            state.set_reset(state.lives());
            self.tcp_closed(seen, port, conversation);
        }
    }

    /// It was not over: the responder never got that reset, or did not believe it. Nor are others believed after it.
    pub(super) fn revived(&mut self, seen: &Sighting, conversation: &mut Conversation) {
        conversation.state.set_closed(false);
        conversation.state.set_reset(false);
        conversation.state.set_revived(true);
        if conversation.state.proven() {
            let source = self.proven_source(seen.remote);
            source.open = source.open.saturating_add(1);
        }
    }

    /// Nobody saw the end of the connection whose ports began another, which the responder accepts.
    pub(super) fn replaced(&mut self, seen: &Sighting, tcp: &Tcp<'_>, conversation: &mut Conversation) {
        if let Some(source) = self.source_of(seen) {
            source.open = source.open.saturating_sub(1);
            source.starving.clear(conversation.starving_id());
        }
        let mut next = Conversation::new(seen.now);
        next.syn_end = tcp.acknowledgement;
        next.state.set_low_began(conversation.state.low_began());
        next.state.set_begin_seen(true);
        next.state.set_vouched(true);
        *conversation = next;
    }
}

impl Conversation {
    /// Whether it is about a login that has not succeeded.
    fn is_login(&self) -> bool {
        !self.state.logged_in()
            && (self.failures > 0 || self.state.credentials() || self.dialect == Dialect::Ssh)
    }
}
