//! How events go into the journal and from there into segments, and how old ones go.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use nix::fcntl::{Flock, FlockArg};
use smartfw_core::{Time, fleet::NodeId};

use super::{
    disk,
    journal::Journal,
    recent::Recent,
    search::{Library, Search},
    segment::{self, Opened, Segment},
    view::View,
};
use crate::{Appended, Count, Event, HistoryError, Page, Placed, Query, Size, place::Last};

/// So long events stay in the journal at most: then also a few become a segment, so that age can delete them.
const STAY: Duration = Duration::from_secs(24 * 3600);

/// The ending of a segment's name.
const SEGMENT: &str = "segment";

/// An open history. Appending goes one after the other; reading goes beside it.
#[derive(Debug)]
pub(super) struct Engine {
    folder: PathBuf,
    writer: Mutex<Writer>,
    view: RwLock<View>,
    recent: Mutex<Recent>,
    /// Events from which on they become a segment.
    full: usize,
    _lock: Flock<fs::File>,
}

#[derive(Debug)]
struct Writer {
    journal: Journal,
    /// When the first event came that is in no segment.
    since: Option<Time>,
}

impl Engine {
    pub(super) fn open(folder: &Path, full: usize) -> Result<Self, HistoryError> {
        fs::create_dir_all(folder).map_err(|error| disk(folder, &error))?;
        let lock = lock(folder)?;
        let segments = find_segments(folder)?;
        let next = segments.values().map(|segment| segment.trailer.until).max().unwrap_or_default();
        let (journal, contents) = Journal::open(&folder.join("journal"), next)?;
        let mut view = View { segments, lasts: contents.lasts, floor: contents.floor, ..View::default() };
        if view.lasts.is_empty() {
            view.lasts = lasts_of(&view.segments)?;
        }
        view.restore(contents.packs.into_values());
        Ok(Self {
            folder: folder.to_owned(),
            writer: Mutex::new(Writer { journal, since: None }),
            view: RwLock::new(view),
            recent: Mutex::default(),
            full,
            _lock: lock,
        })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn append(
        &self,
        now: Time,
        nodes: BTreeMap<NodeId, Vec<Event>>,
    ) -> Result<Appended, HistoryError> {
        let mut writer = self.writer();
        self.seal_if_due(&mut writer, now)?;
        let given: usize = nodes.values().map(Vec::len).sum();
        let rows = self.place(now, nodes)?;
        if !rows.is_empty() {
            writer.journal.write(&rows)?;
            writer.since.get_or_insert(now);
        }
        let kept = rows.len();
        self.view_mut().add(rows);
        Ok(Appended { kept, known: given - kept })
    }

    pub(super) fn query(&self, query: &Query) -> Result<Page, HistoryError> {
        let view = self.view();
        let query = &Query { from: query.from.max(view.floor), ..query.clone() };
        let (found, segments) = (view.find(query), view.segments.clone());
        drop(view);
        Search::new(query, self, found, &segments).page()
    }

    pub(super) fn retain(&self, now: Time, age: Duration, bytes: u64) -> Result<(), HistoryError> {
        let mut writer = self.writer();
        self.seal_if_due(&mut writer, now)?;
        let age = u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
        let floor = Time::from_nanos(now.as_nanos().saturating_sub(age));
        if floor > self.view().floor {
            writer.journal.write_floor(floor)?;
            self.view_mut().floor = floor;
        }
        let mut size =
            writer.journal.bytes()? + self.view().segments.values().map(|segment| segment.bytes).sum::<u64>();
        let segments = self.view().segments.clone();
        for (number, segment) in segments {
            if segment.trailer.newest < floor || size > bytes {
                size -= segment.bytes;
                self.delete(number, &segment)?;
            }
        }
        Ok(())
    }

    pub(super) fn last(&self, node: &NodeId) -> Option<Count> {
        self.view().lasts.get(node).map(|last| last.count)
    }

    pub(super) fn size(&self) -> Result<Size, HistoryError> {
        let journal = self.writer().journal.bytes()?;
        let view = self.view();
        let segments = view.segments.values();
        Ok(Size {
            events: view.head.len() as u64
                + segments.clone().map(|s| u64::from(s.trailer.events)).sum::<u64>(),
            bytes: journal + segments.map(|segment| segment.bytes).sum::<u64>(),
        })
    }

    fn place(&self, now: Time, nodes: BTreeMap<NodeId, Vec<Event>>) -> Result<Vec<Placed>, HistoryError> {
        let view = self.view();
        let mut all = Vec::new();
        for (node, events) in nodes {
            all.extend(view.place(now, node, events)?);
        }
        Ok(all)
    }

    /// Makes a segment of the head when it is large or old. The file is whole before the journal forgets: a crash
    /// between leaves rows in both, and the journal's are removed at the start.
    fn seal_if_due(&self, writer: &mut Writer, now: Time) -> Result<(), HistoryError> {
        let old = writer.since.is_some_and(|since| now.since(since) >= STAY);
        let view = self.view();
        if view.head.is_empty() || !(old || view.is_full(self.full)) {
            return Ok(());
        }
        let number = view.segments.last_key_value().map_or(0, |(number, _)| number + 1);
        let path = self.folder.join(format!("{number:010}.{SEGMENT}"));
        let segment = segment::write(&path, &view.head, writer.journal.next())?;
        drop(view);
        let mut view = self.view_mut();
        view.segments.insert(number, Arc::new(segment));
        view.head = BTreeMap::new();
        view.head_bytes = 0;
        drop(view);
        writer.since = None;
        writer.journal.forget(writer.journal.next())
    }

    fn delete(&self, number: u64, segment: &Segment) -> Result<(), HistoryError> {
        self.view_mut().segments.remove(&number);
        segment.delete()?;
        self.recent().remove(number);
        Ok(())
    }

    // A thread that panicked left nothing half done behind these locks: each change is one statement.

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn view(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn view_mut(&self) -> RwLockWriteGuard<'_, View> {
        self.view.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Library for Engine {
    fn open(&self, number: u64, segment: &Segment) -> Result<Option<Arc<Opened>>, HistoryError> {
        if let Some(opened) = self.recent().get(number) {
            return Ok(Some(opened));
        }
        let opened = segment.open()?.map(Arc::new);
        if let Some(opened) = &opened {
            self.recent().put(number, Arc::clone(opened));
        }
        Ok(opened)
    }
}

fn lock(folder: &Path) -> Result<Flock<fs::File>, HistoryError> {
    let path = folder.join("lock");
    let file = fs::File::create(&path).map_err(|error| disk(&path, &error))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
        nix::errno::Errno::EWOULDBLOCK => HistoryError::Taken { path: folder.to_owned() },
        errno => disk(&path, &errno.into()),
    })
}

/// The segments by number. What was being written when the machine died is removed: the journal still has its rows.
fn find_segments(folder: &Path) -> Result<BTreeMap<u64, Arc<Segment>>, HistoryError> {
    let mut segments = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(|error| disk(folder, &error))? {
        let path = entry.map_err(|error| disk(folder, &error))?.path();
        let ending = path.extension().and_then(|ending| ending.to_str());
        let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
        match (ending, number) {
            (Some(segment::UNFINISHED), _) => fs::remove_file(&path).map_err(|error| disk(&path, &error))?,
            (Some(SEGMENT), Some(number)) => {
                segments.insert(number, Arc::new(Segment::find(&path)?));
            }
            _ => (),
        }
    }
    Ok(segments)
}

/// What the segments know of each node's last: after the journal was moved away.
fn lasts_of(segments: &BTreeMap<u64, Arc<Segment>>) -> Result<BTreeMap<NodeId, Last>, HistoryError> {
    let mut lasts = BTreeMap::<NodeId, Last>::new();
    for segment in segments.values() {
        for (node, count) in segment.open()?.iter().flat_map(|opened| opened.lasts().to_vec()) {
            let last = lasts.entry(node).or_default();
            *last = Last { count: count.max(last.count), place: segment.trailer.newest.max(last.place) };
        }
    }
    Ok(lasts)
}
