//! What other clusters say, whose roots a person on this node believes. They may block, and take back what they said
//! themselves; nothing else of theirs has a way in here. It is this node's alone: it is never told to the fleet as a
//! word of ours, and agrees with nobody when others are asked whether they agree. No log of ours tells it again after a
//! restart: the store keeps each word.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::String,
    sync::Arc,
    vec::Vec,
};
use core::{ops::RangeInclusive, time::Duration};

use ipnet::IpNet;

use crate::{
    BlockId, Strength, Time, Withheld,
    blocklist::{Held, Said},
    fleet::{FleetBlock, NodeId, OUTLIVES, Version},
    nets::ExpiringMap,
    prefix,
    record::{ForeignWord, Speaker},
};

use super::{
    super::{Agent, TEXT, clip, effects::Key, restore::as_held},
    blocks::{bounded, strength},
};

/// Last words that are remembered, so that what comes late and was taken back is not believed: 10 MB.
pub const LAST_WORDS: usize = 50_000;
/// Clusters that are believed at once.
const CLUSTERS: usize = 16;
/// Last words of one cluster: none makes room for its own by having another's forgotten.
const SHARE: usize = LAST_WORDS / CLUSTERS;
/// Words of one cluster on one target: its root makes as many members as it likes, and every look at a target is a look
/// at all that is said of it.
const WORDS: usize = 8;
/// Words of all other clusters on one target.
pub const ABROAD: usize = CLUSTERS * WORDS;

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

/// Whether somebody of another cluster is called like this: `cluster/name`. No member, node or feed has a name like it.
pub(in super::super) fn is_foreigner(origin: &str) -> bool {
    origin.contains('/') && !origin.contains(':')
}

impl Foreigner {
    const fn speaker(&self) -> Speaker {
        Speaker::Foreign { cluster: self.cluster, node: self.node }
    }
}

/// What is known of other clusters.
#[derive(Clone, Debug)]
pub(super) struct Foreign {
    /// Those whose roots are believed, and what they are called.
    clusters: BTreeMap<NodeId, String>,
    last: BTreeMap<NodeId, ExpiringMap<(IpNet, Speaker), Last>>,
}

/// The last word of somebody on a target.
#[derive(Clone, Copy, Debug)]
struct Last {
    version: Version,
    until: Time,
}

/// What is known of a word: the last version, and the block that stands on it, with its end.
type Known = (Option<Version>, Option<(BlockId, Time)>);

/// Whether a word may be followed, how strong it is, and when it ends.
type Worth = (bool, Strength, Time);

impl Foreign {
    pub(super) const fn new() -> Self {
        Self { clusters: BTreeMap::new(), last: BTreeMap::new() }
    }

    pub(super) fn name(&self, cluster: &NodeId) -> Option<&str> {
        self.clusters.get(cluster).map(String::as_str)
    }

    pub(super) fn next_due(&self) -> Time {
        self.last.values().map(ExpiringMap::next_due).min().unwrap_or(Time::NEVER)
    }

    /// The last word of a speaker on a target.
    fn last(&self, target: IpNet, speaker: &Speaker) -> Option<&Last> {
        self.last.get(&speaker.charged()?)?.get(&(target, *speaker))
    }

    /// Remembers a last word; gives the one that had to go for it.
    fn remember(&mut self, key: (IpNet, Speaker), last: Last) -> Option<(IpNet, Speaker)> {
        let words = self.last.entry(key.1.charged()?).or_insert_with(ExpiringMap::new);
        let full = words.get(&key).is_none() && words.len() >= SHARE;
        let gone = full.then(|| words.pop_first()).flatten();
        words.insert(key, last, last.until);
        gone.map(|(key, _)| key)
    }

    fn pop_due(&mut self, now: Time) -> Option<(IpNet, Speaker)> {
        self.last.values_mut().find_map(|words| words.pop_due(now)).map(|(key, _)| key)
    }
}

impl Agent {
    /// Takes the clusters whose roots are believed here, by the ids of these, with their names. What others said ends. At
    /// start it comes behind what the store kept, which is judged by it, and before the kernel's entries are adopted.
    pub fn handle_foreign_clusters(&mut self, now: Time, mut clusters: BTreeMap<NodeId, String>) {
        self.handle_timeout(now);
        while clusters.len() > CLUSTERS {
            clusters.pop_last();
        }
        let gone = |speaker: &Speaker| match speaker {
            Speaker::Foreign { cluster, .. } => !clusters.contains_key(cluster),
            _ => false,
        };
        for (target, speaker) in self.foreign_keys().into_iter().filter(|(_, speaker)| gone(speaker)) {
            self.outbox.persist(now, Key::Foreign(target, speaker));
        }
        self.fleet.foreign.last.retain(|cluster, _| clusters.contains_key(cluster));
        self.end_words(now, |held| held.words.speaker().is_some_and(gone));
        self.fleet.foreign.clusters = clusters;
        self.rejudge_abroad(now);
    }

