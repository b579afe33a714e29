//! What is missing is found and fetched.
//!
//! A digest a second tells whether there is anything; then summaries tell which logs differ, vectors what of them each
//! holds, and one pull at a time fetches it: at most one flight is under way to a member, and the next is asked for
//! when the last one is on disk.

use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec::Vec,
};
use core::time::Duration;

use super::{
    Gossip, Now,
    clock::age,
    message::{Carried, Effect, FLIGHT, Message, More, RUNS, Row, SPANS, Span, Summary, Ticket, WANTS, Want},
};
use crate::{
    Time,
    fleet::{NodeId, Version},
};

/// A pull that is not answered by then is asked of another member.
const PATIENCE: Duration = Duration::from_secs(2);

/// Between two looks for differences at one member: a difference takes three messages to find.
const LOOK: Duration = Duration::from_millis(200);

/// What two members cannot agree on is compared again after this, and then after twice as long.
const VAIN: Duration = Duration::from_secs(1);
/// At most after this.
const VAIN_MOST: Duration = Duration::from_secs(32);

/// Ranges in one message of vectors: 200 kB.
const SPANS_SENT: usize = 8192;

/// Members that wait to be pulled from.
const QUEUE: usize = 64;

/// Pulls: one under way, others waiting.
#[derive(Clone, Debug, Default)]
pub(super) struct Repair {
    waiting: VecDeque<(NodeId, Vec<Wanted>)>,
    active: Option<Active>,
}

/// What is asked for; `again` where it is held, but seems not to be the same.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    want: Want,
    again: bool,
}

#[derive(Clone, Debug)]
struct Active {
    member: NodeId,
    wants: VecDeque<Wanted>,
    state: State,
    /// Whether anything new came.
    fruitful: bool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// The pull is to be sent.
    Ready,
    /// It was, and its answer is awaited until then.
    Asked(Time),
    /// The answer is to be on disk before the next.
    Writing(Ticket),
}

impl Repair {
    pub(super) fn due(&self) -> Time {
        match self.active.as_ref().map(|active| active.state) {
            Some(State::Asked(until)) => until,
            _ => Time::NEVER,
        }
    }

    /// A member is gone: nothing is asked of it any more.
    pub(super) fn forget(&mut self, member: &NodeId) {
        self.waiting.retain(|(id, _)| id != member);
        self.active.take_if(|active| active.member == *member);
    }

    fn want(&mut self, member: NodeId, wants: Vec<Wanted>) {
        let busy = self.active.as_ref().is_some_and(|active| active.member == member);
        self.waiting.retain(|(id, _)| *id != member);
        if !busy && self.waiting.len() < QUEUE && !wants.is_empty() {
            self.waiting.push_back((member, wants));
        }
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
            return;
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
        self.repair.want(from, wants);
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
        let missing: Vec<Span> = row.spans.iter().flat_map(|span| log.missing(*span)).collect();
        let again = row.digest != log.digest() && row.spans.len() < SPANS && row.spans == log.spans(|_| 0);
        let spans = if again { &row.spans } else { &missing };
        wants.extend(spans.iter().map(|span| Wanted { want: Want { tag, span: *span }, again }));
    }

    /// Nothing is to be gained from a member: it is asked less and less until something changes.
    fn settle(&mut self, now: Now, from: &NodeId) {
        let Some(link) = self.peers.link(from) else { return };
        let wait = VAIN.saturating_mul(1 << link.vain.min(5)).min(VAIN_MOST);
        link.vain = link.vain.saturating_add(1);
        link.settled = now.steady.after(wait);
        self.counters.vain += 1;
    }

