//! The control plane: verdicts and orders become blocks, and blocks become effects.
//!
//! The agent holds no handle to anything. After each input the driver takes effects until there are none, and calls
//! [`Agent::handle_timeout`] by [`Agent::poll_timeout`]. At start it gives the stored records to [`Agent::restore`], the
//! kernel's entries without a record to [`Agent::adopt`], what the host observed to [`Agent::handle_protected`], and
//! then makes kernel and sensor agree with [`Agent::desired`]: what is restored brings no effects of its own.

mod blast;
mod effects;
mod episodes;
mod feeds;
mod fleet;
mod heldback;
mod history;
mod inputs;
mod known;
mod offenders;
mod orders;
mod queries;
mod restore;
mod rollup;
mod shield;
mod switches;
mod take;
mod verdicts;

#[cfg(test)]
mod tests;

use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::String,
    vec::Vec,
};

use ipnet::IpNet;

use crate::{
    Class, Time,
    blocklist::{BlockList, Held},
    config::PolicyConfig,
    nets::{ExpiringMap, Nets},
    policy::Veto,
    record::Pending,
};

pub use effects::Effect;
use effects::{Key, Outbox};
pub use feeds::{FeedChange, FeedDone, FeedEntry};
pub use fleet::{
    ABROAD, FleetMember, FleetStamp, FleetWord, Foreigner, Heard, LAST_WORDS, OrderListed, OriginListed,
    REGULARS, is_all_private, is_private, names_private,
};
use shield::Shield;

/// The control plane of one node.
#[derive(Clone, Debug)]
pub struct Agent {
    config: PolicyConfig,
    proxies: Nets<()>,
    chance: crate::chance::Chance,
    blocks: BlockList,
    shield: Shield,
    /// The prefixes that the kernel passes now.
    passing: BTreeSet<IpNet>,
    /// Whether they may have changed since.
    passing_stale: bool,
    /// Forced blocks that revert unless confirmed: when they were ordered, and when they end once confirmed.
    unconfirmed: BTreeMap<IpNet, (Time, Time)>,
    held_back: heldback::HeldBack,
    pending: ExpiringMap<IpNet, Pending>,
    offenders: offenders::Offenders,
    episodes: episodes::Episodes,
    rollup: rollup::Rollup,
    blast: blast::Blast,
    switches: switches::Switches,
    history: history::History,
    lessons: history::Lessons,
    fleet: fleet::Fleet,
    /// Targets that the kernel would not take, with its words.
    failures: BTreeMap<IpNet, String>,
    outbox: Outbox,
    counters: Counters,
    /// The time of the last input.
    seen: Time,
}

/// What the agent has counted since it started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Verdicts taken.
    pub verdicts: u64,
    /// Verdicts about sources that are dropped altogether: they raise nothing.
    pub suppressed: u64,
    /// Episodes reported.
    pub alerts: u64,
    /// Reports that were dropped because the disk did not keep their records in time.
    pub dropped_reports: u64,
    /// Blocks that detection made, by class.
    pub made: BTreeMap<Class, u64>,
    /// Blocks in the list now, of all origins, by class.
    pub blocks: BTreeMap<Class, usize>,
    /// Operators' orders that were over when they came.
    pub orders_over: u64,
    /// Operators' orders that were dropped, since too many waited for room already.
    pub orders_refused: u64,
    /// Verdicts that were answered with less than a block, by reason.
    pub refused: BTreeMap<Veto, u64>,
}

impl Agent {
    /// An agent that knows nothing yet. The same seed and inputs give the same effects.
    pub fn new(config: PolicyConfig, seed: u64, now: Time) -> Self {
        let mut shield = Shield::new();
        shield.configure(now, &config.allow);
        let blocks = BlockList::new();
        Self {
            proxies: proxies(&config),
            chance: crate::chance::Chance::new(seed),
            passing: shield.passing(blocks.forced()),
            passing_stale: false,
            blocks,
            shield,
            unconfirmed: BTreeMap::new(),
            held_back: heldback::HeldBack::new(),
            pending: ExpiringMap::new(),
            offenders: offenders::Offenders::new(),
            episodes: episodes::Episodes::new(),
            rollup: rollup::Rollup::new(),
            blast: blast::Blast::default(),
            switches: switches::Switches::new(config.mode),
            history: history::History::default(),
            lessons: history::Lessons::default(),
            fleet: fleet::Fleet::new(),
            failures: BTreeMap::new(),
            outbox: Outbox::new(),
            counters: Counters::default(),
            seen: now,
            config,
        }
    }

