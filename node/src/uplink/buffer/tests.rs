use proptest::prelude::*;
use smartfw_core::{EventKind, Time};

use super::*;

const SMALL: Bounds = Bounds { piece: 1000, pieces: 4 };
const NOW: u64 = 1_800_000_000_000;

fn event(body: &str) -> Event {
    let (kind, body) = (EventKind::Alert, body.to_owned());
    Event { sequence: 0, time: Time::from_secs(5), kind, address: None, class: None, body }
}

fn events(numbers: std::ops::Range<u64>) -> Vec<Event> {
    numbers.map(|n| event(&format!("{n:0100}"))).collect()
}

fn open(folder: &tempfile::TempDir) -> (Buffer, u64) {
    Buffer::open(&folder.path().join("uplink"), SMALL, NOW).unwrap()
}

/// Everything that can be read, by number, and the bodies as the numbers that they are.
fn all(buffer: &Buffer) -> Vec<(u64, u64)> {
    let (index, mut reader, mut all) = (buffer.index(), Reader::new(&buffer.folder), Vec::new());
    let mut from = 0;
    loop {
        let batch = reader.read(&index, from);
        if batch.events.is_empty() {
            return all;
        }
        from = batch.next;
        all.extend(batch.events.iter().map(|event| (event.sequence, event.body.parse().unwrap())));
    }
}

fn pairs(numbers: std::ops::RangeInclusive<u64>) -> Vec<(u64, u64)> {
    numbers.map(|n| (n, n)).collect()
}

fn last_file(buffer: &Buffer) -> PathBuf {
    path(&buffer.folder, buffer.epoch, buffer.spans.back().unwrap().first)
}

#[test]
fn what_was_appended_is_there_after_a_restart_and_the_numbers_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let (mut buffer, _) = open(&folder);
    assert_eq!((buffer.epoch, buffer.index().oldest()), (NOW, 1));
    assert_eq!(buffer.append(events(1..6)).dropped, 0);
    buffer.append(events(6..11));
    assert!(buffer.spans.len() > 1, "it lies in several pieces");
    drop(buffer);
    let (mut buffer, lost) = open(&folder);
    assert_eq!((lost, buffer.epoch, all(&buffer)), (0, NOW, pairs(1..=10)));
    buffer.append(events(11..12));
    assert_eq!(all(&buffer), pairs(1..=11));
}

#[test]
fn a_tail_that_a_crash_tore_is_cut_off_and_its_numbers_are_not_given_again() {
    let folder = tempfile::tempdir().unwrap();
    let (mut buffer, _) = open(&folder);
    buffer.append(events(1..4));
    let (file, whole) = (last_file(&buffer), fs::read(last_file(&buffer)).unwrap());
    for cut in [1, 50, whole.len() / 3 + 1] {
        drop(fs::write(&file, &whole[..whole.len() - cut]));
        let (mut buffer, lost) = open(&folder);
        let left = all(&buffer).len() as u64;
        assert_eq!((lost, all(&buffer)), (0, pairs(1..=left)));
        assert!(left < 3);
        buffer.append(events(9..10));
        let (number, body) = *all(&buffer).last().unwrap();
        assert!(number > 3 && body == 9, "{number}");
        // And it can be opened again.
        let (again, lost) = open(&folder);
        assert_eq!((lost, all(&again)), (0, all(&buffer)));
        for span in buffer.spans.iter().skip(1) {
            fs::remove_file(path(&buffer.folder, buffer.epoch, span.first)).unwrap();
        }
    }
}

#[test]
fn of_a_full_buffer_the_oldest_piece_goes_and_its_events_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (mut buffer, _) = open(&folder);
    let dropped: u64 = (1..=100).map(|n| buffer.append(events(n..n + 1)).dropped).sum();
    let left = all(&buffer);
    assert_eq!((left[0].0, *left.last().unwrap()), (dropped + 1, (100, 100)));
    assert_eq!(buffer.index().oldest(), dropped + 1);
    let on_disk: u64 =
        fs::read_dir(&buffer.folder).unwrap().map(|f| f.unwrap().metadata().unwrap().len()).sum();
    assert!(on_disk <= SMALL.piece * SMALL.pieces as u64, "{on_disk}");
}

#[test]
fn what_is_kept_goes_and_is_no_loss() {
    let folder = tempfile::tempdir().unwrap();
    let (mut buffer, _) = open(&folder);
    buffer.append(events(1..21));
    buffer.trim(15);
    let oldest = buffer.index().oldest();
    assert!(oldest > 1 && oldest <= 16, "{oldest}");
    assert_eq!(all(&buffer).last(), Some(&(20, 20)));
    buffer.trim(u64::MAX);
    assert_eq!((buffer.spans.len(), buffer.kept), (1, 20), "nobody keeps what was never made");
    let dropped: u64 = (21..=60).map(|n| buffer.append(events(n..n + 1)).dropped).sum();
    assert_eq!(dropped, all(&buffer)[0].0 - 21, "what was kept is not counted");
}

