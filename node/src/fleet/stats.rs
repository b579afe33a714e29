//! What the fleet's transport counts.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::counters::{Counter, Histogram};

/// Something that is so, or not.
#[derive(Debug, Default)]
pub struct Flag(AtomicBool);

impl Flag {
    /// Sets it.
    pub fn set(&self, on: bool) {
        self.0.store(on, Relaxed);
    }

    /// Whether it is so.
    pub fn is_on(&self) -> bool {
        self.0.load(Relaxed)
    }
}

/// Counters of streams and datagrams.
#[derive(Debug, Default)]
pub struct FleetCounters {
    /// Whether this node takes part in a fleet.
    pub takes_part: Flag,
    /// Streams open now.
    pub streams: Counter,
    /// Messages taken from streams.
    pub messages: Counter,
    /// Runs that did not hold: forged, malformed, of another cluster.
    pub runs_refused: Counter,
    /// Streams closed because what waited for them passed its limit.
    pub outboxes_full: Counter,
    /// Messages that are none of ours: their streams were closed.
    pub malformed: Counter,
    /// Connections refused: no member, another cluster, expired, revoked.
    pub refused: Counter,
    /// Datagrams taken from the socket.
    pub datagrams: Counter,
    /// Datagrams that did not fit into the driver's queue.
    pub datagrams_dropped: Counter,
    /// Datagrams that the system did not send.
    pub datagrams_unsent: Counter,
    /// Operators' orders that did not hold.
    pub orders_refused: Counter,
    /// Blocks and orders of members applied.
    pub applied: Counter,
    /// Members alive, without this one.
    pub alive: Counter,
    /// From our decision to a member's word that its kernel drops.
    pub propagation: Histogram,
}
