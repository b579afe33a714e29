//! Campaigns: many sources, a few failed logins each, all over the fleet.

use alloc::{collections::BTreeMap, vec::Vec};
use core::time::Duration;

use serde::{Deserialize, Serialize};

use super::{FAILING_BYTES, MEMORY, NODES, owners::Ring};
use crate::{Time, fleet::NodeId, sensor::LoginKind};

/// So many different sources fail within the hour and never get in: an office of forgetful people is smaller, and most
/// of them get in at last.
const SOURCES: u32 = 20;
/// Each of three nodes has to see so many.
const SOURCES_OF_ONE: u32 = 3;
/// Nodes whose word is kept: campaigns are seen by more than these.
const MAX_NODES: usize = 64;
/// An alarm is given again this often, and is over when two are missing.
const ALARM_EVERY: Duration = Duration::from_secs(30);
const ALARM_LASTS: Duration = Duration::from_secs(90);

/// Sources as marks in a map of 256 places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing(pub [u8; FAILING_BYTES]);

impl Failing {
    const NONE: Self = Self([0; FAILING_BYTES]);

    fn and(mut self, other: &Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(place, other)| *place |= other);
        self
    }

    /// How many sources left these marks, estimated: n = −m·ln(empty / m).
    fn count(&self) -> u32 {
        let places = (FAILING_BYTES * 8) as f32;
        let marked: u32 = self.0.iter().map(|byte| byte.count_ones()).sum();
        let empty = (places - marked as f32).max(1.0);
        libm::roundf(-places * libm::logf(empty / places)) as u32
    }
}

/// Campaigns that are ours to see, and those we were told of.
#[derive(Debug, Default)]
pub(super) struct Campaigns {
    kinds: [Kind; LoginKind::ALL.len()],
}

#[derive(Debug, Default)]
struct Kind {
    /// What nodes say fails there, and since when.
    failing: BTreeMap<NodeId, (Failing, Time)>,
    alarmed_at: Option<Time>,
    /// Who says that a campaign is on, and when.
    alarms: BTreeMap<NodeId, Time>,
}

impl Campaigns {
    /// A node says which sources fail there; whether there was room.
    pub(super) fn failing(&mut self, now: Time, from: NodeId, kind: LoginKind, sources: Failing) -> bool {
        let failing = &mut self.kinds[kind as usize].failing;
        failing.retain(|_, (_, at)| now.since(*at) <= MEMORY);
        if failing.len() >= MAX_NODES && !failing.contains_key(&from) {
            return false;
        }
        failing.insert(from, (sources, now));
        true
    }

    /// An owner says that a campaign is on.
    pub(super) fn alarmed(&mut self, now: Time, from: NodeId, kind: LoginKind) {
        let alarms = &mut self.kinds[kind as usize].alarms;
        alarms.retain(|_, at| now.since(*at) <= ALARM_LASTS);
        alarms.insert(from, now);
    }

    /// Whether both owners say so: one that lies raises no alarm.
    pub(super) fn is_on(&self, now: Time, ring: &Ring, kind: LoginKind) -> bool {
        let alarms = &self.kinds[kind as usize].alarms;
        if alarms.is_empty() {
            return false;
        }
        let says = |owner: &NodeId| alarms.get(owner).is_some_and(|at| now.since(*at) <= ALARM_LASTS);
        let owners = ring.owners_of_campaign(kind);
        owners.len() == 2 && owners.iter().all(says)
    }

    /// The campaigns whose alarm is due.
    pub(super) fn see(&mut self, now: Time, ring: &Ring) -> Vec<LoginKind> {
        let due = |kind: &LoginKind| {
            let state = &mut self.kinds[*kind as usize];
            state.failing.retain(|node, (_, at)| now.since(*at) <= MEMORY && ring.contains(node));
            let waits = state.alarmed_at.is_some_and(|at| now.since(at) < ALARM_EVERY);
            let due = !waits && state.is_campaign();
            if due {
                state.alarmed_at = Some(now);
            }
            due
        };
        LoginKind::ALL.iter().copied().filter(due).collect()
    }
}

impl Kind {
    /// Whether enough sources fail on enough nodes, whichever one of them lies.
    fn is_campaign(&self) -> bool {
        let nodes: Vec<_> = self
            .failing
            .values()
            .map(|(sources, _)| sources)
            .filter(|s| s.count() >= SOURCES_OF_ONE)
            .collect();
        nodes.len() >= NODES
            && (0..nodes.len()).all(|without| {
                let others = nodes.iter().enumerate().filter(|(index, _)| *index != without);
                let all = others.fold(Failing::NONE, |all, (_, sources)| all.and(sources));
                all.count() >= SOURCES
            })
    }
}
