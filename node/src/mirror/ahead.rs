//! What is dated ahead of the time, until that has come: a clock that is behind, as after a start without a battery, must
//! not lose what others signed meanwhile.

use std::collections::BTreeMap;

use smartfw_core::Time;

/// What waits, the earliest first; of more than there may be the furthest ahead goes.
#[derive(Debug)]
pub(super) struct Ahead<T> {
    /// By when it was signed, and a number of its own, with its weight.
    waiting: BTreeMap<(Time, u64), (usize, T)>,
    next: u64,
    weight: usize,
    most: usize,
}

impl<T> Ahead<T> {
    /// Nothing; at most of this weight together.
    pub(super) const fn new(most: usize) -> Self {
        Self { waiting: BTreeMap::new(), next: 0, weight: 0, most }
    }

    /// Has something wait that was signed then. How many had to go for it, itself among them.
    pub(super) fn add(&mut self, issued: Time, weight: usize, one: T) -> u64 {
        self.next += 1;
        self.weight += weight;
        self.waiting.insert((issued, self.next), (weight, one));
        let mut gone = 0;
        while self.weight > self.most {
            let Some((_, (weight, _))) = self.waiting.pop_last() else { break };
            self.weight -= weight;
            gone += 1;
        }
        gone
    }

    /// Takes the first that were signed until then, so many at most.
    pub(super) fn take(&mut self, latest: Time, most: usize) -> Vec<T> {
        let mut taken = Vec::new();
        while taken.len() < most {
            let first = self.waiting.first_entry().filter(|first| first.key().0 <= latest);
            let Some((weight, one)) = first.map(|first| first.remove()) else { break };
            self.weight -= weight;
            taken.push(one);
        }
        taken
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_comes_in_the_order_of_time_and_the_furthest_ahead_makes_room() {
        let mut ahead = Ahead::new(10);
        let added = [(30, 4), (10, 3), (20, 3), (40, 1), (15, 4)]
            .map(|(second, weight)| ahead.add(Time::from_secs(second), weight, second));
        assert_eq!(added, [0, 0, 0, 1, 1], "of 40 and 30");
        assert_eq!(ahead.take(Time::from_secs(9), 5), [0; 0]);
        assert_eq!(ahead.take(Time::from_secs(20), 2), [10, 15]);
        assert_eq!(ahead.add(Time::from_secs(50), 7, 50), 0, "what was taken made room");
        assert_eq!(ahead.take(Time::NEVER, 5), [20, 50]);
        assert!(ahead.is_empty());
    }
}
