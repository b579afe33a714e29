//! What the kernel dropped because of each block, asked not too often: the answer is as long as the block list.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use smartfw_core::IpNet;
use smartfw_enforce::{Counters, Enforcer};

/// An answer is good for so long at least.
const FRESH: Duration = Duration::from_secs(1);

/// Asking takes at most one part in so many of the time.
const SHARE: u32 = 20;

/// What the kernel dropped, by target.
pub(super) type ByTarget = Arc<BTreeMap<IpNet, Counters>>;

/// Asks the kernel by an enforcer of its own, so that the one that drops is never kept waiting.
pub struct Drops(Mutex<Inner>);

struct Inner {
    enforcer: Box<dyn Enforcer>,
    answer: ByTarget,
    asked: Option<Instant>,
    cost: Duration,
}

impl Drops {
    /// Asks by `enforcer`.
    pub fn new(enforcer: Box<dyn Enforcer>) -> Self {
        Self(Mutex::new(Inner { enforcer, answer: ByTarget::default(), asked: None, cost: Duration::ZERO }))
    }

    /// What was dropped, as of a moment ago. Where the kernel does not answer, as of its last answer.
    pub(super) fn read(&self) -> ByTarget {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let good_for = FRESH.max(inner.cost * SHARE);
        if inner.asked.is_none_or(|asked| asked.elapsed() >= good_for) {
            let begun = Instant::now();
            match inner.enforcer.counters() {
                Ok(counters) => inner.answer = Arc::new(counters),
                Err(error) => tracing::debug!(%error, "the kernel's counters cannot be read"),
            }
            (inner.asked, inner.cost) = (Some(Instant::now()), begun.elapsed());
        }
        inner.answer.clone()
    }

    /// All packets and bytes dropped because of the blocks in force now.
    pub fn total(&self) -> Counters {
        let add = |sum: Counters, one: &Counters| Counters {
            packets: sum.packets + one.packets,
            bytes: sum.bytes + one.bytes,
        };
        self.read().values().fold(Counters::default(), add)
    }
}
