//! The block list: at most one entry for a target and an origin; what is enforced is the strongest and longest of
//! a target's entries that is permitted.

#[cfg(test)]
mod tests;
mod words;

use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::ToString,
    sync::Arc,
    vec::Vec,
};

use ipnet::IpNet;

use crate::{
    Block, BlockId, Class, Detector, Evidence, Origin, Strength, Time, Withheld,
    fleet::{NodeId, Version},
    nets::Nets,
    record::Speaker,
};

use words::Texts;
pub(crate) use words::{Said, Words};

/// One origin's block, small because there may be a million: texts are shared.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Held {
    pub(crate) id: BlockId,
    pub(crate) since: Time,
    /// [`Time::NEVER`] for ever.
    pub(crate) expires: Time,
    pub(crate) words: Arc<Words>,
    pub(crate) confidence: f32,
    pub(crate) class: Class,
    pub(crate) strength: Strength,
    pub(crate) detector: Detector,
    pub(crate) evidence: Option<Evidence>,
    pub(crate) level: u8,
    /// An operator insisted, although the target is wide or protected.
    pub(crate) forced: bool,
    /// Why it is not enforced although it is held: only the fleet's word is ever withheld.
    pub(crate) withheld: Option<Withheld>,
}

impl Held {
    pub(crate) fn which(&self) -> Which {
        (self.id, self.words.speaker().copied())
    }

    /// Whether detection alone made it: a person's word is not bound as strictly.
    pub(crate) fn automatic(&self) -> bool {
        self.detector != Detector::Operator
    }

    /// The member that says so, and under which version.
    pub(crate) fn version(&self) -> Option<(NodeId, Version)> {
        let said = self.words.said.as_ref()?;
        match said.speaker {
            Speaker::Member { node, .. } | Speaker::Foreign { node, .. } => {
                Some((node, said.version(self.id)))
            }
            Speaker::Order(_) => None,
        }
    }

    /// What makes one entry win over another of the same target.
    fn rank(&self) -> (Strength, Time, BlockId) {
        (self.strength, self.expires, self.id)
    }

    /// The block as everybody else sees it.
    pub(crate) fn to_block(&self, target: IpNet) -> Block {
        Block {
            id: self.id,
            target,
            class: self.class,
            origin: Origin(self.words.origin.to_string()),
            confidence: self.confidence,
            strength: self.strength,
            detector: self.detector,
            evidence: self.evidence,
            reason: self.words.reason.to_string(),
            since: self.since,
            expires: (self.expires != Time::NEVER).then_some(self.expires),
            level: self.level,
        }
    }
}

/// What tells an entry from the others of its target. Who speaks chooses the numbers of his words: an id may stand twice.
pub(crate) type Which = (BlockId, Option<Speaker>);

/// Most targets have one entry.
#[derive(Clone, Debug)]
enum Slot {
    One(Held),
    Many(Vec<Held>),
}

impl Slot {
    fn entries(&self) -> &[Held] {
        match self {
            Self::One(held) => core::slice::from_ref(held),
            Self::Many(many) => many,
        }
    }

    fn entries_mut(&mut self) -> &mut [Held] {
        match self {
            Self::One(held) => core::slice::from_mut(held),
            Self::Many(many) => many,
        }
    }

    fn push(&mut self, held: Held) {
        match core::mem::replace(self, Self::Many(Vec::new())) {
            Self::One(first) => *self = Self::Many(alloc::vec![first, held]),
            Self::Many(mut many) => {
                many.push(held);
                *self = Self::Many(many);
            }
        }
    }

    fn deadline(&self) -> Time {
        self.entries().iter().map(|held| held.expires).min().unwrap_or(Time::NEVER)
    }
}

/// Every block of every origin.
#[derive(Clone, Debug)]
pub(crate) struct BlockList {
    nets: Nets<Slot>,
    /// When a target's next entry ends; entries for ever have no deadline.
    deadlines: BTreeSet<(Time, IpNet)>,
    texts: Texts,
    count: usize,
    automatic: usize,
    /// How many entries threat feeds have.
    feeds: usize,
    /// How many entries members of this fleet and of others have, and how many of all are withheld.
    members: usize,
    withheld: usize,
    classes: BTreeMap<Class, usize>,
    /// The targets of forced entries.
    forced: BTreeSet<IpNet>,
}

