//! The fleet as the API shows it.

mod blocks;
mod forms;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use serde_json::{json, value::RawValue};
use smartfw_api::{
    Allowed, Block, Blocks, EventQuery, Events, Health, Live, Node, Order, Ordered, Panic, Refusal, Refused,
    Spread, Who,
};
use smartfw_core::{EventKind, IpNet, Time, fleet::NodeId, prefix, protect::ProtectedSet};
use smartfw_history::{Cursor, Event as Kept, Query};
use smartfw_proto::{convert::Question, json as form};
use tokio::{
    sync::broadcast::{self, error::RecvError},
    time::{MissedTickBehavior, interval},
};

use super::orders::Orders;
use crate::{
    clock,
    fleet::Fleet,
    view::{Basis, Link, NodeRow},
};
use blocks::by_target;
use forms::{allowed, concern, moment, nanos, no_cursor, node, panic, shown, spread, unread};

/// How often the list of blocks is made anew at most: an attack on a hundred nodes changes it hundreds of times a second.
const ANEW: Duration = Duration::from_millis(200);
/// How far a client of the live view may fall behind.
const BEHIND: usize = 4_096;
/// Rows of the history that are looked through for one question at most.
const LOOKED: usize = 10_000;
/// Rows of one page of that.
const ROWS: usize = 1_000;

/// The fleet, with what is made once for all who ask.
pub(super) struct Shown {
    fleet: Fleet,
    cluster: String,
    started: Instant,
    blocks: RwLock<List>,
    allowed: RwLock<(Basis, Arc<Vec<Allowed>>)>,
    live: broadcast::Sender<Arc<Live>>,
    orders: Orders,
}

/// The list of blocks, and what it was made of.
#[derive(Default)]
struct List {
    basis: (u64, Vec<IpNet>, bool),
    version: u64,
    complete: bool,
    list: Arc<Vec<Arc<Block>>>,
}

impl Shown {
    pub(super) fn new(fleet: Fleet, cluster: String, orders: Orders) -> Self {
        Self {
            fleet,
            cluster,
            started: Instant::now(),
            blocks: RwLock::default(),
            allowed: RwLock::default(),
            live: broadcast::Sender::new(BEHIND),
            orders,
        }
    }

    /// Passes on what is new, and how much came too fast; for ever.
    pub(super) async fn follow(self: Arc<Self>) {
        pass_on(self.fleet.subscribe_events(), &self.live).await;
    }

