//! The buffer as the mirror reads it: the events that coordinators are told, under the same numbers. What it does not have
//! yet stays in the buffer, like what a coordinator does not have.

use std::sync::{MutexGuard, PoisonError};

use smartfw_core::{Event, fleet::Version};
use tokio::{sync::watch, task::spawn_blocking};

use super::{
    Uplink,
    index::Index,
    keeper::Order,
    reader::{Batch, Reader},
};

/// What the mirror has of the buffer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mirrored {
    /// Everything up to here.
    has: Version,
    /// Whether it is to have what is behind that.
    pub(super) wants: bool,
}

impl Mirrored {
    /// As it was remembered.
    pub(super) fn restored(has: Option<Version>) -> Self {
        Self { has: has.unwrap_or_default(), wants: false }
    }

    /// What to remember.
    pub(super) fn remembered(self) -> Option<Version> {
        (self.wants || self.has != Version::default()).then_some(self.has)
    }

    /// What it has of a life of the buffer; `None` where nothing waits for it.
    pub(super) fn lowest(self, epoch: u64) -> Option<u64> {
        let has = if self.has.epoch == epoch { self.has.sequence } else { 0 };
        self.wants.then_some(has)
    }

    /// The first event of this buffer that it does not have.
    const fn next(self, index: &Index) -> u64 {
        let same = self.has.epoch == index.epoch && self.has.sequence < index.next;
        if same { self.has.sequence + 1 } else { 1 }
    }
}

/// Reads on behind what the mirror has.
#[derive(Debug)]
pub(crate) struct Tail {
    uplink: Uplink,
    /// Whether the mirror is told also what a coordinator is told.
    always: bool,
    /// How often this node had left a fleet when it took part in the one whose events these are.
    left: u64,
    index: watch::Receiver<Index>,
    reader: Reader,
}

/// Some events of one life of the buffer.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) epoch: u64,
    pub(crate) events: Vec<Event>,
    next: u64,
}

impl Uplink {
    /// A way to read what is told, as long as no coordinator is known, or `always`. Nothing is kept before it
    /// [begins](Tail::begin).
    pub(crate) fn tail(&self, always: bool) -> Tail {
        let (index, reader) = (self.0.index.subscribe(), Reader::new(&self.0.folder));
        Tail { uplink: self.clone(), always, left: self.left(), index, reader }
    }

    /// Events that wait for the mirror.
    #[cfg(test)]
    pub(crate) fn unmirrored(&self) -> u64 {
        let index = self.0.index.borrow();
        self.mirrored().lowest(index.epoch).map_or(0, |has| index.behind(has))
    }

