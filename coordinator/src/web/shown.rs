//! The fleet as the API shows it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, OnceLock, PoisonError, RwLock},
    time::{Duration, Instant},
};

use serde::Deserialize;
use serde_json::{json, value::RawValue};
use smartfw_api::{
    Allowed, Api, Block, Blocks, Concern, Event, EventQuery, Events, Health, Level, Node, Order, Ordered,
    Refusal, Refused, Who,
};
use smartfw_core::{EventKind, HealthLevel, IpNet, Time, fleet::NodeId};
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
    view::{FleetBlock, Link, News, NodeRow},
};

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
    blocks: RwLock<(u64, Arc<Vec<Arc<Block>>>)>,
    live: broadcast::Sender<Arc<Event>>,
    orders: Orders,
    api: OnceLock<Api>,
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
            api: OnceLock::new(),
        }
    }

    /// Whose audit log it is asked about.
    pub(super) fn watch_audit(&self, api: Api) {
        let _ = self.api.set(api);
    }

    /// Passes on what is new, and makes the list of blocks when it has changed; for ever.
    pub(super) async fn follow(self: Arc<Self>) {
        let mut news = self.fleet.subscribe();
        let mut turn = interval(ANEW);
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = turn.tick() => self.make(),
                told = news.recv() => match told {
                    Ok(News::Event(event)) => self.tell(&event),
                    Ok(News::Blocked(_) | News::Lifted(_) | News::Node(_)) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                },
            }
        }
    }

    fn tell(&self, event: &Kept) {
        if let Some(event) = shown(event) {
            let _ = self.live.send(Arc::new(event)); // nobody may be listening
        }
    }

    /// Makes the list anew where it has changed.
    fn make(&self) {
        if self.blocks.read().unwrap_or_else(PoisonError::into_inner).0 == self.fleet.revision() {
            return;
        }
        let (revision, blocks) = self.fleet.every_block();
        let made = (revision, Arc::new(by_target(&blocks)));
        *self.blocks.write().unwrap_or_else(PoisonError::into_inner) = made;
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
        let mut health: Vec<Concern> = self.fleet.health().into_iter().map(concern).collect();
        let lost = self.api.get().map_or(0, Api::audit_lost);
        if lost > 0 {
            health.push(Concern {
                level: Level::Error,
                what: format!("{lost} entries of the audit log are lost: the disk refused them"),
                remedy: "make room on the disk of the log folder".into(),
            });
        }
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
        let (version, list) = self.blocks.read().unwrap_or_else(PoisonError::into_inner).clone();
        Blocks { version, complete: self.fleet.is_complete(), list }
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
            "blocks": self.blocks.read().unwrap_or_else(PoisonError::into_inner).1.len(),
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

/// Each target once: who said it first, and who says the same.
fn by_target(blocks: &[Arc<FleetBlock>]) -> Vec<Arc<Block>> {
    let same = |a: &Arc<FleetBlock>, b: &Arc<FleetBlock>| a.target == b.target;
    blocks.chunk_by(same).filter_map(one).map(Arc::new).collect()
}

fn one(said: &[Arc<FleetBlock>]) -> Option<Block> {
    let first = said.iter().min_by_key(|block| block.since)?;
    let nodes: BTreeSet<String> = said.iter().map(|block| block.name.to_string()).collect();
    let confirmed = nodes.iter().filter(|name| **name != *first.origin).cloned().collect();
    let longest = if said.iter().any(|block| block.expires.is_none()) {
        None
    } else {
        said.iter().filter_map(|block| block.expires).max()
    };
    Some(Block {
        target: first.target,
        class: first.class.to_string(),
        origin: first.origin.to_string(),
        confirmed_by: confirmed,
        enforced_on: nodes.into_iter().collect(),
        reason: first.reason.to_string(),
        since: instant(first.since),
        expires: longest.map(instant),
        propagation_ms: BTreeMap::new(),
    })
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
