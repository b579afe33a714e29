//! Crashes at every point, and damage.

use std::io::{Seek as _, SeekFrom, Write as _};

use super::*;

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
    let before = journal(&folder);
    let bytes = fs::read(&before).unwrap();
    append(&open(&folder).unwrap(), 1_000..1_001);
    assert_eq!(segments(&folder).len(), 1);
    // The segment is there, and the journal is the one before it.
    fs::remove_file(journal(&folder)).unwrap();
    fs::write(&before, bytes).unwrap();
    let history = open(&folder).unwrap();
    assert_eq!(rows(&history).len(), FEW);
    assert_ne!(journal(&folder), before);
}

#[test]
fn a_journal_that_was_set_back_doubles_nothing() {
    for kept in [10, FEW as u64] {
        let folder = filled(kept);
        let (before, earlier) = (journal(&folder), fs::read(journal(&folder)).unwrap());
        append(&open(&folder).unwrap(), kept..FEW as u64 + 20);
        append(&open(&folder).unwrap(), 1_000..1_001);
        assert_eq!(segments(&folder).len(), 1);
        fs::remove_file(journal(&folder)).unwrap();
        fs::write(before, earlier).unwrap();
        let history = open(&folder).unwrap();
        append(&history, 0..FEW as u64 + 20);
        let sequences: Vec<u64> = rows(&history).iter().rev().map(|row| row.event.sequence).collect();
        assert_eq!(sequences, (0..FEW as u64 + 20).collect::<Vec<_>>());
    }
}

#[test]
fn a_journal_cut_off_anywhere_in_its_last_frame_loses_that_and_nothing_else() {
    let folder = filled(30);
    let path = journal(&folder);
    let whole = fs::metadata(&path).unwrap().len() as usize;
    append(&open(&folder).unwrap(), 30..32);
    let bytes = fs::read(&path).unwrap();
    for length in whole..bytes.len() {
        fs::write(&path, &bytes[..length]).unwrap();
        let history = open(&folder).unwrap();
        assert_eq!(rows(&history).len(), 30);
        append(&history, 30..33);
        assert_eq!(rows(&open_again(history, &folder)).len(), 33);
    }
}

#[test]
fn what_a_power_cut_leaves_of_a_frame_is_cut_off() {
    let folder = filled(30);
    let path = journal(&folder);
    let whole = fs::read(&path).unwrap();
    append(&open(&folder).unwrap(), 30..40);
    let longer = fs::read(&path).unwrap();
    let frame = &longer[whole.len()..];
    let half = [&frame[..frame.len() / 2], &vec![0; frame.len() / 2]].concat();
    for left in [vec![0; 5_000], half, b"\xf5SF\xff".repeat(100), frame[4..].to_vec()] {
        fs::write(&path, [whole.as_slice(), &left].concat()).unwrap();
        let history = open(&folder).unwrap();
        assert_eq!(rows(&history).len(), 30);
        assert_eq!(fs::read(&path).unwrap(), whole);
    }
}

#[test]
fn no_damage_to_a_journal_before_its_last_frame_goes_unnoticed_or_panics() {
    let folder = filled(5);
    let path = journal(&folder);
    append(&open(&folder).unwrap(), 5..10);
    let last = fs::metadata(&path).unwrap().len() as usize;
    append(&open(&folder).unwrap(), 10..15);
    let whole = fs::read(&path).unwrap();
    for at in 0..last {
        let mut bytes = whole.clone();
        bytes[at] = !bytes[at];
        fs::write(&path, bytes).unwrap();
        assert_tells(&open(&folder).unwrap_err(), &path);
    }
    fs::write(&path, &whole).unwrap();
    assert_eq!(rows(&open(&folder).unwrap()).len(), 15);
}

#[test]
fn a_journal_without_its_beginning_is_damaged() {
    let folder = filled(5);
    let path = journal(&folder);
    let whole = fs::read(&path).unwrap();
    for length in 0..20 {
        fs::write(&path, &whole[..length]).unwrap();
        assert_tells(&open(&folder).unwrap_err(), &path);
    }
}

#[test]
fn a_journal_that_is_too_long_is_not_read() {
    let folder = filled(5);
    let path = journal(&folder);
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
    assert_tells(&open(&folder).unwrap_err(), &path);
}

#[test]
fn an_append_that_failed_and_was_written_all_the_same_is_there_once() {
    let folder = filled(0);
    let rows_at =
        |place| (0..20).map(|sequence| Placed { place, event: event(sequence) }).collect::<Vec<_>>();
    let history = open(&folder).unwrap();
    history.engine.writer().journal.write(&rows_at(Time::from_secs(1))).unwrap();
    history.engine.writer().journal.write(&rows_at(Time::from_secs(2))).unwrap();
    assert_eq!(rows(&open_again(history, &folder)).len(), 20);
}

#[test]
fn without_its_journal_the_history_knows_what_its_segments_know() {
    let folder = filled(FEW as u64 + 10);
    append(&open(&folder).unwrap(), 1_000..1_001);
    fs::remove_file(journal(&folder)).unwrap();
    let history = open(&folder).unwrap();
    let known = rows(&history).len();
    assert_eq!(known, FEW + 10);
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
fn a_segment_of_another_version_is_not_called_damaged() {
    let folder = filled(FEW as u64);
    append(&open(&folder).unwrap(), 1_000..1_001);
    let path = segments(&folder).pop().unwrap();
    let whole = fs::read(&path).unwrap();
    for magic in ["SFWHIST1", "SFWHIST3"] {
        fs::write(&path, [&whole[..whole.len() - 8], magic.as_bytes()].concat()).unwrap();
        let error = open(&folder).unwrap_err();
        assert!(matches!(&error, HistoryError::OtherVersion { path: named } if *named == path), "{error}");
        assert!(error.to_string().contains("move it away"), "{error}");
    }
    fs::remove_file(&path).unwrap();
    assert_eq!(rows(&open(&folder).unwrap()).len(), 1);
}

#[test]
fn damage_is_told_when_its_turn_comes_and_not_before() {
    let folder = TempDir::new().unwrap();
    let history = Embedded::open_within(folder.path(), Limits { events: 1, ..Limits::default() }).unwrap();
    (0..9).for_each(|sequence| append(&history, sequence..sequence + 1));
    let mut paths = segments(&folder);
    paths.sort();
    let damaged = &paths[2];
    let half = fs::metadata(damaged).unwrap().len() as usize / 2;
    fs::OpenOptions::new().write(true).open(damaged).unwrap().write_all(&vec![0; half]).unwrap();
    let newest = |limit| Query { kind: Some(EventKind::Alert), limit, ..Query::default() };
    // The last two of these begin together with the damaged one.
    assert_eq!(history.engine.query(&newest(6)).unwrap().events.len(), 6);
    assert_tells(&history.engine.query(&newest(9)).unwrap_err(), damaged);
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
