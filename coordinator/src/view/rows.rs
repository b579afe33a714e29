//! A node, as the fleet's view shows it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use smartfw_core::{
    Time,
    fleet::{NodeId, Version},
};
use smartfw_identity::{Member, Role};
use smartfw_proto::{
    convert::{Opening, Statistics},
    view::NodeStatus,
};

/// Entries of each list of a status that are kept: sixteen thousand nodes shall fit into memory.
const LISTED: usize = 32;
/// The longest time between two counts of which a rate is made: beyond, it is no rate of now.
const RECENT: Duration = Duration::from_secs(30);

/// A node.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeRow {
    /// Who it is.
    pub id: NodeId,
    /// What it is called.
    pub name: Arc<str>,
    /// Its site.
    pub site: Arc<str>,
    /// What it is; `None`: it was heard of only.
    pub role: Option<Role>,
    /// Where it is: as members say, else where it connected from.
    pub address: String,
    /// The program's version; empty: it was heard of only.
    pub version: String,
    /// Whether it reports.
    pub link: Link,
    /// How members see it: `alive`, `suspect`, `dead` or `left`; empty while none has said.
    pub state: String,
    /// When it last told anything, by the coordinator's clock.
    pub heard: Option<Time>,
    /// Whether it has told all of its blocks since the coordinator's start.
    pub listed: bool,
    /// How it is, by its last word.
    pub status: Option<Arc<NodeStatus>>,
    /// What it counted, by its last word.
    pub statistics: Option<Statistics>,
    /// How fast that rises.
    pub rates: Rates,
    /// The last event that is kept.
    pub kept: Option<Version>,
    /// When that happened, by the node's clock.
    pub last: Option<Time>,
    /// Events kept since the coordinator's start.
    pub events: u64,
    /// Events that it had to drop before they were sent, by its own word.
    pub dropped: u64,
    /// Numbers of events that never came, since the coordinator's start.
    pub missed: u64,
    /// Who it was when it last connected.
    pub(crate) member: Option<Member>,
}

/// Whether a node reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// It does, since then.
    Connected(Time),
    /// It does not any more, since then.
    Away(Time),
    /// Members know it; it has not reported since the coordinator's start.
    Silent,
    /// It was expelled.
    Expelled(Time),
}

impl Link {
    /// The stable, lower-case name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connected(_) => "connected",
            Self::Away(_) => "away",
            Self::Silent => "silent",
            Self::Expelled(_) => "expelled",
        }
    }

    /// Since when, where that is known.
    pub const fn since(self) -> Option<Time> {
        match self {
            Self::Connected(at) | Self::Away(at) | Self::Expelled(at) => Some(at),
            Self::Silent => None,
        }
    }
}

/// How fast a node's counts rise, per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Packets seen.
    pub packets: f64,
    /// Bytes seen.
    pub bytes: f64,
    /// Packets that were not seen.
    pub lost: f64,
    /// Flows begun.
    pub flows: f64,
    /// Packets that the kernel dropped because of blocks.
    pub dropped_packets: f64,
    /// Their bytes.
    pub dropped_bytes: f64,
}

impl Rates {
    /// Between two counts; nothing where the node began anew in between, or was silent for long.
    pub(super) fn between(before: &Statistics, after: &Statistics) -> Self {
        let apart = after.time.since(before.time);
        if apart.is_zero() || apart > RECENT {
            return Self::default();
        }
        let rate =
            |of: fn(&Statistics) -> u64| of(after).saturating_sub(of(before)) as f64 / apart.as_secs_f64();
        Self {
            packets: rate(|count| count.packets),
            bytes: rate(|count| count.bytes),
            lost: rate(|count| count.lost),
            flows: rate(|count| count.flows),
            dropped_packets: rate(|count| count.dropped_packets),
            dropped_bytes: rate(|count| count.dropped_bytes),
        }
    }
}

impl NodeRow {
    /// One that was heard of.
    pub(crate) fn heard(id: NodeId, name: &str, site: &str) -> Self {
        Self {
            id,
            name: name.into(),
            site: site.into(),
            role: None,
            address: String::new(),
            version: String::new(),
            link: Link::Silent,
            state: String::new(),
            heard: None,
            listed: false,
            status: None,
            statistics: None,
            rates: Rates::default(),
            kept: None,
            last: None,
            events: 0,
            dropped: 0,
            missed: 0,
            member: None,
        }
    }

    /// It opened its stream.
    pub(super) fn open(&mut self, member: &Member, from: SocketAddr, opening: &Opening, now: Time) {
        self.name = member.name.name.as_str().into();
        self.site = member.name.site.as_str().into();
        self.role = Some(member.role);
        if self.address.is_empty() {
            self.address = from.to_string();
        }
        self.version.clone_from(&opening.version);
        self.link = Link::Connected(now);
        self.heard = Some(now);
        self.dropped = opening.dropped;
        self.member = Some(member.clone());
    }

    /// It told how it is.
    pub(super) fn say(&mut self, mut status: NodeStatus) {
        status.interfaces.truncate(LISTED);
        status.models.truncate(LISTED);
        status.health.truncate(LISTED);
        self.status = Some(status.into());
    }

    /// When its certificate ends, by what it showed when it last connected.
    pub fn certificate_expires(&self) -> Option<Time> {
        self.member.as_ref().map(|member| member.not_after)
    }

    /// How far what is kept is behind `now`: the age of the last event while others wait at the node, else nothing.
    pub fn lag(&self, now: Time) -> Duration {
        let waits = self.statistics.is_some_and(|statistics| statistics.waiting > 0);
        let last = self.last.filter(|_| waits);
        last.map_or(Duration::ZERO, |last| now.since(last))
    }
}
