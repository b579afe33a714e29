//! The last good list of each feed on disk, and which feeds a person added.

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use smartfw_core::{IpNet, Time};
use thiserror::Error;

use super::{ENTRIES, FeedSettings, LeftOut, List, Validators};

/// The largest file that is read: as many entries as may be, each with the longest prefix, fit into half of it.
const LARGEST: u64 = 32 << 20;

/// The form of the files.
const VERSION: u32 = 1;

/// A list as it was last good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The list.
    pub list: List,
    /// What its source said of it.
    pub marks: Validators,
    /// When its source last gave it, or said that it was still the same.
    pub at: Time,
}

/// A file of a feed cannot be used.
#[derive(Debug, Error)]
pub enum KeepError {
    /// The disk refuses.
    #[error("{path}: {source}")]
    Disk {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not what was written.
    #[error("{0}: it is damaged")]
    Damaged(PathBuf),
}

/// The folder that holds them.
#[derive(Clone, Debug)]
pub struct Shelf {
    folder: PathBuf,
}

/// The first line of a list's file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    version: u32,
    source: String,
    etag: Option<String>,
    modified: Option<String>,
    at: u64,
    unreadable: usize,
    special: usize,
    wide: usize,
    entries: usize,
}

/// A feed that a person added.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Added {
    name: String,
    source: String,
    format: String,
    every: u64,
    most_change: u8,
}

impl Shelf {
    /// The shelf in this folder, which is made at the first need.
    pub const fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The last good list of a feed; `None` when there is none, or one of another source.
    ///
    /// # Errors
    /// When the file cannot be read, or was damaged.
    pub fn read(&self, feed: &FeedSettings) -> Result<Option<Kept>, KeepError> {
        let path = self.list(&feed.name);
        let Some(text) = self.text(&path)? else { return Ok(None) };
        let mut lines = text.lines();
        let head: Option<Head> = lines.next().and_then(|line| serde_json::from_str(line).ok());
        let head = head.filter(|head| head.version == VERSION);
        let head = head.ok_or_else(|| KeepError::Damaged(path.clone()))?;
        if head.source != feed.source.in_full() {
            return Ok(None);
        }
        let nets: Option<BTreeSet<IpNet>> = lines.take(ENTRIES + 1).map(|line| line.parse().ok()).collect();
        let nets = nets.filter(|nets| nets.len() == head.entries && nets.len() <= ENTRIES);
        let nets = nets.ok_or(KeepError::Damaged(path))?;
        let left_out = LeftOut { unreadable: head.unreadable, special: head.special, wide: head.wide };
        let marks = Validators { etag: head.etag, modified: head.modified };
        Ok(Some(Kept { list: List { nets, left_out }, marks, at: Time::from_nanos(head.at) }))
    }

    /// Keeps a list, whole or not at all.
    ///
    /// # Errors
    /// When the disk refuses; what was kept before is untouched.
    pub fn write(&self, feed: &FeedSettings, kept: &Kept) -> Result<(), KeepError> {
        let LeftOut { unreadable, special, wide } = kept.list.left_out;
        let head = Head {
            version: VERSION,
            source: feed.source.in_full(),
            etag: kept.marks.etag.clone(),
            modified: kept.marks.modified.clone(),
            at: kept.at.as_nanos(),
            unreadable,
            special,
            wide,
            entries: kept.list.nets.len(),
        };
        // Plain data: there is nothing that could not be written.
        let mut text = serde_json::to_string(&head).unwrap_or_default();
        kept.list.nets.iter().for_each(|net| text += &format!("\n{net}"));
        self.replace(&self.list(&feed.name), text.as_bytes())
    }

    /// Forgets the list of a feed.
    pub fn remove(&self, name: &str) {
        // What stays is read by nobody.
        let _ = fs::remove_file(self.list(name));
    }

    /// The feeds that a person added; those that this version cannot follow are left out.
    ///
    /// # Errors
    /// When the file cannot be read, or was damaged.
    pub fn added(&self) -> Result<Vec<FeedSettings>, KeepError> {
        let path = self.folder.join("added.json");
        let Some(text) = self.text(&path)? else { return Ok(Vec::new()) };
        let added: Vec<Added> = serde_json::from_str(&text).map_err(|_| KeepError::Damaged(path))?;
        let usable = |Added { name, source, format, every, most_change }: Added| {
            FeedSettings::new(&name, &source, &format, Duration::from_secs(every), most_change).ok()
        };
        Ok(added.into_iter().filter_map(usable).collect())
    }

