//! What a fleet's members say, replicated: each origin's log of signed runs, on every member.
//!
//! [`Gossip`] pushes what is new, finds by digests what is missing, pulls it, and says what lives of it. It holds no
//! handle to anything: after each input the driver takes effects until there are none, and calls
//! [`Gossip::handle_timeout`] by [`Gossip::poll_timeout`]. At start it gives back what the store kept
//! ([`Gossip::restore`]) and then calls [`Gossip::start`].
//!
//! ```text
//! append ─▶ own (reserve, sign) ─▶ take ─▶ Apply, Persist ─▶ handle_persisted ─▶ push ─▶ Send
//! Runs of others ─────────────────▲
//! Digest differs ─▶ Summary ─▶ Vectors ─▶ Pull ─▶ Runs
//! ```

mod chains;
mod clock;
mod compact;
mod hash;
mod held;
mod log;
mod logs;
mod message;
mod outbox;
mod own;
mod peers;
mod proof;
mod pull;
mod push;
mod queries;
mod ranges;
mod repair;
mod take;

#[cfg(test)]
mod tests;

use alloc::{boxed::Box, string::String, vec::Vec};
use core::time::Duration;

use crate::{
    Time,
    fleet::{Entry, LogId, NodeId, Signer, VerifiedRun},
};

pub use clock::{Now, TOLERANCE};
pub use logs::Limits;
pub use message::{
    Carried, Effect, FLIGHT, Kept, LOGS, Message, More, RUNS, Refused, Report, Reserved, Row, SPANS, Span,
    Summary, Ticket, Voided, WANTS, Want,
};
pub use own::PENDING;
pub use peers::{FULL_MESH, Member};
pub use queries::{Counters, Listed};

/// How often digests are sent, clocks judged and what is over let go.
const BEAT: Duration = Duration::from_secs(1);

/// Who a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The cluster's name: it is signed with everything.
    pub cluster: String,
    /// The site that its certificate names.
    pub site: String,
    /// How much it keeps.
    pub limits: Limits,
}

/// What a driver gives back from the store.
#[derive(Clone, Debug, PartialEq)]
pub enum Restored {
    /// The sequences reserved.
    Reserved(Reserved),
    /// A run, recalled, and how old it is by now.
    Run(Box<VerifiedRun>, Duration),
    /// What of a log is over and gone.
    Over(LogId, Vec<Span>),
    /// Two runs that prove their origin a liar.
    Proof(Box<(VerifiedRun, VerifiedRun)>),
}

/// Whom an entry is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Audience {
    /// The whole cluster.
    Cluster,
    /// The members of the own site.
    Site,
}

/// The replicated logs, as one member holds them.
pub struct Gossip {
    config: Config,
    me: NodeId,
    clocks: clock::Clocks,
    logs: logs::Logs,
    own: own::Own,
    peers: peers::Peers,
    pulls: pull::Pulls,
    looks: repair::Looks,
    orphans: proof::Orphans,
    outbox: outbox::Outbox,
    chance: crate::chance::Chance,
    counters: Counters,
    beat_at: Time,
}

impl Gossip {
    /// A member that knows nothing yet. The same seed and inputs give the same effects.
    pub fn new(config: Config, signer: Box<dyn Signer + Send>, seed: u64) -> Self {
        let me = signer.id();
        Self {
            me,
            clocks: clock::Clocks::default(),
            logs: logs::Logs::new(config.limits),
            own: own::Own::new(signer),
            peers: peers::Peers::new(me, config.site.clone()),
            pulls: pull::Pulls::default(),
            looks: repair::Looks::default(),
            orphans: proof::Orphans::default(),
            outbox: outbox::Outbox::default(),
            chance: crate::chance::Chance::new(seed ^ me.short()),
            counters: Counters::default(),
            beat_at: Time::NEVER,
            config,
        }
    }

    /// Takes back what the store kept, before [`start`](Self::start).
    pub fn restore(&mut self, now: Now, restored: Restored) {
        match restored {
            Restored::Reserved(reserved) => self.own.restore(reserved),
            Restored::Run(run, age) => self.take_stored(now, *run, age),
            Restored::Over(log, spans) => self.restore_dead(&log, &spans),
            Restored::Proof(runs) => self.take_proof(now, None, *runs),
        }
    }

    /// Begins: everything stored is restored. Without a reservation in the store it is a new one, and has an epoch of
    /// its own.
    pub fn start(&mut self, now: Now) {
        self.start_epoch(now);
        self.beat_at = now.steady.after(self.chance.within(BEAT));
    }

