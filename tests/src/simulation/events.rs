//! What happens when.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use smartfw_core::gossip::Ticket;

/// Something that happens at a time. Nodes are numbers; a `life` is what a crash ends.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// Encoded bytes arrive.
    Arrive {
        /// From whom.
        from: usize,
        /// To whom.
        to: usize,
        /// On which connection; a broken one carries nothing more.
        connection: u64,
        /// The message.
        bytes: Vec<u8>,
    },
    /// A dialled stream opens.
    Open {
        /// Who dialled.
        from: usize,
        /// Whom.
        to: usize,
        /// The connection.
        connection: u64,
    },
    /// A stream breaks.
    Break {
        /// One end.
        from: usize,
        /// The other.
        to: usize,
        /// The connection.
        connection: u64,
        /// Whether only if something sent on it still has not arrived.
        stalled: bool,
    },
    /// A disk has written.
    Flushed {
        /// Whose.
        node: usize,
        /// In which life.
        life: u32,
        /// Up to where.
        upto: Ticket,
    },
    /// A node's timeout.
    Timeout {
        /// Whose.
        node: usize,
        /// In which life.
        life: u32,
    },
    /// A node looks whether its neighbours are connected.
    Redial {
        /// Which.
        node: usize,
        /// In which life.
        life: u32,
    },
    /// A paused node goes on.
    Resume(usize),
    /// Members are told who is alive.
    Members,
}

/// Events in order of time, and of their making where the time is the same.
#[derive(Debug, Default)]
pub(super) struct Queue {
    heap: BinaryHeap<Reverse<Entry>>,
    count: u64,
}

#[derive(Debug)]
struct Entry(Duration, u64, Event);

impl Queue {
    /// Adds an event.
    pub(super) fn push(&mut self, at: Duration, event: Event) {
        self.count += 1;
        self.heap.push(Reverse(Entry(at, self.count, event)));
    }

    /// The next event before `until`.
    pub(super) fn pop(&mut self, until: Duration) -> Option<(Duration, Event)> {
        if self.heap.peek()?.0.0 > until {
            return None;
        }
        self.heap.pop().map(|Reverse(Entry(at, _, event))| (at, event))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}
