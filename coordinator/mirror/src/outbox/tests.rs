use std::fs;

use serde_json::json;

use super::*;
use crate::item::ItemId;

#[test]
fn items_come_out_in_the_order_in_which_they_went_in_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = open(folder.path(), Limits::default());
    outbox.push(&items(0..3)).unwrap();
    drop(outbox);
    let outbox = open(folder.path(), Limits::default());
    outbox.push(&items(3..5)).unwrap();
    assert_eq!(waiting(&outbox), sequences(0..5));
    let two = outbox.oldest(2, u64::MAX).unwrap();
    outbox.delivered(&two).unwrap();
    drop(outbox);
    let outbox = open(folder.path(), Limits::default());
    assert_eq!(waiting(&outbox), sequences(2..5));
    assert_eq!(outbox.counts().waiting, 3);
    assert_eq!(outbox.counts().bytes, items(2..5).iter().map(Item::size).sum::<u64>());
}

#[test]
fn a_full_outbox_drops_the_oldest_and_counts_them() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = open(folder.path(), Limits { items: 10, bytes: u64::MAX });
    outbox.push(&items(0..25)).unwrap();
    assert_eq!(waiting(&outbox), sequences(15..25));
    assert_eq!((outbox.counts().waiting, outbox.counts().dropped), (10, 15));
}

#[test]
fn bytes_are_bounded_too_and_a_smaller_limit_counts_from_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let size = items(0..1)[0].size();
    let outbox = open(folder.path(), Limits { items: 1000, bytes: 5 * size + 1 });
    outbox.push(&items(0..8)).unwrap();
    assert_eq!(waiting(&outbox), sequences(3..8));
    assert_eq!(outbox.counts().bytes, 5 * size);
    drop(outbox);
    let outbox = open(folder.path(), Limits { items: 2, bytes: u64::MAX });
    assert_eq!(waiting(&outbox), sequences(6..8));
    assert_eq!(outbox.counts().dropped, 3);
}

#[test]
fn a_store_that_failed_is_opened_again_after_a_while_with_all_that_was_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = open(folder.path(), Limits::default());
    outbox.push(&items(0..3)).unwrap();
    let why = OutboxError::Unavailable { path: folder.path().into(), why: "no room".into() };
    fail(&outbox, Duration::ZERO, why.clone());
    assert!(outbox.push(&items(3..4)).unwrap_err().to_string().contains("no room"));
    assert!(outbox.oldest(1, u64::MAX).is_err());
    fail(&outbox, AGAIN, why);
    outbox.push(&items(3..5)).unwrap();
    assert_eq!((waiting(&outbox), outbox.counts().waiting), (sequences(0..5), 5));
}

#[test]
fn a_store_that_is_found_damaged_twice_is_set_aside_and_an_empty_one_begun() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("outbox");
    let outbox = open(&folder, Limits::default());
    outbox.push(&items(0..3)).unwrap();
    fail(&outbox, AGAIN, OutboxError::Unavailable { path: folder.clone(), why: "no room".into() });
    fs::rename(&folder, dir.path().join("gone")).unwrap();
    fs::write(&folder, b"this is no folder").unwrap();
    let refused = |outbox: &Outbox| matches!(outbox.push(&items(3..4)), Err(OutboxError::Damaged { .. }));
    assert!(refused(&outbox) && refused(&outbox), "it may have been no more than the disk's mood");
    assert_eq!(fs::read(&folder).unwrap(), b"this is no folder");
    age(&outbox);
    outbox.push(&items(4..6)).unwrap();
    assert_eq!((waiting(&outbox), outbox.counts().waiting), (sequences(4..6), 2));
    assert_eq!(outbox.counts().dropped, 3, "what waited is lost to the mirror");
    assert_eq!(fs::read(dir.path().join("outbox.damaged")).unwrap(), b"this is no folder");
}

#[test]
fn a_store_that_opens_and_whose_row_makes_no_sense_is_set_aside_the_second_time() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("outbox");
    let outbox = open(&folder, Limits::default());
    outbox.push(&items(0..3)).unwrap();
    outbox.work(|store| store.waiting.insert(1_u64.to_be_bytes(), b"no path")).unwrap();
    let refused = |outbox: &Outbox| matches!(outbox.oldest(1, u64::MAX), Err(OutboxError::Damaged { .. }));
    assert!(refused(&outbox));
    age(&outbox);
    outbox.push(&items(3..4)).unwrap();
    assert!(refused(&outbox), "it was opened again, and holds what it held");
    age(&outbox);
    outbox.push(&items(4..6)).unwrap();
    assert_eq!((waiting(&outbox), outbox.counts().waiting), (sequences(4..6), 2));
    assert_eq!(outbox.counts().dropped, 4);
    assert!(dir.path().join("outbox.damaged").is_dir());
}

