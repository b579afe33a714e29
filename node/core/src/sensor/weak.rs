//! Weak evidence: what is too little to accuse anybody here, and adds up over the fleet.
//!
//! The packets of a connection that goes on are not touched by this: only what ends in vain is told, and attempts are
//! looked at again seconds later, when somebody asks for weak evidence, not at every packet.

use core::{net::IpAddr, time::Duration};

use super::{Sensor, Sighting, conversation::ConversationId};
use crate::Time;

/// A sign that somebody may be up to something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weak {
    /// When it was seen.
    pub at: Time,
    /// Whose it is.
    pub source: IpAddr,
    /// What it is.
    pub sign: Sign,
    /// Whether the source did honest work here within the last 24 hours.
    pub known: bool,
}

/// What may be a sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sign {
    /// A port was asked and nothing came of it.
    Probed {
        /// The local address.
        host: IpAddr,
        /// The local port.
        port: u16,
        /// Whether a handshake was completed, and carried nothing; else anybody could have forged it.
        proven: bool,
    },
    /// A login over a proven connection failed.
    LoginFailed(LoginKind),
    /// Somebody got in: what failed before were typos.
    LoginAccepted,
}

crate::class::named! {
    /// What was logged in to. Web forms and interfaces are left out: programs whose tokens ran out fail there by the
    /// dozen.
    LoginKind {
        /// SSH.
        Ssh = "ssh",
        /// Mail, files, databases, remote desktops.
        Other = "other",
    }
}

/// Signs that may wait to be taken: they are taken every 100 ms.
const MAX_WEAK: usize = 1024;
/// Attempts that are looked at again at once: some eighty a second are enough to add up over a fleet, and in a flood the
/// rest is left out.
const MAX_ATTEMPTS: usize = 256;
/// After this long an attempt was in vain: retransmissions come after one and three seconds.
const IN_VAIN: Duration = Duration::from_secs(3);

/// A connection attempt that nobody has followed yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    at: Time,
    source: IpAddr,
    host: IpAddr,
    port: u16,
    id: ConversationId,
}

impl Sensor {
    /// The next sign of what adds up over the fleet. To be called until there is none, every 100 ms.
    pub fn poll_weak(&mut self, now: Time) -> Option<Weak> {
        self.now = self.now.max(now);
        while let Some(attempt) = self.attempts.front().copied() {
            if self.now.since(attempt.at) < IN_VAIN {
                break;
            }
            self.attempts.pop_front();
            let followed = self.conversations.get(attempt.id, &attempt.id).is_none_or(|c| c.state.followed());
            if !followed && !self.blocked.contains(attempt.source) {
                let Attempt { source, host, port, .. } = attempt;
                self.weak(source, Sign::Probed { host, port, proven: false });
            }
        }
        self.weak.pop_front()
    }

    /// Looks at an attempt again when it should have led to something.
    pub(super) fn attempt(&mut self, seen: &Sighting, port: u16, id: impl FnOnce() -> ConversationId) {
        if self.attempts.len() < MAX_ATTEMPTS {
            let (source, host) = (seen.remote, seen.local);
            self.attempts.push_back(Attempt { at: self.now, source, host, port, id: id() });
        }
    }

    pub(super) fn weak(&mut self, source: IpAddr, sign: Sign) {
        if self.weak.len() >= MAX_WEAK {
            self.stats.weak_dropped += 1;
            return;
        }
        let known = self.acquaintances.is_known(&self.keyed, self.now, source);
        self.weak.push_back(Weak { at: self.now, source, sign, known });
    }
}
