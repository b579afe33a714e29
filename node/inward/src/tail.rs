//! Following a file that another program appends lines to, over its rotation, its truncation, and our own restart.

use std::{
    fs::{self, File, Metadata},
    io::{self, Read as _, Seek as _, SeekFrom},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// The longest line that is read, bytes. What is longer is passed over, and counted.
pub const LINE: usize = 64 << 10;

/// So much is read at once, bytes: with five looks a second it is more than a busy detector writes.
const PIECE: usize = 1 << 20;

/// Where reading goes on after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// The device of the file.
    pub device: u64,
    /// Its inode.
    pub inode: u64,
    /// The first byte of the first line that was not read to its end.
    pub offset: u64,
}

/// What was met on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Met {
    /// Lines that were longer than any is.
    pub too_long: u64,
    /// Lines whose end never came, because the file was replaced or cut.
    pub cut: u64,
    /// Times that the file was replaced.
    pub rotations: u64,
    /// Times that it was cut.
    pub truncations: u64,
}

/// A file that is followed.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    open: Option<Open>,
    /// Where the last run ended.
    stored: Option<Position>,
    /// Whether it was opened before: the first time only what comes from now on counts.
    begun: bool,
    met: Met,
}

#[derive(Debug)]
struct Open {
    file: File,
    device: u64,
    inode: u64,
    /// The next byte to read.
    offset: u64,
    /// The beginning of a line whose end has not come.
    partial: Vec<u8>,
    /// Within a line that is too long.
    skipping: bool,
    /// Another file has its name now; this one is read once more, for its writer may not know yet.
    replaced: bool,
}

impl Tail {
    /// The file at this path, from where the last run ended; without that from its end.
    pub const fn new(path: PathBuf, stored: Option<Position>) -> Self {
        Self {
            path,
            open: None,
            begun: stored.is_some(),
            stored,
            met: Met { too_long: 0, cut: 0, rotations: 0, truncations: 0 },
        }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was met since the start.
    pub const fn met(&self) -> Met {
        self.met
    }

    /// Where reading would go on.
    pub fn position(&self) -> Option<Position> {
        let Some(Open { device, inode, offset, partial, .. }) = &self.open else { return self.stored };
        Some(Position { device: *device, inode: *inode, offset: *offset - partial.len() as u64 })
    }

    /// Gives the lines that have come, without their ends; whether there is more to read at once.
    ///
    /// # Errors
    /// When the file is not there or cannot be read; it is tried again at the next call.
    pub fn poll(&mut self, mut take: impl FnMut(&[u8])) -> io::Result<bool> {
        if self.open.is_none() {
            self.open = Some(self.begin()?);
        }
        let Some(open) = &mut self.open else { return Ok(false) };
        let read = open.read(&mut self.met, &mut take)?;
        if read > 0 {
            return Ok(read == PIECE);
        }
        if open.is_cut()? {
            self.met.truncations += 1;
            open.abandon_line(&mut self.met);
            open.offset = open.file.seek(SeekFrom::Start(0))?;
            return Ok(true);
        }
        if !is_replaced(&self.path, open)? {
            return Ok(false);
        }
        if !open.replaced {
            open.replaced = true;
            return Ok(false);
        }
        open.abandon_line(&mut self.met);
        self.met.rotations += 1;
        self.open = None;
        self.stored = None;
        Ok(true)
    }

    fn begin(&mut self) -> io::Result<Open> {
        let metadata = fs::metadata(&self.path).inspect_err(|error| {
            // What comes where nothing was is new as a whole.
            self.begun |= error.kind() == io::ErrorKind::NotFound;
        })?;
        if !metadata.is_file() {
            // A pipe would be waited for.
            return Err(io::Error::other("it is no regular file"));
        }
        let mut file = File::open(&self.path)?;
        let metadata = file.metadata().unwrap_or(metadata);
        let offset = file.seek(SeekFrom::Start(self.first(&metadata)))?;
        (self.begun, self.stored) = (true, None);
        let (device, inode) = (metadata.dev(), metadata.ino());
        Ok(Open { file, device, inode, offset, partial: Vec::new(), skipping: false, replaced: false })
    }

    /// Where reading begins: of a file that is new to us at its first byte, but for the very first.
    fn first(&self, metadata: &Metadata) -> u64 {
        let same = |stored: &Position| {
            (stored.device, stored.inode) == (metadata.dev(), metadata.ino())
                && stored.offset <= metadata.len()
        };
        match &self.stored {
            Some(stored) if same(stored) => stored.offset,
            Some(_) => 0,
            None if self.begun => 0,
            None => metadata.len(),
        }
    }
}

impl Open {
    fn read(&mut self, met: &mut Met, take: &mut impl FnMut(&[u8])) -> io::Result<usize> {
        let mut bytes = Vec::new();
        let read = (&self.file).take(PIECE as u64).read_to_end(&mut bytes)?;
        self.offset += read as u64;
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.piece(piece, met, take);
        }
        Ok(read)
    }

    fn piece(&mut self, piece: &[u8], met: &mut Met, take: &mut impl FnMut(&[u8])) {
        let (text, ends) = piece.strip_suffix(b"\n").map_or((piece, false), |text| (text, true));
        if self.partial.len() + text.len() > LINE && !self.skipping {
            self.skipping = true;
            self.partial.clear();
            met.too_long += 1;
        }
        if !self.skipping {
            self.partial.extend_from_slice(text);
        }
        if ends {
            if !self.skipping && !self.partial.is_empty() {
                take(&self.partial);
            }
            self.skipping = false;
            self.partial.clear();
        }
    }

    fn is_cut(&self) -> io::Result<bool> {
        Ok(self.file.metadata()?.len() < self.offset)
    }

    fn abandon_line(&mut self, met: &mut Met) {
        met.cut += u64::from(!self.partial.is_empty());
        self.partial.clear();
        self.skipping = false;
    }
}

/// Whether the name belongs to another file by now. While it belongs to none, the old one is read on.
fn is_replaced(path: &Path, open: &Open) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(metadata) => Ok((metadata.dev(), metadata.ino()) != (open.device, open.inode)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
