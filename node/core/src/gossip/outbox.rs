//! Effects, and what waits for the disk.

use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec::Vec,
};

use super::message::{Effect, Kept, Report, Reserved, Ticket};
use crate::{
    Time,
    fleet::{NodeId, Version},
};

/// What follows once something is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// A run may be told to others, but not to whom it came from.
    Tell { tag: u64, key: Version, from: Option<NodeId>, pulled: bool },
    /// A proof may be told to others.
    Accuse { tag: u64, from: Option<NodeId> },
    /// Sequences may be used.
    Use(Reserved),
    /// Nothing does.
    Nothing,
}

/// Reports of one kind and member are given once in this time.
const QUIET: core::time::Duration = core::time::Duration::from_secs(60);
/// Kinds and members that are quiet at once; beyond that nothing is reported until they are not.
const QUIETS: usize = 256;

#[derive(Clone, Debug, Default)]
pub(super) struct Outbox {
    effects: VecDeque<Effect>,
    ticket: Ticket,
    done: Ticket,
    waiting: BTreeMap<Ticket, Then>,
    quiet: BTreeMap<u64, Time>,
    quiet_order: BTreeSet<(Time, u64)>,
}

impl Outbox {
    pub(super) fn push(&mut self, effect: Effect) {
        self.effects.push_back(effect);
    }

    pub(super) fn pop(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    pub(super) fn persist(&mut self, kept: Kept, then: Then) -> Ticket {
        self.ticket.0 += 1;
        self.push(Effect::Persist(self.ticket, kept));
        if then != Then::Nothing {
            self.waiting.insert(self.ticket, then);
        }
        self.ticket
    }

    /// The last ticket given.
    pub(super) const fn ticket(&self) -> Ticket {
        self.ticket
    }

    /// Whether everything up to a ticket is on disk.
    pub(super) fn all_persisted(&self, upto: Ticket) -> bool {
        self.done >= upto
    }

    pub(super) fn persisted(&mut self, upto: Ticket) -> Vec<Then> {
        self.done = self.done.max(upto);
        let later = self.waiting.split_off(&Ticket(upto.0.saturating_add(1)));
        core::mem::replace(&mut self.waiting, later).into_values().collect()
    }

    /// Reports, unless the same was reported a moment ago.
    pub(super) fn report(&mut self, now: Time, about: u64, report: Report) {
        while let Some(&(until, key)) = self.quiet_order.first().filter(|(until, _)| *until <= now) {
            self.quiet_order.remove(&(until, key));
            self.quiet.remove(&key);
        }
        let key = about ^ kind(&report).rotate_left(56);
        if self.quiet.contains_key(&key) || self.quiet.len() >= QUIETS {
            return;
        }
        let until = now.after(QUIET);
        self.quiet.insert(key, until);
        self.quiet_order.insert((until, key));
        self.push(Effect::Report(report));
    }
}

const fn kind(report: &Report) -> u64 {
    match report {
        Report::EpochRaised { .. } => 1,
        Report::EpochsUsedUp => 2,
        Report::DoubleSigned(_) => 3,
        Report::OverQuota(_) => 4,
        Report::Full => 5,
        Report::Nonsense { .. } => 6,
        Report::CannotSign(_) => 7,
        Report::OrdersLost { .. } => 8,
    }
}
