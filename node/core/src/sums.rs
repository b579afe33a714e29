//! Fleet detection: weak evidence that no node would judge alone, added up.
//!
//! Each source (IPv6 by /64) has two owners by rendezvous hash over the members. A node tells them, once a second, the
//! strongest of what has changed of its small, fading counters; an owner adds up what several nodes say and decides.
//! ```text
//! sensor: Weak -> Local -> Contribution -> the source's two owners -> Verdict (detector `fleet`)
//!                      \-> Failing      -> the campaigns' two owners -> Campaign -> everybody
//! ```
//! What one node says is capped so that neither it nor two together reach a decision: it takes three. A campaign (many
//! sources with few failed logins each) exists only if it does so without the word of any single node; while it lasts,
//! three failures of one source are enough.
//!
//! Only handshakes lead to a block. What could be forged adds up to an alert, or anybody could be framed.

mod campaign;
mod local;
mod message;
mod owned;
mod owners;

use alloc::{
    collections::{BTreeSet, VecDeque},
    string::String,
    vec::Vec,
};
use core::{net::IpAddr, time::Duration};

use crate::{
    Class, Detector, Evidence, Features, Reason, Subject, Time, Verdict,
    fleet::NodeId,
    sensor::{LoginKind, Sign, Weak},
    verdict::Standing,
};
use campaign::Campaigns;
pub use campaign::Failing;
use local::Local;
pub use message::{Contribution, FAILING_BYTES, MAX_CONTRIBUTIONS, MAX_PROBES, SumsMessage};
use owned::Owned;
use owners::Ring;

/// Weak evidence fades with this half-life: a port every five minutes still adds up to five at the sixth, and what is an
/// hour old is gone.
pub const HALF_LIFE: Duration = Duration::from_secs(30 * 60);
/// After this long it is forgotten.
pub const MEMORY: Duration = Duration::from_secs(3600);
/// Who got in is not suspected of guessing for a day.
pub const TRUSTED: Duration = Duration::from_secs(24 * 3600);
/// So many nodes have to see something, at least two of which do not lie.
pub const NODES: usize = 3;

/// Ports asked in vain, over all nodes. Five, because a monitor's first round over a small fleet is as small as that;
/// who asks for nothing new afterwards is not decided about again.
const PROBES: f32 = 5.0;
/// Of which one node can claim two: two nodes reach four.
const PROBES_OF_ONE: f32 = 2.0;
/// Failed logins, over all nodes. The limit of one node is eight; a person who tries an old password twice on each of
/// five hosts, and gives up, has failed ten times.
const FAILURES: f32 = 12.0;
/// Of which one node can claim four: two that lie need a third that has really seen as many.
const FAILURES_OF_ONE: f32 = 4.0;
/// Failed logins in a campaign, on one node or over several. A typo or two are never enough.
const CAMPAIGN_FAILURES: f32 = 3.0;
/// Of which another node can claim two: one node's word is not enough.
const CAMPAIGN_FAILURES_OF_ONE: f32 = 2.0;
/// One verdict a minute and source: policy wants to know that it goes on.
const AGAIN: Duration = Duration::from_secs(60);
/// How often what has changed is told.
const TICK: Duration = Duration::from_secs(1);
/// Effects that wait to be taken: as many as one call can make in the largest fleet.
const MAX_EFFECTS: usize = 16_384;

/// What the machine wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum SumsEffect {
    /// Tell this member.
    Send(NodeId, SumsMessage),
    /// The fleet together has seen enough.
    Decide(Verdict),
}

/// Counters since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SumsStats {
    /// Signs of our own that found no place.
    pub full_local: u64,
    /// Contributions of others that found no place, or were beyond their sender's share.
    pub full_owned: u64,
    /// Messages from who is no member, or of whom nobody asked.
    pub refused: u64,
    /// Messages and verdicts that nobody took in time.
    pub dropped: u64,
    /// Verdicts.
    pub decided: u64,
}

