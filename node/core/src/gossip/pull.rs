//! What was found missing is fetched, by one pull at a time: at most one flight is under way to a member, the next is
//! asked for when the last one is on disk, and after each answer the other members have their turn.

use alloc::{
    collections::{BTreeSet, VecDeque},
    vec::Vec,
};
use core::time::Duration;

use super::{
    Gossip, Now,
    clock::age,
    message::{Carried, Effect, FLIGHT, Message, RUNS, Ticket, WANTS, Want},
};
use crate::{
    Time,
    fleet::{NodeId, Version},
    gossip::More,
};

/// A pull that is not answered by then is asked of another member.
const PATIENCE: Duration = Duration::from_secs(2);

/// Members that wait to be pulled from.
const QUEUE: usize = 64;

/// Answers of one member before what it holds is compared anew: 16 MiB. What it claimed to hold, it may hold no more.
const ROUNDS: u32 = 64;

/// Pulls: one under way, others waiting.
#[derive(Clone, Debug, Default)]
pub(super) struct Pulls {
    waiting: VecDeque<Pull>,
    active: Option<(Pull, State)>,
}

/// What is asked for; `again` where it is held, but seems not to be the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) want: Want,
    pub(super) again: bool,
}

#[derive(Clone, Debug)]
struct Pull {
    member: NodeId,
    wants: Vec<Wanted>,
    /// Whether anything new came.
    fruitful: bool,
    /// Answers so far.
    rounds: u32,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// The answer is awaited until then.
    Asked(Time),
    /// The answer is to be on disk before the next.
    Writing(Ticket),
}

/// A run that was sent: log, version of the first entry, sequence of the last.
pub(super) type Sent = (u64, Version, u64);

impl Pulls {
    pub(super) fn due(&self) -> Time {
        match self.active {
            Some((_, State::Asked(until))) => until,
            _ => Time::NEVER,
        }
    }

    /// A member is gone: nothing is asked of it any more.
    pub(super) fn forget(&mut self, member: &NodeId) {
        self.waiting.retain(|pull| pull.member != *member);
        self.active.take_if(|(pull, _)| pull.member == *member);
    }

    pub(super) fn want(&mut self, member: NodeId, wants: Vec<Wanted>) {
        let busy = self.active.as_ref().is_some_and(|(pull, _)| pull.member == member);
        self.waiting.retain(|pull| pull.member != member);
        if !busy && self.waiting.len() < QUEUE && !wants.is_empty() {
            self.waiting.push_back(Pull { member, wants, fruitful: false, rounds: 0 });
        }
    }
}

impl Gossip {
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

    /// A pull was answered by these runs, of which some were new or not. An answer that has more, and brings nothing
    /// that was asked for, is none: whoever gives it is left alone for a while.
    pub(super) fn pulled(&mut self, now: Now, from: NodeId, runs: &[Sent], fresh: bool, more: bool) {
        let ticket = self.outbox.ticket();
        let asked =
            |(pull, state): &mut (Pull, State)| pull.member == from && matches!(state, State::Asked(_));
        let Some((mut pull, _)) = self.pulls.active.take_if(asked) else { return };
        let before = size(&pull.wants);
        let left = if more { self.rest(core::mem::take(&mut pull.wants), runs) } else { Vec::new() };
        if more && size(&left) >= before {
            self.settle(now, &from);
            return self.pump(now);
        }
        let (fruitful, rounds) = (pull.fruitful || fresh, pull.rounds + 1);
        let pull = Pull { member: from, wants: left, fruitful, rounds };
        self.pulls.active = Some((pull, State::Writing(ticket)));
        self.pump(now);
    }

    /// What is still wanted after an answer: of the missing what still is, of the rest what was not sent.
    fn rest(&self, wants: Vec<Wanted>, runs: &[Sent]) -> Vec<Wanted> {
        let mut left = Vec::new();
        for mut wanted in wants {
            if wanted.again {
                let Want { tag, ref mut span } = wanted.want;
                let inside = |(of, key, last): &&Sent| {
                    (*of, key.epoch) == (tag, span.epoch) && key.sequence <= span.to && *last >= span.from
                };
                let last = runs.iter().filter(inside).map(|(.., last)| *last).max();
                match last {
                    Some(last) if last >= span.to => continue,
                    Some(last) => span.from = last + 1,
                    None => {}
                }
            }
            left.extend(self.still(wanted));
        }
        left.truncate(WANTS);
        left
    }

    /// Goes on with pulling.
    pub(super) fn pump(&mut self, now: Now) {
        match self.pulls.active {
            None => {}
            Some((ref pull, State::Asked(until))) if now.steady >= until => {
                let member = pull.member;
                self.pulls.active = None;
                self.settle(now, &member);
            }
            Some((_, State::Writing(ticket))) if self.outbox.all_persisted(ticket) => {
                let Some((pull, _)) = self.pulls.active.take() else { return };
                if pull.wants.is_empty() || pull.rounds >= ROUNDS {
                    self.finish_pull(now, &pull);
                } else {
                    self.pulls.waiting.push_back(pull);
                }
            }
            Some(_) => return,
        }
        self.next_pull(now);
    }

    /// Everything that one member had is here: others may want it.
    fn finish_pull(&mut self, now: Now, pull: &Pull) {
        if pull.wants.is_empty() {
            self.agreed(&pull.member);
        }
        if !pull.fruitful {
            return self.settle(now, &pull.member);
        }
        let kept: Vec<NodeId> = self.peers.kept(now.steady).collect();
        for member in kept {
            self.send_digest(now, member);
        }
    }

    fn next_pull(&mut self, now: Now) {
        while let Some(mut pull) = self.pulls.waiting.pop_front() {
            pull.wants = pull.wants.into_iter().flat_map(|wanted| self.still(wanted)).collect();
            // In order, as the wire demands.
            pull.wants.sort_unstable_by_key(|wanted| (wanted.want.tag, wanted.want.span));
            pull.wants.truncate(WANTS);
            if !pull.wants.is_empty() {
                let wants = pull.wants.iter().map(|wanted| wanted.want).collect();
                self.outbox.push(Effect::Send(pull.member, Message::Pull(wants)));
                self.pulls.active = Some((pull, State::Asked(now.steady.after(PATIENCE))));
                return;
            }
            if pull.rounds > 0 {
                self.finish_pull(now, &pull);
            }
        }
    }

    /// What is still missing of what was wanted.
    fn still(&self, wanted: Wanted) -> Vec<Wanted> {
        let log = self.logs.get(wanted.want.tag);
        let Some(log) = log.filter(|_| !wanted.again) else { return [wanted].into() };
        if log.quarantine.is_some() {
            return Vec::new();
        }
        let missing = log.missing(wanted.want.span);
        missing.into_iter().map(|span| Wanted { want: Want { span, ..wanted.want }, again: false }).collect()
    }
}

/// How many entries are wanted.
fn size(wants: &[Wanted]) -> u128 {
    wants.iter().map(|Wanted { want, .. }| u128::from(want.span.to - want.span.from) + 1).sum()
}
