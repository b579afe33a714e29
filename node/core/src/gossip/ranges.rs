//! Sets of sequences, as ranges.

use alloc::{collections::BTreeMap, vec::Vec};

/// Sequences `from..=to`, kept apart from each other: neighbours that touch are one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.iter().map(|(&from, &to)| (from, to))
    }

    pub(super) fn insert(&mut self, mut from: u64, mut to: u64) {
        while let Some((&start, &end)) = self.0.range(..=to.saturating_add(1)).next_back() {
            if end.saturating_add(1) < from {
                break;
            }
            self.0.remove(&start);
            from = from.min(start);
            to = to.max(end);
        }
        self.0.insert(from, to);
    }

    /// What of `from..=to` is not in the set.
    pub(super) fn missing(&self, mut from: u64, to: u64) -> Vec<(u64, u64)> {
        let mut missing = Vec::new();
        let before = self.0.range(..from).next_back().map(|(_, &end)| end);
        if let Some(end) = before.filter(|&end| end >= from) {
            if end >= to {
                return missing;
            }
            from = end + 1;
        }
        for (&start, &end) in self.0.range(from..=to.max(from)) {
            if start > from {
                missing.push((from, start - 1));
            }
            if end >= to {
                return missing;
            }
            from = end + 1;
        }
        if from <= to {
            missing.push((from, to));
        }
        missing
    }

    /// Forgets what lies below `floor`, wholly.
    pub(super) fn raise(&mut self, floor: u64) {
        self.0.retain(|_, end| *end >= floor);
    }

    /// Forgets the lowest ranges until there are at most `limit`.
    pub(super) fn trim(&mut self, limit: usize) {
        while self.0.len() > limit {
            self.0.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::{collections::BTreeSet, vec};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_that_touch_are_one() {
        let mut ranges = Ranges::default();
        ranges.insert(1, 3);
        ranges.insert(7, 9);
        ranges.insert(4, 6);
        assert_eq!(ranges.iter().collect::<Vec<_>>(), vec![(1, 9)]);
        ranges.insert(u64::MAX - 1, u64::MAX);
        ranges.insert(0, u64::MAX);
        assert_eq!(ranges.iter().collect::<Vec<_>>(), vec![(0, u64::MAX)]);
        assert!(ranges.missing(5, u64::MAX).is_empty());
    }

    #[test]
    fn the_end_of_all_numbers_is_a_number() {
        let mut ranges = Ranges::default();
        ranges.insert(u64::MAX, u64::MAX);
        assert_eq!(ranges.missing(0, u64::MAX), vec![(0, u64::MAX - 1)]);
        ranges.trim(0);
        assert!(ranges.is_empty());
    }

    proptest! {
        #[test]
        fn they_say_what_a_set_would_say(
            inserts in proptest::collection::vec((0_u64..60, 0_u64..6), 0..20), from in 0_u64..60, length in 0_u64..40,
        ) {
            let mut ranges = Ranges::default();
            let mut set = BTreeSet::new();
            for (start, more) in inserts {
                ranges.insert(start, start + more);
                set.extend(start..=start + more);
            }
            let missing: BTreeSet<u64> =
                ranges.missing(from, from + length).into_iter().flat_map(|(a, b)| a..=b).collect();
            let expected: BTreeSet<u64> = (from..=from + length).filter(|n| !set.contains(n)).collect();
            prop_assert_eq!(missing, expected);
            let held: BTreeSet<u64> = ranges.iter().flat_map(|(a, b)| a..=b).collect();
            prop_assert_eq!(held, set);
            let touching = ranges.iter().zip(ranges.iter().skip(1)).any(|(a, b)| a.1 + 1 >= b.0);
            prop_assert!(!touching);
        }
    }
}
