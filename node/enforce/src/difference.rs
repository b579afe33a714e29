//! What has to change so that the kernel enforces what it shall.

use std::{collections::BTreeSet, time::Duration};

use smartfw_core::{
    IpNet, Time,
    enforcement::{Change, Enforced, Entry},
    prefix,
};

use crate::{
    comment,
    sets::{LONGEST, storable},
};

/// Kernel timeouts are whole seconds, read and set at slightly different times.
const TOLERANCE: Duration = Duration::from_secs(5);
/// What lasts longer than the kernel can count is re-armed when this much of the longest timeout has run off.
const REARM: Duration = Duration::from_secs(24 * 3600);
/// What ends within this is not worth adding: it may have ended in the kernel already.
const ENDING: Duration = Duration::from_secs(2);

/// What becomes of entries that are enforced and not desired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surplus {
    /// They stay: the desired state may be incomplete (at start, after a damaged store).
    Keep,
    /// They go: the desired state is all there is.
    Remove,
}

/// The changes that lead from `actual` to `desired` at `now`: additions first, removals last, and none unless
/// `surplus` says that the desired state is authoritative.
pub fn difference(desired: &Enforced, actual: &Enforced, now: Time, surplus: Surplus) -> Vec<Change> {
    let wanted: BTreeSet<IpNet> = protections(desired);
    let held: BTreeSet<IpNet> = protections(actual);
    let mut changes: Vec<Change> = wanted.difference(&held).copied().map(Change::Protect).collect();
    changes.extend(missing(desired, actual, now).map(Change::Block));
    if surplus == Surplus::Remove {
        changes.extend(unwanted(desired, actual, now).map(Change::Unblock));
        changes.extend(held.difference(&wanted).copied().map(Change::Unprotect));
    }
    changes
}

fn protections(enforced: &Enforced) -> BTreeSet<IpNet> {
    enforced.protected.iter().flat_map(|net| storable(prefix::canonical_net(*net))).collect()
}

fn missing(desired: &Enforced, actual: &Enforced, now: Time) -> impl Iterator<Item = Entry> {
    desired.blocks.iter().filter_map(move |(target, entry)| {
        let held = actual.blocks.get(&prefix::canonical_net(*target));
        (!ending(entry, now) && !held.is_some_and(|held| same(entry, held, now))).then(|| entry.clone())
    })
}

fn unwanted(desired: &Enforced, actual: &Enforced, now: Time) -> impl Iterator<Item = IpNet> {
    actual.blocks.iter().filter_map(move |(target, held)| {
        let surplus = match desired.blocks.get(target) {
            None => true,
            // What ends in both within a moment is left to the kernel.
            Some(wanted) => over(wanted, now) && !ending(held, now),
        };
        surplus.then_some(*target)
    })
}

fn same(desired: &Entry, held: &Entry, now: Time) -> bool {
    desired.strength == held.strength
        && agree(desired.expires, held.expires, now)
        && comment::as_kept(&desired.note) == held.note
}

/// Whether a kernel entry that ends at `held` does for one that shall end at `desired`.
fn agree(desired: Option<Time>, held: Option<Time>, now: Time) -> bool {
    let (Some(desired), Some(held)) = (desired, held) else { return desired == held };
    let longest = now.after(Duration::from_secs(LONGEST));
    if desired > longest {
        return longest.since(held) <= REARM && held.since(longest) <= TOLERANCE;
    }
    desired.since(held) <= TOLERANCE && held.since(desired) <= TOLERANCE
}

fn over(entry: &Entry, now: Time) -> bool {
    entry.expires.is_some_and(|expires| expires <= now)
}

fn ending(entry: &Entry, now: Time) -> bool {
    entry.expires.is_some_and(|expires| expires.since(now) < ENDING)
}

#[cfg(test)]
mod tests {
    use smartfw_core::{BlockId, Class, Strength, enforcement::Note};

    use super::*;

    const NOW: Time = Time::from_secs(1_000_000);
    const DAY: u64 = 24 * 3600;

