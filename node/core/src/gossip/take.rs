//! A run comes in: from this member, from another, or from the store.

use alloc::vec::Vec;
use core::time::Duration;

use super::{
    Audience, Gossip, Now,
    clock::{age, ago, end, left, point},
    hash,
    held::Held,
    log::{Fit, Log, Outcome},
    logs::NoRoom,
    message::{Carried, Effect, Kept, More, Report, Span, Voided},
    outbox::Then,
    own::{LAST_EPOCH, LAST_SEQUENCE},
};
use crate::fleet::{Entry, LogId, NodeId, VerifiedRun, Version};

/// A floor voids what lies below it only after this: what the origin says again above it may still be on its way.
const SWEEP: Duration = Duration::from_secs(30);

/// Where a run comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Own,
    Member { from: NodeId, pulled: bool },
    Store,
}

impl Gossip {
    pub(super) fn take_own(&mut self, now: Now, run: VerifiedRun) {
        self.take(now, run, point(now.steady), Source::Own);
    }

    pub(super) fn take_stored(&mut self, now: Now, run: VerifiedRun, age: Duration) {
        if self.nonsense(&run).is_none() {
            self.take(now, run, ago(age, now), Source::Store);
        }
    }

    pub(super) fn restore_dead(&mut self, log: &LogId, spans: &[Span]) {
        if let Some(log) = self.logs.open(log, |_| true) {
            log.restore_dead(spans);
        }
    }

    /// A member sends runs.
    pub(super) fn handle_runs(
        &mut self,
        now: Now,
        from: NodeId,
        runs: Vec<Carried<VerifiedRun>>,
        answers: Option<More>,
    ) {
        let pulled = answers.is_some();
        let mut sent = Vec::new();
        let mut fresh = false;
        for Carried { run, age } in runs {
            if let Some(what) = self.nonsense(&run) {
                self.outbox.report(now.steady, from.short(), Report::Nonsense { member: from, what });
                continue;
            }
            sent.push((hash::tag(&run.header().log()), run.header().version(0), run.last()));
            let born = self.clocks.born(now, run.header().issued, age);
            fresh |= self.take(now, run, born, Source::Member { from, pulled });
        }
        if let Some(More(more)) = answers {
            self.pulled(now, from, &sent, fresh, more);
        }
    }

    /// Takes a run that makes sense. Whether it was news.
    fn take(&mut self, now: Now, run: VerifiedRun, born: i64, source: Source) -> bool {
        let log = run.header().log();
        let (first, last) = (run.header().version(0), run.last());
        if log.origin == self.me && source != Source::Own {
            let audience = if log.site.is_some() { Audience::Site } else { Audience::Cluster };
            self.hear_own_unless_held(now, audience, &log, first, last);
        }
        if self.logs.revoked(&log.origin) {
            self.inherit(now, &log, run, born, source == Source::Store);
            return false;
        }
        let (me, peers) = (self.me, &self.peers);
        let Some(known) = self.logs.open(&log, |origin| *origin == me || peers.is_member(origin)) else {
            self.counters.refused += 1;
            self.outbox.report(now.steady, 0, Report::Full);
            return false;
        };
        if known.quarantine.is_some() {
            self.inherit(now, &log, run, born, source == Source::Store);
            return false;
        }
        match known.fit(first, last, run.signed()) {
            Fit::New => return self.keep(now, &log, run, born, source),
            Fit::Held => self.counters.repeated += 1,
            Fit::Below if source == Source::Store => self.gone(hash::tag(&log), first),
            Fit::Below => {}
            Fit::Fork(other) => {
                self.accuse(now, log, (other, run.signed().clone()), source.from());
                return true;
            }
        }
        false
    }

