//! From the outbox to the database.

use std::time::Duration;

use serde_json::{Value, json};
use smartfw_mirror::{ASIDE_IN_A_ROW, BATCH_BYTES, BATCH_ITEMS, Item, Limits, Step, Trouble};
use smartfw_mirror_fake::{Fake, Fault};

use super::support::*;

#[tokio::test]
async fn after_an_outage_all_items_arrive_once_and_in_order() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let outbox = outbox(folder.path(), Limits::default());
    let mut sender = sender(&fake, &outbox);
    fake.lock().outage = Some(Fault::status(503));
    let mut now = BEGIN;
    for batch in 0..10 {
        outbox.push(&events(batch * 200..(batch + 1) * 200)).unwrap();
        let Step::Wait(wait) = sender.step(now, CHANCE).await else { panic!("it should wait") };
        now += wait;
    }
    let state = sender.watch().state();
    assert_eq!((state.counts.waiting, state.is_ok()), (2000, false));
    assert_eq!(state.trouble, Some((Trouble::Busy { status: 503, after: None }, BEGIN)));
    fake.lock().outage = None;
    assert_eq!(drain(&mut sender).await, 0);
    assert_eq!(fake.lock().written, places(0..2000));
    assert_eq!(fake.at(&place(7))["n"], 7);
    let state = sender.watch().state();
    assert!(state.is_ok() && state.sent == 2000 && state.counts.waiting == 0, "{state}");
}

#[tokio::test]
async fn a_restart_in_the_middle_loses_nothing() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let count = 3 * BATCH_ITEMS as u64;
    {
        let outbox = outbox(folder.path(), Limits::default());
        outbox.push(&events(0..count)).unwrap();
        let mut sender = sender(&fake, &outbox);
        assert_eq!(sender.step(BEGIN, CHANCE).await, Step::Sent(BATCH_ITEMS));
        // The second batch arrives, and nobody hears that it did.
        fake.lock().faults.push_back(Fault::Lost);
        assert!(matches!(sender.step(BEGIN, CHANCE).await, Step::Wait(_)));
    }
    let outbox = outbox(folder.path(), Limits::default());
    assert_eq!(outbox.counts().waiting, count - BATCH_ITEMS as u64);
    drain(&mut sender(&fake, &outbox)).await;
    let there = fake.at("clusters/prod,eu/events");
    assert_eq!(there.as_object().unwrap().len() as u64, count, "what was sent twice stands in one place");
    let mut written = fake.lock().written.clone();
    written.sort();
    written.dedup();
    assert_eq!(written, places(0..count));
}

#[tokio::test]
async fn a_sender_that_is_dropped_in_the_middle_of_a_request_loses_nothing() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let outbox = outbox(folder.path(), Limits::default());
    outbox.push(&events(0..10)).unwrap();
    fake.lock().outage = Some(Fault::Hang);
    let hanging = sender(&fake, &outbox).run(|| BEGIN, || CHANCE);
    assert!(tokio::time::timeout(Duration::from_millis(200), hanging).await.is_err());
    fake.lock().outage = None;
    drain(&mut sender(&fake, &outbox)).await;
    assert_eq!(fake.lock().written, places(0..10));
}

#[tokio::test]
async fn a_running_sender_wakes_for_what_is_pushed() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let outbox = outbox(folder.path(), Limits::default());
    let running = tokio::spawn(sender(&fake, &outbox).run(|| BEGIN, || 0));
    for n in 0..5 {
        outbox.push(&events(n..n + 1)).unwrap();
        while outbox.counts().waiting > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    assert_eq!(fake.lock().written, places(0..5));
    running.abort();
}

#[tokio::test]
async fn a_full_outbox_drops_the_oldest_and_says_so() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let outbox = outbox(folder.path(), Limits { items: 100, bytes: u64::MAX });
    let mut sender = sender(&fake, &outbox);
    outbox.push(&events(0..250)).unwrap();
    drain(&mut sender).await;
    assert_eq!(fake.lock().written, places(150..250));
    let state = sender.watch().state();
    assert_eq!((state.counts.dropped, state.is_ok()), (150, false));
    assert!(state.to_string().contains("150 dropped"), "{state}");
}

#[tokio::test]
async fn a_batch_is_bounded_by_count_and_by_bytes() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let outbox = outbox(folder.path(), Limits::default());
    outbox.push(&events(0..BATCH_ITEMS as u64 + 1)).unwrap();
    let mut sender = sender(&fake, &outbox);
    assert_eq!(sender.step(BEGIN, CHANCE).await, Step::Sent(BATCH_ITEMS));
    assert_eq!(sender.step(BEGIN, CHANCE).await, Step::Sent(1));
    let large = |n| Item::event(&id(n), json!("x".repeat(BATCH_BYTES as usize / 3))).unwrap();
    outbox.push(&(0..4).map(large).collect::<Vec<_>>()).unwrap();
    assert_eq!(sender.step(BEGIN, CHANCE).await, Step::Sent(2));
}

