//! The thread that brings rows to disk: many at once, with one flush, and only then a word to the agent.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use super::{Backlog, Key, Opened, Store, StoreError, Value, backlog::Taken};
use crate::{
    counters::Counters,
    health::{Health, Level, Matter},
    memory,
    vital::Vital,
};

/// How often a disk that refuses is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// A store that was damaged so often while it was written, although it could be opened each time, is given up.
const DAMAGE: usize = 3;

/// Why a store is set aside that lacks what was dropped.
const OVERFLOWED: &str = "the disk refused for so long that changes had to be dropped";

/// After so many rows, written or read, the store is closed as soon as nothing waits, and opened again for the next: sled
/// keeps memory for what it has seen until it is closed.
pub const MANY_ROWS: usize = 50_000;

/// Who is told about the disk.
pub trait Persistence: Send {
    /// Everything up to this sequence survives any crash.
    fn persisted(&self, upto: u64);
    /// What was stored is gone or incomplete: everything shall be pushed anew.
    fn lost(&self);
}

/// Opens the store, again and again if need be; with a reason an empty one, setting the old one aside.
pub type OpenStore =
    Box<dyn FnMut(Option<&str>) -> Result<(Box<dyn Store>, Option<String>), StoreError> + Send>;

/// Brings the backlog to disk.
pub struct Committer {
    /// The store, unless the disk refused it.
    pub store: Option<Box<dyn Store>>,
    /// How to open it again. Also says what was set aside as damaged.
    pub open: OpenStore,
    /// Whether what was stored could not be read at the start: then nothing is written over it.
    pub unread: bool,
    /// Rows written since it was opened.
    pub written: usize,
    /// How often it was found to be damaged since the last commit.
    pub damage: usize,
    /// What is to be written.
    pub backlog: Arc<Backlog>,
    /// Who is told.
    pub told: Box<dyn Persistence>,
    /// What is counted.
    pub counters: Arc<Counters>,
    /// Where a disk that refuses shows.
    pub health: Arc<Health>,
}

impl Committer {
    /// Starts the thread; it ends, after a last attempt, when the backlog is closed.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(mut self, vital: &Vital) -> std::io::Result<JoinHandle<()>> {
        let told = vital.clone();
        vital.spawn("store", move || {
            if self.unread && self.wait_until_readable() {
                return told.failed("what is stored can be read again".to_owned());
            }
            while !self.unread && self.step() {}
        })
    }

    /// Waits until what is stored can be read; false when the end comes first.
    fn wait_until_readable(&mut self) -> bool {
        loop {
            let read = (self.open)(None).and_then(|(mut store, _)| store.load(&mut |_, _| ()));
            match read {
                // What is damaged is set aside at the next start.
                Ok(()) | Err(StoreError::Damaged(_)) => return true,
                Err(error) => tracing::debug!(%error, "what is stored cannot be read yet"),
            }
            if self.backlog.wait_closed(RETRY) {
                return false;
            }
        }
    }

    /// One group commit. Whether to go on.
    fn step(&mut self) -> bool {
        let Taken { rows, upto, mut complete, mut overflowed, closed } = self.backlog.take();
        let rows: Vec<(Key, Value)> = rows.into_iter().collect();
        match self.write(&rows, &mut overflowed, &mut complete) {
            Ok(()) => self.succeeded(upto, rows.len(), complete),
            Err(error) => {
                self.failed(&error);
                let rows = rows.into_iter().collect();
                self.backlog.put_back(Taken { rows, upto, complete, overflowed, closed });
                if !closed {
                    self.backlog.wait_closed(RETRY);
                }
            }
        }
        !closed
    }

    fn write(
        &mut self,
        rows: &[(Key, Value)],
        overflowed: &mut bool,
        complete: &mut bool,
    ) -> Result<(), StoreError> {
        if *overflowed {
            self.close();
        }
        if self.store.is_none() {
            let damaged_often =
                (self.damage >= DAMAGE).then_some("found again and again while it was written");
            let anew = if *overflowed { Some(OVERFLOWED) } else { damaged_often };
            let (store, set_aside) = (self.open)(anew)?;
            self.store = Some(store);
            if let Some(what) = &set_aside {
                damaged(&self.health, what);
            }
            if anew.is_some() || set_aside.is_some() {
                (*overflowed, *complete, self.damage) = (false, false, 0);
                self.backlog.ask_for_everything();
                self.told.lost();
            }
        }
        self.store.as_mut().map_or(Ok(()), |store| store.commit(rows))
    }

    fn succeeded(&mut self, upto: u64, rows: usize, complete: bool) {
        self.counters.records.add(rows as u64);
        self.damage = 0;
        self.written += rows;
        if self.written > MANY_ROWS && self.backlog.is_empty() {
            self.written = 0;
            self.tidy();
            self.close();
            memory::give_back();
        }
        self.health.clear(Matter::Disk);
        if complete {
            self.told.persisted(upto);
        }
    }

    /// What could not be let go only takes room; a disk that refuses shows at the next write.
    fn tidy(&mut self) {
        if let Some(Err(error)) = self.store.as_mut().map(|store| store.tidy()) {
            tracing::info!(%error, "what counts no more stays in the cache");
        }
    }

    /// After a failed write sled believes neither itself nor the disk: it is opened anew.
    fn failed(&mut self, error: &StoreError) {
        self.counters.commits_failed.add(1);
        self.damage += usize::from(matches!(error, StoreError::Damaged(_)));
        self.health.set(
            Matter::Disk,
            Level::Error,
            format!("decisions are enforced but cannot be stored: {error}"),
            "make room on the disk of the state folder; until then nothing new is acknowledged or reported",
        );
        self.close();
    }

    fn close(&mut self) {
        let store = self.store.take();
        if catch_unwind(AssertUnwindSafe(|| drop(store))).is_err() {
            tracing::warn!("the store panicked while closing");
        }
    }
}

