//! What the metrics page shows.

use std::sync::{Arc, PoisonError};

use smartfw_core::Agent;
use smartfw_proto::view::FeedRow;

use super::parts::{Links, Shared};
use crate::{
    control::{Drops, counted},
    counters::{Counters, Histogram, Mishaps, UplinkCounters},
    external::{FileHeard, Ledger},
    feeds::Feeds,
    fleet::FleetCounters,
    metrics::Page,
    uplink::Uplink,
};

/// Where the page's numbers come from.
pub(super) struct Shown {
    pub(super) links: Links,
    pub(super) drops: Arc<Drops>,
    pub(super) feeds: Feeds,
    pub(super) ledger: Ledger,
}

impl Shown {
    /// The page as of now.
    pub(super) fn page(&self) -> String {
        let mut page = Page::default();
        self.traffic(&mut page);
        self.decisions(&mut page);
        self.kernel(&mut page);
        self.models(&mut page);
        queues(&mut page, &self.links.shared.counters);
        latency(&mut page, &self.links.shared.counters);
        feeds(&mut page, &self.feeds.list());
        external(&mut page, &self.ledger.lock().unwrap_or_else(PoisonError::into_inner));
        fleet(&mut page, &self.links.shared.counters.fleet);
        uplink(&mut page, &self.links.uplink, &self.links.shared.counters.uplink);
        page.finish()
    }

    fn traffic(&self, page: &mut Page) {
        let seen = self.links.board.seen();
        page.counter("packets_total", "Wire segments seen.", seen.packets);
        page.counter("bytes_total", "IP bytes seen.", seen.bytes);
        page.counter("suppressed_packets_total", "Segments of hard-blocked sources seen.", seen.suppressed);
        page.counter(
            "lost_packets_total",
            "Packets lost before they were seen.",
            self.links.shared.counters.lost.get(),
        );
        page.counter("flows_total", "Conversations begun.", seen.flows);
        page.gauge("sources", "Remote addresses remembered.", seen.sources);
        page.counter("forgotten_total", "Things forgotten because a table was full.", seen.forgotten);
        page.head("malformed_total", "Frames that could not be read.", "counter");
        for (kind, count) in &seen.malformed {
            page.sample("malformed_total", &[("kind", kind)], count);
        }
        let restarts = self.links.shared.counters.detector_restarts.get();
        page.counter("detector_restarts_total", "Times that the detector was started again.", restarts);
    }

    fn decisions(&self, page: &mut Page) {
        page.head("verdicts_total", "Verdicts by class.", "counter");
        for (class, count) in self.links.shared.counters.verdicts.iter() {
            page.sample("verdicts_total", &[("class", class.as_str())], count);
        }
        page.head("alerts_total", "Alerts and their updates by class.", "counter");
        for (class, count) in self.links.shared.counters.alerts.iter() {
            page.sample("alerts_total", &[("class", class.as_str())], count);
        }
        let ask = |agent: &Agent, now| (agent.counters(), agent.pending().count(), agent.health(now).len());
        let Some((counters, pending, unhealthy)) = self.links.inbox.ask(ask) else { return };
        let Shared { counters: counts, health, vital: _ } = &self.links.shared;
        let entries = health.list().len() + counted(counts, &self.links.board.seen()).len() + unhealthy;
        let entries = entries + usize::from(self.links.uplink.troubles().is_some());
        page.gauge("health_entries", "Entries of the health list.", entries);
        page.head("blocks", "Blocks in force by class.", "gauge");
        for (class, count) in &counters.blocks {
            page.sample("blocks", &[("class", class.as_str())], count);
        }
        page.head("blocks_made_total", "Blocks made by detection.", "counter");
        for (class, count) in &counters.made {
            page.sample("blocks_made_total", &[("class", class.as_str())], count);
        }
        page.gauge("pending", "Decisions that wait for approval.", pending);
    }

    fn models(&self, page: &mut Page) {
        let (seen, (used, shadow)) = (self.links.board.seen(), self.links.models.names());
        page.head("model_info", "The models that judge, by their place.", "gauge");
        for (place, name) in [("used", used), ("shadow", shadow)] {
            name.into_iter()
                .for_each(|name| page.sample("model_info", &[("place", place), ("name", &name)], 1));
        }
        page.counter("model_looks_total", "Windows that a model judged.", seen.looks);
        let help = "Windows that no model judged because enough were within the second.";
        page.counter("model_looks_skipped_total", help, seen.looks_skipped);
        page.head("model_verdicts_total", "Verdicts of models.", "counter");
        for (detector, count) in [("forest", seen.forest_verdicts), ("isolation", seen.isolation_verdicts)] {
            page.sample("model_verdicts_total", &[("detector", detector)], count);
        }
        let compared = self.links.board.comparison();
        page.gauge("shadow_looks", "Windows that the shadow judged since it was set.", compared.looks);
        page.gauge(
            "shadow_agreed",
            "Windows of which shadow and model in use said the same.",
            compared.agreed,
        );
        page.head("shadow_differs", "Windows that one of both alone gave the class.", "gauge");
        for (class, count) in compared.used_only() {
            page.sample("shadow_differs", &[("class", class.as_str()), ("said", "used")], count);
        }
        for (class, count) in compared.shadow_only() {
            page.sample("shadow_differs", &[("class", class.as_str()), ("said", "shadow")], count);
        }
    }

