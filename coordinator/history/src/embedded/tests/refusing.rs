//! A disk that is full, or refuses to flush.

use std::os::unix::fs::symlink;

use super::*;

#[test]
fn nothing_is_acknowledged_that_the_disk_did_not_flush() {
    let folder = filled(10);
    let history = open(&folder).unwrap();
    // It takes everything that is written, and refuses to flush.
    history.engine.writer().journal.write_to("/dev/null");
    assert_disk(try_append(&history, 10..20));
    assert_eq!(history.engine.last(&NodeId([1; 32])).unwrap().sequence, 9);
    assert_eq!(rows(&history).len(), 10);
}

#[test]
fn after_a_write_that_failed_appending_goes_on_without_a_restart() {
    let folder = filled(10);
    let history = open(&folder).unwrap();
    for device in ["/dev/full", "/dev/null"] {
        let from = rows(&history).len() as u64;
        history.engine.writer().journal.write_to(device);
        assert_disk(try_append(&history, from..from + 10));
        append(&history, from..from + 10);
    }
    assert_eq!(rows(&open_again(history, &folder)).len(), 30);
}

#[test]
fn while_the_disk_is_full_appends_are_refused_and_what_was_acknowledged_stays() {
    let folder = filled(10);
    let history = open(&folder).unwrap();
    history.engine.writer().journal.write_to("/dev/full");
    let next = fill(&folder, 1);
    for _ in 0..3 {
        assert_disk(try_append(&history, 10..20));
        assert_eq!(rows(&history).len(), 10);
    }
    fs::remove_file(next).unwrap();
    append(&history, 10..20);
    assert_eq!(rows(&open_again(history, &folder)).len(), 20);
}

#[test]
fn on_a_full_disk_what_is_old_is_deleted_all_the_same() {
    let folder = filled(FEW as u64);
    let history = open(&folder).unwrap();
    append(&history, 1_000..1_000 + FEW as u64);
    assert_eq!(segments(&folder).len(), 1);
    // The next segment cannot be written, nor anything to the journal.
    let next = fill(&folder, 1);
    history.engine.writer().journal.write_to("/dev/full");
    assert_disk(history.engine.retain(NOW, Duration::from_secs(9_500), u64::MAX));
    assert!(segments(&folder).is_empty());
    fs::remove_file(next).unwrap();
    history.engine.retain(NOW, Duration::from_secs(9_500), u64::MAX).unwrap();
    append(&history, 2_000..2_010);
    assert_eq!(rows(&open_again(history, &folder)).len(), FEW + 10);
}

#[test]
fn after_a_segment_whose_journal_could_not_be_followed_by_another_nothing_is_lost() {
    let folder = filled(FEW as u64);
    let history = open(&folder).unwrap();
    let next = fill(&folder, 1);
    assert_disk(try_append(&history, 1_000..1_010));
    assert_eq!(segments(&folder).len(), 1);
    fs::remove_file(next).unwrap();
    append(&history, 1_000..1_010);
    assert_eq!(rows(&open_again(history, &folder)).len(), FEW + 10);
}

/// Has the file with this number be written to a disk that is full.
fn fill(folder: &TempDir, number: u64) -> PathBuf {
    let path = files::path(folder.path(), number, "unfinished");
    symlink("/dev/full", &path).unwrap();
    path
}

fn assert_disk<T: std::fmt::Debug>(result: Result<T, HistoryError>) {
    assert!(matches!(&result, Err(HistoryError::Disk { .. })), "{result:?}");
}
