//! What a person without an operator's key ends on this node alone.

use alloc::vec::Vec;

use ipnet::IpNet;

use crate::{
    Block, Time, Withheld,
    blocklist::Held,
    fleet::{OUTLIVES, Version},
    record::{Overruled, Speaker},
};

use super::super::{Agent, effects::Key};

impl Agent {
    /// Withholds what the fleet says within `target`; gives what was not withheld for that reason already.
    pub(in super::super) fn overrule(&mut self, now: Time, target: IpNet) -> Vec<Block> {
        let mut ended = Vec::new();
        let targets: Vec<IpNet> = self.blocks.within(&target).copied().collect();
        for target in targets {
            let said = |held: &&Held| held.words.said.is_some() && held.withheld != Some(Withheld::Unblocked);
            let entries: Vec<Held> = self.blocks.of(&target).iter().filter(said).cloned().collect();
            for held in &entries {
                ended.push(self.listed(target, held).block);
                self.overrule_entry(now, target, held);
            }
            self.rejudge_exactly(now, target);
        }
        ended
    }

    fn overrule_entry(&mut self, now: Time, target: IpNet, held: &Held) {
        let Some(speaker) = held.words.speaker().copied() else { return };
        let upto = held.version().map_or_else(Version::default, |(_, version)| version);
        let until = held.expires.after(OUTLIVES);
        self.remember_overruled(now, Overruled { target, speaker, upto, until });
    }

    /// Remembers what was ended here: at most as many as the allow list may have, since both are made by hand. What is
    /// over first goes first.
    pub(super) fn remember_overruled(&mut self, now: Time, overruled: Overruled) {
        let key = (overruled.target, overruled.speaker);
        let full = self.fleet.overruled.get(&key).is_none()
            && self.fleet.overruled.len() >= self.config.limits.allowed;
        if let Some((gone, _)) = full.then(|| self.fleet.overruled.pop_first()).flatten() {
            self.outbox.persist(now, Key::Overruled(gone.0, gone.1));
            self.rejudge_exactly(now, gone.0);
        }
        let until = overruled.until;
        self.fleet.overruled.insert(key, overruled, until);
        self.outbox.persist(now, Key::Overruled(key.0, key.1));
    }

    pub(in super::super) fn restore_overruled(&mut self, now: Time, overruled: Overruled) {
        let key = (overruled.target, overruled.speaker);
        if overruled.until <= now {
            return self.outbox.persist(now, Key::Overruled(key.0, key.1));
        }
        let until = overruled.until;
        self.fleet.overruled.insert(key, overruled, until);
    }

    pub(in super::super) fn overruled_record(&self, target: IpNet, speaker: Speaker) -> Option<Overruled> {
        self.fleet.overruled.get(&(target, speaker)).cloned()
    }

    /// Whether a person on this node ended this entry.
    pub(super) fn is_overruled(&self, target: &IpNet, held: &Held) -> bool {
        let Some(speaker) = held.words.speaker() else { return false };
        let overruled = self.fleet.overruled.get(&(*target, *speaker));
        overruled.is_some_and(|over| held.version().is_none_or(|(_, version)| version <= over.upto))
    }
}
