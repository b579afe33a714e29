//! What happens to the files.

mod damage;
mod limits;
mod refusing;

use std::{fs, path::PathBuf};

use smartfw_core::{Class, Time, fleet::NodeId};
use tempfile::TempDir;

use super::*;
use crate::{EventKind, Placed};

const NOW: Time = Time::from_secs(1_800_000_000);

const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// Events of a segment in these tests.
const FEW: usize = 50;

#[test]
fn the_second_to_open_a_folder_is_refused() {
    let folder = TempDir::new().unwrap();
    let first = Embedded::open(folder.path()).unwrap();
    let second = Embedded::open(folder.path());
    assert!(matches!(second, Err(HistoryError::Taken { .. })), "{second:?}");
    drop(first);
    Embedded::open(folder.path()).unwrap();
}

fn filled(count: u64) -> TempDir {
    let folder = TempDir::new().unwrap();
    append(&open(&folder).unwrap(), 0..count);
    folder
}

fn open(folder: &TempDir) -> Result<Embedded, HistoryError> {
    Embedded::open_in_segments_of(folder.path(), FEW)
}

fn open_again(history: Embedded, folder: &TempDir) -> Embedded {
    drop(history);
    open(folder).unwrap()
}

fn append(history: &Embedded, sequences: std::ops::Range<u64>) {
    try_append(history, sequences).unwrap();
}

fn try_append(history: &Embedded, sequences: std::ops::Range<u64>) -> Result<Appended, HistoryError> {
    history.engine.append(NOW, sorted(sequences.map(event).collect()).unwrap())
}

/// Appends events of another node.
fn append_of(history: &Embedded, number: u8, sequences: std::ops::Range<u64>) {
    let of = |sequence| Event { id: NodeId([number; 32]), ..event(sequence) };
    history.engine.append(NOW, sorted(sequences.map(of).collect()).unwrap()).unwrap();
}

fn rows(history: &Embedded) -> Vec<Placed> {
    history.engine.query(&Query { limit: crate::MOST_ROWS, ..Query::default() }).unwrap().events
}

fn segments(folder: &TempDir) -> Vec<PathBuf> {
    with_ending(folder, "segment")
}

/// The only journal.
fn journal(folder: &TempDir) -> PathBuf {
    let mut paths = with_ending(folder, "journal");
    assert_eq!(paths.len(), 1, "{paths:?}");
    paths.remove(0)
}

fn with_ending(folder: &TempDir, wanted: &str) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|ending| ending == wanted)).collect()
}

/// How many frames a journal has.
fn frames(path: &Path) -> usize {
    fs::read(path).unwrap().windows(4).filter(|window| *window == b"\xf5SF\xff").count()
}

fn event(sequence: u64) -> Event {
    Event {
        node: "web-1".to_owned(),
        id: NodeId([1; 32]),
        epoch: 1,
        sequence,
        time: Time::from_secs(NOW.as_secs() - 10_000 + sequence),
        kind: EventKind::Alert,
        address: Some("203.0.113.7/32".parse().unwrap()),
        class: Some(Class::PortScan),
        body: format!(r#"{{"n":{sequence},"{}":1}}"#, if sequence == 0 { "first" } else { "other" }),
    }
}
