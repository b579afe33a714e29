//! What was done, for `alerts.log`.

use serde_json::json;
use smartfw_core::{Record, Time, order::Order};
use smartfw_proto::json;

use crate::logs::{Line, Logs};

/// Actions of one input that are logged one by one: an import of a hundred thousand is one line.
const LINES: usize = 50;

/// Logs actions.
#[derive(Debug, Default)]
pub(super) struct Actions {
    order: Option<&'static str>,
    logged: usize,
    more: u64,
}

impl Actions {
    /// A person's order is about to be carried out.
    pub(super) fn order(&mut self, order: &Order) {
        self.order = Some(name(order));
    }

    /// A record is on its way to the disk.
    pub(super) fn record(&mut self, now: Time, record: &Record, logs: &Logs) {
        if self.logged < LINES {
            if let Some(line) = line(now, record) {
                self.logged += 1;
                logs.write(Line::Alert(line.to_string()));
            }
        } else if matters(record) {
            self.more += 1;
        }
    }

    /// All of one input's effects are under way.
    pub(super) fn finish(&mut self, now: Time, logs: &Logs) {
        if self.more > 0 {
            let order = self.order.unwrap_or("detection");
            let line = json!({"kind": "more", "time": json::rfc3339(now), "by": order, "actions": self.more});
            logs.write(Line::Alert(line.to_string()));
        }
        *self = Self::default();
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
