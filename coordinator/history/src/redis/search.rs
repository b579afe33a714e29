//! A search through the nodes' streams, the newest first: always that stream is read whose events come next.

use std::collections::BTreeMap;

use redis::cmd;
use smartfw_core::fleet::NodeId;

use super::{Connection, Id, damaged, key};
use crate::{Count, Cursor, HistoryError, Page, Placed, Query, place::Last};

/// Entries that are looked at for one page at most; what takes more goes on with the next page.
const MOST_ENTRIES: usize = 20_000;

/// Entries that are read of a stream at first, and at most: each time twice as many.
const CHUNK: (usize, usize) = (32, 1_024);

/// An entry as Redis answers it: its id, then a name and a value.
type Entry = (String, Vec<Vec<u8>>);

/// Streams by where their next event stands, or is at latest.
pub(super) struct Search<'a> {
    query: &'a Query,
    connection: &'a Connection,
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
    pub(super) fn new(query: &'a Query, connection: &'a Connection, lasts: &BTreeMap<NodeId, Last>) -> Self {
        let latest = query.to.min(query.before().place);
        let stream = |(node, last): (&NodeId, &Last)| {
            let count = Count { epoch: u64::MAX, sequence: u64::MAX };
            let at = Cursor { place: latest.min(last.place), node: *node, count };
            let end = at.place.as_nanos().to_string();
            (at, Stream { end, chunk: CHUNK.0, found: Vec::new(), all_read: false })
        };
        let streams = lasts.iter().map(stream).collect();
        Self { query, connection, streams, read: 0 }
    }

    /// Reads until the page is full, everything was read, or too much was.
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
            } else if self.read >= MOST_ENTRIES {
                page.next = Some(at.min(self.query.before()));
                return Ok(page);
            } else {
                let at = self.read(at, &mut stream).await?;
                self.put_back(at, stream);
            }
        }
        Ok(page)
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
        let (key, from) = (key(at.node), self.query.from.as_nanos());
        let mut range = cmd("XREVRANGE");
        range.arg(&key).arg(&stream.end).arg(from).arg("COUNT").arg(stream.chunk);
        let entries: Vec<Entry> = self.connection.ask(&range).await?;
        self.read += entries.len();
        stream.all_read = entries.len() < stream.chunk;
        stream.chunk = CHUNK.1.min(stream.chunk * 2);
        let mut before = at;
        for (id, fields) in entries {
            stream.end = format!("({id}");
            let row = decode(&id, &fields).ok_or_else(|| damaged(&key, &id))?;
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
