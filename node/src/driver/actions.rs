//! What was done, for `alerts.log`.

use std::collections::VecDeque;

use serde_json::json;
use smartfw_core::{Record, Sequence, Time, order::Order};
use smartfw_proto::json;

use crate::{
    counters::Counters,
    logs::{Line, Logs},
};

/// Actions of one input that are logged one by one: an import of a hundred thousand is one line.
const LINES: usize = 50;

/// Lines that may wait for their records to be stored: a few megabytes while the disk refuses. More are counted.
const HELD: usize = 8192;

/// Logs actions, each once its record is on disk: what a crash would undo was not done.
#[derive(Debug, Default)]
pub(super) struct Actions {
    now: OfNow,
    held: VecDeque<(Sequence, String)>,
}

/// What came of the input that is being handled.
#[derive(Debug, Default)]
struct OfNow {
    order: Option<&'static str>,
    logged: usize,
    more: u64,
    last: Sequence,
    /// Nothing is done: what was done before is stored anew.
    anew: bool,
}

impl Actions {
    /// A person's order is about to be carried out.
    pub(super) fn order(&mut self, order: &Order) {
        self.now.order = Some(name(order));
    }

    /// A piece of a feed is about to be carried out: one line for all of it.
    pub(super) fn feed(&mut self) {
        self.now.order = Some("feed");
        self.now.logged = LINES;
    }

    /// What was done before is about to be stored anew.
    pub(super) fn anew(&mut self) {
        self.now.anew = true;
    }

    /// A record is on its way to the disk.
    pub(super) fn record(&mut self, now: Time, sequence: Sequence, record: &Record, counters: &Counters) {
        if self.now.anew {
            return;
        }
        self.now.last = sequence;
        if self.now.logged < LINES {
            if let Some(line) = line(now, record) {
                self.now.logged += 1;
                self.hold(&line, counters);
            }
        } else if matters(record) {
            self.now.more += 1;
        }
    }

    /// All of one input's effects are under way.
    pub(super) fn finish(&mut self, now: Time, counters: &Counters) {
        if self.now.more > 0 {
            let (order, actions) = (self.now.order.unwrap_or("detection"), self.now.more);
            let line = json!({"kind": "more", "time": json::rfc3339(now), "by": order, "actions": actions});
            self.hold(&line, counters);
        }
        self.now = OfNow::default();
    }

    /// The disk has everything up to here.
    pub(super) fn persisted(&mut self, upto: Sequence, logs: &Logs) {
        let stored = self.held.partition_point(|(sequence, _)| *sequence <= upto);
        self.held.drain(..stored).for_each(|(_, line)| logs.write(Line::Alert(line)));
    }

    fn hold(&mut self, line: &serde_json::Value, counters: &Counters) {
        if self.held.len() >= HELD {
            return counters.lines_dropped.add(1);
        }
        self.held.push_back((self.now.last, line.to_string()));
    }
}

/// Whether a record is something that was done, and not only something that is remembered.
const fn matters(record: &Record) -> bool {
    matches!(
        record,
        Record::Block(_)
            | Record::BlockGone { .. }
            | Record::Enforcement(_)
            | Record::Mode { .. }
            | Record::Allowed(_)
            | Record::AllowedGone(_)
    )
}

fn line(now: Time, record: &Record) -> Option<serde_json::Value> {
    Some(match record {
        Record::Block(stored) => json::block(now, &stored.block, 0, 0),
        Record::BlockGone { target, origin } => json!({
            "kind": "unblock", "time": json::rfc3339(now), "target": target.to_string(), "origin": origin.0,
        }),
        Record::Enforcement(enforcement) => json!({
            "kind": "enforcement", "time": json::rfc3339(now), "state": enforcement.now.state.as_str(),
        }),
        Record::Mode { mode, .. } => {
            json!({"kind": "mode", "time": json::rfc3339(now), "mode": mode.as_str()})
        }
        Record::Allowed(allowed) => json::allowed(allowed),
        Record::AllowedGone(target) => json!({
            "kind": "disallowed", "time": json::rfc3339(now), "target": target.to_string(),
        }),
        _ => return None,
    })
}

const fn name(order: &Order) -> &'static str {
    match order {
        Order::Block(_) => "block",
        Order::Unblock { .. } => "unblock",
        Order::Allow { .. } => "allow",
        Order::Disallow { .. } => "disallow",
        Order::Approve(_) => "approve",
        Order::Reject(_) => "reject",
        Order::Import(_) => "import",
        Order::Enforcement { .. } => "enforcement",
        Order::Confirm => "confirm",
        Order::Mode { .. } => "mode",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held_after(records: u64, anew: bool) -> (Actions, Counters) {
        let (mut actions, counters) = (Actions::default(), Counters::default());
        for n in 1..=records {
            if anew {
                actions.anew();
            }
            let gone = Record::AllowedGone("192.0.2.1/32".parse().unwrap());
            actions.record(Time::ZERO, Sequence(n), &gone, &counters);
            actions.finish(Time::ZERO, &counters);
        }
        (actions, counters)
    }

    #[test]
    fn no_more_lines_wait_for_the_disk_than_may() {
        let (actions, counters) = held_after(HELD as u64 + 3, false);
        assert_eq!((actions.held.len(), counters.lines_dropped.get()), (HELD, 3));
    }

    #[test]
    fn a_piece_of_a_feed_is_one_line() {
        let (mut actions, counters) = (Actions::default(), Counters::default());
        actions.feed();
        for n in 1..=3 {
            let gone = Record::AllowedGone("192.0.2.1/32".parse().unwrap());
            actions.record(Time::ZERO, Sequence(n), &gone, &counters);
        }
        actions.finish(Time::ZERO, &counters);
        let lines: Vec<&str> = actions.held.iter().map(|(_, line)| line.as_str()).collect();
        assert_eq!(lines.len(), 1);
        assert!(lines[0].contains("\"by\":\"feed\",\"actions\":3"), "{lines:?}");
    }

    #[test]
    fn what_is_stored_anew_is_not_done_again() {
        assert_eq!(held_after(5, true).0.held.len(), 0);
        assert_eq!(held_after(5, false).0.held.len(), 5);
    }
}
