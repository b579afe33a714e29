//! Tasks for the kernel, in the order in which they were decided.

use std::{
    collections::VecDeque,
    mem,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use smartfw_core::{
    IpNet, Time,
    enforcement::{Change, Enforced},
};

/// Tasks that may wait: an import of a hundred thousand blocks fits several times. When even that is full, what waits
/// is dropped and the kernel is compared as a whole with what it shall hold: slower, and just as right.
const MAX_TASKS: usize = 400_000;

/// A task's number; they rise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// Something for the kernel.
#[derive(Clone, Debug, PartialEq)]
pub enum Task {
    /// A change, and when the packet that decided it was seen.
    Change(Change, Option<Time>),
    /// Install everything and load this.
    On(Enforced),
    /// Remove everything of ours.
    Off,
    /// Destroy the target's open connections; it is dropped by now.
    Cut(IpNet),
}

/// What the worker takes at once.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) tasks: Vec<Task>,
    /// All tasks up to here are among them, or were before.
    pub(crate) upto: Ticket,
    /// Tasks were dropped: the kernel has to be compared as a whole.
    pub(crate) overflowed: bool,
    /// The end, and whether to remove everything of ours first.
    pub(crate) stop: Option<bool>,
}

/// The queue to the worker. Nobody ever waits to put something in.
#[derive(Debug, Default)]
pub struct Queue {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    tasks: VecDeque<Task>,
    last: Ticket,
    overflowed: bool,
    stop: Option<bool>,
}

impl Queue {
    /// Adds a task.
    pub fn push(&self, task: Task) -> Ticket {
        self.push_all([task])
    }

    /// Adds tasks that were decided together. The last one's ticket.
    pub fn push_all(&self, tasks: impl IntoIterator<Item = Task>) -> Ticket {
        let mut inner = self.lock();
        for task in tasks {
            inner.last.0 += 1;
            if inner.tasks.len() >= MAX_TASKS {
                // Switching enforcement is not part of what a comparison repairs.
                inner.tasks.retain(|task| matches!(task, Task::On(_) | Task::Off));
                inner.overflowed = true;
            }
            inner.tasks.push_back(task);
        }
        self.changed.notify_one();
        inner.last
    }

    /// The ticket of the last task added.
    pub fn last(&self) -> Ticket {
        self.lock().last
    }

    /// How many tasks wait.
    pub fn len(&self) -> usize {
        self.lock().tasks.len()
    }

    /// Whether no task waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends the worker after what is queued; with `remove` it removes everything of ours first.
    pub fn stop(&self, remove: bool) {
        self.lock().stop = Some(remove);
        self.changed.notify_one();
    }

    /// Waits for something to take, at most so long, and takes everything.
    pub(crate) fn take(&self, patience: Duration) -> Taken {
        let nothing = |inner: &mut Inner| inner.tasks.is_empty() && inner.stop.is_none();
        let waited = self.changed.wait_timeout_while(self.lock(), patience, nothing);
        let (mut inner, _) = waited.unwrap_or_else(PoisonError::into_inner);
        Taken {
            tasks: mem::take(&mut inner.tasks).into(),
            upto: inner.last,
            overflowed: mem::take(&mut inner.overflowed),
            stop: inner.stop,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unblock(n: u32) -> Task {
        let target = IpNet::new(std::net::Ipv4Addr::from(n).into(), 32).unwrap();
        Task::Change(Change::Unblock(target), None)
    }

    #[test]
    fn tasks_leave_in_the_order_in_which_they_came() {
        let queue = Queue::default();
        (1..=3).for_each(|n| assert!(queue.push(unblock(n)) > Ticket(0)));
        let taken = queue.take(Duration::ZERO);
        assert_eq!(taken.tasks, [unblock(1), unblock(2), unblock(3)]);
        assert_eq!((taken.upto, queue.len()), (Ticket(3), 0));
    }

    #[test]
    fn a_full_queue_asks_for_a_comparison_and_forgets_no_switch() {
        let queue = Queue::default();
        queue.push(Task::Off);
        (0..=MAX_TASKS as u32).for_each(|n| assert!(queue.push(unblock(n)) > Ticket(0)));
        let taken = queue.take(Duration::ZERO);
        assert!(taken.overflowed && taken.tasks.len() < 10);
        assert_eq!(taken.tasks[0], Task::Off);
        assert_eq!(taken.upto, Ticket(MAX_TASKS as u64 + 2));
    }
}
