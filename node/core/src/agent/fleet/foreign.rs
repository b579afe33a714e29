//! What other clusters say, whose roots a person on this node believes. They may block, and take back what they said
//! themselves; nothing else of theirs has a way in here. It is this node's alone: it is never told to the fleet as a
//! word of ours, and agrees with nobody when others are asked whether they agree.

use alloc::{collections::BTreeMap, string::String, sync::Arc};
use core::time::Duration;

use ipnet::IpNet;

use crate::{
    Time,
    blocklist::{Held, Said},
    fleet::{FleetBlock, NodeId, OUTLIVES, Version},
    nets::ExpiringMap,
    prefix,
    record::Speaker,
};

use super::{
    super::{Agent, TEXT, clip},
    blocks::bounded,
};

/// Last words that are remembered, so that what comes late and was taken back is not believed: 10 MB.
const LAST_WORDS: usize = 50_000;
/// No last word is remembered for longer.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// Who speaks in another cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreigner {
    /// The cluster: the id of its root's key.
    pub cluster: NodeId,
    /// The key that signed.
    pub node: NodeId,
    /// What people call it.
    pub name: String,
}

/// What is known of other clusters.
#[derive(Clone, Debug)]
pub(super) struct Foreign {
    /// Those whose roots are believed, and what they are called.
    clusters: BTreeMap<NodeId, String>,
    last: ExpiringMap<(NodeId, IpNet), Version>,
}

impl Foreign {
    pub(super) const fn new() -> Self {
        Self { clusters: BTreeMap::new(), last: ExpiringMap::new() }
    }

    pub(super) fn name(&self, cluster: &NodeId) -> Option<&str> {
        self.clusters.get(cluster).map(String::as_str)
    }

    pub(super) fn next_due(&self) -> Time {
        self.last.next_due()
    }

    pub(super) fn expire(&mut self, now: Time) {
        while self.last.pop_due(now).is_some() {}
    }

    /// Whether nothing later is known of this target.
    fn is_last(
        &mut self,
        now: Time,
        key: (NodeId, IpNet),
        version: Version,
        lasts: Option<Duration>,
    ) -> bool {
        if self.last.get(&key).is_some_and(|known| *known > version) {
            return false;
        }
        if self.last.get(&key).is_none() && self.last.len() >= LAST_WORDS {
            self.last.pop_first();
        }
        let until = now.after(lasts.unwrap_or(LONGEST).min(LONGEST).saturating_add(OUTLIVES));
        self.last.insert(key, version, until);
        true
    }
}

impl Agent {
    /// Takes the clusters whose roots are believed here, by the ids of these, with their names. What others said ends.
    pub fn handle_foreign_clusters(&mut self, now: Time, clusters: BTreeMap<NodeId, String>) {
        self.handle_timeout(now);
        let gone = |held: &Held| match held.words.speaker() {
            Some(Speaker::Foreign { cluster, .. }) => !clusters.contains_key(cluster),
            _ => false,
        };
        self.end_words(now, gone);
        self.fleet.foreign.clusters = clusters;
    }

    /// Takes a block that somebody in another cluster signed. `remaining` is how long it is still to last; `None` for
    /// ever, which here is as long as this node's own may last.
    pub fn handle_foreign_block(
        &mut self,
        now: Time,
        from: &Foreigner,
        version: Version,
        block: FleetBlock,
        remaining: Option<Duration>,
    ) {
        self.handle_timeout(now);
        let block = bounded(block);
        let target = block.target;
        if !self.hears(now, from, target, version, remaining) {
            return;
        }
        let speaker = Speaker::Foreign { cluster: from.cluster, node: from.node };
        let expires = self.expires(now, &block, remaining);
        let Some(expires) = expires.filter(|_| !self.covered(&target, &from.node, version)) else {
            return self.end_said(now, target, &speaker);
        };
        let said = Arc::new(Said { speaker, epoch: version.epoch, force: false });
        let held = self.as_held(now, &said, version, &block, remaining, expires);
        let words = self.blocks.words_said(&said, &clip(from.name.clone(), TEXT), &block.reason);
        self.keep_said(now, target, Held { words, ..held });
    }

    /// Takes that somebody in another cluster takes back what he said himself of a target.
    pub fn handle_foreign_withdrawal(
        &mut self,
        now: Time,
        from: &Foreigner,
        version: Version,
        target: IpNet,
        remaining: Option<Duration>,
    ) {
        self.handle_timeout(now);
        let target = prefix::canonical_net(target);
        if self.hears(now, from, target, version, remaining) {
            self.end_said(now, target, &Speaker::Foreign { cluster: from.cluster, node: from.node });
        }
    }

    /// How many blocks of another cluster are held, enforced or not.
    pub fn foreign_count(&self, cluster: &NodeId) -> usize {
        self.fleet.origins.get(cluster).map_or(0, |source| source.blocks)
    }

    fn hears(
        &mut self,
        now: Time,
        from: &Foreigner,
        target: IpNet,
        version: Version,
        remaining: Option<Duration>,
    ) -> bool {
        self.fleet.me.is_some()
            && self.fleet.foreign.clusters.contains_key(&from.cluster)
            && self.fleet.foreign.is_last(now, (from.node, target), version, remaining)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_are_bounded_and_the_first_to_end_go_first() {
        let mut foreign = Foreign::new();
        let now = Time::from_secs(1_000_000);
        let target = |n: u32| prefix::host(core::net::IpAddr::from(n.to_be_bytes()));
        for n in 0..=LAST_WORDS as u32 {
            let lasts = Some(Duration::from_secs(60 + u64::from(n)));
            assert!(foreign.is_last(now, (NodeId([1; 32]), target(n)), Version::default(), lasts));
        }
        assert_eq!(foreign.last.len(), LAST_WORDS);
        assert!(foreign.last.get(&(NodeId([1; 32]), target(0))).is_none());
        foreign.expire(now.after(LONGEST + OUTLIVES));
        assert_eq!(foreign.last.len(), 0);
    }
}
