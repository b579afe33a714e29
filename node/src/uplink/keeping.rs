//! When events are kept, and for whom.

use std::{
    io,
    sync::{MutexGuard, TryLockError, atomic::Ordering::Relaxed, mpsc::sync_channel},
    thread,
    time::{Duration, Instant},
};

use smartfw_core::fleet::{NodeId, Version};

use super::{
    Hindered, Keeping, Uplink,
    index::Index,
    keeper::{Keeper, Order},
    known::{Known, Remembered},
    tail::Mirrored,
};
use crate::clock;

/// Events that wait for the disk, at most: a burst of a second under attack, some ten megabytes.
const QUEUE: usize = 4096;
/// How long the thread may take to end: a disk may hang.
const PATIENCE: Duration = Duration::from_secs(2);

impl Uplink {
    /// Keeps events from now on, where a coordinator was ever named: what the mirror alone was told, it begins itself.
    pub(crate) fn resume(&self) {
        let Remembered { mirrored, coordinators, .. } = Remembered::load(&self.0.folder);
        if self.0.folder.exists() && (mirrored.is_none() || !coordinators.is_empty()) {
            self.begin();
        }
    }

    /// Keeps events from now on, until the program ends or this node leaves its fleet.
    pub(crate) fn begin(&self) {
        self.begin_while(|| true);
    }

    /// The same, if this still holds: nobody leaves meanwhile.
    pub(super) fn begin_while(&self, holds: impl FnOnce() -> bool) {
        let _gate = self.gate();
        let keeps = |keeping: &Keeping| !keeping.thread.is_finished();
        if self.0.ended.load(Relaxed) || !holds() || self.keeping().as_ref().is_some_and(keeps) {
            return;
        }
        let remembered = Remembered::load(&self.0.folder);
        self.0.dropped_before.store(remembered.dropped, Relaxed);
        self.known().restore(clock::now(), &remembered);
        *self.mirrored() = Mirrored::restored(remembered.mirrored);
        self.away().get_or_insert_with(Instant::now);
        let (orders, ordered) = sync_channel(QUEUE);
        let keeper = Keeper::new(self.clone());
        match thread::Builder::new().name("uplink".into()).spawn(move || keeper.run(&ordered)) {
            Ok(thread) => {
                *self.keeping() = Some(Keeping { orders, thread });
                self.0.open.store(true, Relaxed);
            }
            Err(why) => self.refused(Some(&why)),
        }
    }

    /// The program ends: everything that was told is on disk, where that does not hang, and nothing more is ever kept.
    pub fn end(&self) {
        self.0.ended.store(true, Relaxed);
        let begun = Instant::now();
        // Whoever leaves or begins meanwhile waits for the disk.
        while begun.elapsed() < PATIENCE {
            match self.0.gate.try_lock() {
                Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(2)),
                Ok(gate) => return self.stop(&gate),
                Err(TryLockError::Poisoned(gate)) => return self.stop(&gate.into_inner()),
            }
        }
    }

    /// As it is where the program ended and began again.
    #[cfg(test)]
    pub(crate) fn pause(&self) {
        self.stop(&self.gate());
    }

    fn stop(&self, _nobody_begins: &MutexGuard<'_, ()>) {
        self.0.open.store(false, Relaxed);
        let Some(Keeping { orders, thread }) = self.keeping().take() else { return };
        drop(orders);
        let begun = Instant::now();
        while !thread.is_finished() && begun.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// This node left its fleet: nobody of another is told what happened in it.
    pub(crate) fn forget(&self) {
        // Whoever began meanwhile would keep in a folder that is about to be removed.
        let gate = self.gate();
        self.0.left.fetch_add(1, Relaxed);
        self.stop(&gate);
        *self.known() = Known::default();
        *self.mirrored() = Mirrored::default();
        self.0.named.store(false, Relaxed);
        *self.away() = None;
        *self.hindered() = Hindered::default();
        self.publish(Index::default());
        self.refused(None);
        if let Err(error) = std::fs::remove_dir_all(&self.0.folder)
            && error.kind() != io::ErrorKind::NotFound
        {
            let path = self.0.folder.display();
            tracing::warn!(%path, %error, "what waited for coordinators cannot be removed: remove it");
        }
    }

    /// How often this node left a fleet since the start: who takes part in one after that does so with another identity.
    pub(crate) fn left(&self) -> u64 {
        self.0.left.load(Relaxed)
    }

    /// The fleet names coordinators, or none.
    pub(crate) fn named(&self, any: bool) {
        self.0.named.store(any, Relaxed);
        if any {
            self.begin();
        }
    }

    /// A coordinator answers, and has so much.
    pub(crate) fn up(&self, id: NodeId, kept: Version) {
        self.known().connected(clock::now(), id, kept);
        *self.away() = None;
        self.order(Order::Remember);
        self.order(Order::Kept);
    }

    pub(super) fn kept(&self, id: &NodeId, kept: Version) {
        self.known().kept(clock::now(), id, kept);
        self.hindered().stuck = false;
        self.order(Order::Kept);
    }

    /// Its stream is closed.
    pub(crate) fn down(&self, id: &NodeId) {
        self.known().gone(clock::now(), id);
        if self.known().open() == 0 {
            self.away().get_or_insert_with(Instant::now);
        }
        self.order(Order::Remember);
    }

    /// An attempt failed, or a stream ended as it should not; `stuck`: because nothing was kept.
    pub(super) fn failed(&self, why: String, stuck: bool) {
        let mut hindered = self.hindered();
        hindered.last = Some(why);
        hindered.stuck |= stuck;
    }

    /// Coordinators were expelled: nothing waits for them.
    pub(crate) fn expelled(&self, expelled: impl Fn(&NodeId) -> bool) {
        self.known().forget(expelled);
        self.order(Order::Kept);
    }
}

