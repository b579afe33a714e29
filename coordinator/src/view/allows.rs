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

/// Whose lists count for what, and which they are: of the same comes the same list of what is allowed, until then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basis {
    tellers: Tellers,
    revision: u64,
    until: Time,
}

/// Who tells lists.
pub(super) type Tellers = BTreeMap<NodeId, Teller>;

/// What counts of who tells a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Teller {
    name: Arc<str>,
    site: Arc<str>,
    reports: bool,
}

/// The lists.
#[derive(Debug)]
pub(super) struct Allows {
    room: (usize, usize),
    told: BTreeMap<NodeId, Told>,
    bytes: usize,
    /// Higher whenever a whole list is another.
    revision: u64,
}

/// What one node told.
#[derive(Debug, Default)]
struct Told {
    /// Once it was complete.
    whole: Option<Arc<Vec<Allowance>>>,
    /// The part that has come, on the stream with this number.
    coming: Vec<Allowance>,
    stream: u64,
    /// Bytes of the one and the other.
    bytes: (usize, usize),
}

/// Whole lists, as they were when they were copied: nobody who tells one waits while they are looked through.
#[derive(Debug)]
pub(super) struct Lists {
    whole: Vec<(NodeId, Arc<Vec<Allowance>>)>,
    revision: u64,
}

impl Default for Allows {
    fn default() -> Self {
        Self::bounded(ROOM)
    }
}

impl Allows {
    pub(super) const fn bounded(room: (usize, usize)) -> Self {
        Self { room, told: BTreeMap::new(), bytes: 0, revision: 0 }
    }

    /// A part of a node's list has come; what does not fit is left out, and what comes late on an older stream is nothing.
    pub(super) fn put(&mut self, id: NodeId, stream: u64, entries: Vec<Allowance>) -> Result<(), Unlisted> {
        let told = self.told.entry(id).or_default();
        if stream < told.stream {
            return Ok(());
        }
        if stream > told.stream {
            told.stream = stream;
            told.coming.clear();
            self.bytes -= std::mem::take(&mut told.bytes.1);
        }
        for entry in entries {
            let more = weight(&entry);
            if told.bytes.0 + told.bytes.1 + more > self.room.1 {
                return Err(Unlisted::OfOne);
            }
            if self.bytes + more > self.room.0 {
                return Err(Unlisted::Full);
            }
            told.bytes.1 += more;
            self.bytes += more;
            told.coming.push(entry);
        }
        Ok(())
    }

    /// The last part has come. Nodes tell their lists whenever they connect: most are as they were.
    pub(super) fn complete(&mut self, id: &NodeId, stream: u64) {
        let Some(told) = self.told.get_mut(id).filter(|told| told.stream == stream) else { return };
        let coming = std::mem::take(&mut told.coming);
        self.bytes -= told.bytes.0;
        told.bytes = (told.bytes.1, 0);
        if told.whole.as_deref() != Some(&coming) {
            told.whole = Some(coming.into());
            self.revision += 1;
        }
    }

    /// Nothing of a node counts any more.
    pub(super) fn forget(&mut self, id: &NodeId) {
        if let Some(told) = self.told.remove(id) {
            self.bytes -= told.bytes.0 + told.bytes.1;
            self.revision += 1;
        }
    }

    pub(super) const fn revision(&self) -> u64 {
        self.revision
    }

    /// The whole lists.
    pub(super) fn lists(&self) -> Lists {
        let whole = self.told.iter().filter_map(|(id, told)| Some((*id, told.whole.clone()?)));
        Lists { whole: whole.collect(), revision: self.revision }
    }
}

impl Lists {
    /// What is allowed at `now`, in order of targets. An operator's order is what more than half of the nodes tell that
    /// report and that it concerns: no single one invents or hides one. On a node's own list its word is enough.
    pub(super) fn all(&self, now: Time, tellers: Tellers) -> (Vec<FleetAllowed>, Basis) {
        let mut found: BTreeMap<Key<'_>, FleetAllowed> = BTreeMap::new();
        let (mut sites, mut until) = (BTreeMap::<&str, usize>::new(), Time::NEVER);
        for (teller, whole) in self.whole.iter().filter_map(|(id, whole)| tellers.get(id).zip(Some(whole))) {
            *sites.entry(&teller.site).or_default() += usize::from(teller.reports);
            let holds = |entry: &&Allowance| entry.allowed.expires.is_none_or(|at| at > now);
            for entry in whole.iter().filter(holds).filter(|entry| teller.counts(entry)) {
                until = until.min(entry.allowed.expires.unwrap_or(Time::NEVER));
                found.entry(key(entry)).or_insert_with(|| FleetAllowed::new(entry)).say(&teller.name, entry);
            }
        }
        let nodes_of = |site: Option<&str>| match site {
            Some(site) => sites.get(site).copied().unwrap_or_default(),
            None => sites.values().sum(),
        };
        let most = |known: &FleetAllowed| known.nodes.len() * 2 > nodes_of(known.site.as_deref());
        let all = found.into_values().filter(|known| known.order.is_none() || most(known)).collect();
        (all, Basis { tellers, revision: self.revision, until })
    }
}

impl Teller {
    pub(super) fn of(row: &NodeRow) -> Self {
        let reports = matches!(row.link, Link::Connected(_));
        Self { name: row.name.clone(), site: row.site.clone(), reports }
    }

    /// What an order for another site allows is not this node's to tell: nobody there would contradict.
    fn counts(&self, entry: &Allowance) -> bool {
        let concerned = entry.site.as_deref().is_none_or(|site| *site == *self.site);
        entry.order.is_none() || (self.reports && concerned)
    }
}

impl Default for Basis {
    /// Nobody has told anything.
    fn default() -> Self {
        Self { tellers: Tellers::new(), revision: 0, until: Time::NEVER }
    }
}

impl Basis {
    /// Whether the list that was made of this is what is allowed at `now`.
    pub(super) fn is_same(&self, now: Time, tellers: &Tellers, revision: u64) -> bool {
        now < self.until && self.revision == revision && self.tellers == *tellers
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