    /// Keeps which feeds a person added, whole or not at all.
    ///
    /// # Errors
    /// When the disk refuses; what was kept before is untouched.
    pub fn write_added<'a>(&self, feeds: impl Iterator<Item = &'a FeedSettings>) -> Result<(), KeepError> {
        let added = |feed: &FeedSettings| Added {
            name: feed.name.clone(),
            source: feed.source.in_full(),
            format: feed.format.to_string(),
            every: feed.every.as_secs(),
            most_change: feed.most_change,
        };
        let added: Vec<Added> = feeds.map(added).collect();
        let text = serde_json::to_string(&added).unwrap_or_default();
        self.replace(&self.folder.join("added.json"), text.as_bytes())
    }

    fn list(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.list"))
    }

    fn text(&self, path: &Path) -> Result<Option<String>, KeepError> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(disk(path))?,
        };
        let mut bytes = Vec::new();
        file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(disk(path))?;
        let text = String::from_utf8(bytes).ok().filter(|text| text.len() as u64 <= LARGEST);
        text.map(Some).ok_or_else(|| KeepError::Damaged(path.to_owned()))
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> Result<(), KeepError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
        let passing = path.with_extension("new");
        let written = made
            .and_then(|()| write_new(&passing, bytes))
            .and_then(|()| fs::rename(&passing, path))
            .and_then(|()| File::open(&self.folder)?.sync_all());
        if written.is_err() {
            let _ = fs::remove_file(&passing);
        }
        written.map_err(disk(path))
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn disk(path: &Path) -> impl FnOnce(io::Error) -> KeepError {
    let path = path.to_owned();
    move |source| KeepError::Disk { path, source }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn feed(source: &str) -> FeedSettings {
        FeedSettings::new("drop", source, "csv:ip", Duration::from_secs(3600), 40).unwrap()
    }

    fn kept() -> Kept {
        let nets = ["192.0.2.0/24", "2001:db8::1/128"].map(|text| text.parse().unwrap()).into();
        let left_out = LeftOut { unreadable: 1, special: 2, wide: 3 };
        let marks = Validators { etag: Some("\"x\ny\"".into()), modified: None };
        Kept { list: List { nets, left_out }, marks, at: Time::from_secs(1_800_000_000) }
    }

    #[test]
    fn a_list_comes_back_as_it_was_kept_and_only_for_its_source() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(folder.path().join("feeds"));
        let feed_of = feed("https://example.org/x?key=1");
        assert_eq!(shelf.read(&feed_of).unwrap(), None);
        shelf.write(&feed_of, &kept()).unwrap();
        assert_eq!(shelf.read(&feed_of).unwrap(), Some(kept()));
        assert_eq!(shelf.read(&feed("https://example.org/y")).unwrap(), None);
        shelf.remove("drop");
        assert_eq!(shelf.read(&feed_of).unwrap(), None);
    }

    #[test]
    fn added_feeds_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(folder.path().to_owned());
        assert!(shelf.added().unwrap().is_empty());
        let feeds = [feed("https://example.org/x?key=1"), feed("file:///x")];
        shelf.write_added(feeds.iter()).unwrap();
        assert_eq!(shelf.added().unwrap(), feeds);
    }

    #[test]
    fn a_list_that_was_cut_is_damaged_and_not_half_a_list() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(folder.path().to_owned());
        let feed = feed("file:///x");
        shelf.write(&feed, &kept()).unwrap();
        let path = folder.path().join("drop.list");
        let text = fs::read_to_string(&path).unwrap();
        for cut in [0, 10, text.len() - 1, text.rfind('\n').unwrap()] {
            fs::write(&path, &text[..cut]).unwrap();
            let read = shelf.read(&feed);
            // The last digit of a length may go unnoticed by the count, and never a line.
            assert!(cut + 1 == text.len() || matches!(read, Err(KeepError::Damaged(_))), "{cut}: {read:?}");
        }
        fs::write(&path, [0xff; 9]).unwrap();
        assert!(matches!(shelf.read(&feed), Err(KeepError::Damaged(_))));
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(matches!(shelf.read(&feed), Err(KeepError::Disk { .. })));
        assert!(shelf.write(&feed, &kept()).is_err());
    }

    proptest! {
        #[test]
        fn no_file_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let folder = tempfile::tempdir().unwrap();
            let shelf = Shelf::new(folder.path().to_owned());
            fs::write(folder.path().join("drop.list"), &bytes).unwrap();
            fs::write(folder.path().join("added.json"), &bytes).unwrap();
            let _ = shelf.read(&feed("file:///x"));
            let _ = shelf.added();
        }
    }
}
