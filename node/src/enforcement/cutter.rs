//! Destroying the open connections of who was blocked, beside the worker: looking through all sockets takes a while,
//! and the next block must not wait for it.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use smartfw_core::IpNet;
use smartfw_enforce::Enforcer;

use crate::{counters::Counters, vital::Vital};

/// Targets that may wait: a tenth of a second of a large import. A hard block without its connections cut still
/// drops every packet: what does not fit is counted, and the connections end by their own time-outs.
const QUEUE: usize = 16_384;

/// From one look to the next: the first target of many is cut at once, the others together. A tenth of the second
/// within which an attacker's connections shall be gone.
const PAUSE: Duration = Duration::from_millis(100);

/// The way to the cutter; when it is dropped the thread ends.
#[derive(Clone, Debug)]
pub struct Cutter {
    queue: Option<SyncSender<IpNet>>,
    counters: Arc<Counters>,
}

impl Cutter {
    /// Starts the thread, with an enforcer of its own.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(
        enforcer: Box<dyn Enforcer>,
        counters: Arc<Counters>,
        vital: &Vital,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (queue, targets) = sync_channel(QUEUE);
        let counted = counters.clone();
        let thread = vital.spawn("cutter", move || run(enforcer, &targets, &counted))?;
        Ok((Self { queue: Some(queue), counters }, thread))
    }

    /// A cutter that cuts nothing.
    pub fn idle(counters: Arc<Counters>) -> Self {
        Self { queue: None, counters }
    }

    /// Destroys the target's connections soon.
    pub fn cut(&self, target: IpNet) {
        if self.queue.as_ref().is_some_and(|queue| queue.try_send(target).is_err()) {
            self.counters.cuts_dropped.add(1);
        }
    }
}

fn run(mut enforcer: Box<dyn Enforcer>, targets: &Receiver<IpNet>, counters: &Counters) {
    while let Ok(first) = targets.recv() {
        // One look for all that came meanwhile.
        let targets: Vec<IpNet> = std::iter::once(first).chain(targets.try_iter()).collect();
        match enforcer.destroy_all(&targets) {
            Ok(destroyed) => {
                counters.connections_destroyed.add((destroyed.sockets + destroyed.tracked) as u64)
            }
            Err(error) => tracing::warn!(%first, %error, "open connections could not be destroyed"),
        }
        thread::sleep(PAUSE);
    }
}
