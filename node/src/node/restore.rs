//! What was known before: the records on disk, and what the kernel still drops.

use std::{path::Path, thread, time::Duration};

use anyhow::Context as _;
use smartfw_config::NodeConfig;
use smartfw_core::{
    Agent, Record, Time,
    enforcement::Enforced,
    order::EnforcementState,
    protect::ProtectedSet,
    record::{Enforcement, Switch},
};
use smartfw_enforce::{Enforcer, Surplus, snapshot, snapshot::Suspension};

use super::parts::Shared;
use crate::{
    chance::seed,
    clock,
    fleet::{self, Brain, Control, rows},
    health::{Level, Matter},
    mirror::Roots,
    store::{MANY_ROWS, OpenStore, SledStore, Store, StoreError, damaged, decode},
};

/// How often the kernel is asked what it holds before the start fails, and how long after each other.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(500);

/// The agent as it was, and the store.
pub(super) struct Restored {
    pub(super) agent: Agent,
    /// The fleet's part; `None` outside of a fleet, or when it cannot begin.
    pub(super) brain: Option<Box<Brain>>,
    /// Who must not be locked out.
    pub(super) protected: ProtectedSet,
    /// `None` when the disk refuses, or when it held so much that reading it took memory which only closing it gives
    /// back: it is opened again for the first write.
    pub(super) store: Option<Box<dyn Store>>,
    pub(super) open: OpenStore,
    /// What the kernel held.
    pub(super) enforced: Enforced,
    /// What becomes of what the kernel holds and the agent does not know: where it may know less than it did, the
    /// kernel goes on as it is.
    pub(super) surplus: Surplus,
    /// Whether the store was damaged: then it needs everything anew.
    pub(super) damaged: bool,
    /// Whether the store is there and cannot be read: then nothing may be written over it.
    pub(super) unread: bool,
}

/// Restores the agent from the disk, then adopts what only the kernel knows.
pub(super) fn restore(
    config: &NodeConfig,
    enforcer: &mut dyn Enforcer,
    (control, roots): (&Control, &Roots),
    shared: &Shared,
) -> anyhow::Result<Restored> {
    let now = clock::now();
    let agent = Agent::new(config.policy.clone(), chance()?, now);
    let mut reading = Reading { agent, now, known: 0, unknown: 0, fleet: Vec::new() };
    let path = config.state_dir.join("cache");
    let mut open: OpenStore = Box::new(move |anew| SledStore::open(&path, anew).map(Into::into));
    let loaded = match reading.load(&mut open, shared) {
        Err(StoreError::Unavailable(why)) => {
            unreadable(shared, &why);
            None
        }
        loaded => Some(loaded?),
    };
    if reading.agent.enforcement() == EnforcementState::On {
        reading.suspended(&config.state_dir)?;
    }
    let whole = matches!(loaded, Some((_, false))) && reading.whole();
    let mut agent = reading.agent;
    // What the fleet blocks is known before what the kernel holds is compared with it.
    let brain = take_part(control, reading.fleet, &mut agent, shared)?;
    agent.handle_foreign_clusters(now, roots.believed());
    let enforced = read_kernel(enforcer, now)?;
    // After a boot the kernel holds an older snapshot: who was unblocked since stays unblocked.
    let known = (whole && snapshot::booted_since(&config.state_dir)).then_some(config.policy.node.as_str());
    let adopted = adopt(&mut agent, now, &enforced, known, shared);
    agent.settle();
    let unread = loaded.is_none();
    let (store, damaged) = loaded.unwrap_or_default();
    let surplus = if unread || !adopted { Surplus::Keep } else { Surplus::Remove };
    let protected = ProtectedSet::default();
    Ok(Restored { agent, brain, protected, store, open, enforced, surplus, damaged, unread })
}

fn unreadable(shared: &Shared, why: &str) {
    shared.health.set(
        Matter::Disk,
        Level::Error,
        format!("what was stored cannot be read: {why}; the kernel goes on dropping and passing as it did"),
        "make the disk of the state folder readable and make room on it: the node begins anew with what is stored",
    );
}

/// Begins the fleet's part where there is an identity. A node that cannot take part guards all the same.
fn take_part(
    control: &Control,
    stored: Vec<rows::Row>,
    agent: &mut Agent,
    shared: &Shared,
) -> anyhow::Result<Option<Box<Brain>>> {
    if control.listen.is_none() || !control.has_identity() {
        return Ok(None);
    }
    let seed = chance()?;
    let begun =
        control.open(None).and_then(|opening| Brain::begin(opening, stored, seed, Brain::now(), agent));
    Ok(match begun {
        Ok(brain) => Some(Box::new(brain)),
        Err(refused) => {
            let _ = control.close(false);
            let what = format!("this node takes no part in its cluster: {refused}");
            fleet::trouble(
                &shared.health,
                what,
                "see to it, then restart the node; until then it guards alone",
            );
            None
        }
    })
}

