//! What was really said, against what is applied and sent.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use smartfw_core::{
    IpNet,
    fleet::{Entry, LogId, NodeId, SignedRun, Verifier, Version},
    gossip::{Kept, Message},
};

use super::{keys::Book, node::Node};

/// A property that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken(pub String);

/// A remaining time may be wrong by what a message was under way or a node was paused.
const UNDER_WAY: Duration = Duration::from_secs(12);

/// And by this where members lie about ages, or clocks are wrong.
const LIED: Duration = Duration::from_secs(301);

/// The truth.
#[derive(Debug, Default)]
pub struct Audit {
    /// The last durable word of each log on each target: until when; `None` for ever.
    truth: BTreeMap<(LogId, IpNet), (Version, Word)>,
    /// Every block said by anybody: who, and its true end.
    said: BTreeMap<String, (NodeId, IpNet, Option<Duration>)>,
    /// Durable orders, by their bytes.
    orders: BTreeMap<Vec<u8>, NodeId>,
    /// Runs that were looked into, by their signatures.
    seen: BTreeMap<[u8; 64], (LogId, Version, u64)>,
    /// Those whose words do not count: they lie, or lost their disks.
    unsteady: BTreeSet<NodeId>,
    /// Those who sign two runs under one version.
    pub(super) forkers: BTreeSet<NodeId>,
    /// Whether ages and clocks are honest: then remaining times are exact.
    pub exact: bool,
    /// Whether anybody could tell the time: else what is said to be younger than it is lives for too long.
    pub timed: bool,
    /// Whether all clocks are right: then nobody can end what another said.
    pub right: bool,
    /// What was found.
    pub broken: Vec<Broken>,
}

#[derive(Clone, Debug)]
enum Word {
    Block(Option<Duration>),
    Withdrawn,
}

impl Audit {
    /// An audit of honest members with honest clocks.
    pub(super) fn new() -> Self {
        Self { exact: true, timed: true, right: true, ..Self::default() }
    }

    /// Notes what a member is told to say.
    pub(super) fn says(&mut self, who: NodeId, entry: &Entry, now: Duration) {
        if let Entry::Block(block) = entry {
            let end = block.duration.map(|duration| now + duration);
            self.said.insert(block.reason.clone(), (who, block.target, end));
        }
    }

    /// What this member said does not count in the end.
    pub(super) fn unsteady(&mut self, who: NodeId) {
        self.unsteady.insert(who);
    }

    /// Something is on a disk: what its owner said is said.
    pub(super) fn durable(&mut self, owner: NodeId, kept: &Kept, now: Duration) {
        let Kept::Run { log, run, .. } = kept else { return };
        if log.origin != owner {
            return;
        }
        let Ok(run) = Book::default().recall(run) else { return };
        for (index, entry) in run.entries().iter().enumerate() {
            let version = run.header().version(index);
            let word = match entry {
                Entry::Block(block) => Word::Block(block.duration.map(|lasts| now + lasts)),
                Entry::Withdraw { .. } => Word::Withdrawn,
                Entry::Order(order) => {
                    self.orders.insert(order.bytes.to_vec(), owner);
                    continue;
                }
                Entry::Sessions { .. } | Entry::Coordinator { .. } | Entry::Unknown { .. } => continue,
            };
            let Some(target) = entry.target() else { continue };
            let last = self.truth.entry((log.clone(), target)).or_insert_with(|| (version, word.clone()));
            if last.0 <= version {
                *last = (version, word);
            }
        }
    }

    /// A member applies something.
    pub(super) fn applies(
        &mut self,
        node: &Node,
        log: &LogId,
        entry: &Entry,
        remaining: Option<Duration>,
        now: Duration,
    ) {
        let Entry::Block(block) = entry else { return };
        if self.unsteady.contains(&log.origin) && self.forkers.contains(&log.origin) {
            return;
        }
        if log.site.as_ref().is_some_and(|site| *site != node.site) {
            self.find(format!("{} applies what is for another site: {}", node.id(), block.target));
        }
        match self.said.get(&block.reason).cloned() {
            Some((who, target, end)) if who == log.origin && target == block.target => {
                let slack = if self.exact { UNDER_WAY } else { LIED + UNDER_WAY };
                let too_long = match (remaining, end) {
                    (Some(remaining), Some(end)) => self.timed && now + remaining > end + slack,
                    (None, Some(_)) => true,
                    (_, None) => false,
                };
                if too_long {
                    self.find(format!(
                        "{} prolongs {target}: {remaining:?} of {end:?} at {now:?}",
                        node.id()
                    ));
                }
            }
            _ => self.find(format!("{} applies what {} never said: {}", node.id(), log.origin, block.target)),
        }
    }

