//! A part of a segment: compressed, with a checksum.

use std::{
    fs::File,
    io::{Read as _, Write},
    os::unix::fs::FileExt as _,
    path::Path,
};

use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{HistoryError, embedded};

/// Bytes of a block before it is compressed, from which on it is full: some fifty events. A row that is wanted costs
/// the reading of its block.
pub(super) const FULL: usize = 16 << 10;

/// The same of a block of terms: of each segment a question reads one for one of its rows, or none.
pub(super) const FULL_TERMS: usize = 4 << 10;

/// Bytes of a block at most, compressed or not; a full one may end with a large row, or be the rows of one term.
const MOST: u32 = 1 << 20;

/// Where a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Block {
    at: u64,
    length: u32,
    checksum: u32,
}

impl Block {
    /// Compresses and writes `bytes`; `at` is where the file ends, before and after.
    pub(super) fn write(file: &mut impl Write, at: &mut u64, bytes: &[u8]) -> std::io::Result<Self> {
        let mut encoder = DeflateEncoder::new(Vec::with_capacity(bytes.len() / 2), Compression::fast());
        encoder.write_all(bytes)?;
        let compressed = encoder.finish()?;
        file.write_all(&compressed)?;
        let (length, checksum) = (compressed.len() as u32, crc32fast::hash(&compressed));
        let block = Self { at: *at, length, checksum };
        *at += u64::from(length);
        Ok(block)
    }

    /// Asks the system to have it in memory soon; who reads it then waits no longer than for the disk's other work. A disk
    /// answers many at once in the time of one.
    pub(super) fn foresee(&self, file: &File) {
        let (at, length) = (self.at as i64, self.length.into());
        // Whether it does or not, the block can be read.
        let _ = posix_fadvise(file, at, length, PosixFadviseAdvice::POSIX_FADV_WILLNEED);
    }

    /// What was written.
    pub(super) fn read<T: DeserializeOwned>(&self, path: &Path, file: &File) -> Result<T, HistoryError> {
        let damaged = |why| embedded::damaged(path, why);
        if self.length > MOST {
            return Err(damaged("a block is too large"));
        }
        let compressed = read(path, file, self.at, self.length, self.checksum)?;
        let mut bytes = Vec::with_capacity(FULL);
        let decoder = DeflateDecoder::new(compressed.as_slice());
        decoder
            .take(MOST.into())
            .read_to_end(&mut bytes)
            .map_err(|_| damaged("a block cannot be unpacked"))?;
        postcard::from_bytes(&bytes).map_err(|_| damaged("a block makes no sense"))
    }
}

/// Reads bytes that have this checksum.
pub(super) fn read(
    path: &Path,
    file: &File,
    at: u64,
    length: u32,
    checksum: u32,
) -> Result<Vec<u8>, HistoryError> {
    let mut bytes = vec![0; length as usize];
    file.read_exact_at(&mut bytes, at).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => embedded::damaged(path, "a part is missing"),
        _ => embedded::disk(path, &error),
    })?;
    if crc32fast::hash(&bytes) != checksum {
        return Err(embedded::damaged(path, "a checksum is wrong"));
    }
    Ok(bytes)
}
