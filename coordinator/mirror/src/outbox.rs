//! What is still to be mirrored, on disk.

mod disk;

use std::{
    fs::File,
    mem,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sled::{Batch, Db, Tree};
use thiserror::Error;
use tokio::sync::Notify;

use crate::item::Item;

/// Items that the database refused, kept for whoever looks into the matter.
pub const ASIDE_ITEMS: u64 = 1000;

/// Their bytes.
pub const ASIDE_BYTES: u64 = 16 << 20;

/// How often a store that failed is opened again.
const AGAIN: Duration = Duration::from_secs(1);

/// Damage that is found twice within this time stays: what cannot be read is met again as soon as it is its turn.
const STAYS: Duration = Duration::from_secs(3600);

/// The tree of items that were set aside.
const ASIDE: &str = "aside";

/// How much may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Items.
    pub items: u64,
    /// Bytes of paths and bodies.
    pub bytes: u64,
}

/// A day of one event a second, or 256 MiB.
impl Default for Limits {
    fn default() -> Self {
        Self { items: 86_400, bytes: 256 << 20 }
    }
}

/// What is in an outbox, and what is no longer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Items that wait.
    pub waiting: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Items that were dropped unsent, since the outbox was opened: the oldest, because it was full, and all that waited
    /// where it was damaged.
    pub dropped: u64,
    /// Items that the database refused, of those still kept.
    pub aside: u64,
}

