//! How events go into the journal and from there into segments, and how old ones go.

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use nix::fcntl::Flock;
use smartfw_core::{Time, fleet::NodeId};

use super::{
    files::{self, Found, SEGMENT},
    group::{Batch, Queue, Waiting},
    journal::{self, Journal},
    recent::{self, Recent},
    search::{self, Library, Search},
    segment::{self, Opened, Segment},
    view::{self, View},
};
use crate::{Appended, Count, Event, HistoryError, Page, Query, Size, place::Last};

/// So long events stay in the journal at most: then also a few become a segment, so that age can delete them.
const STAY: Duration = Duration::from_secs(24 * 3600);

/// How much of everything there is at most. Tests make it small.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Events in memory from which on they become a segment.
    pub(super) events: usize,
    /// Blocks that are read for one page.
    pub(super) blocks: usize,
    /// Bytes that are added to one journal.
    pub(super) journal: u64,
    /// Segments that stay open.
    pub(super) open: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            events: view::FULL_EVENTS,
            blocks: search::MOST_BLOCKS,
            journal: journal::LONG,
            open: recent::OPEN,
        }
    }
}

/// An open history. Appending goes one group after the other; reading goes beside it.
#[derive(Debug)]
pub(super) struct Engine {
    folder: PathBuf,
    limits: Limits,
    pub(super) queue: Queue,
    writer: Mutex<Writer>,
    view: RwLock<View>,
    recent: Mutex<Recent>,
    _lock: Flock<File>,
}

#[derive(Debug)]
pub(super) struct Writer {
    pub(super) journal: Journal,
    /// When the first event came that is in no segment.
    since: Option<Time>,
}

impl Engine {
    pub(super) fn open(folder: &Path, limits: Limits) -> Result<Self, HistoryError> {
        files::create(folder)?;
        let lock = files::lock(folder)?;
        let Found { segments, journals } = files::find(folder)?;
        let mut recent = Recent::of(limits.open);
        let lasts = lasts_of(&segments, &mut recent)?;
        let next = segments.last_key_value().map_or(0, |(number, _)| number + 1);
        let opened = journals.last().map(|number| Journal::open(folder, *number)).transpose()?;
        let (journal, contents) = opened.unzip();
        let mut view = View::restore(segments, lasts, contents.unwrap_or_default());
        let journal = match journal.filter(|journal: &Journal| journal.number() >= next) {
            Some(journal) => journal,
            None => {
                // Its rows became a segment, or there is none.
                view.forget();
                Journal::begin(folder, next, &view)?
            }
        };
        files::remove_journals(folder, journals.range(..journal.number()))?;
        // When they came is not known, but not before that.
        let since = view.head.keys().next().map(|cursor| cursor.place);
        Ok(Self {
            folder: folder.to_owned(),
            limits,
            queue: Queue::default(),
            writer: Mutex::new(Writer { journal, since }),
            view: RwLock::new(view),
            recent: Mutex::new(recent),
            _lock: lock,
        })
    }

    pub(super) fn append(
        &self,
        now: Time,
        nodes: BTreeMap<NodeId, Vec<Event>>,
    ) -> Result<Appended, HistoryError> {
        let own = self.queue.join(now, nodes);
        let mut writer = self.writer();
        loop {
            if let Some(result) = own.done.get() {
                return result.clone();
            }
            let group = self.queue.take();
            if group.is_empty() {
                return Err(HistoryError::BrokenOff(
                    "another append, flushed together with it, ended".to_owned(),
                ));
            }
            self.append_group(&mut writer, &group);
        }
    }

    pub(super) fn query(&self, query: &Query) -> Result<Page, HistoryError> {
        let view = self.view();
        let query = &Query { from: query.from.max(view.ages.floor), ..query.clone() };
        let (found, segments) = (view.find(query), view.segments.clone());
        drop(view);
        Search::new(query, self, self.limits.blocks, found, &segments).page()
    }

    /// Deletes before it writes anything: on a full disk only that makes room.
    pub(super) fn retain(&self, now: Time, age: Duration, bytes: u64) -> Result<(), HistoryError> {
        let mut writer = self.writer();
        let before = self.view().ages;
        let ages = before.after(now, age, self.view().newest());
        self.delete_beyond(&writer, ages.floor, bytes)?;
        if self.seal_if_due(&mut writer, now)? {
            self.delete_beyond(&writer, ages.floor, bytes)?;
        }
        if ages != before {
            self.renew_if_over(&mut writer)?;
            writer.journal.write_ages(ages)?;
            self.view_mut().ages = ages;
        }
        Ok(())
    }

