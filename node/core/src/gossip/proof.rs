//! Those who lie, and those who were expelled: nothing of them is taken; the orders that they only carried stand.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::{hash::Hasher, time::Duration};

use siphasher::sip::SipHasher24;

use super::{
    Audience, Gossip, Now,
    clock::{Point, end, left, point},
    hash,
    held::Held,
    message::{Effect, Kept, Message, Refused, Report, Voided},
    outbox::Then,
    peers::FULL_MESH,
};
use crate::{
    Time,
    fleet::{Entry, LogId, NodeId, SignedRun, VerifiedRun, Version},
};

/// An order whose carrier is void is said again by one of those who hold it, the first to come to it; the others hear
/// it within this time. In a large fleet, and where they are many, they take their time: nobody needs them at once but
/// who joins.
const ADOPTION: Duration = Duration::from_secs(10);
/// So many wait no longer than that.
const PACE: usize = 512;

/// Orders that wait for that: as many as there may be.
const ORPHANS: usize = 20_000;

/// Orders without a carrier, and how often each is carried.
#[derive(Clone, Debug, Default)]
pub(super) struct Orphans {
    waiting: BTreeMap<(Time, u64), (Point, Entry)>,
    count: u64,
    carried: BTreeMap<u64, usize>,
    /// Void runs, on disk until the orders that they carried are said again.
    leaving: Vec<(u64, Version)>,
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
        self.waiting.first_key_value().map_or(Time::NEVER, |((at, _), _)| *at)
    }

    fn wait(&mut self, at: Time, until: Point, entry: Entry) {
        self.count += 1;
        self.waiting.insert((at, self.count), (until, entry));
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
            known.quarantine(runs.clone());
        }
        self.logs.recharge(tag);
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
            self.bereave(now, &id, key, &held);
        }
    }

    /// A run of the store that is void by now: what it carries may not have been said again yet.
    pub(super) fn inherit(&mut self, now: Now, log: &LogId, run: VerifiedRun, born: Point, stored: bool) {
        if stored {
            let key = run.header().version(0);
            let (held, _) = Held::new(hash::tag(log), run, born, now, false);
            self.bereave(now, log, key, &held);
        }
    }

    /// A run is void. It leaves the disk at once, or when its orders are said again.
    fn bereave(&mut self, now: Now, log: &LogId, key: Version, held: &Held) {
        let orders =
            held.entries.iter().map(|(_, entry)| entry).filter(|entry| matches!(entry, Entry::Order(_)));
        let mut waits = false;
        for entry in orders.filter(|_| log.site.is_none()) {
            let until = end(held.born, entry.lasts());
            if until > point(now.steady) {
                waits |= self.orphan(now, until, entry);
            }
        }
        if waits {
            self.orphans.leaving.push((hash::tag(log), key));
        } else {
            self.outbox.persist(Kept::Gone { log: log.clone(), version: key }, Then::Nothing);
        }
    }

    /// An order has lost a carrier. Whether there is room for it to wait.
    fn orphan(&mut self, now: Now, until: Point, order: &Entry) -> bool {
        let waiting = self.orphans.waiting.len();
        if waiting >= ORPHANS {
            self.counters.orders_lost += 1;
            self.outbox.report(now.steady, 0, Report::OrdersLost { limit: ORPHANS });
            return false;
        }
        let pace = 1 + self.peers.members() / FULL_MESH + waiting / PACE;
        let window = ADOPTION.saturating_mul(u32::try_from(pace).unwrap_or(u32::MAX));
        self.orphans.wait(now.steady.after(self.chance.within(window)), until, order.clone());
        true
    }

    /// Says orders again that nobody carries any more.
    pub(super) fn adopt(&mut self, now: Now) {
        while self.orphans.due() <= now.steady {
            let Some((_, (until, entry))) = self.orphans.waiting.pop_first() else { return };
            let carried = name(&entry).is_some_and(|name| self.orphans.carried.contains_key(&name));
            if carried || until <= point(now.steady) {
                continue;
            }
            match self.append(now, Audience::Cluster, entry.lasting(left(until, now))) {
                Ok(()) => {}
                // The disk has to come to it first; and whoever may say nothing keeps it until somebody else has.
                Err(Refused::Full { .. } | Refused::Quarantined) => {
                    self.orphans.wait(now.steady.after(ADOPTION), until, entry)
                }
                Err(_) => self.counters.refused += 1,
            }
        }
        self.seal(now);
    }

    /// Void runs leave the disk once everything that they carried is on its way there under another name.
    pub(super) fn leave(&mut self) {
        if self.orphans.waiting.is_empty() && self.own.waiting() == 0 {
            for (tag, key) in core::mem::take(&mut self.orphans.leaving) {
                self.gone(tag, key);
            }
        }
    }

    /// The logs whose origins were found lying.
    pub fn quarantined(&self) -> BTreeSet<LogId> {
        self.logs.iter().filter(|log| log.quarantine.is_some()).map(|log| log.id.clone()).collect()
    }
}
