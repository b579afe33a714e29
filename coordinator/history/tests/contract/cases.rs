//! The promises.

use std::{collections::BTreeMap, time::Duration};

use smartfw_core::{Class, Time, fleet::NodeId};
use smartfw_history::{
    Appended, BadEvent, Count, Cursor, Event, EventKind, History, HistoryError, MOST_APPENDED, MOST_BODY,
    MOST_NAME, MOST_NODES, MOST_ROWS, MOST_TEXT, Placed, Query,
};

use super::{
    Site,
    events::{NOW, about, ago, event, mix, mixed, node},
};

/// Pages of one answer at most: more than any answer has events.
const MOST_PAGES: usize = 30_000;

const YEAR: Duration = Duration::from_secs(365 * 86_400);

pub(crate) async fn what_is_appended_is_found_newest_first<S: Site>(site: &mut S) {
    let history = site.open().await;
    let appended = history.append(NOW, (1..=3).map(event).collect()).await.unwrap();
    assert_eq!(appended, Appended { kept: 3, known: 0 });
    let page = history.query(Query::default()).await.unwrap();
    assert_eq!(events(&page.events), [event(3), event(2), event(1)]);
    assert_eq!(history.size().await.unwrap().events, 3);
    assert!(history.size().await.unwrap().bytes > 0);
}

pub(crate) async fn what_is_appended_twice_is_kept_once<S: Site>(site: &mut S) {
    let history = site.open().await;
    history.append(NOW, (1..=300).map(event).collect()).await.unwrap();
    let again = history.append(NOW, (200..=400).map(event).collect()).await.unwrap();
    assert_eq!(again, Appended { kept: 100, known: 101 });
    let twice = history.append(NOW, vec![event(401), event(401)]).await.unwrap();
    assert_eq!(twice, Appended { kept: 1, known: 1 });
    drop(history);
    let history = site.open().await;
    let again = history.append(NOW, (1..=401).map(event).collect()).await.unwrap();
    assert_eq!(again, Appended { kept: 0, known: 401 });
    assert_eq!(all(&history, Query::default()).await.len(), 401);
}

pub(crate) async fn what_was_acknowledged_is_there_when_opened_again<S: Site>(site: &mut S) {
    let given = mixed(1_000);
    for round in given.chunks(90) {
        let history = site.open().await;
        history.append(NOW, round.to_vec()).await.unwrap();
    }
    let history = site.open().await;
    assert_eq!(all(&history, Query::default()).await, placed(&given));
    for number in 0..5 {
        let last = given.iter().filter(|event| event.id == node(number)).map(Event::count).max();
        assert_eq!(history.last(node(number)).await.unwrap(), last);
    }
    assert_eq!(history.last(node(9)).await.unwrap(), None);
}

pub(crate) async fn every_question_is_answered_as_by_looking_at_every_event<S: Site>(site: &mut S) {
    let history = site.open().await;
    let given = mixed(2_000);
    for part in given.chunks(64) {
        history.append(NOW, part.to_vec()).await.unwrap();
    }
    let (everything, mut answered) = (placed(&given), 0);
    for number in 0..150 {
        let query = question(number);
        let wanted =
            |row: &&Placed| row.place >= query.from && row.place <= query.to && query.wants(&row.event);
        let expected: Vec<Placed> = everything.iter().filter(wanted).cloned().collect();
        assert_eq!(all(&history, query.clone()).await, expected, "{query:?}");
        answered += expected.len();
    }
    assert!(answered > 2_000, "the questions ask for something");
}

