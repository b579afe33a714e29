//! A search through the nodes' streams, the newest first: always that stream is read whose events come next.

use std::collections::BTreeMap;

use redis::cmd;
use smartfw_core::{Time, fleet::NodeId};

use super::{Id, Redis, damaged_entry};
use crate::{Count, Cursor, HistoryError, Page, Placed, Query, place::Last};

/// Entries that are looked at for one page at most; what takes more goes on with the next page. More than there may be
/// streams, so that of each something is read.
const MOST_ENTRIES: usize = 20_000;

/// Entries that are read of a stream at first, unless there are very many streams, and at most: each time twice as many.
const CHUNK: (usize, usize) = (32, 1_024);

/// An entry as Redis answers it: its id, then a name and a value.
type Entry = (String, Vec<Vec<u8>>);

/// Streams by where their next event stands, or is at latest.
pub(super) struct Search<'a> {
    query: &'a Query,
    redis: &'a Redis,
    streams: BTreeMap<Cursor, Stream>,
    read: usize,
}

struct Stream {
    /// What was not read ends here.
    end: String,
    chunk: usize,
    /// Events that are wanted, the newest last.
    found: Vec<Placed>,
    all_read: bool,
}

impl<'a> Search<'a> {
    /// Begins in each stream with the newest entry that stands before what the query says.
    pub(super) async fn new(
        query: &'a Query,
        redis: &'a Redis,
        lasts: &BTreeMap<NodeId, Last>,
    ) -> Result<Self, HistoryError> {
        let chunk = (MOST_ENTRIES / lasts.len().max(1)).clamp(1, CHUNK.0);
        let mut search = Self { query, redis, streams: BTreeMap::new(), read: 0 };
        for (node, last) in lasts {
            if let Some((at, end)) = search.begin(*node, last.place).await? {
                search.streams.insert(at, Stream { end, chunk, found: Vec::new(), all_read: false });
            }
        }
        Ok(search)
    }

    /// Reads until the page is full, everything was read, or too much was, but never so little that the next page would
    /// begin where this one did.
    pub(super) async fn page(mut self) -> Result<Page, HistoryError> {
        let mut page = Page::default();
        while let Some((at, mut stream)) = self.streams.pop_last() {
            if page.events.len() == self.query.rows() {
                page.next = page.events.last().map(Placed::cursor);
                return Ok(page);
            }
            if let Some(row) = stream.found.pop() {
                page.events.push(row);
                self.put_back(at, stream);
            } else if self.read >= MOST_ENTRIES && at < self.query.before() {
                page.next = Some(at);
                return Ok(page);
            } else {
                let at = self.read(at, &mut stream).await?;
                self.put_back(at, stream);
            }
        }
        Ok(page)
    }

    /// Where a stream's wanted events are at latest, and where that is in the stream. Of those at the cursor's place only
    /// the nodes before its node have any, and its node some.
    async fn begin(&self, node: NodeId, last: Time) -> Result<Option<(Cursor, String)>, HistoryError> {
        let (before, count) = (self.query.before(), Count { epoch: u64::MAX, sequence: u64::MAX });
        let place = self.query.to.min(before.place).min(last);
        let at = Cursor { place, node, count };
        if at < before {
            return Ok(Some((at, place.as_nanos().to_string())));
        }
        if node == before.node {
            return Ok(Some((before, self.end_at(before).await?)));
        }
        let earlier = place.as_nanos().checked_sub(1);
        Ok(earlier.map(|nanos| (Cursor { place: Time::from_nanos(nanos), node, count }, nanos.to_string())))
    }

    /// Where that which stands before this position ends in its node's stream. Entries at one place are numbered in the
    /// order of their counts, and a node whose clock stands still has any number of them: so the number is looked for by
    /// halves.
    async fn end_at(&self, before: Cursor) -> Result<String, HistoryError> {
        let place = before.place.as_nanos();
        let (mut low, mut high) =
            match self.first("XREVRANGE", before.node, place.to_string(), format!("{place}-0")).await? {
                Some((among, count)) if count >= before.count => (0, among),
                _ => return Ok(place.to_string()),
            };
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            match self.first("XRANGE", before.node, format!("{place}-{middle}"), place.to_string()).await? {
                Some((among, count)) if count < before.count => low = among,
                _ => high = middle,
            }
        }
        Ok(format!("({place}-{high}"))
    }

    /// The first entry of a range: its number at its place and its count.
    async fn first(
        &self,
        command: &str,
        node: NodeId,
        from: String,
        to: String,
    ) -> Result<Option<(u64, Count)>, HistoryError> {
        let key = self.redis.events_key(node);
        let mut range = cmd(command);
        range.arg(&key).arg(from).arg(to).arg("COUNT").arg(1);
        let entries: Vec<Entry> = self.redis.connection.ask(&range).await?;
        let read = |(id, fields): &Entry| {
            let known = Id::read(id).zip(decode(id, fields));
            known.map(|(id, row)| (id.among, row.event.count())).ok_or_else(|| damaged_entry(&key, id))
        };
        entries.first().map(read).transpose()
    }

    fn put_back(&mut self, at: Cursor, stream: Stream) {
        match stream.found.last() {
            Some(row) => self.streams.insert(row.cursor(), stream),
            None if stream.all_read => None,
            None => self.streams.insert(at, stream),
        };
    }

    /// Reads what comes next of a stream. Answers where everything that was not read lies before.
    async fn read(&mut self, at: Cursor, stream: &mut Stream) -> Result<Cursor, HistoryError> {
        let (key, from) = (self.redis.events_key(at.node), self.query.from.as_nanos());
        let mut range = cmd("XREVRANGE");
        range.arg(&key).arg(&stream.end).arg(from).arg("COUNT").arg(stream.chunk);
        let entries: Vec<Entry> = self.redis.connection.ask(&range).await?;
        self.read += entries.len();
        stream.all_read = entries.len() < stream.chunk;
        stream.chunk = CHUNK.1.min(stream.chunk * 2);
        let mut before = at;
        for (id, fields) in entries {
            stream.end = format!("({id}");
            let row = decode(&id, &fields).ok_or_else(|| damaged_entry(&key, &id))?;
            before = row.cursor();
            if before < self.query.before() && self.query.wants(&row.event) {
                stream.found.push(row);
            }
        }
        stream.found.reverse();
        Ok(before)
    }
}

fn decode(id: &str, fields: &[Vec<u8>]) -> Option<Placed> {
    let Id { place, .. } = Id::read(id)?;
    let [_, event] = fields else { return None };
    Some(Placed { place, event: postcard::from_bytes(event).ok()? })
}
