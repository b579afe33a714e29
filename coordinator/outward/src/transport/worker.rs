//! The worker between the queue and the link.

use std::sync::Arc;

use smartfw_core::EventKind;
use tokio::{task::JoinHandle, time::sleep};

use super::{Link, Patience};
use crate::{
    NodeEvent,
    backoff::{Backoff, chance},
    queue::Queue,
    settings::{Export, SetupError},
    state::{Record, State},
};

/// Events that are made into records at once.
const BATCH: usize = 256;

/// Bytes that wait, at most, whatever `queue` says: an event's body has up to 16 KiB.
const QUEUE_BYTES: usize = 32 << 20;

/// What an event takes beside its texts, about.
const EVENT_BYTES: usize = 256;

/// One way out for events. It never makes the caller wait.
#[derive(Debug)]
pub struct Exporter {
    kinds: Vec<EventKind>,
    queue: Arc<Queue<Arc<NodeEvent>>>,
    record: Arc<Record>,
    worker: JoinHandle<()>,
}

impl Exporter {
    /// Starts the worker, in a runtime.
    pub(crate) fn start(settings: &Export, patience: Patience) -> Result<Self, SetupError> {
        let queue = Arc::new(Queue::new(settings.queue.get() as usize, QUEUE_BYTES));
        let record = Arc::new(Record::new(&settings.name));
        let worker = Worker {
            link: Link::new(settings, patience)?,
            settings: settings.clone(),
            patience,
            queue: queue.clone(),
            record: record.clone(),
        };
        let worker = tokio::spawn(worker.run());
        Ok(Self { kinds: settings.kinds.0.clone(), queue, record, worker })
    }

    /// Sends an event soon, if it is of a kind that goes this way.
    pub fn tell(&self, told: &Arc<NodeEvent>) {
        if self.kinds.contains(&told.event.kind) {
            self.queue.push(told.clone(), told.node.len() + told.event.body.len() + EVENT_BYTES);
        }
    }

    /// How it is.
    pub fn state(&self) -> State {
        let (waiting, dropped) = self.queue.counts();
        State { waiting, dropped, ..self.record.state() }
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.worker.abort();
    }
}

struct Worker {
    link: Link,
    settings: Export,
    patience: Patience,
    queue: Arc<Queue<Arc<NodeEvent>>>,
    record: Arc<Record>,
}

impl Worker {
    async fn run(mut self) {
        loop {
            let events = self.queue.take(BATCH).await;
            let (Export { format, facility, .. }, most) = (&self.settings, self.link.most());
            let records: Vec<_> = events.iter().map(|told| format.record(told, *facility, most)).collect();
            self.deliver(&records).await;
        }
    }

    /// Until everything is out, however long it takes: what cannot wait any longer is dropped in the queue.
    async fn deliver(&mut self, records: &[Vec<u8>]) {
        let mut backoff = Backoff::new(self.patience.waits);
        let mut rest = records;
        while !rest.is_empty() {
            let mut done = 0;
            let result = self.link.send(rest, &mut done, self.patience).await;
            rest = &rest[done..];
            self.queue.done(done);
            if done > 0 {
                self.record.sent(done);
                backoff.succeeded();
            }
            if let Err(trouble) = result {
                self.record.failed(trouble);
                self.link.close();
                sleep(backoff.failed(chance(), None)).await;
            }
        }
    }
}
