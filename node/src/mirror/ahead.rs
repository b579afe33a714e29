//! What is dated ahead of the time, until that has come: a clock that is behind, as after a start without a battery, must
//! not lose what others signed meanwhile.

use std::collections::BTreeMap;

use smartfw_core::Time;

/// What waits, the earliest first; of more than there may be the furthest ahead goes. One key of one time waits once.
#[derive(Debug)]
pub(super) struct Ahead<K, T> {
    /// By when it was signed, and which it is, with its weight.
    waiting: BTreeMap<(Time, K), (usize, T)>,
    weight: usize,
    most: usize,
}

impl<K: Ord, T> Ahead<K, T> {
    /// Nothing; at most of this weight together.
    pub(super) const fn new(most: usize) -> Self {
        Self { waiting: BTreeMap::new(), weight: 0, most }
    }

    /// Has something wait that was signed then. When those were signed that had to go for it, itself among them, the
    /// furthest ahead first.
    pub(super) fn add(&mut self, issued: Time, key: K, weight: usize, one: T) -> Vec<Time> {
        self.weight += weight;
        if let Some((before, _)) = self.waiting.insert((issued, key), (weight, one)) {
            self.weight -= before;
        }
        let mut gone = Vec::new();
        while self.weight > self.most {
            let Some(((issued, _), (weight, _))) = self.waiting.pop_last() else { break };
            self.weight -= weight;
            gone.push(issued);
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

    /// When the first was signed that waits.
    pub(super) fn first(&self) -> Option<Time> {
        self.waiting.first_key_value().map(|((issued, _), _)| *issued)
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
        let mut add = |second, weight| ahead.add(Time::from_secs(second), second, weight, second);
        let added = [(30, 4), (10, 3), (20, 3), (40, 1), (15, 4)].map(|(second, weight)| add(second, weight));
        assert_eq!(added.map(|gone| gone.len()), [0, 0, 0, 1, 1], "of 40 and 30");
        assert_eq!(add(20, 3), [], "it waits already");
        assert_eq!(ahead.first(), Some(Time::from_secs(10)));
        assert_eq!(ahead.take(Time::from_secs(9), 5), [0; 0]);
        assert_eq!(ahead.take(Time::from_secs(20), 2), [10, 15]);
        assert_eq!(ahead.add(Time::from_secs(50), 50, 7, 50), [], "what was taken made room");
        assert_eq!(ahead.take(Time::NEVER, 5), [20, 50]);
        assert!(ahead.is_empty() && ahead.first().is_none());
    }
}
