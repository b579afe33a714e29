//! A history in memory that fails when it is told to.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use smartfw_core::{Time, fleet::NodeId};
use smartfw_history::{Appended, Count, Event, History, HistoryError, MOST_APPENDED, Page, Query, Size};
use tokio::time::sleep;

/// A history in memory.
#[derive(Default)]
pub(crate) struct Memory {
    rows: Mutex<Vec<Event>>,
    lasts: Mutex<BTreeMap<NodeId, Count>>,
    /// Whether the disk is full.
    pub(crate) fails: AtomicBool,
    /// Whether it keeps events once, and says that it failed.
    pub(crate) lies: AtomicBool,
    /// Whether it answers nothing.
    pub(crate) hangs: AtomicBool,
    /// The node that it has no place for.
    pub(crate) crowded: Mutex<Option<NodeId>>,
    /// Events of the largest append.
    pub(crate) largest: AtomicUsize,
    /// What endangers what it keeps.
    pub(crate) warnings: Mutex<Vec<String>>,
    /// Whether it does not tell that.
    pub(crate) secretive: AtomicBool,
}

impl Memory {
    /// In the order in which they were kept.
    pub(crate) fn sequences(&self, node: &NodeId) -> Vec<u64> {
        self.rows.lock().unwrap().iter().filter(|row| row.id == *node).map(|row| row.sequence).collect()
    }

    async fn mood(&self) -> Result<(), HistoryError> {
        while self.hangs.load(Ordering::SeqCst) {
            sleep(Duration::from_millis(20)).await;
        }
        let full = || HistoryError::Disk { path: "/full".into(), why: "no space left".into() };
        if self.fails.load(Ordering::SeqCst) { Err(full()) } else { Ok(()) }
    }

    fn keep(&self, events: Vec<Event>) -> Appended {
        let (mut rows, mut lasts) = (self.rows.lock().unwrap(), self.lasts.lock().unwrap());
        let mut appended = Appended::default();
        for event in events {
            if lasts.get(&event.id).is_some_and(|last| event.count() <= *last) {
                appended.known += 1;
            } else {
                lasts.insert(event.id, event.count());
                appended.kept += 1;
                rows.push(event);
            }
        }
        appended
    }
}

impl History for Memory {
    async fn append(&self, _: Time, events: Vec<Event>) -> Result<Appended, HistoryError> {
        self.mood().await?;
        if events.len() > MOST_APPENDED {
            return Err(HistoryError::TooMany { given: events.len() });
        }
        self.largest.fetch_max(events.len(), Ordering::SeqCst);
        let crowded = *self.crowded.lock().unwrap();
        if let Some(node) = crowded.filter(|node| events.iter().any(|event| event.id == *node)) {
            return Err(HistoryError::TooManyNodes(node));
        }
        let appended = self.keep(events);
        match self.lies.swap(false, Ordering::SeqCst) {
            true => Err(HistoryError::Disk { path: "/lost".into(), why: "the answer".into() }),
            false => Ok(appended),
        }
    }

    async fn query(&self, _: Query) -> Result<Page, HistoryError> {
        Ok(Page::default())
    }

    async fn retain(&self, _: Time, _: Duration, _: u64) -> Result<(), HistoryError> {
        self.mood().await
    }

    async fn last(&self, node: NodeId) -> Result<Option<Count>, HistoryError> {
        self.mood().await?;
        Ok(self.lasts.lock().unwrap().get(&node).copied())
    }

    async fn size(&self) -> Result<Size, HistoryError> {
        Ok(Size { events: self.rows.lock().unwrap().len() as u64, bytes: 0 })
    }

    async fn warnings(&self) -> Result<Vec<String>, HistoryError> {
        match self.secretive.load(Ordering::SeqCst) {
            true => Err(HistoryError::Redis("NOPERM".to_owned())),
            false => Ok(self.warnings.lock().unwrap().clone()),
        }
    }
}
