//! Numbers that every thread may raise and the metrics page shows.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use smartfw_core::Class;

use crate::fleet::FleetCounters;

/// A number that only rises, or a level that is set.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Raises it by `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// Lowers it by `n`, for what rises and falls.
    pub fn sub(&self, n: u64) {
        self.0.fetch_sub(n, Relaxed);
    }

    /// Sets it.
    pub fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    /// Its value.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// For so long after the last one a person who asks is told of mishaps: long enough to be seen by who comes to look.
const LATELY: Duration = Duration::from_secs(3600);

/// What should not happen: how often it did, and whether it did lately.
#[derive(Debug, Default)]
pub struct Mishaps {
    count: Counter,
    last: Mutex<Option<Instant>>,
}

impl Mishaps {
    /// It happened `n` times.
    pub fn add(&self, n: u64) {
        if n > 0 {
            self.count.add(n);
            *self.last() = Some(Instant::now());
        }
    }

    /// How often it happened since the start.
    pub fn get(&self) -> u64 {
        self.count.get()
    }

    /// The same, if the last time was a moment ago.
    pub fn lately(&self) -> Option<u64> {
        self.last().is_some_and(|last| last.elapsed() < LATELY).then(|| self.get())
    }

    fn last(&self) -> MutexGuard<'_, Option<Instant>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everything that is counted outside the core.
#[derive(Debug, Default)]
pub struct Counters {
    /// Verdicts by class, in the order of [`Class::ALL`].
    pub verdicts: ByClass,
    /// Alerts reported (updates of an episode included) by class.
    pub alerts: ByClass,
    /// Verdicts that did not fit into the agent's queue.
    pub verdicts_dropped: Mishaps,
    /// Log lines that did not fit into the writer's queue.
    pub lines_dropped: Mishaps,
    /// Logins that did not fit into the sensor's queue.
    pub logins_dropped: Mishaps,
    /// Orders to destroy connections that did not fit into their queue.
    pub cuts_dropped: Mishaps,
    /// Times that the enforcement queue overflowed and the kernel was reconciled as a whole instead.
    pub enforcement_overflows: Mishaps,
    /// Changes that the kernel has taken.
    pub changes: Counter,
    /// Changes that the kernel refused.
    pub changes_failed: Counter,
    /// Repairs by the reconciler.
    pub repairs: Counter,
    /// Connections destroyed.
    pub connections_destroyed: Counter,
    /// Packets that the kernel lost before the sensor saw them.
    pub lost: Mishaps,
    /// Times that the detector was restarted.
    pub detector_restarts: Mishaps,
    /// Records written to disk.
    pub records: Counter,
    /// Commits to disk that failed.
    pub commits_failed: Counter,
    /// Verdicts waiting for the agent.
    pub verdicts_waiting: Counter,
    /// Lines of traffic waiting for the log.
    pub traffic_waiting: Counter,
    /// Changes waiting for the kernel.
    pub changes_waiting: Counter,
    /// Records waiting for the disk.
    pub records_waiting: Counter,
    /// From the deciding packet to the kernel's word that it drops.
    pub latency: Histogram,
    /// The fleet's streams and datagrams.
    pub fleet: FleetCounters,
    /// What coordinators are told.
    pub uplink: UplinkCounters,
}

/// Counters of what coordinators are told.
#[derive(Debug, Default)]
pub struct UplinkCounters {
    /// Events sent, to each coordinator.
    pub sent: Counter,
    /// Events that had to go untold.
    pub dropped: Mishaps,
    /// Events that the mirror alone misses: coordinators have them, or hear of them otherwise.
    pub missed: Mishaps,
}

/// A counter for each class.
#[derive(Debug, Default)]
pub struct ByClass([Counter; Class::ALL.len()]);

impl ByClass {
    /// The counter of a class.
    pub fn of(&self, class: Class) -> &Counter {
        &self.0[class as usize]
    }

    /// Every class with its value.
    pub fn iter(&self) -> impl Iterator<Item = (Class, u64)> {
        Class::ALL.iter().map(|class| (*class, self.of(*class).get()))
    }
}

/// How often something took how long.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Counter; BOUNDS.len()],
    count: Counter,
    sum_micros: Counter,
}

/// Upper bounds of the buckets, microseconds: the targets (2 ms median, 8 ms at the 99th percentile) are among them.
pub const BOUNDS: [u64; 14] =
    [50, 100, 250, 500, 1000, 2000, 4000, 8000, 16_000, 50_000, 100_000, 500_000, 1_000_000, 10_000_000];

impl Histogram {
    /// Adds one measurement.
    pub fn record(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if let Some(index) = BOUNDS.iter().position(|bound| micros <= *bound) {
            self.buckets[index].add(1);
        }
        self.count.add(1);
        self.sum_micros.add(micros);
    }

    /// How many measurements took at most each bound (in microseconds), rising.
    pub fn cumulative(&self) -> impl Iterator<Item = (u64, u64)> {
        let mut total = 0;
        BOUNDS.into_iter().zip(&self.buckets).map(move |(bound, bucket)| {
            total += bucket.get();
            (bound, total)
        })
    }

    /// How many measurements there were, and their sum in microseconds.
    pub fn totals(&self) -> (u64, u64) {
        (self.count.get(), self.sum_micros.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_up() {
        let histogram = Histogram::default();
        for micros in [10, 50, 51, 20_000_000] {
            histogram.record(Duration::from_micros(micros));
        }
        let counts: Vec<u64> = histogram.cumulative().map(|(_, count)| count).collect();
        assert_eq!(counts[..3], [2, 3, 3]);
        assert_eq!(counts[13], 3);
        assert_eq!(histogram.totals(), (4, 20_000_111));
    }

    #[test]
    fn what_happened_long_ago_is_counted_and_no_longer_told() {
        let mishaps = Mishaps::default();
        mishaps.add(0);
        assert_eq!((mishaps.get(), mishaps.lately()), (0, None));
        mishaps.add(2);
        assert_eq!(mishaps.lately(), Some(2));
        *mishaps.last() = Instant::now().checked_sub(LATELY);
        assert_eq!((mishaps.get(), mishaps.lately()), (2, None));
    }

    #[test]
    fn every_class_has_its_own_counter() {
        let counters = ByClass::default();
        Class::ALL.iter().for_each(|class| counters.of(*class).add(1));
        assert!(counters.iter().all(|(_, count)| count == 1));
    }
}
