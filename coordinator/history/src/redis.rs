//! The history in Redis, which several coordinators may share. Each node's events are a stream; an entry's id is the
//! event's place in nanoseconds and a number among those at one place, so that ids rise as places do, a range of time is
//! a range of ids, and age trims by the lowest id. Whatever else is asked for is looked for among the entries.

mod connection;
mod oldest;
mod search;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use ::redis::{Script, cmd};
use smartfw_core::{Time, fleet::NodeId};

use crate::{
    Appended, Count, Event, History, HistoryError, MOST_NODES, Page, Placed, Query, Size,
    age::Ages,
    history::{checked, sorted},
    place::{Last, place},
};
use connection::Connection;
use oldest::Oldest;
use search::Search;

/// What all keys begin with; the number is that of their form, and what is under another is not looked at. The cluster's
/// name follows.
const KEYS: &str = "smartfw:2";

/// How often an append is tried while other coordinators append the same node's events.
const ATTEMPTS: usize = 100;

/// How often what is too large is measured and trimmed; what is too large then still goes with the next call.
const TRIMS: usize = 256;

/// Adds entries if the node's last is still what they were counted from: 1 when it is, 0 when somebody else was first,
/// -1 when it would be one node too many. Redis runs it as a whole or not at all.
const APPEND: &str = r"
local known = redis.call('HGET', KEYS[2], ARGV[1]) or ''
if known ~= ARGV[2] then return 0 end
if known == '' and redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[4]) then return -1 end
for i = 5, #ARGV, 3 do
  redis.call('XADD', KEYS[1], ARGV[i], 'event', ARGV[i + 1])
  redis.call('SADD', KEYS[3], ARGV[1] .. ' ' .. ARGV[i + 2])
end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
return 1";

/// The history of one cluster in one Redis.
#[derive(Clone, Debug)]
pub struct Redis {
    connection: Connection,
    /// What the cluster's keys begin with.
    ours: String,
}

impl Redis {
    /// The history of this cluster in the Redis at this address (`redis://…`), which need not be there yet. Others may have
    /// theirs in the same.
    ///
    /// # Errors
    /// When the address makes no sense.
    pub fn open(url: &str, cluster: &str) -> Result<Self, HistoryError> {
        Ok(Self { connection: Connection::open(url)?, ours: format!("{KEYS}:{cluster}") })
    }

    /// Where each node's last is: a hash.
    fn lasts_key(&self) -> String {
        format!("{}:lasts", self.ours)
    }

    /// What each node was called, as it is written among the lasts, a space, and the name: a set.
    fn names_key(&self) -> String {
        format!("{}:names", self.ours)
    }

    /// The time of the last call of `retain`, as far as its clock was believed: nanoseconds.
    fn believed_key(&self) -> String {
        format!("{}:believed", self.ours)
    }

    /// Where a node's events are: a stream.
    fn events_key(&self, node: NodeId) -> String {
        format!("{}:events:{node:#}", self.ours)
    }

    async fn append_of(&self, now: Time, node: NodeId, events: Vec<Event>) -> Result<usize, HistoryError> {
        for _ in 0..ATTEMPTS {
            let known = self.known(node).await?;
            let tail = known.as_deref().map(|text| self.tail(node, text)).transpose()?;
            let rows = place(tail.map(|tail| tail.last), now, events.clone());
            if rows.is_empty() {
                return Ok(0);
            }
            match self.add(node, known.unwrap_or_default(), tail, &rows).await? {
                1 => return Ok(rows.len()),
                0 => (),
                _ => return Err(HistoryError::TooManyNodes(node)),
            }
        }
        Err(HistoryError::Redis("others append the same node's events all the time".to_owned()))
    }

    /// What is written of a node's last.
    async fn known(&self, node: NodeId) -> Result<Option<String>, HistoryError> {
        self.connection.ask(cmd("HGET").arg(self.lasts_key()).arg(name(node))).await
    }

    fn tail(&self, node: NodeId, text: &str) -> Result<Tail, HistoryError> {
        Tail::read(text).ok_or_else(|| self.damaged_last(&name(node), text))
    }

    fn damaged_last(&self, name: &str, text: &str) -> HistoryError {
        let (keys, node) = (self.ours.clone(), name.to_owned());
        HistoryError::DamagedLast { keys, node, why: format!("{text:?} makes no sense") }
    }

