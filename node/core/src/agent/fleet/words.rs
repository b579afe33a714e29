//! Which word of the fleet a block stands on, and whether the kernel here drops it: for those who tell the fleet.

use alloc::{string::String, vec::Vec};

use ipnet::IpNet;

use crate::{
    Block,
    blocklist::Held,
    fleet::{NodeId, Version},
    order::EnforcementState,
    record::Speaker,
};

use super::{super::Agent, is_private};

/// What a block of the fleet stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FleetWord {
    /// A member's word, this node's own among them.
    Member {
        /// Whose.
        node: NodeId,
        /// In the log of its site, instead of the cluster's.
        site: bool,
        /// Under which version.
        version: Version,
    },
    /// An operator's order, by its id.
    Order(u128),
}

/// What has to change for words on what the kernel drops to become wrong: enforcement, how much is withheld, how many
/// prefixes are passed.
pub type FleetStamp = (EnforcementState, usize, usize);

impl Agent {
    /// The word on which a block of this node's list stands; `None` where nobody but this node knows it.
    pub fn fleet_word(&self, block: &Block) -> Option<FleetWord> {
        let Block { id, target, origin, .. } = block;
        let listed = |held: &&Held| held.id == *id && self.origin_of(held) == origin.0;
        self.word_of(target, self.blocks.of(target).iter().find(listed)?)
    }

    /// Every word that blocks something, and whether the kernel here drops it.
    pub fn fleet_words(&self) -> impl Iterator<Item = (FleetWord, bool)> {
        self.blocks.iter().flat_map(move |(target, entries)| {
            let drops = self.drops(target);
            // Members of other clusters are told nothing.
            let ours =
                entries.iter().filter(|held| !matches!(held.words.speaker(), Some(Speaker::Foreign { .. })));
            ours.filter_map(move |held| Some((self.word_of(target, held)?, drops)))
        })
    }

    /// Whether the kernel shall drop exactly `target`, and has not refused to.
    pub fn drops(&self, target: &IpNet) -> bool {
        self.switches.on() && self.in_force(target).is_some() && !self.failures.contains_key(target)
    }

    /// What tells that [`fleet_words`](Self::fleet_words) may be others than before.
    pub fn fleet_stamp(&self) -> FleetStamp {
        (self.enforcement(), self.fleet_withheld(), self.passing.len())
    }

    /// What those who block something here are called, this node first.
    pub fn fleet_labels(&self) -> Vec<(NodeId, String)> {
        let known = self.fleet.me.iter().chain(self.fleet.members.keys());
        let gone = self.fleet.origins.keys().filter(|node| !self.fleet.members.contains_key(node));
        known.chain(gone).map(|node| (*node, self.fleet.label(node))).collect()
    }

    fn word_of(&self, target: &IpNet, held: &Held) -> Option<FleetWord> {
        match held.words.speaker() {
            Some(Speaker::Member { node, site }) => {
                let (_, version) = held.version()?;
                Some(FleetWord::Member { node: *node, site: *site, version })
            }
            Some(Speaker::Foreign { node, .. }) => {
                let (_, version) = held.version()?;
                Some(FleetWord::Member { node: *node, site: false, version })
            }
            Some(Speaker::Order(id)) => Some(FleetWord::Order(*id)),
            None if *held.words.origin == *self.config.node && held.automatic() => {
                let (node, known) = self.fleet.me.zip(self.fleet.own.get(target))?;
                Some(FleetWord::Member { node, site: is_private(target), version: known.version })
            }
            None => None,
        }
    }
}
