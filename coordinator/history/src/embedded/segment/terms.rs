//! What rows are found by: terms, bytes that sort as what they stand for.

use std::{collections::BTreeMap, ops::RangeInclusive};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use smartfw_core::Class;

use super::{FORESEEN, Opened, TermBlock, block::Block};
use crate::{Cursor, Event, EventKind, HistoryError, Query};

/// A term and the rows that hold it: the first, then the distance from each to the next.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Posting {
    pub(super) term: Vec<u8>,
    pub(super) gaps: Vec<u32>,
}

/// Before a name and its length: behind all other terms.
const NAME: &[u8] = b"w";

/// Bytes of a node's id.
const ID: usize = 32;

/// The terms of an event.
fn of(event: &Event) -> impl Iterator<Item = Vec<u8>> {
    let always = [node(&event.id.0), kind(event.kind)];
    always
        .into_iter()
        .chain(event.class.map(class))
        .chain(event.address.map(|net| address(net, net.addr(), net.prefix_len())))
}

/// All terms of these events, each with the numbers of its rows.
pub(super) fn all(rows: &BTreeMap<Cursor, Event>) -> BTreeMap<Vec<u8>, Vec<u32>> {
    let mut terms = BTreeMap::<_, Vec<u32>>::new();
    for (number, event) in rows.values().enumerate() {
        of(event).for_each(|term| terms.entry(term).or_default().push(number as u32));
        terms.entry(bearer(event)).or_default();
    }
    terms
}

/// The terms of which rows must hold one each, the rarest kind of term first.
pub(super) fn wanted(query: &Query) -> Vec<RangeInclusive<Vec<u8>>> {
    let single = |term: Vec<u8>| term.clone()..=term;
    let within =
        |net: IpNet| address(net, net.network(), net.prefix_len())..=address(net, net.broadcast(), u8::MAX);
    let terms = [
        query.address.map(within),
        query.class.map(class).map(single),
        query.node.as_ref().map(|id| node(&id.0)).map(single),
        query.kind.map(kind).map(single),
    ];
    terms.into_iter().flatten().collect()
}

/// The term that says who is called so. It has no rows: those of the node are enough, of which few were ever called otherwise.
fn bearer(event: &Event) -> Vec<u8> {
    [named(&event.node).as_slice(), &event.id.0].concat()
}

/// The terms of all who are called so.
fn bearers(name: &str) -> RangeInclusive<Vec<u8>> {
    let of = |id: [u8; ID]| [named(name).as_slice(), &id].concat();
    of([0; ID])..=of([u8::MAX; ID])
}

fn named(name: &str) -> Vec<u8> {
    // No event has a longer one.
    let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
    [NAME, &[length], name.as_bytes()].concat()
}

fn node(id: &[u8]) -> Vec<u8> {
    [b"n".as_slice(), id].concat()
}

fn kind(kind: EventKind) -> Vec<u8> {
    [b"k", kind.as_str().as_bytes()].concat()
}

fn class(class: Class) -> Vec<u8> {
    [b"c", class.as_str().as_bytes()].concat()
}

/// What lies within a prefix has an address of it, and if that is the first one, no shorter a prefix: so it sorts
/// between the prefix and its last address.
fn address(net: IpNet, address: std::net::IpAddr, length: u8) -> Vec<u8> {
    let family: &[u8] = if matches!(net, IpNet::V4(_)) { b"4" } else { b"6" };
    let address = match address {
        std::net::IpAddr::V4(address) => address.octets().to_vec(),
        std::net::IpAddr::V6(address) => address.octets().to_vec(),
    };
    [family, &address, &[length]].concat()
}

impl Opened {
    /// Asks the system for what a search by these terms begins with.
    pub(in crate::embedded) fn foresee(&self, query: &Query) {
        for range in wanted(query).into_iter().chain(query.name.as_deref().map(bearers)) {
            self.blocks_of(&range).take(FORESEEN).for_each(|block| block.foresee(&self.file));
        }
    }

    /// The blocks in which terms of this range may be.
    fn blocks_of(&self, range: &RangeInclusive<Vec<u8>>) -> impl Iterator<Item = &Block> {
        let blocks = &self.directory.terms;
        let from = blocks.partition_point(|block| block.first <= *range.start()).saturating_sub(1);
        let within = blocks.iter().skip(from).take_while(|block| block.first <= *range.end());
        within.map(|TermBlock { first: _, block }| block)
    }

