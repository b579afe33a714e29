//! Streams that are open: closed at once when their member is revoked.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use crate::trust::Member;

/// Streams with one member: one each way, and one more each while a connection that died is not yet known to be dead.
/// Another one closes the oldest.
pub const STREAMS_EACH: usize = 8;

/// Closes a stream from outside.
#[derive(Debug, Default)]
pub(super) struct Gate {
    closed: AtomicBool,
    reader: Mutex<Option<Waker>>,
}

impl Gate {
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        let waker = self.reader.lock().unwrap_or_else(PoisonError::into_inner).take();
        waker.into_iter().for_each(Waker::wake);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Whether it is closed; if not, wakes the reader when it is.
    pub(super) fn poll_closed(&self, cx: &Context<'_>) -> bool {
        // Registered before it is looked at, so that closing in between is not missed.
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        reader.get_or_insert_with(|| cx.waker().clone()).clone_from(cx.waker());
        self.is_closed()
    }
}

/// Every open stream of ours.
#[derive(Debug, Default)]
pub(super) struct OpenStreams(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    next: u64,
    open: BTreeMap<u64, (Member, Arc<Gate>)>,
}

/// A place among the open streams; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    of: Arc<OpenStreams>,
    number: u64,
}

impl OpenStreams {
    /// Enters a stream; the oldest of the same member makes room.
    pub(super) fn enter(self: &Arc<Self>, member: &Member, gate: &Arc<Gate>) -> Place {
        let mut table = self.table();
        let same = table.open.iter().filter(|(_, (other, gate))| other.id == member.id && !gate.is_closed());
        let same: Vec<u64> = same.map(|(number, _)| *number).collect();
        if same.len() >= STREAMS_EACH
            && let Some((_, gate)) = table.open.get(&same[0])
        {
            gate.close();
        }
        let number = table.next;
        table.next += 1;
        table.open.insert(number, (member.clone(), gate.clone()));
        Place { of: self.clone(), number }
    }

    pub(super) fn close_where(&self, condemned: impl Fn(&Member) -> bool) {
        let table = self.table();
        table.open.values().filter(|(member, _)| condemned(member)).for_each(|(_, gate)| gate.close());
    }

    pub(super) fn len(&self) -> usize {
        self.table().open.len()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.of.table().open.remove(&self.number);
    }
}
