//! What is known in memory: whoever asks sees one state of it, also while a segment is written.

use std::{collections::BTreeMap, sync::Arc};

use smartfw_core::{Time, fleet::NodeId};

use super::{
    group::{Batch, Waiting},
    journal::Contents,
    segment::Segment,
};
use crate::{
    Appended, Cursor, Event, HistoryError, MOST_NODES, Placed, Query,
    age::Ages,
    place::{Last, place},
};

/// Events in memory from which on they become a segment.
pub(super) const FULL_EVENTS: usize = 65_536;

/// Bytes of events in memory from which on they become a segment.
pub(super) const FULL_BYTES: usize = 16 << 20;

/// What is known.
#[derive(Debug, Default)]
pub(super) struct View {
    /// What is in no segment.
    pub(super) head: BTreeMap<Cursor, Event>,
    /// Bytes of that.
    pub(super) head_bytes: usize,
    /// The segments, by number.
    pub(super) segments: BTreeMap<u64, Arc<Segment>>,
    /// Each node's last.
    pub(super) lasts: BTreeMap<NodeId, Last>,
    /// How age is counted, and what was let go.
    pub(super) ages: Ages,
}

impl View {
    /// What is known after a start: of each node the higher last of those that the segments and the journal tell, because
    /// either may have been moved away, or come back as it was earlier. A row that a segment has passed is in one.
    pub(super) fn restore(
        segments: BTreeMap<u64, Arc<Segment>>,
        mut lasts: BTreeMap<NodeId, Last>,
        journal: Contents,
    ) -> Self {
        let Contents { lasts: before, ages, begun, added } = journal;
        let mut view = Self { segments, ages, ..Self::default() };
        view.add(begun.into_iter().filter(|row| is_new(&lasts, row)));
        before.into_iter().for_each(|(node, last)| raise(&mut lasts, node, last));
        for row in added {
            if is_new(&lasts, &row) {
                lasts.insert(row.event.id, Last::of(&row));
                view.add([row]);
            }
        }
        view.lasts = lasts;
        view
    }

    /// Gives an append's events their places, behind those of the batch: all of them, or none when one is refused.
    ///
    /// # Errors
    /// When there would be too many nodes.
    pub(super) fn place(&self, batch: &mut Batch, waiting: &Waiting) -> Result<Appended, HistoryError> {
        let known = |node: &NodeId| batch.lasts.get(node).or_else(|| self.lasts.get(node)).copied();
        let others = batch.lasts.keys().filter(|node| !self.lasts.contains_key(*node)).count();
        let room = MOST_NODES.saturating_sub(self.lasts.len() + others);
        if let Some(node) = waiting.nodes.keys().filter(|node| known(node).is_none()).nth(room) {
            return Err(HistoryError::TooManyNodes(*node));
        }
        let placed =
            waiting.nodes.iter().map(|(node, events)| place(known(node), waiting.now, events.clone()));
        let rows: Vec<Placed> = placed.flatten().collect();
        let kept = rows.len();
        batch.add(rows);
        Ok(Appended { kept, known: waiting.events() - kept })
    }

    /// Takes in what is on disk now.
    pub(super) fn add(&mut self, rows: impl IntoIterator<Item = Placed>) {
        for row in rows {
            self.lasts.insert(row.event.id, Last::of(&row));
            self.head_bytes += bytes_of(&row.event);
            self.head.insert(row.cursor(), row.event);
        }
    }

    /// What was in memory is in this segment now.
    pub(super) fn seal(&mut self, number: u64, segment: Segment) {
        self.segments.insert(number, Arc::new(segment));
        self.forget();
    }

    /// Forgets what is in memory.
    pub(super) fn forget(&mut self) {
        self.head = BTreeMap::new();
        self.head_bytes = 0;
    }

    /// The place of the newest event that ever was.
    pub(super) fn newest(&self) -> Time {
        self.lasts.values().map(|last| last.place).max().unwrap_or_default()
    }

    /// Whether what is in memory is enough for a segment of so many events.
    pub(super) fn is_full(&self, events: usize) -> bool {
        self.head.len() >= events || self.head_bytes >= FULL_BYTES
    }

    /// What is wanted of that which is in no segment, the newest last: for one page, and one more to know that there is
    /// more.
    pub(super) fn find(&self, query: &Query) -> Vec<Placed> {
        let wanted = self.head.range(..query.before()).rev();
        let wanted = wanted.skip_while(|(cursor, _)| cursor.place > query.to);
        let wanted = wanted.take_while(|(cursor, _)| cursor.place >= query.from);
        let wanted = wanted.filter(|(_, event)| query.wants(event)).take(query.rows() + 1);
        let mut found: Vec<_> =
            wanted.map(|(cursor, event)| Placed { place: cursor.place, event: event.clone() }).collect();
        found.reverse();
        found
    }
}

/// Has a node's last be this one, if it is higher.
pub(super) fn raise(lasts: &mut BTreeMap<NodeId, Last>, node: NodeId, last: Last) {
    let known = lasts.entry(node).or_insert(last);
    if last.count > known.count {
        *known = last;
    }
}

/// Whether no event of its node that is as high is known.
fn is_new(lasts: &BTreeMap<NodeId, Last>, row: &Placed) -> bool {
    lasts.get(&row.event.id).is_none_or(|last| row.event.count() > last.count)
}

/// About how many bytes an event takes, on disk and in memory.
pub(super) fn bytes_of(event: &Event) -> usize {
    event.body.len() + event.node.len() + 96
}
