//! What the coordinator knows, in the API's forms.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::value::RawValue;
use smartfw_api::{Allowed, Concern, Event, Level, Node, Panic, Rates, Refusal, Refused, Spread};
use smartfw_core::{HealthLevel, Time, fleet::NodeId, order::EnforcementState};
use smartfw_history::Event as Kept;
use smartfw_proto::{convert::Reply, json as form};
use time::OffsetDateTime;

use crate::view::{self, FleetAllowed, Link, NodeRow};

/// An event as users read it.
pub(super) fn shown(event: &Kept) -> Option<Event> {
    Some(Event {
        kind: event.kind.to_string(),
        node: event.node.clone(),
        class: event.class.map(|class| class.to_string()),
        body: RawValue::from_string(event.body.clone()).ok()?,
    })
}

pub(super) fn node(row: NodeRow, now: Time) -> Node {
    let (expires, lag) = (row.certificate_expires(), row.lag(now));
    let status = row.status.as_ref().map(|status| form::status(status).to_string());
    Node {
        id: format!("{:#}", row.id),
        blocks: row.statistics.map_or(0, |statistics| statistics.blocks),
        events_waiting: row.statistics.map_or(0, |statistics| statistics.waiting),
        lag_seconds: lag.as_secs_f64(),
        per_second: matches!(row.link, Link::Connected(_)).then(|| rates(&row.rates)),
        name: row.name.to_string(),
        name_proven: row.member.is_some(),
        site: row.site.to_string(),
        state: if row.state.is_empty() { row.link.as_str().to_owned() } else { row.state },
        address: Some(row.address).filter(|address| !address.is_empty()),
        version: row.version,
        trust: None,
        rtt_ms: None,
        certificate_expires: expires.map(instant),
        last_report: row.heard.map(instant),
        events_lost: row.dropped.saturating_add(row.missed),
        status: status.and_then(|status| RawValue::from_string(status).ok()),
    }
}

fn rates(rates: &view::Rates) -> Rates {
    let view::Rates { packets, bytes, lost, flows, dropped_packets, dropped_bytes } = *rates;
    Rates { packets, bytes, lost, flows, dropped_packets, dropped_bytes }
}

/// Where enforcement is stopped for a while, by the last word of those who report.
pub(super) fn panic(rows: &[NodeRow]) -> Panic {
    let reporting = rows.iter().filter(|row| matches!(row.link, Link::Connected(_)));
    let stopped = |row: &&NodeRow| {
        row.status.as_ref().is_some_and(|status| status.enforcement == EnforcementState::Panic)
    };
    let mut nodes: Vec<String> = reporting.clone().filter(stopped).map(|row| row.name.to_string()).collect();
    nodes.sort_unstable();
    Panic { nodes, nodes_reporting: reporting.count() as u64 }
}

pub(super) fn concern(entry: crate::health::Entry) -> Concern {
    let level = match entry.level {
        HealthLevel::Info => Level::Info,
        HealthLevel::Warn => Level::Warn,
        HealthLevel::Error => Level::Error,
    };
    Concern { level, what: entry.what, remedy: entry.remedy }
}

pub(super) fn allowed(known: FleetAllowed) -> Allowed {
    let FleetAllowed { allowed, order, site, nodes } = known;
    let nodes = || nodes.iter().map(ToString::to_string).collect();
    Allowed {
        target: allowed.target,
        since: instant(allowed.since),
        expires: allowed.expires.map(instant),
        comment: allowed.comment,
        nodes: order.is_none().then(nodes),
        site,
    }
}

/// What nodes say of where a block is enforced. Whose word it is measured how long it took.
pub(super) fn spread(
    said: BTreeMap<NodeId, Option<Reply>>,
    name: impl Fn(&NodeId) -> Option<String>,
) -> Spread {
    let (mut on, mut spread) = (BTreeSet::new(), Spread::default());
    for (node, reply) in said {
        let Some(Reply::Block(row)) = reply else {
            spread.silent.extend(name(&node));
            continue;
        };
        spread.told_by.extend(name(&node));
        let Some(row) = row else { continue };
        on.extend(row.enforced_on);
        let took = row.propagation.into_iter().map(|(node, took)| (node, took.as_secs_f64() * 1e3));
        spread.propagation_ms.extend(took);
    }
    spread.told_by.sort_unstable();
    spread.silent.sort_unstable();
    spread.enforced_on = on.into_iter().collect();
    spread
}

