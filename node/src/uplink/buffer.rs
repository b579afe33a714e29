//! What a coordinator has not kept yet, on disk: a log in pieces, of which the oldest goes first.
//!
//! `<state>/uplink/EPOCH-FIRST.events` holds the events from FIRST on, in frames with sums. Nothing is sent before it is
//! flushed, so that no number is ever given twice: what a crash cut off was told to nobody.

mod begin;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    mem,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use smartfw_core::{Event, fleet::Version};

use super::{
    frame,
    index::{Index, Span, path},
    reader::Reader,
};

/// How much of the buffer and of its pieces there may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Bytes of one piece.
    pub(super) piece: u64,
    /// Pieces.
    pub(super) pieces: usize,
}

/// 64 MiB: some hundred thousand events, which is days of a node under attack.
pub(super) const BOUNDS: Bounds = Bounds { piece: 1 << 20, pieces: 64 };

/// The buffer, in the hands of the one who writes it.
pub(super) struct Buffer {
    folder: PathBuf,
    bounds: Bounds,
    epoch: u64,
    next: u64,
    spans: VecDeque<Span>,
    /// The last piece, open; `None`: the next event begins another.
    last: Option<File>,
    /// Everything up to here may go.
    kept: u64,
    /// Everything up to here coordinators have: what of it had to go, the mirror alone misses.
    reached: u64,
}

/// What became of a batch.
#[derive(Debug, Default)]
pub(super) struct Appended {
    /// Old events that had to go.
    pub(super) dropped: u64,
    /// Such that only the mirror had not.
    pub(super) missed: u64,
    /// Why the disk refused some.
    pub(super) refused: Option<io::Error>,
    /// Those.
    pub(super) left: Vec<Event>,
}

impl Buffer {
    /// Numbers events and writes them; what the disk did not refuse is on it when this returns.
    pub(super) fn append(&mut self, mut events: Vec<Event>) -> Appended {
        let (mut written, mut all) = (0, Appended::default());
        let refused = self.write_all(&events, &mut written, &mut all).err();
        Appended { refused, left: events.split_off(written), ..all }
    }

    /// Writes events in pieces; how many are written is told also where the disk refuses the next.
    fn write_all(&mut self, events: &[Event], written: &mut usize, all: &mut Appended) -> io::Result<()> {
        let mut bytes = Vec::new();
        let mut waiting = 0;
        for event in events {
            let before = bytes.len();
            frame::write(Event { sequence: self.next + waiting as u64, ..event.clone() }, &mut bytes);
            if self.room(bytes.len()) {
                waiting += 1;
                continue;
            }
            let frame = bytes.split_off(before);
            self.write(&bytes, waiting)?;
            *written += waiting;
            self.begin_piece(all)?;
            (bytes, waiting) = (frame, 1);
        }
        self.write(&bytes, waiting)?;
        *written += waiting;
        Ok(())
    }

    /// Coordinators have what is up to here, whatever the mirror has.
    pub(super) const fn reached(&mut self, upto: u64) {
        self.reached = upto;
    }

    /// Every coordinator has what is up to here, and the mirror.
    pub(super) fn trim(&mut self, kept: u64) {
        self.kept = self.kept.max(kept.min(self.next.saturating_sub(1)));
        while self.spans.len() > 1 && self.spans[0].next <= self.kept.saturating_add(1) {
            self.remove_oldest();
        }
    }

    /// Begins another life, behind whatever a coordinator knows of this node: the disk was set back, or its numbers given
    /// twice. What was not kept is told again under new numbers.
    pub(super) fn renew(&mut self, now_millis: u64, known: Version) -> Appended {
        let old = self.index();
        let sane = known.epoch.saturating_add(1).min(now_millis.saturating_add(AHEAD));
        self.epoch = now_millis.max(old.epoch.saturating_add(1)).max(sane);
        let mut from = mem::take(&mut self.kept) + 1;
        (self.next, self.last, self.reached) = (1, None, 0);
        self.spans.clear();
        let (mut reader, mut all) = (Reader::new(&self.folder), Appended::default());
        while all.refused.is_none() {
            let batch = reader.read(&old, from);
            if batch.events.is_empty() {
                break;
            }
            from = batch.next;
            let appended = self.append(batch.events);
            let (dropped, missed) = (all.dropped + appended.dropped, all.missed + appended.missed);
            all = Appended { dropped, missed, ..appended };
        }
        all.dropped += old.behind(from - 1);
        for span in &old.spans {
            let _ = fs::remove_file(path(&self.folder, old.epoch, span.first));
        }
        all
    }

    /// Which life it is.
    pub(super) const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// What is on disk.
    pub(super) fn index(&self) -> Index {
        Index { epoch: self.epoch, next: self.next, spans: self.spans.iter().copied().collect() }
    }

    fn room(&self, more: usize) -> bool {
        let used = self.spans.back().map_or(0, |span| span.bytes);
        self.last.is_some() && used + more as u64 <= self.bounds.piece
    }

    /// Writes frames behind the last piece, or leaves it as it was.
    fn write(&mut self, bytes: &[u8], events: usize) -> io::Result<()> {
        if events == 0 {
            return Ok(());
        }
        let (Some(file), Some(span)) = (&mut self.last, self.spans.back_mut()) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        match file.write_all(bytes).and_then(|()| file.sync_data()) {
            Ok(()) => {
                span.next += events as u64;
                span.bytes += bytes.len() as u64;
                self.next = span.next;
                Ok(())
            }
            Err(why) => {
                // Half a frame is no event; where even that is refused, another piece begins.
                if file.set_len(span.bytes).is_err() {
                    self.last = None;
                }
                Err(why)
            }
        }
    }

    fn begin_piece(&mut self, all: &mut Appended) -> io::Result<()> {
        // A piece in which nothing lies has the name that the new one needs.
        let emptied = self.spans.back().is_some_and(|span| span.first == self.next);
        let path = path(&self.folder, self.epoch, self.next);
        let mut options = OpenOptions::new();
        let file = options.append(true).create(true).mode(0o640).open(path)?;
        file.set_len(0)?;
        File::open(&self.folder)?.sync_all()?;
        if !emptied {
            self.spans.push_back(Span::empty(self.next));
        }
        self.last = Some(file);
        while self.spans.len() > self.bounds.pieces {
            let (dropped, missed) = self.remove_oldest();
            all.dropped += dropped;
            all.missed += missed;
        }
        Ok(())
    }

    /// How many of its events not every coordinator has, and how many only the mirror has not.
    fn remove_oldest(&mut self) -> (u64, u64) {
        let Some(span) = self.spans.pop_front() else { return (0, 0) };
        // One that stays is removed at the next start.
        let _ = fs::remove_file(path(&self.folder, self.epoch, span.first));
        let behind = |upto: u64| span.next.saturating_sub(span.first.max(upto.saturating_add(1)));
        let dropped = behind(self.kept.max(self.reached));
        (dropped, behind(self.kept) - dropped)
    }
}

/// How far ahead of our clock an epoch may be that others say is ours, milliseconds: a day.
const AHEAD: u64 = 86_400_000;

/// The buffer's folder.
pub(super) fn folder(state_dir: &Path) -> PathBuf {
    state_dir.join("uplink")
}