#[tokio::test]
async fn a_poisonous_item_is_set_aside_and_the_rest_goes_on() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let outbox = outbox(folder.path(), Limits::default());
    fake.lock().poison = Some("poison".into());
    let poison = |n| Item::event(&id(n), json!({"text": "poison"})).unwrap();
    let mut items = events(0..600);
    items[123] = poison(123);
    items[599] = poison(599);
    outbox.push(&items).unwrap();
    let mut sender = sender(&fake, &outbox);
    assert_eq!(drain(&mut sender).await, 0);
    let expected: Vec<String> = (0..600).filter(|n| ![123, 599].contains(n)).map(place).collect();
    assert_eq!(fake.lock().written, expected);
    let aside = outbox.set_aside().unwrap();
    assert_eq!(aside.iter().map(|(item, _)| item).collect::<Vec<_>>(), [&poison(123), &poison(599)]);
    assert!(aside[0].1.starts_with("400 ") && aside[0].1.contains("Invalid token"), "{}", aside[0].1);
    assert_eq!(sender.watch().state().counts.aside, 2);
    assert!(fake.lock().seen.len() < 60, "a refusal is narrowed down by halving");
}

#[tokio::test]
async fn many_poisonous_items_among_good_ones_are_all_set_aside() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let outbox = outbox(folder.path(), Limits::default());
    fake.lock().poison = Some("poison".into());
    let count = 2 * u64::from(ASIDE_IN_A_ROW);
    for n in 0..count {
        let poison = Item::event(&id(2 * n), json!("poison")).unwrap();
        outbox.push(&[poison, event(2 * n + 1)]).unwrap();
    }
    assert_eq!(drain(&mut sender(&fake, &outbox)).await, 0);
    assert_eq!(outbox.counts().aside, count);
}

#[tokio::test]
async fn an_item_that_is_too_large_for_the_database_is_set_aside() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let outbox = outbox(folder.path(), Limits::default());
    fake.lock().most_bytes = 10_000;
    let mut items = events(0..300);
    items[5] = Item::event(&id(5), json!("x".repeat(20_000))).unwrap();
    outbox.push(&items).unwrap();
    drain(&mut sender(&fake, &outbox)).await;
    assert_eq!(fake.lock().written.len(), 299);
    let aside = outbox.set_aside().unwrap();
    assert!(aside.len() == 1 && aside[0].1.starts_with("413 "));
}

#[tokio::test]
async fn a_database_that_refuses_everything_costs_only_a_few_items() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let outbox = outbox(folder.path(), Limits::default());
    fake.lock().poison = Some(String::new());
    outbox.push(&events(0..1000)).unwrap();
    let mut sender = sender(&fake, &outbox);
    let (mut now, mut waits) = (BEGIN, 0);
    while waits < 5 {
        if let Step::Wait(wait) = sender.step(now, CHANCE).await {
            now += wait;
            waits += 1;
        }
    }
    let counts = outbox.counts();
    assert_eq!((counts.aside, counts.waiting), (ASIDE_IN_A_ROW.into(), 1000 - u64::from(ASIDE_IN_A_ROW)));
    assert!(matches!(sender.watch().state().trouble, Some((Trouble::Refused { status: 400, .. }, _))));
    fake.lock().poison = None;
    drain(&mut sender).await;
    assert_eq!(fake.lock().written, places(ASIDE_IN_A_ROW.into()..1000));
}

#[tokio::test]
async fn whatever_passes_is_waited_for_longer_and_longer() {
    for fault in [412, 429, 500, 503].map(Fault::status).into_iter().chain([Fault::Cut, Fault::Hang]) {
        let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
        let outbox = outbox(folder.path(), Limits::default());
        let mut sender = sender(&fake, &outbox);
        outbox.push(&events(0..3)).unwrap();
        fake.lock().faults.extend([fault.clone(), fault.clone()]);
        let steps = [sender.step(BEGIN, CHANCE).await, sender.step(BEGIN, CHANCE).await];
        assert_eq!(steps, [1, 2].map(Duration::from_secs).map(Step::Wait), "{fault:?}");
        assert_eq!(drain(&mut sender).await, 0, "{fault:?}");
        assert!(sender.watch().state().is_ok() && fake.lock().written == places(0..3));
    }
}

#[tokio::test]
async fn a_batch_that_is_not_answered_in_time_is_halved_and_grows_again() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let outbox = outbox(folder.path(), Limits::default());
    outbox.push(&events(0..15)).unwrap();
    let mut sender = sender(&fake, &outbox);
    fake.lock().faults.extend([Fault::Hang, Fault::Hang]);
    for _ in 0..2 {
        assert!(matches!(sender.step(BEGIN, CHANCE).await, Step::Wait(_)));
    }
    for sent in [3, 6, 6] {
        assert_eq!(sender.step(BEGIN, CHANCE).await, Step::Sent(sent));
    }
    assert_eq!(fake.lock().written, places(0..15));
}

