//! Rows on their way to the disk: the newest value of each key, and up to which sequence they go.

use std::{
    collections::BTreeMap,
    mem,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use smartfw_core::{agent::LAST_WORDS, config::PolicyLimits};

use super::{Key, Value};

/// Lessons, switches, and what else is few.
const FEW: usize = 2000;

/// Distinct rows that may wait: twice as many as there are records, because what ended is a row too. When even that is
/// full (the disk has refused for very long), everything is dropped, and an empty store is begun and filled from the
/// agent once there is space.
pub fn most_rows(limits: &PolicyLimits) -> usize {
    let PolicyLimits { blocks, automatic_blocks: _, feed_blocks: _, pending, allowed, alerts, offenders } =
        *limits;
    // As many targets may be held back as allowed.
    [blocks, pending, allowed, allowed, alerts, offenders, LAST_WORDS, FEW]
        .into_iter()
        .fold(0, usize::saturating_add)
        .saturating_mul(2)
        .saturating_add(crate::fleet::rows::MOST)
}

/// Rows on their way to the disk. Of several values for a key only the last is kept, so a full disk costs no more
/// memory than the state itself.
#[derive(Debug)]
pub struct Backlog {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    rows: BTreeMap<Key, Value>,
    most: usize,
    upto: u64,
    overflowed: bool,
    /// How often everything was asked for and has not come.
    owed: u32,
    /// Everything came: that is worth a commit though no row may wait.
    answered: bool,
    closed: bool,
}

/// Rows taken from the backlog.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// The rows.
    pub(crate) rows: BTreeMap<Key, Value>,
    /// All up to this sequence are among them or were before, if they are complete.
    pub(crate) upto: u64,
    /// Whether no row is missing: none was dropped, or all have come anew.
    pub(crate) complete: bool,
    /// Rows were dropped: the store is out of date, and everything has to be written anew.
    pub(crate) overflowed: bool,
    /// Nothing more will come.
    pub(crate) closed: bool,
}

impl Backlog {
    /// A backlog of at most so many distinct rows.
    pub fn new(most: usize) -> Self {
        Self { inner: Mutex::new(Inner { most, ..Inner::default() }), changed: Condvar::new() }
    }

    /// From now on so many distinct rows may wait.
    pub fn set_most(&self, most: usize) {
        self.lock().most = most;
    }

    /// Adds a row; `sequence` rises from call to call.
    pub fn push(&self, sequence: u64, key: Key, value: Value) {
        self.push_all(sequence, [(key, value)]);
    }

    /// Adds rows, the last of which has this sequence.
    pub fn push_all(&self, sequence: u64, rows: impl IntoIterator<Item = (Key, Value)>) {
        let mut inner = self.lock();
        inner.upto = inner.upto.max(sequence);
        for (key, value) in rows {
            inner.rows.insert(key, value);
            if inner.rows.len() > inner.most {
                inner.rows.clear();
                inner.overflowed = true;
            }
        }
        self.changed.notify_one();
    }

    /// What is stored is gone or out of date: until everything has come anew, nothing is complete.
    pub fn ask_for_everything(&self) {
        self.lock().owed += 1;
    }

    /// Everything that was asked for was pushed.
    pub fn everything_came(&self) {
        let mut inner = self.lock();
        inner.owed = inner.owed.saturating_sub(1);
        inner.answered = true;
        self.changed.notify_one();
    }

    /// How many rows wait.
    pub fn len(&self) -> usize {
        self.lock().rows.len()
    }

    /// Whether no row waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Nothing more will be pushed.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    /// Waits for rows and takes all of them.
    pub(crate) fn take(&self) -> Taken {
        let mut inner = self.lock();
        while inner.rows.is_empty() && !inner.closed && !inner.overflowed && !inner.answered {
            inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        inner.answered = false;
        let overflowed = mem::take(&mut inner.overflowed);
        let complete = !overflowed && inner.owed == 0;
        Taken {
            rows: mem::take(&mut inner.rows),
            upto: inner.upto,
            complete,
            overflowed,
            closed: inner.closed,
        }
    }

    /// Puts back what could not be written; newer values win.
    pub(crate) fn put_back(&self, taken: Taken) {
        let mut inner = self.lock();
        for (key, value) in taken.rows {
            inner.rows.entry(key).or_insert(value);
        }
        inner.overflowed |= taken.overflowed;
        inner.answered |= taken.complete;
    }

    /// Waits, at most so long, for the end. Whether it has come.
    pub(crate) fn wait_closed(&self, patience: Duration) -> bool {
        let inner = self.lock();
        let wait = self.changed.wait_timeout_while(inner, patience, |inner| !inner.closed);
        wait.map_or(true, |(inner, _)| inner.closed)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_value_of_a_key_wins_also_over_what_was_put_back() {
        let backlog = Backlog::new(10);
        backlog.push(1, b"a".to_vec(), Some(b"1".to_vec()));
        backlog.push(2, b"a".to_vec(), Some(b"2".to_vec()));
        let taken = backlog.take();
        assert_eq!((taken.rows[&b"a"[..]].clone(), taken.upto), (Some(b"2".to_vec()), 2));
        backlog.push(3, b"a".to_vec(), None);
        backlog.put_back(taken);
        let taken = backlog.take();
        assert_eq!((taken.rows[&b"a"[..]].clone(), taken.upto), (None, 3));
    }

    #[test]
    fn a_full_backlog_asks_for_everything_anew() {
        let backlog = Backlog::new(10);
        for n in 0..=10_u64 {
            backlog.push(n, n.to_be_bytes().to_vec(), None);
        }
        let taken = backlog.take();
        assert!(taken.overflowed && !taken.complete && taken.rows.is_empty());
        assert!(!backlog.wait_closed(Duration::ZERO));
    }

    #[test]
    fn everything_that_there_may_be_fits() {
        let limits = PolicyLimits::default();
        assert!(most_rows(&limits) > 2 * limits.blocks);
    }

    #[test]
    fn nothing_is_complete_until_everything_came_as_often_as_it_was_asked_for() {
        let backlog = Backlog::new(10);
        backlog.ask_for_everything();
        backlog.ask_for_everything();
        backlog.push(1, b"a".to_vec(), None);
        assert!(!backlog.take().complete);
        backlog.everything_came();
        assert!(!backlog.take().complete);
        backlog.everything_came();
        assert!(backlog.take().complete, "also without a row");
    }
}
