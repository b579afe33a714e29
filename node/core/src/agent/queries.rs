//! What the agent can tell about itself.

use alloc::{format, string::String, vec::Vec};
use core::time::Duration;

use ipnet::IpNet;

use crate::{
    Alert, Time,
    blocklist::Held,
    enforcement::{Enforced, Entry},
    explain::{BlockState, Listed},
    health::{Health, HealthLevel},
    order::{Allowed, EnforcementState, Mode},
    policy::Veto,
    prefix,
    protect::Protected,
    record::{Enforcement, Lesson, Pending},
};

use super::{Agent, Counters, inputs::FAILURES};

/// The disk is behind when it has kept nothing for this long.
const BEHIND: Duration = Duration::from_secs(10);

impl Agent {
    /// What the kernel shall hold now: nothing while enforcement is off.
    pub fn desired(&self) -> Enforced {
        if !self.switches.on() {
            return Enforced::default();
        }
        let blocks = self.entries().map(|entry| (entry.target, entry)).collect();
        Enforced { blocks, protected: self.passing.iter().copied().collect() }
    }

    /// The blocks of [`Agent::desired`] one by one, whether enforcement is on or off.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        self.blocks.iter().filter_map(|(target, _)| self.entry(target))
    }

    /// At most `count` targets behind `target` (or from the first) with what is enforced of them: the blocks of
    /// [`Agent::desired`] piece by piece, with other work in between.
    pub fn entries_after(
        &self,
        target: Option<IpNet>,
        count: usize,
    ) -> impl Iterator<Item = (IpNet, Option<Entry>)> {
        self.blocks.after(target).take(count).map(|(target, _)| (*target, self.enforced_entry(target)))
    }

    /// What the kernel shall hold of exactly `target` now.
    pub fn enforced_entry(&self, target: &IpNet) -> Option<Entry> {
        self.entry(target).filter(|_| self.switches.on())
    }

    /// The protected prefixes of [`Agent::desired`], whether enforcement is on or off.
    pub fn passing(&self) -> impl Iterator<Item = &IpNet> {
        self.passing.iter()
    }

    /// Every block of every origin, by target.
    pub fn blocks(&self) -> impl Iterator<Item = Listed> {
        self.blocks.iter().flat_map(|(target, entries)| entries.iter().map(|held| self.listed(*target, held)))
    }

    /// The blocks behind `target`, or all: for lists that are made piece by piece, with other work in between.
    pub fn blocks_after(&self, target: Option<IpNet>) -> impl Iterator<Item = Listed> {
        let behind = self.blocks.after(target);
        behind.flat_map(|(target, entries)| entries.iter().map(|held| self.listed(*target, held)))
    }

    /// This node's name, as the origin of its blocks.
    pub fn node(&self) -> &str {
        &self.config.node
    }

    /// How many blocks there are.
    pub fn block_count(&self) -> usize {
        self.blocks.len()
    }

    /// The kept alerts, newest last.
    pub fn alerts(&self) -> impl DoubleEndedIterator<Item = &Alert> {
        self.history.iter()
    }

    /// The decisions that wait for approval, by target.
    pub fn pending(&self) -> impl Iterator<Item = &Pending> {
        self.pending.iter().map(|(_, pending)| pending)
    }

    /// The allow list: this node's operators' entries, the fleet's, the configuration's.
    pub fn allowed(&self) -> impl Iterator<Item = &Allowed> {
        self.shield.list()
    }

    /// What is allowed on this node alone: by its operators, and by its configuration.
    pub fn allowed_here(&self) -> impl Iterator<Item = &Allowed> {
        self.shield.here()
    }

    /// What people corrected, oldest first.
    pub fn lessons(&self) -> impl Iterator<Item = &Lesson> {
        self.lessons.iter()
    }

    /// What enforcement does.
    pub fn enforcement(&self) -> EnforcementState {
        self.switches.enforcement.now.state
    }

    /// What enforcement does, and what becomes of it by itself.
    pub fn enforcement_detail(&self) -> Enforcement {
        self.switches.enforcement
    }

    /// Who decides.
    pub fn mode(&self) -> Mode {
        self.switches.mode
    }

    /// Why detection can never block `target`: the allow list's entry or the protected prefix that it overlaps.
    pub fn why_protected(&self, target: &IpNet) -> Option<Protected> {
        self.shield.overlapping(&prefix::canonical_net(*target))
    }

    /// The shortest prefix of the family of `target` that is blocked without force, bits.
    pub const fn shortest_prefix(&self, target: &IpNet) -> u8 {
        let (v4, v6) = self.config.shortest_prefix;
        if matches!(target, IpNet::V4(_)) { v4 } else { v6 }
    }

    /// What was counted since the start.
    pub fn counters(&self) -> Counters {
        let mut counters = self.counters.clone();
        counters.blocks = self.blocks.classes().iter().map(|(class, n)| (*class, *n)).collect();
        counters.blocks.retain(|_, count| *count > 0);
        counters.dropped_reports = self.outbox.dropped_reports();
        counters
    }

    /// What is not as it should be.
    pub fn health(&self, now: Time) -> Vec<Health> {
        let mut list: Vec<Health> = self.blast.shown(now).map(bound).collect();
        list.extend(self.switched());
        list.extend(self.unenforced());
        list.extend(self.unkept(now));
        list.extend(self.full());
        list.extend(self.fleet_health());
        list
    }

    pub(super) fn listed(&self, target: IpNet, held: &Held) -> Listed {
        let state = if let Some(why) = held.withheld {
            BlockState::Withheld(why)
        } else if !self.shield.permits(&target, held) {
            self.shield.overlapping(&target).map_or(BlockState::Shadowed, BlockState::Suspended)
        } else if self.in_force(&target).is_some_and(|first| first.id != held.id) {
            BlockState::Shadowed
        } else if self.switches.on() {
            BlockState::InForce
        } else {
            BlockState::Off
        };
        let unconfirmed = held.forced && self.unconfirmed.contains_key(&target);
        let origin = crate::Origin(self.origin_of(held));
        Listed {
            block: crate::Block { origin, ..held.to_block(target) },
            state,
            forced: held.forced,
            reverts: unconfirmed.then_some(held.expires),
        }
    }

    fn switched(&self) -> Option<Health> {
        let what = match self.enforcement() {
            EnforcementState::On => return None,
            EnforcementState::Off => "enforcement is off: nothing is dropped",
            EnforcementState::Panic => "panic: nothing is dropped until it is over",
        };
        Some(health(HealthLevel::Warn, what.into(), "smartfw-cli enable"))
    }

    fn unenforced(&self) -> Option<Health> {
        let (target, words) = self.failures.iter().next()?;
        let most = if self.failures.len() >= FAILURES { "at least " } else { "" };
        let count = self.failures.len();
        let what = format!("the kernel does not take {most}{count} of the blocks: {target}: {words}");
        Some(health(HealthLevel::Error, what, "smartfw-cli doctor"))
    }

    fn unkept(&self, now: Time) -> Option<Health> {
        let since = self.outbox.owed_since().filter(|since| now.since(*since) >= BEHIND)?;
        let seconds = now.since(since).as_secs();
        let what =
            format!("the disk has kept nothing for {seconds} s: blocks are enforced, and told to nobody");
        Some(health(HealthLevel::Error, what, "look at the state directory: is the disk full or read-only?"))
    }

    fn full(&self) -> impl Iterator<Item = Health> {
        let limits = &self.config.limits;
        let tables = [
            ("blocks", self.blocks.len(), limits.blocks),
            ("automatic blocks", self.blocks.automatic(), limits.automatic_blocks),
            ("blocks of feeds", self.blocks.feeds(), limits.feed_blocks),
            ("pending decisions", self.pending.len(), limits.pending),
            ("allow list entries", self.shield.allowed_len(), limits.allowed),
            ("offenders", self.offenders.len(), limits.offenders),
            ("episodes", self.episodes.len(), limits.offenders),
        ];
        tables.into_iter().filter(|(_, len, limit)| len >= limit).map(|(name, _, limit)| {
            health(
                HealthLevel::Warn,
                format!("as many {name} as there may be: {limit}"),
                "raise the limit, or clear the table",
            )
        })
    }
}

fn bound(veto: Veto) -> Health {
    let remedy = match veto {
        Veto::QueueFull => "smartfw-cli pending; approve or reject what waits",
        Veto::ListFull => "smartfw-cli blocks; unblock what is not needed, or raise the limit",
        _ => "smartfw-cli alerts; block by hand what is an attack",
    };
    health(HealthLevel::Error, String::from(veto.text()), remedy)
}

pub(super) fn health(level: HealthLevel, what: String, remedy: &str) -> Health {
    Health { level, what, remedy: remedy.into() }
}
