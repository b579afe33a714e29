//! What this node itself has seen.

use alloc::{collections::BTreeMap, format, vec::Vec};
use core::{net::IpAddr, time::Duration};

use super::{
    AGAIN, CAMPAIGN_FAILURES, Contribution, FAILING_BYTES, Finding, MAX_CONTRIBUTIONS, MAX_PROBES, MEMORY,
    TRUSTED, campaign::Failing, faded,
};
use crate::{
    Class, Evidence, Time,
    sensor::{LoginKind, Weak},
};

/// Sources whose handshakes prove them, and sources that may be forged: apart, so that a flood of forged ones leaves
/// the others alone. Some 300 bytes each.
const MAX_SOURCES: usize = 8192;
/// Sources that got in within a day.
const MAX_TRUSTED: usize = 16_384;
/// How often everything is told again, changed or not: what was lost is mended.
const REPEAT: Duration = Duration::from_secs(300);

/// Our own counters.
#[derive(Debug, Default)]
pub(super) struct Local {
    proven: BTreeMap<IpAddr, Seen>,
    forged: BTreeMap<IpAddr, Seen>,
    trusted: BTreeMap<IpAddr, Time>,
    /// Kinds whose failures changed since they were told.
    failed: [bool; LoginKind::ALL.len()],
    /// Kinds of which it was told that something fails.
    told: [bool; LoginKind::ALL.len()],
}

#[derive(Clone, Debug)]
struct Seen {
    address: IpAddr,
    first: Time,
    last: Time,
    probes: Vec<(u32, Time)>,
    failures: [(f32, Time); LoginKind::ALL.len()],
    accepted: bool,
    known: bool,
    decided_at: Option<Time>,
    /// When it was told; `None` if it has changed since.
    told_at: Option<Time>,
}

impl Local {
    /// Whether there was room.
    pub(super) fn probed(
        &mut self,
        now: Time,
        source: IpAddr,
        weak: &Weak,
        probe: u32,
        proven: bool,
    ) -> bool {
        let table = if proven { &mut self.proven } else { &mut self.forged };
        let Some(seen) = entry(table, now, source, weak) else { return false };
        seen.probes.retain(|(known, _)| *known != probe);
        if seen.probes.len() >= MAX_PROBES {
            seen.probes.remove(0);
        }
        seen.probes.push((probe, now));
        true
    }

    /// Whether there was room.
    pub(super) fn failed(&mut self, now: Time, source: IpAddr, weak: &Weak, kind: LoginKind) -> bool {
        let trusted = self.is_trusted(now, source);
        let Some(seen) = entry(&mut self.proven, now, source, weak) else { return false };
        let sum = &mut seen.failures[kind as usize];
        *sum = (sum.0 * faded(now.since(sum.1)) + 1.0, now);
        seen.accepted = trusted;
        self.failed[kind as usize] = true;
        true
    }

    /// Somebody got in: what failed before were typos, and what fails within a day will be.
    pub(super) fn accepted(&mut self, now: Time, source: IpAddr, weak: &Weak) {
        if self.trusted.len() < MAX_TRUSTED || self.trusted.contains_key(&source) {
            self.trusted.insert(source, now);
        }
        if let Some(seen) = entry(&mut self.proven, now, source, weak) {
            seen.failures = Default::default();
            seen.accepted = true;
            self.failed = [true; LoginKind::ALL.len()];
        }
    }

    /// Everything is told anew.
    pub(super) fn tell_again(&mut self) {
        self.proven.values_mut().chain(self.forged.values_mut()).for_each(|seen| seen.told_at = None);
        self.failed = [true; LoginKind::ALL.len()];
    }

    pub(super) fn forget(&mut self, now: Time) {
        let kept = |_: &IpAddr, seen: &mut Seen| now.since(seen.last) <= MEMORY;
        self.proven.retain(kept);
        self.forged.retain(kept);
        self.trusted.retain(|_, at| now.since(*at) <= TRUSTED);
    }

    /// The strongest of what has changed, which is now told.
    pub(super) fn changed(&mut self, now: Time) -> Vec<(IpAddr, Contribution)> {
        let due = |seen: &Seen| seen.told_at.is_none_or(|at| now.since(at) >= REPEAT);
        let strength = |seen: &Seen, weight: u32| {
            let failures: f32 = seen.failures.iter().map(|(sum, _)| *sum).sum();
            weight * (seen.probes.len() as u32 + failures as u32) + u32::from(seen.accepted)
        };
        let proven = self
            .proven
            .iter()
            .filter(|(_, seen)| due(seen))
            .map(|(at, seen)| (strength(seen, 10), true, *at));
        let forged = self
            .forged
            .iter()
            .filter(|(_, seen)| due(seen))
            .map(|(at, seen)| (strength(seen, 1), false, *at));
        let mut all: Vec<_> = proven.chain(forged).collect();
        all.sort_unstable_by(|a, b| b.cmp(a));
        all.truncate(MAX_CONTRIBUTIONS);
        let mut sources: Vec<_> = all.into_iter().map(|(_, _, source)| source).collect();
        // One that is in both tables is told once, with both.
        let mut told = alloc::collections::BTreeSet::new();
        sources.retain(|source| told.insert(*source));
        sources.into_iter().filter_map(|source| Some((source, self.contribution(now, source)?))).collect()
    }

