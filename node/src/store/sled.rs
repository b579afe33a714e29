//! The sled cache.

use std::{
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use ::sled::{Batch, Config, Db, Mode};

use super::{Key, Store, StoreError, Value};
use crate::clock;

/// Bytes of pages that sled keeps in memory. Everything is read once, at the start, and then only written: more would
/// only make the node larger.
const CACHE: u64 = 4 << 20;

/// Bytes of a segment of sled's log. With its own choice, half a megabyte, a hundred thousand rows keep 107 MB of memory
/// until the store is closed; with this 25 MB, in the same time.
const SEGMENT: usize = 128 << 10;

/// Damaged stores that are kept for whoever looks into the matter.
const KEPT: usize = 2;

/// Rows that sled takes at once: larger batches take longer and save nothing.
const BATCH: usize = 1000;

/// Rows between two flushes: what is not flushed stays in memory, several times over.
const UNFLUSHED: usize = 10_000;

/// A sled database in a folder of its own.
#[derive(Debug)]
pub struct SledStore {
    db: Db,
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
    /// Opens the store at `path`. A damaged one, or with `anew` any, is renamed to `<path>.damaged-<time>` and an empty
    /// one begun.
    ///
    /// # Errors
    /// When the disk refuses, or the folder or what is in it belongs to somebody else.
    pub fn open(path: &Path, anew: bool) -> Result<Opened, StoreError> {
        let what = match if anew { Err(damaged_inside()) } else { Self::try_open(path) } {
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
        guarded(|| config.open()).map(|db| Self { db }).map_err(|error| match error {
            StoreError::Forbidden { why, .. } => StoreError::Forbidden { path: path.to_owned(), why },
            StoreError::Foreign { why, .. } => StoreError::Foreign { path: path.to_owned(), why },
            error => error,
        })
    }
}

fn damaged_inside() -> StoreError {
    StoreError::Damaged("found while it was read".to_owned())
}

impl Store for SledStore {
    fn load(&mut self, each: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), StoreError> {
        let db = &self.db;
        guarded(|| {
            for row in db.iter() {
                let (key, value) = row?;
                each(&key, &value);
            }
            Ok(())
        })
    }

    fn commit(&mut self, rows: &[(Key, Value)]) -> Result<(), StoreError> {
        let db = &self.db;
        guarded(|| {
            for part in rows.chunks(UNFLUSHED) {
                for chunk in part.chunks(BATCH) {
                    db.apply_batch(batch_of(chunk))?;
                }
                db.flush()?;
            }
            Ok(())
        })
    }
}

fn batch_of(rows: &[(Key, Value)]) -> Batch {
    let mut batch = Batch::default();
    for (key, value) in rows {
        match value {
            Some(value) => batch.insert(key.as_slice(), value.as_slice()),
            None => batch.remove(key.as_slice()),
        }
    }
    batch
}

/// sled panics on some damage; that is damage too.
fn guarded<T>(work: impl FnOnce() -> ::sled::Result<T>) -> Result<T, StoreError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(sorted),
        Err(_) => Err(StoreError::Damaged("the database panicked while reading it".to_owned())),
    }
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
mod tests {
    use super::*;

    #[test]
    fn what_was_committed_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cache");
        let mut store = SledStore::open(&path, false).unwrap().store;
        store.commit(&[row("a", Some("1")), row("b", Some("2")), row("c", Some("3"))]).unwrap();
        store.commit(&[row("b", None), row("c", Some("4"))]).unwrap();
        drop(store);
        assert_eq!(all(&path), [("a".to_owned(), "1".to_owned()), ("c".to_owned(), "4".to_owned())]);
    }

    #[test]
    fn a_damaged_store_is_set_aside_and_an_empty_one_begun() {
        for damage in [damage_every_file as fn(&Path), replace_by_a_file] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("cache");
            let mut store = SledStore::open(&path, false).unwrap().store;
            store
                .commit(&(0..1000).map(|n| row(&format!("key {n}"), Some("value"))).collect::<Vec<_>>())
                .unwrap();
            drop(store);
            damage(&path);
            let mut opened = SledStore::open(&path, false).unwrap();
            if opened.set_aside.is_none() {
                // Some damage shows only while it is read.
                let damage = opened.store.load(&mut |_, _| ());
                assert!(matches!(damage, Err(StoreError::Damaged(_))), "{damage:?}");
                drop(opened.store);
                opened = SledStore::open(&path, true).unwrap();
            }
            let (aside, _) = opened.set_aside.expect("set aside");
            assert!(aside.exists() && aside.to_str().unwrap().contains("cache.damaged-"));
            drop(opened.store);
            assert_eq!(all(&path), []);
        }
    }

    #[test]
    fn only_the_last_damaged_stores_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cache");
        (0..KEPT + 2).for_each(|_| drop(SledStore::open(&path, path.exists()).unwrap()));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1 + KEPT);
    }

    #[test]
    fn a_store_that_somebody_holds_for_a_moment_is_not_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cache");
        let store = SledStore::open(&path, false).unwrap().store;
        let error = SledStore::open(&path, false).unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
        drop(store);
        assert!(SledStore::open(&path, false).unwrap().set_aside.is_none());
    }

    #[test]
    fn a_store_of_another_make_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cache");
        drop(Config::new().path(&path).segment_size(2 * SEGMENT).open().unwrap());
        let error = SledStore::open(&path, false).unwrap_err();
        assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    fn damage_every_file(path: &Path) {
        for entry in fs::read_dir(path).unwrap() {
            let file = entry.unwrap().path();
            if file.is_file() {
                fs::write(&file, vec![0xa5; fs::metadata(&file).unwrap().len().max(4096) as usize]).unwrap();
            }
        }
    }

    fn replace_by_a_file(path: &Path) {
        fs::remove_dir_all(path).unwrap();
        fs::write(path, "no folder").unwrap();
    }

    fn row(key: &str, value: Option<&str>) -> (Key, Value) {
        (key.into(), value.map(Into::into))
    }

    fn all(path: &Path) -> Vec<(String, String)> {
        let mut rows = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        SledStore::open(path, false)
            .unwrap()
            .store
            .load(&mut |key, value| rows.push((text(key), text(value))))
            .unwrap();
        rows
    }
}
