//! What a node tells a coordinator of: events, numbered as they happen.

use alloc::string::String;

use ipnet::IpNet;

use crate::{Class, Time, class::named};

named! {
    /// What an event is about.
    EventKind {
        /// An attack was detected.
        Alert = "alert",
        /// An address was blocked.
        Block = "block",
        /// A block was lifted, or has run out.
        Lift = "lift",
        /// The node's health changed.
        Health = "health",
        /// A person did something.
        Audit = "audit",
    }
}

/// Something that happened on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its number in the life of the node's buffer; it rises by one.
    pub sequence: u64,
    /// When it happened, by the node's clock.
    pub time: Time,
    /// What it is about.
    pub kind: EventKind,
    /// Whom it is about.
    pub address: Option<IpNet>,
    /// The class of the attack that it is about.
    pub class: Option<Class>,
    /// The event itself: one JSON object, as `alerts` and `blocks` print it.
    pub body: String,
}
