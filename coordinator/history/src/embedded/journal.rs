//! What is in no segment yet, and the little that must be known without reading segments: in sled, and nothing of sled
//! outside this file.

use std::{
    collections::BTreeMap,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use serde::{Serialize, de::DeserializeOwned};
use sled::{Batch, Config, Db, Mode};
use smartfw_core::{Time, fleet::NodeId};

use crate::{HistoryError, Placed, place::Last};

/// Bytes of pages that sled keeps in memory: everything is read once, at the start.
const CACHE: u64 = 8 << 20;

/// Bytes of a segment of sled's log: with its own choice, half a megabyte, it keeps several times the memory.
const SEGMENT: usize = 128 << 10;

/// Bytes of one pack, unless a single event has more. What is larger than a fifth of sled's segment goes into a file of
/// its own, which costs a flush each.
const PACK: usize = 24 << 10;

/// So long a database that was closed a moment ago may hold its lock, which it lets go of in a thread of its own.
const LETTING_GO: Duration = Duration::from_secs(2);

/// Where the packs are: events that were written together, by a number that rises.
const PACKS: u8 = b'p';
/// Where each node's last is.
const LASTS: u8 = b'l';
/// Where the floor is.
const FLOOR: u8 = b'f';

/// Everything that was in the journal.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// The packs, by number.
    pub(super) packs: BTreeMap<u64, Vec<Placed>>,
    /// Each node's last.
    pub(super) lasts: BTreeMap<NodeId, Last>,
    /// What is placed before this has been let go.
    pub(super) floor: Time,
}

/// The database.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    db: Db,
    /// The number of the next pack.
    next: u64,
}

impl Journal {
    /// Opens it and reads everything; the next pack has at least the number `next`, and those before are removed. What
    /// was written by halves when the machine died, sled takes back.
    ///
    /// # Errors
    /// When the disk refuses or it is damaged.
    pub(super) fn open(path: &Path, next: u64) -> Result<(Self, Contents), HistoryError> {
        let config = Config::new()
            .path(path)
            .cache_capacity(CACHE)
            .segment_size(SEGMENT)
            .mode(Mode::LowSpace)
            .flush_every_ms(None);
        let until = Instant::now() + LETTING_GO;
        let mut opened = guarded(path, || config.open());
        while opened.is_err()
            && Instant::now() < until
            && !matches!(opened, Err(HistoryError::Damaged { .. }))
        {
            thread::sleep(Duration::from_millis(10));
            opened = guarded(path, || config.open());
        }
        let mut journal = Self { path: path.to_owned(), db: opened?, next };
        journal.forget(next)?;
        let contents = journal.contents()?;
        journal.next = contents.packs.last_key_value().map_or(next, |(number, _)| number + 1);
        Ok((journal, contents))
    }

    /// The number that the next pack will have.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// Writes events, those of a node in the order of their counts, and each node's last: all or none, and on disk when
    /// this returns.
    pub(super) fn write(&mut self, rows: &[Placed]) -> Result<(), HistoryError> {
        let mut batch = Batch::default();
        for pack in packs(rows) {
            batch.insert(&pack_key(self.next), encode(&pack));
            self.next += 1;
        }
        let lasts: BTreeMap<NodeId, Last> = rows.iter().map(|row| (row.event.id, Last::of(row))).collect();
        for (node, last) in lasts {
            batch.insert([&[LASTS], node.0.as_slice()].concat(), encode(&last));
        }
        self.apply(batch)
    }

    /// Writes the floor; it is on disk when this returns.
    pub(super) fn write_floor(&mut self, floor: Time) -> Result<(), HistoryError> {
        let mut batch = Batch::default();
        batch.insert(&[FLOOR], encode(&floor));
        self.apply(batch)
    }

    /// Removes the packs before this number, which are in a segment.
    pub(super) fn forget(&self, until: u64) -> Result<(), HistoryError> {
        guarded(&self.path, || {
            let mut batch = Batch::default();
            for key in self.db.range(pack_key(0)..pack_key(until)).keys() {
                batch.remove(key?);
            }
            self.db.apply_batch(batch)?;
            self.db.flush().map(drop)
        })
    }

    /// Bytes on disk.
    pub(super) fn bytes(&self) -> Result<u64, HistoryError> {
        guarded(&self.path, || self.db.size_on_disk())
    }

    fn apply(&self, batch: Batch) -> Result<(), HistoryError> {
        guarded(&self.path, || {
            self.db.apply_batch(batch)?;
            self.db.flush().map(drop)
        })
    }

    fn contents(&self) -> Result<Contents, HistoryError> {
        let rows: Vec<_> = guarded(&self.path, || self.db.iter().collect())?;
        let mut contents = Contents::default();
        for (key, value) in rows {
            let known = match key.split_first() {
                Some((&PACKS, number)) => number.try_into().ok().zip(decode(&value)).map(|(number, pack)| {
                    contents.packs.insert(u64::from_be_bytes(number), pack);
                }),
                Some((&LASTS, node)) => node.try_into().ok().zip(decode(&value)).map(|(node, last)| {
                    contents.lasts.insert(NodeId(node), last);
                }),
                Some((&FLOOR, [])) => decode(&value).map(|floor| contents.floor = floor),
                _ => None,
            };
            known.ok_or_else(|| super::damaged(&self.path, "a row makes no sense"))?;
        }
        Ok(contents)
    }
}

/// The events, cut into what goes into one pack each.
fn packs(rows: &[Placed]) -> Vec<Vec<&Placed>> {
    let (mut packs, mut bytes) = (Vec::<Vec<&Placed>>::new(), PACK);
    for row in rows {
        let size = super::view::bytes_of(&row.event);
        bytes += size;
        match packs.last_mut().filter(|_| bytes <= PACK) {
            Some(pack) => pack.push(row),
            None => {
                packs.push(vec![row]);
                bytes = size;
            }
        }
    }
    packs
}

fn pack_key(number: u64) -> [u8; 9] {
    let mut key = [PACKS; 9];
    key[1..].copy_from_slice(&number.to_be_bytes());
    key
}

/// Postcard refuses only what has no length or does not fit, which these values are not.
fn encode(value: &impl Serialize) -> Vec<u8> {
    postcard::to_allocvec(value).unwrap_or_default()
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    postcard::from_bytes(bytes).ok()
}

/// sled panics on some damage; that is damage too.
fn guarded<T>(path: &Path, work: impl FnOnce() -> sled::Result<T>) -> Result<T, HistoryError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|error| sorted(path, error)),
        Err(_) => Err(super::damaged(path, "the database panicked while reading it")),
    }
}

/// Only what speaks of the content itself is damage: whatever else the system says passes.
fn sorted(path: &Path, error: sled::Error) -> HistoryError {
    use io::ErrorKind::{AlreadyExists, InvalidData, NotADirectory, UnexpectedEof};
    match error {
        sled::Error::Io(error) => match error.kind() {
            NotADirectory | AlreadyExists | InvalidData | UnexpectedEof => {
                super::damaged(path, &error.to_string())
            }
            _ => super::disk(path, &error),
        },
        error => super::damaged(path, &error.to_string()),
    }
}
