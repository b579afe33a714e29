//! Who is never dropped: what the host observed, what every host protects, and the allow list.

use alloc::{collections::BTreeSet, string::String, vec::Vec};

use ipnet::IpNet;

use crate::{
    Time,
    blocklist::Held,
    nets::Nets,
    order::Allowed,
    prefix,
    protect::{Protected, ProtectedSet, Why},
};

/// What the allow list's entries out of the configuration file say of themselves.
pub(super) const CONFIGURED: &str = "configuration file";

/// The protected prefixes and the allow list.
#[derive(Clone, Debug)]
pub(super) struct Shield {
    /// What every host protects, the members of the fleet, and what this host observed.
    observed: Nets<Protected>,
    host: ProtectedSet,
    members: Vec<Protected>,
    allowed: Nets<Allowed>,
    configured: Nets<Allowed>,
    /// What operators allow for the whole fleet.
    ordered: Nets<Allowed>,
    /// When operators' entries end.
    ends: BTreeSet<(Time, IpNet)>,
}

impl Shield {
    pub(super) fn new() -> Self {
        Self {
            observed: together(&[], &ProtectedSet::default()),
            host: ProtectedSet::default(),
            members: Vec::new(),
            allowed: Nets::new(),
            configured: Nets::new(),
            ordered: Nets::new(),
            ends: BTreeSet::new(),
        }
    }

    /// Takes what the host observed; what every host protects stays.
    pub(super) fn observe(&mut self, protected: ProtectedSet) {
        self.observed = together(&self.members, &protected);
        self.host = protected;
    }

    /// Takes the members of the fleet.
    pub(super) fn admit(&mut self, members: Vec<Protected>) {
        self.observed = together(&members, &self.host);
        self.members = members;
    }

    /// Takes what operators allow of exactly `target` for the whole fleet; `None` for nothing.
    pub(super) fn order(&mut self, target: IpNet, allowed: Option<Allowed>) {
        self.ordered.remove(&target);
        allowed.into_iter().for_each(|allowed| drop(self.ordered.insert(target, allowed)));
    }

    /// Takes loopback for addresses like others, until the host is observed.
    pub(super) fn expose_loopback(&mut self) {
        let loopback = |(_, protected): &(&IpNet, &Protected)| protected.why == Why::Loopback;
        let nets: Vec<IpNet> = self.observed.iter().filter(loopback).map(|(net, _)| *net).collect();
        nets.iter().for_each(|net| drop(self.observed.remove(net)));
    }

    /// Takes the allow list out of the configuration file.
    pub(super) fn configure(&mut self, now: Time, allow: &[IpNet]) {
        self.configured = Nets::new();
        for target in allow.iter().copied().map(prefix::canonical_net) {
            let comment = String::from(CONFIGURED);
            self.configured.insert(target, Allowed { target, since: now, expires: None, comment });
        }
    }

    pub(super) fn allow(&mut self, allowed: Allowed) {
        self.disallow(&allowed.target.clone());
        self.ends.extend(allowed.expires.map(|at| (at, allowed.target)));
        self.allowed.insert(allowed.target, allowed);
    }

    pub(super) fn disallow(&mut self, target: &IpNet) -> Option<Allowed> {
        let allowed = self.allowed.remove(target)?;
        if let Some(at) = allowed.expires {
            self.ends.remove(&(at, *target));
        }
        Some(allowed)
    }

    /// Why `target` is never dropped by detection: the allow list's word first, as a person's.
    pub(super) fn overlapping(&self, target: &IpNet) -> Option<Protected> {
        match self.allowed_overlapping(target) {
            Some(allowed) => Some(as_protected(allowed)),
            None => self.observed_overlapping(target).cloned(),
        }
    }

    /// What a forced block of `target` would lift.
    pub(super) fn observed_overlapping(&self, target: &IpNet) -> Option<&Protected> {
        self.observed.overlapping(target).next().map(|(_, protected)| protected)
    }

    /// The allow list's entry that shares an address with `target`.
    pub(super) fn allowed_overlapping(&self, target: &IpNet) -> Option<&Allowed> {
        self.allowed
            .overlapping(target)
            .chain(self.ordered.overlapping(target))
            .chain(self.configured.overlapping(target))
            .next()
            .map(|(_, entry)| entry)
    }

    /// The allow list's entry that holds all of `target`: not even a forced block is carried out.
    pub(super) fn allowed_covering(&self, target: &IpNet) -> Option<&Allowed> {
        self.allowed
            .covering(target)
            .chain(self.ordered.covering(target))
            .chain(self.configured.covering(target))
            .next()
            .map(|(_, entry)| entry)
    }