    /// The rows that hold a term of this range, in order. Adds the blocks that were read to `read`.
    pub(super) fn rows_of(
        &self,
        range: &RangeInclusive<Vec<u8>>,
        read: &mut usize,
    ) -> Result<Vec<u32>, HistoryError> {
        let postings = self.postings_of(range, read)?;
        let mut rows: Vec<u32> = postings.iter().flat_map(Posting::rows).collect();
        rows.sort_unstable();
        Ok(rows)
    }

    /// The rows of the nodes that were called so at any time, in order; `None` where nobody wrote down who was: a segment of
    /// before that was done.
    pub(super) fn rows_of_name(
        &self,
        name: &str,
        read: &mut usize,
    ) -> Result<Option<Vec<u32>>, HistoryError> {
        let bearers = self.postings_of(&bearers(name), read)?;
        if bearers.is_empty() && !self.has_names(read)? {
            return Ok(None);
        }
        let mut rows = Vec::new();
        for Posting { term, .. } in &bearers {
            let node = node(term.get(named(name).len()..).unwrap_or_default());
            rows.extend(self.rows_of(&(node.clone()..=node), read)?);
        }
        rows.sort_unstable();
        Ok(Some(rows))
    }

    fn has_names(&self, read: &mut usize) -> Result<bool, HistoryError> {
        let Some(TermBlock { first: _, block }) = self.directory.terms.last() else { return Ok(false) };
        *read += 1;
        let postings: Vec<Posting> = block.read(&self.path, &self.file)?;
        Ok(postings.last().is_some_and(|posting| posting.term.starts_with(NAME)))
    }

    /// Adds the blocks that were read to `read`.
    fn postings_of(
        &self,
        range: &RangeInclusive<Vec<u8>>,
        read: &mut usize,
    ) -> Result<Vec<Posting>, HistoryError> {
        let mut found = Vec::new();
        for block in self.blocks_of(range) {
            *read += 1;
            let postings: Vec<Posting> = block.read(&self.path, &self.file)?;
            found.extend(postings.into_iter().filter(|posting| range.contains(&posting.term)));
        }
        Ok(found)
    }
}

impl Posting {
    /// The posting of these rows, which are in order.
    pub(super) fn new(term: Vec<u8>, rows: &[u32]) -> Self {
        let before = std::iter::once(0).chain(rows.iter().copied());
        Self { term, gaps: rows.iter().zip(before).map(|(row, before)| row - before).collect() }
    }

    fn rows(&self) -> impl Iterator<Item = u32> {
        self.gaps.iter().scan(0u32, |row, gap| {
            *row = row.saturating_add(*gap);
            Some(*row)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, sync::Arc};

    use smartfw_core::{Time, fleet::NodeId};

    use super::{
        super::{Scan, Segment, write::write_rows},
        *,
    };
    use crate::Count;

    /// Three nodes, of which the first and the last are called so.
    fn rows() -> BTreeMap<Cursor, Event> {
        let row = |sequence: u64| {
            let (id, place) = (NodeId([(sequence % 3) as u8; 32]), Time::from_secs(sequence));
            let event = Event {
                node: if sequence % 3 == 1 { "web-10" } else { "web-1" }.to_owned(),
                id,
                epoch: 1,
                sequence,
                time: place,
                kind: EventKind::Alert,
                address: None,
                class: None,
                body: "{}".to_owned(),
            };
            (Cursor { place, node: id, count: Count { epoch: 1, sequence } }, event)
        };
        (0..3_000).map(row).collect()
    }

    #[test]
    fn who_was_called_so_is_found_also_where_nobody_wrote_it_down() {
        let (folder, rows) = (tempfile::tempdir().unwrap(), rows());
        for names in [true, false] {
            let path = folder.path().join(format!("names-{names}"));
            let mut terms = all(&rows);
            terms.retain(|term, _| names || !term.starts_with(NAME));
            write_rows(File::create(&path).unwrap(), &rows, terms).unwrap();
            let opened = Arc::new(Segment::find(&path).unwrap().open().unwrap().unwrap());
            for (name, count) in [("web-1", 2_000), ("web-10", 1_000), ("web", 0)] {
                let known = opened.rows_of_name(name, &mut 0).unwrap();
                assert_eq!(known.map(|rows| rows.len()), names.then_some(count), "{name}");
                let query = Query { name: Some(name.to_owned()), ..Query::default() };
                let (mut scan, mut found) = (Scan::begin(opened.clone(), &query, &mut 0).unwrap(), 0);
                while scan.go_on(&query).unwrap().is_some() {
                    while let Some(row) = scan.take() {
                        assert_eq!(row.event.node, name);
                        found += 1;
                    }
                }
                assert_eq!(found, count, "{name}");
            }
        }
    }
}
