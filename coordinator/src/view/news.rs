//! What is new, for those who follow.

use std::sync::Arc;

use smartfw_history::Event;

use super::{FleetBlock, NodeRow};

/// News that wait for a slow follower, each a pointer: two seconds of the busiest fleet. One that is further behind is told
/// how much it missed.
pub const BEHIND: usize = 4_096;

/// Something new.
#[derive(Clone, Debug)]
pub enum News {
    /// An event was kept.
    Event(Arc<Event>),
    /// A node connected, went away, was expelled, or its health changed.
    Node(Box<NodeRow>),
    /// A block is in force, or is another than it was.
    Blocked(Arc<FleetBlock>),
    /// A block is over.
    Lifted(Arc<FleetBlock>),
}
