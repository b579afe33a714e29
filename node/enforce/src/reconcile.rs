//! Desired state, then difference, over and over: whoever takes the protection away, it comes back within seconds.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use smartfw_core::{
    Time,
    enforcement::{Change, Enforced},
};

use crate::{EnforceError, Enforcer, Failed, Finding, Shift, Surplus, Tally, difference};

/// Repairs within a minute that need no explanation. More mean that another tool undoes ours.
const BUDGET: usize = 12;
const MINUTE: Duration = Duration::from_secs(60);
/// When another tool fights back, we repair this often and no more: neither busy nor unprotected for long.
const TRUCE: Duration = Duration::from_secs(5);
/// Entries are compared one by one at least this often, though nothing hints at a difference.
const FULL: Duration = Duration::from_secs(60);
/// Comparing entries one by one takes at most one part in so many of the time, unless many are gone.
const SHARE: u32 = 20;
/// Entries are compared one by one at most this often, unless many are gone.
const PACE: Duration = Duration::from_secs(2);

/// Looks at what is enforced, and repairs it. Call [`Reconciler::step`] every two seconds, and whenever
/// [`crate::Watch`] wakes.
#[derive(Debug, Default)]
pub struct Reconciler {
    repairs: VecDeque<Time>,
    held: Tally,
    compared: Option<Time>,
    cost: Duration,
}

/// What one look found and did; all empty when all was well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repair {
    /// What was wrong with sets and rules.
    pub findings: Vec<Finding>,
    /// Entries and protections that were added or corrected.
    pub added: usize,
    /// Entries and protections that were removed.
    pub removed: usize,
    /// What the kernel refused.
    pub failed: Vec<Failed>,
    /// Another tool undoes the repairs: more than twelve within a minute.
    pub fought: bool,
    /// Nothing was repaired this time, because it was repaired a moment ago and undone again.
    pub withheld: bool,
}

impl Repair {
    /// Whether all was well.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty() && self.added + self.removed == 0 && self.failed.is_empty()
    }
}

impl Reconciler {
    /// One look. `desired` is asked for only when entries have to be compared.
    ///
    /// # Errors
    /// When the kernel cannot be asked or changed; the next look tries again.
    pub fn step(
        &mut self,
        now: Time,
        enforcer: &mut dyn Enforcer,
        surplus: Surplus,
        desired: &mut dyn FnMut() -> Enforced,
    ) -> Result<Repair, EnforceError> {
        // Trouble with rules keeps no entry from being repaired.
        let (findings, mut trouble) = match enforcer.verify() {
            Ok(findings) => (findings, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        let mut repair = Repair { findings, ..Repair::default() };
        let held = enforcer.tally()?;
        let (broken, gone) = (!repair.findings.is_empty(), many_gone(self.held, held));
        let mut compare = gone || self.due(now, held);
        if !broken && !compare {
            return trouble.map_or(Ok(repair), Err);
        }
        repair.fought = self.fought(now);
        if (broken || gone) && repair.fought && self.repaired_within(TRUCE, now) {
            repair.withheld = true;
            return Ok(repair);
        }
        let desired = desired();
        if broken {
            match enforcer.install(&desired.protected) {
                Ok(installed) => {
                    repair.findings = [installed.mended, installed.unavailable].concat();
                    // Sets that were made anew are empty.
                    compare = true;
                }
                Err(error) => trouble = Some(error),
            }
        }
        if compare {
            self.compare(now, enforcer, surplus, &desired, &mut repair)?;
        }
        if (broken || gone) && trouble.is_none() && !repair.is_clean() {
            self.repairs.push_back(now);
        }
        trouble.map_or(Ok(repair), Err)
    }

    /// Our own changes moved the number of entries by so much since the last look. What somebody else took meanwhile
    /// is still missing then.
    pub fn changed(&mut self, by: Shift) {
        self.held += by;
    }

    /// What we wanted may not have gone in: the next look compares, whatever the sets hold.
    pub fn doubt(&mut self) {
        self.compared = None;
    }

    fn compare(
        &mut self,
        now: Time,
        enforcer: &mut dyn Enforcer,
        surplus: Surplus,
        desired: &Enforced,
        repair: &mut Repair,
    ) -> Result<(), EnforceError> {
        let started = Instant::now();
        let changes = difference(desired, &enforcer.enforced(now)?, now, surplus);
        if !changes.is_empty() {
            repair.failed = enforcer.apply(now, &changes)?.failed;
            let removes = |change: &&Change| matches!(change, Change::Unblock(_) | Change::Unprotect(_));
            repair.removed = changes.iter().filter(removes).count();
            repair.added = changes.len() - repair.removed;
        }
        self.held = enforcer.tally()?;
        self.compared = Some(now);
        self.cost = started.elapsed();
        Ok(())
    }

    /// Whether entries are to be compared one by one, though no more than a few can be missing.
    fn due(&self, now: Time, held: Tally) -> bool {
        // A clock that was set back makes every comparison old.
        let Some(compared) = self.compared.filter(|compared| *compared <= now) else { return true };
        let pause = (self.cost * SHARE).max(if held == self.held { FULL } else { PACE });
        now.since(compared) >= pause
    }

    fn fought(&mut self, now: Time) -> bool {
        self.repairs.retain(|repair| *repair <= now && now.since(*repair) < MINUTE);
        self.repairs.len() >= BUDGET
    }

    fn repaired_within(&self, duration: Duration, now: Time) -> bool {
        self.repairs.back().is_some_and(|last| now.since(*last) < duration)
    }
}

/// Whether so many entries are gone at once that it cannot wait: an eighth of a set, or all of it.
fn many_gone(before: Tally, now: Tally) -> bool {
    let gone = |before: u64, now: u64| before > now && (now == 0 || before - now > before / 8);
    gone(before.hard, now.hard) || gone(before.soft, now.soft) || gone(before.protected, now.protected)
}

#[cfg(test)]
mod tests;
