//! How blocks spread: which member has said that its kernel drops what, and of what this node said, after how long.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use smartfw_core::{
    IpNet, Time,
    fleet::{NodeId, Version},
    gossip::Span,
};

/// Own words whose spreading is measured: what a person may look at. Older ones are only listed.
const MEASURED: usize = 4096;
/// Members whose words are measured of each: beyond a full mesh nobody asks.
const MEMBERS: usize = 64;
/// Pairs of a member and a log of which words are kept: in a full mesh everybody's of everybody's two logs, of which most
/// have one origin more than are there; in a large fleet those of our own two.
const WORDS: usize = 4096;
/// Ranges of one log that a member's word has: as many as the logs tell of what they hold. The oldest go first.
const SPANS: usize = smartfw_core::gossip::SPANS;
/// Orders of which it is known who carries them: as many as the agent remembers.
const ORDERS: usize = 20_000;

/// An origin's log: the cluster's, or that of its site.
pub(super) type Log = (NodeId, bool);

/// How blocks spread.
#[derive(Debug, Default)]
pub(super) struct Spread {
    /// When targets were decided upon that are not said yet, and the oldest of them.
    decided: BTreeMap<IpNet, Time>,
    oldest: BTreeSet<(Time, IpNet)>,
    /// What this node said.
    said: BTreeMap<(bool, Version), Said>,
    order: VecDeque<(bool, Version)>,
    /// What members' kernels drop of a log, ourselves among them.
    words: BTreeMap<(NodeId, Log), Spans>,
    /// Under which version operators' orders are known.
    orders: BTreeMap<u128, (Log, Version)>,
    first: VecDeque<u128>,
}

#[derive(Debug)]
struct Said {
    decided: Time,
    took: BTreeMap<NodeId, Duration>,
}

/// Ranges of versions that do not touch: each one's first with its last sequence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Spans(BTreeMap<Version, u64>);

impl Spread {
    /// This node decides to drop a target, by the steady clock.
    pub(super) fn decided(&mut self, target: IpNet, now: Time) {
        if let Some(before) = self.decided.insert(target, now) {
            self.oldest.remove(&(before, target));
        }
        self.oldest.insert((now, target));
        if self.oldest.len() > MEASURED {
            self.oldest.pop_first().map(|(_, oldest)| self.decided.remove(&oldest));
        }
    }

    /// A block of this node has its version.
    pub(super) fn said(&mut self, site: bool, version: Version, target: IpNet, now: Time) {
        let decided = self.decided.remove(&target);
        if let Some(decided) = decided {
            self.oldest.remove(&(decided, target));
        }
        self.measure(site, version, decided.unwrap_or(now));
    }

    /// An operator's order lives under this version; where this node carries it, it is measured.
    pub(super) fn carried(&mut self, id: u128, log: Log, version: Version, ours: Option<Time>) {
        if self.orders.contains_key(&id) {
            return;
        }
        self.orders.insert(id, (log, version));
        self.first.push_back(id);
        if self.first.len() > ORDERS {
            self.first.pop_front().map(|oldest| self.orders.remove(&oldest));
        }
        if let Some(now) = ours {
            self.measure(log.1, version, now);
        }
    }

    fn measure(&mut self, site: bool, version: Version, decided: Time) {
        let key = (site, version);
        if self.said.insert(key, Said { decided, took: BTreeMap::new() }).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > MEASURED {
            self.order.pop_front().map(|oldest| self.said.remove(&oldest));
        }
    }

    /// Who carries an order, and under which version.
    pub(super) fn carrier(&self, id: u128) -> Option<(Log, Version)> {
        self.orders.get(&id).copied()
    }

    /// A member's kernel drops what was said under these versions; with the sequences 0 to 0, nothing of that log.
    pub(super) fn heard(&mut self, member: NodeId, log: Log, span: Span) {
        if (span.from, span.to) == (0, 0) {
            self.words.remove(&(member, log));
        } else if self.words.len() < WORDS || self.words.contains_key(&(member, log)) {
            self.words.entry((member, log)).or_default().add(span);
        }
    }

