//! The thread that changes the kernel: what is queued at once, and every other second a look at what others did.

use std::{
    collections::BTreeSet,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use smartfw_core::{
    IpNet, Time,
    enforcement::{Change, Enforced},
};
use smartfw_enforce::{Applied, EnforceError, Enforcer, Reconciler, Repair, Surplus, Watch, difference};

use super::{Cutter, Queue, Task, queue::Taken};
use crate::{
    clock,
    counters::Counters,
    health::{Health, Level, Matter},
    inbox::{Inbox, Input},
};

/// How often the kernel is looked at without a hint.
const LOOK: Duration = Duration::from_secs(2);

/// After a hint the next one is waited for only this much later: a program that changes rules all the time must not
/// keep us looking all the time.
const HINTS: Duration = Duration::from_millis(100);

/// Refused targets that are remembered, so that the agent hears when the kernel takes them after all.
const MAX_REFUSED: usize = 1024;

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
    pub fn start(self) -> std::io::Result<JoinHandle<()>> {
        let queue = self.queue.clone();
        thread::Builder::new().name("watch".to_owned()).spawn(move || watch(&queue))?;
        let refused = BTreeSet::new();
        let mut running = Running { worker: self, reconciler: Reconciler::default(), on: false, refused };
        thread::Builder::new().name("enforcer".to_owned()).spawn(move || running.run())
    }
}

/// Passes the kernel's hints on. It ends with the process: nothing depends on it, looks come every other second anyway.
fn watch(queue: &Queue) {
    let Ok(mut watch) = Watch::open() else { return };
    while let Ok(disturbed) = watch.wait(Duration::from_secs(60)) {
        if disturbed {
            queue.disturb();
            thread::sleep(HINTS);
        }
    }
}

struct Running {
    worker: Worker,
    reconciler: Reconciler,
    /// Whether the kernel shall enforce at all.
    on: bool,
    refused: BTreeSet<IpNet>,
}

impl Running {
    fn run(&mut self) {
        let mut next_look = Instant::now() + LOOK;
        loop {
            let Taken { tasks, upto, overflowed, disturbed, stop } = self.worker.queue.take(next_look);
            let results = self.carry_out(tasks);
            self.worker.inbox.send(Input::Enforced { upto, results });
            self.worker.counters.changes_waiting.set(self.worker.queue.len() as u64);
            if let Some(remove) = stop {
                return self.leave(remove);
            }
            if overflowed {
                self.worker.counters.enforcement_overflows.add(1);
                self.load_desired();
            }
            if disturbed || Instant::now() >= next_look {
                self.look();
                next_look = Instant::now() + LOOK;
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
        match self.worker.enforcer.apply(clock::now(), changes) {
            Ok(applied) => {
                let now = clock::now();
                decided.iter().for_each(|at| self.worker.counters.latency.record(now.since(*at)));
                self.note(changes, applied, results);
                // An unknown number only means that entries are compared once more than needed.
                let _ = self.reconciler.changed(&mut *self.worker.enforcer);
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
            let taken = changes.iter().map(target_of).filter(|target| self.refused.remove(target));
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
        self.trouble(error);
        self.worker.counters.changes_failed.add(changes.len() as u64);
        for change in changes.iter().take(MAX_REFUSED) {
            self.refuse(target_of(change), error.to_string(), results);
        }
    }

    fn refuse(&mut self, target: IpNet, why: String, results: &mut Vec<(IpNet, Result<(), String>)>) {
        if self.refused.len() < MAX_REFUSED {
            self.refused.insert(target);
        }
        results.push((target, Err(why)));
    }

    fn install(&mut self, enforced: &Enforced) {
        self.on = true;
        match self.bring_about(enforced) {
            Ok(()) => self.worker.health.clear(Matter::Enforcement),
            Err(error) => self.trouble(&error),
        }
    }

    fn bring_about(&mut self, desired: &Enforced) -> Result<(), EnforceError> {
        let enforcer = &mut self.worker.enforcer;
        let installed = enforcer.install(&desired.protected)?;
        for finding in &installed.unavailable {
            tracing::warn!(%finding, "cannot be had on this host");
        }
        let now = clock::now();
        let changes = difference(desired, &enforcer.enforced(now)?, now, Surplus::Remove);
        let applied = enforcer.apply(now, &changes)?;
        tracing::info!(hooks = ?installed.hooks, changed = applied.changed, "the kernel enforces");
        Ok(())
    }

    fn remove(&mut self) {
        self.on = false;
        match self.worker.enforcer.remove() {
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
            Err(error) => self.trouble(&error),
        }
    }

    fn leave(&mut self, remove: bool) {
        if remove {
            self.remove();
        }
    }

    fn load_desired(&mut self) {
        if let Some(enforced) = self.on.then(|| (self.worker.desired)()).flatten() {
            self.install(&enforced);
        }
    }

    /// Compares the kernel with what it shall hold.
    fn look(&mut self) {
        if !self.on {
            return;
        }
        // A question that goes unanswered means that the daemon ends: then nothing is surplus.
        let answered = std::cell::Cell::new(true);
        let desired = self.worker.desired.clone();
        let mut ask = || {
            desired().unwrap_or_else(|| {
                answered.set(false);
                Enforced::default()
            })
        };
        let surplus = Surplus::Remove;
        let enforcer = &mut *self.worker.enforcer;
        let result = self.reconciler.step(clock::now(), enforcer, surplus, &mut ask);
        if answered.get() {
            self.show(result);
        }
    }

    fn show(&self, result: Result<Repair, EnforceError>) {
        let health = &self.worker.health;
        match result {
            Err(error) => self.trouble(&error),
            Ok(repair) => {
                health.clear(Matter::Enforcement);
                self.show_rival(repair.fought);
                if !repair.is_clean() {
                    self.worker.counters.repairs.add(1);
                    let Repair { findings, added, removed, failed, .. } = repair;
                    let findings: Vec<String> = findings.iter().map(ToString::to_string).collect();
                    tracing::warn!(
                        ?findings,
                        added,
                        removed,
                        failed = failed.len(),
                        "the kernel was repaired"
                    );
                }
            }
        }
    }

    fn show_rival(&self, fought: bool) {
        if fought {
            self.worker.health.set(
                Matter::Rival,
                Level::Error,
                "another program keeps undoing our rules; they are repaired every five seconds",
                "find the program that flushes the firewall (smartfw-cli doctor names what was found)",
            );
        } else {
            self.worker.health.clear(Matter::Rival);
        }
    }

    fn trouble(&self, error: &EnforceError) {
        self.worker.health.set(
            Matter::Enforcement,
            Level::Error,
            format!("the kernel cannot be changed: {error}"),
            "smartfw-cli doctor says what is missing; it is tried again every two seconds",
        );
    }
}

fn target_of(change: &Change) -> IpNet {
    match change {
        Change::Block(entry) => entry.target,
        Change::Unblock(net) | Change::Protect(net) | Change::Unprotect(net) => *net,
    }
}
