//! The fleet, for whoever shows it: questions about what is and what was, what is new, and operators' orders.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use smartfw_core::{
    Health as Entry, IpNet,
    fleet::{NodeId, SignedOrder},
};
use smartfw_history::{HistoryError, Page, Query};
use smartfw_identity::Member;
use smartfw_proto::convert::{Question, Reply};
use tokio::sync::broadcast;

use crate::{
    announcing::{Expelling, NotExpelled},
    clock,
    health::Health,
    intake::{Carrier, NotCarried},
    keeper::Keeper,
    view::{Basis, FleetAllowed, FleetBlock, NodeRow, Totals, View},
};

/// The fleet. Cheap to clone.
#[derive(Clone)]
pub struct Fleet {
    pub(crate) view: Arc<View>,
    pub(crate) history: Arc<dyn Keeper>,
    pub(crate) health: Arc<Health>,
    pub(crate) carrier: Carrier,
    pub(crate) expelling: Expelling,
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

    /// Whether a key may be a member's: anybody's may until a member has said who is in the fleet.
    pub fn may_be_member(&self, id: &NodeId) -> bool {
        self.view.may_be_member(id)
    }

    /// The fleet in sums.
    pub fn totals(&self) -> Totals {
        self.view.totals()
    }

    /// Every block in force now, in order of their targets, and the list's revision.
    pub fn every_block(&self) -> (u64, Vec<Arc<FleetBlock>>) {
        self.view.every_block(clock::now())
    }

    /// Every block in force now within a prefix, in order of their targets.
    pub fn blocks_within(&self, net: &IpNet) -> Vec<Arc<FleetBlock>> {
        self.view.blocks_within(net, clock::now())
    }

    /// What is allowed now: what operators allow the fleet, and what single nodes do; and what that was made of. It takes its
    /// time: not for where others wait.
    pub fn allowed(&self) -> (Vec<FleetAllowed>, Basis) {
        self.view.allowed(clock::now())
    }

    /// Whether what was made of this is what is allowed now.
    pub fn still_allowed(&self, basis: &Basis) -> bool {
        self.view.still_allowed(basis, clock::now())
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

    /// Every event that is kept, from now on.
    pub fn subscribe_events(&self) -> broadcast::Receiver<Arc<smartfw_history::Event>> {
        self.view.subscribe_events()
    }

    /// What is wrong with the coordinator, the worst first.
    pub fn health(&self) -> Vec<Entry> {
        self.health.list()
    }

    /// What nodes say to a question: some of `first`, and some of the others, whichever chance says; of one site alone,
    /// where one is named. `None` is from those who were asked and said nothing in time.
    pub async fn ask(
        &self,
        question: &Question,
        site: Option<&str>,
        first: &BTreeSet<NodeId>,
    ) -> BTreeMap<NodeId, Option<Reply>> {
        self.carrier.ask(question, site, first).await
    }

    /// Has an order given that an operator signed; which node gave it.
    ///
    /// # Errors
    /// When no node reports, or one refuses it, or none says what became of it.
    pub async fn order(&self, order: SignedOrder) -> Result<NodeId, NotCarried> {
        self.carrier.carry(order).await
    }

    /// Who this coordinator is.
    pub fn me(&self) -> Member {
        self.expelling.me()
    }

    /// Has members expel another, as an operator signed it.
    ///
    /// # Errors
    /// When no member takes it.
    pub async fn expel(&self, whom: NodeId, revocation: Vec<u8>) -> Result<(), NotExpelled> {
        self.expelling.expel(whom, revocation).await
    }
}