    pub(super) fn last(&self, node: &NodeId) -> Option<Count> {
        self.view().lasts.get(node).map(|last| last.count)
    }

    pub(super) fn size(&self) -> Size {
        let journal = self.writer().journal.bytes();
        let view = self.view();
        let segments = view.segments.values();
        Size {
            events: view.head.len() as u64
                + segments.clone().map(|s| u64::from(s.trailer.events)).sum::<u64>(),
            bytes: journal + segments.map(|segment| segment.bytes).sum::<u64>(),
        }
    }

    /// Writes a group and tells each of it what became of it.
    fn append_group(&self, writer: &mut Writer, group: &[Arc<Waiting>]) {
        let mut batch = Batch::default();
        let now = group.iter().map(|waiting| waiting.now).max().unwrap_or_default();
        let sealed = self.seal_if_due(writer, now).map(drop);
        let placed: Vec<_> = group.iter().map(|waiting| self.view().place(&mut batch, waiting)).collect();
        let written = sealed.and_then(|()| self.write(writer, now, batch));
        for (waiting, placed) in group.iter().zip(placed) {
            // It is told once: nobody else has taken it from the queue.
            let _ = waiting.done.set(placed.and_then(|appended| written.clone().map(|()| appended)));
        }
    }

    fn write(&self, writer: &mut Writer, now: Time, batch: Batch) -> Result<(), HistoryError> {
        if batch.rows.is_empty() {
            return Ok(());
        }
        self.renew_if_over(writer)?;
        writer.journal.write(&batch.rows)?;
        writer.since.get_or_insert(now);
        self.view_mut().add(batch.rows);
        Ok(())
    }

    /// Has a new journal take the place of one that is long, or that a write failed in.
    fn renew_if_over(&self, writer: &mut Writer) -> Result<(), HistoryError> {
        if writer.journal.is_over(self.limits.journal) {
            writer.journal.renew(&self.view())?;
        }
        Ok(())
    }

    /// Makes a segment of the head when it is large or old, and begins a new journal; tells whether it did. The file is
    /// whole before the journal goes: after a crash between, its number tells that its rows are in the segment.
    fn seal_if_due(&self, writer: &mut Writer, now: Time) -> Result<bool, HistoryError> {
        // A clock that was ahead for a while must not keep them here until it would be right.
        writer.since = writer.since.map(|since| since.min(now));
        let old = writer.since.is_some_and(|since| now.since(since) >= STAY);
        let view = self.view();
        if view.head.is_empty() || !(old || view.is_full(self.limits.events)) {
            return Ok(false);
        }
        let number = writer.journal.number();
        let segment = segment::write(&files::path(&self.folder, number, SEGMENT), &view.head)?;
        drop(view);
        self.view_mut().seal(number, segment);
        writer.since = None;
        writer.journal.renew(&self.view())?;
        Ok(true)
    }

    /// Deletes the segments in which everything is placed before the floor, and the oldest of what is beyond `bytes`.
    fn delete_beyond(&self, writer: &Writer, floor: Time, bytes: u64) -> Result<(), HistoryError> {
        let segments = self.view().segments.clone();
        let mut size = writer.journal.bytes() + segments.values().map(|segment| segment.bytes).sum::<u64>();
        for (number, segment) in segments {
            if segment.trailer.newest < floor || size > bytes {
                size -= segment.bytes;
                segment.delete()?;
                self.view_mut().segments.remove(&number);
                self.recent().remove(number);
            }
        }
        Ok(())
    }

    // A thread that panicked left nothing half done behind these locks.

    pub(super) fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn view(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn view_mut(&self) -> RwLockWriteGuard<'_, View> {
        self.view.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn recent(&self) -> MutexGuard<'_, Recent> {
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
        // Deleted since: what is kept open keeps its room on the disk.
        if segment.is_gone() {
            self.recent().remove(number);
        }
        Ok(opened)
    }
}

/// What the segments know of each node's last. They stay open, so that the first questions do not wait for them.
fn lasts_of(
    segments: &BTreeMap<u64, Arc<Segment>>,
    recent: &mut Recent,
) -> Result<BTreeMap<NodeId, Last>, HistoryError> {
    let mut lasts = BTreeMap::new();
    for (number, segment) in segments {
        if let Some(opened) = segment.open()? {
            opened.lasts()?.into_iter().for_each(|(node, last)| view::raise(&mut lasts, node, last));
            recent.put(*number, Arc::new(opened));
        }
    }
    Ok(lasts)
}