    /// Whether the kernel may be asked to drop `target` on this entry's word. Detection yields to every overlap. A
    /// person's block of a wider prefix stands, since the kernel passes what is protected within it; a block of
    /// what is protected altogether needs force, and nothing drops what is allowed altogether.
    pub(super) fn permits(&self, target: &IpNet, held: &Held) -> bool {
        if held.automatic() {
            self.allowed_overlapping(target).is_none() && self.observed_overlapping(target).is_none()
        } else {
            self.allowed_covering(target).is_none()
                && (held.forced || self.observed.covering(target).next().is_none())
        }
    }

    /// The prefixes that the kernel passes: all, but for what forced blocks lift out of them. The allow list is
    /// never lifted.
    pub(super) fn passing(&self, forced: &BTreeSet<IpNet>) -> BTreeSet<IpNet> {
        let mut lifting = Nets::new();
        for target in forced.iter().filter(|target| self.allowed_covering(target).is_none()) {
            lifting.insert(*target, ());
        }
        let mut passing: BTreeSet<IpNet> = self.list().map(|entry| entry.target).collect();
        self.observed.iter().for_each(|(net, _)| pass_around(*net, &lifting, &mut passing));
        passing
    }

    /// The prefixes in which the protected set would differ.
    pub(super) fn difference(&self, protected: &ProtectedSet) -> Vec<IpNet> {
        difference(&self.observed, &together(&self.members, protected))
    }

    /// The prefixes in which it would differ with these members.
    pub(super) fn difference_of(&self, members: &[Protected]) -> Vec<IpNet> {
        difference(&self.observed, &together(members, &self.host))
    }

    /// An operator's entry of the allow list.
    pub(super) fn allowed(&self, target: &IpNet) -> Option<&Allowed> {
        self.allowed.get(target)
    }

    /// The configuration file's entry for exactly `target`.
    pub(super) fn configured(&self, target: &IpNet) -> Option<Protected> {
        self.configured.get(target).map(as_protected)
    }

    /// How many entries operators have made.
    pub(super) fn allowed_len(&self) -> usize {
        self.allowed.len()
    }

    /// The whole allow list: this node's operators' entries, the fleet's, the configuration's.
    pub(super) fn list(&self) -> impl Iterator<Item = &Allowed> {
        self.allowed.iter().chain(self.ordered.iter()).chain(self.configured.iter()).map(|(_, entry)| entry)
    }

    /// This node's operators' entries and the configuration's.
    pub(super) fn here(&self) -> impl Iterator<Item = &Allowed> {
        self.allowed.iter().chain(self.configured.iter()).map(|(_, entry)| entry)
    }

    /// The operators' entries.
    pub(super) fn operators(&self) -> impl Iterator<Item = &Allowed> {
        self.allowed.iter().map(|(_, entry)| entry)
    }

    /// When the next operator's entry ends.
    pub(super) fn next_due(&self) -> Time {
        self.ends.first().map_or(Time::NEVER, |(at, _)| *at)
    }

    /// The operator's entry that is over first, when that is by `now`.
    pub(super) fn due(&self, now: Time) -> Option<IpNet> {
        self.ends.first().filter(|(at, _)| *at <= now).map(|(_, target)| *target)
    }
}

/// Adds what is left of `net` around the lifted prefixes: one piece for each bit between their lengths.
fn pass_around(net: IpNet, lifting: &Nets<()>, passing: &mut BTreeSet<IpNet>) {
    if lifting.covering(&net).next().is_some() {
        return;
    }
    match (lifting.within(&net).next(), net.subnets(net.prefix_len() + 1)) {
        (Some(_), Ok(halves)) => halves.for_each(|half| pass_around(half, lifting, passing)),
        (None, _) | (_, Err(_)) => drop(passing.insert(net)),
    }
}

fn together(members: &[Protected], host: &ProtectedSet) -> Nets<Protected> {
    let mut nets = Nets::new();
    // A more telling reason of the host itself replaces the general one.
    for entry in ProtectedSet::of_every_host().iter().chain(members).chain(host.iter()) {
        nets.insert(entry.net, entry.clone());
    }
    nets
}

fn difference(old: &Nets<Protected>, new: &Nets<Protected>) -> Vec<IpNet> {
    let keys = |nets: &Nets<Protected>| nets.iter().map(|(net, _)| *net).collect::<BTreeSet<_>>();
    keys(old).symmetric_difference(&keys(new)).copied().collect()
}

pub(super) fn as_protected(allowed: &Allowed) -> Protected {
    Protected { net: allowed.target, why: Why::AllowList, detail: allowed.comment.clone() }
}