    fn contribution(&mut self, now: Time, source: IpAddr) -> Option<Contribution> {
        let (proven, forged) = (self.proven.get_mut(&source), self.forged.get_mut(&source));
        let probes = |seen: &Option<&mut Seen>| {
            seen.as_ref()
                .map(|seen| seen.probes.iter().map(|(probe, _)| *probe).collect())
                .unwrap_or_default()
        };
        let mut contribution = Contribution {
            address: source,
            proven: probes(&proven),
            forged: probes(&forged),
            failures: Default::default(),
            accepted: false,
            known: false,
            first: Duration::ZERO,
            last: Duration::MAX,
        };
        for seen in [forged, proven].into_iter().flatten() {
            contribution.address = seen.address;
            // As of the last sign: from there on the owner lets it fade.
            contribution.failures = seen.failures.map(|(sum, at)| sum * faded(seen.last.since(at)));
            contribution.accepted |= seen.accepted;
            contribution.known |= seen.known;
            contribution.first = contribution.first.max(now.since(seen.first));
            contribution.last = contribution.last.min(now.since(seen.last));
            seen.told_at = Some(now);
        }
        (contribution.last <= MEMORY).then_some(contribution)
    }

    /// Which sources failed within the hour and never got in; `None` if nothing changed.
    pub(super) fn failing(
        &mut self,
        now: Time,
        kind: LoginKind,
        spread: impl Fn(IpAddr) -> usize,
    ) -> Option<Failing> {
        if !core::mem::take(&mut self.failed[kind as usize]) {
            return None;
        }
        let mut places = [0; FAILING_BYTES];
        for (source, seen) in &self.proven {
            let (sum, at) = seen.failures[kind as usize];
            if sum > 0.0 && now.since(at) <= MEMORY && !seen.accepted {
                let place = spread(*source);
                places[place / 8] |= 1 << (place % 8);
            }
        }
        let (any, told) = (places != [0; FAILING_BYTES], &mut self.told[kind as usize]);
        (core::mem::replace(told, any) || any).then_some(Failing(places))
    }

    /// Those of whom we ourselves have seen enough failures for a campaign: one, or all.
    pub(super) fn guessing(&mut self, now: Time, kind: LoginKind, one: Option<IpAddr>) -> Vec<Finding> {
        let all = || self.proven.keys().copied().collect();
        let sources: Vec<_> = one.map_or_else(all, |source| alloc::vec![source]);
        sources.into_iter().filter_map(|source| self.guesses(now, kind, source)).collect()
    }

    fn guesses(&mut self, now: Time, kind: LoginKind, source: IpAddr) -> Option<Finding> {
        let seen = self.proven.get_mut(&source).filter(|seen| !seen.accepted)?;
        let (sum, at) = seen.failures[kind as usize];
        let failures = libm::roundf(sum * faded(now.since(at)));
        if failures < CAMPAIGN_FAILURES
            || seen.decided_at.is_some_and(|at| now.since(at) < AGAIN || at >= seen.last)
        {
            return None;
        }
        seen.decided_at = Some(now);
        Some(Finding {
            address: seen.address,
            class: Class::BruteForce,
            rule: "fleet.campaign",
            evidence: Some(Evidence::Handshake),
            measured: failures,
            limit: CAMPAIGN_FAILURES,
            text: format!(
                "{failures:.0} failed {kind} logins in a campaign of many sources against the fleet"
            ),
            known: seen.known,
        })
    }

    fn is_trusted(&self, now: Time, source: IpAddr) -> bool {
        self.trusted.get(&source).is_some_and(|at| now.since(*at) <= TRUSTED)
    }
}

fn entry<'a>(
    table: &'a mut BTreeMap<IpAddr, Seen>,
    now: Time,
    source: IpAddr,
    weak: &Weak,
) -> Option<&'a mut Seen> {
    if table.len() >= MAX_SOURCES && !table.contains_key(&source) {
        return None;
    }
    let seen = table.entry(source).or_insert_with(|| Seen {
        address: weak.source,
        first: now,
        last: now,
        probes: Vec::new(),
        failures: Default::default(),
        accepted: false,
        known: false,
        decided_at: None,
        told_at: None,
    });
    (seen.address, seen.last, seen.known, seen.told_at) = (weak.source, now, weak.known, None);
    Some(seen)
}