/// The machine. Call [`poll_effect`](Self::poll_effect) until it is empty after every other call.
#[derive(Debug)]
pub struct Sums {
    me: NodeId,
    ring: Ring,
    local: Local,
    owned: Owned,
    campaigns: Campaigns,
    tick_at: Time,
    effects: VecDeque<SumsEffect>,
    stats: SumsStats,
}

impl Sums {
    /// Sums of the fleet `cluster`, in which nobody else is known yet.
    pub fn new(me: NodeId, cluster: &str, now: Time) -> Self {
        Self {
            me,
            ring: Ring::new(cluster, me),
            local: Local::default(),
            owned: Owned::default(),
            campaigns: Campaigns::default(),
            tick_at: now.after(TICK),
            effects: VecDeque::new(),
            stats: SumsStats::default(),
        }
    }

    /// The members that are alive and detect, with or without this node.
    pub fn set_members(&mut self, alive: impl Iterator<Item = NodeId>) {
        if self.ring.set_members(alive) {
            // What has other owners now is told to them; the others hear nothing new.
            self.local.tell_again();
        }
    }

    /// Our own sensor has seen something.
    pub fn handle_observation(&mut self, now: Time, weak: Weak) {
        let source = owners::key(weak.source);
        match weak.sign {
            Sign::Probed { host, port, proven } => {
                let probe = self.ring.probe(host, port);
                self.stats.full_local += u64::from(!self.local.probed(now, source, &weak, probe, proven));
            }
            Sign::LoginFailed(kind) => {
                self.stats.full_local += u64::from(!self.local.failed(now, source, &weak, kind));
                if self.campaigns.is_on(now, &self.ring, kind) {
                    self.judge_own(now, kind, Some(source));
                }
            }
            Sign::LoginAccepted => self.local.accepted(now, source, &weak),
        }
    }

    /// Another member has told something.
    pub fn handle_message(&mut self, now: Time, from: NodeId, message: SumsMessage) {
        if !self.ring.contains(&from) || from == self.me {
            self.stats.refused += 1;
            return;
        }
        self.take(now, from, message);
    }

