//! Who is in the fleet.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use smartfw_core::{
    Time,
    fleet::{NodeId, Version},
};
use smartfw_history::{Count, MOST_NODES};
use smartfw_identity::Member;
use smartfw_proto::{
    convert::{FleetMember, Opening, Statistics},
    view::NodeStatus,
};

use super::{Link, NodeRow, Rates};

/// How long after it went away a node is forgotten: as long as members remember their dead.
pub const FORGOTTEN: Duration = Duration::from_secs(3 * 86_400);

/// There are as many nodes as can be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this coordinator serves {MOST_NODES} nodes already: give the other nodes a cluster of their own")]
pub struct Full;

/// The fleet in sums.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    /// Nodes that report.
    pub connected: u64,
    /// Nodes that do not, but for those that left or were expelled.
    pub absent: u64,
    /// Events that nodes had to drop.
    pub dropped: u64,
    /// Numbers of events that never came.
    pub missed: u64,
    /// Events that wait at nodes.
    pub waiting: u64,
    /// What nodes that report see and drop, per second.
    pub rates: Rates,
}

/// Who is in the fleet.
#[derive(Debug, Default)]
pub(super) struct Roster {
    rows: BTreeMap<NodeId, NodeRow>,
    /// Whether a member has said who is in it, since the start.
    told: bool,
    /// What those who were forgotten had missed: a total never falls.
    missed_before: u64,
}

impl Roster {
    pub(super) fn rows(&self) -> impl Iterator<Item = &NodeRow> {
        self.rows.values()
    }

    pub(super) fn row(&self, id: &NodeId) -> Option<&NodeRow> {
        self.rows.get(id)
    }

    /// Whether a key may be a member's: anybody's may until a member has said who is in the fleet.
    pub(super) fn may_be_member(&self, id: &NodeId) -> bool {
        !self.told || self.rows.contains_key(id)
    }

    pub(super) fn opened(
        &mut self,
        member: &Member,
        from: SocketAddr,
        opening: &Opening,
        now: Time,
    ) -> Result<(), Full> {
        if !self.rows.contains_key(&member.id) && self.rows.len() >= MOST_NODES {
            return Err(Full);
        }
        let name = &member.name;
        let row = self
            .rows
            .entry(member.id)
            .or_insert_with(|| NodeRow::heard(member.id, name.name.as_str(), name.site.as_str()));
        row.open(member, from, opening, now);
        Ok(())
    }

    pub(super) fn closed(&mut self, id: &NodeId, now: Time) {
        let Some(row) = self.rows.get_mut(id) else { return };
        if let Link::Connected(_) = row.link {
            row.link = Link::Away(now);
        }
        row.rates = Rates::default();
    }

    /// It told something; with `listed` the last of its blocks.
    pub(super) fn heard_of(&mut self, id: &NodeId, now: Time, listed: bool) {
        if let Some(row) = self.rows.get_mut(id) {
            row.heard = Some(now);
            row.listed |= listed;
        }
    }

    /// Whether it is known who is in the fleet, and every member that may block has told all of its blocks.
    pub(super) fn is_listed(&self) -> bool {
        let gone = |row: &NodeRow| {
            matches!(row.link, Link::Expelled(_)) || matches!(row.state.as_str(), "dead" | "left")
        };
        self.told && !self.rows.is_empty() && self.rows.values().all(|row| row.listed || gone(row))
    }

    pub(super) fn counted(&mut self, id: &NodeId, statistics: Statistics) {
        if let Some(row) = self.rows.get_mut(id) {
            let before = row.statistics.replace(statistics);
            row.rates = before.map(|before| Rates::between(&before, &statistics)).unwrap_or_default();
        }
    }

    /// It told how it is. What it is called, the certificate says.
    pub(super) fn said(&mut self, id: &NodeId, status: NodeStatus) {
        if let Some(row) = self.rows.get_mut(id) {
            row.say(NodeStatus { node: row.name.to_string(), ..status });
        }
    }

    pub(super) fn kept(&mut self, id: &NodeId, count: Count, last: Time, (kept, missed): (u64, u64)) {
        if let Some(row) = self.rows.get_mut(id) {
            row.kept = Some(Version { epoch: count.epoch, sequence: count.sequence });
            row.last = Some(last);
            row.events += kept;
            row.missed = row.missed.saturating_add(missed);
        }
    }

    /// Members that report are known by their certificates; of the others this is all that is known.
    pub(super) fn heard(&mut self, members: &[FleetMember]) {
        for FleetMember { id, name, site, address, state } in members {
            if !self.rows.contains_key(id) && (state == "left" || self.rows.len() >= MOST_NODES) {
                continue;
            }
            let row = self.rows.entry(*id).or_insert_with(|| NodeRow::heard(*id, name, site));
            row.address.clone_from(address);
            row.state.clone_from(state);
        }
        self.told = true;
        let told = |id: &NodeId| members.iter().any(|member| member.id == *id && member.state != "left");
        self.rows.retain(|id, row| row.link != Link::Silent || told(id));
    }

    /// Those who are expelled now and were not before.
    pub(super) fn expel(&mut self, expelled: impl Fn(&Member) -> bool) -> Vec<NodeId> {
        let mut out = Vec::new();
        for row in self.rows.values_mut() {
            let new = !matches!(row.link, Link::Expelled(_)) && row.member.as_ref().is_some_and(&expelled);
            if new {
                row.link = Link::Expelled(crate::clock::now());
                row.rates = Rates::default();
                out.push(row.id);
            }
        }
        out
    }

    /// Forgets those who are long gone; who they are.
    pub(super) fn forget(&mut self, now: Time) -> Vec<NodeId> {
        let gone = |row: &&NodeRow| match row.link {
            Link::Away(since) | Link::Expelled(since) => now.since(since) >= FORGOTTEN,
            Link::Connected(_) | Link::Silent => false,
        };
        let gone: Vec<NodeId> = self.rows.values().filter(gone).map(|row| row.id).collect();
        for row in gone.iter().filter_map(|id| self.rows.remove(id)) {
            self.missed_before = self.missed_before.saturating_add(row.missed);
        }
        gone
    }

    pub(super) fn totals(&self) -> Totals {
        let mut totals = Totals { missed: self.missed_before, ..Totals::default() };
        for row in self.rows.values() {
            match row.link {
                Link::Connected(_) => totals.connected += 1,
                Link::Away(_) | Link::Silent if row.state != "left" => totals.absent += 1,
                Link::Away(_) | Link::Silent | Link::Expelled(_) => {}
            }
            // What nodes say may be anything.
            totals.dropped = totals.dropped.saturating_add(row.dropped);
            totals.missed = totals.missed.saturating_add(row.missed);
            let waiting = row.statistics.map_or(0, |statistics| statistics.waiting);
            totals.waiting = totals.waiting.saturating_add(waiting);
            totals.rates.packets += row.rates.packets;
            totals.rates.bytes += row.rates.bytes;
            totals.rates.lost += row.rates.lost;
            totals.rates.flows += row.rates.flows;
            totals.rates.dropped_packets += row.rates.dropped_packets;
            totals.rates.dropped_bytes += row.rates.dropped_bytes;
        }
        totals
    }
}