/// The outbox could not be read or written. What was in it before is still in it, unless it stays damaged.
#[derive(Clone, Debug, Error)]
pub enum OutboxError {
    /// The disk refused, or another process has the folder.
    #[error(
        "the outbox of the mirror at {path}: {why}; free space there, or end the other process that uses it"
    )]
    Unavailable {
        /// The folder.
        path: PathBuf,
        /// The system's word.
        why: String,
    },
    /// What is stored makes no sense.
    #[error("the outbox of the mirror at {path} is damaged: {why}; where it stays so, it is set aside")]
    Damaged {
        /// The folder.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// An opened outbox.
#[derive(Debug)]
pub struct Opened {
    /// The outbox.
    pub outbox: Outbox,
    /// Where a damaged predecessor was put, and what was wrong with it: this one is empty.
    pub set_aside: Option<(PathBuf, String)>,
}

/// Items in the order in which they came, on disk until the database has them. The oldest are dropped when it is full.
///
/// Everything here waits for the disk, a few milliseconds.
#[derive(Debug)]
pub struct Outbox {
    path: PathBuf,
    /// Locked before `inner`, and for as long as the disk takes.
    place: Mutex<Place>,
    limits: Limits,
    inner: Mutex<Inner>,
    filled: Notify,
}

/// Where the items are. After its first failure sled does nothing more, until it is opened again.
#[derive(Debug)]
enum Place {
    Open(Store),
    /// Since when, and why.
    Failed(Instant, OutboxError),
}

#[derive(Debug)]
struct Store {
    /// Keeps both trees; by number, path and body.
    _db: Db,
    /// sled's file.
    file: File,
    waiting: Tree,
    aside: Tree,
}

/// What is remembered of the store. Numbers are never given again.
#[derive(Debug, Default)]
struct Inner {
    next: u64,
    counts: Counts,
    aside_bytes: u64,
    /// When it was found damaged last, unless that was set aside.
    damaged: Option<Instant>,
}

/// An item and its place in the outbox.
pub(crate) type Numbered = (u64, Item);

impl Outbox {
    /// Opens the outbox in this folder. A damaged one is renamed to `<folder>.damaged`, and an empty one begun.
    ///
    /// # Errors
    /// When the disk refuses, or another process has it open.
    pub fn open(folder: &Path, limits: Limits) -> Result<Opened, OutboxError> {
        let why = match Self::try_open(folder, limits) {
            Err(OutboxError::Damaged { why, .. }) => why,
            other => return other.map(|outbox| Opened { outbox, set_aside: None }),
        };
        let aside = disk::set_aside(folder)?;
        Ok(Opened { outbox: Self::try_open(folder, limits)?, set_aside: Some((aside, why)) })
    }

    fn try_open(folder: &Path, limits: Limits) -> Result<Self, OutboxError> {
        let (path, filled, inner) = (folder.to_owned(), Notify::new(), Mutex::default());
        let store = disk::guarded(folder, || Store::open(folder))?;
        let outbox = Self { path, place: Mutex::new(Place::Open(store)), limits, inner, filled };
        outbox.work(|store| {
            let mut inner = outbox.lock();
            inner.learn(store)?;
            outbox.drop_oldest(store, &mut inner)
        })?;
        Ok(outbox)
    }

    /// Does something with the store, which is opened again where it failed a while ago.
    fn work<T>(&self, work: impl FnOnce(&Store) -> sled::Result<T>) -> Result<T, OutboxError> {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Place::Failed(since, why) = &*place {
            if since.elapsed() < AGAIN {
                return Err(why.clone());
            }
            *place = self.reopen(why).map_or_else(|why| Place::Failed(Instant::now(), why), Place::Open);
        }
        let done = match &*place {
            Place::Open(store) => disk::guarded(&self.path, || work(store)),
            Place::Failed(_, why) => Err(why.clone()),
        };
        if let (Place::Open(_), Err(why)) = (&*place, &done) {
            let failed = mem::replace(&mut *place, Place::Failed(Instant::now(), why.clone()));
            // sled may panic while it closes what has failed.
            let _ = disk::guarded(&self.path, || {
                drop(failed);
                Ok(())
            });
        }
        done
    }

    /// Opens the store again. One that was found damaged twice will not be whole by itself, although it may be opened: what
    /// it held is lost to the mirror, what comes is not.
    fn reopen(&self, before: &OutboxError) -> Result<Store, OutboxError> {
        let OutboxError::Damaged { why, .. } = before else { return self.open_again() };
        if self.lock().stays_damaged(Instant::now()) {
            return self.begin_anew(why);
        }
        match self.open_again() {
            Err(OutboxError::Damaged { why, .. }) => self.begin_anew(&why),
            opened => opened,
        }
    }

    fn open_again(&self) -> Result<Store, OutboxError> {
        disk::guarded(&self.path, || {
            let store = Store::open(&self.path)?;
            self.lock().learn(&store)?;
            Ok(store)
        })
    }

    /// Sets a damaged store aside, and begins an empty one.
    fn begin_anew(&self, why: &str) -> Result<Store, OutboxError> {
        let aside = disk::set_aside(&self.path)?;
        self.lock().lose();
        tracing::error!(place = %aside.display(), why, "the mirror's outbox is damaged; an empty one is begun");
        self.open_again()
    }

    /// Adds items; on disk when this returns.
    ///
    /// # Errors
    /// When the disk refuses: some of them may be in it all the same.
    pub fn push(&self, items: &[Item]) -> Result<(), OutboxError> {
        self.work(|store| {
            let mut inner = self.lock();
            let mut batch = Batch::default();
            for (number, item) in (inner.next..).zip(items) {
                batch.insert(&number.to_be_bytes(), disk::encode(&[item.path().as_bytes(), item.body()]));
            }
            store.waiting.apply_batch(batch)?;
            inner.next += items.len() as u64;
            inner.counts.waiting += items.len() as u64;
            inner.counts.bytes += items.iter().map(Item::size).sum::<u64>();
            self.drop_oldest(store, &mut inner)?;
            drop(inner);
            store.waiting.flush()?;
            // sled hands what it flushes to the disk, on Linux, and does not wait until the disk has it.
            Ok(store.file.sync_data()?)
        })?;
        self.filled.notify_one();
        Ok(())
    }

    /// What is in it.
    pub fn counts(&self) -> Counts {
        self.lock().counts
    }

    /// What the database refused and why, the oldest first: at most [`ASIDE_ITEMS`].
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn set_aside(&self) -> Result<Vec<(Item, String)>, OutboxError> {
        self.work(|store| {
            let each = |row: sled::Result<(_, sled::IVec)>| {
                let (_, row) = row?;
                let [why, path, body] = disk::decode(&row)?;
                Ok((Item::from_stored(disk::text(path)?, body), String::from_utf8_lossy(why).into_owned()))
            };
            store.aside.iter().map(each).collect()
        })
    }

    /// Waits until something was added since the last call.
    pub(crate) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// The oldest items, within these bounds; at least one if there is any.
    pub(crate) fn oldest(&self, items: usize, bytes: u64) -> Result<Vec<Numbered>, OutboxError> {
        self.work(|store| {
            let (mut taken, mut size) = (Vec::new(), 0);
            for row in store.waiting.iter().take(items) {
                let (number, row) = row?;
                let [path, body] = disk::decode(&row)?;
                let item = Item::from_stored(disk::text(path)?, body);
                size += item.size();
                if size > bytes && !taken.is_empty() {
                    break;
                }
                taken.push((disk::number(&number)?, item));
            }
            Ok(taken)
        })
    }

    /// The database has these. If that is forgotten in a crash, they are sent twice, to the same place.
    pub(crate) fn delivered(&self, items: &[Numbered]) -> Result<(), OutboxError> {
        self.work(|store| {
            let mut inner = self.lock();
            for (number, item) in items {
                store.take_out(*number, item, &mut inner)?;
            }
            Ok(())
        })
    }

    /// The database refuses this one: it is kept apart from the others.
    pub(crate) fn put_aside(&self, (number, item): &Numbered, why: &str) -> Result<(), OutboxError> {
        self.work(|store| {
            let mut inner = self.lock();
            let why = why.replace(char::is_control, " ");
            let row = disk::encode(&[why.as_bytes(), item.path().as_bytes(), item.body()]);
            let size = disk::size(&row);
            // After a failure it may be there already.
            let before = store.aside.insert(number.to_be_bytes(), row)?;
            inner.counts.aside += u64::from(before.is_none());
            inner.aside_bytes += size;
            inner.aside_bytes -= before.map_or(0, |row| disk::size(&row));
            store.aside.flush()?;
            store.take_out(*number, item, &mut inner)?;
            while inner.counts.aside > ASIDE_ITEMS || inner.aside_bytes > ASIDE_BYTES {
                let Some((_, row)) = store.aside.pop_min()? else { break };
                inner.counts.aside -= 1;
                inner.aside_bytes -= disk::size(&row);
            }
            Ok(())
        })
    }

    fn drop_oldest(&self, store: &Store, inner: &mut Inner) -> sled::Result<()> {
        while inner.counts.waiting > self.limits.items || inner.counts.bytes > self.limits.bytes {
            let Some((_, row)) = store.waiting.pop_min()? else { break };
            inner.counts.waiting -= 1;
            inner.counts.bytes -= disk::size(&row);
            inner.counts.dropped += 1;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    fn open(folder: &Path) -> sled::Result<Self> {
        let db = disk::open(folder)?;
        let (waiting, aside) = (db.open_tree("waiting")?, db.open_tree(ASIDE)?);
        Ok(Self { _db: db, file: File::open(folder.join("db"))?, waiting, aside })
    }

    fn take_out(&self, number: u64, item: &Item, inner: &mut Inner) -> sled::Result<()> {
        if self.waiting.remove(number.to_be_bytes())?.is_some() {
            inner.counts.waiting -= 1;
            inner.counts.bytes -= item.size();
        } else {
            // It was dropped while it was on its way, and arrived all the same.
            inner.counts.dropped = inner.counts.dropped.saturating_sub(1);
        }
        Ok(())
    }
}

impl Inner {
    /// Counts what a store holds that was opened.
    fn learn(&mut self, store: &Store) -> sled::Result<()> {
        (self.counts.waiting, self.counts.bytes) = count(&store.waiting)?;
        (self.counts.aside, self.aside_bytes) = count(&store.aside)?;
        self.next = self.next.max(last(&store.waiting)?.max(last(&store.aside)?) + 1);
        Ok(())
    }

    /// It is found damaged; whether it was so a while ago.
    fn stays_damaged(&mut self, now: Instant) -> bool {
        self.damaged.replace(now).is_some_and(|before| now.duration_since(before) < STAYS)
    }

    /// All that waits is lost.
    fn lose(&mut self) {
        self.counts.dropped += mem::take(&mut self.counts.waiting);
        self.damaged = None;
    }
}

/// Rows and bytes.
fn count(tree: &Tree) -> sled::Result<(u64, u64)> {
    let mut counted = (0, 0);
    for row in tree.iter().values() {
        counted = (counted.0 + 1, counted.1 + disk::size(&row?));
    }
    Ok(counted)
}

fn last(tree: &Tree) -> sled::Result<u64> {
    tree.last()?.map_or(Ok(0), |(number, _)| disk::number(&number))
}

#[cfg(test)]
mod tests;