    /// What of a run's header no honest origin says, or does not say to us.
    fn nonsense(&self, run: &VerifiedRun) -> Option<&'static str> {
        let header = run.header();
        if header.site.as_ref().is_some_and(|site| *site != self.config.site) {
            Some("another site's log")
        } else if header.cluster != self.config.cluster {
            Some("another cluster's log")
        } else if header.epoch == 0 || header.epoch > LAST_EPOCH {
            Some("an epoch beyond all clocks")
        } else if header.first == 0 || run.last() > LAST_SEQUENCE || run.entries().is_empty() {
            Some("a sequence beyond all logs")
        } else if header.floor > header.version(0) {
            Some("a floor above the run")
        } else {
            None
        }
    }

    fn hear_own_unless_held(&mut self, now: Now, audience: Audience, log: &LogId, first: Version, last: u64) {
        let held = self.logs.get(hash::tag(log)).is_some_and(|log| log.runs().contains_key(&first));
        if !held {
            self.hear_own(now, audience, Version { sequence: last, ..first });
        }
    }

    /// Whether there is room for it.
    fn keep(&mut self, now: Now, log: &LogId, run: VerifiedRun, born: i64, source: Source) -> bool {
        let tag = hash::tag(log);
        let key = run.header().version(0);
        let (held, entries) = Held::new(tag, run, born, now, log.origin == self.me);
        let stale = held.until() <= point(now.steady)
            && self.logs.get(tag).is_some_and(|log| held.floor <= log.floor());
        if source != Source::Own
            && let Err(why) = self.room(tag, &held, stale)
        {
            if stale {
                return false;
            }
            self.counters.refused += 1;
            let report = if why == NoRoom::Log { Report::OverQuota(log.clone()) } else { Report::Full };
            self.outbox.report(now.steady, tag, report);
            return false;
        }
        let Some(kept) = self.logs.get_mut(tag) else { return false };
        let signed = held.signed.clone();
        let head = kept.head();
        let (told, rises) = kept.take(key, held, stale);
        self.logs.taken(tag, key);
        if let Some(head) = head.filter(|_| rises) {
            self.logs.ask_again(tag, head);
        }
        if rises {
            let wait = if source == Source::Store { Duration::ZERO } else { SWEEP };
            self.logs.sweep_at(tag, now.steady.after(wait));
        }
        self.orphans.carried(&entries);
        self.apply(now, log, born, entries, &told);
        if source == Source::Store {
            if let Some(log) = self.logs.get_mut(tag) {
                log.persisted(key);
            }
            return true;
        }
        let kept = Kept::Run { log: log.clone(), version: key, run: signed, age: age(born, now) };
        let pulled = matches!(source, Source::Member { pulled: true, .. });
        self.outbox.persist(kept, Then::Tell { tag, key, from: source.from(), pulled });
        true
    }

    /// Room for a run. What was over when it came makes room for what is not: else who brings back what somebody said
    /// long ago would silence him.
    fn room(&mut self, tag: u64, held: &Held, stale: bool) -> Result<(), NoRoom> {
        let bytes = held.bytes() + held.signed.certificate.len();
        loop {
            let room = self.logs.room(tag, bytes);
            let spare = self.logs.get(tag).and_then(Log::stale).filter(|_| room.is_err() && !stale);
            let Some(key) = spare else { return room };
            if let Some(held) = self.logs.forget(tag, key) {
                self.orphans.dropped(&held);
            }
            self.gone(tag, key);
        }
    }

    /// Writes what is over and gone, where that has changed.
    pub(super) fn write_dead(&mut self, now: Now) {
        for kept in self.logs.buried(now.steady) {
            self.outbox.persist(kept, Then::Nothing);
        }
    }

    /// Says what the entries of a run mean, each where it is the last word.
    fn apply(&mut self, now: Now, log: &LogId, born: i64, entries: Vec<Entry>, told: &[Outcome]) {
        for (entry, told) in entries.into_iter().zip(told).filter(|(_, told)| told.last) {
            let remaining = left(end(born, entry.lasts()), now);
            let lives = remaining != Some(Duration::ZERO);
            let before = told.replaced.is_some_and(|top| top.until > point(now.steady));
            let void = |target, why| Effect::Void { log: log.clone(), target, upto: told.version, why };
            let version = told.version;
            let effect = match entry {
                Entry::Block(_) | Entry::Order(_) | Entry::Sessions { .. } | Entry::Coordinator { .. }
                    if lives =>
                {
                    Effect::Apply { log: log.clone(), version, entry, remaining }
                }
                Entry::Block(block) if before => void(block.target, Voided::Superseded),
                Entry::Withdraw { target, .. } if before => void(target, Voided::Withdrawn),
                _ => continue,
            };
            self.counters.applied += 1;
            self.outbox.push(effect);
        }
    }

    /// Lets go what is over.
    pub(super) fn expire(&mut self, now: Now) {
        while let Some((tag, version, held)) = self.logs.expire(now) {
            self.orphans.dropped(&held);
            self.gone(tag, version);
        }
    }

    /// Voids what lies below floors.
    pub(super) fn sweep(&mut self, now: Now) {
        for tag in self.logs.unswept(now.steady) {
            self.sweep_log(now, tag);
        }
    }

    fn sweep_log(&mut self, now: Now, tag: u64) {
        let Some(log) = self.logs.get_mut(tag) else { return };
        log.sweep_at = None;
        let (id, below) = (log.id.clone(), log.below());
        for (target, top) in log.fall().into_iter().filter(|(_, top)| top.until > point(now.steady)) {
            self.outbox.push(Effect::Void { log: id.clone(), target, upto: top.version, why: Voided::Floor });
        }
        for key in below {
            if let Some(held) = self.logs.forget(tag, key) {
                self.orphans.dropped(&held);
                self.gone(tag, key);
            }
        }
    }

    pub(super) fn gone(&mut self, tag: u64, version: Version) {
        if let Some(log) = self.logs.get(tag).map(|log| log.id.clone()) {
            self.outbox.persist(Kept::Gone { log, version }, Then::Nothing);
        }
    }
}

impl Source {
    const fn from(self) -> Option<NodeId> {
        match self {
            Self::Member { from, .. } => Some(from),
            Self::Own | Self::Store => None,
        }
    }
}
