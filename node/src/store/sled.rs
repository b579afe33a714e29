//! The sled cache.

use std::{
    fs::{self, File},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use ::sled::{Batch, Config, Db, Mode, Tree};

use super::{
    Key, Store, StoreError, Value,
    pack::{self, Newest},
};
use crate::clock;

/// Bytes of pages that sled keeps in memory. Everything is read once, at the start, and then only written: more would
/// only make the node larger.
const CACHE: u64 = 4 << 20;

/// Bytes of a segment of sled's log. With its own choice, half a megabyte, a hundred thousand rows keep 107 MB of memory
/// until the store is closed; with this 25 MB, in the same time.
const SEGMENT: usize = 128 << 10;

/// Damaged stores that are kept for whoever looks into the matter.
const KEPT: usize = 2;

/// The tree of packs. What stands alone is in the default tree.
const PACKS: &str = "packs";

/// Packs between two flushes: what is not flushed stays in memory, several times over.
const UNFLUSHED: usize = 10;

/// Rows that may be stored in vain, deleted or replaced, beside twice the rows that count.
const WASTE: usize = 50_000;

/// So long a store that was closed a moment ago may hold its lock: sled lets go of it in a thread of its own. Other daemons
/// are kept away by a lock of ours.
const LETTING_GO: Duration = Duration::from_secs(2);

/// A sled database in a folder of its own: rows that stand alone, and packs of those that were written together. Each has
/// a number of sled's, which rises; of a key, the row with the highest counts.
#[derive(Debug)]
pub struct SledStore {
    db: Db,
    packs: Tree,
    /// sled's file, to bring to disk what sled has flushed.
    file: File,
}

/// An opened store, and where a damaged predecessor was put.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: SledStore,
    /// Where the damaged one is now, and what was wrong with it: this one is empty.
    pub set_aside: Option<(PathBuf, String)>,
}

impl SledStore {
    /// Opens the store at `path`. A damaged one, or for the reason `anew` any, is renamed to `<path>.damaged-<time>` and an empty
    /// one begun.
    ///
    /// # Errors
    /// When the disk refuses, or the folder or what is in it belongs to somebody else.
    pub fn open(path: &Path, anew: Option<&str>) -> Result<Opened, StoreError> {
        let opened =
            anew.map_or_else(|| Self::try_open(path), |why| Err(StoreError::Damaged(why.to_owned())));
        let what = match opened {
            Ok(store) => return Ok(Opened { store, set_aside: None }),
            Err(StoreError::Damaged(what)) => what,
            Err(error) => return Err(error),
        };
        let aside = set_aside(path)?;
        Ok(Opened { store: Self::try_open(path)?, set_aside: Some((aside, what)) })
    }

    fn try_open(path: &Path) -> Result<Self, StoreError> {
        let config = Config::new()
            .path(path)
            .cache_capacity(CACHE)
            .segment_size(SEGMENT)
            .mode(Mode::LowSpace)
            .flush_every_ms(None);
        let until = Instant::now() + LETTING_GO;
        let mut opened = guarded(|| config.open().and_then(|db| Self::of(path, db)));
        while opened.as_ref().is_err_and(is_locked) && Instant::now() < until {
            thread::sleep(Duration::from_millis(10));
            opened = guarded(|| config.open().and_then(|db| Self::of(path, db)));
        }
        opened.map_err(|error| match error {
            StoreError::Forbidden { why, .. } => StoreError::Forbidden { path: path.to_owned(), why },
            StoreError::Foreign { why, .. } => StoreError::Foreign { path: path.to_owned(), why },
            error => error,
        })
    }

    fn of(path: &Path, db: Db) -> ::sled::Result<Self> {
        let packs = db.open_tree(PACKS)?;
        let file = File::open(path.join("db"))?;
        // The names of a new store's files are to survive as well.
        for folder in path.ancestors().take(2).filter(|folder| !folder.as_os_str().is_empty()) {
            File::open(folder)?.sync_all()?;
        }
        Ok(Self { db, packs, file })
    }

    /// Brings everything to disk. On Linux sled's own flush hands it to the disk by `sync_file_range`, which neither
    /// writes the file's new length nor empties the disk's cache: after a power cut, what was acknowledged could be gone.
    fn flush(&self) -> ::sled::Result<()> {
        self.db.flush()?;
        Ok(self.file.sync_data()?)
    }

    /// Shows every row that counts and has a number below `below`.
    fn newest(&self, below: u64, each: &mut dyn FnMut(&[u8], &[u8])) -> ::sled::Result<Counted> {
        let (mut counted, mut newest) = (Counted::default(), Newest::default());
        let mut show = |key: &[u8], value: Option<&[u8]>| {
            counted.stored += 1;
            if newest.first(key)
                && let Some(value) = value
            {
                counted.living += 1;
                each(key, value);
            }
        };
        let mut singles = self.singles()?.into_iter().peekable();
        for row in self.packs.range(..below.to_be_bytes()).rev() {
            let (number, rows) = row?;
            let number = number.as_ref().try_into().map(u64::from_be_bytes).map_err(|_| garbled())?;
            while let Some(single) = singles.next_if(|single| single.number > number) {
                show(&single.key, single.value());
            }
            if !pack::decode(&rows, &mut show) {
                return Err(garbled());
            }
        }
        singles.for_each(|single| show(&single.key, single.value()));
        Ok(counted)
    }

    /// The rows that stand alone, the newest first.
    fn singles(&self) -> ::sled::Result<Vec<Single>> {
        let mut singles = Vec::new();
        for row in self.db.iter() {
            let (key, value) = row?;
            let (number, _) = pack::decode_single(&value).ok_or_else(garbled)?;
            singles.push(Single { number, key, value });
        }
        singles.sort_unstable_by_key(|single| std::cmp::Reverse(single.number));
        Ok(singles)
    }

