//! A run as it is held.

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::time::Duration;

use ipnet::IpNet;

use super::{
    clock::{Now, Point, end, point},
    hash,
};
use crate::fleet::{Entry, SignedRun, VerifiedRun, Version};

/// A run is held at least so long, over or not: what it contradicts may arrive after it.
const GRACE: Duration = Duration::from_secs(10 * 60);

/// A run with what is needed of it in memory: its entries are decoded no longer than it takes to apply them.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) signed: SignedRun,
    /// The sequence of the last entry.
    pub(super) last: u64,
    pub(super) floor: Version,
    /// When it was issued, on our steady clock.
    pub(super) born: Point,
    /// When it was taken.
    taken: Point,
    pub(super) notes: Box<[Note]>,
    /// The entries themselves: all of our own, which we may have to say again, and of others the orders.
    pub(super) entries: Vec<(Version, Entry)>,
    /// What it adds to its log's digest.
    pub(super) hash: u64,
    /// Whether it is on disk: only then others may hear of it.
    pub(super) persisted: bool,
    /// Whether it is in the digest.
    pub(super) counted: bool,
}

/// What is needed of an entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Note {
    pub(super) target: Option<IpNet>,
    /// When it is over, on our steady clock.
    pub(super) until: Point,
}

impl Held {
    /// The run, and its entries to be applied.
    pub(super) fn new(tag: u64, run: VerifiedRun, born: Point, now: Now, own: bool) -> (Self, Vec<Entry>) {
        let last = run.last();
        let parts = run.into_parts();
        let note = |entry: &Entry| Note { target: entry.target(), until: end(born, entry.lasts()) };
        let notes = parts.entries.iter().map(note).collect();
        let key = Version { epoch: parts.header.epoch, sequence: parts.header.first };
        let versions = (0..).map(|index| parts.header.version(index));
        let kept = |(_, entry): &(Version, &Entry)| own || matches!(entry, Entry::Order(_));
        let entries = versions.zip(&parts.entries).filter(kept);
        let held = Self {
            hash: hash::run(tag, key, last, &parts.signed.signature),
            last,
            floor: parts.header.floor,
            born,
            taken: point(now.steady),
            notes,
            entries: entries.map(|(version, entry)| (version, entry.clone())).collect(),
            signed: parts.signed,
            persisted: false,
            counted: false,
        };
        (held, parts.entries)
    }

    /// When its last entry is over.
    pub(super) fn until(&self) -> Point {
        self.notes.iter().map(|note| note.until).max().unwrap_or(Point::MIN)
    }

    /// When it may go at the earliest.
    pub(super) fn spare(&self) -> Point {
        self.until().max(end(self.taken, Some(GRACE)))
    }

    /// Bytes that it is charged with; its chains are its log's.
    pub(super) fn bytes(&self) -> usize {
        let kept = |(_, entry): &(Version, Entry)| match entry {
            Entry::Order(order) => entry.weight().saturating_sub(order.certificate.len()),
            other => other.weight(),
        };
        self.signed.bytes.len()
            + self.notes.len() * size_of::<Note>()
            + self.entries.iter().map(kept).sum::<usize>()
    }

    /// The origin's certificate chain, and those of the operators whose orders it carries.
    pub(super) fn chains(&mut self) -> impl Iterator<Item = &mut Arc<[u8]>> {
        let orders = self.entries.iter_mut().filter_map(|(_, entry)| match entry {
            Entry::Order(order) => Some(&mut order.certificate),
            _ => None,
        });
        core::iter::once(&mut self.signed.certificate).chain(orders)
    }

    /// Its entries' versions, targets and ends, with the version of the first.
    pub(super) fn numbered(&self, first: Version) -> impl Iterator<Item = (Version, Note)> + '_ {
        let version =
            move |index: usize| Version { sequence: first.sequence.saturating_add(index as u64), ..first };
        self.notes.iter().enumerate().map(move |(index, note)| (version(index), *note))
    }
}
