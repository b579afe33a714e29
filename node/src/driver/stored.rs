//! What waits for the disk: pushes to the backlog are numbered, and each knows how far it brings whom.

use std::collections::VecDeque;

use smartfw_core::{Sequence, gossip};

/// Pushes that are told apart while the disk is busy; of more, the last two are taken for one: then somebody hears later.
const PUSHES: usize = 4096;

/// The pushes that are not on disk yet.
#[derive(Debug, Default)]
pub(super) struct Stored {
    last: u64,
    waiting: VecDeque<Push>,
    /// How far the disk has come.
    pub(super) upto: Upto,
}

#[derive(Clone, Copy, Debug)]
struct Push {
    number: u64,
    upto: Upto,
}

/// Up to which record of the agent, and of the logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Upto {
    pub(super) records: Sequence,
    pub(super) logs: gossip::Ticket,
}

impl Stored {
    /// The number of a push that brings both so far.
    pub(super) fn push(&mut self, records: Sequence, logs: gossip::Ticket) -> u64 {
        self.last += 1;
        let before = self.waiting.back().map_or(self.upto, |push| push.upto);
        let upto = Upto { records: records.max(before.records), logs: logs.max(before.logs) };
        let push = Push { number: self.last, upto };
        if self.waiting.len() >= PUSHES {
            self.waiting.pop_back();
        }
        self.waiting.push_back(push);
        self.last
    }

    /// The logs are no more. Those that come after them count from one: what of the old ones is on disk, or on its way,
    /// says nothing of them.
    pub(super) fn forget_logs(&mut self) {
        self.upto.logs = gossip::Ticket::default();
        self.waiting.iter_mut().for_each(|push| push.upto.logs = gossip::Ticket::default());
    }

    /// The disk has everything up to a push.
    pub(super) fn persisted(&mut self, number: u64) -> Upto {
        while let Some(push) = self.waiting.front().filter(|push| push.number <= number) {
            self.upto = push.upto;
            self.waiting.pop_front();
        }
        self.upto
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hears_how_far_it_is_on_disk_and_never_too_early() {
        let mut stored = Stored::default();
        let first = stored.push(Sequence(5), gossip::Ticket(0));
        let second = stored.push(Sequence(0), gossip::Ticket(3));
        assert_eq!(stored.persisted(first), Upto { records: Sequence(5), logs: gossip::Ticket(0) });
        assert_eq!(stored.persisted(second), Upto { records: Sequence(5), logs: gossip::Ticket(3) });
    }

    #[test]
    fn what_the_disk_has_of_logs_that_are_left_counts_for_nothing_in_the_next_fleet() {
        let mut stored = Stored::default();
        let kept = stored.push(Sequence(1), gossip::Ticket(900));
        let under_way = stored.push(Sequence(2), gossip::Ticket(1000));
        stored.persisted(kept);
        stored.forget_logs();
        assert_eq!(stored.upto, Upto { records: Sequence(1), logs: gossip::Ticket(0) });
        let next = stored.push(Sequence(0), gossip::Ticket(1));
        assert_eq!(stored.persisted(under_way), Upto { records: Sequence(2), logs: gossip::Ticket(0) });
        assert_eq!(stored.persisted(next).logs, gossip::Ticket(1));
    }

    #[test]
    fn a_disk_that_is_busy_for_long_costs_no_more_memory_than_some_pushes() {
        let mut stored = Stored::default();
        let numbers: Vec<u64> =
            (1..=2 * PUSHES as u64).map(|n| stored.push(Sequence(n), gossip::Ticket(n))).collect();
        assert_eq!(stored.waiting.len(), PUSHES);
        assert!(stored.persisted(numbers[numbers.len() - 2]).records < Sequence(PUSHES as u64));
        assert_eq!(stored.persisted(numbers[numbers.len() - 1]).records, Sequence(2 * PUSHES as u64));
    }
}
