//! The thread that changes the kernel: what is queued, at once.

use std::{collections::BTreeSet, sync::Arc, thread::JoinHandle, time::Duration};

use smartfw_core::{
    IpNet, Time,
    enforcement::{Change, Enforced},
};
use smartfw_enforce::{Applied, EnforceError, Enforcer, Surplus, difference};

use super::{Agreement, Cutter, Queue, Task, queue::Taken, repairer::trouble};
use crate::{
    clock,
    counters::Counters,
    health::{Health, Level, Matter},
    inbox::{Inbox, Input},
    vital::Vital,
};

/// Refused targets that are remembered, so that the agent hears when the kernel takes them after all.
const MAX_REFUSED: usize = 1024;

/// How often rules that could not be removed are tried again.
const RETRY: Duration = Duration::from_secs(2);

/// How long the worker sleeps when there is nothing to do.
const IDLE: Duration = Duration::from_secs(60);

/// What the kernel shall hold now; `None` while enforcement is off or the agent has ended.
pub type Desired = Arc<dyn Fn() -> Option<Enforced> + Send + Sync>;

/// Changes the kernel.
pub struct Worker {
    /// With what.
    pub enforcer: Box<dyn Enforcer>,
    /// What is to be done.
    pub queue: Arc<Queue>,
    /// Who is told.
    pub inbox: Inbox,
    /// What the kernel held when the daemon started, if that was a moment ago.
    pub read_before: Option<Enforced>,
    /// What becomes of what the kernel holds besides.
    pub surplus: Surplus,
    /// What the repairer has to know.
    pub agreement: Agreement,
    /// Who destroys connections.
    pub cutter: Cutter,
    /// What the kernel shall hold.
    pub desired: Desired,
    /// What is counted.
    pub counters: Arc<Counters>,
    /// Where trouble shows.
    pub health: Arc<Health>,
}

impl Worker {
    /// Starts the thread; it ends by [`Queue::stop`].
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(self, vital: &Vital) -> std::io::Result<JoinHandle<()>> {
        let mut running = Running { worker: self, refused: BTreeSet::new(), still_on: false, trouble: None };
        vital.spawn("enforcer", move || running.run())
    }
}

struct Running {
    worker: Worker,
    refused: BTreeSet<IpNet>,
    /// Rules could not be removed although enforcement is off.
    still_on: bool,
    /// Why a switch, or all of several changes, failed since the driver last heard of it.
    trouble: Option<String>,
}

impl Running {
    fn run(&mut self) {
        loop {
            let patience = if self.still_on { RETRY } else { IDLE };
            let Taken { tasks, upto, overflowed, stop } = self.worker.queue.take(patience);
            if self.still_on && tasks.is_empty() {
                self.remove();
            }
            let results = self.carry_out(tasks);
            if overflowed {
                self.worker.counters.enforcement_overflows.add(1);
                self.load_desired();
            }
            self.worker.inbox.send(Input::Enforced { upto, results, trouble: self.trouble.take() });
            self.worker.counters.changes_waiting.set(self.worker.queue.len() as u64);
            if let Some(remove) = stop {
                return self.leave(remove);
            }
        }
    }

    /// Carries tasks out, changes that follow each other at once. What was refused, or is no longer.
    fn carry_out(&mut self, tasks: Vec<Task>) -> Vec<(IpNet, Result<(), String>)> {
        let (mut results, mut changes, mut decided) = (Vec::new(), Vec::new(), Vec::new());
        for task in tasks {
            if let Task::Change(change, at) = task {
                changes.push(change);
                decided.extend(at);
                continue;
            }
            self.apply(&mut changes, &mut decided, &mut results);
            match task {
                Task::On(enforced) => self.install(&enforced),
                Task::Off => self.remove(),
                Task::Cut(target) => self.worker.cutter.cut(target),
                Task::Change(..) => {}
            }
        }
        self.apply(&mut changes, &mut decided, &mut results);
        results
    }

