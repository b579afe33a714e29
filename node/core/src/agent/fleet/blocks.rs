//! What other members' detection says.

use alloc::{sync::Arc, vec::Vec};
use core::time::Duration;

use ipnet::IpNet;

use crate::{
    BlockId, Detector, Evidence, Strength, Time, Withheld,
    blocklist::{Held, Said, Which},
    fleet::{FleetBlock, LogId, NodeId, Version},
    gossip::Voided,
    prefix,
    record::Speaker,
};

use super::{
    super::{Agent, TEXT, clip},
    ORIGINS,
};

/// Blocks without room that are known one by one; more are not counted.
const LEFT_OUT: usize = 10_000;
/// One in so many places of the block list is for operators alone.
const OPERATORS: usize = 16;

impl Agent {
    /// Takes a block that lives in a log: `Effect::Apply` of the logs, also of this node's own. `remaining` is how long
    /// it is still to last; `None` for ever. The logs give no earlier word on a target after a later one.
    pub fn handle_fleet_block(
        &mut self,
        now: Time,
        log: &LogId,
        version: Version,
        block: FleetBlock,
        remaining: Option<Duration>,
    ) {
        self.handle_timeout(now);
        let Some(me) = self.fleet.me else { return };
        let strange = log.site.as_ref().is_some_and(|site| *site != self.fleet.site);
        if strange || self.fleet.orders.revoked(&log.origin) {
            return;
        }
        let block = bounded(block);
        if log.origin == me {
            return self.take_own(now, log, version, block, remaining);
        }
        let said = self.fleet.said(log, version);
        let target = block.target;
        if self
            .blocks
            .said(&target, &said.speaker)
            .and_then(Held::version)
            .is_some_and(|(_, old)| old > version)
        {
            return;
        }
        let Some(expires) =
            self.expires(now, &block, remaining).filter(|_| !self.covered(&target, &log.origin, version))
        else {
            return self.end_said(now, target, &said.speaker);
        };
        let held = self.as_held(now, &said, version, &block, remaining, expires);
        self.keep_said(now, target, held);
    }

    /// What a log said of a target up to a version is void: `Effect::Void` of the logs.
    pub fn handle_fleet_void(&mut self, now: Time, log: &LogId, target: IpNet, upto: Version, _why: Voided) {
        self.handle_timeout(now);
        let Some(me) = self.fleet.me else { return };
        let target = prefix::canonical_net(target);
        if log.origin == me {
            // What this node decided ends by its own word alone.
            if self.fleet.own.get(&target).is_some_and(|known| known.version <= upto) {
                self.fleet.own.remove(&target);
            }
            return;
        }
        let said = self.fleet.said(log, upto);
        let void = |held: &&Held| match held.version() {
            Some((_, version)) => held.words.speaker() == Some(&said.speaker) && version <= upto,
            None => self.is_adopted(held) && (1..=upto.sequence).contains(&said.version(held.id).sequence),
        };
        let void: Vec<Which> = self.blocks.of(&target).iter().filter(void).map(Held::which).collect();
        if !void.is_empty() {
            self.end(now, target, |blocks| blocks.remove_where(&target, |held| void.contains(&held.which())));
        }
    }

    /// Whether the kernel's entry of this id is something that the fleet says: then it was enforced before, and waits
    /// for no quota.
    pub(in super::super) fn enforced_before(&mut self, target: &IpNet, id: BlockId) -> bool {
        let Some(held) =
            self.blocks.of(target).iter().find(|held| held.words.said.is_some() && held.id == id)
        else {
            return false;
        };
        if held.withheld == Some(Withheld::Quota) {
            let which = held.which();
            self.changing(*target, |blocks| blocks.withhold(target, which, None));
        }
        true
    }

    /// Ends what a speaker of the fleet says of a target.
    pub(super) fn end_said(&mut self, now: Time, target: IpNet, speaker: &Speaker) {
        if self.blocks.said(&target, speaker).is_some() {
            let his = |held: &Held| held.words.speaker() == Some(speaker);
            self.end(now, target, |blocks| blocks.remove_where(&target, his));
        }
    }

    /// When a block ends here: its origin's word, within what this node would do itself. `None` when it is over.
    pub(super) fn expires(&self, now: Time, block: &FleetBlock, remaining: Option<Duration>) -> Option<Time> {
        let left = self.longest(strength(block)).saturating_sub(age(block, remaining));
        let left = remaining.map_or(left, |remaining| remaining.min(left));
        (!left.is_zero()).then(|| now.after(left))
    }

    /// How long this node's own block of this kind may last.
    pub(super) fn longest(&self, strength: Strength) -> Duration {
        match strength {
            Strength::Soft => self.config.soft,
            Strength::Hard => {
                let longest = self.config.ladder.iter().max().copied().unwrap_or_default();
                longest.saturating_add(longest / 100 * u32::from(self.config.jitter_percent))
            }
        }
    }