    /// A member sends something: what it says itself has to be on its disk.
    pub(super) fn sends(&mut self, node: &Node, message: &Message<SignedRun>) {
        let Message::Runs { runs, .. } = message else { return };
        for run in runs {
            let Some((log, version, last)) = self.look(&run.run) else { continue };
            if !node.disk.holds(&log, version) {
                self.find(format!(
                    "{} sends {version} of {} before it is on its disk",
                    node.id(),
                    log.origin
                ));
            }
            let reserved = node.disk.reserved().unwrap_or_default();
            let upto = if log.site.is_some() { reserved.site } else { reserved.cluster };
            if log.origin == node.id() && version.epoch == reserved.epoch && last > upto {
                self.find(format!("{} uses {last} beyond what it reserved", node.id()));
            }
        }
    }

    /// The log of a run, the version of its first entry, and the sequence of its last.
    fn look(&mut self, run: &SignedRun) -> Option<(LogId, Version, u64)> {
        if let Some(seen) = self.seen.get(&run.signature) {
            return Some(seen.clone());
        }
        let known = Book::default().recall(run).ok()?;
        let seen = (known.header().log(), known.header().version(0), known.last());
        self.seen.insert(run.signature, seen.clone());
        Some(seen)
    }

    /// A version's end may never rise.
    pub(super) fn ends(&mut self, node: &mut Node, log: &LogId, version: Version, end: Duration) {
        let known = node.ends.entry((log.clone(), version)).or_insert(end);
        if end > *known + Duration::from_millis(1) {
            let id = node.key.id();
            self.broken
                .push(Broken(format!("{id} lets {version} of {} live longer than before", log.origin)));
        }
        *known = (*known).min(end);
    }

    /// At the end everybody blocks what was said last, and nothing else.
    pub(super) fn agree(&mut self, nodes: &[&Node], now: Duration) {
        for node in nodes {
            self.agrees(node, now);
        }
    }

    fn agrees(&mut self, node: &Node, now: Duration) {
        let slack = if self.exact { UNDER_WAY } else { LIED + UNDER_WAY };
        let blocks = node.blocks(now);
        let mut found = Vec::new();
        for ((log, target), (version, word)) in &self.truth {
            let elsewhere = log.site.as_ref().is_some_and(|site| *site != node.site);
            if elsewhere || self.unsteady.contains(&log.origin) {
                continue;
            }
            let has = blocks.get(&(log.clone(), *target));
            match (word, has) {
                (Word::Withdrawn, Some(_)) => found.push(format!("{target} is still blocked")),
                (Word::Block(end), None) if self.right && end.is_none_or(|end| end > now + slack) => {
                    found.push(format!("{target} ({version}) is not blocked"));
                }
                (Word::Block(_), Some((held, _))) if held != version => {
                    found.push(format!("{target} is blocked under {held}, not {version}"));
                }
                (Word::Block(Some(end)), Some(_)) if self.timed && now > *end + slack => {
                    found.push(format!("{target} is blocked for too long"));
                }
                _ => {}
            }
        }
        for (order, owner) in &self.orders {
            if !self.unsteady.contains(owner) && !node.orders.contains(order) {
                found.push(format!("the order {order:?} never came"));
            }
        }
        let quarantined = node.gossip.as_ref().map(|gossip| gossip.quarantined()).unwrap_or_default();
        for log in &quarantined {
            if !self.forkers.contains(&log.origin) {
                found.push(format!("it found {} lying, who does not", log.origin));
            }
            if blocks.keys().any(|(whose, _)| whose == log) {
                found.push(format!("it still believes {}", log.origin));
            }
        }
        for what in found {
            self.find(format!("{} at the end: {what}", node.id()));
        }
    }

    /// Something is wrong.
    pub(super) fn find(&mut self, what: String) {
        if self.broken.len() < 20 {
            self.broken.push(Broken(what));
        }
    }
}
