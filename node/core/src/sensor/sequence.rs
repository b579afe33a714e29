//! Which segments are a connection's own: those whose numbers fit what the responder says it sent and took. Who does not
//! see the connection can only guess them, and what the responder does not believe changes nothing here either.

use super::conversation::Conversation;
use crate::packet::Tcp;

/// An initiator sends no further ahead of what the responder took, and acknowledges nothing that is longer ago: by
/// default Linux keeps at most 6 MiB for what was not read (`tcp_rmem`) and 4 MiB for what was not acknowledged
/// (`tcp_wmem`). Where somebody set them higher, more of a long transfer counts for nobody.
const WINDOW: i32 = 8 << 20;
/// So much that the responder sent may have been missed here, or not been seen yet; and so much of what the initiator
/// sent may be on its way when it resets the connection. Without that a reset has exactly the number that is expected
/// (RFC 5961).
const MISSED: i32 = 1 << 20;

impl Conversation {
    /// Whether the initiator's segment belongs to the connection, as far as its numbers tell. Once that is proven, a
    /// guess does with a chance of one in 100,000, a guessed reset with one in 4,096 (of one that carried nothing: in
    /// 2³²).
    pub(super) fn owns(&self, tcp: &Tcp<'_>) -> bool {
        // Of what was open before we looked, nothing is known before the responder's next segment.
        if !self.state.proven() || self.sent == 0 {
            return true;
        }
        if tcp.flags.is_syn() {
            return tcp.sequence.wrapping_add(1).wrapping_add(tcp.payload_len) == self.syn_end;
        }
        let ahead = distance(self.taken, tcp.sequence);
        if tcp.flags.is_rst() {
            // After its FIN, some reset with the number of that (Linux takes it, `tcp_reset_check`).
            let from = -i32::from(self.state.finished());
            return (from..if self.state.asked() { MISSED } else { 1 }).contains(&ahead);
        }
        let beyond = distance(self.sent, tcp.acknowledgement);
        tcp.flags.is_ack() && (-WINDOW..WINDOW).contains(&ahead) && (-WINDOW..MISSED).contains(&beyond)
    }

    /// Whether a segment of the initiator shows that it saw our SYN-ACK: it acknowledges that number, or what we sent
    /// after it. A RST proves nothing: after a SYN scan it carries the scanner's own number.
    pub(super) fn proves(&self, tcp: &Tcp<'_>) -> bool {
        let beyond = distance(self.sent, tcp.acknowledgement);
        let sent = i32::try_from(self.reply_bytes).unwrap_or(i32::MAX);
        tcp.flags.is_ack() && self.sent != 0 && (-sent..=1).contains(&beyond)
    }

    /// Whether a SYN-ACK accepts another connection than this one, which lives as far as is known: then it does not
    /// repeat the number that this one began with.
    pub(super) fn is_another(&self, tcp: &Tcp<'_>) -> bool {
        let since = distance(tcp.sequence.wrapping_add(1), self.sent);
        self.state.lives() && self.sent != 0 && !(0..WINDOW).contains(&since)
    }

    /// Takes the numbers of what the responder sent, where it vouches for it. Says whether a connection that was reset
    /// goes on: the responder takes more, or ends it itself.
    pub(super) fn follow(&mut self, tcp: &Tcp<'_>) -> bool {
        // A SYN cookie that is sent again may have another number.
        let first = self.sent == 0 || (tcp.flags.is_syn_ack() && !self.state.proven());
        if !self.state.vouched() || (first && !tcp.flags.is_syn_ack() && !self.state.proven()) {
            return false;
        }
        let numbers = u32::from(tcp.flags.is_syn_ack()) + u32::from(tcp.flags.is_fin());
        let end = tcp.sequence.wrapping_add(tcp.payload_len).wrapping_add(numbers);
        if first || is_on(self.sent, end) {
            self.sent = end;
        }
        let takes_more = !first && is_on(self.taken, tcp.acknowledgement);
        if first || takes_more {
            self.taken = tcp.acknowledgement;
        }
        // What was under way before a reset is taken after it, too; but a genuine one is the initiator's last word.
        let goes_on = (takes_more && self.state.resumed()) || tcp.flags.is_fin();
        goes_on && self.state.closed() && self.state.reset()
    }
}

/// Whether `to` lies behind `from`, or so far before it that too much was missed to tell.
const fn is_on(from: u32, to: u32) -> bool {
    let distance = distance(from, to);
    distance > 0 || distance < -WINDOW
}

/// How far `to` lies behind `from`: less than nothing where it lies before.
const fn distance(from: u32, to: u32) -> i32 {
    to.wrapping_sub(from).cast_signed()
}