    async fn add(
        &self,
        node: NodeId,
        known: String,
        mut tail: Option<Tail>,
        rows: &[Placed],
    ) -> Result<i64, HistoryError> {
        let mut entries = Vec::with_capacity(rows.len());
        for row in rows {
            let next = Tail::after(tail, row);
            let event = postcard::to_allocvec(&row.event).unwrap_or_default();
            entries.push((next.id(), event, row.event.node.as_str()));
            tail = Some(next);
        }
        let script = Script::new(APPEND);
        let mut call = script.key(self.events_key(node));
        let last = tail.as_ref().map(Tail::text).unwrap_or_default();
        call.key(self.lasts_key()).key(self.names_key()).arg(name(node)).arg(known).arg(last).arg(MOST_NODES);
        entries.iter().for_each(|(id, event, name)| {
            call.arg(id).arg(event.as_slice()).arg(name);
        });
        self.connection.call(&call).await
    }

    /// Whether there is room for those of these nodes of which nothing is kept. The script sees to it too, but node by
    /// node, and whoever is refused must not be kept in part.
    async fn check_room(&self, nodes: impl ExactSizeIterator<Item = &NodeId>) -> Result<(), HistoryError> {
        let lasts = self.lasts_key();
        let room = MOST_NODES.saturating_sub(self.connection.ask(cmd("HLEN").arg(&lasts)).await?);
        if nodes.len() <= room {
            return Ok(());
        }
        let nodes: Vec<NodeId> = nodes.copied().collect();
        let names: Vec<String> = nodes.iter().map(|node| name(*node)).collect();
        let known: Vec<Option<String>> = self.connection.ask(cmd("HMGET").arg(lasts).arg(names)).await?;
        let mut new = nodes.iter().zip(known).filter(|(_, known)| known.is_none());
        new.nth(room).map_or(Ok(()), |(node, _)| Err(HistoryError::TooManyNodes(*node)))
    }

    /// Each node's last.
    async fn lasts(&self) -> Result<BTreeMap<NodeId, Last>, HistoryError> {
        let lasts: BTreeMap<String, String> =
            self.connection.ask(cmd("HGETALL").arg(self.lasts_key())).await?;
        let read = |(name, text): (String, String)| {
            let node = name.parse().map_err(|_| self.damaged_last(&name, &text))?;
            Ok((node, self.tail(node, &text)?.last))
        };
        lasts.into_iter().map(read).collect()
    }

    /// Nodes of which it is written down what they were called, and never so.
    async fn called_otherwise(&self, wanted: &str) -> Result<BTreeSet<NodeId>, HistoryError> {
        let names: BTreeSet<String> = self.connection.ask(cmd("SMEMBERS").arg(self.names_key())).await?;
        let known = names.iter().filter_map(|entry| entry.split_once(' '));
        let known = known.filter_map(|(node, name)| Some((node.parse::<NodeId>().ok()?, name)));
        let (so, otherwise): (Vec<_>, Vec<_>) = known.partition(|(_, name)| *name == wanted);
        let nodes =
            |called: Vec<(NodeId, &str)>| called.into_iter().map(|(node, _)| node).collect::<BTreeSet<_>>();
        Ok(&nodes(otherwise) - &nodes(so))
    }

    /// Lets go what is placed before `floor`.
    async fn trim(&self, nodes: impl Iterator<Item = NodeId>, floor: Time) -> Result<(), HistoryError> {
        for node in nodes {
            let mut trim = cmd("XTRIM");
            trim.arg(self.events_key(node)).arg("MINID").arg(floor.as_nanos());
            self.connection.ask::<u64>(&trim).await?;
        }
        Ok(())
    }
}

/// Settings that matter, what they should be, and why.
const SETTINGS: [(&str, &str, &str); 3] = [
    ("appendonly", "yes", "what was acknowledged is lost when redis or its machine stops"),
    ("appendfsync", "always", "what was acknowledged in the last second is lost when its machine stops"),
    ("maxmemory-policy", "noeviction", "events may vanish when its memory is full"),
];

impl History for Redis {
    async fn append(&self, now: Time, events: Vec<Event>) -> Result<Appended, HistoryError> {
        let (mut kept, given) = (0, events.len());
        let nodes = sorted(events)?;
        self.check_room(nodes.keys()).await?;
        for (node, events) in nodes {
            kept += self.append_of(now, node, events).await?;
        }
        Ok(Appended { kept, known: given - kept })
    }

