//! The thread that writes the buffer. Whatever its disk does, it holds up nobody but itself.

use std::{
    mem,
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use smartfw_core::{Event, fleet::Version};

use super::{
    Uplink,
    buffer::{Appended, BOUNDS, Buffer},
    known::Remembered,
};
use crate::clock;

/// Events that are written at once: what comes meanwhile is the next batch.
const BATCH: usize = 1024;
/// Events that wait in memory while the disk refuses them; of more the oldest go. As many as wait for the thread.
pub(super) const HELD: usize = 4096;
/// How often a disk that refused is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How often it is written down how many events had to go, and what the mirror has.
const NOTE: Duration = Duration::from_secs(10);
/// Another life is begun no more often: whoever says that it knows more than there is must not cost the others theirs.
const RENEWED: Duration = Duration::from_secs(86_400);

/// What the thread is told.
#[derive(Debug)]
pub(super) enum Order {
    /// Something happened; its number is given here.
    Event(Event),
    /// A coordinator has more than before.
    Kept,
    /// A coordinator knows events of ours that are not there.
    Ahead(Version),
    /// Coordinators came or went.
    Remember,
}

/// The thread's own.
pub(super) struct Keeper {
    uplink: Uplink,
    buffer: Option<Buffer>,
    /// What the disk has refused.
    held: Vec<Event>,
    /// When it did.
    refused: Option<Instant>,
    renewed: Option<Instant>,
    /// When it was written down how many had to go, and what the mirror has.
    noted: Option<(Instant, (u64, Option<Version>))>,
}

impl Keeper {
    pub(super) const fn new(uplink: Uplink) -> Self {
        Self { uplink, buffer: None, held: Vec::new(), refused: None, renewed: None, noted: None }
    }

    /// Until nobody is left who tells it anything.
    pub(super) fn run(mut self, orders: &Receiver<Order>) {
        self.open();
        while let Ok(mut next) = self.next(orders) {
            let mut events = Vec::new();
            while let Some(order) = next {
                match order {
                    Order::Event(event) => events.push(event),
                    Order::Kept => self.trim(),
                    Order::Ahead(version) => self.renew(version),
                    Order::Remember => self.remember(),
                }
                next = if events.len() < BATCH { orders.try_recv().ok() } else { None };
            }
            self.append(events);
            self.note();
        }
        self.refused = None;
        self.append(Vec::new());
        self.uplink.dropped(self.held.len() as u64);
        self.remember();
    }

    /// What it is told next; nothing where it is time to try again what the disk refused.
    fn next(&self, orders: &Receiver<Order>) -> Result<Option<Order>, RecvTimeoutError> {
        if self.held.is_empty() {
            return orders.recv().map(Some).map_err(Into::into);
        }
        match orders.recv_timeout(AGAIN) {
            Err(RecvTimeoutError::Timeout) => Ok(None),
            other => other.map(Some),
        }
    }

    fn open(&mut self) {
        if self.buffer.is_some() {
            return;
        }
        match Buffer::open(self.uplink.folder(), BOUNDS, clock::now().as_nanos() / 1_000_000) {
            Ok((buffer, lost)) => {
                self.uplink.dropped(lost);
                self.buffer = Some(buffer);
                self.uplink.refused(None);
                self.publish();
            }
            Err(why) => {
                self.refused = Some(Instant::now());
                self.uplink.refused(Some(&why));
            }
        }
    }

    fn append(&mut self, events: Vec<Event>) {
        self.held.extend(events);
        self.bound();
        if self.held.is_empty() || self.refused.is_some_and(|at| at.elapsed() < AGAIN) {
            return;
        }
        self.open();
        if let Some(buffer) = &mut self.buffer {
            buffer.reached(self.uplink.reached(buffer.epoch()));
            let appended = buffer.append(mem::take(&mut self.held));
            self.account(appended);
        }
    }

    /// Lets the oldest go of what there is no room for. What of blocks is among it is told with all of them.
    fn bound(&mut self) {
        let beyond = self.held.len().saturating_sub(HELD);
        if beyond > 0 {
            self.held.drain(..beyond);
            self.uplink.dropped(beyond as u64);
            self.uplink.anew();
        }
    }

    fn account(&mut self, Appended { dropped, missed, refused, left }: Appended) {
        self.uplink.dropped(dropped);
        self.uplink.missed(missed);
        self.uplink.refused(refused.as_ref());
        self.refused = refused.map(|_| Instant::now());
        self.held.splice(0..0, left);
        self.publish();
    }

    fn trim(&mut self) {
        let Some(buffer) = &mut self.buffer else { return };
        if let Some(kept) = self.uplink.lowest(buffer.epoch()) {
            buffer.trim(kept);
            self.publish();
        }
    }

    fn renew(&mut self, known: Version) {
        let often = self.renewed.is_some_and(|renewed| renewed.elapsed() < RENEWED);
        let Some(buffer) = self.buffer.as_mut().filter(|_| !often) else { return };
        tracing::warn!(
            epoch = known.epoch,
            sequence = known.sequence,
            "a coordinator knows events of this node that its disk does not: their numbers begin anew"
        );
        self.renewed = Some(Instant::now());
        let appended = buffer.renew(clock::now().as_nanos() / 1_000_000, known);
        self.account(appended);
    }

    fn publish(&self) {
        self.buffer.iter().for_each(|buffer| self.uplink.publish(buffer.index()));
    }

    fn note(&mut self) {
        let now = (self.uplink.all_dropped(), self.uplink.mirrored().remembered());
        let due = self.noted.is_none_or(|(at, before)| at.elapsed() >= NOTE && before != now);
        if due {
            self.remember();
        }
    }

    fn remember(&mut self) {
        let remembered: Remembered = self.uplink.remembered();
        self.noted = Some((Instant::now(), (remembered.dropped, remembered.mirrored)));
        if let Err(why) = remembered.save(self.uplink.folder()) {
            self.uplink.refused(Some(&why));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::Arc};

    use smartfw_core::{EventKind, fleet::NodeId};

    use super::*;
    use crate::{counters::Counters, health::Health, uplink::buffer::Bounds};

    fn events(count: usize) -> Vec<Event> {
        let (time, kind) = (clock::now(), EventKind::Alert);
        let event = |n| Event { sequence: 0, time, kind, address: None, class: None, body: format!("{n}") };
        (0..count).map(event).collect()
    }

    #[test]
    fn what_a_disk_refuses_waits_for_it_and_of_too_much_the_oldest_goes() {
        let (folder, counters) = (tempfile::tempdir().unwrap(), Arc::<Counters>::default());
        let health = Arc::<Health>::default();
        let uplink = Uplink::new(folder.path(), counters.clone(), health.clone());
        let (mut keeper, mut anew) = (Keeper::new(uplink.clone()), uplink.anew_seen());
        fs::write(uplink.folder(), "no folder").unwrap();
        keeper.append(events(HELD));
        assert_eq!((counters.uplink.dropped.get(), anew(), health.list().len()), (0, false, 1));
        keeper.append(events(3));
        assert_eq!((counters.uplink.dropped.get(), anew(), keeper.held.len()), (3, true, HELD));
        assert_eq!(keeper.held[0].body, "3");
        fs::remove_file(uplink.folder()).unwrap();
        keeper.append(Vec::new());
        assert_eq!(keeper.held.len(), HELD, "it is not tried again at every event");
        keeper.refused = Instant::now().checked_sub(AGAIN);
        keeper.append(Vec::new());
        assert_eq!((keeper.held.len(), uplink.0.index.borrow().next), (0, HELD as u64 + 1));
        assert!(health.list().is_empty());
    }

    #[test]
    fn what_coordinators_have_and_the_mirror_has_not_is_no_loss_to_them_when_it_has_to_go() {
        let (folder, counters) = (tempfile::tempdir().unwrap(), Arc::<Counters>::default());
        let uplink = Uplink::new(folder.path(), counters.clone(), Arc::default());
        let mut keeper = Keeper::new(uplink.clone());
        let small = Bounds { piece: 1000, pieces: 4 };
        keeper.buffer = Some(Buffer::open(uplink.folder(), small, 7).unwrap().0);
        assert!(uplink.tail(true).wants());
        let coordinator = NodeId([1; 32]);
        uplink.up(coordinator, Version { epoch: 7, sequence: 0 });
        keeper.append(events(20));
        uplink.kept(&coordinator, Version { epoch: 7, sequence: 20 });
        keeper.trim();
        keeper.append(events(400));
        let gone = uplink.0.index.borrow().oldest() - 1;
        assert!(gone > 20, "{gone}");
        assert_eq!((counters.uplink.missed.get(), uplink.all_dropped()), (20, gone - 20));
    }
}
