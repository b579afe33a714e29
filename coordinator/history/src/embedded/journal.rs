//! What is in no segment yet: a log of frames, of which each holds what was flushed at once. A journal begins with all
//! that must be known without the one before it, so when rows have become a segment, a write failed or it is too long,
//! another takes its place. Its number is that of the segment which its rows become.

mod frame;

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use smartfw_core::fleet::NodeId;

use super::{
    damaged, disk,
    files::{self, JOURNAL},
    view::View,
};
use crate::{HistoryError, Placed, age::Ages, place::Last};

/// The first bytes of a journal, and the version of what follows.
const MAGIC: &[u8; 8] = b"SFWJRNL1";

/// Bytes that are added to a journal at most before another takes its place: twice what becomes a segment.
pub(super) const LONG: u64 = 32 << 20;

/// Bytes of a journal at most that is read: its beginning, what is added, and one frame more.
const MOST: u64 = 2 * frame::MOST as u64 + LONG + (1 << 10);

/// Everything that was in a journal.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Each node's last, before what was added to the journal.
    pub(super) lasts: BTreeMap<NodeId, Last>,
    /// How age is counted, and what was let go.
    pub(super) ages: Ages,
    /// What was in no segment when it began.
    pub(super) begun: Vec<Placed>,
    /// What was added, those of a node in the order of their counts.
    pub(super) added: Vec<Placed>,
}

/// What a frame holds.
#[derive(Debug, Serialize, Deserialize)]
enum Entry<'a> {
    /// The first.
    Begin {
        lasts: Cow<'a, BTreeMap<NodeId, Last>>,
        ages: Ages,
        rows: Cow<'a, [Placed]>,
    },
    Rows(Cow<'a, [Placed]>),
    Ages(Ages),
}

/// The journal that is written.
#[derive(Debug)]
pub(super) struct Journal {
    number: u64,
    path: PathBuf,
    file: File,
    /// Bytes that are on disk.
    bytes: u64,
    /// Bytes that it began with.
    begun: u64,
    /// A write failed. What of it is on disk nobody knows, nor whether the system still has what it did not write.
    failed: bool,
}

impl Journal {
    /// Begins a journal with what is known.
    ///
    /// # Errors
    /// When the disk refuses; then there is none with this number.
    pub(super) fn begin(folder: &Path, number: u64, view: &View) -> Result<Self, HistoryError> {
        let path = files::path(folder, number, JOURNAL);
        let entry = Entry::Begin {
            lasts: Cow::Borrowed(&view.lasts),
            ages: view.ages,
            rows: view
                .head
                .iter()
                .map(|(at, event)| Placed { place: at.place, event: event.clone() })
                .collect(),
        };
        let begun = frame::of(&entry).and_then(|frame| {
            let bytes = [MAGIC.as_slice(), &frame].concat();
            let file = files::publish(&path, |mut file| file.write_all(&bytes).map(|()| file))?;
            Ok((file, bytes.len() as u64))
        });
        let (file, bytes) = begun.map_err(|error| disk(&path, &error))?;
        Ok(Self { number, path, file, bytes, begun: bytes, failed: false })
    }

    /// Opens a journal and reads everything. What was written by halves when the machine died is cut off: it was not
    /// acknowledged.
    ///
    /// # Errors
    /// When the disk refuses or it is damaged elsewhere than at its end.
    pub(super) fn open(folder: &Path, number: u64) -> Result<(Self, Contents), HistoryError> {
        let path = files::path(folder, number, JOURNAL);
        let disk = |error| disk(&path, &error);
        let file = OpenOptions::new().read(true).append(true).open(&path).map_err(disk)?;
        if file.metadata().map_err(disk)?.len() > MOST {
            return Err(damaged(&path, "it is too long"));
        }
        let bytes = fs::read(&path).map_err(disk)?;
        let Read { contents, begun, whole } = read(&path, &bytes)?;
        file.set_len(whole).and_then(|()| file.sync_all()).map_err(disk)?;
        Ok((Self { number, path, file, bytes: whole, begun, failed: false }, contents))
    }

