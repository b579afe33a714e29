//! What goes into the mirror's outbox: each event once and in order, also where the history refuses it again and again, and
//! where the outbox's disk refuses it for a while.

use std::{
    collections::BTreeMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use smartfw_core::fleet::NodeId;
use smartfw_history::{Count, Event, MOST_NODES};
use smartfw_mirror::{Item, Outbox, OutboxError};

/// Items that wait in memory while the outbox's disk refuses them: of more the oldest go. As many events as four appends.
pub(super) const OWED: usize = 4_096;

/// The way into an outbox.
pub(super) struct Pushing {
    outbox: Arc<Outbox>,
    owed: Mutex<Owed>,
}

#[derive(Default)]
struct Owed {
    /// What the disk refused, the oldest first.
    items: Vec<Item>,
    /// The last event of each node that was put in, or is among those.
    lasts: BTreeMap<NodeId, Count>,
}

impl Pushing {
    pub(super) fn into(outbox: Arc<Outbox>) -> Self {
        Self { outbox, owed: Mutex::default() }
    }

    /// Puts in what is new of these, behind what is owed.
    ///
    /// # Errors
    /// When the disk refuses: then they are owed.
    pub(super) async fn push(&self, events: &[Event]) -> Result<(), OutboxError> {
        let items = self.lock().take(events);
        if items.is_empty() {
            return Ok(());
        }
        let outbox = self.outbox.clone();
        let pushing = tokio::task::spawn_blocking(move || (outbox.push(&items), items));
        match pushing.await {
            Ok((Ok(()), _)) => Ok(()),
            Ok((Err(why), items)) => {
                self.lock().owe(items);
                Err(why)
            }
            // The program is ending: what is not acknowledged comes again.
            Err(_) => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Owed> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Owed {
    fn take(&mut self, events: &[Event]) -> Vec<Item> {
        // What is put in twice has one place in the database.
        if self.lasts.len() > MOST_NODES {
            self.lasts.clear();
        }
        for event in events {
            if self.lasts.get(&event.id).is_none_or(|last| event.count() > *last) {
                self.lasts.insert(event.id, event.count());
                self.items.extend(super::item(event));
            }
        }
        mem::take(&mut self.items)
    }

    fn owe(&mut self, mut items: Vec<Item>) {
        let beyond = items.len().saturating_sub(OWED);
        items.drain(..beyond);
        self.items = items;
    }
}
