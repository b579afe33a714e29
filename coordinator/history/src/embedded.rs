//! The history on the coordinator's own disk. What comes is written to a journal and kept in memory too; when that is
//! enough it becomes a segment, a file that is not changed any more.

mod engine;
mod files;
mod group;
mod journal;
mod recent;
mod search;
mod segment;
mod view;

use std::{io, path::Path, sync::Arc, time::Duration};

use smartfw_core::{Time, fleet::NodeId};

use crate::{
    Appended, Count, Event, History, HistoryError, Page, Query, Size,
    history::{checked, sorted},
};
use engine::{Engine, Limits};
use view::FULL_EVENTS;

/// The history in a folder, which nobody else has open.
#[derive(Clone, Debug)]
pub struct Embedded {
    engine: Arc<Engine>,
}

impl Embedded {
    /// Opens the history in this folder, or begins one. What a crash left unfinished is put right. It reads what was
    /// not made a segment yet, and may wait for the disk.
    ///
    /// # Errors
    /// When the disk refuses, somebody else has it open, or what is there is damaged.
    pub fn open(folder: &Path) -> Result<Self, HistoryError> {
        Self::open_in_segments_of(folder, FULL_EVENTS)
    }

    /// The same in segments of other sizes: smaller ones are for tests and small machines.
    ///
    /// # Errors
    /// As [`Embedded::open`].
    pub fn open_in_segments_of(folder: &Path, events: usize) -> Result<Self, HistoryError> {
        Self::open_within(folder, Limits { events: events.clamp(1, FULL_EVENTS), ..Limits::default() })
    }

    fn open_within(folder: &Path, limits: Limits) -> Result<Self, HistoryError> {
        Ok(Self { engine: Arc::new(Engine::open(folder, limits)?) })
    }

    /// Does what may wait for the disk where waiting is allowed.
    async fn waiting<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Engine) -> Result<T, HistoryError> + Send + 'static,
    ) -> Result<T, HistoryError> {
        let engine = Arc::clone(&self.engine);
        let done = tokio::task::spawn_blocking(move || work(&engine)).await;
        done.unwrap_or_else(|error| Err(HistoryError::BrokenOff(error.to_string())))
    }
}

impl History for Embedded {
    async fn append(&self, now: Time, events: Vec<Event>) -> Result<Appended, HistoryError> {
        let nodes = sorted(events)?;
        self.waiting(move |engine| engine.append(now, nodes)).await
    }

    async fn query(&self, query: Query) -> Result<Page, HistoryError> {
        let query = checked(query)?;
        self.waiting(move |engine| engine.query(&query)).await
    }

    async fn retain(&self, now: Time, age: Duration, bytes: u64) -> Result<(), HistoryError> {
        self.waiting(move |engine| engine.retain(now, age, bytes)).await
    }

    async fn last(&self, node: NodeId) -> Result<Option<Count>, HistoryError> {
        Ok(self.engine.last(&node))
    }

    async fn size(&self) -> Result<Size, HistoryError> {
        self.waiting(|engine| Ok(engine.size())).await
    }
}

fn disk(path: &Path, error: &io::Error) -> HistoryError {
    HistoryError::Disk { path: path.to_owned(), why: error.to_string() }
}

fn damaged(path: &Path, why: &str) -> HistoryError {
    HistoryError::Damaged { path: path.to_owned(), why: why.to_owned() }
}

#[cfg(test)]
mod tests;
