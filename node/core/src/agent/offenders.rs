//! What is remembered of offenders: how many hard blocks they have earned, and what they did last.

use alloc::collections::VecDeque;
use core::time::Duration;

use ipnet::IpNet;

use crate::{
    Time,
    nets::ExpiringMap,
    record::{Incident, Offender},
};

use super::episodes::SILENCE;

/// Lines of a time line: what a person reads to come to trust a block.
pub(super) const TIMELINE: usize = 8;
/// A source that earned no hard block is remembered for a day: spoofed ones come and go.
const UNPROVEN: Duration = Duration::from_secs(24 * 3600);

/// Levels and time lines. The one that is forgotten first goes first when there is no room: forged sources, kept for
/// a day, cannot push out the proven ones, kept for thirty.
#[derive(Clone, Debug)]
pub(super) struct Offenders(ExpiringMap<IpNet, Offender>);

impl Offenders {
    pub(super) const fn new() -> Self {
        Self(ExpiringMap::new())
    }

    /// The level that the next hard block has.
    pub(super) fn next_level(&self, target: &IpNet) -> u8 {
        self.0.get(target).map_or(0, |offender| offender.level).saturating_add(1)
    }

    /// A hard block of this level ends at `expires`; it is remembered for `memory` from then on.
    pub(super) fn rise(
        &mut self,
        target: IpNet,
        level: u8,
        expires: Time,
        memory: Duration,
        limit: usize,
    ) -> Option<IpNet> {
        let gone = self.ensure(target, Time::ZERO, limit);
        let until = expires.after(memory);
        if let Some(offender) = self.0.get_mut(&target) {
            (offender.level, offender.until) = (level, until);
            self.0.postpone(&target, until);
        }
        gone
    }

    /// A hard block of this level was a mistake: it counts no more. Whether it did.
    pub(super) fn sink(&mut self, now: Time, target: &IpNet, level: u8) -> bool {
        let Some(offender) = self.0.get_mut(target).filter(|offender| offender.level == level) else {
            return false;
        };
        offender.level = level.saturating_sub(1);
        if offender.level == 0 {
            offender.until = now.after(UNPROVEN);
            let until = offender.until;
            self.0.postpone(target, until);
        }
        true
    }

    /// Adds a line to a target's time line; gives the target that had to go.
    pub(super) fn note(
        &mut self,
        now: Time,
        target: IpNet,
        incident: Incident,
        limit: usize,
    ) -> Option<IpNet> {
        let until = now.after(UNPROVEN);
        let gone = self.ensure(target, until, limit);
        if let Some(offender) = self.0.get_mut(&target) {
            append(&mut offender.timeline, incident);
            offender.until = offender.until.max(until);
            let until = offender.until;
            self.0.postpone(&target, until);
        }
        gone
    }

    /// Forgets a target: it was no offender.
    pub(super) fn pardon(&mut self, target: &IpNet) -> bool {
        self.0.remove(target).is_some()
    }

    pub(super) fn restore(&mut self, offender: Offender, limit: usize) {
        if self.0.len() < limit {
            let until = offender.until;
            self.0.insert(offender.target, offender, until);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Offender> {
        self.0.iter().map(|(_, offender)| offender)
    }

    pub(super) fn get(&self, target: &IpNet) -> Option<&Offender> {
        self.0.get(target)
    }

    pub(super) fn forget(&mut self, now: Time) -> Option<IpNet> {
        self.0.pop_due(now).map(|(target, _)| target)
    }

    pub(super) fn next_due(&self) -> Time {
        self.0.next_due()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    fn ensure(&mut self, target: IpNet, until: Time, limit: usize) -> Option<IpNet> {
        if self.0.get(&target).is_some() {
            return None;
        }
        let gone = if self.0.len() >= limit { self.0.pop_first() } else { None };
        self.0.insert(target, Offender { target, level: 0, until, timeline: VecDeque::new() }, until);
        gone.map(|(target, _)| target)
    }
}

/// Adds a line; one that only brings the last up to date replaces it.
fn append(timeline: &mut VecDeque<Incident>, incident: Incident) {
    let same = |last: &Incident| (last.class, last.action) == (incident.class, incident.action);
    let goes_on = |last: &Incident| incident.at.since(last.at) <= SILENCE;
    if timeline.back().is_some_and(|last| same(last) && goes_on(last)) {
        timeline.pop_back();
    } else if timeline.len() >= TIMELINE {
        timeline.pop_front();
    }
    timeline.push_back(incident);
}
