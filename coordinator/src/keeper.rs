//! The history as the program holds it: whichever it is, chosen when it starts.

use std::{future::Future, path::Path, pin::Pin, time::Duration};

use smartfw_core::{Time, fleet::NodeId};
use smartfw_history::{Appended, Count, Embedded, Event, History, HistoryError, Page, Query, Redis, Size};

use crate::settings::Place;

/// What a history answers, when it does.
pub type Answering<'a, T> = Pin<Box<dyn Future<Output = Result<T, HistoryError>> + Send + 'a>>;

/// [`History`], so that it can be held without knowing which it is.
pub trait Keeper: Send + Sync {
    /// See [`History::append`].
    fn append(&self, now: Time, events: Vec<Event>) -> Answering<'_, Appended>;
    /// See [`History::query`].
    fn query(&self, query: Query) -> Answering<'_, Page>;
    /// See [`History::retain`].
    fn retain(&self, now: Time, age: Duration, bytes: u64) -> Answering<'_, ()>;
    /// See [`History::last`].
    fn last(&self, node: NodeId) -> Answering<'_, Option<Count>>;
    /// See [`History::size`].
    fn size(&self) -> Answering<'_, Size>;
    /// See [`History::warnings`].
    fn warnings(&self) -> Answering<'_, Vec<String>>;
}

impl<H: History> Keeper for H {
    fn append(&self, now: Time, events: Vec<Event>) -> Answering<'_, Appended> {
        Box::pin(History::append(self, now, events))
    }
    fn query(&self, query: Query) -> Answering<'_, Page> {
        Box::pin(History::query(self, query))
    }
    fn retain(&self, now: Time, age: Duration, bytes: u64) -> Answering<'_, ()> {
        Box::pin(History::retain(self, now, age, bytes))
    }
    fn last(&self, node: NodeId) -> Answering<'_, Option<Count>> {
        Box::pin(History::last(self, node))
    }
    fn size(&self) -> Answering<'_, Size> {
        Box::pin(History::size(self))
    }
    fn warnings(&self) -> Answering<'_, Vec<String>> {
        Box::pin(History::warnings(self))
    }
}

/// Opens the cluster's history at its place.
///
/// # Errors
/// When the disk refuses, somebody else has it open, or the address makes no sense.
pub async fn open(place: &Place, cluster: &str, state_dir: &Path) -> Result<Box<dyn Keeper>, HistoryError> {
    match place {
        Place::Embedded => {
            let folder = state_dir.join("history");
            let opened = tokio::task::spawn_blocking(move || Embedded::open(&folder)).await;
            let opened = opened.map_err(|error| HistoryError::Disk {
                path: state_dir.join("history"),
                why: error.to_string(),
            })?;
            Ok(Box::new(opened?))
        }
        Place::Redis(address) => Ok(Box::new(Redis::open(address, cluster)?)),
    }
}