    async fn query(&self, query: Query) -> Result<Page, HistoryError> {
        let query = checked(query)?;
        let mut lasts = self.lasts().await?;
        lasts.retain(|node, _| query.node.is_none_or(|wanted| wanted == *node));
        if let Some(name) = &query.name {
            let others = self.called_otherwise(name).await?;
            lasts.retain(|node, _| !others.contains(node));
        }
        Search::new(&query, self, &lasts).await?.page().await
    }

    async fn retain(&self, now: Time, age: Duration, bytes: u64) -> Result<(), HistoryError> {
        let lasts = self.lasts().await?;
        let newest = lasts.values().map(|last| last.place).max().unwrap_or_default();
        let key = self.believed_key();
        let believed = self.connection.ask::<Option<String>>(cmd("GET").arg(&key)).await?;
        let believed = believed.and_then(|text| text.parse().ok()).map(Time::from_nanos).unwrap_or_default();
        let ages = Ages { believed, floor: Time::ZERO }.after(now, age, newest);
        self.trim(lasts.keys().copied(), ages.floor).await?;
        self.connection.ask::<()>(cmd("SET").arg(key).arg(ages.believed.as_nanos())).await?;
        for _ in 0..TRIMS {
            let size = self.size().await?.bytes;
            if size <= bytes {
                break;
            }
            let oldest = Oldest::new(self, lasts.keys().copied()).await?;
            let Some(floor) = oldest.floor(size - bytes).await? else { break };
            self.trim(lasts.keys().copied(), floor).await?;
        }
        Ok(())
    }

    async fn last(&self, node: NodeId) -> Result<Option<Count>, HistoryError> {
        let last = self.known(node).await?.map(|text| self.tail(node, &text)).transpose()?;
        Ok(last.map(|tail| tail.last.count))
    }

    async fn size(&self) -> Result<Size, HistoryError> {
        let bytes = self.connection.memory(&self.lasts_key()).await?
            + self.connection.memory(&self.names_key()).await?;
        let mut size = Size { events: 0, bytes };
        for node in self.lasts().await?.into_keys() {
            let key = self.events_key(node);
            size.events += self.connection.ask::<u64>(cmd("XLEN").arg(&key)).await?;
            size.bytes += self.connection.memory(&key).await?;
        }
        Ok(size)
    }

    async fn warnings(&self) -> Result<Vec<String>, HistoryError> {
        let mut warnings = Vec::new();
        for (setting, good, why) in SETTINGS {
            let question = cmd("CONFIG").arg("GET").arg(setting).take();
            let settings: BTreeMap<String, String> = self.connection.ask(&question).await?;
            match settings.get(setting) {
                Some(value) if value == good => (),
                Some(value) => warnings.push(format!("redis has {setting} {value}: {why}; set it to {good}")),
                None => {
                    warnings.push(format!("redis does not tell its {setting}; if it is not {good}, {why}"))
                }
            }
        }
        Ok(warnings)
    }
}

/// An entry's id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Id {
    place: Time,
    /// The number among those at this place, from 1: Redis refuses 0-0.
    among: u64,
}

/// A node's last, and its entry's number.
#[derive(Clone, Copy, Debug)]
struct Tail {
    last: Last,
    among: u64,
}

impl Tail {
    /// The tail after this event.
    fn after(tail: Option<Self>, row: &Placed) -> Self {
        let among = tail.filter(|tail| tail.last.place == row.place).map_or(1, |tail| tail.among + 1);
        Self { last: Last::of(row), among }
    }

    fn id(&self) -> String {
        Id { place: self.last.place, among: self.among }.text()
    }

    fn text(&self) -> String {
        let Self { last: Last { count, place }, among } = self;
        format!("{} {} {} {among}", count.epoch, count.sequence, place.as_nanos())
    }

    fn read(text: &str) -> Option<Self> {
        let mut numbers = text.split(' ').map(|number| number.parse::<u64>().ok());
        let mut next = || numbers.next().flatten();
        let count = Count { epoch: next()?, sequence: next()? };
        Some(Self { last: Last { count, place: Time::from_nanos(next()?) }, among: next()? })
    }
}

impl Id {
    fn text(self) -> String {
        format!("{}-{}", self.place.as_nanos(), self.among)
    }

    fn read(text: &str) -> Option<Self> {
        let (place, among) = text.split_once('-')?;
        Some(Self { place: Time::from_nanos(place.parse().ok()?), among: among.parse().ok()? })
    }
}

fn name(node: NodeId) -> String {
    format!("{node:#}")
}

fn damaged_entry(key: &str, id: &str) -> HistoryError {
    HistoryError::DamagedEntry { key: key.to_owned(), id: id.to_owned() }
}