pub(crate) async fn a_name_finds_what_happened_where_it_was_borne<S: Site>(site: &mut S) {
    let history = site.open().await;
    let called =
        |of: u64, name: &str, sequence| Event { id: node(of), node: name.to_owned(), ..event(sequence) };
    let given: Vec<Event> = (1..=250)
        .flat_map(|n| match n {
            // The second takes the place of the first, which a third is called nearly like.
            ..=100 => [called(1, "web-1", n), called(3, "web-10", n)],
            _ => [called(2, "web-1", n), called(3, "web-10", n)],
        })
        .collect();
    history.append(NOW, given).await.unwrap();
    for (name, nodes) in [("web-1", [100, 150, 0]), ("web-10", [0, 0, 250]), ("web-", [0; 3]), ("", [0; 3])] {
        let rows = all(&history, Query { name: Some(name.to_owned()), ..Query::default() }).await;
        let of = |number| rows.iter().filter(|row| row.event.id == node(number)).count();
        assert_eq!([of(1), of(2), of(3)], nodes, "{name}");
    }
    let both = Query { name: Some("web-1".to_owned()), node: Some(node(2)), ..Query::default() };
    assert_eq!(all(&history, both).await.len(), 150);
}

pub(crate) async fn a_prefix_finds_what_lies_within_it_and_nothing_wider<S: Site>(site: &mut S) {
    let history = site.open().await;
    let addresses = [
        "10.0.0.0/8",
        "10.0.0.0/16",
        "10.0.0.0/32",
        "10.0.255.255/32",
        "10.1.0.0/32",
        "9.255.255.255/32",
        "2001:db8::1/128",
        "::ffff:10.0.0.9/128",
    ];
    let given = addresses.iter().zip(1..).map(|(address, sequence)| about(sequence, address)).collect();
    history.append(NOW, given).await.unwrap();
    let found = async |net: &str| {
        let query = Query { address: Some(net.parse().unwrap()), ..Query::default() };
        let rows = all(&history, query).await;
        rows.iter().map(|row| row.event.sequence).collect::<Vec<_>>()
    };
    assert_eq!(found("10.0.0.0/16").await, [8, 4, 3, 2]);
    assert_eq!(found("10.0.0.0/32").await, [3]);
    assert_eq!(found("0.0.0.0/0").await, [8, 6, 5, 4, 3, 2, 1]);
    assert_eq!(found("::/0").await, [7]);
    assert!(found("10.2.0.0/16").await.is_empty());
}

pub(crate) async fn a_node_whose_clock_is_wrong_puts_nothing_out_of_reach<S: Site>(site: &mut S) {
    let history = site.open().await;
    let times = [ago(100), Time::NEVER, ago(2_000), Time::ZERO];
    for (time, sequence) in times.into_iter().zip(1..) {
        history.append(ago(50 - sequence), vec![Event { time, ..event(sequence) }]).await.unwrap();
    }
    let rows = all(&history, Query { to: NOW, ..Query::default() }).await;
    let places: Vec<_> = rows.iter().map(|row| (row.event.sequence, row.place)).collect();
    assert_eq!(places, [(4, ago(48)), (3, ago(48)), (2, ago(48)), (1, ago(100))]);
    assert_eq!(rows[1].event.time, ago(2_000));
}

