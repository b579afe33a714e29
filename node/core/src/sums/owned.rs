//! What others, and we, have said of the sources that are ours to add up.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    format,
    vec::Vec,
};
use core::net::IpAddr;

use super::{
    AGAIN, CAMPAIGN_FAILURES, CAMPAIGN_FAILURES_OF_ONE, Contribution, FAILURES, FAILURES_OF_ONE, Finding,
    MAX_PROBES, MEMORY, NODES, PROBES, PROBES_OF_ONE, TRUSTED, faded,
};
use crate::{Class, Evidence, Time, fleet::NodeId, sensor::LoginKind};

/// Sources added up here: some 1,000 bytes each at most.
const MAX_SOURCES: usize = 32_768;
/// Of which one member can bring so many: eight that lie together fill the table.
const MAX_OF_ONE: usize = 4096;
/// Nodes whose word about one source is kept: more add nothing to a sum of five or ten.
const MAX_PARTS: usize = 16;
/// Nodes whose word that a source got in is kept for a day: two are believed.
const MAX_VOUCHING: usize = 4;
/// Probes of a source that were decided about, kept for a day: a monitor of twenty services.
const MAX_JUDGED: usize = 64;

/// The sums.
#[derive(Debug, Default)]
pub(super) struct Owned {
    sums: BTreeMap<IpAddr, Sum>,
    brought: BTreeMap<NodeId, usize>,
    changed: BTreeSet<IpAddr>,
}

#[derive(Debug, Default)]
struct Sum {
    parts: Vec<Part>,
    /// Probes that were decided about: who asks for them again is a monitor, and has been told.
    judged: Vec<u32>,
    probes_at: Option<Time>,
    forged_at: Option<Time>,
    failures_at: Option<Time>,
    /// Who has seen it get in, and when last.
    accepted: Vec<(NodeId, Time)>,
    /// When this node itself has.
    seen_at: Option<Time>,
    touched: Time,
    bringer: Option<NodeId>,
}

#[derive(Debug)]
struct Part {
    node: NodeId,
    said: Contribution,
    /// When the last of it was seen.
    at: Time,
}

impl Owned {
    /// Takes in what `from`, this node or another, says; whether there was room.
    pub(super) fn add(
        &mut self,
        now: Time,
        (from, own): (NodeId, bool),
        source: IpAddr,
        mut said: Contribution,
    ) -> bool {
        if said.last > MEMORY {
            return true;
        }
        said.proven.truncate(MAX_PROBES);
        said.forged.truncate(MAX_PROBES);
        said.failures =
            said.failures.map(|sum| if sum.is_finite() { sum.clamp(0.0, FAILURES_OF_ONE) } else { 0.0 });
        if !self.sums.contains_key(&source) && !self.has_room(from) {
            return false;
        }
        let sum = self.sums.entry(source).or_insert_with(|| Sum { bringer: Some(from), ..Sum::default() });
        sum.touched = now;
        if said.accepted {
            sum.vouch(now, from, own);
        }
        sum.parts.retain(|part| part.node != from && now.since(part.at) <= MEMORY);
        let at = Time::from_nanos(now.as_nanos().saturating_sub(said.last.as_nanos() as u64));
        let room = sum.parts.len() < MAX_PARTS;
        self.changed.insert(source);
        if room {
            sum.parts.push(Part { node: from, said, at });
        }
        room
    }

    /// What several nodes together say against `source`, if it is enough.
    pub(super) fn judge(&mut self, now: Time, source: IpAddr, campaigns: &[bool]) -> Vec<Finding> {
        let Some(sum) = self.sums.get_mut(&source) else { return Vec::new() };
        let found = [sum.scans(now, true), sum.scans(now, false), sum.guesses(now, campaigns)];
        found.into_iter().flatten().flat_map(|finding| sum.everybody(finding)).collect()
    }

    /// Sources of whom something new was said since the last time.
    pub(super) fn changed(&mut self) -> BTreeSet<IpAddr> {
        core::mem::take(&mut self.changed)
    }

    /// A campaign begins: what was too little may be enough.
    pub(super) fn judge_all_again(&mut self) {
        self.changed = self.sums.keys().copied().collect();
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.sums.len()
    }

    pub(super) fn forget(&mut self, now: Time) {
        let brought = &mut self.brought;
        self.sums.retain(|_, sum| {
            let memory = if sum.judged.is_empty() && sum.accepted.is_empty() { MEMORY } else { TRUSTED };
            let kept = now.since(sum.touched) <= memory;
            if let Some(count) = sum.bringer.filter(|_| !kept).and_then(|node| brought.get_mut(&node)) {
                *count = count.saturating_sub(1);
            }
            kept
        });
        self.brought.retain(|_, count| *count > 0);
    }

    fn has_room(&mut self, from: NodeId) -> bool {
        let brought = self.brought.entry(from).or_default();
        let room = self.sums.len() < MAX_SOURCES && *brought < MAX_OF_ONE;
        *brought += usize::from(room);
        room
    }
}