#[cfg(test)]
mod tests {
    use smartfw_core::EventKind;
    use smartfw_proto::limits;

    use super::*;
    use crate::{counters::Counters, health::Health, uplink::Happened};

    fn event(kind: EventKind, length: usize) -> Happened {
        Happened { time: clock::now(), kind, address: None, class: None, body: "x".repeat(length) }
    }

    #[test]
    fn what_does_not_fit_into_the_queue_is_counted_and_nobody_waits() {
        let counters = std::sync::Arc::<Counters>::default();
        let folder = tempfile::tempdir().unwrap();
        let uplink = Uplink::new(folder.path(), counters.clone(), Default::default());
        uplink.tell(event(EventKind::Alert, 2));
        assert_eq!(counters.uplink.dropped.get(), 0, "there is nobody to tell");
        // A disk that hangs: nobody takes anything.
        let (orders, _ordered) = sync_channel(QUEUE);
        *uplink.keeping() = Some(Keeping { orders, thread: thread::spawn(|| ()) });
        uplink.0.open.store(true, Relaxed);
        let mut anew = uplink.anew_seen();
        (0..QUEUE + 3).for_each(|_| uplink.tell(event(EventKind::Alert, 2)));
        assert_eq!((counters.uplink.dropped.get(), anew()), (3, false));
        uplink.tell(event(EventKind::Lift, 2));
        assert_eq!((counters.uplink.dropped.get(), anew()), (4, true), "the list of blocks tells it");
    }

    #[test]
    fn after_leaving_a_fleet_events_are_kept_again_and_after_the_program_s_end_never() {
        let folder = tempfile::tempdir().unwrap();
        let uplink = Uplink::new(folder.path(), Default::default(), Default::default());
        uplink.begin();
        uplink.forget();
        assert_eq!((uplink.wants(), uplink.left()), (false, 1));
        uplink.begin();
        assert!(uplink.wants());
        uplink.end();
        uplink.begin();
        uplink.named(true);
        assert!(!uplink.wants());
    }

    #[test]
    fn nobody_begins_in_a_folder_that_is_about_to_be_removed() {
        let folder = tempfile::tempdir().unwrap();
        let uplink = Uplink::new(folder.path(), Default::default(), Default::default());
        let began = || (0..200).for_each(|_| uplink.begin());
        for _ in 0..20 {
            uplink.begin();
            thread::scope(|scope| {
                scope.spawn(began);
                uplink.forget();
            });
            uplink.begin();
            uplink.pause();
            assert!(uplink.folder().join("known.json").exists(), "what is kept lies on disk");
        }
    }

    #[test]
    fn a_body_that_is_too_long_is_never_numbered_and_a_disk_that_refuses_is_shown() {
        let (counters, health) = (std::sync::Arc::<Counters>::default(), std::sync::Arc::<Health>::default());
        let file = tempfile::NamedTempFile::new().unwrap();
        let uplink = Uplink::new(file.path(), counters.clone(), health.clone());
        uplink.begin();
        uplink.tell(event(EventKind::Alert, limits::EVENT + 1));
        assert_eq!(counters.uplink.dropped.get(), 1);
        uplink.tell(event(EventKind::Alert, limits::EVENT));
        uplink.end();
        // That it is so may have been told, in vain.
        assert!((2..=4).contains(&counters.uplink.dropped.get()), "{}", counters.uplink.dropped.get());
        assert!(health.list()[0].what.contains("cannot be written"), "{:?}", health.list());
        assert_eq!(uplink.waiting(), 0);
    }
}