pub(crate) async fn what_is_too_large_is_refused_and_what_is_at_the_limit_is_kept<S: Site>(site: &mut S) {
    let history = site.open().await;
    let body = |bytes: usize| format!(r#"{{"k":"{}"}}"#, "x".repeat(bytes - 8));
    let largest = Event { body: body(MOST_BODY), node: "n".repeat(MOST_NAME), ..event(1) };
    history.append(NOW, vec![largest.clone()]).await.unwrap();
    assert_eq!(events(&all(&history, Query::default()).await), [largest]);
    let refused = [
        (Event { body: body(MOST_BODY + 1), ..event(2) }, BadEvent::LongBody(MOST_BODY + 1)),
        (Event { node: "n".repeat(MOST_NAME + 1), ..event(2) }, BadEvent::LongName(MOST_NAME + 1)),
        (Event { body: "[1]".to_owned(), ..event(2) }, BadEvent::NoObject),
        (Event { body: r#"{"a":1} {"b":2}"#.to_owned(), ..event(2) }, BadEvent::NoObject),
    ];
    for (bad, reason) in refused {
        match history.append(NOW, vec![event(3), bad]).await {
            Err(HistoryError::Refused { why, .. }) => assert_eq!(why, reason),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(
        history.last(node(1)).await.unwrap(),
        Some(Count { epoch: 1, sequence: 1 }),
        "none of them was kept"
    );
    let most = MOST_APPENDED as u64;
    history.append(NOW, (2..2 + most).map(event).collect()).await.unwrap();
    let more = history.append(NOW, (2..3 + most).map(event).collect()).await;
    assert!(matches!(more, Err(HistoryError::TooMany { .. })), "{more:?}");
    let text = |bytes: usize| Query { text: Some("x".repeat(bytes)), ..Query::default() };
    assert_eq!(history.query(text(MOST_TEXT)).await.unwrap().events.len(), 1);
    assert!(matches!(history.query(text(MOST_TEXT + 1)).await, Err(HistoryError::LongText(_))));
}

pub(crate) async fn one_node_too_many_is_refused<S: Site>(site: &mut S) {
    let history = site.open().await;
    let of = |number: u64| Event { id: node(number), ..event(1) };
    let most = MOST_NODES as u64;
    let numbers: Vec<u64> = (0..most - 1).collect();
    for part in numbers.chunks(MOST_APPENDED) {
        history.append(NOW, part.iter().copied().map(of).collect()).await.unwrap();
    }
    let two = history.append(NOW, vec![of(7), of(most - 1), of(most)]).await;
    assert!(matches!(two, Err(HistoryError::TooManyNodes(_))), "{two:?}");
    for number in [most - 1, most] {
        assert_eq!(history.last(node(number)).await.unwrap(), None, "none of them was kept");
    }
    history.append(NOW, vec![of(most - 1)]).await.unwrap();
    let more = history.append(NOW, vec![of(most)]).await;
    assert!(matches!(more, Err(HistoryError::TooManyNodes(_))), "{more:?}");
    let known = history.append(NOW, vec![Event { id: node(7), ..event(2) }]).await.unwrap();
    assert_eq!(known.kept, 1);
}

pub(crate) async fn pages_of_very_many_nodes_follow_one_another<S: Site>(site: &mut S) {
    let history = site.open().await;
    // Of every node more than is read of it at first, and all at the same moments.
    let nodes = 700;
    let numbers: Vec<u64> = (0..nodes * 34).collect();
    let of = |number: u64| Event { id: node(number % nodes), ..event(number / nodes + 1) };
    for part in numbers.chunks(MOST_APPENDED) {
        history.append(NOW, part.iter().copied().map(of).collect()).await.unwrap();
    }
    let rows = all(&history, Query { limit: MOST_ROWS, ..Query::default() }).await;
    assert_eq!(rows.len(), numbers.len());
    assert!(rows.windows(2).all(|pair| pair[0].cursor() > pair[1].cursor()));
}

pub(crate) async fn pages_of_events_at_one_moment_follow_one_another<S: Site>(site: &mut S) {
    let history = site.open().await;
    // Three nodes whose clocks stand still.
    let of = |number: u64| Event { id: node(number % 3), time: ago(9), ..event(number / 3 + 1) };
    for part in [0..600, 600..1_200] {
        history.append(NOW, part.map(of).collect()).await.unwrap();
    }
    let query = Query { limit: 7, ..Query::default() };
    let expected: Vec<u64> = (1..=400).rev().cycle().take(1_200).collect();
    assert_eq!(sequences(&all(&history, query.clone()).await), expected);
    let rows = all(&history, Query { node: Some(node(1)), ..query }).await;
    assert_eq!(sequences(&rows), expected[..400]);
}

pub(crate) async fn events_of_before_all_clocks_are_kept<S: Site>(site: &mut S) {
    let history = site.open().await;
    let first = |sequence| Event { time: Time::ZERO, ..event(sequence) };
    assert_eq!(history.append(NOW, (0..3).map(first).collect()).await.unwrap().kept, 3);
    history.append(NOW, vec![event(3)]).await.unwrap();
    let rows = all(&history, Query { limit: 1, ..Query::default() }).await;
    assert_eq!(sequences(&rows), [3, 2, 1, 0]);
}

pub(crate) async fn no_page_is_longer_than_the_limit<S: Site>(site: &mut S) {
    let history = site.open().await;
    for part in [1..=800, 801..=1_600] {
        history.append(NOW, part.map(event).collect()).await.unwrap();
    }
    for (asked, rows) in [(0, 1), (7, 7), (MOST_ROWS, MOST_ROWS), (usize::MAX, MOST_ROWS)] {
        let page = history.query(Query { limit: asked, ..Query::default() }).await.unwrap();
        assert_eq!(page.events.len(), rows);
        assert_eq!(page.next, page.events.last().map(Placed::cursor));
    }
}

pub(crate) async fn age_lets_the_old_go_and_nothing_else<S: Site>(site: &mut S) {
    let history = site.open().await;
    for part in [1..=700, 701..=1_400] {
        history.append(NOW, part.map(event).collect()).await.unwrap();
    }
    // The event with number n happened 100,000 − n seconds ago.
    history.retain(NOW, Duration::from_secs(99_400), u64::MAX).await.unwrap();
    let left = all(&history, Query::default()).await;
    assert_eq!(sequences(&left), (600..=1_400).rev().collect::<Vec<_>>());
    drop(history);
    let history = site.open().await;
    assert_eq!(all(&history, Query::default()).await, left);
    history.retain(NOW, YEAR, u64::MAX).await.unwrap();
    assert_eq!(all(&history, Query::default()).await, left);
}

pub(crate) async fn a_clock_that_is_years_ahead_for_a_while_lets_days_go_and_not_everything<S: Site>(
    site: &mut S,
) {
    let history = site.open().await;
    history.append(NOW, (1..=300).map(event).collect()).await.unwrap();
    history.retain(NOW, YEAR, u64::MAX).await.unwrap();
    // A node's clock is wrong too, so that events are placed years ahead.
    let (ahead, month) = (NOW.after(10 * YEAR), YEAR / 12);
    history.append(ahead, vec![Event { id: node(2), time: Time::NEVER, ..event(1) }]).await.unwrap();
    for _ in 0..3 {
        history.retain(ahead, month, u64::MAX).await.unwrap();
    }
    let of_first = || Query { node: Some(node(1)), ..Query::default() };
    assert_eq!(all(&history, of_first()).await.len(), 300);
    // By an hour all may go that is there, but nothing that comes when the clock is right again.
    history.retain(ahead, Duration::from_secs(3_600), u64::MAX).await.unwrap();
    drop(history);
    let history = site.open().await;
    history.retain(NOW, YEAR, u64::MAX).await.unwrap();
    history.append(NOW, (301..=320).map(event).collect()).await.unwrap();
    let left = sequences(&all(&history, of_first()).await);
    assert_eq!(left[..20], (301..=320).rev().collect::<Vec<_>>());
    history.retain(NOW, Duration::from_secs(99_690), u64::MAX).await.unwrap();
    let left = sequences(&all(&history, of_first()).await);
    assert_eq!(left, (310..=320).rev().collect::<Vec<_>>());
}

pub(crate) async fn bytes_let_the_oldest_go<S: Site>(site: &mut S) {
    let history = site.open().await;
    let body = |number: u64| format!(r#"{{"noise":"{:016x}{:016x}"}}"#, mix(number), mix(!number));
    let large = |number: u64| Event { body: body(number), ..event(number) };
    // Enough for a segment whatever its size is.
    let numbers: Vec<u64> = (1..=70_000).collect();
    for part in numbers.chunks(MOST_APPENDED) {
        history.append(NOW, part.iter().copied().map(large).collect()).await.unwrap();
    }
    let before = history.size().await.unwrap();
    let (mut after, mut bytes) = (before, before.bytes);
    while after.events == before.events {
        bytes -= before.bytes / 8;
        history.retain(NOW, YEAR, bytes).await.unwrap();
        after = history.size().await.unwrap();
    }
    assert!(bytes >= before.bytes / 4, "{bytes} of {before:?}");
    assert!(after.bytes <= bytes && after.events > 0, "{before:?}, {after:?}");
    let left = history.query(Query { limit: 1, ..Query::default() }).await.unwrap();
    assert_eq!(sequences(&left.events), [70_000]);
}

pub(crate) async fn the_last_count_outlives_its_event<S: Site>(site: &mut S) {
    let history = site.open().await;
    history.append(NOW, vec![event(5), Event { epoch: 2, ..event(3) }]).await.unwrap();
    history.retain(NOW, Duration::ZERO, u64::MAX).await.unwrap();
    drop(history);
    let history = site.open().await;
    assert_eq!(all(&history, Query::default()).await, []);
    assert_eq!(history.last(node(1)).await.unwrap(), Some(Count { epoch: 2, sequence: 3 }));
    let again = history.append(NOW, vec![event(5), event(6)]).await.unwrap();
    assert_eq!(again, Appended { kept: 0, known: 2 });
}

pub(crate) async fn several_append_and_ask_at_once<S: Site>(site: &mut S) {
    let history = site.open().await;
    let append = |number: u64| {
        let history = history.clone();
        async move {
            for part in 0..20 {
                let of = |sequence| Event { id: node(number), ..event(sequence) };
                history.append(NOW, (part * 20 + 1..=part * 20 + 20).map(of).collect()).await.unwrap();
            }
        }
    };
    let ask = {
        let history = history.clone();
        async move {
            let mut seen = 0;
            while seen < 1_600 {
                let rows = all(&history, Query::default()).await;
                let mut cursors: Vec<Cursor> = rows.iter().map(Placed::cursor).collect();
                cursors.dedup();
                assert_eq!(cursors.len(), rows.len(), "no event is seen twice");
                assert!(rows.len() >= seen, "{} after {seen}", rows.len());
                seen = rows.len();
            }
        }
    };
    tokio::join!(append(1), append(2), append(3), append(4), ask);
    assert_eq!(all(&history, Query::default()).await.len(), 1_600);
}

/// Everything that is wanted, page by page.
pub(crate) async fn all(history: &impl History, query: Query) -> Vec<Placed> {
    let (mut rows, mut query) = (Vec::new(), query);
    for _ in 0..MOST_PAGES {
        let page = history.query(query.clone()).await.unwrap();
        rows.extend(page.events);
        let Some(next) = page.next else { return rows };
        assert!(next < query.before(), "the next page begins before this one");
        // What is given to people comes back as text.
        query.cursor = Some(next.to_string().parse().unwrap());
    }
    panic!("the pages come to no end");
}

/// What a history of these events holds, the newest first.
fn placed(given: &[Event]) -> Vec<Placed> {
    let mut places = BTreeMap::<NodeId, Time>::new();
    let mut rows: Vec<Placed> = given
        .iter()
        .map(|event| {
            let place = places.entry(event.id).or_default();
            *place = event.time.min(NOW).max(*place);
            Placed { place: *place, event: event.clone() }
        })
        .collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.cursor()));
    rows
}

/// A question of any kind.
fn question(number: u64) -> Query {
    let pick = |salt: u64, of: u64| mix(number * 31 + salt) % of;
    let from = ago(5_000 - pick(1, 400));
    let nets = ["203.0.113.7/32", "203.0.113.0/24", "0.0.0.0/0", "2001:db8::/32", "192.0.2.1/32"];
    let words = ["alpha", "beta", r#""n":17"#, "nowhere"];
    Query {
        from: if pick(2, 2) == 0 { Time::ZERO } else { from },
        to: if pick(3, 2) == 0 { Time::NEVER } else { from.after(Duration::from_secs(pick(4, 200))) },
        node: Some(pick(5, 12)).filter(|number| *number < 6).map(node),
        name: Some(pick(11, 24)).filter(|number| *number < 7).map(|number| format!("web-{number}")),
        kind: EventKind::ALL.get(pick(6, 10) as usize).copied(),
        class: Class::ALL.get(pick(7, 30) as usize).copied(),
        address: nets.get(pick(8, 9) as usize).map(|net| net.parse().unwrap()),
        text: words.get(pick(9, 12) as usize).map(|word| (*word).to_owned()),
        limit: [1, 10, 100, 1_000][pick(10, 4) as usize],
        cursor: None,
    }
}

fn events(rows: &[Placed]) -> Vec<Event> {
    rows.iter().map(|row| row.event.clone()).collect()
}

fn sequences(rows: &[Placed]) -> Vec<u64> {
    rows.iter().map(|row| row.event.sequence).collect()
}