    /// Its number.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// Bytes on disk.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether another must take its place before anything is written, when `long` bytes may be added to one.
    pub(super) const fn is_over(&self, long: u64) -> bool {
        self.failed || self.bytes - self.begun >= long
    }

    /// Has another take its place, with what is known. Until that is on disk this one is over.
    ///
    /// # Errors
    /// When the disk refuses; the old one is still there.
    pub(super) fn renew(&mut self, view: &View) -> Result<(), HistoryError> {
        self.failed = true;
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let next = Self::begin(folder, self.number + 1, view)?;
        let old = std::mem::replace(self, next);
        // If this fails the next start removes it.
        let _ = fs::remove_file(old.path);
        Ok(())
    }

    /// Writes events, those of a node in the order of their counts: on disk when this returns.
    ///
    /// # Errors
    /// When the disk refuses; then it is over.
    pub(super) fn write(&mut self, rows: &[Placed]) -> Result<(), HistoryError> {
        self.add(&Entry::Rows(Cow::Borrowed(rows)))
    }

    /// Writes how age is counted; it is on disk when this returns.
    ///
    /// # Errors
    /// When the disk refuses; then it is over.
    pub(super) fn write_ages(&mut self, ages: Ages) -> Result<(), HistoryError> {
        self.add(&Entry::Ages(ages))
    }

    fn add(&mut self, entry: &Entry<'_>) -> Result<(), HistoryError> {
        let written = frame::of(entry).and_then(|frame| {
            self.file.write_all(&frame)?;
            self.file.sync_data()?;
            Ok(frame.len() as u64)
        });
        self.failed |= written.is_err();
        self.bytes += written.map_err(|error| disk(&self.path, &error))?;
        Ok(())
    }

    /// From now on it writes to another file, such as one that refuses.
    #[cfg(test)]
    pub(super) fn write_to(&mut self, path: &str) {
        self.file = OpenOptions::new().write(true).open(path).expect("it is there");
    }
}

/// What was read of a journal.
struct Read {
    contents: Contents,
    /// Bytes that it began with.
    begun: u64,
    /// Bytes of its whole frames; what follows was written by halves.
    whole: u64,
}

/// Reads the bytes of a journal. Each frame was on disk before the next was written: a whole one behind one that is not
/// tells of damage.
fn read(path: &Path, bytes: &[u8]) -> Result<Read, HistoryError> {
    let mut rest =
        bytes.strip_prefix(MAGIC).ok_or_else(|| damaged(path, "it does not begin as a journal does"))?;
    let mut known = None;
    while let Some((content, behind)) = frame::read(rest) {
        let entry = postcard::from_bytes(content).map_err(|_| damaged(path, "a frame makes no sense"))?;
        let end = (bytes.len() - behind.len()) as u64;
        let (contents, begun) = known.map_or((None, end), |(contents, begun)| (Some(contents), begun));
        let contents = add(contents, entry).ok_or_else(|| damaged(path, "its frames are in no order"))?;
        known = Some((contents, begun));
        rest = behind;
    }
    if frame::any(rest) {
        return Err(damaged(path, "a frame is damaged, and others follow it"));
    }
    let (contents, begun) = known.ok_or_else(|| damaged(path, "its first frame is damaged"))?;
    Ok(Read { contents, begun, whole: (bytes.len() - rest.len()) as u64 })
}

/// The contents with one more entry: only the first one begins.
fn add(contents: Option<Contents>, entry: Entry<'_>) -> Option<Contents> {
    match (contents, entry) {
        (None, Entry::Begin { lasts, ages, rows }) => {
            Some(Contents { lasts: lasts.into_owned(), ages, begun: rows.into_owned(), added: Vec::new() })
        }
        (Some(mut contents), Entry::Rows(rows)) => {
            contents.added.extend(rows.into_owned());
            Some(contents)
        }
        (Some(contents), Entry::Ages(ages)) => Some(Contents { ages, ..contents }),
        _ => None,
    }
}
