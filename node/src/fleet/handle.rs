//! The fleet, for those who ask and order from outside the driver's thread: the control service above all.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use smartfw_core::{
    Agent, Class, IpNet, Time,
    fleet::{NodeId, SignedOrder},
    members::MemberState,
};
use smartfw_identity::Role;
use tokio::{sync::oneshot, time::timeout};

use super::{
    brain::{Brain, Named},
    control::Control,
    place::Reach,
};
use crate::inbox::{Inbox, Input};

/// How long the driver may take to answer a question: it handles an import of 100,000 blocks in less.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long kernel and disk may take with an order, or a start with a full store.
const LONG: Duration = Duration::from_secs(20);

/// The fleet as this node knows it. Cheap to clone.
#[derive(Clone)]
pub struct FleetHandle {
    pub(super) inbox: Inbox,
    pub(super) control: Arc<Control>,
}

/// What this node takes part in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetStatus {
    /// The cluster's name.
    pub cluster: String,
    /// The site that our certificate names.
    pub site: String,
    /// The name that our certificate gives us.
    pub name: String,
    /// Our key.
    pub id: NodeId,
    /// What our certificate lets us do.
    pub role: Role,
    /// Where others reach us.
    pub address: SocketAddr,
    /// Members that are alive, without us.
    pub peers_alive: usize,
    /// Members that are known and have not left, without us.
    pub peers_known: usize,
    /// Members with an open stream.
    pub peers_connected: usize,
    /// Our certificate's end.
    pub certificate_expires: Time,
    /// What is to be done about it.
    pub renewal: smartfw_identity::Renewal,
}

/// A member, ourselves among them.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberView {
    /// Its key.
    pub id: NodeId,
    /// Its name; two of the same name have the beginning of their keys behind it.
    pub name: String,
    /// Its site.
    pub site: String,
    /// What its certificate lets it do; `None` until that is known.
    pub role: Option<Role>,
    /// Who signed its certificate; `None` until that is known.
    pub signer: Option<NodeId>,
    /// Where it is reached.
    pub address: SocketAddr,
    /// How it is.
    pub state: MemberState,
    /// Its program's version.
    pub version: String,
    /// Its blocks that are held here.
    pub blocks: usize,
    /// Those of them that are not enforced here, by reason.
    pub withheld: BTreeMap<smartfw_core::Withheld, usize>,
    /// How far its blocks are believed, 0 to 1.
    pub trust: f32,
    /// A datagram's round trip, milliseconds; `None` until it was measured.
    pub rtt_ms: Option<f64>,
    /// When its certificate ends.
    pub certificate_expires: Time,
}

/// A block of the fleet, as it is held here.
#[derive(Clone, Debug, PartialEq)]
pub struct FleetBlockView {
    /// Who is dropped.
    pub target: IpNet,
    /// What for.
    pub class: Class,
    /// On whose word: of several the oldest that counts.
    pub origin: String,
    /// The member whose word it is; `None`: an operator's.
    pub origin_id: Option<NodeId>,
    /// The others that say the same.
    pub confirmed_by: Vec<String>,
    /// The members whose kernel is known to drop it: this one, and those that are there and said so. In a large fleet they
    /// say so to the origin alone.
    pub enforced_on: Vec<String>,
    /// Why it is not enforced here.
    pub withheld: Option<smartfw_core::Withheld>,
    /// Since when.
    pub since: Time,
    /// Until when; `None` for ever.
    pub expires: Option<Time>,
    /// Of what this node said, operators' orders among it, by member: milliseconds from the decision to the member's word that its kernel drops. Kept of
    /// the last few thousand.
    pub propagation_ms: BTreeMap<String, f64>,
}

/// A part of the list of the fleet's blocks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FleetBlocks {
    /// One of each target; there may be none although the list goes on.
    pub blocks: Vec<FleetBlockView>,
    /// The target behind which the list goes on; `None`: this is its end.
    pub behind: Option<IpNet>,
}

