//! Addresses that no honest member blocks: who does is a liar.

use ipnet::IpNet;

use crate::{Time, nets::Nets};

/// Canaries, with those that were taken back: each is one address that an operator keeps an eye on.
pub(super) const CANARIES: usize = 1000;

#[derive(Clone, Debug)]
pub(super) struct Canaries(Nets<Canary>);

/// The last word on an address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Canary {
    /// When it was signed, and by which order.
    pub(super) word: (Time, u128),
    pub(super) watched: bool,
    /// Since when it has been declared without a break, by this node's clock.
    pub(super) born: Time,
}

impl Canaries {
    pub(super) const fn new() -> Self {
        Self(Nets::new())
    }

    /// Whether there is room for a word on this target.
    pub(super) fn room(&self, target: &IpNet) -> bool {
        self.0.get(target).is_some() || self.0.len() < CANARIES
    }

    /// Takes a word; says whether it is the last one, by when they were signed.
    pub(super) fn insert(&mut self, target: IpNet, canary: Canary) -> bool {
        let Some(old) = self.0.get_mut(&target) else {
            self.0.insert(target, canary);
            return true;
        };
        let last = old.word < canary.word;
        let born = if old.watched && canary.watched { old.born.min(canary.born) } else { canary.born };
        if last {
            *old = Canary { born, ..canary };
        } else if old.watched && canary.watched {
            old.born = born;
        }
        last
    }

    pub(super) fn remove(&mut self, target: &IpNet) {
        self.0.remove(target);
    }

    /// The canary that shares an address with `target`.
    pub(super) fn overlapping(&self, target: &IpNet) -> Option<(&IpNet, &Canary)> {
        self.0.overlapping(target).find(|(_, canary)| canary.watched)
    }

    /// Since when a canary that shares an address with `target` is declared, and by which order last.
    pub(super) fn declared(&self, target: &IpNet) -> Option<(Time, u128)> {
        let watched = self.0.overlapping(target).filter(|(_, canary)| canary.watched);
        watched.map(|(_, canary)| (canary.born, canary.word.1)).min()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
