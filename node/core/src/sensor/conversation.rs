//! Connections and exchanges of datagrams: who began, what is proven, what is pending.

use core::{net::IpAddr, time::Duration};

use super::table::Keyed;
use crate::{Time, verdict::Protocol};

/// A conversation is known by a keyed hash of its five-tuple: 64 bits that nobody outside can collide.
pub(super) type ConversationId = u64;

/// The two ends of a packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    pub(super) source: IpAddr,
    pub(super) source_port: u16,
    pub(super) destination: IpAddr,
    pub(super) destination_port: u16,
    pub(super) protocol: Protocol,
}

impl Ends {
    /// The same for both directions.
    pub(super) fn id(&self, keyed: &Keyed) -> ConversationId {
        let (a, b) = (keyed.address(self.source), keyed.address(self.destination));
        let (p, q) = (u64::from(self.source_port), u64::from(self.destination_port));
        let protocol = self.protocol as u64;
        match self.source_is_low() {
            true => keyed.words([a, b, p << 32 | q << 8 | protocol]),
            false => keyed.words([b, a, q << 32 | p << 8 | protocol]),
        }
    }

    /// Whether the source is the end that sorts first.
    pub(super) fn source_is_low(&self) -> bool {
        (self.source, self.source_port) <= (self.destination, self.destination_port)
    }
}

/// UDP ports are used again: after this long without a packet, the next one begins anew.
pub(super) const UDP_IDLE: Duration = Duration::from_secs(60);

/// The state of one conversation.
#[derive(Clone, Debug)]
pub(super) struct Conversation {
    pub(super) begun: Time,
    pub(super) last: Time,
    /// Since when a request of the initiator is unfinished.
    pub(super) request_begun: Time,
    /// Since when the initiator's window is shut.
    pub(super) shut_since: Time,
    /// The sequence number behind the initiator's SYN and its payload.
    pub(super) syn_end: u32,
    /// The sequence number behind what the responder sent, where it vouched for that; 0 before its SYN.
    pub(super) sent: u32,
    /// What the responder acknowledged last: it took all that lies before.
    pub(super) taken: u32,
    /// Payload bytes of the unfinished request.
    pub(super) request_bytes: u32,
    /// Payload bytes from the responder since encryption began, or since the beginning.
    pub(super) reply_bytes: u32,
    /// Replies since encryption began.
    pub(super) replies: u16,
    /// The length of sshd's first reply after encryption began, and of the shortest since that was no shorter.
    pub(super) greeting: u16,
    pub(super) refusal: u16,
    /// Failed logins already held against the initiator.
    pub(super) failures: u8,
    pub(super) dialect: Dialect,
    pub(super) state: State,
}

/// What the payload looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Unknown,
    Http,
    Tls,
    /// SSH, encrypted from here on.
    Ssh,
}

/// What has happened, a bit each.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct State(u32);

macro_rules! bits {
    ($($(#[$meta:meta])* $name:ident, $set:ident = $bit:literal;)+) => { impl State { $(
        $(#[$meta])*
        pub(super) const fn $name(self) -> bool { self.0 & (1 << $bit) != 0 }
        pub(super) fn $set(&mut self, on: bool) {
            if on { self.0 |= 1 << $bit } else { self.0 &= !(1 << $bit) }
        }
    )+ } };
}

bits! {
    /// The end that sorts first began.
    low_began, set_low_began = 0;
    /// The beginning was seen.
    begin_seen, set_begin_seen = 1;
    /// The responder said yes.
    answered, set_answered = 2;
    /// The initiator went on after its first packet.
    followed, set_followed = 3;
    /// The initiator proved its address.
    proven, set_proven = 4;
    /// The initiator sent payload.
    asked, set_asked = 5;
    /// The responder sent payload.
    replied, set_replied = 6;
    /// It is over, and was accounted for.
    closed, set_closed = 7;
    /// A request is unfinished.
    pending, set_pending = 8;
    /// The port had not been tried by this source before.
    first_try, set_first_try = 9;
    /// The request carries credentials in the open.
    credentials, set_credentials = 10;
    /// The login succeeded.
    logged_in, set_logged_in = 11;
    /// The end of the request's header was seen; its body may follow.
    in_body, set_in_body = 12;
    /// It did some work, and was counted for it.
    worked, set_worked = 13;
    /// The SYN carried data (TCP Fast Open).
    syn_carried, set_syn_carried = 14;
    /// The responder's last packet is known to be the responder's.
    vouched, set_vouched = 15;
    /// The initiator reset it: that it did is not sure before the responder has kept silent.
    reset, set_reset = 16;
    /// The initiator sent more after that.
    resumed, set_resumed = 17;
    /// It went on after it was over.
    revived, set_revived = 18;
    /// The initiator said that it has nothing more to send.
    finished, set_finished = 19;
}

impl State {
    /// Whether it is proven, and not over.
    pub(super) const fn lives(self) -> bool {
        self.proven() && !self.closed()
    }

    /// Whether the initiator has never been answered and holds it open: with a request that is unfinished, or with none,
    /// where it feigned to have gone.
    pub(super) const fn starves(self) -> bool {
        !self.replied() && (self.pending() || (self.revived() && !self.asked()))
    }
}

impl Conversation {
    pub(super) fn new(now: Time) -> Self {
        Self {
            begun: now,
            last: now,
            request_begun: now,
            shut_since: Time::ZERO,
            syn_end: 0,
            sent: 0,
            taken: 0,
            request_bytes: 0,
            reply_bytes: 0,
            replies: 0,
            greeting: 0,
            refusal: 0,
            failures: 0,
            dialect: Dialect::Unknown,
            state: State::default(),
        }
    }

    /// Identifies a connection among those of its source, for the sketch of starving ones.
    pub(super) fn starving_id(&self) -> u64 {
        u64::from(self.syn_end).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32
    }
}