    fn write_singles(&self, rows: &[(Key, Value)]) -> ::sled::Result<()> {
        let number = self.db.generate_id()?;
        // What a pack may hold is not deleted by deleting the row that stands alone.
        let packed = !self.packs.is_empty();
        let mut batch = Batch::default();
        for (key, value) in rows {
            match value {
                None if !packed => batch.remove(key.as_slice()),
                value => batch.insert(key.as_slice(), pack::encode_single(number, value.as_deref())),
            }
        }
        self.db.apply_batch(batch)?;
        self.flush()
    }

    fn write_packs(&self, rows: &[(Key, Value)]) -> ::sled::Result<()> {
        let mut unflushed = 0;
        for rows in pack::split(rows) {
            self.write_pack(rows)?;
            unflushed += 1;
            if unflushed % UNFLUSHED == 0 {
                self.db.flush()?;
            }
        }
        self.flush()
    }

    fn write_pack(&self, rows: &[(Key, Value)]) -> ::sled::Result<()> {
        let number = self.db.generate_id()?;
        self.packs.insert(number.to_be_bytes(), pack::encode(rows)).map(drop)
    }

    /// Writes everything that counts anew, then removes what there was. A crash between leaves both, which is the same.
    fn lay_out_anew(&self) -> ::sled::Result<()> {
        let from = self.db.generate_id()?;
        let (mut rows, mut result) = (Vec::new(), Ok(()));
        self.newest(from, &mut |key, value| {
            rows.push((key.to_vec(), Some(value.to_vec())));
            if rows.len() == pack::PACKED && result.is_ok() {
                result = self.write_packs(&rows);
                rows.clear();
            }
        })?;
        result?;
        self.write_packs(&rows)?;
        for number in self.packs.range(..from.to_be_bytes()).keys() {
            self.packs.remove(number?)?;
        }
        self.db.clear()?;
        self.flush()
    }
}

/// A row that stands alone.
struct Single {
    number: u64,
    key: ::sled::IVec,
    value: ::sled::IVec,
}

impl Single {
    fn value(&self) -> Option<&[u8]> {
        pack::decode_single(&self.value).and_then(|(_, value)| value)
    }
}

/// Rows stored, and those of them that count.
#[derive(Debug, Default)]
struct Counted {
    stored: usize,
    living: usize,
}

impl Counted {
    fn is_wasteful(&self) -> bool {
        self.stored > 2 * self.living + WASTE
    }
}

fn garbled() -> ::sled::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a row makes no sense").into()
}

impl Store for SledStore {
    fn load(&mut self, each: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), StoreError> {
        guarded(|| self.newest(u64::MAX, each).map(drop))
    }

    fn commit(&mut self, rows: &[(Key, Value)]) -> Result<(), StoreError> {
        guarded(|| if rows.len() < pack::PACKED { self.write_singles(rows) } else { self.write_packs(rows) })
    }

    fn tidy(&mut self) -> Result<(), StoreError> {
        guarded(|| {
            let counted = self.newest(u64::MAX, &mut |_, _| ())?;
            if counted.is_wasteful() { self.lay_out_anew() } else { Ok(()) }
        })
    }
}

/// sled panics on some damage; that is damage too.
fn guarded<T>(work: impl FnOnce() -> ::sled::Result<T>) -> Result<T, StoreError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(sorted),
        Err(_) => Err(StoreError::Damaged("the database panicked while reading it".to_owned())),
    }
}

/// sled keeps of this no more than its words.
fn is_locked(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable(why) if why.contains("could not acquire lock"))
}

/// Only what speaks of the content itself is damage: whatever else the system says (a full disk, a lock that somebody
/// holds for a moment, too many open files) passes, and the cache is as it was. sled often keeps no more of an error
/// than its kind.
fn sorted(error: ::sled::Error) -> StoreError {
    use io::ErrorKind::{AlreadyExists, InvalidData, NotADirectory, PermissionDenied, UnexpectedEof};
    let path = PathBuf::new();
    match error {
        // Settings that make no sense look to sled like its own first versions, which we never used.
        ::sled::Error::Unsupported(why) if why.contains("earlier than") => StoreError::Damaged(why),
        ::sled::Error::Unsupported(why) => StoreError::Foreign { path, why },
        ::sled::Error::Io(error) => match error.kind() {
            PermissionDenied => StoreError::Forbidden { path, why: error.to_string() },
            NotADirectory | AlreadyExists | InvalidData | UnexpectedEof => {
                StoreError::Damaged(error.to_string())
            }
            _ => StoreError::Unavailable(error.to_string()),
        },
        error => StoreError::Damaged(error.to_string()),
    }
}

fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".damaged-{}", clock::now().as_nanos()));
    let aside = PathBuf::from(name);
    fs::rename(path, &aside).map_err(|error| StoreError::Unavailable(error.to_string()))?;
    forget_older(path);
    Ok(aside)
}

/// A disk that damages again and again must not be filled with what it damaged.
fn forget_older(path: &Path) {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return;
    };
    let prefix = format!("{name}.damaged-");
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let of_ours = |path: &PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(&prefix))
    };
    let mut aside: Vec<PathBuf> = entries.filter(of_ours).collect();
    aside.sort();
    for old in aside.iter().rev().skip(KEPT) {
        // What cannot be removed is in nobody's way but the disk's.
        let _ = fs::remove_dir_all(old).or_else(|_| fs::remove_file(old));
    }
}

#[cfg(test)]
mod tests;
