//! The mirror: what is signed and on disk goes there, and what other clusters signed comes back.

use std::{collections::VecDeque, time::Duration};

use smartfw_core::{
    Agent, Time,
    fleet::{LogId, NodeId, SignedRun},
    gossip::{Kept, Now, TOLERANCE, Ticket},
};

use super::{
    super::{ForeignSays, ForeignWord},
    Brain,
};
use crate::{
    health::{Level, Matter},
    mirror::Mouth,
};

/// Runs on their way to the disk that the mirror is to have: it waits for nothing else.
const WAITING: usize = 4096;

/// The way to the mirror, and what waits for the disk before it goes there.
pub(super) struct Mirrored {
    mouth: Mouth,
    waiting: VecDeque<(Ticket, SignedRun)>,
    /// Runs for which there was no room since the start.
    missed: u64,
}

impl Mirrored {
    pub(super) const fn new(mouth: Mouth) -> Self {
        Self { mouth, waiting: VecDeque::new(), missed: 0 }
    }

    fn wants(&self, log: &LogId, me: NodeId) -> bool {
        log.site.is_none() && self.mouth.wants(log.origin == me)
    }
}

impl Brain {
    /// Something is about to be kept.
    pub(super) fn mirror(&mut self, ticket: Ticket, kept: &Kept) {
        let Kept::Run { log, run, .. } = kept else { return };
        if !self.mirrored.wants(log, self.me) {
            return;
        }
        if self.mirrored.waiting.len() < WAITING {
            self.mirrored.waiting.push_back((ticket, run.clone()));
        } else {
            self.mirrored.missed += 1;
        }
    }

    /// The disk has everything up to here: now others may hear of it.
    pub(super) fn mirror_persisted(&mut self, upto: Ticket) {
        let before = self.mirrored.missed;
        while self.mirrored.waiting.front().is_some_and(|(ticket, _)| *ticket <= upto) {
            let Some((_, run)) = self.mirrored.waiting.pop_front() else { break };
            self.mirrored.missed += u64::from(!self.mirrored.mouth.say(run));
        }
        if self.mirrored.missed > before {
            let what =
                format!("{} signed runs were too many at once and are not mirrored", self.mirrored.missed);
            let remedy = "a restart of the node mirrors all that holds still";
            self.health.set(Matter::MirrorMissed, Level::Warn, what, remedy);
        }
    }

    /// What is on disk and the mirror is to have.
    pub fn mirrored(&self) -> Vec<SignedRun> {
        let runs = self.gossip.persisted_runs().filter(|(log, _)| self.mirrored.wants(log, self.me));
        runs.map(|(_, run)| run.clone()).collect()
    }

    /// The cluster's time; this node's own where too few tell it.
    pub fn time(&self) -> Time {
        self.gossip.time(Self::now())
    }

    /// Somebody in another cluster says something; its signatures hold. Gives back the words that are dated ahead of the
    /// cluster's time, which are not taken: such a word would be new whenever it is heard again.
    pub(super) fn foreign(&self, agent: &mut Agent, now: Now, words: Vec<ForeignWord>) -> Vec<ForeignWord> {
        let latest = self.gossip.time(now).after(TOLERANCE);
        let (words, ahead): (Vec<_>, Vec<_>) = words.into_iter().partition(|word| word.issued <= latest);
        for ForeignWord { from, version, issued, lasts, says } in words {
            let age = self.gossip.age_of(now, issued, Duration::ZERO);
            match says {
                ForeignSays::Block(block) => {
                    agent.handle_foreign_block(now.wall, &from, version, *block, age);
                }
                ForeignSays::Withdraw(target) => {
                    let remaining = lasts.map(|lasts| lasts.saturating_sub(age));
                    agent.handle_foreign_withdrawal(now.wall, &from, version, target, remaining);
                }
            }
        }
        ahead
    }
}