    fn entry(target: &str, seconds: Option<u64>) -> Entry {
        let note = Note { id: BlockId(7), class: Class::PortScan, origin: "web-1".into() };
        let expires = seconds.map(|seconds| NOW.after(Duration::from_secs(seconds)));
        Entry { target: target.parse().unwrap(), strength: Strength::Hard, expires, note }
    }

    fn enforced<const N: usize>(entries: [&Entry; N]) -> Enforced {
        let blocks = entries.into_iter().map(|entry| (entry.target, entry.clone())).collect();
        Enforced { blocks, protected: Vec::new() }
    }

    fn changes(desired: Option<u64>, held: Option<u64>) -> usize {
        let of = |seconds| enforced([&entry("203.0.113.7/32", seconds)]);
        difference(&of(desired), &of(held), NOW, Surplus::Remove).len()
    }

    #[test]
    fn what_is_missing_is_added_before_what_is_surplus_goes() {
        let (new, old) = (entry("203.0.113.7/32", None), entry("203.0.113.8/32", None));
        let changes = difference(&enforced([&new]), &enforced([&old]), NOW, Surplus::Remove);
        assert_eq!(changes, [Change::Block(new), Change::Unblock(old.target)]);
    }

    #[test]
    fn nothing_is_removed_unless_the_desired_state_is_authoritative() {
        let mut actual = enforced([&entry("203.0.113.7/32", None)]);
        actual.protected.push("192.0.2.1/32".parse().unwrap());
        assert_eq!(difference(&Enforced::default(), &actual, NOW, Surplus::Keep), []);
        assert_eq!(difference(&Enforced::default(), &actual, NOW, Surplus::Remove).len(), 2);
    }

    #[test]
    fn a_few_seconds_make_no_difference_and_more_do() {
        assert_eq!((changes(Some(300), Some(296)), changes(Some(300), Some(304))), (0, 0));
        assert_eq!((changes(Some(300), Some(290)), changes(Some(300), Some(310))), (1, 1));
        assert_eq!((changes(None, Some(300)), changes(Some(300), None), changes(None, None)), (1, 1, 0));
    }

    #[test]
    fn what_lasts_longer_than_the_kernel_counts_is_rearmed_once_a_day() {
        assert_eq!(changes(Some(90 * DAY), Some(LONGEST)), 0);
        assert_eq!(changes(Some(90 * DAY), Some(LONGEST - DAY + 60)), 0);
        assert_eq!(changes(Some(90 * DAY), Some(LONGEST - DAY - 60)), 1);
        assert_eq!(changes(Some(LONGEST - 60), Some(LONGEST - DAY)), 1);
    }

    #[test]
    fn what_ends_now_is_neither_added_nor_removed() {
        let ending = enforced([&entry("203.0.113.7/32", Some(1))]);
        assert_eq!(difference(&ending, &Enforced::default(), NOW, Surplus::Remove), []);
        assert_eq!(difference(&ending, &ending, NOW, Surplus::Remove), []);
    }

    #[test]
    fn a_changed_note_or_strength_is_a_change() {
        let held = entry("203.0.113.7/32", None);
        let mut other = held.clone();
        other.note.origin = "web-2".into();
        let soft = Entry { strength: Strength::Soft, ..held.clone() };
        for wanted in [other, soft] {
            let changes = difference(&enforced([&wanted]), &enforced([&held]), NOW, Surplus::Keep);
            assert_eq!(changes, [Change::Block(wanted)]);
        }
    }

    #[test]
    fn protected_everything_is_compared_as_its_two_halves() {
        let whole = Enforced { protected: vec!["::/0".parse().unwrap()], ..Enforced::default() };
        let halves = Enforced {
            protected: vec!["8000::/1".parse().unwrap(), "::/1".parse().unwrap()],
            ..Enforced::default()
        };
        assert_eq!(difference(&whole, &halves, NOW, Surplus::Remove), []);
        assert_eq!(difference(&whole, &Enforced::default(), NOW, Surplus::Remove).len(), 2);
    }
}
