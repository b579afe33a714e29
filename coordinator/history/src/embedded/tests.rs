//! What happens to the files: crashes at every point, and damage.

use std::{
    fs,
    io::{Seek as _, SeekFrom, Write as _},
    path::PathBuf,
};

use smartfw_core::{Class, Time, fleet::NodeId};
use tempfile::TempDir;

use super::*;
use crate::{EventKind, Placed};

const NOW: Time = Time::from_secs(1_800_000_000);

/// Events of a segment in these tests.
const FEW: usize = 50;

#[test]
fn a_segment_that_a_crash_left_unfinished_is_written_again() {
    let folder = filled(FEW as u64);
    let before = rows(&open(&folder).unwrap());
    fs::write(folder.path().join("0000000000.unfinished"), b"the beginning of").unwrap();
    let history = open(&folder).unwrap();
    assert_eq!(rows(&history), before);
    assert!(!folder.path().join("0000000000.unfinished").exists());
    append(&history, 1_000..1_010);
    assert_eq!(segments(&folder).len(), 1);
    assert_eq!(rows(&history).len(), before.len() + 10);
}

#[test]
fn rows_that_a_crash_left_in_journal_and_segment_are_there_once() {
    let folder = filled(FEW as u64);
    let journal = folder.path().join("journal");
    let aside = folder.path().join("aside");
    copy(&journal, &aside);
    append(&open(&folder).unwrap(), 1_000..1_001);
    assert_eq!(segments(&folder).len(), 1);
    fs::remove_dir_all(&journal).unwrap();
    fs::rename(aside, journal).unwrap();
    // The segment is there, and the journal is as it was before it.
    let history = open(&folder).unwrap();
    assert_eq!(rows(&history).len(), FEW);
}

#[test]
fn a_journal_cut_off_anywhere_is_repaired_and_goes_on() {
    for cut in [1, 7, 100, 5_000, 40_000] {
        let folder = filled(30);
        append(&open(&folder).unwrap(), 30..40);
        let path = folder.path().join("journal/db");
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(file.metadata().unwrap().len().saturating_sub(cut)).unwrap();
        let history = open(&folder).unwrap();
        let left = rows(&history).len();
        assert!([0, 30, 40].contains(&left), "whole appends are left, not {left} events");
        append(&history, 100..110);
        assert_eq!(rows(&open_again(history, &folder)).len(), left + 10);
    }
}

#[test]
fn an_append_that_failed_and_was_written_all_the_same_is_there_once() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("journal");
    let rows_at =
        |place| (0..20).map(|sequence| Placed { place, event: event(sequence) }).collect::<Vec<_>>();
    let (mut journal, _) = journal::Journal::open(&path, 0).unwrap();
    journal.write(&rows_at(Time::from_secs(1))).unwrap();
    journal.write(&rows_at(Time::from_secs(2))).unwrap();
    drop(journal);
    assert_eq!(rows(&open(&folder).unwrap()).len(), 20);
}

#[test]
fn without_its_journal_the_history_knows_what_its_segments_know() {
    let folder = filled(FEW as u64 + 10);
    append(&open(&folder).unwrap(), 1_000..1_001);
    fs::remove_dir_all(folder.path().join("journal")).unwrap();
    let history = open(&folder).unwrap();
    let known = rows(&history).len();
    assert!(known >= FEW, "{known}");
    append(&history, 0..10);
    assert_eq!(rows(&history).len(), known, "what is in a segment is known");
    append(&history, 2_000..2_010);
    assert_eq!(rows(&open_again(history, &folder)).len(), known + 10);
}

#[test]
fn no_damage_to_a_segment_goes_unnoticed_or_panics() {
    let folder = filled(FEW as u64);
    append(&open(&folder).unwrap(), 1_000..1_001);
    let path = segments(&folder).pop().unwrap();
    let (whole, before) = (fs::read(&path).unwrap(), rows(&open(&folder).unwrap()));
    for at in (0..whole.len()).step_by(7).chain(whole.len() - 60..whole.len()) {
        let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.seek(SeekFrom::Start(at as u64)).unwrap();
        file.write_all(&[!whole[at]]).unwrap();
        assert_damaged(&folder, &path);
        fs::write(&path, &whole).unwrap();
    }
    for length in (0..whole.len()).step_by(97) {
        fs::write(&path, &whole[..length]).unwrap();
        assert_damaged(&folder, &path);
    }
    fs::write(&path, &whole).unwrap();
    assert_eq!(rows(&open(&folder).unwrap()), before);
}

