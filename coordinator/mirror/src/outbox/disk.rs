//! How rows lie in sled, and what its errors mean.

use std::{
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use sled::{Config, Db, Mode};

use super::OutboxError;

/// Bytes of pages in memory: rows are written once, read once, and removed.
const CACHE: u64 = 4 << 20;

/// Bytes of a segment of sled's log; larger ones keep several times the memory.
const SEGMENT: usize = 128 << 10;

/// So long a store that was closed a moment ago may hold its lock: sled lets go of it in a thread of its own.
const LETTING_GO: Duration = Duration::from_secs(2);

pub(super) fn open(folder: &Path) -> sled::Result<Db> {
    let config = Config::new().path(folder).cache_capacity(CACHE).segment_size(SEGMENT).mode(Mode::LowSpace);
    let until = Instant::now() + LETTING_GO;
    loop {
        match config.open() {
            Err(error) if is_locked(&error) && Instant::now() < until => {
                thread::sleep(Duration::from_millis(10));
            }
            other => return other,
        }
    }
}

/// Renames a damaged folder; an older damaged one makes room for it.
pub(super) fn set_aside(folder: &Path) -> Result<PathBuf, OutboxError> {
    let mut name = folder.as_os_str().to_owned();
    name.push(".damaged");
    let aside = PathBuf::from(name);
    // Where there is none, nothing is removed; where it cannot be removed, the renaming says so.
    let _ = fs::remove_dir_all(&aside).or_else(|_| fs::remove_file(&aside));
    fs::rename(folder, &aside)
        .map_err(|error| OutboxError::Unavailable { path: folder.to_owned(), why: error.to_string() })?;
    Ok(aside)
}

/// sled panics on some damage; that is damage too.
pub(super) fn guarded<T>(folder: &Path, work: impl FnOnce() -> sled::Result<T>) -> Result<T, OutboxError> {
    let path = folder.to_owned();
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) if is_damage(&error) => Err(OutboxError::Damaged { path, why: words(&error) }),
        Ok(Err(error)) => Err(OutboxError::Unavailable { path, why: words(&error) }),
        Err(_) => Err(OutboxError::Damaged { path, why: "it cannot be read".to_owned() }),
    }
}

/// The system's words as a person reads them: sled shows them as a programmer does.
fn words(error: &sled::Error) -> String {
    match error {
        sled::Error::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}

/// Only what speaks of the content is damage; a full disk, a lock, too many open files pass.
fn is_damage(error: &sled::Error) -> bool {
    use io::ErrorKind::{AlreadyExists, InvalidData, NotADirectory, UnexpectedEof};
    match error {
        sled::Error::Io(error) => {
            matches!(error.kind(), AlreadyExists | InvalidData | NotADirectory | UnexpectedEof)
        }
        _ => true,
    }
}

/// sled keeps of this no more than its words.
fn is_locked(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(error) if error.to_string().contains("could not acquire lock"))
}

/// A row: its parts, divided by zero bytes. Only the last may hold one: paths have no control characters, and from
/// what a server said they are taken out.
pub(super) fn encode(parts: &[&[u8]]) -> Vec<u8> {
    parts.join(&0)
}

pub(super) fn decode<const N: usize>(row: &[u8]) -> sled::Result<[&[u8]; N]> {
    let parts: Vec<&[u8]> = row.splitn(N, |byte| *byte == 0).collect();
    parts.try_into().map_err(|_| garbled())
}

/// Bytes of a row's parts.
pub(super) fn size(row: &[u8]) -> u64 {
    row.len().saturating_sub(1) as u64
}

pub(super) fn text(bytes: &[u8]) -> sled::Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| garbled())
}

pub(super) fn number(key: &[u8]) -> sled::Result<u64> {
    key.try_into().map(u64::from_be_bytes).map_err(|_| garbled())
}

fn garbled() -> sled::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a row makes no sense").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_in_the_systems_words_and_is_no_damage() {
        let full = || Err::<(), _>(io::Error::from_raw_os_error(28).into());
        let told = guarded(Path::new("/state/mirror"), full).unwrap_err();
        assert!(matches!(told, OutboxError::Unavailable { .. }));
        assert!(told.to_string().contains("/state/mirror: No space left on device"), "{told}");
    }
}
