//! The bounded histories: alerts, and the lessons that people taught.

use alloc::{
    collections::{BTreeMap, VecDeque},
    vec::Vec,
};

use crate::{Alert, BlockId, Time, record::Lesson};

/// Lessons kept: people correct by hand, and learning needs the recent ones.
pub(super) const LESSONS: usize = 1000;

/// The last alerts, by time.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    alerts: BTreeMap<(Time, BlockId), Alert>,
    times: BTreeMap<BlockId, Time>,
}

impl History {
    /// Adds an alert or replaces its earlier state; gives the ids that had to go.
    pub(super) fn insert(&mut self, alert: Alert, limit: usize) -> Vec<BlockId> {
        if let Some(time) = self.times.insert(alert.id, alert.time) {
            self.alerts.remove(&(time, alert.id));
        }
        self.alerts.insert((alert.time, alert.id), alert);
        let surplus = self.alerts.len().saturating_sub(limit);
        (0..surplus).filter_map(|_| self.drop_oldest()).collect()
    }

    pub(super) fn get(&self, id: BlockId) -> Option<&Alert> {
        self.alerts.get(&(*self.times.get(&id)?, id))
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Alert> {
        self.alerts.values()
    }

    fn drop_oldest(&mut self) -> Option<BlockId> {
        let ((_, id), _) = self.alerts.pop_first()?;
        self.times.remove(&id);
        Some(id)
    }
}

/// What people corrected, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Lessons(VecDeque<Lesson>);

impl Lessons {
    /// Adds a lesson; gives the one that had to go.
    pub(super) fn push(&mut self, lesson: Lesson) -> Option<BlockId> {
        let gone = if self.0.len() >= LESSONS { self.0.pop_front() } else { None };
        let place = self.0.partition_point(|other| (other.at, other.id) <= (lesson.at, lesson.id));
        self.0.insert(place, lesson);
        gone.map(|lesson| lesson.id)
    }

    pub(super) fn get(&self, id: BlockId) -> Option<&Lesson> {
        self.0.iter().find(|lesson| lesson.id == id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Lesson> {
        self.0.iter()
    }
}
