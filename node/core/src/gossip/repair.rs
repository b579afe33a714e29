//! What is missing is found.
//!
//! A digest a second tells whether there is anything; then summaries tell which logs differ, and vectors what of them
//! each holds. What is missing is pulled.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::time::Duration;

use super::{
    Gossip, Now,
    message::{Effect, Message, Row, SPANS, Span, Summary, WANTS, Want},
    pull::Wanted,
};
use crate::{
    Time,
    fleet::{NodeId, Version},
};

/// Between two looks for differences at one member: a difference takes three messages to find.
const LOOK: Duration = Duration::from_millis(200);

/// What two members cannot agree on is compared again after this, and then after twice as long.
const VAIN: Duration = Duration::from_secs(1);
/// At most after this.
const VAIN_MOST: Duration = Duration::from_secs(32);

/// Ranges in one message of vectors: 200 kB.
const SPANS_SENT: usize = 8192;

/// Looks at what a member holds that may come at once: of an honest one three come of each difference.
const LOOKS: u32 = 16;
/// One more may come after each of these.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How often members had us look through our logs.
#[derive(Clone, Debug, Default)]
pub(super) struct Looks(BTreeMap<NodeId, (Time, u32)>);

impl Looks {
    /// A member is gone.
    pub(super) fn forget(&mut self, member: &NodeId) {
        self.0.remove(member);
    }

    /// Whether a member may have us look once more.
    fn may(&mut self, now: Time, member: NodeId) -> bool {
        let (since, looks) = self.0.entry(member).or_insert((now, 0));
        let passed = now.since(*since).as_nanos() / LOOK_AGAIN.as_nanos();
        if passed > 0 {
            *looks = looks.saturating_sub(u32::try_from(passed).unwrap_or(u32::MAX));
            *since = now;
        }
        let may = *looks < LOOKS;
        *looks += u32::from(may);
        may
    }
}

impl Gossip {
    /// Tells a few members what is held.
    pub(super) fn beat(&mut self, now: Now) {
        for member in self.peers.turns(now.steady) {
            self.send_digest(now, member);
        }
    }

    pub(super) fn send_digest(&mut self, now: Now, member: NodeId) {
        let all = self.digest_for(&member);
        self.outbox.push(Effect::Send(member, Message::Digest { all, wall: now.wall }));
    }

    fn digest_for(&self, member: &NodeId) -> u64 {
        self.logs.digest(|log| self.peers.sees(member, log) && !self.logs.revoked(&log.origin))
    }

    pub(super) fn handle_digest(&mut self, now: Now, from: NodeId, all: u64, wall: Time) {
        self.clocks.hear(now, from, wall);
        self.peers.keeps(now.steady, &from);
        let mine = self.digest_for(&from);
        let Some(link) = self.peers.link(&from) else { return };
        if all == mine {
            link.vain = 0;
            return self.agreed(&from);
        }
        if link.differed != (all, mine) {
            link.vain = 0;
            link.settled = link.settled.min(link.looked.after(LOOK));
        }
        link.differed = (all, mine);
        if now.steady < link.settled {
            return;
        }
        link.looked = now.steady;
        link.settled = now.steady.after(LOOK);
        let seen = self.logs.iter().filter(|log| self.peers.sees(&from, &log.id) && log.digest() != 0);
        let seen = seen.filter(|log| !self.logs.revoked(&log.id.origin));
        let summary = seen.map(|log| Summary { tag: log.tag, digest: log.digest() }).collect();
        self.outbox.push(Effect::Send(from, Message::Summary(summary)));
    }

    pub(super) fn handle_summary(&mut self, now: Now, from: NodeId, theirs: &[Summary]) {
        if !self.may_look(now, from) {
            return;
        }
        let digests: BTreeMap<u64, u64> =
            theirs.iter().map(|summary| (summary.tag, summary.digest)).collect();
        let mine = self.logs.iter().filter(|log| log.digest() != 0).map(|log| (log.tag, log.digest()));
        let mine: BTreeMap<u64, u64> = mine.collect();
        let differ = |tag: &u64| digests.get(tag) != mine.get(tag);
        let tags: BTreeSet<u64> = digests.keys().chain(mine.keys()).copied().filter(differ).collect();
        let rows = self.rows(&from, tags);
        if !rows.is_empty() {
            self.outbox.push(Effect::Send(from, Message::Vectors { rows, answer: true }));
        }
        self.pump(now);
    }

