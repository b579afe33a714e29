use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::item::{Item, ItemId};

#[test]
fn only_what_is_new_is_told() {
    let mut copy = Copy::new(List::Runs, 100);
    assert_eq!(put(&mut copy, "/", json!({ key(1): body(1), key(2): body(2) })), [run(1), run(2)]);
    assert_eq!(put(&mut copy, &format!("/{}", key(3)), body(3)), [run(3)]);
    assert_eq!(patch(&mut copy, "/", json!({ key(3): body(3), key(4): body(4) })), [run(4)]);
    let all = json!({ key(1): body(1), key(2): body(2), key(3): body(3), key(4): body(4), key(5): body(5) });
    assert_eq!(put(&mut copy, "/", all), [run(5)], "a resync tells what was missed");
}

#[test]
fn what_was_changed_behind_our_back_is_told_with_what_stands_there_now() {
    let mut copy = Copy::new(List::Runs, 100);
    put(&mut copy, "/", json!({ key(1): body(1), key(2): body(2) }));
    let told = put(&mut copy, &format!("/{}", key(1)), body(7));
    let now = Heard::Run { id: id(1), bytes: bytes(7) };
    assert_eq!(told, [Heard::Rewritten { key: key(1) }, now]);
    let told = put(&mut copy, "/", json!({ key(1): body(7), key(2): body(8) }));
    assert_eq!(told[0], Heard::Rewritten { key: key(2) });
    assert_eq!(put(&mut copy, &format!("/{}/x", key(2)), json!(1)), [Heard::Rewritten { key: key(2) }]);
}

#[test]
fn the_order_of_names_is_no_change() {
    let mut copy = Copy::new(List::Blocks, 100);
    assert_eq!(put(&mut copy, "/", json!({ key(1): {"a": {"x": 1, "y": 2}, "b": 2} })).len(), 1);
    assert_eq!(put(&mut copy, "/", json!({ key(1): {"b": 2, "a": {"y": 2, "x": 1}} })), []);
}

#[test]
fn what_slid_out_of_the_window_is_not_what_was_removed() {
    let mut copy = Copy::new(List::Runs, 100);
    put(&mut copy, "/", json!({ key(1): body(1), key(2): body(2), key(3): body(3) }));
    assert_eq!(put(&mut copy, &format!("/{}", key(1)), json!(null)), [], "the oldest");
    assert_eq!(put(&mut copy, &format!("/{}", key(3)), json!(null)), [Heard::Removed { key: key(3) }]);
    put(&mut copy, "/", json!({ key(2): body(2), key(4): body(4), key(5): body(5) }));
    let told = put(&mut copy, "/", json!({ key(4): body(4), key(6): body(6) }));
    assert_eq!(told, [Heard::Removed { key: key(5) }, run(6)]);
    assert_eq!(put(&mut copy, "/", json!(null)).len(), 2, "everything was removed");
}

#[test]
fn the_oldest_that_are_tidied_away_at_once_are_not_what_was_removed_in_whatever_order_they_are_named() {
    let mut copy = Copy::new(List::Runs, 100);
    put(&mut copy, "/", (1..=4).map(|n| (key(n), body(0))).collect());
    let gone = format!(r#"{{"path":"/","data":{{"{}":null,"{}":null}}}}"#, key(2), key(1));
    assert_eq!(copy.patch(&Change::read(&gone).unwrap()).unwrap(), []);
    let gone = format!(r#"{{"path":"/","data":{{"{}":null}}}}"#, key(4));
    let told = copy.patch(&Change::read(&gone).unwrap()).unwrap();
    assert_eq!(told, [Heard::Removed { key: key(4) }]);
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut copy = Copy::new(List::Runs, 10);
    for n in 0..50 {
        put(&mut copy, &format!("/{}", key(n)), body(0));
    }
    assert_eq!(copy.known.len(), 10);
    assert_eq!(put(&mut copy, &format!("/{}", key(49)), body(0)), []);
}

#[test]
fn what_cannot_be_read_is_told_once_and_stops_nothing() {
    let mut copy = Copy::new(List::Runs, 100);
    let rows = json!({ "mine": 1, key(1): body(1), "x".repeat(800): 2 });
    let told = put(&mut copy, "/", rows);
    assert!(matches!(told[0], Heard::Unreadable { .. }) && told[1] == run(1), "{told:?}");
    assert!(matches!(told[2], Heard::Unreadable { why: "its key is too long", .. }));
    assert_eq!(put(&mut copy, "/mine", json!(1)), []);
    assert!(matches!(put(&mut copy, "/", json!("all gone"))[..], [Heard::Unreadable { .. }]));
}

proptest! {
    #[test]
    fn no_change_is_too_odd(path in "(/[a-c0-9-]{0,4}){0,3}", data in "null|1|\\{\\}|\\{\"a(/b)?\":(null|[12])\\}") {
        let mut copy = Copy::new(List::Blocks, 3);
        for _ in 0..2 {
            let text = format!(r#"{{"path":"{path}","data":{data}}}"#);
            let change = Change::read(&text).unwrap();
            let _ = copy.put(&change).unwrap();
            let _ = copy.patch(&change).unwrap();
        }
    }
}

fn put(copy: &mut Copy, path: &str, data: Value) -> Vec<Heard> {
    copy.put(&change(path, &data)).unwrap()
}

fn patch(copy: &mut Copy, path: &str, data: Value) -> Vec<Heard> {
    copy.patch(&change(path, &data)).unwrap()
}

fn change(path: &str, data: &Value) -> Change {
    Change::read(&json!({"path": path, "data": data}).to_string()).unwrap()
}

fn id(sequence: u64) -> ItemId {
    ItemId { millis: sequence, epoch: 1, sequence, node: "web-1".into() }
}

fn key(sequence: u64) -> String {
    id(sequence).to_key().unwrap()
}

fn bytes(content: u8) -> Vec<u8> {
    vec![content; 5]
}

fn body(content: u8) -> Value {
    serde_json::from_slice(Item::run(&id(1), &bytes(content)).unwrap().body()).unwrap()
}

fn run(sequence: u8) -> Heard {
    Heard::Run { id: id(sequence.into()), bytes: bytes(sequence) }
}
