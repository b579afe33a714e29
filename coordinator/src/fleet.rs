//! The fleet, for whoever shows it: questions about what is and what was, what is new, and operators' orders.

use std::sync::Arc;

use smartfw_core::{
    Health as Entry,
    fleet::{NodeId, SignedOrder},
};
use smartfw_history::{HistoryError, Page, Query};
use tokio::sync::broadcast;

use crate::{
    clock,
    health::Health,
    intake::{Carrier, NotCarried},
    keeper::Keeper,
    view::{BlockPage, BlockQuery, FleetBlock, News, NodeRow, Totals, View},
};

/// The fleet. Cheap to clone.
#[derive(Clone)]
pub struct Fleet {
    pub(crate) view: Arc<View>,
    pub(crate) history: Arc<dyn Keeper>,
    pub(crate) health: Arc<Health>,
    pub(crate) carrier: Carrier,
}

impl Fleet {
    /// Every node that is known.
    pub fn nodes(&self) -> Vec<NodeRow> {
        self.view.nodes()
    }

    /// One node.
    pub fn node(&self, id: &NodeId) -> Option<NodeRow> {
        self.view.node(id)
    }

    /// The fleet in sums.
    pub fn totals(&self) -> Totals {
        self.view.totals()
    }

    /// Blocks in force now, in order of their targets.
    pub fn blocks(&self, query: &BlockQuery) -> BlockPage {
        self.view.blocks(query, clock::now())
    }

    /// Every block in force now, in order of their targets, and the list's revision.
    pub fn every_block(&self) -> (u64, Vec<Arc<FleetBlock>>) {
        self.view.every_block(clock::now())
    }

    /// Higher whenever the list of blocks is another than it was.
    pub fn revision(&self) -> u64 {
        self.view.revision()
    }

    /// Whether every member that is known has told all of its blocks since the start.
    pub fn is_complete(&self) -> bool {
        self.view.is_complete()
    }

    /// What happened, the newest first.
    ///
    /// # Errors
    /// When the history cannot be read, or the question would cost too much.
    pub async fn events(&self, query: Query) -> Result<Page, HistoryError> {
        self.history.query(query).await
    }

    /// What is new, from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<News> {
        self.view.subscribe()
    }

    /// Every event that is kept, from now on.
    pub fn subscribe_events(&self) -> broadcast::Receiver<Arc<smartfw_history::Event>> {
        self.view.subscribe_events()
    }

    /// What is wrong with the coordinator, the worst first.
    pub fn health(&self) -> Vec<Entry> {
        self.health.list()
    }

    /// Has an order given that an operator signed; which node gave it.
    ///
    /// # Errors
    /// When no node reports, or one refuses it, or none says what became of it.
    pub async fn order(&self, order: SignedOrder) -> Result<NodeId, NotCarried> {
        self.carrier.carry(order).await
    }
}