    /// Takes a block that somebody in another cluster signed, `age` ago. For ever is as long as this node's own block of the
    /// kind may last from then, so that whatever is heard again and again has an end.
    pub fn handle_foreign_block(
        &mut self,
        now: Time,
        from: &Foreigner,
        version: Version,
        block: FleetBlock,
        age: Duration,
    ) {
        let block = bounded(block);
        let lasts = block.duration.unwrap_or_else(|| self.longest(strength(&block)));
        let (block, remaining) = (FleetBlock { duration: Some(lasts), ..block }, lasts.saturating_sub(age));
        self.hear_abroad(now, from, (block.target, version), Some(remaining), |agent| {
            agent.take_foreign(now, from, version, &block, remaining);
        });
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
        let target = prefix::canonical_net(target);
        self.hear_abroad(now, from, (target, version), remaining, |agent| {
            agent.end_said(now, target, &from.speaker());
        });
    }

    /// What was said before a restart is held again, and waits until it is known who is believed.
    pub(in super::super) fn restore_foreign(&mut self, now: Time, word: ForeignWord) {
        let ForeignWord { target, speaker, version, until, block } = word;
        let Speaker::Foreign { cluster, .. } = speaker else { return };
        if until > now {
            self.remember(now, (target, speaker), Last { version, until });
        }
        let before = block.is_some();
        let Some(block) = block.filter(|block| !block.expired(now) && self.has_room(&cluster)) else {
            if before || until <= now {
                self.outbox.persist(now, Key::Foreign(target, speaker));
            }
            return;
        };
        let said = Arc::new(Said { speaker, epoch: version.epoch, force: false });
        let words = self.blocks.words_said(&said, &block.origin.0, &block.reason);
        self.fleet.origins.entry(cluster).or_default().blocks += 1;
        let held = Held { withheld: Some(Withheld::Quota), ..as_held(block, false, words) };
        self.blocks.insert(target, held);
    }

    /// What the store has of a word.
    pub(in super::super) fn foreign_record(&self, target: IpNet, speaker: Speaker) -> Option<ForeignWord> {
        let held = self.blocks.said(&target, &speaker);
        let last = self.fleet.foreign.last(target, &speaker);
        let version = held.and_then(Held::version).map(|(_, version)| version);
        Some(ForeignWord {
            target,
            speaker,
            version: version.or(last.map(|last| last.version))?,
            until: last.map_or(Time::ZERO, |last| last.until),
            block: held.map(|held| held.to_block(target)),
        })
    }

    /// Of which words a store has to have a record.
    pub(in super::super) fn foreign_keys(&self) -> BTreeSet<(IpNet, Speaker)> {
        let foreign = |held: &Held| held.words.speaker().copied().filter(is_foreign);
        let all =
            self.blocks.iter().flat_map(|(target, entries)| entries.iter().map(move |held| (*target, held)));
        let held = all.filter_map(|(target, held)| Some((target, foreign(held)?)));
        let last = self.fleet.foreign.last.values().flat_map(ExpiringMap::iter);
        held.chain(last.map(|(key, _)| *key)).collect()
    }

    /// The clusters of those who said something within `target`: the trust of these falls for it, since their roots make as
    /// many keys as they like.
    pub(super) fn clusters_of(&self, target: &IpNet) -> BTreeMap<NodeId, NodeId> {
        let cluster = |speaker: &Speaker| match speaker {
            Speaker::Foreign { cluster, node } => Some((*node, *cluster)),
            _ => None,
        };
        let last = self.fleet.foreign.last.values().flat_map(|words| words.range(within(target)));
        let last = last.map(|((net, speaker), _)| (net, *speaker));
        let held = self.blocks.within(target).flat_map(|net| {
            self.blocks.of(net).iter().filter_map(move |held| Some((net, *held.words.speaker()?)))
        });
        last.chain(held)
            .filter(|(net, _)| target.contains(*net))
            .filter_map(|(_, said)| cluster(&said))
            .collect()
    }

    /// Forgets the last words that are over.
    pub(super) fn forget_foreign(&mut self, now: Time) {
        while let Some((target, speaker)) = self.fleet.foreign.pop_due(now) {
            self.outbox.persist(now, Key::Foreign(target, speaker));
        }
    }

    /// Does what a word says where somebody is believed and has said nothing later of the target, and keeps it on disk
    /// where that is news.
    fn hear_abroad(
        &mut self,
        now: Time,
        from: &Foreigner,
        (target, version): (IpNet, Version),
        remaining: Option<Duration>,
        obey: impl FnOnce(&mut Self),
    ) {
        self.handle_timeout(now);
        let speaker = from.speaker();
        let before = self.known_abroad(target, &speaker);
        let believed = self.fleet.me.is_some() && self.fleet.foreign.clusters.contains_key(&from.cluster);
        if !believed || before.0 > Some(version) {
            return;
        }
        if before.0 < Some(version) {
            // Of what it takes back nothing is held here for longer.
            let longest = self.longest(Strength::Hard);
            let until =
                now.after(remaining.map_or(longest, |left| left.min(longest)).saturating_add(OUTLIVES));
            self.remember(now, (target, speaker), Last { version, until });
        }
        obey(self);
        if self.known_abroad(target, &speaker) != before {
            self.outbox.persist(now, Key::Foreign(target, speaker));
        }
    }