fn chance() -> anyhow::Result<u64> {
    seed().context("cannot read /dev/urandom")
}

/// An agent to which records are read.
struct Reading {
    agent: Agent,
    now: Time,
    known: usize,
    unknown: usize,
    /// What is the fleet's.
    fleet: Vec<rows::Row>,
}

impl Reading {
    /// Opens the store and restores what it holds: the store, and whether it begins empty because it was damaged. Some
    /// damage shows only while it is read: then what was read until there counts.
    fn load(
        &mut self,
        open: &mut OpenStore,
        shared: &Shared,
    ) -> Result<(Option<Box<dyn Store>>, bool), StoreError> {
        let (mut store, mut set_aside) = open(None)?;
        match self.read(&mut *store) {
            Err(StoreError::Damaged(what)) => {
                drop(store);
                (store, set_aside) = open(Some(&what))?;
            }
            result => result?,
        }
        self.show(shared);
        if let Some(what) = &set_aside {
            damaged(&shared.health, what);
        }
        let rows = self.known + self.unknown + self.fleet.len();
        Ok(((rows <= MANY_ROWS).then_some(store), set_aside.is_some()))
    }

    fn read(&mut self, store: &mut dyn Store) -> Result<(), StoreError> {
        store.load(&mut |key, value| {
            if rows::is_fleets(key) {
                match rows::read(key, value) {
                    Some(row) => self.fleet.push(row),
                    None => self.unknown += 1,
                }
                return;
            }
            match decode::<Record>(value) {
                Some(record) => {
                    self.known += 1;
                    self.agent.restore(self.now, record);
                }
                None => self.unknown += 1,
            }
        })
    }

    fn show(&self, shared: &Shared) {
        tracing::info!(records = self.known, "restored");
        if self.unknown > 0 {
            let what = format!("{} stored records are of another version and were passed over", self.unknown);
            let remedy = "go back to the version that wrote them, or ignore this";
            shared.health.set(Matter::Cache, Level::Warn, what, remedy);
        }
    }

    /// Whether there was anything, and all of it made sense.
    fn whole(&self) -> bool {
        self.known > 0 && self.unknown == 0
    }

    /// The note for the next boot says whether a person has switched enforcement off where there is no record, and
    /// where there was nothing but that note to write.
    fn suspended(&mut self, state_dir: &Path) -> anyhow::Result<()> {
        let Some(suspension) = snapshot::suspension(state_dir)? else { return Ok(()) };
        let now = match suspension {
            Suspension::Off => Switch { state: EnforcementState::Off, resume: None },
            Suspension::Panic(until) => {
                let resume = Some((EnforcementState::On, until));
                Switch { state: EnforcementState::Panic, resume }
            }
        };
        self.agent.restore(self.now, Record::Enforcement(Enforcement { now, rollback: None }));
        Ok(())
    }
}

/// What the kernel holds. Whoever does not know that would take away what has no record.
fn read_kernel(enforcer: &mut dyn Enforcer, now: Time) -> anyhow::Result<Enforced> {
    let mut attempt = 1;
    loop {
        match enforcer.enforced(now) {
            Err(error) if attempt < ATTEMPTS => {
                tracing::warn!(%error, "what the kernel drops cannot be read")
            }
            enforced => {
                return enforced.context("what the kernel drops cannot be read; it goes on dropping it");
            }
        }
        attempt += 1;
        thread::sleep(PAUSE);
    }
}

/// Adopts what has no record, but for blocks of the node `known`, of which all have one. Whether there was room for all
/// of it.
fn adopt(agent: &mut Agent, now: Time, enforced: &Enforced, known: Option<&str>, shared: &Shared) -> bool {
    let unknown = enforced.blocks.values().filter(|entry| known != Some(entry.note.origin.as_str()));
    let left_out = unknown.filter(|entry| !agent.adopt(now, (*entry).clone())).count();
    if left_out > 0 {
        shared.health.set(
            Matter::Tables,
            Level::Error,
            format!("{left_out} entries of the kernel do not fit into the block list; the kernel keeps them until they end"),
            "raise limits.blocks and restart the node; until then nothing is removed but by name",
        );
    }
    left_out == 0
}

#[cfg(test)]
mod tests;
