//! The thread that looks at what others did to rules and sets, and repairs it.
//!
//! It has an enforcer of its own, so that reading a hundred thousand entries never holds up the next block. What it finds
//! to be wrong with entries it only names: the driver, which knows what was decided meanwhile, says how they shall be,
//! and the worker makes them so, in the order of all decisions. Rules and sets it mends itself.

mod careful;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use smartfw_core::enforcement::Enforced;
use smartfw_enforce::{EnforceError, Enforcer, Reconciler, Repair, Shift, Surplus, Tally, Watch};

use super::Desired;
use crate::{
    clock,
    counters::Counters,
    health::{Health, Level, Matter},
    inbox::Inbox,
    memory,
    vital::Vital,
};
use careful::Careful;

/// How often the kernel is looked at without a hint.
const LOOK: Duration = Duration::from_secs(2);

/// After a hint the next one is waited for only this much later: a program that changes rules all the time must not
/// keep us looking all the time.
const HINTS: Duration = Duration::from_millis(100);

/// A look that took so long has compared many entries.
const LARGE: Duration = Duration::from_millis(20);

/// How often the thread looks whether to end.
const SLICE: Duration = Duration::from_millis(200);

/// What worker and repairer agree upon.
#[derive(Clone, Debug, Default)]
pub struct Agreement(Arc<Agreed>);

#[derive(Debug, Default)]
struct Agreed {
    on: Mutex<bool>,
    /// By how much the worker's changes moved the number of entries since the repairer last asked for it.
    own: Mutex<Shift>,
    /// Something that was wanted may not have gone in.
    doubtful: AtomicBool,
}

impl Agreement {
    /// Whether the kernel shall enforce at all. Held while rules are installed or removed, so that nobody installs what
    /// somebody else just removed.
    pub(super) fn switch(&self) -> MutexGuard<'_, bool> {
        self.0.on.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries out the worker's own change, and remembers by how much it moved the number of entries: what is missing
    /// beyond that, somebody else took. An unknown number only means that entries are compared once more than needed.
    pub(super) fn change<T>(
        &self,
        enforcer: &mut dyn Enforcer,
        change: impl FnOnce(&mut dyn Enforcer) -> T,
    ) -> T {
        let mut own = self.own();
        let before = enforcer.tally();
        let done = change(enforcer);
        if let (Ok(before), Ok(after)) = (before, enforcer.tally()) {
            *own += after.since(before);
        }
        done
    }

    /// Something that was wanted may not have gone in: the next look compares every entry.
    pub(super) fn doubt(&self) {
        self.0.doubtful.store(true, SeqCst);
    }

    pub(super) fn doubtful(&self) -> bool {
        self.0.doubtful.load(SeqCst)
    }

    /// How many entries there are, and by how much own changes moved that since the last look. No change goes in
    /// between the two.
    fn look(&self, enforcer: &mut dyn Enforcer) -> (Result<Tally, EnforceError>, Shift) {
        let mut own = self.own();
        (enforcer.tally(), std::mem::take(&mut *own))
    }

    fn own(&self) -> MutexGuard<'_, Shift> {
        self.0.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks and repairs.
pub struct Repairer {
    /// An enforcer of its own.
    pub enforcer: Box<dyn Enforcer>,
    /// What becomes of what the kernel holds besides.
    pub surplus: Surplus,
    /// Whether to look at all, and what the worker changed.
    pub agreement: Agreement,
    /// Who says how entries shall be.
    pub inbox: Inbox,
    /// What the kernel shall hold.
    pub desired: Desired,
    /// What is counted.
    pub counters: Arc<Counters>,
    /// Where trouble shows.
    pub health: Arc<Health>,
}

impl Repairer {
    /// Starts the thread; it ends when `ending` is set.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(self, ending: Arc<AtomicBool>, vital: &Vital) -> std::io::Result<JoinHandle<()>> {
        let Self { enforcer, surplus, agreement, inbox, desired, counters, health } = self;
        let careful = Careful { enforcer, agreement: agreement.clone(), inbox, told: None };
        let mut running = Running {
            careful,
            surplus,
            agreement,
            desired,
            counters,
            health,
            reconciler: Reconciler::default(),
        };
        vital.spawn("repairer", move || {
            let mut watch = Watch::open().ok();
            while !ending.load(SeqCst) {
                let on = *running.agreement.switch();
                if on {
                    running.look();
                }
                wait(&mut watch, &ending);
            }
        })
    }
}