/// Shows that the cache was damaged.
pub(crate) fn damaged(health: &Health, what: &str) {
    health.set(
        Matter::Cache,
        Level::Warn,
        format!("the cache was damaged or out of date and set aside: {what}; what is known is stored anew"),
        "look at the disk; delete the folder cache.damaged-* in the state folder when it is no longer needed",
    );
}

impl From<Opened> for (Box<dyn Store>, Option<String>) {
    fn from(opened: Opened) -> Self {
        let what = opened.set_aside.map(|(path, what)| format!("{} ({what})", path.display()));
        (Box::new(opened.store), what)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Mutex,
            atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        },
        thread,
        time::Instant,
    };

    use super::*;

    #[test]
    fn a_word_follows_every_commit() {
        let case = Case::start();
        case.backlog.push(7, b"a".to_vec(), Some(b"1".to_vec()));
        case.told_within("persisted 7");
        assert_eq!(case.disk.rows.lock().unwrap().len(), 1);
    }

    #[test]
    fn a_full_disk_shows_acknowledges_nothing_and_recovers_by_itself() {
        let case = Case::start();
        case.disk.full.store(true, SeqCst);
        case.backlog.push(1, b"a".to_vec(), Some(b"1".to_vec()));
        wait_for(|| !case.health.list().is_empty());
        case.backlog.push(2, b"b".to_vec(), Some(b"2".to_vec()));
        assert_eq!(*case.told.lock().unwrap(), Vec::<String>::new());
        case.disk.full.store(false, SeqCst);
        case.told_within("persisted 2");
        assert_eq!(case.disk.rows.lock().unwrap().len(), 2);
        wait_for(|| case.health.list().is_empty());
    }

    #[test]
    fn a_store_that_took_many_rows_is_opened_again_for_the_next() {
        let case = Case::start();
        let rows = (0..=MANY_ROWS).map(|n| (n.to_be_bytes().to_vec(), None));
        case.backlog.push_all(1, rows);
        case.told_within("persisted 1");
        case.backlog.push(2, b"a".to_vec(), None);
        case.told_within("persisted 2");
        assert_eq!(case.disk.opened.load(SeqCst), 2);
    }

    #[test]
    fn after_an_overflow_an_empty_store_is_filled_and_nothing_acknowledged_before() {
        let case = Case::start();
        case.backlog.push(1, b"ended".to_vec(), Some(b"1".to_vec()));
        case.told_within("persisted 1");
        case.disk.full.store(true, SeqCst);
        case.backlog.set_most(2);
        // The deletion is among the rows that are dropped.
        case.backlog.push(2, b"ended".to_vec(), None);
        wait_for(|| !case.health.list().is_empty());
        (3..7).for_each(|n| case.backlog.push(n, vec![n as u8], Some(vec![])));
        case.disk.full.store(false, SeqCst);
        case.told_within("lost");
        wait_for(|| case.backlog.is_empty());
        assert!(case.told.lock().unwrap().iter().all(|word| word == "lost" || word == "persisted 1"));
        case.backlog.push_all(8, [(b"kept".to_vec(), Some(b"1".to_vec()))]);
        case.backlog.everything_came();
        case.told_within("persisted 8");
        let rows = case.disk.rows.lock().unwrap();
        assert!(rows.iter().all(|(key, _)| key != b"ended"), "what ended does not come back");
        assert_eq!(*case.disk.reasons.lock().unwrap(), [OVERFLOWED]);
    }

    #[test]
    fn a_store_that_is_damaged_again_and_again_is_given_up() {
        let case = Case::start();
        case.disk.damaged.store(true, SeqCst);
        case.backlog.push(1, b"a".to_vec(), Some(b"1".to_vec()));
        case.told_within("lost");
        case.backlog.everything_came();
        case.told_within("persisted 1");
    }

    #[test]
    fn closing_writes_what_is_left() {
        let mut case = Case::start();
        case.backlog.push(1, b"a".to_vec(), Some(b"1".to_vec()));
        case.backlog.close();
        case.thread.take().unwrap().join().unwrap();
        assert_eq!(case.disk.rows.lock().unwrap().len(), 1);
    }

    #[derive(Default)]
    struct Disk {
        full: AtomicBool,
        damaged: AtomicBool,
        opened: AtomicUsize,
        reasons: Mutex<Vec<String>>,
        rows: Mutex<Vec<(Key, Value)>>,
    }

    struct FakeStore(Arc<Disk>);

    impl Store for FakeStore {
        fn load(&mut self, _: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), StoreError> {
            Ok(())
        }
        fn commit(&mut self, rows: &[(Key, Value)]) -> Result<(), StoreError> {
            if self.0.full.load(SeqCst) {
                return Err(StoreError::Unavailable("full".to_owned()));
            }
            if self.0.damaged.load(SeqCst) {
                return Err(StoreError::Damaged("torn".to_owned()));
            }
            self.0.rows.lock().unwrap().extend_from_slice(rows);
            Ok(())
        }
        fn tidy(&mut self) -> Result<(), StoreError> {
            Ok(())
        }
    }

    struct Ear(Arc<Mutex<Vec<String>>>);

    impl Persistence for Ear {
        fn persisted(&self, upto: u64) {
            self.0.lock().unwrap().push(format!("persisted {upto}"));
        }
        fn lost(&self) {
            self.0.lock().unwrap().push("lost".to_owned());
        }
    }

    struct Case {
        disk: Arc<Disk>,
        backlog: Arc<Backlog>,
        told: Arc<Mutex<Vec<String>>>,
        health: Arc<Health>,
        thread: Option<JoinHandle<()>>,
    }

    impl Case {
        fn start() -> Self {
            let (disk, backlog) = (Arc::<Disk>::default(), Arc::new(Backlog::new(2 * MANY_ROWS)));
            let (told, health) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<Health>::default());
            let store = disk.clone();
            let committer = Committer {
                store: None,
                open: Box::new(move |anew| {
                    store.opened.fetch_add(1, SeqCst);
                    store.reasons.lock().unwrap().extend(anew.map(str::to_owned));
                    if anew.is_some() {
                        store.rows.lock().unwrap().clear();
                        store.damaged.store(false, SeqCst);
                    }
                    Ok((Box::new(FakeStore(store.clone())), None))
                }),
                unread: false,
                written: 0,
                damage: 0,
                backlog: backlog.clone(),
                told: Box::new(Ear(told.clone())),
                counters: Arc::default(),
                health: health.clone(),
            };
            let thread = Some(committer.start(&Vital::new().0).unwrap());
            Self { disk, backlog, told, health, thread }
        }

        fn told_within(&self, what: &str) {
            wait_for(|| self.told.lock().unwrap().iter().any(|word| word == what));
        }
    }

    impl Drop for Case {
        fn drop(&mut self) {
            self.backlog.close();
            if let Some(thread) = self.thread.take() {
                thread.join().unwrap();
            }
        }
    }

    fn wait_for(mut condition: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !condition() {
            assert!(begun.elapsed() < Duration::from_secs(10), "waited too long");
            thread::sleep(Duration::from_millis(5));
        }
    }
}
