//! What other clusters say, and what attackers say.

use std::time::Duration;

use serde_json::{Value, json};
use smartfw_mirror::{Got, Heard, Item, List, Receiver, Trouble, WINDOW};
use smartfw_mirror_fake::{Fake, Fault};
use tokio::{sync::mpsc, time::timeout};

use super::support::*;

#[tokio::test]
async fn what_another_cluster_sends_is_heard_as_it_was_said() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let outbox = outbox(folder.path(), smartfw_mirror::Limits::default());
    let (mut runs, mut blocks) = (receiver(&fake, List::Runs), receiver(&fake, List::Blocks));
    assert_eq!(hear(&mut runs, 0).await, []);
    let row = json!({"target": "203.0.113.7/32", "features": {"a.b": 1}});
    outbox
        .push(&[Item::run(&id(1), b"\x00run\xff").unwrap(), Item::block(&id(2), row.clone()).unwrap()])
        .unwrap();
    outbox.push(&events(3..5)).unwrap();
    drain(&mut sender(&fake, &outbox)).await;
    assert_eq!(hear(&mut runs, 1).await, [Heard::Run { id: id(1), bytes: b"\x00run\xff".to_vec() }]);
    assert_eq!(
        hear(&mut blocks, 1).await,
        [Heard::Row { id: id(2), row }],
        "a row that nobody signed is another thing"
    );
}

#[tokio::test]
async fn only_the_newest_are_asked_for_and_never_the_root() {
    let fake = Fake::start().await;
    let many: Value = (0..WINDOW as u64 + 50).map(|n| (key(n), run_json(n, b"run"))).collect();
    fake.put(RUNS, many);
    let heard = hear(&mut receiver(&fake, List::Runs), WINDOW).await;
    assert_eq!(sequences(&heard), (50..WINDOW as u64 + 50).collect::<Vec<_>>());
    let target = fake.lock().seen[0].target.clone();
    assert_eq!(target, "/clusters/prod,eu/runs.json?orderBy=%22%24key%22&limitToLast=1000");
}

#[tokio::test]
async fn after_a_cut_only_what_was_missed_is_told() {
    let fake = Fake::start().await;
    fake.put(&run_at(1), run_json(1, b"one"));
    let mut receiver = receiver(&fake, List::Runs);
    assert_eq!(sequences(&hear(&mut receiver, 1).await), [1]);
    fake.lock().listeners.cut();
    fake.put(&run_at(2), run_json(2, b"two"));
    assert_eq!(sequences(&hear(&mut receiver, 1).await), [2]);
    fake.put(&run_at(3), run_json(3, b"three"));
    assert_eq!(sequences(&hear(&mut receiver, 1).await), [3]);
    assert!(receiver.watch().state().is_ok());
}

#[tokio::test]
async fn a_stream_that_falls_silent_is_opened_anew_and_signs_of_life_keep_it() {
    let fake = Fake::start().await;
    let mut receiver = receiver(&fake, List::Runs);
    assert_eq!(receiver.step(BEGIN, CHANCE).await, Got::Connected);
    assert_eq!(receiver.step(BEGIN, CHANCE).await, Got::Heard(vec![]));
    for _ in 0..3 {
        tokio::time::sleep(PATIENCE.silence / 2).await;
        fake.lock().listeners.say("event: keep-alive\ndata: null\n\n");
        assert_eq!(receiver.step(BEGIN, CHANCE).await, Got::Heard(vec![]));
    }
    assert!(matches!(receiver.step(BEGIN, CHANCE).await, Got::Wait(_)));
    assert_eq!(receiver.watch().state().trouble, Some((Trouble::Silent, BEGIN)));
    assert_eq!(receiver.step(BEGIN, CHANCE).await, Got::Connected);
    assert_eq!(receiver.step(BEGIN, CHANCE).await, Got::Heard(vec![]));
    assert!(receiver.watch().state().is_ok());
}

#[tokio::test]
async fn a_cancelled_stream_tells_why_and_waits() {
    let fake = Fake::start().await;
    let mut receiver = receiver(&fake, List::Runs);
    hear(&mut receiver, 0).await;
    fake.lock().listeners.say("event: cancel\ndata: null\n\n");
    assert!(matches!(receiver.step(BEGIN, CHANCE).await, Got::Wait(_)));
    let state = receiver.watch().state();
    assert_eq!(state.trouble, Some((Trouble::Cancelled, BEGIN)));
    assert!(state.remedy().unwrap().contains("rules"));
}

