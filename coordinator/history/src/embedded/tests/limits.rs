//! What becomes of what is much, and of what is old.

use super::*;

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
fn a_few_events_become_a_segment_after_a_day_also_when_it_was_opened_again_meanwhile() {
    let folder = filled(3);
    let history = open(&folder).unwrap();
    history.engine.retain(NOW.after(Duration::from_secs(86_400)), YEAR, u64::MAX).unwrap();
    assert_eq!(segments(&folder).len(), 1);
}

#[test]
fn events_that_came_while_the_clock_was_ahead_become_a_segment_after_a_day() {
    let folder = TempDir::new().unwrap();
    let history = open(&folder).unwrap();
    history.engine.append(NOW.after(YEAR), sorted(vec![event(1)]).unwrap()).unwrap();
    history.engine.retain(NOW, YEAR, u64::MAX).unwrap();
    history.engine.retain(NOW.after(Duration::from_secs(86_400)), YEAR, u64::MAX).unwrap();
    assert_eq!(segments(&folder).len(), 1);
}

#[test]
fn the_number_of_a_segment_is_never_used_again() {
    let folder = TempDir::new().unwrap();
    let mut names = Vec::new();
    for part in 0..4 {
        let history = open(&folder).unwrap();
        append(&history, part * 100..part * 100 + 60);
        append(&history, part * 100 + 60..part * 100 + 61);
        names.append(&mut segments(&folder));
        history.engine.retain(NOW, YEAR, 0).unwrap();
        assert!(segments(&folder).is_empty());
    }
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!((count, names.len()), (4, 4));
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
fn a_journal_that_grew_long_gives_way_to_a_short_one() {
    let folder = TempDir::new().unwrap();
    let limits = Limits { journal: 1_000, ..Limits::default() };
    let history = Embedded::open_within(folder.path(), limits).unwrap();
    append(&history, 0..10);
    let first = journal(&folder);
    let begun = fs::metadata(&first).unwrap().len();
    let mut longest = 0;
    for second in 1..500 {
        let age = Duration::from_secs(20_000 - second);
        history.engine.retain(NOW, age, u64::MAX).unwrap();
        longest = longest.max(fs::metadata(journal(&folder)).unwrap().len());
    }
    assert_ne!(journal(&folder), first);
    assert!(longest < begun + 1_100, "{longest}");
    drop(history);
    assert_eq!(rows(&open(&folder).unwrap()).len(), 10);
}

#[test]
fn a_journal_goes_when_its_rows_became_a_segment() {
    let folder = filled(FEW as u64);
    let before = fs::metadata(journal(&folder)).unwrap().len();
    append(&open(&folder).unwrap(), 1_000..1_001);
    assert_eq!(segments(&folder).len(), 1);
    assert!(fs::metadata(journal(&folder)).unwrap().len() < before / 2);
}

#[test]
fn appends_that_wait_are_flushed_together() {
    let folder = TempDir::new().unwrap();
    let history = open(&folder).unwrap();
    let path = journal(&folder);
    std::thread::scope(|threads| {
        let held = history.engine.writer();
        for number in 0..20 {
            let history = &history;
            threads.spawn(move || append_of(history, number, 1..3));
        }
        while history.engine.queue.len() < 20 {
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(held);
    });
    assert_eq!(frames(&path), 2, "the first one and theirs");
    assert_eq!(rows(&open_again(history, &folder)).len(), 40);
}

#[test]
fn a_group_ends_with_the_events_of_one_append_or_a_few_more() {
    let queue = group::Queue::default();
    for _ in 0..4 {
        queue.join(NOW, sorted((0..1_000).map(event).collect()).unwrap());
    }
    assert_eq!([queue.take().len(), queue.take().len(), queue.take().len()], [2, 2, 0]);
}

#[test]
fn a_question_that_would_read_too_much_goes_on_with_the_next_page() {
    let folder = TempDir::new().unwrap();
    let limits = Limits { events: 1, blocks: 20, ..Limits::default() };
    let history = Embedded::open_within(folder.path(), limits).unwrap();
    (0..30).for_each(|sequence| append(&history, sequence..sequence + 1));
    let query = Query { kind: Some(EventKind::Alert), text: Some("first".to_owned()), ..Query::default() };
    let pages = pages(&history, query);
    assert!(pages.len() > 3 && pages[0].events.is_empty(), "{pages:?}");
    assert_eq!(pages.iter().map(|page| page.events.len()).sum::<usize>(), 1);
}

#[test]
fn pages_go_on_also_where_more_segments_begin_than_may_be_read() {
    let folder = TempDir::new().unwrap();
    let limits = Limits { events: 3, blocks: 5, ..Limits::default() };
    let history = Embedded::open_within(folder.path(), limits).unwrap();
    // Each segment is of another node, and all reach from the same moment to the same moment.
    (0..40).for_each(|number| append_of(&history, number, 0..3));
    let query = Query { kind: Some(EventKind::Alert), limit: 7, ..Query::default() };
    let rows: Vec<Placed> = pages(&history, query).into_iter().flat_map(|page| page.events).collect();
    assert_eq!(rows.len(), 120);
    assert!(rows.windows(2).all(|pair| pair[0].cursor() > pair[1].cursor()));
}

#[test]
fn few_segments_stay_open_however_many_there_are() {
    let folder = TempDir::new().unwrap();
    let limits = Limits { events: 1, open: 4, ..Limits::default() };
    let history = Embedded::open_within(folder.path(), limits).unwrap();
    (0..12).for_each(|sequence| append(&history, sequence..sequence + 1));
    let everything = Query { kind: Some(EventKind::Alert), ..Query::default() };
    assert_eq!((pages(&history, everything.clone())[0].events.len(), history.engine.recent().len()), (12, 4));
    drop(history);
    let history = Embedded::open_within(folder.path(), limits).unwrap();
    assert_eq!(history.engine.recent().len(), 4, "a start opens all of them");
    assert_eq!(pages(&history, everything)[0].events.len(), 12);
}

#[test]
fn the_last_of_each_node_fits_into_a_segment_however_many_nodes_there_are() {
    let folder = TempDir::new().unwrap();
    let history = Embedded::open_in_segments_of(folder.path(), crate::MOST_NODES).unwrap();
    let id = |number: usize| {
        let noise = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        NodeId(
            [noise, !noise, noise.rotate_left(29), noise ^ 0x5555]
                .map(u64::to_be_bytes)
                .concat()
                .try_into()
                .unwrap(),
        )
    };
    // Counts and places of the most bytes.
    let of =
        |number| Event { id: id(number), epoch: u64::MAX, sequence: u64::MAX, time: Time::NEVER, ..event(1) };
    let numbers: Vec<usize> = (0..crate::MOST_NODES).collect();
    for part in numbers.chunks(1_000) {
        let events = part.iter().copied().map(of).collect();
        history.engine.append(Time::NEVER, sorted(events).unwrap()).unwrap();
    }
    history.engine.retain(Time::NEVER, YEAR, u64::MAX).unwrap();
    assert_eq!(segments(&folder).len(), 1);
    let history = open_again(history, &folder);
    assert_eq!(history.engine.last(&id(9_999)), Some(Count { epoch: u64::MAX, sequence: u64::MAX }));
}

/// All pages of an answer, of which each begins behind the one before.
fn pages(history: &Embedded, mut query: Query) -> Vec<Page> {
    let mut pages = Vec::new();
    loop {
        let page = history.engine.query(&query).unwrap();
        let next = page.next;
        pages.push(page);
        let Some(next) = next else { return pages };
        assert!(next < query.before(), "{next} is no further than {}", query.before());
        query.cursor = Some(next);
    }
}