    pub(super) fn as_held(
        &mut self,
        now: Time,
        said: &Arc<Said>,
        version: Version,
        block: &FleetBlock,
        remaining: Option<Duration>,
        expires: Time,
    ) -> Held {
        let age = age(block, remaining).as_nanos().try_into().unwrap_or(u64::MAX);
        Held {
            id: said.id(version.sequence),
            since: Time::from_nanos(now.as_nanos().saturating_sub(age)),
            expires,
            words: self.blocks.words_said(said, "", &block.reason),
            confidence: block.confidence,
            class: block.class,
            strength: strength(block),
            detector: block.detector,
            evidence: block.evidence,
            level: block.level,
            forced: false,
            withheld: Some(Withheld::Quota),
        }
    }

    pub(super) fn keep_said(&mut self, now: Time, target: IpNet, mut held: Held) {
        let Some(speaker) = held.words.speaker().copied() else { return };
        let Some(node) = speaker.charged() else { return };
        let (which, counts) = (held.which(), self.counts(&target, &held));
        self.fleet.left_out.remove(&(target, speaker));
        let before = self.blocks.said(&target, &speaker);
        let counted = before.is_some_and(|old| self.counts(&target, old));
        let evidence = before.map(|old| old.evidence);
        let differs = counts != counted || (counts && evidence != Some(held.evidence));
        match before.map(|old| (old.id, old.expires, old.withheld)) {
            // What is enforced and said again is no new block; and the same word never lasts longer than at first.
            Some((id, expires, withheld)) => {
                held.withheld = withheld;
                if id == held.id {
                    held.expires = held.expires.min(expires);
                }
            }
            None if !self.has_room(&node) => return self.no_room(target, speaker, held.expires),
            None => self.fleet.origins.entry(node).or_default().blocks += 1,
        }
        self.drop_adopted(now, target, held.id);
        self.changing(target, |blocks| blocks.insert(target, held));
        self.rejudge_entries(now, target, |held| held.which() == which);
        if differs {
            self.doubt(target);
        }
    }

    /// A block found no room: it is counted until it would have ended.
    pub(super) fn no_room(&mut self, target: IpNet, speaker: Speaker, until: Time) {
        if self.fleet.left_out.len() < LEFT_OUT {
            self.fleet.left_out.insert((target, speaker), (), until);
        }
    }

    /// Whether one more block of an origin may be held. One origin takes no more than this node's detection may make,
    /// and all together leave room for that and for what operators order. The second half of the room is for those
    /// who have less than their share of it: a few who flood leave it to the others.
    pub(super) fn has_room(&mut self, node: &NodeId) -> bool {
        let limits = &self.config.limits;
        let of_origin = self.fleet.origins.get(node).map_or(0, |source| source.blocks);
        let all = limits.blocks.saturating_sub(limits.automatic_blocks);
        let all = all - all / OPERATORS;
        let share = all / 2 / self.fleet.members.len().max(1);
        let fair = self.blocks.members() < all / 2 || of_origin < share;
        if !self.fleet.origins.contains_key(node) && self.fleet.origins.len() >= ORIGINS {
            self.fleet.origins.retain(|_, source| source.blocks > 0);
        }
        of_origin < limits.automatic_blocks
            && fair
            && self.blocks.members() < all
            && self.blocks.len() < limits.blocks
            && (of_origin > 0 || self.fleet.origins.len() < ORIGINS)
    }

    /// What was found in the kernel without a record has its record now.
    fn drop_adopted(&mut self, now: Time, target: IpNet, id: BlockId) {
        let adopted = |held: &&Held| held.id == id && self.is_adopted(held);
        if let Some(which) = self.blocks.of(&target).iter().find(adopted).map(Held::which) {
            self.end(now, target, |blocks| blocks.remove_where(&target, |held| held.which() == which));
        }
    }

    /// Whether another's block was found in the kernel without a record.
    fn is_adopted(&self, held: &Held) -> bool {
        held.words.said.is_none() && *held.words.origin != *self.config.node
    }
}

impl super::Fleet {
    /// The shared name of what a log says in an epoch.
    fn said(&mut self, log: &LogId, version: Version) -> Arc<Said> {
        let speaker = Speaker::Member { node: log.origin, site: log.site.is_some() };
        let said = Said { speaker, epoch: version.epoch, force: false };
        let Some(source) = self.origins.get_mut(&log.origin) else { return Arc::new(said) };
        match &source.said {
            Some(known) if **known == said => Arc::clone(known),
            _ => Arc::clone(source.said.insert(Arc::new(said))),
        }
    }
}

/// A block with its target in canonical form and everything else within bounds.
pub(super) fn bounded(block: FleetBlock) -> FleetBlock {
    FleetBlock {
        target: prefix::canonical_net(block.target),
        confidence: if block.confidence.is_finite() { block.confidence.clamp(0.0, 1.0) } else { 0.0 },
        reason: clip(block.reason, TEXT),
        level: block.level.max(1),
        ..block
    }
}

/// How much may be dropped on a member's word: everything only where a handshake proves the address. A person needs no
/// proof, and who only pretends to be one is not followed at all.
pub(super) fn strength(block: &FleetBlock) -> Strength {
    let proven = block.evidence == Some(Evidence::Handshake) || block.detector == Detector::Operator;
    if proven { block.strength } else { Strength::Soft }
}

/// How old a block is; one for ever is taken to be new.
fn age(block: &FleetBlock, remaining: Option<Duration>) -> Duration {
    block.duration.zip(remaining).map_or(Duration::ZERO, |(duration, left)| duration.saturating_sub(left))
}
