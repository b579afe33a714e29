//! What stands, on disk.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Mutex,
};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use super::Entry;
use crate::{file, query::net};

const FORMAT: u32 = 1;
/// The largest file that is read: a million decisions.
const MOST_BYTES: u64 = 128 << 20;
/// Between two writes.
const PAUSE: Duration = Duration::seconds(30);

/// Keeps what stands.
#[derive(Debug)]
pub(super) struct Keeper {
    path: PathBuf,
    /// The change that was kept last, and when. Who finds it locked leaves the work to the one who writes.
    last: Mutex<(u64, Option<OffsetDateTime>)>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    format: u32,
    change: u64,
    standing: Vec<Row>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: u64,
    target: String,
    class: String,
    /// Nanoseconds since 1970.
    expires: Option<i64>,
}

impl Keeper {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), last: Mutex::default() }
    }

    /// The last change, and what stood. A file that makes no sense is as none: bouncers then hear everything anew.
    pub(super) fn read(&self) -> (u64, BTreeMap<IpNet, Entry>) {
        let kept = match read(&self.path) {
            Ok(kept) => kept,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Default::default(),
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "what bouncers heard cannot be read");
                return Default::default();
            }
        };
        (kept.change, kept.standing.into_iter().filter_map(Row::entry).collect())
    }

    pub(super) fn keep(&self, now: OffsetDateTime, standing: impl FnOnce() -> (u64, Vec<Entry>)) {
        let Ok(mut last) = self.last.try_lock() else { return };
        if last.1.is_some_and(|at| (now - at).abs() < PAUSE) {
            return;
        }
        let (change, standing) = standing();
        if change == last.0 {
            return;
        }
        *last = (change, Some(now));
        let standing = standing.iter().map(Row::of).collect();
        let kept = serde_json::to_vec(&Kept { format: FORMAT, change, standing }).map_err(io::Error::other);
        if let Err(error) = kept.and_then(|bytes| file::replace(&self.path, &bytes)) {
            tracing::warn!(path = %self.path.display(), %error, "what bouncers heard cannot be kept");
        }
    }
}

fn read(path: &Path) -> io::Result<Kept> {
    if fs::metadata(path)?.len() > MOST_BYTES {
        return Err(io::Error::other("it is too large"));
    }
    let kept: Kept = serde_json::from_slice(&fs::read(path)?)?;
    if kept.format == FORMAT { Ok(kept) } else { Err(io::Error::other("it is of another format")) }
}

impl Row {
    fn of(entry: &Entry) -> Self {
        let nanos = |time: OffsetDateTime| i64::try_from(time.unix_timestamp_nanos()).unwrap_or(i64::MAX);
        let Entry { id, target, class, expires, .. } = entry;
        Self { id: *id, target: target.to_string(), class: class.clone(), expires: expires.map(nanos) }
    }

    fn entry(self) -> Option<(IpNet, Entry)> {
        let Self { id, target, class, expires } = self;
        let target = net(&target)?;
        let expires = match expires {
            Some(nanos) => Some(OffsetDateTime::from_unix_timestamp_nanos(nanos.into()).ok()?),
            None => None,
        };
        Some((target, Entry { change: id, id, target, class, expires, ended: None, restored: true }))
    }
}
