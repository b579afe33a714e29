//! What was done, for `alerts.log` and for coordinators.

use std::collections::VecDeque;

use serde_json::json;
use smartfw_core::{Class, EventKind, IpNet, Record, Sequence, Time, order::Order};
use smartfw_proto::json;

use crate::{
    counters::Counters,
    logs::{Line, Logs},
    uplink::{Happened, Uplink},
};

/// Actions of one input that are logged one by one: an import of a hundred thousand is one line.
const LINES: usize = 50;

/// Lines that may wait for their records to be stored: a few megabytes while the disk refuses. More are counted.
const HELD: usize = 8192;

/// Actions of one input that coordinators are told of one by one; more blocks are told of as a list.
const EVENTS: usize = 1000;

/// Events that may wait for their records to be stored: a few megabytes, too. More are counted.
const EVENTS_HELD: usize = 8192;

/// Where actions go.
#[derive(Clone, Copy)]
pub(super) struct To<'a> {
    pub(super) counters: &'a Counters,
    pub(super) uplink: &'a Uplink,
}

/// Logs actions, each once its record is on disk: what a crash would undo was not done.
#[derive(Debug, Default)]
pub(super) struct Actions {
    now: OfNow,
    held: VecDeque<(Sequence, String)>,
    /// What coordinators are told.
    events: VecDeque<(Sequence, Happened)>,
}

/// What came of the input that is being handled.
#[derive(Debug, Default)]
struct OfNow {
    order: Option<&'static str>,
    logged: usize,
    more: u64,
    /// Those that concern coordinators.
    told: usize,
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

    /// A record is on its way to the disk; whether coordinators hear of it from this node.
    pub(super) fn record(
        &mut self,
        now: Time,
        (sequence, record): (Sequence, &Record),
        told: bool,
        to: To<'_>,
    ) {
        if self.now.anew {
            return;
        }
        self.now.last = sequence;
        if matches!(record, Record::Allowed(_) | Record::AllowedGone(_) | Record::Enforcement(_)) {
            // It may suspend blocks of ours, or put them in force again.
            to.uplink.anew();
        }
        let room = self.now.logged < LINES;
        self.now.told += usize::from(told);
        let tells = told && self.now.told <= EVENTS;
        let line = if room || tells { line(now, record) } else { None };
        if tells {
            self.tell(now, record, line.as_ref(), to);
        }
        if !room {
            self.now.more += u64::from(matters(record));
        } else if let Some(line) = line {
            self.now.logged += 1;
            self.hold(&line, to.counters);
        }
    }

    /// All of one input's effects are under way.
    pub(super) fn finish(&mut self, now: Time, to: To<'_>) {
        if self.now.more > 0 {
            let (order, actions) = (self.now.order.unwrap_or("detection"), self.now.more);
            let line = json!({"kind": "more", "time": json::rfc3339(now), "by": order, "actions": actions});
            self.hold(&line, to.counters);
        }
        if self.now.told > EVENTS {
            to.uplink.as_a_whole(self.now.told - EVENTS);
        }
        self.now = OfNow::default();
    }

    /// The disk has everything up to here.
    pub(super) fn persisted(&mut self, upto: Sequence, logs: &Logs, uplink: &Uplink) {
        let stored = self.held.partition_point(|(sequence, _)| *sequence <= upto);
        self.held.drain(..stored).for_each(|(_, line)| logs.write(Line::Alert(line)));
        let stored = self.events.partition_point(|(sequence, _)| *sequence <= upto);
        self.events.drain(..stored).for_each(|(_, event)| uplink.tell(event));
    }

    fn hold(&mut self, line: &serde_json::Value, counters: &Counters) {
        if self.held.len() >= HELD {
            return counters.lines_dropped.add(1);
        }
        self.held.push_back((self.now.last, line.to_string()));
    }

    fn tell(&mut self, now: Time, record: &Record, line: Option<&serde_json::Value>, to: To<'_>) {
        let Some((line, (kind, address, class))) = line.zip(event(record)) else { return };
        if self.events.len() >= EVENTS_HELD {
            to.uplink.anew();
            return to.counters.uplink.dropped.add(1);
        }
        let body = json::text(line);
        self.events.push_back((self.now.last, Happened { time: now, kind, address, class, body }));
    }
}