pub(super) fn unread(why: smartfw_history::HistoryError) -> Refusal {
    Refusal {
        kind: Refused::Unavailable,
        what: "the history cannot be read".into(),
        why: why.to_string(),
        remedy: "look at the coordinator's health".into(),
    }
}

pub(super) fn no_cursor() -> Refusal {
    Refusal {
        kind: Refused::Invalid,
        what: "there is no such page".into(),
        why: "the cursor is none of ours".into(),
        remedy: "begin without one, or give what the page before said".into(),
    }
}

pub(super) fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

pub(super) fn moment(time: OffsetDateTime) -> Time {
    Time::from_nanos(u64::try_from(time.unix_timestamp_nanos().max(0)).unwrap_or(u64::MAX))
}

/// Beyond the year 9999 nobody reads it.
pub(super) fn instant(time: Time) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(time.as_nanos().into()).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use smartfw_identity::{Identity, Role};
    use smartfw_proto::{
        convert::{Opening, Statistics},
        view::NodeStatus,
    };

    use super::*;
    use crate::{
        clock,
        testing::{Cluster, status},
        view::View,
    };

    fn reports(view: &View, node: &Identity, enforcement: EnforcementState) {
        let opening = Opening { protocol: (1, 1), version: "0.1.0".into(), epoch: 1, oldest: 1, dropped: 0 };
        view.opened(node.member(), ([192, 0, 2, 1], 1).into(), &opening, clock::now()).unwrap();
        view.said(&node.id(), NodeStatus { enforcement, ..status("") });
    }

    #[test]
    fn what_waits_at_a_node_and_how_far_it_is_behind_is_told_and_its_rates_while_it_reports() {
        let at = Time::from_secs;
        let mut row = NodeRow::heard(NodeId([1; 32]), "web-1", "default");
        row.last = Some(at(100));
        row.statistics = Some(Statistics { time: at(100), waiting: 3, ..Statistics::default() });
        row.rates = view::Rates { packets: 7.5, ..view::Rates::default() };
        let away = node(row.clone(), at(160));
        assert_eq!((away.events_waiting, away.lag_seconds, away.per_second), (3, 60.0, None));
        assert!(!away.name_proven, "others told of it");
        row.link = Link::Connected(at(1));
        row.statistics = Some(Statistics { waiting: 0, ..Statistics::default() });
        let there = node(row, at(160));
        assert_eq!((there.events_waiting, there.lag_seconds), (0, 0.0));
        assert_eq!(there.per_second.map(|rates| rates.packets), Some(7.5));
    }

    #[test]
    fn a_panic_is_where_those_say_so_who_report() {
        let (cluster, view) = (Cluster::found("prod"), View::default());
        let nodes = ["web-3", "web-2", "web-1", "web-4"].map(|name| cluster.admit(name, Role::Node));
        let states =
            [EnforcementState::Panic, EnforcementState::Panic, EnforcementState::On, EnforcementState::Off];
        for (node, state) in nodes.iter().zip(states) {
            reports(&view, node, state);
        }
        let shown = |names: &[&str], reporting| Panic {
            nodes: names.iter().map(ToString::to_string).collect(),
            nodes_reporting: reporting,
        };
        assert_eq!(panic(&view.nodes()), shown(&["web-2", "web-3"], 4));
        view.closed(&nodes[0].id(), clock::now());
        assert_eq!(panic(&view.nodes()), shown(&["web-2"], 3), "what an absent one does is not known");
        let row = view.node(&nodes[1].id()).unwrap();
        let shown = node(row, clock::now());
        assert_eq!((shown.id, shown.name_proven), (format!("{:#}", nodes[1].id()), true));
    }
}