#[test]
fn what_has_to_go_and_was_told_only_the_mirror_misses() {
    let folder = tempfile::tempdir().unwrap();
    let (mut buffer, _) = open(&folder);
    buffer.append(events(1..11));
    buffer.trim(5);
    buffer.reached(10);
    let appended: Vec<_> = (11..=60).map(|n| buffer.append(events(n..n + 1))).collect();
    let missed: u64 = appended.iter().map(|appended| appended.missed).sum();
    let dropped: u64 = appended.iter().map(|appended| appended.dropped).sum();
    assert_eq!((missed, dropped), (5, all(&buffer)[0].0 - 11));
}

#[test]
fn damage_in_the_middle_costs_what_lies_behind_it_in_its_piece_and_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (mut buffer, _) = open(&folder);
    buffer.append(events(1..21));
    let second = buffer.spans[1];
    let file = path(&buffer.folder, buffer.epoch, second.first);
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(&file, bytes).unwrap();
    // Whoever reads meanwhile reads on behind it.
    let seen = all(&buffer);
    assert_eq!((seen[0], *seen.last().unwrap()), ((1, 1), (20, 20)));
    let (again, lost) = open(&folder);
    assert_eq!(lost, 20 - seen.len() as u64);
    assert!(lost > 0 && lost < second.len());
    assert_eq!(all(&again), seen);
}

#[test]
fn a_new_buffer_has_a_later_life_than_any_before() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("uplink");
    let (mut buffer, _) = Buffer::open(&place, SMALL, NOW).unwrap();
    buffer.append(events(1..2));
    // The clock is set back, and the pieces are lost but for what tells of a life.
    fs::rename(last_file(&buffer), path(&place, NOW + 5, 1)).unwrap();
    fs::write(path(&place, NOW + 2, 1), "an earlier life").unwrap();
    let (buffer, _) = Buffer::open(&place, SMALL, NOW - 1000).unwrap();
    assert_eq!((buffer.epoch, all(&buffer)), (NOW + 5, pairs(1..=1)));
    assert_eq!(fs::read_dir(&place).unwrap().count(), 1, "of earlier lives nothing stays");
}

#[test]
fn who_knows_more_than_the_disk_begins_another_life_with_what_was_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (mut buffer, _) = open(&folder);
    buffer.append(events(1..21));
    buffer.trim(5);
    let renewed = buffer.renew(NOW + 1, Version { epoch: NOW + 9, sequence: 50 });
    assert!(renewed.dropped == 0 && renewed.refused.is_none());
    assert_eq!(buffer.epoch, NOW + 10);
    let expected: Vec<_> = (6..=20).map(|n| (n - 5, n)).collect();
    assert_eq!(all(&buffer), expected);
    let (again, _) = open(&folder);
    assert_eq!((again.epoch, all(&again)), (NOW + 10, expected));
    // Who says that it knows all numbers that there are does not use them up.
    buffer.renew(NOW + 2, Version { epoch: u64::MAX, sequence: u64::MAX });
    assert_eq!(buffer.epoch, NOW + 2 + AHEAD);
}

#[test]
fn what_a_disk_refuses_comes_back_and_nothing_that_is_there_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let (mut buffer, _) = open(&folder);
    buffer.append(events(1..4));
    let aside = folder.path().join("aside");
    fs::rename(&buffer.folder, &aside).unwrap();
    let appended = buffer.append(events(4..40));
    assert!(appended.refused.is_some(), "no new piece can be made");
    fs::rename(&aside, &buffer.folder).unwrap();
    let there = all(&buffer).len();
    assert_eq!((there + appended.left.len(), appended.dropped), (39, 0));
    assert_eq!(all(&buffer), pairs(1..=there as u64));
    let appended = buffer.append(appended.left);
    assert!(appended.refused.is_none() && appended.left.is_empty());
    let left = all(&buffer);
    assert_eq!(left, pairs(left[0].0..=39), "but for the oldest, of which there is no room");
    assert_eq!(appended.dropped, left[0].0 - 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn whatever_is_changed_on_disk_what_is_read_is_what_was_written(
        at in any::<prop::sample::Index>(), value: u8, piece in 0_usize..4,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (mut buffer, _) = open(&folder);
        buffer.append(events(1..25));
        let span = buffer.spans[piece % buffer.spans.len()];
        let file = path(&buffer.folder, buffer.epoch, span.first);
        let mut bytes = fs::read(&file).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = value;
        fs::write(&file, bytes).unwrap();
        let (mut again, _) = open(&folder);
        again.append(events(0..1));
        let seen = all(&again);
        prop_assert!(seen.windows(2).all(|two| two[0].0 < two[1].0));
        prop_assert!(seen[..seen.len() - 1].iter().all(|(number, body)| number == body));
    }
}
