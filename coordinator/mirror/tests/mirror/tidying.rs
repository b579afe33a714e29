//! What is old is let go of in the database.

use std::time::Duration;

use serde_json::{Value, json};
use smartfw_mirror::{Item, Limits, List, TIDIED};
use smartfw_mirror_fake::Fake;

use super::support::*;

#[tokio::test]
async fn what_we_tidied_away_ourselves_is_no_meddling() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let outbox = outbox(folder.path(), Limits::default());
    outbox.push(&events(0..4)).unwrap();
    let mut sender = sender(&fake, &outbox);
    drain(&mut sender).await;
    sender.look_back(BEGIN).await.unwrap();
    assert_eq!(sender.tidy(List::Events, id(2).millis, BEGIN).await, Ok(2));
    for _ in 0..8 {
        sender.look_back(BEGIN).await.unwrap();
    }
    assert_eq!(sender.watch().state().rewritten, 0, "the rows that are gone are those that we removed");
    fake.put(&place(3), Value::Null);
    for _ in 0..2 {
        sender.look_back(BEGIN).await.unwrap();
    }
    assert_eq!(sender.watch().state().rewritten, 1, "what stayed is still looked at");
}

#[tokio::test]
async fn old_rows_are_tidied_away_and_younger_ones_stay() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let outbox = outbox(folder.path(), Limits::default());
    outbox.push(&events(0..250)).unwrap();
    let mut sender = sender(&fake, &outbox);
    drain(&mut sender).await;
    // Of somebody else's keys whole numbers come first of all.
    for foreign in 0..TIDIED + 1 {
        fake.put(&format!("clusters/prod,eu/events/{foreign}"), json!(1));
    }
    fake.put("clusters/prod,eu/events/0017-not-ours", json!(1));
    let mut removed = Vec::new();
    while removed.last() != Some(&0) {
        removed.push(sender.tidy(List::Events, id(120).millis, BEGIN).await.unwrap());
    }
    assert_eq!(removed, [TIDIED, 21, 0]);
    let there = fake.at("clusters/prod,eu/events");
    let mut left: Vec<String> =
        there.as_object().unwrap().keys().map(|key| format!("clusters/prod,eu/events/{key}")).collect();
    let foreign = left.extract_if(.., |key| key.len() < place(0).len()).count();
    assert_eq!((left, foreign), (places(120..250), TIDIED + 1), "numbers are not ours, and stay");
}

#[tokio::test]
async fn large_rows_are_tidied_away_fewer_at_a_time() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let outbox = outbox(folder.path(), Limits::default());
    let large = |n| Item::event(&id(n), json!("x".repeat(600 << 10))).unwrap();
    outbox.push(&(0..20).map(large).collect::<Vec<_>>()).unwrap();
    let mut sender = sender(&fake, &outbox);
    drain(&mut sender).await;
    assert_eq!(sender.tidy(List::Events, u64::MAX, BEGIN).await, Ok(TIDIED / 10));
}

#[tokio::test]
async fn a_running_sender_lets_go_of_what_is_older_than_it_is_told_and_of_nothing_else() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let outbox = outbox(folder.path(), Limits::default());
    outbox.push(&events(0..250)).unwrap();
    let run = Item::run(&id(0), b"a run").unwrap();
    outbox.push(std::slice::from_ref(&run)).unwrap();
    let sender = sender(&fake, &outbox).keeping(&[List::Events], || Duration::from_millis(129));
    // By this clock everything is old.
    let running = tokio::spawn(sender.run(|| 2 * BEGIN, || 0));
    let left = || {
        let there = fake.at("clusters/prod,eu/events");
        let keys = there.as_object().into_iter().flat_map(|rows| rows.keys());
        keys.map(|key| format!("clusters/prod,eu/events/{key}")).collect::<Vec<_>>()
    };
    for _ in 0..1000 {
        if left() == places(120..250) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(left(), places(120..250));
    assert!(fake.at(&format!("clusters/prod,eu/{}", run.path())).is_string(), "it was not told of runs");
    running.abort();
}

#[tokio::test]
async fn what_others_let_go_of_before_us_is_no_meddling() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let outbox = outbox(folder.path(), Limits::default());
    outbox.push(&events(0..4)).unwrap();
    let mut sender = sender(&fake, &outbox).keeping(&[List::Events], || Duration::from_millis(4));
    drain(&mut sender).await;
    // Older than half of that.
    fake.put(&place(0), Value::Null);
    for _ in 0..8 {
        sender.look_back(BEGIN * 2).await.unwrap();
    }
    assert_eq!(sender.watch().state().rewritten, 0);
    fake.put(&place(2), Value::Null);
    for _ in 0..4 {
        sender.look_back(BEGIN * 2).await.unwrap();
    }
    assert_eq!(sender.watch().state().rewritten, 1, "what is young is still looked at");
}
