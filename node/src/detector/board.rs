//! What the sensor shows to others: totals over all its lives, and the last windows.

use std::{
    collections::BTreeMap,
    mem,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use smartfw_core::{
    Features, Time,
    packet::Malformed,
    sensor::{Comparison, SensorStats, WindowReport},
};

use crate::counters::Mishaps;

/// Windows that are remembered: the live view shows a hundred, an explanation one.
const MAX_WINDOWS: usize = 4096;

/// An older window says nothing about now.
const FRESH: Duration = Duration::from_secs(20);

/// What the sensor shows.
#[derive(Debug, Default)]
pub struct Board(Mutex<Inner>);

type Windows = BTreeMap<IpAddr, (Time, Features)>;

#[derive(Debug, Default)]
struct Inner {
    seen: Seen,
    forgotten: Mishaps,
    /// The statistics of the running sensor when they were last shown.
    last: SensorStats,
    comparison: Comparison,
    windows: Windows,
    /// The windows that came before, none of whose sources is among them.
    older: Windows,
}

/// Totals since the daemon's start, whatever became of the sensor meanwhile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Wire segments.
    pub packets: u64,
    /// IP bytes.
    pub bytes: u64,
    /// Segments of sources under a hard block.
    pub suppressed: u64,
    /// Conversations begun.
    pub flows: u64,
    /// Frames that could not be read, by reason.
    pub malformed: BTreeMap<&'static str, u64>,
    /// Things forgotten because a table was full.
    pub forgotten: u64,
    /// The same, if the last was forgotten a moment ago.
    pub forgotten_lately: Option<u64>,
    /// Remote addresses remembered now.
    pub sources: u64,
    /// Whether our answers leave by another path.
    pub asymmetric: bool,
    /// Windows that a model judged.
    pub looks: u64,
    /// Windows that no model judged because enough were within the second.
    pub looks_skipped: u64,
    /// Verdicts of the random forest.
    pub forest_verdicts: u64,
    /// Verdicts of the isolation forest.
    pub isolation_verdicts: u64,
}

impl Board {
    /// A sensor begins at zero.
    pub fn begin(&self) {
        self.lock().last = SensorStats::default();
    }

    /// Takes over what a sensor counted since it last showed it.
    pub fn show(&self, stats: &SensorStats) {
        let mut inner = self.lock();
        let last = mem::replace(&mut inner.last, *stats);
        let seen = &mut inner.seen;
        seen.packets += stats.packets.saturating_sub(last.packets);
        seen.bytes += stats.bytes.saturating_sub(last.bytes);
        seen.suppressed += stats.suppressed.saturating_sub(last.suppressed);
        seen.flows += stats.flows.saturating_sub(last.flows);
        seen.looks += stats.looks.saturating_sub(last.looks);
        seen.looks_skipped += stats.looks_skipped.saturating_sub(last.looks_skipped);
        seen.forest_verdicts += stats.forest_verdicts.saturating_sub(last.forest_verdicts);
        seen.isolation_verdicts += stats.isolation_verdicts.saturating_sub(last.isolation_verdicts);
        for ((kind, now), (_, before)) in stats.malformed_by().zip(last.malformed_by()) {
            *seen.malformed.entry(Malformed::as_str(kind)).or_default() += now.saturating_sub(before);
        }
        seen.sources = stats.sources;
        seen.asymmetric = stats.is_asymmetric();
        inner.forgotten.add(forgotten(stats).saturating_sub(forgotten(&last)));
    }

    /// How the shadow compares with the model in use, since it was set or the sensor began.
    pub fn compare(&self, comparison: Comparison) {
        self.lock().comparison = comparison;
    }

    /// The last such comparison.
    pub fn comparison(&self) -> Comparison {
        self.lock().comparison
    }

    /// Remembers a window; where there are too many the older half goes.
    pub fn window(&self, report: &WindowReport) {
        let mut inner = self.lock();
        if inner.windows.len() >= MAX_WINDOWS / 2 {
            inner.older = mem::take(&mut inner.windows);
        }
        inner.older.remove(&report.source);
        inner.windows.insert(report.source, (report.at, report.features));
    }

    /// The totals.
    pub fn seen(&self) -> Seen {
        let inner = self.lock();
        let (forgotten, forgotten_lately) = (inner.forgotten.get(), inner.forgotten.lately());
        Seen { forgotten, forgotten_lately, ..inner.seen.clone() }
    }

    /// The last window of an address.
    pub fn window_of(&self, source: IpAddr) -> Option<Features> {
        let inner = self.lock();
        inner.windows.get(&source).or_else(|| inner.older.get(&source)).map(|(_, features)| *features)
    }

    /// The `count` busiest sources of the last seconds.
    pub fn busiest(&self, now: Time, count: usize) -> Vec<(IpAddr, Features)> {
        let inner = self.lock();
        let windows = inner.windows.iter().chain(&inner.older);
        let fresh = windows.filter(|(_, (at, _))| now.since(*at) < FRESH);
        let mut busiest: Vec<_> = fresh.map(|(source, (_, features))| (*source, *features)).collect();
        drop(inner);
        busiest.sort_by(|(_, a), (_, b)| b.packets_per_second.total_cmp(&a.packets_per_second));
        busiest.truncate(count);
        busiest
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const fn forgotten(stats: &SensorStats) -> u64 {
    stats.forgotten_sources + stats.forgotten_conversations + stats.forgotten_services
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_go_on_when_the_sensor_begins_anew() {
        let board = Board::default();
        board.show(&packets(5));
        board.show(&packets(8));
        board.begin();
        board.show(&packets(2));
        assert_eq!(board.seen().packets, 10);
    }

    fn packets(packets: u64) -> SensorStats {
        let mut stats = SensorStats::default();
        stats.packets = packets;
        stats
    }

    #[test]
    fn windows_are_bounded_and_the_busiest_come_first() {
        let board = Board::default();
        for n in 0..MAX_WINDOWS as u32 + 10 {
            let features = Features { packets_per_second: n as f32, ..Features::default() };
            let source = IpAddr::from(std::net::Ipv4Addr::from(n));
            board.window(&WindowReport::new(Time::from_secs(1), source, features));
        }
        let inner = board.lock();
        assert!(inner.windows.len() + inner.older.len() <= MAX_WINDOWS);
        drop(inner);
        let known = |n: u32| board.window_of(std::net::Ipv4Addr::from(n).into()).is_some();
        assert!(!known(0) && known(MAX_WINDOWS as u32 / 2 + 10), "the oldest go");
        let busiest = board.busiest(Time::from_secs(2), 2);
        assert_eq!(busiest[0].1.packets_per_second, MAX_WINDOWS as f32 + 9.0);
        assert_eq!(busiest.len(), 2);
        assert!(board.busiest(Time::from_secs(100), 2).is_empty());
    }

    #[test]
    fn who_came_last_stays_however_low_the_address() {
        let board = Board::default();
        let window = |n: u32| {
            let (at, source) = (Time::from_secs(1), IpAddr::from(std::net::Ipv4Addr::from(n)));
            board.window(&WindowReport::new(at, source, Features::default()));
        };
        (1..=MAX_WINDOWS as u32).for_each(window);
        window(0);
        window(MAX_WINDOWS as u32 + 1);
        assert!(board.window_of(IpAddr::from([0, 0, 0, 0])).is_some());
        assert_eq!(board.busiest(Time::from_secs(1), MAX_WINDOWS).len(), MAX_WINDOWS / 2 + 2);
    }
}