    /// What is held of these logs, beginning anywhere where it is too much for one message.
    fn rows(&mut self, to: &NodeId, tags: BTreeSet<u64>) -> Vec<Row> {
        let mut tags: Vec<u64> = tags.into_iter().collect();
        if tags.len() > WANTS {
            let start = self.chance.below(tags.len());
            tags.rotate_left(start);
        }
        let mut rows = Vec::new();
        let mut spans = 0;
        for tag in tags {
            if rows.len() >= WANTS || spans >= SPANS_SENT {
                break;
            }
            let Some(row) = self.row(to, tag) else { continue };
            spans += row.spans.len();
            rows.push(row);
        }
        rows
    }

    fn row(&mut self, to: &NodeId, tag: u64) -> Option<Row> {
        let Some(log) = self.logs.get(tag) else {
            let floor = Version::default();
            return Some(Row { tag, digest: 0, floor, quarantined: false, spans: Vec::new() });
        };
        if !self.peers.sees(to, &log.id) || self.logs.revoked(&log.id.origin) {
            return None;
        }
        let spans = log.spans(|count| self.chance.below(count));
        let quarantined = log.quarantine.is_some();
        Some(Row { tag, digest: log.digest(), floor: log.floor(), quarantined, spans })
    }

    pub(super) fn handle_vectors(&mut self, now: Now, from: NodeId, theirs: Vec<Row>, answer: bool) {
        if !self.may_look(now, from) {
            return;
        }
        if answer {
            let rows = self.rows(&from, theirs.iter().map(|row| row.tag).collect());
            self.outbox.push(Effect::Send(from, Message::Vectors { rows, answer: false }));
        }
        let mut wants = Vec::new();
        for row in &theirs {
            if wants.len() < WANTS {
                self.compare(&from, row, &mut wants);
            }
        }
        wants.truncate(WANTS);
        let complete = theirs.iter().all(|row| row.spans.len() < SPANS);
        if wants.is_empty() && complete {
            self.settle(now, &from);
        }
        self.pulls.want(from, wants);
        self.pump(now);
    }

    /// What a row shows that we lack.
    fn compare(&mut self, from: &NodeId, row: &Row, wants: &mut Vec<Wanted>) {
        let tag = row.tag;
        let Some(log) = self.logs.get(tag) else {
            return wants.extend(
                row.spans.iter().map(|span| Wanted { want: Want { tag, span: *span }, again: false }),
            );
        };
        if log.quarantine.is_some() {
            if !row.quarantined {
                self.send_proof(*from, tag);
            }
            return;
        }
        if row.quarantined || self.logs.revoked(&log.id.origin) || self.logs.room(tag, 1).is_err() {
            return;
        }
        let again = row.digest != log.digest() && row.spans.len() < SPANS && row.spans == log.spans(|_| 0);
        let spans: Vec<Span> = if again {
            row.spans.clone()
        } else {
            row.spans.iter().flat_map(|span| log.missing(*span)).collect()
        };
        wants.extend(spans.into_iter().map(|span| Wanted { want: Want { tag, span }, again }));
    }

    /// Whether a member that is connected has not had us look through our logs too often.
    fn may_look(&mut self, now: Now, from: NodeId) -> bool {
        self.peers.link(&from).is_some() && self.looks.may(now.steady, from)
    }

    /// Nothing is to be gained from a member: it is asked less and less until something changes.
    pub(super) fn settle(&mut self, now: Now, from: &NodeId) {
        let Some(link) = self.peers.link(from) else { return };
        let wait = VAIN.saturating_mul(1 << link.vain.min(5)).min(VAIN_MOST);
        link.vain = link.vain.saturating_add(1);
        link.settled = now.steady.after(wait);
        self.counters.vain += 1;
    }
}