/// Waits for a hint, the next look, or the end.
fn wait(watch: &mut Option<Watch>, ending: &AtomicBool) {
    let begun = Instant::now();
    while begun.elapsed() < LOOK && !ending.load(SeqCst) {
        match watch.as_mut().map(|watch| watch.wait(SLICE)) {
            Some(Ok(true)) => return thread::sleep(HINTS.saturating_sub(begun.elapsed())),
            Some(Ok(false)) => {}
            Some(Err(_)) => *watch = None,
            None => thread::sleep(SLICE),
        }
    }
}

struct Running {
    careful: Careful,
    surplus: Surplus,
    agreement: Agreement,
    desired: Desired,
    counters: Arc<Counters>,
    health: Arc<Health>,
    reconciler: Reconciler,
}

impl Running {
    fn look(&mut self) {
        if self.agreement.0.doubtful.swap(false, SeqCst) {
            self.reconciler.doubt();
        }
        let (held, own) = self.agreement.look(self.careful.enforcer.as_mut());
        self.reconciler.changed(own);
        self.careful.told = held.ok();
        let mut answered = true;
        let desired = &self.desired;
        let mut ask = || {
            desired().unwrap_or_else(|| {
                answered = false;
                Enforced::default()
            })
        };
        let (before, begun) = (self.counters.changes.get(), Instant::now());
        let result = self.reconciler.step(clock::now(), &mut self.careful, self.surplus, &mut ask);
        if begun.elapsed() > LARGE {
            memory::give_back();
        }
        if answered {
            self.show(result, self.counters.changes.get() - before);
        }
    }

    fn show(&self, result: Result<Repair, EnforceError>, changed: u64) {
        match result {
            Err(error) => {
                self.agreement.doubt();
                trouble(&self.health, &error);
            }
            Ok(repair) => {
                if !repair.failed.is_empty() {
                    self.agreement.doubt();
                }
                // Also what the worker met with meanwhile must be over.
                if !self.agreement.doubtful() {
                    self.health.clear(Matter::Enforcement);
                }
                self.show_rival(repair.fought);
                let Repair { findings, added, removed, failed: _, fought: _, withheld: _ } = repair;
                // More changes than the repair's own: decisions on their way looked like something missing. None:
                // the kernel took nothing, or nothing was missing by then.
                if !findings.is_empty() || (1..=(added + removed) as u64).contains(&changed) {
                    self.counters.repairs.add(1);
                    let findings: Vec<String> = findings.iter().map(ToString::to_string).collect();
                    tracing::warn!(?findings, added, removed, "the kernel was repaired");
                }
            }
        }
    }

    fn show_rival(&self, fought: bool) {
        if fought {
            self.health.set(
                Matter::Rival,
                Level::Error,
                "another program keeps undoing our rules; they are repaired every five seconds",
                "find the program that flushes the firewall (smartfw-cli doctor names what was found)",
            );
        } else {
            self.health.clear(Matter::Rival);
        }
    }
}

/// Shows that the kernel cannot be changed.
pub(super) fn trouble(health: &Health, error: &EnforceError) {
    health.set(
        Matter::Enforcement,
        Level::Error,
        format!("the kernel cannot be changed: {error}"),
        "smartfw-cli doctor says what is missing; it is tried again every two seconds",
    );
}

#[cfg(test)]
mod tests {
    use smartfw_core::{Time, enforcement::Change};
    use smartfw_enforce::DryRun;

    use super::*;

    #[test]
    fn what_others_took_between_own_changes_stays_missing() {
        let (agreement, mut kernel) = (Agreement::default(), DryRun::default());
        let protect = |net: &str, kernel: &mut DryRun| {
            let change = Change::Protect(net.parse().unwrap());
            agreement.change(kernel, |kernel| kernel.apply(Time::ZERO, &[change])).unwrap();
        };
        protect("192.0.2.1/32", &mut kernel);
        protect("192.0.2.2/32", &mut kernel);
        kernel.remove().unwrap();
        protect("192.0.2.3/32", &mut kernel);
        let (held, own) = agreement.look(&mut kernel);
        assert_eq!((held.unwrap().protected, own.protected), (1, 3));
        assert_eq!(agreement.look(&mut kernel).1, Shift::default(), "told once");
    }
}
