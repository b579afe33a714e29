//! What goes first when everything takes too much: the oldest of all streams, counted by what each stream's entries take.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use redis::cmd;
use smartfw_core::{Time, fleet::NodeId};

use super::{Id, Redis, damaged_entry};
use crate::HistoryError;

/// Entries that are read of a stream at once.
const CHUNK: usize = 128;

/// Entries that go before it is measured again, at least and at most. Redis gives memory back only when all entries of a
/// block are gone, of which its streams have 4,096 bytes.
const PASSED: (usize, usize) = (16, 100_000);

/// An entry as Redis answers it.
type Entry = (String, Vec<Vec<u8>>);

/// Streams by where their oldest entry stands that was not passed.
pub(super) struct Oldest<'a> {
    redis: &'a Redis,
    streams: BTreeMap<(Time, NodeId), Stream>,
}

struct Stream {
    /// Places of entries that were read and not passed, the oldest first.
    places: VecDeque<Time>,
    /// What was not read begins here.
    from: String,
    /// Bytes that one of its entries takes.
    bytes: f64,
}

impl<'a> Oldest<'a> {
    /// Looks where these streams begin and how much their entries take.
    pub(super) async fn new(
        redis: &'a Redis,
        nodes: impl Iterator<Item = NodeId>,
    ) -> Result<Self, HistoryError> {
        let mut oldest = Self { redis, streams: BTreeMap::new() };
        for node in nodes {
            let key = redis.events_key(node);
            let entries: u64 = redis.connection.ask(cmd("XLEN").arg(&key)).await?;
            let bytes = redis.connection.memory(&key).await? as f64 / entries.max(1) as f64;
            oldest.put_back(node, Stream { places: VecDeque::new(), from: "-".to_owned(), bytes }).await?;
        }
        Ok(oldest)
    }

    /// The place before which there are about so many bytes; `None` when there is nothing.
    pub(super) async fn floor(mut self, bytes: u64) -> Result<Option<Time>, HistoryError> {
        let (mut floor, mut freed, mut passed) = (None, 0.0, 0);
        while passed < PASSED.0 || freed < bytes as f64 && passed < PASSED.1 {
            let Some(((place, node), mut stream)) = self.streams.pop_first() else { break };
            floor = Some(place.after(Duration::from_nanos(1)));
            freed += stream.bytes;
            passed += 1;
            stream.places.pop_front();
            self.put_back(node, stream).await?;
        }
        Ok(floor)
    }

    /// Reads on when everything that was read was passed; a stream that was passed wholly is put back no more.
    async fn put_back(&mut self, node: NodeId, mut stream: Stream) -> Result<(), HistoryError> {
        if stream.places.is_empty() {
            let key = self.redis.events_key(node);
            let mut range = cmd("XRANGE");
            range.arg(&key).arg(&stream.from).arg("+").arg("COUNT").arg(CHUNK);
            for (id, _) in self.redis.connection.ask::<Vec<Entry>>(&range).await? {
                let place = Id::read(&id).ok_or_else(|| damaged_entry(&key, &id))?.place;
                stream.places.push_back(place);
                stream.from = format!("({id}");
            }
        }
        if let Some(place) = stream.places.front() {
            self.streams.insert((*place, node), stream);
        }
        Ok(())
    }
}