    fn apply(
        &mut self,
        changes: &mut Vec<Change>,
        decided: &mut Vec<Time>,
        results: &mut Vec<(IpNet, Result<(), String>)>,
    ) {
        if changes.is_empty() {
            return;
        }
        let Worker { agreement, enforcer, .. } = &mut self.worker;
        let (outcome, done) = agreement.change(enforcer.as_mut(), |enforcer| {
            let outcome = enforcer.apply(clock::now(), changes);
            (outcome, clock::now())
        });
        match outcome {
            Ok(applied) => {
                decided.iter().for_each(|at| self.worker.counters.latency.record(done.since(*at)));
                self.note(changes, applied, results);
            }
            Err(error) => self.refuse_all(changes, &error, results),
        }
        changes.clear();
        decided.clear();
    }

    fn note(&mut self, changes: &[Change], applied: Applied, results: &mut Vec<(IpNet, Result<(), String>)>) {
        self.worker.counters.changes.add(applied.changed as u64);
        self.worker.counters.changes_failed.add(applied.failed.len() as u64);
        if !self.refused.is_empty() {
            let taken = changes.iter().map(Change::target).filter(|target| self.refused.remove(target));
            results.extend(taken.map(|target| (target, Ok(()))));
        }
        for failed in applied.failed {
            self.refuse(failed.target, failed.why, results);
        }
    }

    fn refuse_all(
        &mut self,
        changes: &[Change],
        error: &EnforceError,
        results: &mut Vec<(IpNet, Result<(), String>)>,
    ) {
        self.fail(error);
        self.worker.counters.changes_failed.add(changes.len() as u64);
        for change in changes.iter().take(MAX_REFUSED) {
            self.refuse(change.target(), error.to_string(), results);
        }
    }

    /// What was wanted may not have gone in: it shows, who waits hears of it, and the repairer looks after it.
    fn fail(&mut self, error: &EnforceError) {
        self.trouble = Some(error.to_string());
        self.worker.agreement.doubt();
        trouble(&self.worker.health, error);
    }

    fn refuse(&mut self, target: IpNet, why: String, results: &mut Vec<(IpNet, Result<(), String>)>) {
        if self.refused.len() < MAX_REFUSED {
            self.refused.insert(target);
        }
        results.push((target, Err(why)));
    }

    fn install(&mut self, enforced: &Enforced) {
        let agreement = self.worker.agreement.clone();
        let mut on = agreement.switch();
        *on = true;
        self.still_on = false;
        match self.bring_about(enforced) {
            Ok(()) => self.worker.health.clear(Matter::Enforcement),
            Err(error) => self.fail(&error),
        }
    }

    fn bring_about(&mut self, desired: &Enforced) -> Result<(), EnforceError> {
        let enforcer = &mut self.worker.enforcer;
        let installed = enforcer.install(&desired.protected)?;
        for finding in &installed.unavailable {
            tracing::warn!(%finding, "cannot be had on this host");
        }
        let now = clock::now();
        // At the start the kernel was read a moment ago; what changed since, the repairer finds.
        let actual = self.worker.read_before.take().map_or_else(|| enforcer.enforced(now), Ok)?;
        let applied = enforcer.apply(now, &difference(desired, &actual, now, self.worker.surplus))?;
        tracing::info!(hooks = ?installed.hooks, changed = applied.changed, "the kernel enforces");
        Ok(())
    }

    fn remove(&mut self) {
        let agreement = self.worker.agreement.clone();
        let mut on = agreement.switch();
        *on = false;
        self.worker.read_before = None;
        let removed = self.worker.enforcer.remove();
        self.still_on = removed.is_err();
        match removed {
            Ok(removed) if removed.left.is_empty() => self.worker.health.clear(Matter::Enforcement),
            Ok(removed) => self.worker.health.set(
                Matter::Enforcement,
                Level::Warn,
                format!(
                    "foreign rules use our sets: {} are emptied, but still there",
                    removed.left.join(", ")
                ),
                "remove the rules that use them",
            ),
            Err(error) => self.fail(&error),
        }
    }

    fn leave(&mut self, remove: bool) {
        if remove || self.still_on {
            self.remove();
        }
    }

    fn load_desired(&mut self) {
        if let Some(enforced) = (self.worker.desired)() {
            self.install(&enforced);
        }
    }
}

#[cfg(test)]
mod tests;
