//! What the API asks of the fleet.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use ipnet::IpNet;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use time::OffsetDateTime;
use tokio::sync::broadcast;

use crate::moment;

mod order;

pub use order::{Order, Ordered, Refusal, Refused, Who};

/// The fleet, as the coordinator knows it.
///
/// What it tells is a copy of the moment; it is asked by many connections at once and waits for no node.
#[async_trait]
pub trait Fleet: Send + Sync + 'static {
    /// How the fleet and its coordinator are.
    async fn health(&self) -> Health;

    /// The members, in order of their names.
    async fn nodes(&self) -> Vec<Node>;

    /// Where enforcement is stopped for a while, by the last word of those who report.
    async fn panic(&self) -> Panic;

    /// What the fleet blocks. A web server's bouncer asks for every visitor: the list is made when it changes, not when it
    /// is asked for.
    async fn blocks(&self) -> Blocks;

    /// Where a block is enforced, as those nodes say that answer within some seconds.
    async fn spread(&self, target: &IpNet) -> Spread;

    /// What is allowed, in order of the targets: made when it changes, as the blocks' list is.
    async fn allowed(&self) -> Arc<Vec<Allowed>>;

    /// The events that are wanted, the newest first.
    ///
    /// # Errors
    /// When the history cannot be read, or the cursor is none of ours.
    async fn events(&self, query: EventQuery) -> Result<Events, Refusal>;

    /// What was counted over the last while, as one JSON object.
    ///
    /// # Errors
    /// When the history cannot be read.
    async fn statistics(&self, over: Duration) -> Result<Box<RawValue>, Refusal>;

    /// Every event from now on. The channel's capacity is how far a client of the live view may fall behind.
    fn subscribe(&self) -> broadcast::Receiver<Arc<Live>>;

    /// Gives the fleet an order. Answered once it is on its way and cannot be lost.
    ///
    /// # Errors
    /// When it is refused, for example because the coordinator has no operator's certificate.
    async fn order(&self, order: Order, who: &Who) -> Result<Ordered, Refusal>;
}

/// How the fleet and its coordinator are.
#[derive(Clone, Debug, Serialize)]
pub struct Health {
    /// The coordinator's version.
    pub version: String,
    /// The cluster's name.
    pub cluster: String,
    /// Seconds since the coordinator started.
    pub uptime: u64,
    /// Members that are alive.
    pub nodes_alive: u64,
    /// Members that are known.
    pub nodes_known: u64,
    /// Members whose reports arrive.
    pub nodes_reporting: u64,
    /// What a person should know, the worst first.
    pub health: Vec<Concern>,
}

/// Something that a person should know.
#[derive(Clone, Debug, Serialize)]
pub struct Concern {
    /// How bad it is.
    pub level: Level,
    /// What is the matter.
    pub what: String,
    /// What to do.
    #[serde(rename = "do")]
    pub remedy: String,
}

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Good to know.
    Info,
    /// It should be seen to.
    Warn,
    /// Something does not work.
    Error,
}

/// A member.
#[derive(Clone, Debug, Serialize)]
pub struct Node {
    /// Its id, all 64 digits: two members may have one name.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether its certificate showed the coordinator that the name is its own; else other members say so.
    pub name_proven: bool,
    /// Its site.
    pub site: String,
    /// Where its peers reach it.
    pub address: Option<String>,
    /// `alive`, `suspect`, `dead` or `left`; while no member has said, `connected`, `away`, `silent` or `expelled`.
    pub state: String,
    /// The version of its program.
    pub version: String,
    /// Blocks that it made and that are in force.
    pub blocks: u64,
    /// How far it is believed: 0 to 1; none where nobody has said.
    pub trust: Option<f32>,
    /// The round trip from the coordinator.
    pub rtt_ms: Option<f64>,
    /// When its certificate ends.
    #[serde(serialize_with = "moment::perhaps")]
    pub certificate_expires: Option<OffsetDateTime>,
    /// When it last reported.
    #[serde(serialize_with = "moment::perhaps")]
    pub last_report: Option<OffsetDateTime>,
    /// Events that its buffer lost because the coordinator was away for too long.
    pub events_lost: u64,
    /// Events that wait at it, by its last word.
    pub events_waiting: u64,
    /// How old the last event is that was kept of it, while others wait at it; else nothing.
    pub lag_seconds: f64,
    /// How fast what it counts rises; none while it does not report.
    pub per_second: Option<Rates>,
    /// What it last said of itself: the object of `smartfw-cli status`.
    pub status: Option<Box<RawValue>>,
}