    /// Makes the lists of blocks and of what is allowed when they have changed; for ever.
    pub(super) async fn refresh(self: Arc<Self>) {
        let mut turn = interval(ANEW);
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            turn.tick().await;
            let shown = self.clone();
            // A million blocks take their time.
            let make = move || {
                shown.make();
                shown.make_allowed();
            };
            let _ = tokio::task::spawn_blocking(make).await;
        }
    }

    /// Makes the list anew where it has changed.
    fn make(&self) {
        // Before the list is read: what is complete is in it then.
        let complete = self.fleet.is_complete();
        let basis = (self.fleet.revision(), self.never(), complete);
        let version = {
            let before = self.blocks.read().unwrap_or_else(PoisonError::into_inner);
            if before.basis == basis {
                return;
            }
            before.version + 1
        };
        let (revision, blocks) = self.fleet.every_block();
        let list = Arc::new(by_target(&blocks, &basis.1));
        let made = List { basis: (revision, basis.1, complete), version, complete, list };
        *self.blocks.write().unwrap_or_else(PoisonError::into_inner) = made;
    }

    fn make_allowed(&self) {
        if self.fleet.still_allowed(&self.allowed.read().unwrap_or_else(PoisonError::into_inner).0) {
            return;
        }
        let (list, basis) = self.fleet.allowed();
        let list = Arc::new(list.into_iter().map(allowed).collect());
        *self.allowed.write().unwrap_or_else(PoisonError::into_inner) = (basis, list);
    }

    /// What no node's word makes a bouncer ban: what every host needs, and members.
    fn never(&self) -> Vec<IpNet> {
        let every = ProtectedSet::of_every_host();
        let members = self.fleet.nodes();
        let members = members.iter().filter_map(|row| row.address.parse::<SocketAddr>().ok());
        every.iter().map(|entry| entry.net).chain(members.map(|at| prefix::host(at.ip()))).collect()
    }

    /// Shows the newest events that are wanted, as many as are looked through for one question; whether there are more.
    async fn each(&self, mut query: Query, mut look: impl FnMut(&Kept) + Send) -> Result<bool, Refusal> {
        for _ in 0..LOOKED / ROWS {
            let page = self.fleet.events(query.clone()).await.map_err(unread)?;
            page.events.iter().for_each(|placed| look(&placed.event));
            query.cursor = page.next;
            if query.cursor.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn count(&self, query: Query) -> Result<(BTreeMap<&'static str, u64>, bool), Refusal> {
        let mut counts = BTreeMap::new();
        let truncated = self
            .each(query, |event| {
                *counts.entry(event.class.map_or("none", |class| class.as_str())).or_default() += 1;
            })
            .await?;
        Ok((counts, truncated))
    }
}

/// What an API's question asks of the history; `None`: nothing can be the answer.
fn query(asked: EventQuery) -> Result<Option<Query>, Refusal> {
    let EventQuery { from, to, address, class, kind, node, text, cursor, limit } = asked;
    let cursor = cursor.map(|text| text.parse::<Cursor>().map_err(|_| no_cursor())).transpose()?;
    let (class, kind) = (class.map(|name| name.parse().ok()), kind.map(|name| name.parse().ok()));
    if class == Some(None) || kind == Some(None) {
        return Ok(None);
    }
    Ok(Some(Query {
        from: from.map_or(Time::ZERO, moment),
        // Up to, and without.
        to: to.map_or(Time::NEVER, |to| Time::from_nanos(moment(to).as_nanos().saturating_sub(1))),
        node: None,
        // Who is in the fleet now is another question than who was when it happened.
        name: node,
        kind: kind.flatten(),
        class: class.flatten(),
        address,
        text,
        limit,
        cursor,
    }))
}

/// By name; of those that bear one name, as who took another's place does for days, whoever reported last comes first.
fn in_order(rows: Vec<NodeRow>, now: Time) -> Vec<Node> {
    let mut nodes: Vec<Node> = rows.into_iter().map(|row| node(row, now)).collect();
    nodes.sort_by(|a, b| a.name.cmp(&b.name).then(b.last_report.cmp(&a.last_report)));
    nodes
}

/// Each event is put into words once, for all who follow.
async fn pass_on(mut events: broadcast::Receiver<Arc<Kept>>, live: &broadcast::Sender<Arc<Live>>) {
    loop {
        let news = match events.recv().await {
            Ok(event) => shown(&event).map(Live::Event),
            Err(RecvError::Lagged(missed)) => {
                tracing::warn!(missed, "events came too fast for the live view; they are in the history");
                Some(Live::Missed(missed))
            }
            Err(RecvError::Closed) => return,
        };
        if let Some(news) = news {
            let _ = live.send(Arc::new(news)); // nobody may be listening
        }
    }
}

#[async_trait::async_trait]
impl smartfw_api::Fleet for Shown {
    async fn health(&self) -> Health {
        let totals = self.fleet.totals();
        let health = self.fleet.health().into_iter().map(concern).collect();
        let nodes = self.fleet.nodes();
        let alive = |row: &&NodeRow| row.state == "alive" || matches!(row.link, Link::Connected(_));
        Health {
            version: env!("CARGO_PKG_VERSION").into(),
            cluster: self.cluster.clone(),
            uptime: self.started.elapsed().as_secs(),
            nodes_alive: nodes.iter().filter(alive).count() as u64,
            nodes_known: nodes.len() as u64,
            nodes_reporting: totals.connected,
            health,
        }
    }

    async fn nodes(&self) -> Vec<Node> {
        in_order(self.fleet.nodes(), clock::now())
    }

    async fn panic(&self) -> Panic {
        panic(&self.fleet.nodes())
    }

    async fn blocks(&self) -> Blocks {
        let made = self.blocks.read().unwrap_or_else(PoisonError::into_inner);
        Blocks { version: made.version, complete: made.complete, list: made.list.clone() }
    }

    async fn spread(&self, target: &IpNet) -> Spread {
        let origins = self.fleet.blocks_within(target).into_iter().filter(|block| block.target == *target);
        let origins: BTreeSet<NodeId> = origins.map(|block| block.node).collect();
        let said = self.fleet.ask(&Question::Block(*target), None, &origins).await;
        spread(said, |id| self.fleet.node(id).map(|row| row.name.to_string()))
    }

    async fn allowed(&self) -> Arc<Vec<Allowed>> {
        self.allowed.read().unwrap_or_else(PoisonError::into_inner).1.clone()
    }

    async fn events(&self, asked: EventQuery) -> Result<Events, Refusal> {
        let Some(query) = query(asked)? else { return Ok(Events::default()) };
        let page = self.fleet.events(query).await.map_err(unread)?;
        let events = page.events.iter().filter_map(|placed| shown(&placed.event)).map(|event| event.body);
        Ok(Events { events: events.collect(), cursor: page.next.map(|next| next.to_string()) })
    }

    async fn statistics(&self, over: Duration) -> Result<Box<RawValue>, Refusal> {
        let now = clock::now();
        let from = Time::from_nanos(now.as_nanos().saturating_sub(nanos(over)));
        let alerts = Query { from, kind: Some(EventKind::Alert), limit: ROWS, ..Query::default() };
        let (counts, truncated) = self.count(alerts).await?;
        let totals = self.fleet.totals();
        let rates = totals.rates;
        let counted = json!({
            "time": form::rfc3339(now),
            "over": over.as_secs(),
            "alerts": counts.values().sum::<u64>(),
            "alerts_by_class": counts,
            // More alerts than are counted: the numbers are of the newest.
            "truncated": truncated,
            "nodes_reporting": totals.connected,
            "nodes_absent": totals.absent,
            "blocks": self.blocks.read().unwrap_or_else(PoisonError::into_inner).list.len(),
            "events_waiting": totals.waiting,
            "events_dropped": totals.dropped,
            "events_missed": totals.missed,
            "per_second": {
                "packets": rates.packets, "bytes": rates.bytes, "lost": rates.lost, "flows": rates.flows,
                "dropped_packets": rates.dropped_packets, "dropped_bytes": rates.dropped_bytes,
            },
        });
        RawValue::from_string(counted.to_string()).map_err(|why| Refusal {
            kind: Refused::Unavailable,
            what: "the numbers cannot be told".into(),
            why: why.to_string(),
            remedy: "try again".into(),
        })
    }

    fn subscribe(&self) -> broadcast::Receiver<Arc<Live>> {
        self.live.subscribe()
    }

    async fn order(&self, order: Order, _who: &Who) -> Result<Ordered, Refusal> {
        self.orders.give(&self.fleet, order).await
    }
}

#[cfg(test)]
mod tests {
    use smartfw_proto::convert::Reply;

    use super::*;

    #[test]
    fn who_was_asked_and_said_nothing_is_told_apart_from_those_who_were_not_asked() {
        let named = |id: &NodeId| Some(format!("web-{}", id.0[0]));
        let said = [(NodeId([1; 32]), Some(Reply::Block(None))), (NodeId([2; 32]), None)];
        let known = spread(said.into(), named);
        assert_eq!((known.told_by, known.silent), (vec!["web-1".to_owned()], vec!["web-2".to_owned()]));
        assert_eq!(spread(BTreeMap::new(), named), Spread::default());
    }

    #[test]
    fn a_node_is_asked_for_by_the_name_that_it_had_whether_or_not_it_is_known_now() {
        let asked = EventQuery { node: Some("web-9".into()), limit: 7, ..EventQuery::default() };
        let wanted = query(asked.clone()).unwrap().unwrap();
        assert_eq!((wanted.node, wanted.name.as_deref(), wanted.limit), (None, Some("web-9"), 7));
        assert!(query(EventQuery { class: Some("whim".into()), ..asked.clone() }).unwrap().is_none());
        assert!(query(EventQuery { cursor: Some("mine".into()), ..asked }).is_err());
    }

    #[test]
    fn of_two_that_bear_one_name_whoever_reported_last_comes_first() {
        let row = |id, name: &str, heard: Option<u64>| {
            let mut row = NodeRow::heard(NodeId([id; 32]), name, "default");
            row.heard = heard.map(Time::from_secs);
            row
        };
        let rows = [
            row(1, "web-2", None),
            row(2, "web-1", None),
            row(3, "web-1", Some(5)),
            row(4, "web-1", Some(9)),
        ];
        let nodes = in_order(rows.into(), Time::from_secs(10));
        let told = |node: &Node| (node.name.clone(), node.last_report.map(|at| at.unix_timestamp()));
        let told: Vec<_> = nodes.iter().map(told).collect();
        let named = |name: &str, at| (name.to_owned(), at);
        assert_eq!(
            told,
            [named("web-1", Some(9)), named("web-1", Some(5)), named("web-1", None), named("web-2", None)]
        );
    }

    #[tokio::test]
    async fn what_comes_too_fast_is_counted_for_those_who_follow_and_the_rest_comes() {
        let (kept, live) = (broadcast::Sender::new(16), broadcast::Sender::new(64));
        let (events, mut heard) = (kept.subscribe(), live.subscribe());
        for sequence in 1..=20 {
            let (node, body) = ("web-1".to_owned(), format!("{{\"n\":{sequence}}}"));
            let (id, time, kind) = (NodeId([1; 32]), Time::ZERO, EventKind::Alert);
            let event = Kept { node, id, epoch: 1, sequence, time, kind, address: None, class: None, body };
            kept.send(Arc::new(event)).unwrap();
        }
        drop(kept);
        pass_on(events, &live).await;
        assert!(matches!(*heard.recv().await.unwrap(), Live::Missed(4)));
        for sequence in 5..=20 {
            let news = heard.recv().await.unwrap();
            let Live::Event(event) = &*news else { panic!("{news:?}") };
            assert_eq!(event.body.get(), format!("{{\"n\":{sequence}}}"));
        }
        assert!(heard.try_recv().is_err());
    }
}
