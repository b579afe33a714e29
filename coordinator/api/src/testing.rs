//! A fleet in memory: it does what it is told, and remembers it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use ipnet::IpNet;
use serde_json::{json, value::RawValue};
use time::OffsetDateTime;
use tokio::sync::broadcast;

use crate::{
    Allowed, Block, Blocks, Clock, Event, EventQuery, Events, Fleet, Health, Live, Node, Order, Ordered,
    Panic, Rates, Refusal, Refused, Spread, Who, moment, rfc3339,
};

/// Events that a follower may fall behind.
const BACKLOG: usize = 64;

/// A fleet of one node, until others are admitted.
pub struct MemoryFleet {
    clock: Clock,
    state: Mutex<State>,
    live: broadcast::Sender<Arc<Live>>,
}

#[derive(Default)]
struct State {
    version: u64,
    nodes: Vec<Node>,
    canaries: BTreeSet<IpNet>,
    panic: Option<OffsetDateTime>,
    blocks: BTreeMap<IpNet, Arc<Block>>,
    allowed: BTreeMap<IpNet, Allowed>,
    /// The newest last.
    events: Vec<(OffsetDateTime, Option<IpNet>, Arc<Event>)>,
    orders: Vec<(Order, Who)>,
    refusing: bool,
}

impl MemoryFleet {
    /// A fleet in which nothing has happened.
    pub fn new(clock: Clock) -> Arc<Self> {
        let fleet = Self { clock, state: Mutex::default(), live: broadcast::Sender::new(BACKLOG) };
        fleet.admit("web-1", 1);
        Arc::new(fleet)
    }

    /// A member joins: its id is of this byte alone.
    pub fn admit(&self, name: &str, id: u8) {
        let node = node(name, id, self.clock.now());
        self.state().nodes.push(node);
    }

    /// A member that others speak of.
    pub fn hear_of(&self, name: &str, id: u8) {
        let node = Node { name_proven: false, ..node(name, id, self.clock.now()) };
        self.state().nodes.push(node);
    }

    /// From now on orders are refused, as without an operator's certificate, or given again.
    pub fn refuse(&self, refusing: bool) {
        self.state().refusing = refusing;
    }

    /// The targets that no honest node blocks.
    pub fn canaries(&self) -> Vec<IpNet> {
        self.state().canaries.iter().copied().collect()
    }

    /// The orders that were given, the first first.
    pub fn orders(&self) -> Vec<(Order, Who)> {
        self.state().orders.clone()
    }

    /// Something happens: an alert of `class` about `source` by `node`.
    pub fn alert(&self, node: &str, class: &str, source: &str) {
        let now = self.clock.now();
        let body =
            json!({"kind": "alert", "time": rfc3339(now), "node": node, "class": class, "source": source});
        self.happen(
            now,
            source.parse().ok().map(|address: std::net::IpAddr| address.into()),
            "alert",
            node,
            class,
            &body,
        );
    }

    /// So many events happen too fast for the live view.
    pub fn miss(&self, events: u64) {
        let _ = self.live.send(Arc::new(Live::Missed(events))); // nobody may be listening
    }

    fn happen(
        &self,
        now: OffsetDateTime,
        address: Option<IpNet>,
        kind: &str,
        node: &str,
        class: &str,
        body: &serde_json::Value,
    ) {
        let Ok(body) = RawValue::from_string(body.to_string()) else { return };
        let class = Some(class.to_owned());
        let event = Event { kind: kind.to_owned(), node: node.to_owned(), class, body };
        self.state().events.push((now, address, event.clone().into()));
        let _ = self.live.send(Arc::new(Live::Event(event))); // nobody may be listening
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn carry_out(&self, order: &Order) {
        let now = self.clock.now();
        let mut state = self.state();
        match order.clone() {
            Order::Block { target, duration, reason, .. } => {
                let expires = duration.and_then(|duration| moment::after(now, duration));
                state.blocks.insert(target, Arc::new(block(target, now, expires, reason)));
            }
            Order::Unblock { target, .. } => drop(state.blocks.remove(&target)),
            Order::Allow { target, duration, comment } => {
                let expires = duration.and_then(|duration| moment::after(now, duration));
                let (nodes, site) = (None, None);
                let allowed = Allowed { target, since: now, expires, comment, nodes, site };
                state.allowed.insert(target, allowed);
            }
            Order::Disallow { target } => drop(state.allowed.remove(&target)),
            Order::Trust { node, believed } => {
                let meant = state.nodes.iter_mut().filter(|known| known.id == node);
                meant.for_each(|known| known.trust = Some(f32::from(u8::from(believed))));
            }
            Order::Revoke { node, .. } => state.nodes.retain(|known| known.id != node),
            Order::AddCanary { target, .. } => drop(state.canaries.insert(target)),
            Order::RemoveCanary { target } => drop(state.canaries.remove(&target)),
            Order::Panic { duration } => state.panic = moment::after(now, duration),
            Order::Resume => state.panic = None,
        }
        state.version += 1;
    }
}

#[async_trait]
impl Fleet for MemoryFleet {
    async fn health(&self) -> Health {
        Health {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            cluster: "prod".to_owned(),
            uptime: 1,
            nodes_alive: 1,
            nodes_known: 1,
            nodes_reporting: 1,
            health: Vec::new(),
        }
    }