    pub(super) fn mirrored(&self) -> MutexGuard<'_, Mirrored> {
        self.0.mirrored.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tail {
    /// From now on it reads what happens where this node is after it left so many fleets.
    pub(crate) const fn enter(&mut self, left: u64) {
        self.left = left;
    }

    /// Events are kept from now on, where the mirror is to be told of them.
    pub(crate) fn begin(&self) {
        if self.wants() {
            self.uplink.begin_while(|| self.takes_part());
            // What was remembered may name a coordinator.
            self.wants();
        }
    }

    /// Whether the mirror is to be told now; what it does not have is kept for it as long as that is so. Only a coordinator
    /// that was really connected is one: any member can say that there is another. In the place of a fleet that this node
    /// left nobody is told what happened since.
    pub(crate) fn wants(&self) -> bool {
        let wants = self.takes_part() && (self.always || !self.uplink.known().any());
        let before = std::mem::replace(&mut self.uplink.mirrored().wants, wants);
        if wants != before {
            self.uplink.order(Order::Remember);
            self.uplink.order(Order::Kept);
        }
        wants
    }

    /// What comes behind what the mirror has; `None` where it has everything.
    pub(crate) async fn read(&mut self) -> Option<Piece> {
        let index = self.index.borrow_and_update().clone();
        let (epoch, from) = (index.epoch, self.uplink.mirrored().next(&index));
        let mut reader = self.reader.clone();
        let reading = spawn_blocking(move || (reader.read(&index, from), reader));
        // It fails where the node is ending.
        let (Batch { events, next, damaged }, reader) = reading.await.ok()?;
        self.reader = reader;
        if damaged {
            tracing::warn!(from, "events for the mirror cannot be read from the disk and are left out");
        }
        (next > from).then_some(Piece { epoch, events, next })
    }

    /// The mirror has these, and all before them.
    pub(crate) fn has(&self, piece: &Piece) {
        if !self.takes_part() {
            return;
        }
        self.uplink.mirrored().has = Version { epoch: piece.epoch, sequence: piece.next - 1 };
        self.uplink.order(Order::Kept);
    }

    /// So many events of what was read are never told to the mirror.
    pub(crate) fn left_out(&self, events: usize) {
        self.uplink.missed(events as u64);
    }

    /// Waits until there may be more.
    pub(crate) async fn more(&mut self) {
        // Its sender lives as long as the uplink.
        let _ = self.index.changed().await;
    }

    fn takes_part(&self) -> bool {
        self.uplink.left() == self.left
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use smartfw_core::fleet::NodeId;

    use super::*;
    use crate::{
        clock,
        counters::Counters,
        uplink::{index::Span, known::Remembered},
    };

    const fn index(epoch: u64, next: u64) -> Index {
        Index { epoch, next, spans: Vec::<Span>::new() }
    }

    const fn upto(epoch: u64, sequence: u64) -> Mirrored {
        Mirrored { has: Version { epoch, sequence }, wants: true }
    }

    #[test]
    fn it_goes_on_behind_what_it_has_of_the_same_life_and_from_the_beginning_of_another() {
        assert_eq!(upto(7, 4).next(&index(7, 10)), 5);
        assert_eq!(upto(7, 9).next(&index(7, 10)), 10);
        assert_eq!(upto(6, 4).next(&index(7, 10)), 1);
        assert_eq!(upto(7, 10).next(&index(7, 10)), 1, "the disk was set back");
    }

    #[test]
    fn what_it_does_not_have_waits_for_it_as_long_as_it_is_to_have_it() {
        assert_eq!((upto(7, 4).lowest(7), upto(6, 4).lowest(7)), (Some(4), Some(0)));
        let silent = Mirrored { wants: false, ..upto(7, 4) };
        assert_eq!((silent.lowest(7), silent.remembered()), (None, Some(silent.has)));
        assert_eq!(Mirrored::default().remembered(), None);
        assert_eq!(Mirrored::restored(Some(silent.has)).next(&index(7, 10)), 5);
    }

    #[test]
    fn where_coordinators_are_only_away_all_waits_for_them_whatever_the_mirror_has() {
        let uplink = Uplink::new(Path::new("/nonexistent"), Arc::default(), Arc::default());
        *uplink.mirrored() = upto(7, 4);
        assert_eq!(uplink.lowest(7), Some(4));
        let seen = clock::now().as_secs() - 4 * 86_400;
        let coordinators = [(format!("{:#}", NodeId([1; 32])), seen)].into();
        uplink.known().restore(clock::now(), &Remembered { coordinators, ..Remembered::default() });
        assert_eq!(uplink.lowest(7), None);
    }

    #[test]
    fn what_coordinators_are_told_as_a_whole_the_mirror_never_hears_and_that_is_counted() {
        let counters = Arc::<Counters>::default();
        let uplink = Uplink::new(Path::new("/nonexistent"), counters.clone(), Arc::default());
        uplink.as_a_whole(3);
        assert_eq!(counters.uplink.missed.get(), 0);
        uplink.tail(false).wants();
        uplink.as_a_whole(3);
        assert_eq!(counters.uplink.missed.get(), 3);
        assert_eq!(uplink.all_dropped(), 0, "coordinators hear of it as a whole, and lack nothing");
    }

    #[test]
    fn what_of_a_full_buffer_is_lost_only_the_mirror_misses_as_far_as_coordinators_have_it() {
        let uplink = Uplink::new(Path::new("/nonexistent"), Arc::default(), Arc::default());
        assert_eq!(uplink.reached(7), 0, "there is no mirror that could miss it");
        *uplink.mirrored() = upto(7, 4);
        assert_eq!(uplink.reached(7), u64::MAX, "there is no coordinator that could miss it");
        uplink.0.named.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(uplink.reached(7), 0, "it was never there, and misses all");
        uplink.known().connected(clock::now(), NodeId([1; 32]), Version { epoch: 7, sequence: 9 });
        assert_eq!((uplink.reached(7), uplink.reached(8)), (9, 0));
    }

    #[test]
    fn in_the_place_of_a_fleet_that_was_left_nobody_is_told_anything() {
        let folder = tempfile::tempdir().unwrap();
        let uplink = Uplink::new(folder.path(), Arc::default(), Arc::default());
        let mut tail = uplink.tail(true);
        tail.begin();
        uplink.forget();
        tail.begin();
        assert!(!tail.wants() && !uplink.wants() && !uplink.folder().exists());
        tail.enter(uplink.left());
        tail.begin();
        assert!(tail.wants() && uplink.wants());
        uplink.end();
    }

    #[test]
    fn what_only_the_mirror_was_told_is_kept_again_only_by_it() {
        let folder = tempfile::tempdir().unwrap();
        let uplink = || Uplink::new(folder.path(), Arc::default(), Arc::default());
        let mirrored = uplink();
        mirrored.tail(false).begin();
        mirrored.end();
        let again = uplink();
        again.resume();
        assert!(!again.wants(), "nobody would take what is kept");
        again.tail(false).begin();
        assert!(again.wants());
        again.end();
    }
}
