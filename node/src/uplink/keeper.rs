//! The thread that writes the buffer. Whatever its disk does, it holds up nobody but itself.

use std::{
    sync::mpsc::Receiver,
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
/// How often a folder is opened again that cannot be.
const AGAIN: Duration = Duration::from_secs(1);
/// How often it is written down how many events had to go.
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
    tried: Option<Instant>,
    renewed: Option<Instant>,
    noted: Option<(Instant, u64)>,
}

impl Keeper {
    pub(super) const fn new(uplink: Uplink) -> Self {
        Self { uplink, buffer: None, tried: None, renewed: None, noted: None }
    }

    /// Until nobody is left who tells it anything.
    pub(super) fn run(mut self, orders: &Receiver<Order>) {
        self.open();
        while let Ok(first) = orders.recv() {
            let mut events = Vec::new();
            let mut next = Some(first);
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
        self.remember();
    }

    fn open(&mut self) {
        if self.buffer.is_some() || self.tried.is_some_and(|tried| tried.elapsed() < AGAIN) {
            return;
        }
        self.tried = Some(Instant::now());
        let folder = self.uplink.folder();
        match Buffer::open(folder, BOUNDS, clock::now().as_nanos() / 1_000_000) {
            Ok((buffer, lost)) => {
                self.uplink.dropped(lost);
                self.buffer = Some(buffer);
                self.uplink.refused(None);
                self.publish();
            }
            Err(why) => self.uplink.refused(Some(&why)),
        }
    }

    fn append(&mut self, events: Vec<Event>) {
        if events.is_empty() {
            return;
        }
        self.open();
        match &mut self.buffer {
            Some(buffer) => {
                let appended = buffer.append(events);
                self.told(&appended);
            }
            None => self.uplink.dropped(events.len() as u64),
        }
    }

    fn told(&mut self, Appended { dropped, refused }: &Appended) {
        self.uplink.dropped(*dropped);
        self.uplink.refused(refused.as_ref());
        self.publish();
    }

    fn trim(&mut self) {
        let Some(buffer) = &mut self.buffer else { return };
        if let Some(kept) = self.uplink.lowest(buffer.index().epoch) {
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
        self.told(&appended);
    }

    fn publish(&self) {
        self.buffer.iter().for_each(|buffer| self.uplink.publish(buffer.index()));
    }

    fn note(&mut self) {
        let dropped = self.uplink.all_dropped();
        let due = self.noted.is_none_or(|(at, before)| at.elapsed() >= NOTE && before != dropped);
        if due {
            self.remember();
        }
    }

    fn remember(&mut self) {
        let remembered: Remembered = self.uplink.remembered();
        self.noted = Some((Instant::now(), remembered.dropped));
        if let Err(why) = remembered.save(self.uplink.folder()) {
            self.uplink.refused(Some(&why));
        }
    }
}