    /// What is due by `now`.
    pub fn handle_timeout(&mut self, now: Time) {
        if now < self.tick_at {
            return;
        }
        self.tick_at = now.after(TICK);
        self.local.forget(now);
        self.owned.forget(now);
        self.judge_owned(now);
        self.tell_owners(now);
        self.tell_failing(now);
        let alarms = self.campaigns.see(now, &self.ring);
        for kind in alarms {
            self.raise(now, kind);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub const fn poll_timeout(&self) -> Time {
        self.tick_at
    }

    /// What to do next.
    pub fn poll_effect(&mut self) -> Option<SumsEffect> {
        self.effects.pop_front()
    }

    /// Counters since the start.
    pub const fn stats(&self) -> SumsStats {
        self.stats
    }

    /// Whether many sources are guessing at logins all over the fleet now.
    pub fn campaign(&self, now: Time, kind: LoginKind) -> bool {
        self.campaigns.is_on(now, &self.ring, kind)
    }

    fn take(&mut self, now: Time, from: NodeId, message: SumsMessage) {
        match message {
            SumsMessage::Weak(contributions) => {
                for contribution in contributions.into_iter().take(MAX_CONTRIBUTIONS) {
                    self.contributed(now, from, contribution);
                }
            }
            SumsMessage::Failing(kind, sources) => {
                if !self.campaigns.failing(now, from, kind, sources) {
                    self.stats.full_owned += 1;
                }
            }
            SumsMessage::Campaign(kind) => {
                if !self.ring.owners_of_campaign(kind).contains(&from) {
                    self.stats.refused += 1;
                    return;
                }
                let before = self.campaigns.is_on(now, &self.ring, kind);
                self.campaigns.alarmed(now, from, kind);
                if !before && self.campaigns.is_on(now, &self.ring, kind) {
                    self.judge_own(now, kind, None);
                    self.owned.judge_all_again();
                }
            }
        }
    }

    fn contributed(&mut self, now: Time, from: NodeId, contribution: Contribution) {
        let source = owners::key(contribution.address);
        if !self.owned.add(now, (from, from == self.me), source, contribution) {
            self.stats.full_owned += 1;
        }
    }

    /// Judges what has changed since the last time: not at once, so that what several nodes say at the same time, an
    /// accepted login above all, is there before.
    fn judge_owned(&mut self, now: Time) {
        let campaigns = LoginKind::ALL.iter().map(|kind| self.campaigns.is_on(now, &self.ring, *kind));
        let campaigns: Vec<_> = campaigns.collect();
        for source in self.owned.changed() {
            let findings = self.owned.judge(now, source, &campaigns);
            self.decide_all(now, findings);
        }
    }

    /// Sources whose few failures we have seen ourselves: in a campaign they are enough.
    fn judge_own(&mut self, now: Time, kind: LoginKind, source: Option<IpAddr>) {
        let findings = self.local.guessing(now, kind, source);
        self.decide_all(now, findings);
    }

    /// The strongest of what has changed, to each source's owners.
    fn tell_owners(&mut self, now: Time) {
        let mut letters: alloc::collections::BTreeMap<NodeId, Vec<Contribution>> = Default::default();
        for (source, contribution) in self.local.changed(now) {
            for owner in self.ring.owners_of(source) {
                letters.entry(owner).or_default().push(contribution.clone());
            }
        }
        for (owner, letter) in letters {
            self.tell(now, owner, SumsMessage::Weak(letter));
        }
    }

    fn tell_failing(&mut self, now: Time) {
        for kind in LoginKind::ALL.iter().copied() {
            let ring = &self.ring;
            if let Some(sources) = self.local.failing(now, kind, |source| ring.spread(source)) {
                for owner in self.ring.owners_of_campaign(kind) {
                    self.tell(now, owner, SumsMessage::Failing(kind, sources));
                }
            }
        }
    }

    /// Tells everybody, and ourselves, that a campaign is on.
    fn raise(&mut self, now: Time, kind: LoginKind) {
        let members: BTreeSet<_> = self.ring.members().collect();
        for member in members {
            self.tell(now, member, SumsMessage::Campaign(kind));
        }
    }

    fn tell(&mut self, now: Time, to: NodeId, message: SumsMessage) {
        if to == self.me {
            self.take(now, to, message);
        } else {
            self.push(SumsEffect::Send(to, message));
        }
    }

    fn decide_all(&mut self, now: Time, findings: Vec<Finding>) {
        for finding in findings {
            self.stats.decided += 1;
            self.push(SumsEffect::Decide(finding.verdict(now)));
        }
    }

    fn push(&mut self, effect: SumsEffect) {
        if self.effects.len() < MAX_EFFECTS {
            self.effects.push_back(effect);
        } else {
            self.stats.dropped += 1;
        }
    }
}

/// What was found out about an address.
#[derive(Debug)]
struct Finding {
    address: IpAddr,
    class: Class,
    rule: &'static str,
    /// `None`: nothing proves whose packets these are, and policy only reports.
    evidence: Option<Evidence>,
    measured: f32,
    limit: f32,
    text: String,
    known: bool,
}

impl Finding {
    fn verdict(self, at: Time) -> Verdict {
        let (measured, limit) = (f64::from(self.measured), f64::from(self.limit));
        Verdict {
            at,
            subject: Subject::Source(self.address),
            class: self.class,
            // At the limit eight in ten: less than who has seen all of it with his own eyes.
            confidence: 1.0 - 0.2 * (limit / measured.max(limit)) as f32,
            detector: Detector::Fleet,
            evidence: self.evidence,
            reason: Reason { rule: self.rule.into(), measured, limit, text: self.text },
            features: Features::default(),
            standing: Standing { known: self.known, ..Standing::default() },
        }
    }
}

/// What is left of evidence after `age`.
fn faded(age: Duration) -> f32 {
    if age > MEMORY { 0.0 } else { libm::exp2f(-age.as_secs_f32() / HALF_LIFE.as_secs_f32()) }
}

#[cfg(test)]
mod tests;
