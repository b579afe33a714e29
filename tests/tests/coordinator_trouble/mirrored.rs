//! Whether a mirror's database has what the history has.

use std::collections::BTreeMap;

use serde_json::Value;
use smartfw_tests::{
    coordinator::{Coordinator, Session},
    database::Database,
    process::until,
};

use super::common::SHOWN;

/// An event's place in the database, and what stands there.
type Rows = BTreeMap<Place, Value>;
/// The life of the node's buffer, and the number.
type Place = (String, String);

/// Everything that a node told stands in the database once, as the history has it, and came there in its order.
#[track_caller]
pub(super) fn mirrored(coordinator: &Coordinator, session: &Session, database: &Database, node: &str) {
    let kept: Vec<Value> =
        coordinator.history(session, &format!("node={node}")).into_iter().map(without_nulls).collect();
    until("the database has as much", SHOWN, || rows(database, node).len() >= kept.len()).unwrap();
    let there: Vec<Value> = rows(database, node).into_values().collect();
    assert_eq!(there, kept);
    let mut came: Vec<Place> = Vec::new();
    for path in &database.lock().written {
        let place = path.rsplit('/').next().and_then(|key| place(key, node));
        // What is sent again after its answer was lost goes to the same place.
        came.extend(place.filter(|place| !came.contains(place)));
    }
    assert!(came.is_sorted(), "{came:?}");
}

fn rows(database: &Database, node: &str) -> Rows {
    let mut rows = Rows::new();
    for list in ["events", "blocks"] {
        let list = database.at(&format!("clusters/prod/{list}"));
        let list = list.as_object().cloned().unwrap_or_default();
        rows.extend(list.into_iter().filter_map(|(key, row)| Some((place(&key, node)?, row))));
    }
    rows
}

/// The place that a key names: `<time>-<epoch>-<sequence>-<node>`.
fn place(key: &str, node: &str) -> Option<Place> {
    let parts: Vec<&str> = key.splitn(4, '-').collect();
    let [_, epoch, sequence, whose] = parts[..] else { return None };
    (whose == node).then(|| (epoch.to_owned(), sequence.to_owned()))
}

/// The database keeps no nulls, no empty objects and no empty lists.
fn without_nulls(value: Value) -> Value {
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    };
    match value {
        Value::Object(map) => {
            let kept = map.into_iter().map(|(key, value)| (key, without_nulls(value)));
            Value::Object(kept.filter(|(_, value)| !empty(value)).collect())
        }
        value => value,
    }
}
