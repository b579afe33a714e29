//! Targets that detection may not block for a while, because a person said that it was wrong.

use alloc::collections::BTreeSet;

use ipnet::IpNet;

use crate::{Time, nets::Nets};

/// The held back targets and until when.
#[derive(Clone, Debug)]
pub(super) struct HeldBack {
    nets: Nets<Time>,
    ends: BTreeSet<(Time, IpNet)>,
}

impl HeldBack {
    pub(super) const fn new() -> Self {
        Self { nets: Nets::new(), ends: BTreeSet::new() }
    }

    /// The targets that are held back.
    pub(super) fn targets(&self) -> impl Iterator<Item = IpNet> {
        self.nets.iter().map(|(target, _)| *target)
    }

    /// Holds `target` back; of more than `limit` the one that ends first goes, and is returned.
    pub(super) fn insert(&mut self, target: IpNet, until: Time, limit: usize) -> Option<IpNet> {
        self.remove(&target);
        let gone = if self.nets.len() >= limit { self.ends.first().map(|(_, net)| *net) } else { None };
        gone.iter().for_each(|net| self.remove(net));
        self.ends.insert((until, target));
        self.nets.insert(target, until);
        gone
    }

    /// Until when `target`, or a part of it, is held back.
    pub(super) fn until(&self, target: &IpNet) -> Option<Time> {
        self.nets.overlapping(target).map(|(_, until)| *until).max()
    }

    /// Until when exactly `target` is.
    pub(super) fn get(&self, target: &IpNet) -> Option<Time> {
        self.nets.get(target).copied()
    }

    /// Takes a target that may be blocked again.
    pub(super) fn pop_due(&mut self, now: Time) -> Option<IpNet> {
        let (_, target) = self.ends.first().filter(|(until, _)| *until <= now).copied()?;
        self.remove(&target);
        Some(target)
    }

    pub(super) fn next_due(&self) -> Time {
        self.ends.first().map_or(Time::NEVER, |(until, _)| *until)
    }

    fn remove(&mut self, target: &IpNet) {
        if let Some(until) = self.nets.remove(target) {
            self.ends.remove(&(until, *target));
        }
    }
}
