//! What is known in memory: whoever asks sees one state of it, also while a segment is written.

use std::{collections::BTreeMap, sync::Arc};

use smartfw_core::{Time, fleet::NodeId};

use super::segment::Segment;
use crate::{
    Cursor, Event, HistoryError, MOST_NODES, Placed, Query,
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
    /// What is placed before this has been let go.
    pub(super) floor: Time,
}

impl View {
    /// Gives events their places: those that are not known, which come in the order of their counts.
    pub(super) fn place(
        &self,
        now: Time,
        node: NodeId,
        events: Vec<Event>,
    ) -> Result<Vec<Placed>, HistoryError> {
        let known = self.lasts.get(&node);
        if known.is_none() && self.lasts.len() >= MOST_NODES {
            return Err(HistoryError::TooManyNodes(node));
        }
        Ok(place(known.copied(), now, events))
    }

    /// Takes in what is on disk now.
    pub(super) fn add(&mut self, rows: Vec<Placed>) {
        for row in rows {
            self.lasts.insert(row.event.id, Last::of(&row));
            self.head_bytes += bytes_of(&row.event);
            self.head.insert(row.cursor(), row.event);
        }
    }

    /// Takes in what was in the journal. An append that failed can be there beside its repetition: the first counts.
    pub(super) fn restore(&mut self, packs: impl IntoIterator<Item = Vec<Placed>>) {
        let lasts = std::mem::take(&mut self.lasts);
        for pack in packs {
            for row in pack {
                if self.lasts.get(&row.event.id).is_none_or(|last| row.event.count() > last.count) {
                    self.add(vec![row]);
                }
            }
        }
        self.lasts.extend(lasts);
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

/// About how many bytes an event takes, on disk and in memory.
pub(super) fn bytes_of(event: &Event) -> usize {
    event.body.len() + event.node.len() + 96
}
