//! What the page shows.

use std::{sync::Arc, time::Instant};

use smartfw_history::Size;
use tokio::sync::watch;

use super::text::Text;
use crate::{
    clock,
    health::{Health, Level},
    intake::{Count, Counters},
    view::View,
};

/// Where the numbers come from.
pub struct Shown {
    /// What the fleet is.
    pub view: Arc<View>,
    /// What is wrong.
    pub health: Arc<Health>,
    /// What is counted.
    pub counters: Arc<Counters>,
    /// How often a member heard where we are.
    pub announced: Arc<Count>,
    /// How much is kept.
    pub size: watch::Receiver<Size>,
    /// Bytes of events that wait to be kept.
    pub waiting: Box<dyn Fn() -> u64 + Send + Sync>,
    /// When the program started.
    pub started: Instant,
}

impl Shown {
    /// The page as it is now.
    pub fn page(&self) -> String {
        let mut text = Text::default();
        let version = format!("version=\"{}\"", env!("CARGO_PKG_VERSION"));
        text.family("info", "The program.", "gauge", &[(&version, 1)]);
        text.gauge("uptime_seconds", "Since the start.", self.started.elapsed().as_secs());
        self.nodes(&mut text);
        self.events(&mut text);
        let levels = [Level::Warn, Level::Error].map(|level| {
            let count = self.health.list().iter().filter(|entry| entry.level == level).count();
            (format!("level=\"{level}\""), count)
        });
        let levels = levels.each_ref().map(|(label, count)| (label.as_str(), *count));
        text.family("health", "Entries of the health list.", "gauge", &levels);
        text.counter(
            "announced_total",
            "Times a member heard where the coordinator is.",
            self.announced.get(),
        );
        text.finish()
    }

    fn nodes(&self, text: &mut Text) {
        let (totals, now) = (self.view.totals(), clock::now());
        let nodes = [("state=\"connected\"", totals.connected), ("state=\"absent\"", totals.absent)];
        text.family("nodes", "Nodes by whether they report.", "gauge", &nodes);
        text.gauge("blocks", "Blocks in force in the fleet.", self.view.blocked());
        text.gauge("packets_per_second", "Packets that the nodes see.", totals.rates.packets);
        text.gauge(
            "dropped_packets_per_second",
            "Packets that the nodes drop.",
            totals.rates.dropped_packets,
        );
        text.gauge("node_waiting_events", "Events that wait at nodes.", totals.waiting);
        text.gauge("node_dropped_events", "Events that nodes dropped before they were sent.", totals.dropped);
        text.counter("missed_events_total", "Numbers of events that never came.", totals.missed);
        let lag = self.view.nodes().iter().map(|row| row.lag(now)).max().unwrap_or_default();
        text.gauge("lag_seconds", "The node furthest behind with its events.", lag.as_secs_f64());
    }

    fn events(&self, text: &mut Text) {
        let Counters { kept, known, appends, failures, streams, refused } = &*self.counters;
        let size = *self.size.borrow();
        text.counter("events_total", "Events that were kept.", kept.get());
        text.counter("known_events_total", "Events that were kept before and came again.", known.get());
        text.counter("appends_total", "Writes to the history.", appends.get());
        text.counter("append_failures_total", "Writes to the history that failed.", failures.get());
        text.gauge("waiting_bytes", "Events that wait to be kept.", (self.waiting)());
        text.gauge("history_events", "Events in the history.", size.events);
        text.gauge("history_bytes", "What the history takes.", size.bytes);
        text.counter("streams_total", "Streams that nodes opened.", streams.get());
        text.counter("refused_connections_total", "Connections that were refused.", refused.get());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn page() -> String {
        let counters = Arc::<Counters>::default();
        counters.kept.add(7);
        let shown = Shown {
            view: Arc::default(),
            health: Arc::default(),
            counters,
            announced: Arc::default(),
            size: watch::channel(Size { events: 3, bytes: 4 }).1,
            waiting: Box::new(|| 5),
            started: Instant::now(),
        };
        shown.health.set(crate::health::Matter::History, Level::Error, "full", "");
        shown.page()
    }

    #[test]
    fn the_page_has_each_number_once_and_in_prometheus_form() {
        let page = page();
        for line in [
            "smartfw_coordinator_events_total 7",
            "smartfw_coordinator_history_bytes 4",
            "smartfw_coordinator_waiting_bytes 5",
            "smartfw_coordinator_health{level=\"error\"} 1",
            "smartfw_coordinator_nodes{state=\"connected\"} 0",
        ] {
            assert_eq!(page.lines().filter(|one| *one == line).count(), 1, "{line}\n{page}");
        }
        let mut names: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn what_the_alert_rules_and_the_board_watch_is_on_the_page() {
        let watched = concat!(
            include_str!("../../../deploy/monitoring/coordinator.yml"),
            include_str!("../../../deploy/monitoring/coordinator.json"),
        );
        let words = watched.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let names: BTreeSet<&str> = words.filter(|word| word.starts_with("smartfw_coordinator_")).collect();
        assert!(names.len() > 15, "{names:?}");
        let page = page();
        for name in names {
            assert!(page.contains(&format!("# TYPE {name} ")), "{name} is watched and not in {page}");
        }
    }
}
