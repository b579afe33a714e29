//! The fleet as the API shows it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use serde::Deserialize;
use serde_json::{json, value::RawValue};
use smartfw_api::{
    Allowed, Block, Blocks, Concern, Event, EventQuery, Events, Health, Level, Node, Order, Ordered, Refusal,
    Refused, Who,
};
use smartfw_core::{
    EventKind, HealthLevel, IpNet, Strength, Time, fleet::NodeId, prefix, protect::ProtectedSet,
};
use smartfw_history::{Cursor, Event as Kept, Query};
use smartfw_proto::json as form;
use time::OffsetDateTime;
use tokio::{
    sync::broadcast::{self, error::RecvError},
    time::{MissedTickBehavior, interval},
};

use super::orders::Orders;
use crate::{
    clock,
    fleet::Fleet,
    view::{FleetBlock, Link, NodeRow},
};

/// How often the list of blocks is made anew at most: an attack on a hundred nodes changes it hundreds of times a second.
const ANEW: Duration = Duration::from_millis(200);
/// Wider prefixes nobody blocks without insisting, and no bouncer of ours bans.
const WIDE_V4: u8 = 16;
const WIDE_V6: u8 = 32;
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
    live: broadcast::Sender<Arc<Event>>,
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
    pub(super) fn new(fleet: Fleet, cluster: String, operator: PathBuf) -> Self {
        Self {
            fleet,
            cluster,
            started: Instant::now(),
            blocks: RwLock::default(),
            live: broadcast::Sender::new(BEHIND),
            orders: Orders::new(operator),
        }
    }

    /// Passes on what is new; for ever.
    pub(super) async fn follow(self: Arc<Self>) {
        let mut events = self.fleet.subscribe_events();
        loop {
            match events.recv().await {
                Ok(event) => self.tell(&event),
                Err(RecvError::Lagged(missed)) => {
                    tracing::warn!(
                        missed,
                        "the live view misses events that came too fast; they are in the history"
                    );
                }
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// Makes the list of blocks when it has changed; for ever.
    pub(super) async fn refresh(self: Arc<Self>) {
        let mut turn = interval(ANEW);
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            turn.tick().await;
            let shown = self.clone();
            // A million blocks take their time.
            let _ = tokio::task::spawn_blocking(move || shown.make()).await;
        }
    }

    fn tell(&self, event: &Kept) {
        if let Some(event) = shown(event) {
            let _ = self.live.send(Arc::new(event)); // nobody may be listening
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

    fn id_of(&self, name: &str) -> Option<NodeId> {
        self.fleet.nodes().into_iter().find(|row| &*row.name == name).map(|row| row.id)
    }

    /// What an API's question asks of the history; `None`: nothing can be the answer.
    fn query(&self, asked: EventQuery) -> Result<Option<Query>, Refusal> {
        let EventQuery { from, to, address, class, kind, node, text, cursor, limit } = asked;
        let cursor = cursor.map(|text| text.parse::<Cursor>().map_err(|_| no_cursor())).transpose()?;
        let id = node.as_deref().map(|name| self.id_of(name));
        let (class, kind) = (class.map(|name| name.parse().ok()), kind.map(|name| name.parse().ok()));
        if [id.is_some_and(|id| id.is_none()), class == Some(None), kind == Some(None)].contains(&true) {
            return Ok(None);
        }
        Ok(Some(Query {
            from: from.map_or(Time::ZERO, moment),
            // Up to, and without.
            to: to.map_or(Time::NEVER, |to| Time::from_nanos(moment(to).as_nanos().saturating_sub(1))),
            node: id.flatten(),
            kind: kind.flatten(),
            class: class.flatten(),
            address,
            text,
            limit,
            cursor,
        }))
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
        let mut nodes: Vec<Node> = self.fleet.nodes().into_iter().map(node).collect();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        nodes
    }

    async fn blocks(&self) -> Blocks {
        let made = self.blocks.read().unwrap_or_else(PoisonError::into_inner);
        Blocks { version: made.version, complete: made.complete, list: made.list.clone() }
    }

    async fn allowed(&self) -> Vec<Allowed> {
        let (mut seen, mut allowed) = (BTreeSet::new(), Vec::new());
        let asked = Query { kind: Some(EventKind::Audit), limit: ROWS, ..Query::default() };
        let look = self.each(asked, |event| {
            allowed.extend(word(event).filter(|word| seen.insert(word.target)).and_then(standing));
        });
        // What cannot be read is told by the health list.
        let _ = look.await;
        allowed.sort_by_key(|allowed: &Allowed| allowed.target);
        allowed
    }

    async fn events(&self, asked: EventQuery) -> Result<Events, Refusal> {
        let Some(query) = self.query(asked)? else { return Ok(Events::default()) };
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

    fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.live.subscribe()
    }

    async fn order(&self, order: Order, _who: &Who) -> Result<Ordered, Refusal> {
        self.orders.give(&self.fleet, order).await
    }
}

/// An event as users read it.
fn shown(event: &Kept) -> Option<Event> {
    Some(Event {
        kind: event.kind.to_string(),
        node: event.node.clone(),
        class: event.class.map(|class| class.to_string()),
        body: RawValue::from_string(event.body.clone()).ok()?,
    })
}

/// Each target once: who said it first, and who says the same. `never` is what bouncers do not ban.
fn by_target(blocks: &[Arc<FleetBlock>], never: &[IpNet]) -> Vec<Arc<Block>> {
    let same = |a: &Arc<FleetBlock>, b: &Arc<FleetBlock>| a.target == b.target;
    blocks.chunk_by(same).filter_map(|said| one(said, never)).map(Arc::new).collect()
}

fn one(said: &[Arc<FleetBlock>], never: &[IpNet]) -> Option<Block> {
    let first = said.iter().min_by_key(|block| block.since)?;
    let nodes: BTreeSet<String> = said.iter().map(|block| block.name.to_string()).collect();
    let longest = if said.iter().any(|block| block.expires.is_none()) {
        None
    } else {
        said.iter().filter_map(|block| block.expires).max()
    };
    let hard = said.iter().any(|block| block.strength == Strength::Hard);
    let strength = if hard { Strength::Hard } else { Strength::Soft };
    Some(Block {
        target: first.target,
        class: first.class.to_string(),
        origin: first.origin.to_string(),
        confirmed_by: nodes.into_iter().filter(|name| **name != *first.origin).collect(),
        // Whose kernel drops it, nodes know: `smartfw-cli cluster blocks`.
        enforced_on: Vec::new(),
        reason: first.reason.to_string(),
        since: instant(first.since),
        expires: longest.map(instant),
        strength: strength.to_string(),
        ban: hard && is_bannable(first.target, never),
        propagation_ms: BTreeMap::new(),
    })
}

/// A block that a single node says must not make every bouncer drop what a node itself would never block.
fn is_bannable(target: IpNet, never: &[IpNet]) -> bool {
    let narrowest = if target.addr().is_ipv4() { WIDE_V4 } else { WIDE_V6 };
    target.prefix_len() >= narrowest && !never.iter().any(|net| prefix::overlap(net, &target))
}

fn node(row: NodeRow) -> Node {
    let expires = row.certificate_expires();
    let status = row.status.as_ref().map(|status| form::status(status).to_string());
    Node {
        blocks: row.statistics.map_or(0, |statistics| statistics.blocks),
        name: row.name.to_string(),
        site: row.site.to_string(),
        state: if row.state.is_empty() { row.link.as_str().to_owned() } else { row.state },
        address: Some(row.address).filter(|address| !address.is_empty()),
        version: row.version,
        trust: None,
        rtt_ms: None,
        certificate_expires: expires.map(instant),
        last_report: row.heard.map(instant),
        events_lost: row.dropped.saturating_add(row.missed),
        status: status.and_then(|status| RawValue::from_string(status).ok()),
    }
}

fn concern(entry: crate::health::Entry) -> Concern {
    let level = match entry.level {
        HealthLevel::Info => Level::Info,
        HealthLevel::Warn => Level::Warn,
        HealthLevel::Error => Level::Error,
    };
    Concern { level, what: entry.what, remedy: entry.remedy }
}

/// What an audit event says of the allow list.
#[derive(Deserialize)]
struct Word {
    kind: String,
    target: IpNet,
    since: Option<String>,
    expires: Option<String>,
    #[serde(default)]
    comment: String,
}

fn word(event: &Kept) -> Option<Word> {
    let word: Word = serde_json::from_str(&event.body).ok()?;
    ["allowed", "disallowed"].contains(&word.kind.as_str()).then_some(word)
}

/// The entry, if this word put it on the list and it is not over.
fn standing(word: Word) -> Option<Allowed> {
    let Word { kind, target, since, expires, comment } = word;
    let at = |text: String| form::parse_rfc3339(&text).map(instant);
    let expires = expires.and_then(at);
    let over = expires.is_some_and(|expires| expires <= instant(clock::now()));
    let since = since.and_then(at)?;
    (kind == "allowed" && !over).then_some(Allowed { target, since, expires, comment })
}

fn unread(why: smartfw_history::HistoryError) -> Refusal {
    Refusal {
        kind: Refused::Unavailable,
        what: "the history cannot be read".into(),
        why: why.to_string(),
        remedy: "look at the coordinator's health".into(),
    }
}

fn no_cursor() -> Refusal {
    Refusal {
        kind: Refused::Invalid,
        what: "there is no such page".into(),
        why: "the cursor is none of ours".into(),
        remedy: "begin without one, or give what the page before said".into(),
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

fn moment(time: OffsetDateTime) -> Time {
    Time::from_nanos(u64::try_from(time.unix_timestamp_nanos().max(0)).unwrap_or(u64::MAX))
}

/// Beyond the year 9999 nobody reads it.
fn instant(time: Time) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(time.as_nanos().into()).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(target: &str, strength: Strength) -> Arc<FleetBlock> {
        Arc::new(FleetBlock {
            node: NodeId([1; 32]),
            name: "web-1".into(),
            id: smartfw_core::BlockId(1),
            target: prefix::parse_target(target).unwrap(),
            class: smartfw_core::Class::PortScan,
            origin: "web-1".into(),
            confidence: 1.0,
            strength,
            since: Time::from_secs(1_700_000_000),
            expires: None,
            level: 1,
            reason: "why".into(),
        })
    }

    #[test]
    fn a_bouncer_bans_nothing_that_is_soft_wide_or_must_never_be_blocked() {
        let never = ["127.0.0.0/8", "10.0.0.7/32"].map(|text| text.parse().unwrap());
        let banned = |target: &str, strength| by_target(&[said(target, strength)], &never)[0].ban;
        assert!(banned("203.0.113.7", Strength::Hard) && banned("203.0.0.0/16", Strength::Hard));
        assert!(!banned("203.0.113.7", Strength::Soft));
        assert!(!banned("0.0.0.0/0", Strength::Hard) && !banned("2001:d00::/24", Strength::Hard));
        assert!(!banned("127.0.0.1", Strength::Hard) && !banned("10.0.0.0/24", Strength::Hard));
    }

    #[test]
    fn a_target_is_there_once_as_hard_and_as_long_as_anybody_says() {
        let all = [said("203.0.113.7", Strength::Soft), said("203.0.113.7", Strength::Hard)];
        let list = by_target(&all, &[]);
        assert_eq!((list.len(), list[0].strength.as_str(), list[0].ban), (1, "hard", true));
    }
}