#[test]
fn the_second_to_open_a_folder_is_refused() {
    let folder = TempDir::new().unwrap();
    let first = Embedded::open(folder.path()).unwrap();
    let second = Embedded::open(folder.path());
    assert!(matches!(second, Err(HistoryError::Taken { .. })), "{second:?}");
    drop(first);
    Embedded::open(folder.path()).unwrap();
}

#[test]
fn a_few_events_become_a_segment_after_a_day_and_go_with_age() {
    let folder = filled(3);
    let history = open(&folder).unwrap();
    append(&history, 10..11);
    let day = Duration::from_secs(86_400);
    history.engine.retain(NOW.after(day), 3 * day, u64::MAX).unwrap();
    assert_eq!((segments(&folder).len(), rows(&history).len()), (1, 4));
    history.engine.retain(NOW.after(4 * day), 3 * day, u64::MAX).unwrap();
    assert_eq!((segments(&folder).len(), rows(&history).len()), (0, 0));
}

#[test]
fn large_events_become_a_segment_before_they_are_many() {
    let folder = TempDir::new().unwrap();
    let history = Embedded::open(folder.path()).unwrap();
    let body = format!(r#"{{"k":"{}"}}"#, "x".repeat(crate::MOST_BODY - 8));
    let large = |sequence| Event { body: body.clone(), ..event(sequence) };
    for part in 0..3 {
        let events = (part * 1_024..part * 1_024 + 1_024).map(large).collect();
        history.engine.append(NOW, sorted(events).unwrap()).unwrap();
    }
    assert_eq!(segments(&folder).len(), 2);
}

#[test]
fn a_question_that_would_read_too_much_goes_on_with_the_next_page() {
    let folder = TempDir::new().unwrap();
    let history = Embedded::open_in_segments_of(folder.path(), 1).unwrap();
    let count = 2_200;
    (0..count).for_each(|sequence| append(&history, sequence..sequence + 1));
    let mut query =
        Query { kind: Some(EventKind::Alert), text: Some("first".to_owned()), ..Query::default() };
    let page = history.engine.query(&query).unwrap();
    assert!(page.events.is_empty() && page.next.is_some(), "{page:?}");
    query.cursor = page.next;
    let page = history.engine.query(&query).unwrap();
    assert_eq!((page.events.len(), page.next), (1, None));
}

fn assert_damaged(folder: &TempDir, path: &Path) {
    let questions = [
        Query::default(),
        Query { class: Some(Class::PortScan), ..Query::default() },
        Query { limit: 1, ..Query::default() },
    ];
    let history = match open(folder) {
        Ok(history) => history,
        Err(error) => return assert_tells(&error, path),
    };
    let errors: Vec<_> = questions.iter().filter_map(|query| history.engine.query(query).err()).collect();
    assert!(!errors.is_empty(), "the damage is noticed");
    errors.iter().for_each(|error| assert_tells(error, path));
}

fn assert_tells(error: &HistoryError, path: &Path) {
    assert!(matches!(error, HistoryError::Damaged { path: named, .. } if named == path), "{error}");
    assert!(error.to_string().contains("move it away"), "{error}");
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
    history.engine.append(NOW, sorted(sequences.map(event).collect()).unwrap()).unwrap();
}

fn rows(history: &Embedded) -> Vec<Placed> {
    history.engine.query(&Query { limit: crate::MOST_ROWS, ..Query::default() }).unwrap().events
}

fn segments(folder: &TempDir) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|ending| ending == "segment")).collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => fs::copy(entry.path(), to.join(entry.file_name())).map(drop).unwrap(),
        }
    }
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