    /// A member asks for runs.
    pub(super) fn handle_pull(&mut self, now: Now, from: NodeId, wants: &[Want]) {
        let mut runs = Vec::new();
        let mut bytes = 0;
        let mut sent = BTreeSet::new();
        let mut more = false;
        for Want { tag, span } in wants.iter().take(WANTS) {
            let Some(log) = self.logs.get(*tag) else { continue };
            if !self.peers.sees(&from, &log.id) || self.logs.revoked(&log.id.origin) {
                continue;
            }
            for (key, held) in log.overlapping(*span).filter(|(_, held)| held.counted) {
                let size = held.signed.bytes.len() + held.signed.certificate.len();
                if more || runs.len() >= RUNS || (bytes > 0 && bytes + size > FLIGHT) {
                    more = true;
                    break;
                }
                if sent.insert((*tag, key)) {
                    bytes += size;
                    runs.push(Carried { run: held.signed.clone(), age: age(held.born, now) });
                }
            }
        }
        self.counters.pulled += runs.len() as u64;
        self.outbox.push(Effect::Send(from, Message::Runs { runs, answers: Some(More(more)) }));
    }

    /// A pull was answered by these runs: log, version of the first entry, sequence of the last.
    pub(super) fn pulled(&mut self, now: Now, from: NodeId, runs: &[(u64, Version, u64)], more: bool) {
        let ticket = self.outbox.ticket();
        let Some(active) = self.repair.active.as_mut().filter(|active| active.member == from) else { return };
        active.fruitful |= !runs.is_empty();
        let reached: BTreeMap<(u64, u64), u64> =
            runs.iter().map(|(tag, key, last)| ((*tag, key.epoch), *last)).collect();
        let last = runs.last().map(|(tag, key, _)| (*tag, key.epoch));
        if !more || last.is_none() {
            active.wants.clear();
        }
        for Wanted { want, .. } in &mut active.wants {
            let reached = reached.get(&(want.tag, want.span.epoch)).copied();
            want.span.from =
                reached.map_or(want.span.from, |last| want.span.from.max(last.saturating_add(1)));
        }
        active.wants.retain(|Wanted { want, .. }| want.span.from <= want.span.to);
        active.state = State::Writing(ticket);
        self.pump(now);
    }

    /// Goes on with pulling.
    pub(super) fn pump(&mut self, now: Now) {
        let Some(active) = &mut self.repair.active else { return self.next_pull(now) };
        match active.state {
            State::Asked(until) if now.steady >= until => {
                let member = active.member;
                self.repair.active = None;
                self.settle(now, &member);
                self.next_pull(now);
            }
            State::Writing(ticket) if self.outbox.all_persisted(ticket) => {
                active.state = State::Ready;
                if active.wants.is_empty() {
                    self.finish_pull(now);
                }
                self.next_pull(now);
            }
            State::Asked(_) | State::Writing(_) | State::Ready => {}
        }
    }

    /// Everything that one member had is here: others may want it.
    fn finish_pull(&mut self, now: Now) {
        let Some(active) = self.repair.active.take() else { return };
        if !active.fruitful {
            return self.settle(now, &active.member);
        }
        let kept: Vec<NodeId> = self.peers.kept(now.steady).collect();
        for member in kept {
            self.send_digest(now, member);
        }
    }

    fn next_pull(&mut self, now: Now) {
        while self.repair.active.is_none() {
            let Some((member, wants)) = self.repair.waiting.pop_front() else { return };
            let wants: VecDeque<Wanted> =
                wants.into_iter().flat_map(|want| self.still(want)).take(WANTS).collect();
            if !wants.is_empty() {
                self.repair.active = Some(Active { member, wants, state: State::Ready, fruitful: false });
            }
        }
        let Some(active) = &mut self.repair.active else { return };
        active.state = State::Asked(now.steady.after(PATIENCE));
        let wants = active.wants.iter().map(|wanted| wanted.want).collect();
        self.outbox.push(Effect::Send(active.member, Message::Pull(wants)));
    }

    /// What is still missing of what was wanted.
    fn still(&self, wanted: Wanted) -> Vec<Wanted> {
        let log = self.logs.get(wanted.want.tag);
        let Some(log) = log.filter(|_| !wanted.again) else { return [wanted].into() };
        let missing = log.missing(wanted.want.span);
        missing.into_iter().map(|span| Wanted { want: Want { span, ..wanted.want }, again: false }).collect()
    }
}
