//! Those who lie, and those who were expelled: nothing of them is taken; the orders that they only carried stand.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec::Vec,
};
use core::{hash::Hasher, time::Duration};

use siphasher::sip::SipHasher24;

use super::{
    Audience, Gossip, Now,
    clock::{Point, left, point},
    hash,
    held::Held,
    message::{Effect, Kept, Message, Report, Voided},
    outbox::Then,
};
use crate::{
    Time,
    fleet::{Entry, LogId, NodeId, SignedRun, VerifiedRun},
};

/// An order whose carrier is void is said again by one of those who hold it, the first to come to it; the others hear
/// it within this time.
const ADOPTION: Duration = Duration::from_secs(10);

/// Orders that wait for that; an operator gives few.
const ORPHANS: usize = 1024;

/// Orders without a carrier, and how often each is carried.
#[derive(Clone, Debug, Default)]
pub(super) struct Orphans {
    waiting: VecDeque<(Time, Point, Entry)>,
    carried: BTreeMap<u64, usize>,
}

impl Orphans {
    pub(super) fn carried(&mut self, entries: &[Entry]) {
        for order in entries.iter().filter_map(name) {
            *self.carried.entry(order).or_default() += 1;
        }
    }

    pub(super) fn dropped(&mut self, held: &Held) {
        for order in held.entries.iter().filter_map(|(_, entry)| name(entry)) {
            if let Some(count) = self.carried.get_mut(&order) {
                *count -= 1;
                if *count == 0 {
                    self.carried.remove(&order);
                }
            }
        }
    }

    pub(super) fn due(&self) -> Time {
        self.waiting.front().map_or(Time::NEVER, |(at, ..)| *at)
    }
}

/// Tells orders apart.
fn name(entry: &Entry) -> Option<u64> {
    let Entry::Order(order) = entry else { return None };
    let mut hasher = SipHasher24::new_with_keys(0x736d_6172_7466_7704, 0);
    hasher.write(&order.bytes);
    Some(hasher.finish())
}

impl Gossip {
    /// Two runs of one log were signed under one version.
    pub(super) fn accuse(
        &mut self,
        now: Now,
        log: LogId,
        runs: (SignedRun, SignedRun),
        from: Option<NodeId>,
    ) {
        let tag = hash::tag(&log);
        let Some(known) = self.logs.get_mut(tag) else { return };
        if known.quarantine.is_some() {
            return;
        }
        self.outbox.push(Effect::Report(Report::DoubleSigned(log.clone())));
        self.void_log(now, tag, Voided::Quarantined);
        if let Some(known) = self.logs.get_mut(tag) {
            let _none = known.quarantine(runs.clone());
        }
        self.counters.quarantined += 1;
        self.outbox.persist(Kept::Proof { log, runs: Box::new(runs) }, Then::Accuse { tag, from });
    }

    /// Somebody, or our store, has a proof.
    pub(super) fn take_proof(
        &mut self,
        now: Now,
        from: Option<NodeId>,
        (one, other): (VerifiedRun, VerifiedRun),
    ) {
        let (a, b) = (one.header(), other.header());
        let overlap = a.epoch == b.epoch && a.first <= other.last() && b.first <= one.last();
        let site = a.site.as_ref().is_none_or(|site| *site == self.config.site);
        if a.log() != b.log() || !overlap || one.signed().bytes == other.signed().bytes || !site {
            let Some(member) = from else { return };
            let report = Report::Nonsense { member, what: "a proof that proves nothing" };
            return self.outbox.report(now.steady, member.short(), report);
        }
        let log = a.log();
        let (me, peers) = (self.me, &self.peers);
        if self.logs.open(&log, |origin| *origin == me || peers.is_member(origin)).is_none() {
            return self.outbox.report(now.steady, 0, Report::Full);
        }
        self.accuse(now, log, (one.signed().clone(), other.signed().clone()), from);
    }

    /// Tells a member what proves a log's origin a liar.
    pub(super) fn send_proof(&mut self, member: NodeId, tag: u64) {
        let Some(log) = self.logs.get(tag) else { return };
        if let Some(runs) = log.quarantine.clone().filter(|_| self.peers.sees(&member, &log.id)) {
            self.outbox.push(Effect::Send(member, Message::Proof(Box::new(runs))));
        }
    }

    pub(super) fn revoke(&mut self, now: Now, member: NodeId) {
        self.logs.revoke(member);
        let tags: Vec<u64> =
            self.logs.iter().filter(|log| log.id.origin == member).map(|log| log.tag).collect();
        for tag in tags {
            self.void_log(now, tag, Voided::Revoked);
        }
        self.handle_disconnected(now, member);
    }

    /// Voids all that a log says but orders, which are to be said again, and lets its runs go.
    fn void_log(&mut self, now: Now, tag: u64, why: Voided) {
        let Some(log) = self.logs.get(tag) else { return };
        let id = log.id.clone();
        let living = log.tops().filter(|(_, top)| top.until > point(now.steady));
        let living: Vec<_> = living.map(|(target, top)| (*target, top.version)).collect();
        let keys: Vec<_> = log.runs().keys().copied().collect();
        for (target, upto) in living {
            self.outbox.push(Effect::Void { log: id.clone(), target, upto, why });
        }
        for key in keys {
            let Some(held) = self.logs.forget(tag, key) else { continue };
            self.orphans.dropped(&held);
            self.orphan(now, id.site.is_some(), &held);
            self.outbox.persist(Kept::Gone { log: id.clone(), version: key }, Then::Nothing);
        }
    }

    /// The orders of a run have lost a carrier.
    fn orphan(&mut self, now: Now, site: bool, held: &Held) {
        let orders = held.entries.iter().filter(|(_, entry)| matches!(entry, Entry::Order(_)));
        for (_, entry) in orders.filter(|_| !site) {
            let until = super::clock::end(held.born, entry.lasts());
            if until > point(now.steady) && self.orphans.waiting.len() < ORPHANS {
                let at = now.steady.after(self.chance.within(ADOPTION));
                let later = self.orphans.waiting.partition_point(|(due, ..)| *due <= at);
                self.orphans.waiting.insert(later, (at, until, entry.clone()));
            }
        }
    }

    /// Says orders again that nobody carries any more.
    pub(super) fn adopt(&mut self, now: Now) {
        while self.orphans.due() <= now.steady {
            let Some((_, until, entry)) = self.orphans.waiting.pop_front() else { return };
            let carried = name(&entry).is_some_and(|name| self.orphans.carried.contains_key(&name));
            if !carried && until > point(now.steady) {
                let again = entry.lasting(left(until, now));
                if self.append(now, Audience::Cluster, again).is_err() {
                    self.counters.refused += 1;
                }
            }
        }
        self.seal(now);
    }

    /// The logs whose origins were found lying.
    pub fn quarantined(&self) -> BTreeSet<LogId> {
        self.logs.iter().filter(|log| log.quarantine.is_some()).map(|log| log.id.clone()).collect()
    }
}
