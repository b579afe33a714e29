//! Which events of a node are new, and their places in time.

use serde::{Deserialize, Serialize};
use smartfw_core::Time;

use crate::{Count, Event, Placed};

/// How far a node's events have come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Last {
    /// The highest count.
    pub(crate) count: Count,
    /// Its place.
    pub(crate) place: Time,
}

impl Last {
    /// What it is after this event.
    pub(crate) const fn of(row: &Placed) -> Self {
        Self { count: row.event.count(), place: row.place }
    }
}

/// Those of a node's events, which come in the order of their counts, that are above what is known.
pub(crate) fn place(known: Option<Last>, now: Time, events: Vec<Event>) -> Vec<Placed> {
    let mut last = known;
    let mut rows = Vec::with_capacity(events.len());
    for event in events {
        if last.is_none_or(|last| event.count() > last.count) {
            let row = Placed { place: event.time.min(now).max(last.unwrap_or_default().place), event };
            last = Some(Last::of(&row));
            rows.push(row);
        }
    }
    rows
}
