//! What rows are found by: terms, bytes that sort as what they stand for.

use std::ops::RangeInclusive;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use smartfw_core::{Class, fleet::NodeId};

use super::{FORESEEN, Opened, TermBlock, block::Block};
use crate::{Event, EventKind, HistoryError, Query};

/// A term and the rows that hold it: the first, then the distance from each to the next.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Posting {
    pub(super) term: Vec<u8>,
    pub(super) gaps: Vec<u32>,
}

/// The terms of an event.
pub(super) fn of(event: &Event) -> impl Iterator<Item = Vec<u8>> {
    let always = [node(&event.id), kind(event.kind)];
    always
        .into_iter()
        .chain(event.class.map(class))
        .chain(event.address.map(|net| address(net, net.addr(), net.prefix_len())))
}

/// The terms of which rows must hold one each, the rarest kind of term first.
pub(super) fn wanted(query: &Query) -> Vec<RangeInclusive<Vec<u8>>> {
    let single = |term: Vec<u8>| term.clone()..=term;
    let within =
        |net: IpNet| address(net, net.network(), net.prefix_len())..=address(net, net.broadcast(), u8::MAX);
    let terms = [
        query.address.map(within),
        query.class.map(class).map(single),
        query.node.as_ref().map(node).map(single),
        query.kind.map(kind).map(single),
    ];
    terms.into_iter().flatten().collect()
}

fn node(id: &NodeId) -> Vec<u8> {
    [b"n".as_slice(), &id.0].concat()
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
        for range in wanted(query) {
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
        let mut rows = Vec::new();
        for block in self.blocks_of(range) {
            *read += 1;
            let postings: Vec<Posting> = block.read(&self.path, &self.file)?;
            for posting in postings.iter().filter(|posting| range.contains(&posting.term)) {
                rows.extend(posting.rows());
            }
        }
        rows.sort_unstable();
        Ok(rows)
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
