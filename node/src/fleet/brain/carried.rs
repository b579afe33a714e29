//! Operators' orders that this node carries: coordinators hear of what they block from it, and from nobody else.
//!
//! The logs keep what the fleet says, so that no record tells of it: whenever it changes, all blocks are told anew.

use std::collections::BTreeSet;

use smartfw_core::{
    Agent, Block,
    agent::FleetWord,
    fleet::{OperatorOrder, OrderKind},
};

use super::Brain;

/// Orders that come in between two looks at which of them still hold.
const LOOK: usize = 256;

/// Orders to block that our own log says. They are as many as hold here, and some that are over.
#[derive(Debug, Default)]
pub(super) struct Carried {
    orders: BTreeSet<u128>,
    changed: bool,
}

impl Carried {
    /// An order is about to be carried out, which our own log says or another's.
    pub(super) fn apply(&mut self, agent: &Agent, order: &OperatorOrder, ours: bool) {
        if matches!(order.kind, OrderKind::Block { .. }) {
            if !ours {
                return;
            }
            if self.orders.len() % LOOK == LOOK - 1 {
                self.orders.retain(|id| agent.obeys(*id));
            }
            self.orders.insert(order.id);
        }
        // Any other may suspend blocks of ours, or put them in force again.
        self.changed = true;
    }
}

impl Brain {
    /// Whether a block stands on an order that this node carries.
    pub fn carries(&self, agent: &Agent, block: &Block) -> bool {
        let carried = |id| self.carried.orders.contains(&id);
        !self.carried.orders.is_empty()
            && matches!(agent.fleet_word(block), Some(FleetWord::Order(id)) if carried(id))
    }

    /// Whether what such orders block has changed since this was asked.
    pub const fn take_carried(&mut self) -> bool {
        std::mem::replace(&mut self.carried.changed, false)
    }
}