/// What was asked of the fleet and not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FleetRefused {
    /// There is no fleet.
    #[error("this node is in no cluster; enter one by smartfw-cli cluster init or cluster join")]
    NoCluster,
    /// There is one already.
    #[error("this node is in cluster {0} already; leave it first by smartfw-cli cluster leave")]
    InCluster(String),
    /// The identity cannot be used.
    #[error("{0}")]
    Identity(String),
    /// The order is none.
    #[error("the order is refused: {0}")]
    Order(String),
    /// Addresses or threads cannot be had.
    #[error("{0}")]
    System(String),
    /// The driver, the kernel or the disk takes too long.
    #[error("no answer within {} s; smartfw-cli status says whether kernel or disk refuse", .0.as_secs())]
    Slow(Duration),
    /// The node ends.
    #[error("the node is ending")]
    Ending,
}

impl FleetHandle {
    /// The handle of what `control` opens and the driver behind `inbox` holds.
    pub const fn new(inbox: Inbox, control: Arc<Control>) -> Self {
        Self { inbox, control }
    }

    /// What this node takes part in; `None` without a cluster.
    ///
    /// # Errors
    /// When the driver does not answer: that is no reason to think that there is no cluster.
    pub async fn status(&self) -> Result<Option<FleetStatus>, FleetRefused> {
        let links = self.control.connected();
        self.ask(move |_, brain, now| brain.map(|brain| brain.status(links, now))).await
    }

    /// The cluster's name, even while the driver has no time to answer.
    pub fn cluster(&self) -> Option<String> {
        self.control.cluster()
    }

    /// Every member that is known, ourselves first; none without a cluster.
    ///
    /// # Errors
    /// When the driver does not answer.
    pub async fn members(&self) -> Result<Vec<MemberView>, FleetRefused> {
        self.ask(|agent, brain, _| brain.map_or_else(Vec::new, |brain| brain.members_seen(agent))).await
    }

    /// Every member's name and address, ourselves first; none without a cluster. Of the blocks nothing is read.
    ///
    /// # Errors
    /// When the driver does not answer.
    pub async fn named(&self) -> Result<Vec<Named>, FleetRefused> {
        self.ask(|_, brain, _| brain.map_or_else(Vec::new, Brain::named)).await
    }

    /// The fleet's blocks behind `after`, in order of target, at most so many, and where the list goes on.
    ///
    /// # Errors
    /// When the driver does not answer.
    pub async fn blocks(&self, after: Option<IpNet>, most: usize) -> Result<FleetBlocks, FleetRefused> {
        self.ask(move |agent, brain, _| {
            brain.map_or_else(FleetBlocks::default, |brain| brain.blocks_seen(agent, after, most))
        })
        .await
    }

    /// The fleet's blocks that drop an address.
    ///
    /// # Errors
    /// When the driver does not answer.
    pub async fn blocks_covering(
        &self,
        address: std::net::IpAddr,
    ) -> Result<Vec<FleetBlockView>, FleetRefused> {
        self.ask(move |agent, brain, now| {
            brain.map_or_else(Vec::new, |brain| brain.blocks_covering(agent, address, now))
        })
        .await
    }

    /// Says an operator's order to the fleet. When it returns, the order was verified, and is on this node's disk: no
    /// crash takes it back.
    ///
    /// # Errors
    /// When there is no cluster, the order does not hold, or the disk takes too long: then it may still be said.
    pub async fn order(&self, order: SignedOrder) -> Result<(), FleetRefused> {
        give(&self.inbox, order).await
    }

    /// What an `unblock` of the target has to name: versions, and operators' orders by id, all of them.
    ///
    /// # Errors
    /// When the driver does not answer.
    pub async fn covers(
        &self,
        target: IpNet,
    ) -> Result<(Vec<(NodeId, smartfw_core::fleet::Version)>, Vec<u128>), FleetRefused> {
        let every = (usize::MAX, usize::MAX);
        let covers = self.ask(move |agent, _, _| agent.fleet_covers(&target, every)).await;
        covers.map(|(covers, orders, _)| (covers, orders))
    }