/// What an event about a record is about.
const fn event(record: &Record) -> Option<(EventKind, Option<IpNet>, Option<Class>)> {
    Some(match record {
        Record::Block(stored) => (EventKind::Block, Some(stored.block.target), Some(stored.block.class)),
        Record::BlockGone { target, .. } => (EventKind::Lift, Some(*target), None),
        Record::Allowed(allowed) => (EventKind::Audit, Some(allowed.target), None),
        Record::AllowedGone(target) => (EventKind::Audit, Some(*target), None),
        Record::Enforcement(_) | Record::Mode { .. } => (EventKind::Audit, None, None),
        _ => return None,
    })
}

/// Whether a record is something that was done, and not only something that is remembered.
pub(super) const fn matters(record: &Record) -> bool {
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
    use std::sync::Arc;

    use super::*;

    fn held_after(records: u64, anew: bool) -> (Actions, Arc<Counters>) {
        let (mut actions, counters) = (Actions::default(), Arc::<Counters>::default());
        let uplink = Uplink::new(std::path::Path::new("/nonexistent"), counters.clone(), Arc::default());
        let to = To { counters: &counters, uplink: &uplink };
        for n in 1..=records {
            if anew {
                actions.anew();
            }
            let gone = Record::AllowedGone("192.0.2.1/32".parse().unwrap());
            actions.record(Time::ZERO, (Sequence(n), &gone), false, to);
            actions.finish(Time::ZERO, to);
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
        let (mut actions, counters) = (Actions::default(), Arc::<Counters>::default());
        let uplink = Uplink::new(std::path::Path::new("/nonexistent"), counters.clone(), Arc::default());
        let to = To { counters: &counters, uplink: &uplink };
        actions.feed();
        for n in 1..=3 {
            let gone = Record::AllowedGone("192.0.2.1/32".parse().unwrap());
            actions.record(Time::ZERO, (Sequence(n), &gone), false, to);
        }
        actions.finish(Time::ZERO, to);
        let lines: Vec<&str> = actions.held.iter().map(|(_, line)| line.as_str()).collect();
        assert_eq!(lines.len(), 1);
        assert!(lines[0].contains("\"by\":\"feed\",\"actions\":3"), "{lines:?}");
    }

    #[test]
    fn what_is_stored_anew_is_not_done_again() {
        assert_eq!(held_after(5, true).0.held.len(), 0);
        assert_eq!(held_after(5, false).0.held.len(), 5);
    }

    #[test]
    fn coordinators_are_told_of_what_concerns_them_alone_and_no_more_waits_than_may() {
        let (folder, counters) = (tempfile::tempdir().unwrap(), Arc::<Counters>::default());
        let uplink = Uplink::new(folder.path(), counters.clone(), Arc::default());
        uplink.begin();
        let to = To { counters: &counters, uplink: &uplink };
        let mut actions = Actions::default();
        let gone = Record::AllowedGone("192.0.2.1/32".parse().unwrap());
        actions.record(Time::ZERO, (Sequence(1), &gone), false, to);
        assert_eq!(actions.events.len(), 0);
        // One input that lifts many is told of as a list.
        let mut anew = uplink.anew_seen();
        (0..EVENTS as u64 + 5).for_each(|n| actions.record(Time::ZERO, (Sequence(n), &gone), true, to));
        actions.finish(Time::ZERO, to);
        assert_eq!((actions.events.len(), anew()), (EVENTS, true));
        for n in 0..EVENTS_HELD as u64 {
            actions.record(Time::ZERO, (Sequence(EVENTS as u64 + n), &gone), true, to);
            actions.finish(Time::ZERO, to);
        }
        assert_eq!((actions.events.len(), counters.uplink.dropped.get()), (EVENTS_HELD, EVENTS as u64));
        assert!(anew(), "the list tells what no event does");
        uplink.end();
    }
}
