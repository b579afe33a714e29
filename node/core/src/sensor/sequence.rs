//! Which segments are a connection's own: those whose numbers fit what the responder says it sent and took. Who does not
//! see the connection can only guess them, and what the responder does not believe changes nothing here either.

use super::conversation::Conversation;
use crate::packet::Tcp;

/// An initiator sends no further ahead of what the responder took, and acknowledges nothing that is longer ago: Linux
/// keeps at most 6 MiB for what was not read (`tcp_rmem`) and 4 MiB for what was not acknowledged (`tcp_wmem`).
const WINDOW: i32 = 8 << 20;
/// So much that the responder sent may have been missed here, or not been seen yet.
const MISSED: i32 = 1 << 20;
/// A reset has exactly the number that is expected (RFC 5961), but for what is still on its way.
const UNDER_WAY: i32 = 1 << 16;

impl Conversation {
    /// Whether it is proven, and not over.
    pub(super) const fn lives(&self) -> bool {
        self.state.proven() && !self.state.closed()
    }

    /// Whether the initiator's segment belongs to the connection, as far as its numbers tell: a guess does with a
    /// chance of one in 100,000, a guessed reset with one in 65,536 (of one that carried nothing: in 2³²).
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
            return if self.state.asked() { (0..UNDER_WAY).contains(&ahead) } else { ahead == 0 };
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

    /// Whether a SYN-ACK accepts another connection than this one, which lives as far as is known.
    pub(super) fn is_another(&self, tcp: &Tcp<'_>) -> bool {
        // Of what a SYN carried the responder may have taken nothing.
        self.lives() && tcp.acknowledgement != self.syn_end && !self.state.syn_carried()
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
        if first || distance(self.sent, end) > 0 {
            self.sent = end;
        }
        let takes_more = distance(self.taken, tcp.acknowledgement) > 0;
        if first || takes_more {
            self.taken = tcp.acknowledgement;
        }
        let goes_on = (takes_more && !first) || tcp.flags.is_fin();
        goes_on && self.state.closed() && self.state.reset()
    }
}

/// How far `to` lies behind `from`: less than nothing where it lies before.
const fn distance(from: u32, to: u32) -> i32 {
    to.wrapping_sub(from).cast_signed()
}