    /// Says something. It is signed at the next timeout, which is due at once, together with what else is said until
    /// then, and sent when it is on disk.
    ///
    /// # Errors
    /// When too much waits for the disk, nothing may be said any more, or the entry is too long. It is not said.
    pub fn append(&mut self, now: Now, audience: Audience, entry: Entry) -> Result<(), Refused> {
        if self.logs.get(self.own_tag(audience)).is_some_and(|log| log.quarantine.is_some()) {
            return Err(Refused::Quarantined);
        }
        self.own.append(now, audience, entry)
    }

    /// The store has kept everything up to this ticket.
    pub fn handle_persisted(&mut self, now: Now, upto: Ticket) {
        let done = self.outbox.persisted(upto);
        self.own.persisted(upto);
        self.after_persisted(now, done);
        self.seal(now);
        self.pump(now);
    }

    /// The members that are alive, without this one.
    pub fn handle_members(&mut self, now: Now, members: Vec<Member>) {
        if let Some(neighbours) = self.peers.set_members(&mut self.chance, members) {
            self.outbox.push(Effect::Neighbours(neighbours));
        }
        self.pump(now);
    }

    /// A stream to a member was opened, by either side.
    pub fn handle_connected(&mut self, now: Now, member: NodeId) {
        if self.peers.connected(now.steady, member) {
            self.send_digest(now, member);
        }
    }

    /// The stream to a member is closed: what was on its way may be lost.
    pub fn handle_disconnected(&mut self, now: Now, member: NodeId) {
        self.peers.disconnected(&member);
        self.pulls.forget(&member);
        self.looks.forget(&member);
        self.pump(now);
    }

    /// A member was expelled: everything it said is void, and nothing more of it is taken. Operators' orders that it
    /// carried are said again by others.
    pub fn handle_revoked(&mut self, now: Now, member: NodeId) {
        self.revoke(now, member);
    }

    /// A member says something.
    pub fn handle_message(&mut self, now: Now, from: NodeId, message: Message<VerifiedRun>) {
        if from == self.me || self.logs.revoked(&from) {
            return;
        }
        self.peers.hear(&from);
        match message {
            Message::Digest { all, wall } => self.handle_digest(now, from, all, wall),
            Message::Summary(all) => self.handle_summary(now, from, &all),
            Message::Vectors { rows, answer } => self.handle_vectors(now, from, rows, answer),
            Message::Pull(wants) => self.handle_pull(now, from, &wants),
            Message::Runs { runs, answers } => self.handle_runs(now, from, runs, answers),
            Message::Proof(runs) => self.take_proof(now, Some(from), *runs),
            Message::Enforced { origin, site, span } => {
                self.outbox.push(Effect::Enforced { member: from, origin, site, span });
            }
        }
    }

    /// This member's kernel drops what `origin` (or this member itself) said under these versions: all who may see that
    /// log are told. In a large fleet its origin alone is, and only over a stream that is open: it is no reason for all
    /// to dial the one who is attacked.
    pub fn confirm(&mut self, origin: NodeId, site: bool, span: Span) {
        let told = if self.peers.is_small() {
            self.peers.audience(Time::ZERO, &mut self.chance, site, true)
        } else {
            let open = origin != self.me && self.peers.link(&origin).is_some();
            open.then_some(origin).into_iter().collect()
        };
        told.into_iter().for_each(|to| self.confirm_to(to, origin, site, span));
    }

    /// The same for one member, which was not there to hear it.
    pub fn confirm_to(&mut self, to: NodeId, origin: NodeId, site: bool, span: Span) {
        let hears = self.peers.is_small() && (!site || self.peers.of_our_site(&to));
        if hears || (!self.peers.is_small() && to == origin) {
            self.outbox.push(Effect::Send(to, Message::Enforced { origin, site, span }));
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Now) {
        self.seal(now);
        self.adopt(now);
        self.expire(now);
        self.sweep(now);
        if now.steady >= self.beat_at {
            self.beat_at = now.steady.after(BEAT);
            self.clocks.expire(now);
            self.beat(now);
            self.compact(now);
            self.write_dead(now);
            self.leave();
        }
        self.pump(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due, by the steady clock.
    pub fn poll_timeout(&self) -> Time {
        let times = [self.beat_at, self.own.due(), self.logs.due(), self.orphans.due(), self.pulls.due()];
        times.into_iter().min().unwrap_or(Time::NEVER)
    }

    /// What shall be done next.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.outbox.pop()
    }
}