#[tokio::test]
async fn any_other_success_than_the_silence_asked_for_is_no_acceptance() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let outbox = outbox(folder.path(), Limits::default());
    outbox.push(&events(0..3)).unwrap();
    let mut sender = sender(&fake, &outbox);
    fake.lock().faults.extend([200, 201, 202].map(Fault::status));
    for _ in 0..3 {
        assert!(matches!(sender.step(BEGIN, CHANCE).await, Step::Wait(_)));
        assert!(matches!(sender.watch().state().trouble, Some((Trouble::Nonsense(_), _))));
        assert_eq!(outbox.counts().waiting, 3);
    }
    assert_eq!(sender.step(BEGIN, CHANCE).await, Step::Sent(3));
}

#[tokio::test]
async fn who_asks_for_patience_gets_it() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let outbox = outbox(folder.path(), Limits::default());
    outbox.push(&events(0..1)).unwrap();
    fake.lock().faults.push_back(Fault::Status(429, vec![("retry-after", "40".into())]));
    let Step::Wait(wait) = sender(&fake, &outbox).step(BEGIN, 0).await else { panic!("it should wait") };
    assert_eq!(wait.as_secs(), 40);
}

#[tokio::test]
async fn nobody_there_is_an_outage_too() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let outbox = outbox(folder.path(), Limits::default());
    outbox.push(&events(0..1)).unwrap();
    let mut sender = sender(&fake, &outbox);
    let address = fake.url().trim_start_matches("http://").to_owned();
    drop(fake);
    // The listener is closed when its task has ended.
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(matches!(sender.step(BEGIN, CHANCE).await, Step::Wait(_)));
    assert!(matches!(sender.watch().state().trouble, Some((Trouble::Unreachable(_), _))));
    let fake = Fake::start_at(&address).await;
    assert_eq!(sender.step(BEGIN, CHANCE).await, Step::Sent(1));
    assert_eq!(fake.lock().written, places(0..1));
}

#[tokio::test]
async fn what_somebody_changes_or_removes_behind_our_back_is_noticed() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let outbox = outbox(folder.path(), Limits::default());
    outbox.push(&events(0..4)).unwrap();
    let mut sender = sender(&fake, &outbox);
    drain(&mut sender).await;
    for _ in 0..8 {
        sender.look_back(BEGIN).await.unwrap();
    }
    assert!(sender.watch().state().is_ok(), "nobody has changed anything");
    fake.put(&place(1), json!({"source": "192.0.2.1"}));
    fake.put(&place(2), Value::Null);
    for _ in 0..8 {
        sender.look_back(BEGIN).await.unwrap();
    }
    let state = sender.watch().state();
    assert_eq!((state.rewritten, state.is_ok()), (2, false));
    assert!(state.remedy().unwrap().contains("who else may write"));
    fake.lock().outage = Some(Fault::status(503));
    assert_eq!(sender.look_back(BEGIN).await, Err(Trouble::Busy { status: 503, after: None }));
}

#[tokio::test]
async fn a_running_sender_looks_back_while_there_is_nothing_to_send() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let outbox = outbox(folder.path(), Limits::default());
    outbox.push(&events(0..2)).unwrap();
    let sender = sender(&fake, &outbox).looking_back_every(Duration::from_millis(10));
    let watch = sender.watch();
    let running = tokio::spawn(sender.run(|| BEGIN, || 0));
    let until = async |reached: &dyn Fn() -> bool| {
        for _ in 0..1000 {
            if reached() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{}", watch.state());
    };
    // Both were looked at, and are known.
    until(&|| fake.lock().seen.len() >= 3).await;
    assert!(watch.state().is_ok());
    fake.put(&place(0), Value::Null);
    until(&|| watch.state().rewritten == 1).await;
    fake.lock().outage = Some(Fault::status(503));
    until(&|| watch.state().trouble.is_some()).await;
    fake.lock().outage = None;
    until(&|| watch.state().trouble.is_none()).await;
    running.abort();
}

#[tokio::test]
async fn what_was_replaced_by_something_too_large_is_noticed_once_and_blocks_nothing() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let outbox = outbox(folder.path(), Limits::default());
    outbox.push(&events(0..2)).unwrap();
    let mut sender = sender(&fake, &outbox);
    drain(&mut sender).await;
    fake.put(&place(0), json!("x".repeat(2 << 20)));
    fake.put(&place(1), Value::Null);
    for _ in 0..4 {
        assert_eq!(sender.look_back(BEGIN).await, Ok(()));
    }
    assert_eq!(sender.watch().state().rewritten, 2);
}
