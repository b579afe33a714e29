//! The fleet's blocks in force: what each node says that it drops on its own word, or on an operator's whose order it
//! carries.

mod fleet_block;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use smartfw_core::{IpNet, Time, fleet::NodeId};
use smartfw_history::Event;

pub use fleet_block::FleetBlock;

/// Blocks in all: a few hundred bytes each.
pub const MOST_BLOCKS: usize = 1_000_000;
/// Targets of one node: one that lies shall not crowd out the others.
pub const EACH: usize = MOST_BLOCKS / 4;
/// Blocks of one target by one node: its own, and those of operators whose orders it carries.
pub const TOGETHER: usize = 16;

/// Where a block stands in the list.
type BlockKey = (IpNet, NodeId);

/// A block does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There are too many in all.
    #[error("{MOST_BLOCKS} blocks are in force in the fleet, and no more are shown")]
    Full,
    /// There are too many of one node.
    #[error("a node says that it blocks more than {EACH} targets, and no more of it are shown")]
    OfOne,
}

/// The list.
#[derive(Debug)]
pub(super) struct Blocks {
    /// In all, and targets of one node.
    limits: (usize, usize),
    held: BTreeMap<BlockKey, Vec<Held>>,
    /// The targets of each node.
    targets: BTreeMap<NodeId, BTreeSet<IpNet>>,
    len: usize,
    revision: u64,
    /// Nothing runs out before.
    next: Option<Time>,
}

/// A block, and the number of the stream that named it last.
#[derive(Debug)]
struct Held {
    block: Arc<FleetBlock>,
    stream: u64,
}

impl Default for Blocks {
    fn default() -> Self {
        Self::bounded(MOST_BLOCKS, EACH)
    }
}

impl Blocks {
    pub(super) const fn bounded(most: usize, each: usize) -> Self {
        Self {
            limits: (most, each),
            held: BTreeMap::new(),
            targets: BTreeMap::new(),
            len: 0,
            revision: 0,
            next: None,
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) const fn revision(&self) -> u64 {
        self.revision
    }

    /// Every block in force, in order of their targets.
    pub(super) fn all(&self, now: Time) -> Vec<Arc<FleetBlock>> {
        let held = self.held.values().flatten().map(|held| &held.block);
        held.filter(|block| !block.expired(now)).cloned().collect()
    }

    /// Every block in force within a prefix, in order of their targets.
    pub(super) fn within(&self, net: &IpNet, now: Time) -> Vec<Arc<FleetBlock>> {
        // Prefixes are in the order of their addresses, wider ones first: none that lies within stands before this.
        let keys = self.held.range((*net, NodeId([0; 32]))..);
        let held = keys.take_while(|((target, _), _)| net.contains(target)).flat_map(|(_, all)| all);
        held.map(|held| &held.block).filter(|block| !block.expired(now)).cloned().collect()
    }

    /// A block is in force; whether that makes another list.
    pub(super) fn put(&mut self, block: FleetBlock, stream: u64) -> Result<bool, Refused> {
        let key = (block.target, block.node);
        if let Some(expires) = block.expires {
            self.next = Some(self.next.map_or(expires, |next| next.min(expires)));
        }
        let same = self
            .held
            .get_mut(&key)
            .and_then(|all| all.iter_mut().find(|held| held.block.origin == block.origin));
        match same {
            Some(held) => {
                held.stream = held.stream.max(stream);
                if *held.block == block {
                    return Ok(false);
                }
                held.block = block.into();
            }
            None => self.add(key, block, stream)?,
        }
        self.revision += 1;
        Ok(true)
    }

    fn add(&mut self, key: BlockKey, block: FleetBlock, stream: u64) -> Result<(), Refused> {
        let (most, each) = self.limits;
        if self.len >= most {
            return Err(Refused::Full);
        }
        let known = self.held.get(&key).map_or(0, Vec::len);
        let targets = self.targets.get(&key.1).map_or(0, BTreeSet::len);
        if known >= TOGETHER || (known == 0 && targets >= each) {
            return Err(Refused::OfOne);
        }
        self.held.entry(key).or_default().push(Held { block: block.into(), stream });
        self.targets.entry(key.1).or_default().insert(key.0);
        self.len += 1;
        Ok(())
    }

    /// What an event says is over.
    pub(super) fn lift(&mut self, event: &Event) {
        let Some(target) = event.address else { return };
        // Without a word of whose block it was, it was the node's only one.
        let origin = fleet_block::origin(event);
        self.remove(&[(target, event.id)], |held| {
            origin.as_ref().is_none_or(|origin| held.block.origin == *origin)
        });
    }

    /// A node has told all of its blocks on a stream: what neither the list nor an event named on it is over.
    pub(super) fn complete(&mut self, id: &NodeId, stream: u64) {
        let keys = self.of(id);
        self.remove(&keys, |held| held.stream < stream);
    }

    /// Nothing of a node is in force any more.
    pub(super) fn forget(&mut self, id: &NodeId) {
        let keys = self.of(id);
        self.remove(&keys, |_| true);
    }

    /// Lets go what ran out.
    pub(super) fn expire(&mut self, now: Time) {
        if self.next.is_none_or(|next| next > now) {
            return;
        }
        let over = |all: &Vec<Held>| all.iter().any(|held| held.block.expired(now));
        let keys: Vec<BlockKey> =
            self.held.iter().filter(|(_, all)| over(all)).map(|(key, _)| *key).collect();
        self.remove(&keys, |held| held.block.expired(now));
        self.next = self.held.values().flatten().filter_map(|held| held.block.expires).min();
    }

    /// Where a node's blocks stand.
    fn of(&self, id: &NodeId) -> Vec<BlockKey> {
        self.targets.get(id).into_iter().flatten().map(|target| (*target, *id)).collect()
    }

    fn remove(&mut self, keys: &[BlockKey], over: impl Fn(&Held) -> bool) {
        let before = self.len;
        for key in keys {
            let Some(all) = self.held.get_mut(key) else { continue };
            let held = all.len();
            all.retain(|held| !over(held));
            self.len -= held - all.len();
            if all.is_empty() {
                self.held.remove(key);
                self.forget_target(key);
            }
        }
        self.revision += u64::from(self.len < before);
    }

    fn forget_target(&mut self, (target, id): &BlockKey) {
        if let Some(targets) = self.targets.get_mut(id) {
            targets.remove(target);
            if targets.is_empty() {
                self.targets.remove(id);
            }
        }
    }
}
