//! What is asked of a history, and what it answers.

use std::{fmt, str::FromStr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use smartfw_core::{Class, Time, class::UnknownName, fleet::NodeId};

use crate::{Count, Event, EventKind};

/// Events of one page at most.
pub const MOST_ROWS: usize = 1_000;

/// Bytes of the text that is looked for at most.
pub const MOST_TEXT: usize = 256;

/// An event with its place in time, by which it is found, ordered and deleted: its own time, but not after the moment
/// at which it was appended and not before the place of its node's previous event. So a node's events stay in the
/// order of their counts, and one whose clock is wrong puts nothing out of reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// The place.
    pub place: Time,
    /// The event.
    pub event: Event,
}

impl Placed {
    /// Where it stands in the order of all events.
    pub const fn cursor(&self) -> Cursor {
        Cursor { place: self.place, node: self.event.id, count: self.event.count() }
    }
}

/// A position in the order of all events: by place, then by node, then by count. As text it is for whoever asks for the
/// next page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// The place in time.
    pub place: Time,
    /// The node.
    pub node: NodeId,
    /// The node's count.
    pub count: Count,
}

impl Cursor {
    /// Before every event.
    pub const START: Self =
        Self { place: Time::ZERO, node: NodeId([0; 32]), count: Count { epoch: 0, sequence: 0 } };
    /// After every event.
    pub const END: Self = Self {
        place: Time::NEVER,
        node: NodeId([u8::MAX; 32]),
        count: Count { epoch: u64::MAX, sequence: u64::MAX },
    };
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Count { epoch, sequence } = self.count;
        write!(f, "{}.{:#}.{epoch}.{sequence}", self.place.as_nanos(), self.node)
    }
}

impl FromStr for Cursor {
    type Err = UnknownName;
    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let mut parts = text.splitn(4, '.');
        let mut part = || parts.next().ok_or(UnknownName);
        let number = |text: &str| text.parse::<u64>().map_err(|_| UnknownName);
        let place = Time::from_nanos(number(part()?)?);
        let node = part()?.parse()?;
        let count = Count { epoch: number(part()?)?, sequence: number(part()?)? };
        Ok(Self { place, node, count })
    }
}

/// Which events are wanted, the newest first. What is `None` does not matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// From this place on.
    pub from: Time,
    /// Up to and with this place.
    pub to: Time,
    /// Of this node.
    pub node: Option<NodeId>,
    /// Of whoever was called so when it happened: one node after another may be.
    pub name: Option<String>,
    /// Of this kind.
    pub kind: Option<EventKind>,
    /// Of this class.
    pub class: Option<Class>,
    /// About this address or prefix, or any within it.
    pub address: Option<IpNet>,
    /// With this in the body, as it is written there.
    pub text: Option<String>,
    /// So many at most, and never more than [`MOST_ROWS`].
    pub limit: usize,
    /// Only what comes behind this, as the page before said.
    pub cursor: Option<Cursor>,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            from: Time::ZERO,
            to: Time::NEVER,
            node: None,
            name: None,
            kind: None,
            class: None,
            address: None,
            text: None,
            limit: 100,
            cursor: None,
        }
    }
}

impl Query {
    /// Whether the event is wanted, wherever it stands.
    pub fn wants(&self, event: &Event) -> bool {
        let Self { from: _, to: _, node, name, kind, class, address, text, limit: _, cursor: _ } = self;
        node.is_none_or(|node| event.id == node)
            && name.as_ref().is_none_or(|name| event.node == *name)
            && kind.is_none_or(|kind| event.kind == kind)
            && class.is_none_or(|class| event.class == Some(class))
            && address.is_none_or(|net| event.address.is_some_and(|address| net.contains(&address)))
            && text.as_ref().is_none_or(|text| event.body.contains(text.as_str()))
    }

    /// How many rows the page may have.
    pub fn rows(&self) -> usize {
        self.limit.clamp(1, MOST_ROWS)
    }

    /// What is wanted stands before this.
    pub fn before(&self) -> Cursor {
        self.cursor.unwrap_or(Cursor::END)
    }
}

/// A part of the answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The events, the newest first. They may be fewer than asked for, or none, when too much had to be looked at.
    pub events: Vec<Placed>,
    /// Where to go on; `None` when there is nothing more.
    pub next: Option<Cursor>,
}