#[test]
fn damage_that_comes_once_in_a_while_is_the_disk_s_mood() {
    let (mut inner, now) = (Inner::default(), Instant::now());
    assert!(!inner.stays_damaged(now));
    assert!(!inner.stays_damaged(now + STAYS));
    assert!(inner.stays_damaged(now + STAYS + AGAIN));
}

#[test]
fn a_batch_is_bounded_by_count_and_bytes_but_never_empty() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = open(folder.path(), Limits::default());
    outbox.push(&items(0..9)).unwrap();
    let size = items(0..1)[0].size();
    assert_eq!(outbox.oldest(4, u64::MAX).unwrap().len(), 4);
    assert_eq!(outbox.oldest(100, 3 * size).unwrap().len(), 3);
    assert_eq!(outbox.oldest(100, 1).unwrap().len(), 1);
}

#[test]
fn what_was_dropped_on_its_way_and_arrived_does_not_count_as_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = open(folder.path(), Limits { items: 3, bytes: u64::MAX });
    outbox.push(&items(0..3)).unwrap();
    let on_their_way = outbox.oldest(2, u64::MAX).unwrap();
    outbox.push(&items(3..5)).unwrap();
    assert_eq!(outbox.counts().dropped, 2);
    outbox.delivered(&on_their_way).unwrap();
    assert_eq!((outbox.counts().dropped, outbox.counts().waiting), (0, 3));
}

#[test]
fn what_was_set_aside_is_kept_with_its_reason_and_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = open(folder.path(), Limits::default());
    let some = ASIDE_ITEMS + 5;
    outbox.push(&items(0..some)).unwrap();
    for number in outbox.oldest(usize::MAX, u64::MAX).unwrap() {
        outbox.put_aside(&number, "no such thing").unwrap();
    }
    assert_eq!((outbox.counts().waiting, outbox.counts().aside), (0, ASIDE_ITEMS));
    drop(outbox);
    let outbox = open(folder.path(), Limits::default());
    let aside = outbox.set_aside().unwrap();
    assert_eq!((aside.len() as u64, outbox.counts().aside), (ASIDE_ITEMS, ASIDE_ITEMS));
    assert_eq!(aside[0], (items(5..6)[0].clone(), "no such thing".to_owned()));
}

#[test]
fn what_is_set_aside_twice_counts_once_and_bytes_are_those_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = open(folder.path(), Limits::default());
    outbox.push(&items(0..3)).unwrap();
    let all = outbox.oldest(3, u64::MAX).unwrap();
    for (number, why) in [(&all[0], "short"), (&all[0], "somewhat longer"), (&all[1], "x"), (&all[0], "")] {
        outbox.put_aside(number, why).unwrap();
        let there = (outbox.counts().aside, outbox.lock().aside_bytes);
        assert_eq!(there, outbox.work(|store| count(&store.aside)).unwrap(), "{why}");
    }
    assert_eq!((outbox.counts().aside, outbox.counts().waiting), (2, 1));
}

#[test]
fn a_damaged_outbox_is_set_aside_and_an_empty_one_begun() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("outbox");
    for _ in 0..2 {
        fs::write(&folder, b"this is no folder").unwrap();
        let opened = Outbox::open(&folder, Limits::default()).unwrap();
        let (aside, _why) = opened.set_aside.unwrap();
        assert_eq!(fs::read(aside).unwrap(), b"this is no folder");
        opened.outbox.push(&items(0..1)).unwrap();
        drop(opened.outbox);
        assert_eq!(waiting(&open(&folder, Limits::default())), sequences(0..1));
        fs::remove_dir_all(&folder).unwrap();
    }
}

/// The store failed so long ago.
fn fail(outbox: &Outbox, ago: Duration, why: OutboxError) {
    *outbox.place.lock().unwrap() = Place::Failed(Instant::now().checked_sub(ago).unwrap(), why);
}

/// The time passes after which a store that failed is opened again.
fn age(outbox: &Outbox) {
    if let Place::Failed(since, _) = &mut *outbox.place.lock().unwrap() {
        *since = since.checked_sub(AGAIN).unwrap();
    }
}

fn open(folder: &Path, limits: Limits) -> Outbox {
    let opened = Outbox::open(folder, limits).unwrap();
    assert_eq!(opened.set_aside, None);
    opened.outbox
}

fn items(sequences: std::ops::Range<u64>) -> Vec<Item> {
    let id = |sequence| ItemId { millis: 1, epoch: 1, sequence, node: "web-1".into() };
    sequences.map(|sequence| Item::event(&id(sequence), json!({"n": 1})).unwrap()).collect()
}

fn sequences(numbers: std::ops::Range<u64>) -> Vec<String> {
    items(numbers).iter().map(|item| item.path().to_owned()).collect()
}

fn waiting(outbox: &Outbox) -> Vec<String> {
    outbox.oldest(usize::MAX, u64::MAX).unwrap().into_iter().map(|(_, item)| item.path().to_owned()).collect()
}
