//! The data: one JSON value, as the database keeps it. Nothing is null and no object is empty.

use ring::digest::{SHA256, digest};
use serde_json::{Map, Value, json};

/// Levels of the whole tree.
const LEVELS: usize = 32;

/// Bytes of a key.
const KEY_BYTES: usize = 768;

/// Where something stands, from the root on.
pub(crate) type Path = Vec<String>;

/// The keys of a path; empty ones do not count.
pub(crate) fn path(text: &str) -> Path {
    text.split('/').filter(|key| !key.is_empty()).map(str::to_owned).collect()
}

/// What stands at a path; null if nothing does.
pub(crate) fn get(root: &Value, path: &[String]) -> Value {
    path.iter().try_fold(root, |value, key| value.get(key)).cloned().unwrap_or_default()
}

/// Puts a value at a path. Null removes; what becomes empty is removed too.
pub(crate) fn set(root: &mut Value, path: &[String], value: Value) {
    match path.split_first() {
        None => *root = pruned(value),
        Some((key, rest)) => {
            if !root.is_object() {
                *root = json!({});
            }
            if let Value::Object(map) = root {
                let child = map.entry(key.clone()).or_insert(Value::Null);
                set(child, rest, value);
                if child.is_null() {
                    map.shift_remove(key);
                }
                map.sort_keys();
                if map.is_empty() {
                    *root = Value::Null;
                }
            }
        }
    }
}

fn pruned(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.into_iter().map(|(key, value)| (key, pruned(value)));
            let mut kept: Map<_, _> = kept.filter(|(_, value)| !value.is_null()).collect();
            kept.sort_keys();
            if kept.is_empty() { Value::Null } else { Value::Object(kept) }
        }
        Value::Array(all) if all.is_empty() => Value::Null,
        Value::Array(all) => Value::Array(all.into_iter().map(pruned).collect()),
        value => value,
    }
}

/// The database's name for a content.
pub(crate) fn etag(value: &Value) -> String {
    if value.is_null() {
        return "null_etag".to_owned();
    }
    let hash = digest(&SHA256, value.to_string().as_bytes());
    hash.as_ref()[..14].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Why the database would not take a value at this depth.
pub(crate) fn refusal(value: &Value, depth: usize) -> Option<String> {
    let below: Vec<(Option<&String>, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(key, value)| (Some(key), value)).collect(),
        Value::Array(all) => all.iter().map(|value| (None, value)).collect(),
        _ => return (depth > LEVELS).then(|| "Invalid data; the path is too deep".to_owned()),
    };
    below.into_iter().find_map(|(key, value)| {
        let bad = key.filter(|key| !is_key(key) && *key != ".sv");
        bad.map(|_| {
            "Invalid data; couldn't parse key beginning at 1:2. Key value can't be empty or contain \
                     $ # [ ] / or ."
                .to_owned()
        })
        .or_else(|| refusal(value, depth + 1))
    })
}

pub(crate) fn is_key(key: &str) -> bool {
    let forbidden =
        |letter: char| matches!(letter, '.' | '$' | '#' | '[' | ']' | '/') || letter.is_ascii_control();
    !key.is_empty() && key.len() <= KEY_BYTES && !key.contains(forbidden)
}

/// The value with `.sv` replaced: by the time, or by what stood there and more.
pub(crate) fn with_server_values(value: Value, before: &Value, now: u64) -> Value {
    match value {
        Value::Object(map) if map.len() == 1 && map.contains_key(".sv") => {
            server_value(&map[".sv"], before, now)
        }
        Value::Object(map) => {
            let each = map.into_iter().map(|(key, value)| {
                let before = before.get(&key).cloned().unwrap_or_default();
                (key, with_server_values(value, &before, now))
            });
            Value::Object(each.collect())
        }
        value => value,
    }
}

fn server_value(wanted: &Value, before: &Value, now: u64) -> Value {
    match wanted.get("increment").and_then(Value::as_i64) {
        Some(more) => json!(before.as_i64().unwrap_or_default() + more),
        None => json!(now),
    }
}