    fn kernel(&self, page: &mut Page) {
        let (dropped, counters) = (self.drops.total(), &self.links.shared.counters);
        page.gauge("dropped_packets", "Packets dropped because of the blocks in force.", dropped.packets);
        page.gauge("dropped_bytes", "Bytes dropped because of the blocks in force.", dropped.bytes);
        page.counter("kernel_changes_total", "Changes that the kernel took.", counters.changes.get());
        page.counter(
            "kernel_refusals_total",
            "Changes that the kernel refused.",
            counters.changes_failed.get(),
        );
        page.counter("repairs_total", "Repairs by the reconciler.", counters.repairs.get());
        let cut = counters.connections_destroyed.get();
        page.counter("connections_destroyed_total", "Connections of blocked sources destroyed.", cut);
    }
}

fn queues(page: &mut Page, counters: &Counters) {
    page.head("queue_length", "What waits in the queues.", "gauge");
    let lengths = [
        ("verdicts", &counters.verdicts_waiting),
        ("kernel", &counters.changes_waiting),
        ("disk", &counters.records_waiting),
    ];
    for (queue, length) in lengths {
        page.sample("queue_length", &[("queue", queue)], length.get());
    }
    page.head("queue_dropped_total", "What did not fit into the queues.", "counter");
    let dropped: [(&str, &Mishaps); 5] = [
        ("verdicts", &counters.verdicts_dropped),
        ("logs", &counters.lines_dropped),
        ("logins", &counters.logins_dropped),
        ("connections", &counters.cuts_dropped),
        ("kernel", &counters.enforcement_overflows),
    ];
    for (queue, count) in dropped {
        page.sample("queue_dropped_total", &[("queue", queue)], count.get());
    }
    page.counter("records_total", "Records written to disk.", counters.records.get());
    page.counter("commits_failed_total", "Writes that the disk refused.", counters.commits_failed.get());
}

fn latency(page: &mut Page, counters: &Counters) {
    let help = "From the deciding packet to the kernel's word that it drops.";
    histogram(page, "decision_to_drop_seconds", help, &counters.latency);
}

/// Nothing outside of a fleet.
fn fleet(page: &mut Page, counters: &FleetCounters) {
    if !counters.takes_part.is_on() {
        return;
    }
    page.gauge("peers_alive", "Members alive, without this one.", counters.alive.get());
    page.gauge("peer_streams", "Streams with members open now.", counters.streams.get());
    page.head("fleet_total", "What came from members and what became of it.", "counter");
    let counts = [
        ("messages", &counters.messages),
        ("applied", &counters.applied),
        ("runs_refused", &counters.runs_refused),
        ("orders_refused", &counters.orders_refused),
        ("malformed", &counters.malformed),
        ("connections_refused", &counters.refused),
        ("outboxes_full", &counters.outboxes_full),
        ("datagrams", &counters.datagrams),
        ("datagrams_dropped", &counters.datagrams_dropped),
        ("datagrams_unsent", &counters.datagrams_unsent),
    ];
    for (what, count) in counts {
        page.sample("fleet_total", &[("what", what)], count.get());
    }
    let help = "From our decision to a member's word that its kernel drops.";
    histogram(page, "decision_to_member_seconds", help, &counters.propagation);
}

/// Nothing where no coordinator is known.
fn uplink(page: &mut Page, uplink: &Uplink, counters: &UplinkCounters) {
    if !uplink.wants() {
        return;
    }
    page.gauge("uplink_coordinators", "Coordinators that are connected.", uplink.connected());
    page.gauge("uplink_waiting", "Events that not every coordinator has.", uplink.waiting());
    page.counter("uplink_sent_total", "Events sent to coordinators.", counters.sent.get());
    page.counter(
        "uplink_dropped_total",
        "Events that were dropped before a coordinator or the mirror had them.",
        counters.dropped.get(),
    );
    let help = "Events that the mirror alone misses: coordinators have them, or hear of them otherwise.";
    page.counter("mirror_missed_total", help, counters.missed.get());
}

fn histogram(page: &mut Page, name: &str, help: &str, histogram: &Histogram) {
    page.head(name, help, "histogram");
    let bucket = format!("{name}_bucket");
    for (bound, count) in histogram.cumulative() {
        page.sample(&bucket, &[("le", &(bound as f64 / 1e6).to_string())], count);
    }
    let (count, sum) = histogram.totals();
    page.sample(&bucket, &[("le", "+Inf")], count);
    page.sample(&format!("{name}_sum"), &[], sum as f64 / 1e6);
    page.sample(&format!("{name}_count"), &[], count);
}

fn feeds(page: &mut Page, feeds: &[FeedRow]) {
    page.head("feed_entries", "Entries of a feed's last good list.", "gauge");
    feeds.iter().for_each(|feed| page.sample("feed_entries", &[("feed", &feed.name)], feed.entries));
    page.head("feed_held", "Entries of a feed that are held as blocks.", "gauge");
    feeds.iter().for_each(|feed| page.sample("feed_held", &[("feed", &feed.name)], feed.held));
    page.head(
        "feed_updated_seconds",
        "When a feed's source last gave it, or said that it is the same.",
        "gauge",
    );
    for feed in feeds {
        if let Some(updated) = feed.updated {
            page.sample("feed_updated_seconds", &[("feed", &feed.name)], updated.as_secs());
        }
    }
}

/// Nothing where nobody is heard.
fn external(page: &mut Page, files: &[FileHeard]) {
    if files.is_empty() {
        return;
    }
    page.head("external_lines_total", "Lines of other detectors' files, and what became of them.", "counter");
    for FileHeard { path, heard, met } in files {
        let counts = [
            ("verdicts", heard.verdicts),
            ("others", heard.others),
            ("unreadable", heard.unreadable),
            ("stale", heard.stale),
            ("over", heard.over),
            ("too_long", met.too_long),
            ("cut", met.cut),
        ];
        let path = path.display().to_string();
        for (what, count) in counts {
            page.sample("external_lines_total", &[("file", &path), ("what", what)], count);
        }
    }
}
