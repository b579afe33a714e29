//! The fleet's blocks in force: what each node says that it drops on its own word, or on an operator's whose order it
//! carries.

mod fleet_block;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound::{Excluded, Included, Unbounded},
    sync::Arc,
};

use smartfw_core::{Class, IpNet, Time, fleet::NodeId};
use smartfw_history::Event;

use super::News;
pub use fleet_block::FleetBlock;

/// Blocks in all: a few hundred bytes each.
pub const MOST_BLOCKS: usize = 1_000_000;
/// Targets of one node: one that lies shall not crowd out the others.
pub const EACH: usize = MOST_BLOCKS / 4;
/// Blocks of one target by one node: its own, and those of operators whose orders it carries.
pub const TOGETHER: usize = 16;
/// Rows of a page at most.
const ROWS: usize = 1_000;

/// Where a block stands in the list.
pub type BlockKey = (IpNet, NodeId);

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

/// Which blocks are wanted. What is `None` does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockQuery {
    /// Of this address or prefix, or any within it.
    pub within: Option<IpNet>,
    /// By this node.
    pub node: Option<NodeId>,
    /// Of this class.
    pub class: Option<Class>,
    /// So many targets at most, and never more than a thousand.
    pub limit: usize,
    /// Only what stands behind this, as the page before said.
    pub after: Option<BlockKey>,
}

/// A part of the answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BlockPage {
    /// The blocks, in order of their targets.
    pub blocks: Vec<Arc<FleetBlock>>,
    /// Where to go on; `None` when there is nothing more.
    pub next: Option<BlockKey>,
    /// Higher whenever the list is another than it was.
    pub revision: u64,
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

    /// A block is in force; news where it is another than it was.
    pub(super) fn put(&mut self, block: FleetBlock, stream: u64) -> Result<Option<News>, Refused> {
        let key = (block.target, block.node);
        if let Some(expires) = block.expires {
            self.next = Some(self.next.map_or(expires, |next| next.min(expires)));
        }
        let same = self
            .held
            .get_mut(&key)
            .and_then(|all| all.iter_mut().find(|held| held.block.origin == block.origin));
        let block = match same {
            Some(held) => {
                held.stream = held.stream.max(stream);
                if *held.block == block {
                    return Ok(None);
                }
                held.block = block.into();
                held.block.clone()
            }
            None => self.add(key, block, stream)?,
        };
        self.revision += 1;
        Ok(Some(News::Blocked(block)))
    }

    fn add(&mut self, key: BlockKey, block: FleetBlock, stream: u64) -> Result<Arc<FleetBlock>, Refused> {
        let (most, each) = self.limits;
        if self.len >= most {
            return Err(Refused::Full);
        }
        let known = self.held.get(&key).map_or(0, Vec::len);
        let targets = self.targets.get(&key.1).map_or(0, BTreeSet::len);
        if known >= TOGETHER || (known == 0 && targets >= each) {
            return Err(Refused::OfOne);
        }
        let block = Arc::new(block);
        self.held.entry(key).or_default().push(Held { block: block.clone(), stream });
        self.targets.entry(key.1).or_default().insert(key.0);
        self.len += 1;
        Ok(block)
    }

    /// What an event says is over.
    pub(super) fn lift(&mut self, event: &Event) -> Vec<Arc<FleetBlock>> {
        let Some(target) = event.address else { return Vec::new() };
        // Without a word of whose block it was, it was the node's only one.
        let origin = fleet_block::origin(event);
        self.remove(&[(target, event.id)], |held| {
            origin.as_ref().is_none_or(|origin| held.block.origin == *origin)
        })
    }

    /// A node has told all of its blocks on a stream: what neither the list nor an event named on it is over.
    pub(super) fn complete(&mut self, id: &NodeId, stream: u64) -> Vec<News> {
        let keys = self.of(id);
        let over = self.remove(&keys, |held| held.stream < stream);
        over.into_iter().map(News::Lifted).collect()
    }

    /// Everything of a node.
    pub(super) fn forget(&mut self, id: &NodeId) -> Vec<Arc<FleetBlock>> {
        let keys = self.of(id);
        self.remove(&keys, |_| true)
    }

    /// What ran out.
    pub(super) fn expire(&mut self, now: Time) -> Vec<Arc<FleetBlock>> {
        if self.next.is_none_or(|next| next > now) {
            return Vec::new();
        }
        let over = |all: &Vec<Held>| all.iter().any(|held| held.block.expired(now));
        let keys: Vec<BlockKey> =
            self.held.iter().filter(|(_, all)| over(all)).map(|(key, _)| *key).collect();
        let gone = self.remove(&keys, |held| held.block.expired(now));
        self.next = self.held.values().flatten().filter_map(|held| held.block.expires).min();
        gone
    }

    pub(super) fn page(&self, query: &BlockQuery, now: Time) -> BlockPage {
        let limit = query.limit.clamp(1, ROWS);
        let mut page = BlockPage { revision: self.revision, ..BlockPage::default() };
        let mut last = None;
        for key in self.candidates(query) {
            let all = self.held.get(&key).into_iter().flatten();
            let wanted = |held: &&Held| query.wants(&held.block) && !held.block.expired(now);
            let mut found = all.filter(wanted).map(|held| held.block.clone()).peekable();
            if found.peek().is_none() {
                continue;
            }
            if page.blocks.len() >= limit {
                page.next = last;
                break;
            }
            page.blocks.extend(found);
            last = Some(key);
        }
        page
    }

    /// Where wanted blocks may stand, in order.
    fn candidates<'a>(&'a self, query: &BlockQuery) -> Box<dyn Iterator<Item = BlockKey> + 'a> {
        let within = query.within;
        // Prefixes are in the order of their addresses, wider ones first: none that lies within stands before this.
        let first = within.map_or(Unbounded, |net| Included((net, NodeId([0; 32]))));
        let from = query.after.map_or(first, Excluded);
        let beyond = move |target: &IpNet| within.is_some_and(|net| target.addr() > net.broadcast());
        let Some(node) = query.node else {
            let keys = self.held.range((from, Unbounded)).map(|(key, _)| *key);
            return Box::new(keys.take_while(move |(target, _)| !beyond(target)));
        };
        let from = match (query.after, within) {
            (Some((target, _)), _) => Excluded(target),
            (None, Some(net)) => Included(net),
            (None, None) => Unbounded,
        };
        let targets = self.targets.get(&node).into_iter().flat_map(move |all| all.range((from, Unbounded)));
        Box::new(targets.take_while(move |target| !beyond(target)).map(move |target| (*target, node)))
    }

    /// Where a node's blocks stand.
    fn of(&self, id: &NodeId) -> Vec<BlockKey> {
        self.targets.get(id).into_iter().flatten().map(|target| (*target, *id)).collect()
    }

    fn remove(&mut self, keys: &[BlockKey], over: impl Fn(&Held) -> bool) -> Vec<Arc<FleetBlock>> {
        let mut gone = Vec::new();
        for key in keys {
            let Some(all) = self.held.get_mut(key) else { continue };
            let before = gone.len();
            gone.extend(all.extract_if(.., |held| over(held)).map(|held| held.block));
            self.len -= gone.len() - before;
            if all.is_empty() {
                self.held.remove(key);
                self.forget_target(key);
            }
        }
        self.revision += u64::from(!gone.is_empty());
        gone
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

impl BlockQuery {
    fn wants(&self, block: &FleetBlock) -> bool {
        self.within.is_none_or(|net| net.contains(&block.target))
            && self.node.is_none_or(|node| block.node == node)
            && self.class.is_none_or(|class| block.class == class)
    }
}
