//! What this node says to the fleet, and what the fleet says of it.

use alloc::{string::ToString, vec::Vec};
use core::time::Duration;

use ipnet::IpNet;

use crate::{
    Detector, Time,
    blocklist::Held,
    fleet::{Entry, FleetBlock, LogId, OUTLIVES, TEXT_BYTES, Version},
    gossip::Audience,
    record::{Overruled, Speaker},
};

use super::{
    super::{
        Agent, clip,
        effects::{Key, SAYS},
    },
    Known, UNSAID, WITHDRAWN, is_private,
};

impl Agent {
    /// The fleet is to hear what this node's detection says of a target now.
    pub(in super::super) fn tell(&mut self, target: IpNet, until: Time) {
        if self.fleet.me.is_none() {
            return;
        }
        self.fleet.withdrawn.remove(&target);
        if let Some(known) = self.fleet.own.get_mut(&target) {
            known.returned = false;
        }
        self.say(target, until);
    }

    fn say(&mut self, target: IpNet, until: Time) {
        if !self.outbox.say(target, until) {
            // What had to go is found again among what was not said.
            self.fleet.counters.says += 1;
            self.fleet.unsaid_at = self.fleet.unsaid_at.min(self.seen.after(UNSAID));
        }
    }

    /// The logs had no room for what was said: it is said again in ten seconds, as it is then.
    pub fn handle_unsaid(&mut self, now: Time, entry: &Entry) {
        self.handle_timeout(now);
        let (target, lasts) = match entry {
            Entry::Block(block) => (block.target, block.duration),
            Entry::Withdraw { target, lasts } => (*target, lasts.map(|lasts| lasts.saturating_sub(OUTLIVES))),
            Entry::Order(_) | Entry::Sessions { .. } | Entry::Coordinator { .. } | Entry::Unknown { .. } => {
                return;
            }
        };
        if self.fleet.unsaid.len() >= SAYS && self.fleet.unsaid.get(&target).is_none() {
            self.fleet.counters.says += 1;
            return self.fleet.unsaid_at = self.fleet.unsaid_at.min(now.after(UNSAID));
        }
        let until = lasts.map_or(Time::NEVER, |lasts| now.after(lasts));
        self.fleet.unsaid.insert(target, until, now.after(UNSAID));
    }

    /// Says again what the logs had no room for.
    pub(super) fn say_again(&mut self, now: Time) {
        while let Some((target, until)) = self.fleet.unsaid.pop_due(now) {
            self.say(target, until);
        }
    }

    /// What is said of a target: this node's block as it is now, or that there is none.
    pub(in super::super) fn word(&self, target: IpNet, until: Time) -> (Audience, Entry) {
        let audience = if is_private(&target) { Audience::Site } else { Audience::Cluster };
        let lasts = |until: Time| (until != Time::NEVER).then(|| until.since(self.seen));
        let ours = self.blocks.get(&target, &self.config.node).filter(|held| held.automatic());
        let entry = match ours {
            Some(held) => Entry::Block(FleetBlock {
                target,
                class: held.class,
                confidence: held.confidence,
                strength: held.strength,
                detector: held.detector,
                evidence: held.evidence,
                reason: clip(held.words.reason.to_string(), TEXT_BYTES),
                level: held.level,
                duration: lasts(held.expires),
            }),
            None => {
                Entry::Withdraw { target, lasts: lasts(until).map(|lasts| lasts.saturating_add(OUTLIVES)) }
            }
        };
        (audience, entry)
    }

    /// This node's blocks that the logs do not know.
    pub(super) fn say_unsaid(&mut self) {
        if self.fleet.me.is_none() {
            return;
        }
        let unsaid = |(target, entries): (&IpNet, &[Held])| {
            let ours = entries
                .iter()
                .find(|held| held.words.said.is_none() && *held.words.origin == *self.config.node)?;
            (ours.automatic() && !self.fleet.own.contains_key(target)).then_some((*target, ours.expires))
        };
        let unsaid: Vec<_> = self.blocks.iter().filter_map(unsaid).collect();
        unsaid.into_iter().for_each(|(target, until)| self.say(target, until));
    }

