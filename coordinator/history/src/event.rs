//! What a node tells the coordinator, and what is allowed in it.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use smartfw_core::{Class, EventKind, Time, fleet::NodeId};

/// Bytes of an event's body at most: an alert with all its features and a long reason is below two thousand.
pub const MOST_BODY: usize = 16 << 10;

/// Bytes of a node's name at most, as in its certificate.
pub const MOST_NAME: usize = 64;

/// What happened on a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The node's name: a label.
    pub node: String,
    /// The node.
    pub id: NodeId,
    /// The life of the node's store in which the event was numbered.
    pub epoch: u64,
    /// The event's number in that life.
    pub sequence: u64,
    /// When it happened, by the node's clock.
    pub time: Time,
    /// What it is about.
    pub kind: EventKind,
    /// Whom it is about.
    pub address: Option<IpNet>,
    /// The class of the attack that it is about.
    pub class: Option<Class>,
    /// The event itself: one JSON object.
    pub body: String,
}

/// A node's count of its events. It rises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Count {
    /// The life of the node's store.
    pub epoch: u64,
    /// The number in that life.
    pub sequence: u64,
}

impl Event {
    /// Its number among the node's events.
    pub const fn count(&self) -> Count {
        Count { epoch: self.epoch, sequence: self.sequence }
    }

    /// Whether it is small enough and its body an object.
    ///
    /// # Errors
    /// When it is not, with what is wrong.
    pub fn check(&self) -> Result<(), BadEvent> {
        if self.node.len() > MOST_NAME {
            return Err(BadEvent::LongName(self.node.len()));
        }
        if self.body.len() > MOST_BODY {
            return Err(BadEvent::LongBody(self.body.len()));
        }
        let object =
            self.body.starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(&self.body).is_ok();
        if object { Ok(()) } else { Err(BadEvent::NoObject) }
    }
}

/// Why an event is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadEvent {
    /// The name is too long.
    #[error("a node's name of {0} bytes; {MOST_NAME} are allowed")]
    LongName(usize),
    /// The body is too long.
    #[error("a body of {0} bytes; {MOST_BODY} are allowed")]
    LongBody(usize),
    /// The body is something else than one JSON object.
    #[error("a body that is not one JSON object")]
    NoObject,
}
