//! Events that are not added to any more: one file. Blocks of rows in order, compressed; blocks of terms, each with the
//! rows that hold it; each node's last; a directory of these; a trailer that says where the directory is. Every part has
//! its checksum, and is read when it is needed.

mod block;
mod scan;
mod terms;
mod write;

use std::{
    fs::File,
    io::ErrorKind,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use serde::{Deserialize, Serialize};
use smartfw_core::{Time, fleet::NodeId};

pub(super) use scan::Scan;
pub(super) use write::write;

use crate::{Count, Cursor, HistoryError, place::Last};
use block::Block;

/// Bytes of a directory at most. A full segment's has some sixty thousand; this bounds what a damaged trailer may ask for.
const MOST_DIRECTORY: u32 = 1 << 20;

/// Blocks of one segment that the system is asked for at most before the first of them is read. More would take the disk
/// from others, for a page that may be full before.
const FORESEEN: usize = 32;

/// The last bytes of a whole segment, and the version of what precedes them.
const MAGIC: &[u8; 8] = b"SFWHIST2";

/// How segments of every version end, but for the number.
const ANY: &[u8] = b"SFWHIST";

/// Bytes of the trailer: its numbers, their checksum, the magic.
const TRAILER: usize = NUMBERS + 4 + 8;

/// Bytes of its numbers.
const NUMBERS: usize = 36;

/// A segment, of which only the trailer was read.
#[derive(Debug)]
pub(super) struct Segment {
    /// Where it is.
    pub(super) path: PathBuf,
    /// Bytes of the file.
    pub(super) bytes: u64,
    /// What is in it.
    pub(super) trailer: Trailer,
    /// It is deleted, or about to be.
    gone: AtomicBool,
}

/// What is in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trailer {
    /// Where its directory begins.
    directory: u64,
    /// Bytes of the directory.
    length: u32,
    /// The directory's checksum.
    checksum: u32,
    /// Events.
    pub(super) events: u32,
    /// The place of the oldest.
    pub(super) oldest: Time,
    /// The place of the newest.
    pub(super) newest: Time,
}

/// Where everything is in a segment.
#[derive(Debug, Serialize, Deserialize)]
struct Directory {
    rows: Vec<RowBlock>,
    terms: Vec<TermBlock>,
    /// What only a start wants to know: who asks for events keeps none of it in memory.
    lasts: Block,
}

/// Rows from number `first` on, the oldest of them at `start`.
#[derive(Debug, Serialize, Deserialize)]
struct RowBlock {
    first: u32,
    start: Start,
    block: Block,
}

/// A cursor, as it is written.
type Start = (Time, NodeId, Count);

/// Terms from `first` on.
#[derive(Debug, Serialize, Deserialize)]
struct TermBlock {
    first: Vec<u8>,
    block: Block,
}

/// A segment that can be read.
#[derive(Debug)]
pub(super) struct Opened {
    path: PathBuf,
    file: File,
    events: u32,
    directory: Directory,
}

impl Segment {
    /// Reads the trailer.
    ///
    /// # Errors
    /// When the disk refuses, or it is not a whole segment.
    pub(super) fn find(path: &Path) -> Result<Self, HistoryError> {
        let disk = |error| super::disk(path, &error);
        let file = File::open(path).map_err(disk)?;
        let bytes = file.metadata().map_err(disk)?.len();
        let at = bytes.checked_sub(TRAILER as u64).ok_or_else(|| super::damaged(path, "it is too short"))?;
        let mut trailer = [0; TRAILER];
        file.read_exact_at(&mut trailer, at).map_err(disk)?;
        let (number, rest) = (trailer[TRAILER - 1], &trailer[..TRAILER - 1]);
        if number.is_ascii_digit() && rest.ends_with(ANY) && !trailer.ends_with(MAGIC) {
            return Err(HistoryError::OtherVersion { path: path.to_owned() });
        }
        let trailer = Trailer::decode(&trailer).ok_or_else(|| super::damaged(path, "its end is missing"))?;
        if trailer.length > MOST_DIRECTORY || trailer.directory.checked_add(trailer.length.into()) != Some(at)
        {
            return Err(super::damaged(path, "its directory is not where it should be"));
        }
        Ok(Self { path: path.to_owned(), bytes, trailer, gone: AtomicBool::new(false) })
    }

    /// Opens it; `None` when it was deleted meanwhile.
    ///
    /// # Errors
    /// When the disk refuses or the directory is damaged.
    pub(super) fn open(&self) -> Result<Option<Opened>, HistoryError> {
        let file = match File::open(&self.path) {
            Err(_) if self.is_gone() => return Ok(None),
            file => file.map_err(|error| super::disk(&self.path, &error))?,
        };
        let Trailer { directory, length, checksum, events, .. } = self.trailer;
        let bytes = block::read(&self.path, &file, directory, length, checksum)?;
        let directory: Directory = postcard::from_bytes(&bytes)
            .map_err(|_| super::damaged(&self.path, "its directory makes no sense"))?;
        Ok(Some(Opened { path: self.path.clone(), file, events, directory }))
    }

    /// Deletes it, if it is still there. Whoever has it open may go on reading.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn delete(&self) -> Result<(), HistoryError> {
        self.gone.store(true, Ordering::SeqCst);
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(super::disk(&self.path, &error)),
            _ => Ok(()),
        }
    }

    /// Whether it is deleted, or about to be.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::SeqCst)
    }

    /// Where its rows begin to be of interest: behind its newest.
    pub(super) fn end(&self) -> Cursor {
        Cursor { place: Time::from_nanos(self.trailer.newest.as_nanos().saturating_add(1)), ..Cursor::START }
    }
}

impl Opened {
    /// The last of each node in it.
    ///
    /// # Errors
    /// When the disk refuses or they are damaged.
    pub(super) fn lasts(&self) -> Result<Vec<(NodeId, Last)>, HistoryError> {
        self.directory.lasts.read(&self.path, &self.file)
    }
}

impl Trailer {
    fn encode(&self) -> [u8; TRAILER] {
        let Self { directory, length, checksum, events, oldest, newest } = *self;
        let mut bytes = Vec::with_capacity(TRAILER);
        bytes.extend(directory.to_le_bytes());
        bytes.extend(length.to_le_bytes());
        bytes.extend(checksum.to_le_bytes());
        bytes.extend(events.to_le_bytes());
        bytes.extend(oldest.as_nanos().to_le_bytes());
        bytes.extend(newest.as_nanos().to_le_bytes());
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        bytes.extend(MAGIC);
        let mut trailer = [0; TRAILER];
        trailer.copy_from_slice(&bytes);
        trailer
    }

    fn decode(trailer: &[u8; TRAILER]) -> Option<Self> {
        let (body, rest) = trailer.split_at(NUMBERS);
        let (checksum, magic) = rest.split_at(4);
        if magic != MAGIC || crc32fast::hash(body).to_le_bytes() != checksum {
            return None;
        }
        let short = |at: usize| Some(u32::from_le_bytes(body.get(at..at + 4)?.try_into().ok()?));
        let long = |at: usize| Some(u64::from_le_bytes(body.get(at..at + 8)?.try_into().ok()?));
        Some(Self {
            directory: long(0)?,
            length: short(8)?,
            checksum: short(12)?,
            events: short(16)?,
            oldest: Time::from_nanos(long(20)?),
            newest: Time::from_nanos(long(28)?),
        })
    }
}