impl BlockList {
    pub(crate) const fn new() -> Self {
        Self {
            nets: Nets::new(),
            deadlines: BTreeSet::new(),
            texts: Texts::new(),
            count: 0,
            automatic: 0,
            feeds: 0,
            members: 0,
            withheld: 0,
            classes: BTreeMap::new(),
            forced: BTreeSet::new(),
        }
    }

    /// The shared form of an origin and a reason.
    pub(crate) fn words(&mut self, origin: &str, reason: &str) -> Arc<Words> {
        self.texts.shared(origin, reason, None)
    }

    /// The same for what the fleet says.
    pub(crate) fn words_said(&mut self, said: &Arc<Said>, origin: &str, reason: &str) -> Arc<Words> {
        self.texts.shared(origin, reason, Some(said))
    }

    /// Adds an entry; the same speaker's earlier one of that target is replaced and returned.
    pub(crate) fn insert(&mut self, target: IpNet, held: Held) -> Option<Held> {
        let old = self.retain(&target, |other| !other.words.same_speaker(&held.words)).pop();
        self.tally(&target, &held, true);
        match self.nets.get_mut(&target) {
            None => {
                self.reindex(target, Time::NEVER, held.expires);
                self.nets.insert(target, Slot::One(held));
            }
            Some(slot) => {
                let before = slot.deadline();
                slot.push(held);
                let after = slot.deadline();
                self.reindex(target, before, after);
            }
        }
        old
    }

    /// Ends the entry that was decided on this node.
    pub(crate) fn remove(&mut self, target: &IpNet, origin: &str) -> Option<Held> {
        self.retain(target, |held| !held.words.is_local(origin)).pop()
    }

    /// Ends every entry of a target that was decided on this node.
    pub(crate) fn remove_local(&mut self, target: &IpNet) -> Vec<Held> {
        self.retain(target, |held| held.words.said.is_some())
    }

    /// Ends the entries of a target that `which` picks.
    pub(crate) fn remove_where(&mut self, target: &IpNet, which: impl Fn(&Held) -> bool) -> Vec<Held> {
        self.retain(target, |held| !which(held))
    }

    /// Withholds an entry, or no longer.
    pub(crate) fn withhold(&mut self, target: &IpNet, which: Which, why: Option<Withheld>) {
        let Some(slot) = self.nets.get_mut(target) else { return };
        for held in slot.entries_mut().iter_mut().filter(|held| held.which() == which) {
            self.withheld = self.withheld + usize::from(why.is_some()) - usize::from(held.withheld.is_some());
            held.withheld = why;
        }
    }

    /// Ends the entries of a target that are over.
    pub(crate) fn expire(&mut self, target: &IpNet, now: Time) -> Vec<Held> {
        self.retain(target, |held| held.expires > now)
    }

    /// Gives an entry a new end.
    pub(crate) fn extend(&mut self, target: &IpNet, origin: &str, expires: Time) {
        let Some(slot) = self.nets.get_mut(target) else { return };
        let before = slot.deadline();
        for held in slot.entries_mut().iter_mut().filter(|held| held.words.is_local(origin)) {
            held.expires = expires;
        }
        let after = slot.deadline();
        self.reindex(*target, before, after);
    }

    /// Lays the list out anew, without the gaps that inserting one by one leaves.
    pub(crate) fn compact(&mut self) {
        self.nets.compact();
        self.deadlines = core::mem::take(&mut self.deadlines).into_iter().collect();
    }

    /// The entries of a target.
    pub(crate) fn of(&self, target: &IpNet) -> &[Held] {
        self.nets.get(target).map_or(&[], Slot::entries)
    }

    /// The entry of a target that was decided on this node.
    pub(crate) fn get(&self, target: &IpNet, origin: &str) -> Option<&Held> {
        self.of(target).iter().find(|held| held.words.is_local(origin))
    }

    /// What the fleet's speaker says of a target.
    pub(crate) fn said(&self, target: &IpNet, speaker: &Speaker) -> Option<&Held> {
        self.of(target).iter().find(|held| held.words.speaker() == Some(speaker))
    }

    /// The strongest, and of those the longest, entry of a target that is permitted.
    pub(crate) fn strongest(&self, target: &IpNet, permitted: impl Fn(&Held) -> bool) -> Option<&Held> {
        self.of(target).iter().filter(|held| permitted(held)).max_by_key(|held| held.rank())
    }

