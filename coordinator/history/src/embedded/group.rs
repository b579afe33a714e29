//! Appends that come while another is flushed: they are flushed together, by whoever of them is first to write.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use smartfw_core::{Time, fleet::NodeId};

use crate::{Appended, Event, HistoryError, MOST_APPENDED, Placed, place::Last};

/// An append that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) now: Time,
    pub(super) nodes: BTreeMap<NodeId, Vec<Event>>,
    /// What became of it.
    pub(super) done: OnceLock<Result<Appended, HistoryError>>,
}

/// Those that wait. A thread waits with each of them: there are no more than threads.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<VecDeque<Arc<Waiting>>>,
}

/// What one flush makes last.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) rows: Vec<Placed>,
    /// The lasts of the nodes of which there are rows.
    pub(super) lasts: BTreeMap<NodeId, Last>,
}

impl Waiting {
    /// How many events it brings.
    pub(super) fn events(&self) -> usize {
        self.nodes.values().map(Vec::len).sum()
    }
}

impl Queue {
    /// Puts one more behind those that wait.
    pub(super) fn join(&self, now: Time, nodes: BTreeMap<NodeId, Vec<Event>>) -> Arc<Waiting> {
        let waiting = Arc::new(Waiting { now, nodes, done: OnceLock::new() });
        self.lock().push_back(Arc::clone(&waiting));
        waiting
    }

    /// Takes the first ones, until they bring [`MOST_APPENDED`] events or more: at most twice as many.
    pub(super) fn take(&self) -> Vec<Arc<Waiting>> {
        let (mut waiting, mut group, mut events) = (self.lock(), Vec::new(), 0);
        while events < MOST_APPENDED
            && let Some(next) = waiting.pop_front()
        {
            events += next.events();
            group.push(next);
        }
        group
    }

    /// How many wait.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Waiting>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Batch {
    /// Takes in events that have their places.
    pub(super) fn add(&mut self, rows: Vec<Placed>) {
        self.lasts.extend(rows.iter().map(|row| (row.event.id, Last::of(row))));
        self.rows.extend(rows);
    }
}
