//! What people allow, as nodes tell it.

use std::{collections::BTreeMap, sync::Arc};

use smartfw_core::{IpNet, Time, fleet::NodeId, order::Allowed};
use smartfw_proto::convert::Allowance;

use super::{Link, NodeRow};

/// Bytes of all lists, and of one node's: one that lies shall not crowd out the others.
const ROOM: (usize, usize) = (64 << 20, 8 << 20);
/// Bytes of an entry beside its texts, about.
const AROUND: usize = 128;

/// A list does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unlisted {
    /// There is too much in all.
    #[error("nodes allow more than fits into {} MiB, and no more is shown", ROOM.0 >> 20)]
    Full,
    /// There is too much of one node.
    #[error("a node allows more than fits into {} MiB, and no more of it is shown", ROOM.1 >> 20)]
    OfOne,
}

/// What is allowed, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetAllowed {
    /// What, since when, until when, and why.
    pub allowed: Allowed,
    /// The operator's order for the fleet; `None`: it is single nodes'.
    pub order: Option<u128>,
    /// The site that alone the order concerns.
    pub site: Option<String>,
    /// The nodes that tell it.
    pub nodes: Vec<Arc<str>>,
}

/// The lists.
#[derive(Debug)]
pub(super) struct Allows {
    room: (usize, usize),
    told: BTreeMap<NodeId, Told>,
    bytes: usize,
}

/// What one node told.
#[derive(Debug, Default)]
struct Told {
    /// Once it was complete.
    whole: Option<Vec<Allowance>>,
    /// The part that has come, on the stream with this number.
    coming: Vec<Allowance>,
    stream: u64,
    bytes: usize,
}

impl Default for Allows {
    fn default() -> Self {
        Self::bounded(ROOM)
    }
}

impl Allows {
    pub(super) const fn bounded(room: (usize, usize)) -> Self {
        Self { room, told: BTreeMap::new(), bytes: 0 }
    }

    /// A part of a node's list has come; what does not fit is left out.
    pub(super) fn put(&mut self, id: NodeId, stream: u64, entries: Vec<Allowance>) -> Result<(), Unlisted> {
        let told = self.told.entry(id).or_default();
        if told.stream != stream {
            told.stream = stream;
            told.coming.clear();
        }
        self.count(&id);
        for entry in entries {
            let (all, of_one) = (self.bytes + weight(&entry), self.told[&id].bytes + weight(&entry));
            if of_one > self.room.1 {
                return Err(Unlisted::OfOne);
            }
            if all > self.room.0 {
                return Err(Unlisted::Full);
            }
            self.bytes = all;
            if let Some(told) = self.told.get_mut(&id) {
                told.bytes = of_one;
                told.coming.push(entry);
            }
        }
        Ok(())
    }

    /// The last part has come.
    pub(super) fn complete(&mut self, id: &NodeId) {
        if let Some(told) = self.told.get_mut(id) {
            told.whole = Some(std::mem::take(&mut told.coming));
            self.count(id);
        }
    }

    /// Nothing of a node counts any more.
    pub(super) fn forget(&mut self, id: &NodeId) {
        self.bytes -= self.told.remove(id).map_or(0, |told| told.bytes);
    }

    /// What is allowed at `now`, in order of targets. An operator's order is what more than half of the nodes tell that
    /// report and that it concerns: no single one invents or hides one. On a node's own list its word is enough.
    pub(super) fn all<'a>(
        &'a self,
        now: Time,
        row: impl Fn(&NodeId) -> Option<&'a NodeRow>,
    ) -> Vec<FleetAllowed> {
        let mut found: BTreeMap<Key<'_>, FleetAllowed> = BTreeMap::new();
        let mut sites: BTreeMap<&str, usize> = BTreeMap::new();
        for (row, whole) in self.told.iter().filter_map(|(id, told)| row(id).zip(told.whole.as_ref())) {
            let reports = matches!(row.link, Link::Connected(_));
            *sites.entry(&row.site).or_default() += usize::from(reports);
            let holds = |entry: &&Allowance| entry.allowed.expires.is_none_or(|at| at > now);
            // What an order for another site allows is not this node's to tell: nobody there would contradict.
            let concerned = |entry: &&Allowance| entry.site.as_deref().is_none_or(|site| *site == *row.site);
            let counts = |entry: &&Allowance| entry.order.is_none() || (reports && concerned(entry));
            for entry in whole.iter().filter(holds).filter(counts) {
                found.entry(key(entry)).or_insert_with(|| FleetAllowed::new(entry)).say(&row.name, entry);
            }
        }
        let nodes_of = |site: Option<&str>| match site {
            Some(site) => sites.get(site).copied().unwrap_or_default(),
            None => sites.values().sum(),
        };
        let most = |known: &FleetAllowed| known.nodes.len() * 2 > nodes_of(known.site.as_deref());
        found.into_values().filter(|known| known.order.is_none() || most(known)).collect()
    }

    /// Counts anew what a node's lists take.
    fn count(&mut self, id: &NodeId) {
        let Some(told) = self.told.get_mut(id) else { return };
        let all = told.whole.iter().flatten().chain(&told.coming);
        let bytes = all.map(weight).sum();
        self.bytes = self.bytes - told.bytes + bytes;
        told.bytes = bytes;
    }
}

impl FleetAllowed {
    fn new(entry: &Allowance) -> Self {
        let Allowance { allowed, order, site } = entry.clone();
        Self { allowed, order, site, nodes: Vec::new() }
    }

    /// One more node says so. Of several spans the longest counts: what ends it has to outlive it.
    fn say(&mut self, node: &Arc<str>, Allowance { allowed, .. }: &Allowance) {
        if self.nodes.last() == Some(node) {
            return;
        }
        self.nodes.push(node.clone());
        self.allowed.since = self.allowed.since.min(allowed.since);
        self.allowed.expires = self.allowed.expires.zip(allowed.expires).map(|(one, other)| one.max(other));
    }
}

/// Entries with the same are one: for single nodes also what they say of it.
type Key<'a> = (IpNet, Option<u128>, Option<&'a str>, &'a str);

fn key(entry: &Allowance) -> Key<'_> {
    let comment = if entry.order.is_some() { "" } else { entry.allowed.comment.as_str() };
    (entry.allowed.target, entry.order, entry.site.as_deref(), comment)
}

fn weight(entry: &Allowance) -> usize {
    AROUND + entry.allowed.comment.len() + entry.site.as_ref().map_or(0, String::len)
}

#[cfg(test)]
mod tests;