    /// Every target with its entries.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&IpNet, &[Held])> {
        self.nets.iter().map(|(net, slot)| (net, slot.entries()))
    }

    /// The targets behind `net`, or all, with their entries.
    pub(crate) fn after(&self, net: Option<IpNet>) -> impl Iterator<Item = (&IpNet, &[Held])> {
        self.nets.after(net).map(|(net, slot)| (net, slot.entries()))
    }

    /// The targets that hold all of `net`, itself included, widest first.
    pub(crate) fn covering(&self, net: &IpNet) -> impl Iterator<Item = &IpNet> {
        self.nets.covering(net).map(|(net, _)| net)
    }

    /// The targets within `net`, itself included.
    pub(crate) fn within(&self, net: &IpNet) -> impl Iterator<Item = &IpNet> {
        self.nets.within(net).map(|(net, _)| net)
    }

    /// The targets that share an address with `net`.
    pub(crate) fn overlapping(&self, net: &IpNet) -> impl Iterator<Item = &IpNet> {
        self.nets.overlapping(net).map(|(net, _)| net)
    }

    /// When the next entry ends.
    pub(crate) fn next_due(&self) -> Time {
        self.deadlines.first().map_or(Time::NEVER, |(at, _)| *at)
    }

    /// The target whose entry is over first, when that is by `now`.
    pub(crate) fn due(&self, now: Time) -> Option<IpNet> {
        self.deadlines.first().filter(|(at, _)| *at <= now).map(|(_, target)| *target)
    }

    /// How many entries there are.
    pub(crate) const fn len(&self) -> usize {
        self.count
    }

    /// How many of them detection on this node alone made.
    pub(crate) const fn automatic(&self) -> usize {
        self.automatic
    }

    /// How many of them threat feeds list.
    pub(crate) const fn feeds(&self) -> usize {
        self.feeds
    }

    /// How many of them members of this fleet and of others made.
    pub(crate) const fn members(&self) -> usize {
        self.members
    }

    /// How many of them are withheld.
    pub(crate) const fn withheld(&self) -> usize {
        self.withheld
    }

    /// How many there are of each class.
    pub(crate) const fn classes(&self) -> &BTreeMap<Class, usize> {
        &self.classes
    }

    /// The targets that an operator insisted on.
    pub(crate) const fn forced(&self) -> &BTreeSet<IpNet> {
        &self.forced
    }

    fn retain(&mut self, target: &IpNet, keep: impl Fn(&Held) -> bool) -> Vec<Held> {
        let Some(slot) = self.nets.get_mut(target) else { return Vec::new() };
        if slot.entries().iter().all(&keep) {
            return Vec::new();
        }
        let before = slot.deadline();
        let (kept, gone): (Vec<Held>, Vec<Held>) =
            slot.entries().iter().cloned().partition(|held| keep(held));
        let after = kept.iter().map(|held| held.expires).min().unwrap_or(Time::NEVER);
        if kept.is_empty() {
            self.nets.remove(target);
        } else {
            *slot = Slot::Many(kept);
        }
        self.reindex(*target, before, after);
        gone.iter().for_each(|held| self.tally(target, held, false));
        gone
    }

    fn reindex(&mut self, target: IpNet, before: Time, after: Time) {
        if before == after {
            return;
        }
        self.deadlines.remove(&(before, target));
        if after != Time::NEVER {
            self.deadlines.insert((after, target));
        }
    }

    fn tally(&mut self, target: &IpNet, held: &Held, added: bool) {
        let class = self.classes.entry(held.class).or_default();
        for counter in [&mut self.count, class] {
            *counter = if added { *counter + 1 } else { counter.saturating_sub(1) };
        }
        let count = |counter: &mut usize| {
            *counter = if added { *counter + 1 } else { counter.saturating_sub(1) };
        };
        match held.words.speaker() {
            None if held.detector == Detector::Feed => count(&mut self.feeds),
            None if held.automatic() => count(&mut self.automatic),
            Some(Speaker::Member { .. } | Speaker::Foreign { .. }) => count(&mut self.members),
            None | Some(Speaker::Order(_)) => {}
        }
        if held.withheld.is_some() {
            count(&mut self.withheld);
        }
        match (held.forced, added) {
            (true, true) => drop(self.forced.insert(*target)),
            (true, false) => drop(self.forced.remove(target)),
            (false, _) => {}
        }
    }
}