    fn take_foreign(
        &mut self,
        now: Time,
        from: &Foreigner,
        version: Version,
        block: &FleetBlock,
        remaining: Duration,
    ) {
        let (target, speaker, remaining) = (block.target, from.speaker(), Some(remaining));
        let expires = self.expires(now, block, remaining);
        let Some(expires) = expires.filter(|_| !self.covered(&target, &from.node, version)) else {
            return self.end_said(now, target, &speaker);
        };
        let said = Arc::new(Said { speaker, epoch: version.epoch, force: false });
        let held = self.as_held(now, &said, version, block, remaining, expires);
        let words = self.blocks.words_said(&said, &clip(from.name.clone(), TEXT), &block.reason);
        let held = Held { words, ..held };
        if let Some((least, worth)) = self.least_abroad(&target, from) {
            if self.worth(&target, &held) <= worth || !self.has_room(&from.cluster) {
                return self.no_room(target, speaker, expires);
            }
            self.end_said(now, target, &least);
            self.no_room(target, least, worth.2);
        }
        self.keep_said(now, target, held);
    }

    /// Where as many others of the same cluster say something of a target as may: who of them says least, and what that is
    /// worth. Of what may be followed it is rather one that waits for the quota than one that is enforced.
    fn least_abroad(&self, target: &IpNet, from: &Foreigner) -> Option<(Speaker, Worth)> {
        let other = |held: &Held| match held.words.speaker()? {
            speaker @ Speaker::Foreign { cluster, node }
                if *cluster == from.cluster && *node != from.node =>
            {
                Some((*speaker, held.withheld.is_none(), self.worth(target, held)))
            }
            _ => None,
        };
        let others: Vec<_> = self.blocks.of(target).iter().filter_map(other).collect();
        let full = others.len() >= WORDS;
        let least = others.into_iter().min_by_key(|(_, enforced, worth)| (worth.0, *enforced, *worth));
        least.filter(|_| full).map(|(speaker, _, worth)| (speaker, worth))
    }

    /// What nobody follows is worth less than whatever is followed, or would be if the quota allowed it.
    fn worth(&self, target: &IpNet, held: &Held) -> Worth {
        (self.judge(target, held).is_none(), held.strength, held.expires)
    }

    fn remember(&mut self, now: Time, key: (IpNet, Speaker), last: Last) {
        if let Some((target, speaker)) = self.fleet.foreign.remember(key, last) {
            self.outbox.persist(now, Key::Foreign(target, speaker));
        }
    }

    fn known_abroad(&self, target: IpNet, speaker: &Speaker) -> Known {
        let held = self.blocks.said(&target, speaker);
        let version = held.and_then(Held::version).map(|(_, version)| version);
        let last = self.fleet.foreign.last(target, speaker).map(|last| last.version);
        (version.max(last), held.map(|held| (held.id, held.expires)))
    }

    /// How many blocks of another cluster are held, enforced or not.
    #[cfg(test)]
    pub(in super::super) fn foreign_count(&self, cluster: &NodeId) -> usize {
        self.fleet.origins.get(cluster).map_or(0, |source| source.blocks)
    }
}

/// Where what is said within `target` stands, with little besides.
fn within(target: &IpNet) -> RangeInclusive<(IpNet, Speaker)> {
    let (first, last) = (NodeId([0; 32]), NodeId([u8::MAX; 32]));
    let end = prefix::host(target.broadcast());
    (*target, Speaker::Member { node: first, site: false })
        ..=(end, Speaker::Foreign { cluster: last, node: last })
}

const fn is_foreign(speaker: &Speaker) -> bool {
    matches!(speaker, Speaker::Foreign { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_are_bounded_for_each_cluster_and_the_first_to_end_go_first() {
        let mut foreign = Foreign::new();
        let speaker = |cluster| Speaker::Foreign { cluster: NodeId([cluster; 32]), node: NodeId([2; 32]) };
        let key = |n: u32| (prefix::host(core::net::IpAddr::from(n.to_be_bytes())), speaker(1));
        let last = |n: u32| Last { version: Version::default(), until: Time::from_secs(60 + u64::from(n)) };
        let other = (key(0).0, speaker(2));
        foreign.remember(other, last(0));
        for n in 0..=SHARE as u32 {
            assert_eq!(foreign.remember(key(n), last(n)), (n as usize == SHARE).then(|| key(0)));
        }
        assert_eq!(foreign.last[&NodeId([1; 32])].len(), SHARE);
        assert!(foreign.last(other.0, &other.1).is_some(), "another cluster's stay");
    }
}