#[tokio::test]
async fn what_was_said_before_the_end_is_heard() {
    let fake = Fake::start().await;
    let mut receiver = receiver(&fake, List::Runs);
    hear(&mut receiver, 0).await;
    let put = json!({"path": format!("/{}", key(1)), "data": run_json(1, b"run")});
    fake.lock().listeners.say(&format!("event: put\ndata: {put}\n\nevent: cancel\ndata: null\n\n"));
    assert!(matches!(receiver.step(BEGIN, CHANCE).await, Got::Heard(heard) if sequences(&heard) == [1]));
    assert!(matches!(receiver.step(BEGIN, CHANCE).await, Got::Wait(_)));
}

#[tokio::test]
async fn an_attackers_rows_are_unreadable_or_bytes_and_stop_nobody_elses() {
    let fake = Fake::start().await;
    let deep = (0..25).fold(json!(1), |inner, _| json!({ "d": inner }));
    fake.put(RUNS, json!({
        "0": "x", "not-ours": {"run": 1}, "zzzz": deep, key(1): {"target": "0.0.0.0/0"}, key(2): "no base64!",
        key(3): run_json(3, b"forged"), key(4): "A".repeat(800 << 10),
    }));
    let heard = hear(&mut receiver(&fake, List::Runs), 7).await;
    let unreadable = heard.iter().filter(|heard| matches!(heard, Heard::Unreadable { .. })).count();
    assert_eq!(
        (unreadable, sequences(&heard)),
        (6, vec![3]),
        "whether the signature is good is for others to say"
    );
}

#[tokio::test]
async fn rewritten_and_removed_data_is_noticed_also_across_a_cut() {
    let fake = Fake::start().await;
    fake.put(RUNS, (0..4).map(|n| (key(n), run_json(n, b"true"))).collect());
    let mut receiver = receiver(&fake, List::Runs);
    hear(&mut receiver, 4).await;
    fake.put(&run_at(1), run_json(1, b"false"));
    let told = hear(&mut receiver, 2).await;
    assert_eq!(told[0], Heard::Rewritten { key: key(1) });
    assert_eq!(told[1], Heard::Run { id: id(1), bytes: b"false".to_vec() });
    fake.lock().listeners.cut();
    fake.put(&run_at(2), run_json(2, b"false"));
    fake.put(&run_at(3), Value::Null);
    let told = hear(&mut receiver, 2).await;
    assert_eq!(told[..2], [Heard::Removed { key: key(3) }, Heard::Rewritten { key: key(2) }]);
    assert_eq!(receiver.watch().state().rewritten, 3);
    fake.put(&run_at(5), run_json(5, b"true"));
    hear(&mut receiver, 1).await;
    fake.put(&run_at(2), Value::Null);
    assert_eq!(hear(&mut receiver, 1).await, [Heard::Removed { key: key(2) }]);
}

#[tokio::test]
async fn a_window_that_is_too_large_is_made_smaller_until_the_newest_fit() {
    let fake = Fake::start().await;
    // Thirty of half a megabyte are more than one event may have.
    fake.put(RUNS, (0..30).map(|n| (key(n), run_json(n, &vec![1; 400 << 10]))).collect());
    let mut receiver = receiver(&fake, List::Runs);
    let heard = hear(&mut receiver, 1).await;
    let last = sequences(&heard);
    assert_eq!(last, (15..30).collect::<Vec<_>>(), "1000 / 2 / 2 / 2 / 2 / 2 / 2");
    let small = (0..WINDOW as u64).map(|n| (key(n), run_json(n, b"run"))).collect();
    fake.put(RUNS, Value::Null);
    fake.put(RUNS, small);
    let mut asked = Vec::new();
    for _ in 0..7 {
        fake.lock().listeners.cut();
        fake.lock().faults.extend([Fault::status(503), Fault::status(503)]);
        while !matches!(receiver.step(BEGIN, CHANCE).await, Got::Connected) {}
        while matches!(receiver.step(BEGIN, CHANCE).await, Got::Heard(heard) if heard.is_empty()) {}
        asked.push(limit_of(&fake.lock().seen.last().unwrap().target));
    }
    assert_eq!(
        asked,
        [30, 60, 120, 240, 480, 960, WINDOW],
        "each stream that fits doubles it, and no outage does"
    );
}

/// The rows that a request asked for.
fn limit_of(target: &str) -> usize {
    target.rsplit_once("limitToLast=").unwrap().1.parse().unwrap()
}

#[tokio::test]
async fn a_line_without_end_ends_the_stream_and_not_the_memory() {
    let fake = Fake::start().await;
    let mut receiver = receiver(&fake, List::Runs);
    hear(&mut receiver, 0).await;
    let flood = "x".repeat(1 << 20);
    for _ in 0..10 {
        fake.lock().listeners.say(&flood);
    }
    let mut waited = false;
    while !waited {
        waited = matches!(receiver.step(BEGIN, CHANCE).await, Got::Wait(_));
    }
    assert!(matches!(receiver.watch().state().trouble, Some((Trouble::TooLong { .. }, _))));
}

