//! Rows on their way to the disk: the newest value of each key, and up to which sequence they go.

use std::{
    collections::BTreeMap,
    mem,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{Key, Value};

/// Distinct rows that may wait: more than the block list holds. When even that is full (the disk has refused for very
/// long), everything is dropped and written anew from the agent once there is space.
const MAX_ROWS: usize = 1_300_000;

/// Rows on their way to the disk. Of several values for a key only the last is kept, so a full disk costs no more
/// memory than the state itself.
#[derive(Debug, Default)]
pub struct Backlog {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    rows: BTreeMap<Key, Value>,
    upto: u64,
    overflowed: bool,
    closed: bool,
}

/// Rows taken from the backlog.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// The rows.
    pub(crate) rows: BTreeMap<Key, Value>,
    /// All up to this sequence are among them or were before.
    pub(crate) upto: u64,
    /// Rows were dropped: everything has to be written anew.
    pub(crate) overflowed: bool,
    /// Nothing more will come.
    pub(crate) closed: bool,
}

impl Backlog {
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
            if inner.rows.len() > MAX_ROWS {
                inner.rows.clear();
                inner.overflowed = true;
            }
        }
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
        while inner.rows.is_empty() && !inner.closed && !inner.overflowed {
            inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        let overflowed = mem::take(&mut inner.overflowed);
        Taken { rows: mem::take(&mut inner.rows), upto: inner.upto, overflowed, closed: inner.closed }
    }

    /// Puts back what could not be written; newer values win.
    pub(crate) fn put_back(&self, taken: Taken) {
        let mut inner = self.lock();
        for (key, value) in taken.rows {
            inner.rows.entry(key).or_insert(value);
        }
        inner.overflowed |= taken.overflowed;
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
        let backlog = Backlog::default();
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
        let backlog = Backlog::default();
        for n in 0..=MAX_ROWS as u64 {
            backlog.push(n, n.to_be_bytes().to_vec(), None);
        }
        let taken = backlog.take();
        assert!(taken.overflowed && taken.rows.is_empty());
        assert!(!backlog.wait_closed(Duration::ZERO));
    }
}
