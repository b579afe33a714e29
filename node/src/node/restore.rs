//! What was known before: the records on disk, and what the kernel still drops.

use std::{io::Read as _, path::PathBuf};

use anyhow::Context as _;
use smartfw_config::NodeConfig;
use smartfw_core::{Agent, Record, Time, enforcement::Enforced};
use smartfw_enforce::Enforcer;

use super::parts::Shared;
use crate::{
    clock,
    health::{Level, Matter},
    store::{MANY_ROWS, OpenStore, SledStore, Store, StoreError, damaged, decode},
};

/// The agent as it was, and the store.
pub(super) struct Restored {
    pub(super) agent: Agent,
    /// `None` when the disk refuses, or when it held so much that reading it took memory which only closing it gives
    /// back: it is opened again for the first write.
    pub(super) store: Option<Box<dyn Store>>,
    pub(super) open: OpenStore,
    /// What the kernel held.
    pub(super) enforced: Option<Enforced>,
    /// Whether the store was damaged: then it needs everything anew.
    pub(super) damaged: bool,
}

/// Restores the agent from the disk, then adopts what only the kernel knows.
pub(super) fn restore(
    config: &NodeConfig,
    enforcer: &mut dyn Enforcer,
    shared: &Shared,
) -> anyhow::Result<Restored> {
    let now = clock::now();
    let mut agent = Agent::new(config.policy.clone(), seed()?, now);
    let path = config.state_dir.join("cache");
    let mut open = opener(path);
    let (store, was_damaged) = match load(&mut open, &mut agent, now, shared) {
        Ok(loaded) => loaded,
        Err(error @ StoreError::Forbidden { .. }) => return Err(error.into()),
        Err(error) => {
            let what =
                format!("what was stored cannot be read: {error}; blocks were taken over from the kernel");
            shared.health.set(Matter::Disk, Level::Error, what, "make room on the disk of the state folder");
            (None, false)
        }
    };
    let enforced = adopt(&mut agent, now, enforcer, shared);
    agent.settle();
    Ok(Restored { agent, store, open, enforced, damaged: was_damaged })
}

fn opener(path: PathBuf) -> OpenStore {
    Box::new(move |anew| SledStore::open(&path, anew).map(Into::into))
}

/// Opens the store and restores what it holds. Some damage shows only while it is read: then what was read until there
/// counts, and an empty store is begun.
fn load(
    open: &mut OpenStore,
    agent: &mut Agent,
    now: Time,
    shared: &Shared,
) -> Result<(Option<Box<dyn Store>>, bool), StoreError> {
    let (mut store, mut set_aside) = open(false)?;
    let (rows, result) = restore_all(&mut *store, agent, now, shared);
    if let Err(StoreError::Damaged(what)) = result {
        drop(store);
        (store, set_aside) = open(true)?;
        set_aside = set_aside.map(|aside| format!("{aside}: {what}"));
    }
    if let Some(what) = &set_aside {
        damaged(&shared.health, what);
    }
    Ok(((rows <= MANY_ROWS).then_some(store), set_aside.is_some()))
}

fn restore_all(
    store: &mut dyn Store,
    agent: &mut Agent,
    now: Time,
    shared: &Shared,
) -> (usize, Result<(), StoreError>) {
    let (mut known, mut unknown) = (0, 0);
    let result = store.load(&mut |_, value| match decode::<Record>(value) {
        Some(record) => {
            known += 1;
            agent.restore(now, record);
        }
        None => unknown += 1,
    });
    tracing::info!(records = known, "restored");
    if unknown > 0 {
        let what = format!("{unknown} stored records are of another version and were passed over");
        shared.health.set(
            Matter::Cache,
            Level::Warn,
            what,
            "go back to the version that wrote them, or ignore this",
        );
    }
    (known + unknown, result)
}

fn adopt(agent: &mut Agent, now: Time, enforcer: &mut dyn Enforcer, shared: &Shared) -> Option<Enforced> {
    match enforcer.enforced(now) {
        Ok(enforced) => {
            enforced.blocks.values().for_each(|entry| agent.adopt(now, entry.clone()));
            Some(enforced)
        }
        Err(error) => {
            shared.health.set(
                Matter::Enforcement,
                Level::Error,
                format!("what the kernel drops cannot be read: {error}"),
                "smartfw-cli doctor says what is missing",
            );
            None
        }
    }
}

fn seed() -> anyhow::Result<u64> {
    let mut bytes = [0; 8];
    let source = std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    source.context("cannot read /dev/urandom")?;
    Ok(u64::from_ne_bytes(bytes))
}