    /// Adds signed revocations: they are in force and on disk when this returns, and on their way to all members.
    /// The members that are newly expelled.
    ///
    /// # Errors
    /// When there is no cluster, or a statement does not hold, or cannot be kept.
    pub async fn revoke(&self, statements: Vec<Vec<u8>>) -> Result<Vec<NodeId>, FleetRefused> {
        let control = self.control.clone();
        let revoked = tokio::task::spawn_blocking(move || control.revoke(&statements));
        revoked.await.map_err(|_| FleetRefused::Ending)?
    }

    /// Begins to take part with the identity in the state folder's `identity`, without a restart. `reach` is kept there.
    ///
    /// # Errors
    /// When there is no identity, it cannot be used, the node is in a cluster already, or it cannot listen.
    pub async fn enter(&self, reach: Reach) -> Result<(), FleetRefused> {
        let (reply, answer) = oneshot::channel();
        let (control, inbox) = (self.control.clone(), self.inbox.clone());
        let opened = tokio::task::spawn_blocking(move || control.open(Some(&reach)));
        let opening = opened.await.map_err(|_| FleetRefused::Ending)??;
        // The driver hears of it before anything of the network.
        inbox.send(Input::Fleet(super::Input::Enter(Box::new(opening), reply)));
        let entered = waited(LONG, answer).await.and_then(|entered| entered);
        if let Err(refused) = entered {
            self.close(false).await?;
            return Err(refused);
        }
        let control = self.control.clone();
        let begun = tokio::task::spawn_blocking(move || control.begin()).await;
        let begun = begun.map_err(|_| FleetRefused::Ending)?;
        if let Err(error) = begun {
            // The driver takes part in nothing that has no network.
            let (reply, answer) = oneshot::channel();
            self.inbox.send(Input::Fleet(super::Input::Leave(reply)));
            let _ = waited(LONG, answer).await;
            self.control.close(false)?;
            return Err(FleetRefused::System(error.to_string()));
        }
        Ok(())
    }

    /// Says good-bye and takes part no more. The identity is put aside; what is blocked stays blocked until it ends.
    ///
    /// # Errors
    /// When there is no cluster, or the identity cannot be put aside: then the next start takes part again.
    pub async fn leave(&self) -> Result<(), FleetRefused> {
        let (reply, answer) = oneshot::channel();
        self.inbox.send(Input::Fleet(super::Input::Leave(reply)));
        waited(LONG, answer).await??;
        // The good-byes are on their way.
        tokio::time::sleep(Duration::from_millis(300)).await;
        self.close(true).await
    }

    async fn close(&self, leave: bool) -> Result<(), FleetRefused> {
        let control = self.control.clone();
        tokio::task::spawn_blocking(move || control.close(leave)).await.map_err(|_| FleetRefused::Ending)?
    }

    /// Where the state folder's identity is.
    pub fn folder(&self) -> PathBuf {
        self.control.folder()
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Agent, Option<&Brain>, Time) -> T + Send + 'static,
    ) -> Result<T, FleetRefused> {
        let (answer, receiver) = oneshot::channel();
        let ask = move |agent: &Agent, brain: Option<&Brain>, now: Time| {
            drop(answer.send(question(agent, brain, now)));
        };
        self.inbox.send(Input::Fleet(super::Input::Ask(Box::new(ask))));
        waited(PATIENCE, receiver).await
    }
}

/// Says an operator's order to the fleet: see [`FleetHandle::order`].
pub(crate) async fn give(inbox: &Inbox, order: SignedOrder) -> Result<(), FleetRefused> {
    let (reply, answer) = oneshot::channel();
    inbox.send(Input::Fleet(super::Input::Order(Box::new(order), reply)));
    waited(LONG, answer).await?
}

async fn waited<T>(patience: Duration, answer: oneshot::Receiver<T>) -> Result<T, FleetRefused> {
    match timeout(patience, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(FleetRefused::Ending),
        Err(_) => Err(FleetRefused::Slow(patience)),
    }
}