    /// A member's kernel drops what this node said under these versions: how long each took, if it is news.
    pub(super) fn took(
        &mut self,
        member: NodeId,
        site: bool,
        span: Span,
        now: Time,
        each: impl Fn(Duration),
    ) {
        let version = |sequence| (site, Version { epoch: span.epoch, sequence });
        if span.from > span.to {
            return;
        }
        for (_, said) in self.said.range_mut(version(span.from)..=version(span.to)) {
            if said.took.len() < MEMBERS && !said.took.contains_key(&member) {
                let took = now.since(said.decided);
                each(took);
                said.took.insert(member, took);
            }
        }
    }

    /// What a member says of all logs.
    pub(super) fn words_of(&self, member: NodeId) -> impl Iterator<Item = (Log, Span)> {
        let least = (member, (NodeId([0; 32]), false));
        let own = self.words.range(least..).take_while(move |((of, _), _)| *of == member);
        own.flat_map(|((_, log), spans)| spans.iter().map(move |span| (*log, span)))
    }

    /// Replaces what a member says by `words`; gives the logs whose word became another one.
    pub(super) fn replace(&mut self, member: NodeId, words: BTreeMap<Log, Spans>) -> Vec<(Log, Spans)> {
        let logs: BTreeSet<Log> =
            self.words_of(member).map(|(log, _)| log).chain(words.keys().copied()).collect();
        let mut changed = Vec::new();
        for log in logs {
            let after = words.get(&log).cloned().unwrap_or_default();
            if self.words.get(&(member, log)).is_some_and(|before| *before == after) {
                continue;
            }
            if after.0.is_empty() {
                self.words.remove(&(member, log));
            } else {
                self.words.insert((member, log), after.clone());
            }
            changed.push((log, after));
        }
        changed
    }

    /// Whether a member has said that its kernel drops what lives under a version.
    pub(super) fn drops(&self, member: NodeId, log: Log, version: Version) -> bool {
        self.words.get(&(member, log)).is_some_and(|spans| spans.contains(version))
    }

    /// How long each member took with what this node said.
    pub(super) fn of(&self, site: bool, version: Version) -> impl Iterator<Item = (&NodeId, Duration)> {
        let said = self.said.get(&(site, version));
        said.into_iter().flat_map(|said| said.took.iter().map(|(node, took)| (node, *took)))
    }

    /// A member is gone for good.
    pub(super) fn forget(&mut self, member: &NodeId) {
        self.words.retain(|(node, (origin, _)), _| node != member && origin != member);
    }
}

impl Spans {
    /// Adds versions; ranges that touch become one.
    pub(super) fn add(&mut self, span: Span) {
        let Span { epoch, mut from, mut to } = span;
        let version = |sequence| Version { epoch, sequence };
        let touching = |ranges: &BTreeMap<Version, u64>, to: u64| {
            let upto = version(to.saturating_add(1));
            ranges.range(version(0)..=upto).next_back().map(|(first, last)| (first.sequence, *last))
        };
        while let Some((first, last)) =
            touching(&self.0, to).filter(|(_, last)| last.saturating_add(1) >= from)
        {
            (from, to) = (from.min(first), to.max(last));
            self.0.remove(&version(first));
        }
        self.0.insert(version(from), to);
        if self.0.len() > SPANS {
            self.0.pop_first();
        }
    }

    /// The same, of versions in order, where nothing lives between these and those before.
    pub(super) fn extend(&mut self, version: Version) {
        match self.0.last_entry() {
            Some(mut last) if last.key().epoch == version.epoch => drop(last.insert(version.sequence)),
            _ => self.add(Span { epoch: version.epoch, from: version.sequence, to: version.sequence }),
        }
    }

    /// The ranges in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Span> {
        self.0.iter().map(|(first, last)| Span { epoch: first.epoch, from: first.sequence, to: *last })
    }

    fn contains(&self, version: Version) -> bool {
        let before = self.0.range(..=version).next_back();
        before.is_some_and(|(first, last)| first.epoch == version.epoch && *last >= version.sequence)
    }
}

#[cfg(test)]
mod tests;