    /// An agent for captures, which may have been taken anywhere: it guards no host, so that loopback is as good as
    /// any other address. What can never be a remote end (unspecified, link-local, multicast, broadcast) stays
    /// protected, as does the allow list.
    pub fn of_captures(config: PolicyConfig, seed: u64, now: Time) -> Self {
        let mut agent = Self::new(config, seed, now);
        agent.shield.expose_loopback();
        agent.passing = agent.shield.passing(agent.blocks.forced());
        agent
    }

    /// The entry that is enforced for exactly `target`.
    fn in_force(&self, target: &IpNet) -> Option<&Held> {
        self.blocks.strongest(target, |held| held.withheld.is_none() && self.shield.permits(target, held))
    }

    /// Changes the entries of a target, and the kernel where that changes what is enforced.
    fn changing<R>(&mut self, target: IpNet, change: impl FnOnce(&mut BlockList) -> R) -> R {
        let forced = self.blocks.forced().contains(&target);
        let before = self.in_force(&target).map(essence);
        let result = change(&mut self.blocks);
        let after = self.in_force(&target).map(essence);
        if before != after {
            self.outbox.targets.push_back((target, before.map(|(strength, ..)| strength)));
        }
        self.passing_stale |= forced || self.blocks.forced().contains(&target);
        result
    }

    /// Ends entries of a target: all, or those that `gone` picks.
    fn end(&mut self, now: Time, target: IpNet, gone: impl FnOnce(&mut BlockList) -> Vec<Held>) -> Vec<Held> {
        let ended = self.changing(target, gone);
        for held in &ended {
            self.fleet_ended(now, target, held);
            // The logs keep what the fleet says.
            if held.words.said.is_none() {
                self.outbox.persist(now, Key::Block(target, held.words.clone()));
            }
            if held.forced {
                self.unconfirmed.remove(&target);
            }
        }
        if ended.iter().any(|held| self.counts(&target, held)) {
            self.doubt(target);
        }
        if self.blocks.of(&target).is_empty() {
            self.failures.remove(&target);
        }
        ended
    }

    /// Changes who is protected within `prefixes`, and the kernel where that changes what is enforced.
    fn reshield(&mut self, prefixes: &[IpNet], change: impl FnOnce(&mut Shield)) {
        let targets: BTreeSet<IpNet> =
            prefixes.iter().flat_map(|prefix| self.blocks.overlapping(prefix)).copied().collect();
        let before: Vec<_> =
            targets.into_iter().map(|target| (target, self.in_force(&target).map(essence))).collect();
        change(&mut self.shield);
        for (target, before) in before {
            if before != self.in_force(&target).map(essence) {
                self.outbox.targets.push_back((target, before.map(|(strength, ..)| strength)));
            }
        }
        self.passing_stale = true;
    }

    /// Does what is done once for however much has changed, before the effects are given.
    fn settle_changes(&mut self) {
        self.settle_fleet(self.seen);
        if core::mem::take(&mut self.passing_stale) {
            self.refresh_passing();
        }
    }

    fn refresh_passing(&mut self) {
        let passing = self.shield.passing(self.blocks.forced());
        self.outbox.passes.extend(self.passing.symmetric_difference(&passing));
        self.passing = passing;
    }
}

/// What the kernel knows of an entry.
fn essence(held: &Held) -> (crate::Strength, Time, crate::BlockId) {
    (held.strength, held.expires, held.id)
}

fn proxies(config: &PolicyConfig) -> Nets<()> {
    let mut nets = Nets::new();
    for proxy in &config.proxies {
        nets.insert(crate::prefix::canonical_net(*proxy), ());
    }
    nets
}

/// `text`, cut at a character's end to at most `limit` bytes: everything that is kept has a limit.
fn clip(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        let end = (0..=limit).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

/// Bytes of a reason or a comment: two lines of a terminal.
const TEXT: usize = 256;
