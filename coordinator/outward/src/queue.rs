//! A queue that never makes its writer wait: when it is full the oldest goes.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

/// A queue bounded in items and in bytes.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    inner: Mutex<Inner<T>>,
    filled: Notify,
    items: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Inner<T> {
    /// Each with its bytes.
    list: VecDeque<(T, usize)>,
    bytes: usize,
    /// Taken, and not yet done with.
    in_hand: usize,
    dropped: u64,
}

impl<T> Queue<T> {
    pub(crate) fn new(items: usize, bytes: usize) -> Self {
        let inner = Inner { list: VecDeque::new(), bytes: 0, in_hand: 0, dropped: 0 };
        Self { inner: Mutex::new(inner), filled: Notify::new(), items, bytes }
    }

    /// Adds an item; as many of the oldest as it displaces go, counted.
    pub(crate) fn push(&self, item: T, bytes: usize) {
        let mut inner = self.lock();
        inner.list.push_back((item, bytes));
        inner.bytes += bytes;
        while inner.list.len() > self.items || inner.bytes > self.bytes {
            inner.pop();
            inner.dropped += 1;
        }
        drop(inner);
        self.filled.notify_one();
    }

    /// Waits for items, and takes the oldest, at most so many; they count as waiting until they are `done`.
    pub(crate) async fn take(&self, most: usize) -> Vec<T> {
        loop {
            let taken = self.take_now(most);
            if !taken.is_empty() {
                return taken;
            }
            self.filled.notified().await;
        }
    }

    /// So many of those that were taken need not wait any longer.
    pub(crate) fn done(&self, count: usize) {
        let mut inner = self.lock();
        inner.in_hand = inner.in_hand.saturating_sub(count);
    }

    /// How many wait, and how many were dropped.
    pub(crate) fn counts(&self) -> (usize, u64) {
        let inner = self.lock();
        (inner.list.len() + inner.in_hand, inner.dropped)
    }

    fn take_now(&self, most: usize) -> Vec<T> {
        let mut inner = self.lock();
        let count = inner.list.len().min(most);
        inner.in_hand += count;
        (0..count).filter_map(|_| inner.pop()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Inner<T> {
    fn pop(&mut self) -> Option<T> {
        let (item, bytes) = self.list.pop_front()?;
        self.bytes -= bytes;
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_oldest_go_when_there_are_too_many() {
        let queue = Queue::new(3, 100);
        (0..5).for_each(|number| queue.push(number, 1));
        assert_eq!(queue.counts(), (3, 2));
        assert_eq!(queue.take(2).await, [2, 3]);
        assert_eq!(queue.take(2).await, [4]);
        assert_eq!(queue.counts(), (3, 2), "what is in somebody's hands still waits");
        queue.done(3);
        assert_eq!(queue.counts(), (0, 2));
    }

    #[tokio::test]
    async fn the_oldest_go_when_they_are_too_large() {
        let queue = Queue::new(100, 10);
        queue.push("a", 6);
        queue.push("b", 6);
        queue.push("larger than everything", 11);
        assert_eq!(queue.counts(), (0, 3));
        queue.push("c", 10);
        assert_eq!(queue.take(9).await, ["c"]);
    }

    #[tokio::test]
    async fn who_waits_is_woken() {
        let queue = std::sync::Arc::new(Queue::new(3, 100));
        let waiting = tokio::spawn({
            let queue = queue.clone();
            async move { queue.take(1).await }
        });
        tokio::task::yield_now().await;
        queue.push(7, 1);
        assert_eq!(waiting.await.unwrap(), [7]);
    }
}
