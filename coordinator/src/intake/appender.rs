//! Puts what all streams bring into the history, several batches at a time, and says what is kept.

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use smartfw_core::fleet::{NodeId, Version};
use smartfw_history::{Appended, Count, Event, HistoryError, MOST_APPENDED};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, watch},
    time::{sleep, timeout},
};
use tonic::Status;

use super::{Counters, line::Line};
use crate::{
    clock,
    health::{Health, Level, Matter},
    keeper::Keeper,
    view::View,
};

/// The first pause after a failure, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// An append that takes longer is shown.
const SLOW: Duration = Duration::from_secs(10);

/// Events of one message.
pub(super) struct Batch {
    /// The stream that they came on.
    pub(super) line: Arc<Line>,
    /// In the order of their numbers.
    pub(super) events: Vec<Event>,
    /// The last one's number.
    pub(super) upto: Version,
    /// So many never came.
    pub(super) missed: u64,
    /// What they take of the room for all, and their stream's turn.
    pub(super) room: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

/// What is known to be kept of each node; at most as many as the history takes.
#[derive(Debug, Default)]
pub(super) struct Lasts(Mutex<BTreeMap<NodeId, Count>>);

impl Lasts {
    pub(super) fn get(&self, id: &NodeId) -> Option<Count> {
        self.known().get(id).copied()
    }

    /// At least so much is kept.
    pub(super) fn raise(&self, id: NodeId, count: Count) {
        let mut known = self.known();
        let last = known.entry(id).or_insert(count);
        *last = count.max(*last);
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<NodeId, Count>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one that writes.
pub(super) struct Appender {
    pub(super) batches: mpsc::Receiver<Batch>,
    pub(super) history: Arc<dyn Keeper>,
    pub(super) lasts: Arc<Lasts>,
    pub(super) view: Arc<View>,
    pub(super) health: Arc<Health>,
    pub(super) counters: Arc<Counters>,
}

impl Appender {
    /// Works until it shall end: then what is being written is finished, and the rest comes again.
    pub(super) async fn run(mut self, mut ending: watch::Receiver<bool>) {
        let mut next = None;
        while !*ending.borrow() {
            let first = match next.take() {
                Some(batch) => Some(batch),
                None => tokio::select! {
                    batch = self.batches.recv() => batch,
                    _ = ending.changed() => return,
                },
            };
            let Some(first) = first else { return };
            let group = self.gather(first, &mut next);
            self.keep(group).await;
        }
    }

    /// As many batches as fit into one append; the one that does not is the next.
    fn gather(&mut self, first: Batch, next: &mut Option<Batch>) -> Vec<Batch> {
        let mut events = first.events.len();
        let mut group = vec![first];
        while let Ok(batch) = self.batches.try_recv() {
            events += batch.events.len();
            if events > MOST_APPENDED {
                *next = Some(batch);
                break;
            }
            group.push(batch);
        }
        group
    }

    /// Keeps a group, however long it takes: what is not kept is not acknowledged, and meanwhile the streams wait.
    async fn keep(&self, mut group: Vec<Batch>) {
        let mut pause = PAUSES.0;
        loop {
            self.leave_out_known(&mut group);
            let events: Vec<Event> = group.iter().flat_map(|batch| batch.events.clone()).collect();
            match self.append(events).await {
                Ok(_) => break,
                Err(HistoryError::Refused { node, .. }) => self.refuse(
                    &mut group,
                    node,
                    &Status::invalid_argument(
                        "an event cannot be kept: its body is no JSON object, or too long",
                    ),
                ),
                Err(why @ HistoryError::TooManyNodes(node)) => {
                    let remedy = "give some of the nodes a cluster and a coordinator of their own";
                    self.health.set(Matter::Nodes, Level::Error, why.to_string(), remedy);
                    self.refuse(&mut group, node, &Status::resource_exhausted(why.to_string()));
                }
                Err(why) => {
                    self.counters.failures.add(1);
                    let what = format!("events cannot be kept, and wait at the nodes: {why}");
                    let remedy = "see to the disk of the state folder, or to Redis; it is tried again";
                    self.health.set(Matter::History, Level::Error, what, remedy);
                    sleep(pause).await;
                    pause = (pause * 2).min(PAUSES.1);
                }
            }
        }
        self.health.clear(Matter::History);
        group.into_iter().for_each(|batch| self.acknowledge(batch));
    }

    async fn append(&self, events: Vec<Event>) -> Result<Appended, HistoryError> {
        if events.is_empty() {
            return Ok(Appended::default());
        }
        self.counters.appends.add(1);
        let mut append = pin!(self.history.append(clock::now(), events));
        loop {
            match timeout(SLOW, &mut append).await {
                Ok(appended) => return appended,
                Err(_) => {
                    let what = format!("the history takes more than {} s to keep events", SLOW.as_secs());
                    let remedy =
                        "look what else uses its disk, or at Redis; meanwhile events wait at the nodes";
                    self.health.set(Matter::History, Level::Warn, what, remedy);
                }
            }
        }
    }

    /// A node that connects anew sends again what was not acknowledged.
    fn leave_out_known(&self, group: &mut [Batch]) {
        let mut known: BTreeMap<NodeId, Count> = BTreeMap::new();
        for Batch { line, events, .. } in group {
            let last = known.get(&line.id).copied().or_else(|| self.lasts.get(&line.id));
            let before = events.len();
            events.retain(|event| last.is_none_or(|last| event.count() > last));
            self.counters.known.add((before - events.len()) as u64);
            if let Some(event) = events.last() {
                known.insert(line.id, event.count());
            }
        }
    }

    fn refuse(&self, group: &mut Vec<Batch>, node: NodeId, why: &Status) {
        group.retain(|batch| {
            let refused = batch.line.id == node;
            if refused {
                batch.line.end(why.clone());
            }
            !refused
        });
    }

    fn acknowledge(&self, batch: Batch) {
        let Batch { line, events, upto, missed, room } = batch;
        self.lasts.raise(line.id, Count { epoch: upto.epoch, sequence: upto.sequence });
        self.counters.kept.add(events.len() as u64);
        if let Err(why) = self.view.kept(events, (line.number, missed)) {
            super::crowded(&self.health, why);
        }
        line.kept(upto);
        drop(room);
    }
}
