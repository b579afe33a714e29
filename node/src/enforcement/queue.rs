//! Tasks for the kernel, in the order in which they were decided.

use std::{
    collections::VecDeque,
    mem,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
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
    /// Somebody changed the kernel's rules.
    pub(crate) disturbed: bool,
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
    disturbed: bool,
    stop: Option<bool>,
}

impl Queue {
    /// Adds a task.
    pub fn push(&self, task: Task) -> Ticket {
        let mut inner = self.lock();
        inner.last.0 += 1;
        if inner.tasks.len() >= MAX_TASKS {
            // Switching enforcement is not part of what a comparison repairs.
            inner.tasks.retain(|task| matches!(task, Task::On(_) | Task::Off));
            inner.overflowed = true;
        }
        inner.tasks.push_back(task);
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

    /// Somebody changed the kernel's rules: look soon.
    pub fn disturb(&self) {
        self.lock().disturbed = true;
        self.changed.notify_one();
    }

    /// Ends the worker after what is queued; with `remove` it removes everything of ours first.
    pub fn stop(&self, remove: bool) {
        self.lock().stop = Some(remove);
        self.changed.notify_one();
    }

    /// Takes everything, waiting at most until `deadline` for something to take.
    pub(crate) fn take(&self, deadline: Instant) -> Taken {
        let mut inner = self.lock();
        loop {
            let patience = deadline.saturating_duration_since(Instant::now());
            let quiet = inner.tasks.is_empty() && !inner.disturbed && inner.stop.is_none();
            if !quiet || patience == Duration::ZERO {
                break;
            }
            let waited = self.changed.wait_timeout(inner, patience);
            inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Taken {
            tasks: mem::take(&mut inner.tasks).into(),
            upto: inner.last,
            overflowed: mem::take(&mut inner.overflowed),
            disturbed: mem::take(&mut inner.disturbed),
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
        let taken = queue.take(Instant::now());
        assert_eq!(taken.tasks, [unblock(1), unblock(2), unblock(3)]);
        assert_eq!((taken.upto, queue.len()), (Ticket(3), 0));
    }

    #[test]
    fn a_full_queue_asks_for_a_comparison_and_forgets_no_switch() {
        let queue = Queue::default();
        queue.push(Task::Off);
        (0..=MAX_TASKS as u32).for_each(|n| assert!(queue.push(unblock(n)) > Ticket(0)));
        let taken = queue.take(Instant::now());
        assert!(taken.overflowed && taken.tasks.len() < 10);
        assert_eq!(taken.tasks[0], Task::Off);
        assert_eq!(taken.upto, Ticket(MAX_TASKS as u64 + 2));
    }

    #[test]
    fn a_disturbance_wakes_the_worker() {
        let queue = Queue::default();
        queue.disturb();
        let begun = Instant::now();
        assert!(queue.take(begun + Duration::from_secs(5)).disturbed);
        assert!(begun.elapsed() < Duration::from_secs(4));
    }
}