    async fn nodes(&self) -> Vec<Node> {
        self.state().nodes.clone()
    }

    async fn panic(&self) -> Panic {
        let state = self.state();
        let stopped = state.panic.is_some_and(|until| self.clock.now() < until);
        let names = state.nodes.iter().filter(|_| stopped).map(|node| node.name.clone());
        Panic { nodes: names.collect(), nodes_reporting: state.nodes.len() as u64 }
    }

    async fn blocks(&self) -> Blocks {
        let state = self.state();
        Blocks {
            version: state.version,
            complete: true,
            list: Arc::new(state.blocks.values().cloned().collect()),
        }
    }

    async fn spread(&self, _: &IpNet) -> Spread {
        let web = || vec!["web-1".to_owned()];
        let propagation_ms = BTreeMap::from([("web-1".to_owned(), 7.5)]);
        Spread { enforced_on: web(), propagation_ms, told_by: web(), silent: Vec::new() }
    }

    async fn allowed(&self) -> Arc<Vec<Allowed>> {
        Arc::new(self.state().allowed.values().cloned().collect())
    }

    async fn events(&self, query: EventQuery) -> Result<Events, Refusal> {
        let state = self.state();
        let end = match &query.cursor {
            Some(cursor) => {
                cursor.parse().map_err(|_| refusal(Refused::Invalid, "the cursor is none of ours"))?
            }
            None => state.events.len(),
        };
        let numbered = state.events.iter().enumerate().take(end).rev();
        let mut page: Vec<_> =
            numbered.filter(|(_, event)| wanted(&query, event)).take(query.limit + 1).collect();
        let more = page.len() > query.limit;
        page.truncate(query.limit);
        let cursor = page.last().filter(|_| more).map(|(number, _)| number.to_string());
        Ok(Events { events: page.into_iter().map(|(_, (_, _, event))| event.body.clone()).collect(), cursor })
    }

    fn subscribe(&self) -> broadcast::Receiver<Arc<Live>> {
        self.live.subscribe()
    }

    async fn statistics(&self, over: Duration) -> Result<Box<RawValue>, Refusal> {
        let counted = json!({"over": over.as_secs(), "alerts": self.state().events.len()});
        RawValue::from_string(counted.to_string()).map_err(|_| refusal(Refused::Unavailable, "no numbers"))
    }

    async fn order(&self, order: Order, who: &Who) -> Result<Ordered, Refusal> {
        if self.state().refusing {
            return Err(refusal(Refused::Conflict, "the coordinator has no operator's certificate"));
        }
        self.carry_out(&order);
        self.state().orders.push((order, who.clone()));
        Ok(Ordered { members: 1, ..Ordered::default() })
    }
}

fn wanted(query: &EventQuery, (time, address, event): &(OffsetDateTime, Option<IpNet>, Arc<Event>)) -> bool {
    let overlaps =
        |net: IpNet| address.is_some_and(|address| net.contains(&address) || address.contains(&net));
    query.from.is_none_or(|from| *time >= from)
        && query.to.is_none_or(|to| *time < to)
        && query.address.is_none_or(overlaps)
        && query.kind.as_ref().is_none_or(|kind| event.kind == *kind)
        && query.node.as_ref().is_none_or(|node| event.node == *node)
        && query.class.as_ref().is_none_or(|class| event.class.as_ref() == Some(class))
        && query.text.as_ref().is_none_or(|text| event.body.get().contains(text))
}

fn node(name: &str, id: u8, now: OffsetDateTime) -> Node {
    Node {
        id: format!("{id:02x}").repeat(32),
        name: name.to_owned(),
        name_proven: true,
        site: "main".to_owned(),
        address: Some("192.0.2.10:7470".to_owned()),
        state: "alive".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        blocks: 0,
        trust: Some(1.0),
        rtt_ms: Some(0.4),
        certificate_expires: Some(now),
        last_report: None,
        events_lost: 0,
        events_waiting: 2,
        lag_seconds: 0.5,
        per_second: Some(Rates { packets: 7.5, ..Rates::default() }),
        status: None,
    }
}

fn block(target: IpNet, since: OffsetDateTime, expires: Option<OffsetDateTime>, reason: String) -> Block {
    Block {
        target,
        class: "manual".to_owned(),
        origin: "operator".to_owned(),
        confirmed_by: Vec::new(),
        reason,
        since,
        expires,
        strength: "hard".into(),
        ban: true,
    }
}

fn refusal(kind: Refused, why: &str) -> Refusal {
    let (what, remedy) = ("the fleet refuses".to_owned(), "see the coordinator's documentation".to_owned());
    Refusal { kind, what, why: why.to_owned(), remedy }
}