    /// An entry ended: what the fleet knows of it is taken back, unless it is over anyway.
    pub(in super::super) fn fleet_ended(&mut self, now: Time, target: IpNet, held: &Held) {
        match held.words.speaker() {
            Some(speaker) => {
                let charged = speaker.charged();
                let his = |held: &Held| held.words.speaker().and_then(Speaker::charged) == charged;
                // Of another cluster others may wait for the same.
                let said = self.blocks.of(&target).iter().any(his);
                if let Some(source) = charged.and_then(|node| self.fleet.origins.get_mut(&node)) {
                    source.blocks = source.blocks.saturating_sub(1);
                    if !said {
                        source.waiting.remove(&target);
                    }
                }
                if matches!(speaker, Speaker::Foreign { .. }) {
                    self.outbox.persist(now, Key::Foreign(target, *speaker));
                }
            }
            None if *held.words.origin == *self.config.node => self.own_ended(now, target, held),
            None => {}
        }
    }

    fn own_ended(&mut self, now: Time, target: IpNet, held: &Held) {
        let (Some(node), version) = (self.fleet.me, self.fleet.own.remove(&target)) else { return };
        if held.expires <= now || (version.is_none() && !held.automatic()) {
            return;
        }
        self.fleet.withdrawn.insert(target, (), now.after(WITHDRAWN));
        if let Some(Known { version: upto, .. }) = version {
            let speaker = Speaker::Member { node, site: is_private(&target) };
            let until = held.expires.after(OUTLIVES);
            self.remember_overruled(now, Overruled { target, speaker, upto, until });
        }
        self.say(target, held.expires);
    }

    /// The logs tell what this node has said. What it does not know any more, since its store is new, it takes for
    /// its own again.
    pub(super) fn take_own(
        &mut self,
        now: Time,
        log: &LogId,
        version: Version,
        block: FleetBlock,
        remaining: Option<Duration>,
    ) {
        let target = block.target;
        let speaker = Speaker::Member { node: log.origin, site: log.site.is_some() };
        let before = self.fleet.own.get(&target).copied();
        if before.is_some_and(|known| known.version > version) {
            return;
        }
        let returned = before.is_some_and(|known| known.returned);
        self.fleet.own.insert(target, Known { version, returned });
        let covered =
            self.covered(&target, &log.origin, version) || self.fleet.canaries.overlapping(&target).is_some();
        let overruled = self.fleet.overruled.get(&(target, speaker)).is_some_and(|over| version <= over.upto);
        let held = self.blocks.get(&target, &self.config.node).is_some();
        match self.expires(now, &block, remaining) {
            _ if held && covered => self.end_own(now, target),
            Some(expires) if held && returned => self.take_back(now, target, block, expires),
            _ if held || self.fleet.withdrawn.get(&target).is_some() => {}
            Some(expires) if covered || overruled => self.say(target, expires),
            Some(expires) => self.take_back(now, target, block, expires),
            None => {}
        }
        if self.blocks.get(&target, &self.config.node).is_none() {
            self.fleet.own.remove(&target);
        }
    }

    /// Ends this node's block of a target.
    pub(super) fn end_own(&mut self, now: Time, target: IpNet) {
        let node = self.config.node.clone();
        self.end(now, target, |blocks| blocks.remove(&target, &node).into_iter().collect());
    }

    fn take_back(&mut self, now: Time, target: IpNet, block: FleetBlock, expires: Time) {
        let limits = &self.config.limits;
        let new = self.blocks.get(&target, &self.config.node).is_none();
        let full = self.blocks.automatic() >= limits.automatic_blocks || self.blocks.len() >= limits.blocks;
        if new && full {
            let node = self.fleet.me.unwrap_or(crate::fleet::NodeId([0; 32]));
            return self.no_room(target, Speaker::Member { node, site: false }, expires);
        }
        if block.detector == Detector::Operator || target.prefix_len() == 0 {
            return;
        }
        let words = self.blocks.words(&self.config.node, &block.reason);
        let held = Held {
            id: self.chance.id(),
            since: now,
            expires,
            words: words.clone(),
            confidence: block.confidence,
            class: block.class,
            strength: super::blocks::strength(&block),
            detector: block.detector,
            evidence: block.evidence,
            level: block.level,
            forced: false,
            withheld: None,
        };
        self.changing(target, |blocks| blocks.insert(target, held));
        self.outbox.persist(now, Key::Block(target, words));
        if let Some(known) = self.fleet.own.get_mut(&target) {
            known.returned = true;
        }
    }
}