#[tokio::test]
async fn nonsense_and_outages_are_waited_out() {
    let fake = Fake::start().await;
    let mut receiver = receiver(&fake, List::Runs);
    let faults = [Fault::status(503), Fault::Hang, Fault::Cut, Fault::status(200), Fault::status(400)];
    fake.lock().faults.extend(faults);
    for seconds in [1, 2, 4, 8, 16] {
        assert_eq!(receiver.step(BEGIN, CHANCE).await, Got::Wait(Duration::from_secs(seconds)));
    }
    assert_eq!(receiver.step(BEGIN, CHANCE).await, Got::Connected);
    assert_eq!(receiver.step(BEGIN, CHANCE).await, Got::Heard(vec![]));
    for nonsense in
        ["event: put\ndata: {\n\n", "event: patch\ndata: 7\n\n", "data: \u{1}\n\nevent: put\ndata: \n\n"]
    {
        hear(&mut receiver, 0).await;
        fake.lock().listeners.say("event: keep-alive\ndata: null\n\n");
        let later = BEGIN + Duration::from_secs(60);
        assert_eq!(receiver.step(later, CHANCE).await, Got::Heard(vec![]));
        fake.lock().listeners.say(nonsense);
        let got = receiver.step(BEGIN, CHANCE).await;
        assert_eq!(
            got,
            Got::Wait(Duration::from_secs(1)),
            "what went well lets the wait begin anew: {nonsense:?}"
        );
        assert!(matches!(receiver.watch().state().trouble, Some((Trouble::Nonsense(_), _))), "{nonsense:?}");
    }
}

#[tokio::test]
async fn streams_that_end_early_are_opened_less_and_less_often_until_one_lives_a_minute() {
    let fake = Fake::start().await;
    let mut receiver = receiver(&fake, List::Runs);
    let mut now = BEGIN;
    for (lived, wait) in [(0, 1), (59, 2), (59, 4), (60, 1), (0, 2)] {
        assert_eq!(receiver.step(now, CHANCE).await, Got::Connected);
        assert_eq!(receiver.step(now, CHANCE).await, Got::Heard(vec![]));
        now += Duration::from_secs(lived);
        fake.lock().listeners.say("event: keep-alive\ndata: null\n\n");
        assert_eq!(receiver.step(now, CHANCE).await, Got::Heard(vec![]));
        fake.lock().listeners.cut();
        assert_eq!(receiver.step(now, CHANCE).await, Got::Wait(Duration::from_secs(wait)), "after {lived} s");
    }
}

#[tokio::test]
async fn a_running_receiver_of_a_quiet_list_ends_with_its_listener() {
    let fake = Fake::start().await;
    let (to, from) = mpsc::channel(2);
    let mut quiet = receiver(&fake, List::Runs);
    hear(&mut quiet, 0).await;
    let running = tokio::spawn(quiet.run(|| BEGIN, || 0, to));
    drop(from);
    timeout(PATIENCE.silence / 2, running).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_running_receiver_hands_over_what_it_hears_and_ends_with_its_listener() {
    let fake = Fake::start().await;
    fake.put(RUNS, (0..20).map(|n| (key(n), run_json(n, b"run"))).collect());
    let (to, mut from) = mpsc::channel(2);
    let running = tokio::spawn(receiver(&fake, List::Runs).run(|| BEGIN, || 0, to));
    for n in 0..20 {
        assert!(matches!(from.recv().await, Some(Heard::Run { id, .. }) if id.sequence == n));
    }
    drop(from);
    fake.put(&run_at(21), run_json(21, b"run"));
    timeout(Duration::from_secs(5), running).await.unwrap().unwrap();
}

const RUNS: &str = "clusters/prod,eu/runs";

fn key(sequence: u64) -> String {
    id(sequence).to_key().unwrap()
}

fn run_at(sequence: u64) -> String {
    format!("{RUNS}/{}", key(sequence))
}

fn sequences(heard: &[Heard]) -> Vec<u64> {
    let run = |heard: &Heard| match heard {
        Heard::Run { id, .. } => Some(id.sequence),
        _ => None,
    };
    heard.iter().filter_map(run).collect()
}

/// Steps, also over troubles, until the stream is open and at least so much was heard.
async fn hear(receiver: &mut Receiver, least: usize) -> Vec<Heard> {
    let mut all = Vec::new();
    for _ in 0..10_000 {
        match receiver.step(BEGIN, CHANCE).await {
            Got::Heard(heard) => all.extend(heard),
            Got::Connected | Got::Wait(_) => continue,
        }
        if all.len() >= least && receiver.watch().state().trouble.is_none() {
            return all;
        }
    }
    panic!("heard only {all:?}");
}