impl Sum {
    fn scans(&mut self, now: Time, proven: bool) -> Option<Finding> {
        let decided_at = if proven { self.probes_at } else { self.forged_at };
        if decided_at.is_some_and(|at| now.since(at) < AGAIN) {
            return None;
        }
        let judged = &self.judged;
        let new = |probe: &&u32| !judged.contains(probe);
        let (measured, nodes) = total(&self.parts, now, PROBES_OF_ONE, |said| {
            let probes = if proven { &said.proven } else { &said.forged };
            probes.iter().filter(new).count() as f32
        });
        if nodes < NODES || measured < PROBES {
            return None;
        }
        let probes = |part: &Part| if proven { part.said.proven.clone() } else { part.said.forged.clone() };
        for probe in self.parts.iter().flat_map(probes).collect::<Vec<u32>>() {
            if !self.judged.contains(&probe) {
                self.judged.push(probe);
            }
        }
        // The oldest are forgotten first.
        self.judged.drain(..self.judged.len().saturating_sub(MAX_JUDGED));
        *if proven { &mut self.probes_at } else { &mut self.forged_at } = Some(now);
        let (rule, evidence, how) = match proven {
            true => ("fleet.probes", Some(Evidence::Handshake), "opened and left"),
            false => {
                ("fleet.forgeable_probes", None, "asked in vain, by packets that anybody could have forged,")
            }
        };
        let text = format!("{measured:.0} ports {how} on {nodes} nodes within the hour");
        Some(self.finding(Class::PortScan, rule, evidence, (measured, PROBES), text))
    }

    fn guesses(&mut self, now: Time, campaigns: &[bool]) -> Option<Finding> {
        if self.trusted(now) || self.failures_at.is_some_and(|at| now.since(at) < AGAIN) {
            return None;
        }
        // What was decided about does not count again.
        let since = self.failures_at.unwrap_or(Time::ZERO);
        // Who says that it got in says nothing against it; what others have seen stands.
        let parts = || self.parts.iter().filter(|part| part.at > since && !part.said.accepted);
        let all = total(parts(), now, FAILURES_OF_ONE, |said| said.failures.iter().sum());
        let mut found = (all.1 >= NODES && all.0 >= FAILURES).then_some((all, FAILURES, "fleet.failures"));
        for kind in LoginKind::ALL.iter().filter(|kind| campaigns.get(**kind as usize) == Some(&true)) {
            let few = total(parts(), now, CAMPAIGN_FAILURES_OF_ONE, |said| said.failures[*kind as usize]);
            // One node alone decides for itself.
            if found.is_none() && few.1 >= 2 && few.0 >= CAMPAIGN_FAILURES {
                found = Some((few, CAMPAIGN_FAILURES, "fleet.campaign"));
            }
        }
        let ((measured, nodes), limit, rule) = found?;
        self.failures_at = Some(now);
        let text = match rule {
            "fleet.campaign" => format!(
                "{measured:.0} failed logins on {nodes} nodes in a campaign of many sources against the fleet"
            ),
            _ => format!("{measured:.0} failed logins on {nodes} nodes within the hour"),
        };
        Some(self.finding(Class::BruteForce, rule, Some(Evidence::Handshake), (measured, limit), text))
    }

    /// Somebody has seen the source get in.
    fn vouch(&mut self, now: Time, from: NodeId, own: bool) {
        if own {
            self.seen_at = Some(now);
        }
        self.accepted.retain(|(node, at)| *node != from && now.since(*at) <= TRUSTED);
        if self.accepted.len() < MAX_VOUCHING {
            self.accepted.push((from, now));
        }
    }

    /// Whether the source got in within a day: this node has seen it, or two others say so. One alone may lie.
    fn trusted(&self, now: Time) -> bool {
        let fresh = |at: &Time| now.since(*at) <= TRUSTED;
        self.seen_at.as_ref().is_some_and(fresh)
            || self.accepted.iter().filter(|(_, at)| fresh(at)).count() >= 2
    }

    fn finding(
        &self,
        class: Class,
        rule: &'static str,
        evidence: Option<Evidence>,
        (measured, limit): (f32, f32),
        text: alloc::string::String,
    ) -> Finding {
        let known = self.parts.iter().any(|part| part.said.known);
        let address =
            self.parts.last().map_or(IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED), |part| part.said.address);
        Finding { address, class, rule, evidence, measured, limit, text, known }
    }

    /// The finding for each address of the /64 that was seen; three make policy take the /64.
    fn everybody(&self, finding: Finding) -> Vec<Finding> {
        let mut addresses: Vec<_> = self.parts.iter().map(|part| part.said.address).collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses
            .into_iter()
            .map(|address| Finding { address, text: finding.text.clone(), ..finding })
            .collect()
    }
}

/// What the parts come to, rounded, each at most `of_one`; and how many nodes contribute.
fn total<'a>(
    parts: impl IntoIterator<Item = &'a Part>,
    now: Time,
    of_one: f32,
    measure: impl Fn(&Contribution) -> f32,
) -> (f32, usize) {
    let shares = parts.into_iter().map(|part| (measure(&part.said) * faded(now.since(part.at))).min(of_one));
    let (sum, nodes) =
        shares.filter(|share| *share >= LEAST).fold((0.0, 0), |(sum, nodes), share| (sum + share, nodes + 1));
    (libm::roundf(sum), nodes)
}

/// What has faded below a quarter does not make a node a witness.
const LEAST: f32 = 0.25;