/// How fast what a member counts rises, per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
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

/// Where enforcement is stopped for a while.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Panic {
    /// The members that enforce nothing now and resume by themselves.
    pub nodes: Vec<String>,
    /// Members whose reports arrive: of others it is not known.
    pub nodes_reporting: u64,
}

/// What the fleet blocks.
#[derive(Clone, Debug)]
pub struct Blocks {
    /// Another number, and a higher one, whenever the list is another.
    pub version: u64,
    /// Whether every member that is known has said what it blocks since the coordinator started. Until then nobody is told
    /// that something ended which is not in the list.
    pub complete: bool,
    /// The blocks in order of target, each target once.
    pub list: Arc<Vec<Arc<Block>>>,
}

/// A block of the fleet.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Block {
    /// What is blocked.
    #[serde(serialize_with = "net")]
    pub target: IpNet,
    /// The class of the attack, as users read it.
    pub class: String,
    /// Who said it first.
    pub origin: String,
    /// Who says the same.
    pub confirmed_by: Vec<String>,
    /// Why.
    pub reason: String,
    /// Since when.
    #[serde(serialize_with = "moment::at")]
    pub since: OffsetDateTime,
    /// Until when; none: for ever.
    #[serde(serialize_with = "moment::perhaps")]
    pub expires: Option<OffsetDateTime>,
    /// `hard`: everything is dropped; `soft`: new connections.
    pub strength: String,
    /// Whether bouncers are to ban it: not what is soft, wide, or must never be blocked.
    #[serde(skip)]
    pub ban: bool,
}

/// Where a block is enforced.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// The members whose kernel drops it.
    pub enforced_on: Vec<String>,
    /// How long it took, from the decision to the drop, milliseconds by member: of what those say that were asked.
    pub propagation_ms: BTreeMap<String, f64>,
    /// The members that said so.
    pub told_by: Vec<String>,
    /// The members that were asked and said nothing in time; nobody here and nobody above: none could be asked.
    pub silent: Vec<String>,
}

/// An entry of the allow list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Allowed {
    /// What is never blocked.
    #[serde(serialize_with = "net")]
    pub target: IpNet,
    /// Since when.
    #[serde(serialize_with = "moment::at")]
    pub since: OffsetDateTime,
    /// Until when; none: for ever.
    #[serde(serialize_with = "moment::perhaps")]
    pub expires: Option<OffsetDateTime>,
    /// Whoever allowed it, why.
    pub comment: String,
    /// The members on which alone it holds; none: on all.
    pub nodes: Option<Vec<String>>,
    /// The site on which alone it holds; none: on all.
    pub site: Option<String>,
}

/// What a client of the live view hears.
#[derive(Clone, Debug)]
pub enum Live {
    /// Something happened.
    Event(Event),
    /// So many events came too fast, and are in the history alone.
    Missed(u64),
}

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Event {
    /// `alert`, `block` and so on: the `kind` of its body.
    pub kind: String,
    /// The node's name.
    pub node: String,
    /// The class of the attack, where it has one.
    pub class: Option<String>,
    /// The event as users read it: one JSON object.
    pub body: Box<RawValue>,
}

/// Which events are wanted. What is none is not asked about.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventQuery {
    /// Not before.
    pub from: Option<OffsetDateTime>,
    /// Before.
    pub to: Option<OffsetDateTime>,
    /// Whose source lies in, or whose target overlaps, this.
    pub address: Option<IpNet>,
    /// Of this class.
    pub class: Option<String>,
    /// Of this kind.
    pub kind: Option<String>,
    /// Of the node with this name.
    pub node: Option<String>,
    /// Whose body contains this text.
    pub text: Option<String>,
    /// Where the last page ended: [`Events::cursor`] of an earlier answer, or whatever else a client made up.
    pub cursor: Option<String>,
    /// At most as many.
    pub limit: usize,
}

/// A page of events.
#[derive(Debug, Default, Serialize)]
pub struct Events {
    /// The newest first.
    pub events: Vec<Box<RawValue>>,
    /// Where the next page begins; none: there is no more.
    pub cursor: Option<String>,
}

fn net<S: Serializer>(net: &IpNet, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(net)
}
