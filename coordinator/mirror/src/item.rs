//! What is mirrored, and where in the database it stands.
//!
//! Everything of a cluster is under `/clusters/<cluster>/`, in three lists. The key of an item is its time, epoch,
//! sequence and node. The time comes first so that the order of keys is the order of time: "the newest thousand" and
//! "all before March" are queries by key, which need no index in the database.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};
use smartfw_core::EventKind;
use thiserror::Error;

use crate::key::{self, BadKey};

/// The longest item, in bytes of JSON: a run of 256 KiB in base64, and as much again to spare.
pub const ITEM_BYTES: usize = 700 << 10;

/// The longest signed run, in bytes: what a cluster's members accept.
pub const RUN_BYTES: usize = 512 << 10;

/// Levels of a row. The database has 32; the lists are the fourth.
pub const ROW_LEVELS: usize = 24;

/// The last instant that fits a key: fifteen digits of milliseconds, in the year 33658.
const LAST_MILLIS: u64 = 999_999_999_999_999;

/// The folder of a cluster in the database: its name, as a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cluster(String);

impl Cluster {
    /// The folder of the cluster of this name.
    ///
    /// # Errors
    /// When the name is empty or too long for a key.
    pub fn new(name: &str) -> Result<Self, BadKey> {
        key::encode(name).map(Self)
    }

    /// Where it stands in the database, as keys from the root on.
    pub(crate) fn path(&self) -> Vec<&str> {
        vec!["clusters", &self.0]
    }
}

/// The cluster's name as a key.
impl fmt::Display for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The lists of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum List {
    /// What happened: unsigned, for people and their tools.
    Events,
    /// What is blocked: unsigned, for people and their tools.
    Blocks,
    /// Signed runs, verbatim: the only ones that another cluster may act upon.
    Runs,
}

impl List {
    /// All lists.
    pub const ALL: [Self; 3] = [Self::Events, Self::Blocks, Self::Runs];

    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Blocks => "blocks",
            Self::Runs => "runs",
        }
    }
}

/// Who said something, and as what: an item that is mirrored twice stands in one place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ItemId {
    /// When, in milliseconds since 1970: the same at every repetition.
    pub millis: u64,
    /// The epoch of the node's log.
    pub epoch: u64,
    /// The number in that epoch.
    pub sequence: u64,
    /// The node.
    pub node: String,
}

impl ItemId {
    /// The item's key.
    ///
    /// # Errors
    /// When the node's name cannot stand in a key.
    pub fn to_key(&self) -> Result<String, BadKey> {
        let Self { millis, epoch, sequence, node } = self;
        let (millis, node) = ((*millis).min(LAST_MILLIS), key::encode(node)?);
        let key = format!("{millis:015}-{epoch:016x}-{sequence:016x}-{node}");
        if key.len() > key::KEY_BYTES { Err(BadKey::TooLong) } else { Ok(key) }
    }

    /// The item that stands under a key.
    ///
    /// # Errors
    /// When [`ItemId::to_key`] never makes such a key.
    pub fn from_key(key: &str) -> Result<Self, BadKey> {
        let read = || {
            let mut parts = key.splitn(4, '-');
            let millis = parts.next()?.parse().ok()?;
            let epoch = u64::from_str_radix(parts.next()?, 16).ok()?;
            let sequence = u64::from_str_radix(parts.next()?, 16).ok()?;
            Some(Self { millis, epoch, sequence, node: key::decode(parts.next()?).ok()? })
        };
        let id: Self = read().ok_or(BadKey::Foreign)?;
        if id.to_key()? == key { Ok(id) } else { Err(BadKey::Foreign) }
    }
}

/// The first key of an instant: everything older is before it.
pub(crate) fn first_key_of(millis: u64) -> String {
    format!("{:015}", millis.min(LAST_MILLIS))
}

/// Something to be mirrored, as the database will take it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    path: String,
    body: Vec<u8>,
}

/// The database would not take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadItem {
    /// A name in it cannot be a key.
    #[error("a name in it cannot be a key of the database: {0}")]
    Key(#[from] BadKey),
    /// It is larger than an item may be.
    #[error("it is larger than {ITEM_BYTES} bytes")]
    TooLarge,
    /// It has more levels than a row may have.
    #[error("it has more than {ROW_LEVELS} levels")]
    TooDeep,
    /// It is told in something else than JSON.
    #[error("it is no JSON")]
    NoJson,
    /// To the database that would be nothing at all.
    #[error("nothing is in it: the database would remove the row instead of writing it")]
    Nothing,
}

impl Item {
    /// What a node told, in one JSON object: in the list where its kind belongs, for people and their tools.
    ///
    /// # Errors
    /// When the database would not take it.
    pub fn told(id: &ItemId, kind: EventKind, body: &str) -> Result<Self, BadItem> {
        let row = serde_json::from_str(body).map_err(|_| BadItem::NoJson)?;
        match kind {
            EventKind::Block | EventKind::Lift => Self::block(id, row),
            EventKind::Alert | EventKind::Health | EventKind::Audit => Self::event(id, row),
        }
    }

    /// An event, for people and their tools.
    ///
    /// # Errors
    /// When the database would not take it.
    pub fn event(id: &ItemId, row: Value) -> Result<Self, BadItem> {
        Self::row(List::Events, id, row)
    }

    /// A block, for people and their tools.
    ///
    /// # Errors
    /// When the database would not take it.
    pub fn block(id: &ItemId, row: Value) -> Result<Self, BadItem> {
        Self::row(List::Blocks, id, row)
    }

    /// A signed run, verbatim.
    ///
    /// # Errors
    /// When it is too large.
    pub fn run(id: &ItemId, bytes: &[u8]) -> Result<Self, BadItem> {
        if bytes.len() > RUN_BYTES {
            return Err(BadItem::TooLarge);
        }
        Self::new(List::Runs, id, &Value::String(STANDARD.encode(bytes)))
    }

    fn row(list: List, id: &ItemId, row: Value) -> Result<Self, BadItem> {
        let row = encode_names(row, ROW_LEVELS)?;
        if is_nothing(&row) { Err(BadItem::Nothing) } else { Self::new(list, id, &row) }
    }

    fn new(list: List, id: &ItemId, value: &Value) -> Result<Self, BadItem> {
        let (path, body) = (format!("{}/{}", list.key(), id.to_key()?), value.to_string().into_bytes());
        if body.len() > ITEM_BYTES { Err(BadItem::TooLarge) } else { Ok(Self { path, body }) }
    }

    pub(crate) fn from_stored(path: &str, body: &[u8]) -> Self {
        Self { path: path.to_owned(), body: body.to_owned() }
    }

    /// Where it stands under its cluster.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its list, and the instant in its key, in milliseconds since 1970.
    pub(crate) fn stands(&self) -> Option<(List, u64)> {
        let (list, key) = self.path.split_once('/')?;
        let list = List::ALL.into_iter().find(|one| one.key() == list)?;
        ItemId::from_key(key).ok().map(|id| (list, id.millis))
    }

    /// Its JSON.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Its size, in bytes.
    pub fn size(&self) -> u64 {
        (self.path.len() + self.body.len()) as u64
    }
}

/// The database keeps no null, and nothing that holds nothing else.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.values().all(is_nothing),
        Value::Array(all) => all.iter().all(is_nothing),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// A row whose names are keys, at every level.
fn encode_names(value: Value, levels: usize) -> Result<Value, BadItem> {
    let below = levels.checked_sub(1).ok_or(BadItem::TooDeep);
    match value {
        Value::Object(map) => {
            let below = below?;
            let pairs = map.into_iter().map(|(name, v)| Ok((key::encode(&name)?, encode_names(v, below)?)));
            pairs.collect::<Result<Map<_, _>, BadItem>>().map(Value::Object)
        }
        Value::Array(all) => {
            let below = below?;
            let each = all.into_iter().map(|value| encode_names(value, below));
            each.collect::<Result<_, BadItem>>().map(Value::Array)
        }
        value => Ok(value),
    }
}

/// The row as it was before [`encode_names`]. A name that is none of ours stays as it is.
pub(crate) fn decode_names(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let name = |key: String| key::decode(&key).unwrap_or(key);
            Value::Object(map.into_iter().map(|(k, v)| (name(k), decode_names(v))).collect())
        }
        Value::Array(all) => Value::Array(all.into_iter().map(decode_names).collect()),
        value => value,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn id(millis: u64, node: &str) -> ItemId {
        ItemId { millis, epoch: 7, sequence: 9, node: node.into() }
    }

    #[test]
    fn an_item_stands_under_time_epoch_sequence_and_node() {
        let item = Item::event(&id(1_700_000_000_000, "web-1.example"), json!({"source": "203.0.113.7"}));
        let item = item.unwrap();
        assert_eq!(item.path(), "events/001700000000000-0000000000000007-0000000000000009-web-1,example");
        assert_eq!(item.body(), br#"{"source":"203.0.113.7"}"#);
    }

    #[test]
    fn blocks_and_what_lifts_them_stand_in_one_list_and_all_else_in_the_other() {
        let list = |kind| {
            let item = Item::told(&id(1, "web-1"), kind, r#"{"kind":"one of ours"}"#).unwrap();
            item.path().split('/').next().unwrap().to_owned()
        };
        let lists =
            [EventKind::Block, EventKind::Lift, EventKind::Alert, EventKind::Health, EventKind::Audit];
        assert_eq!(lists.map(list), ["blocks", "blocks", "events", "events", "events"]);
        assert_eq!(Item::told(&id(1, "n"), EventKind::Alert, "no JSON"), Err(BadItem::NoJson));
    }

    #[test]
    fn names_within_a_row_are_keys_and_come_back() {
        let row = json!({"features": {"http.requests/s": [{"a.b": 1}]}});
        let coded = encode_names(row.clone(), ROW_LEVELS).unwrap();
        assert_eq!(coded, json!({"features": {"http,requests~2fs": [{"a,b": 1}]}}));
        assert_eq!(decode_names(coded), row);
    }

    #[test]
    fn what_the_database_would_not_take_is_refused_at_once() {
        let id = id(1, "n");
        for nothing in
            [json!(null), json!({}), json!([]), json!({"a": null}), json!({"a": [{"b": {}}, null]})]
        {
            assert_eq!(Item::event(&id, nothing.clone()), Err(BadItem::Nothing), "{nothing}");
        }
        for something in [json!(false), json!(0), json!(""), json!({"a": null, "b": [0]})] {
            assert!(Item::event(&id, something.clone()).is_ok(), "{something}");
        }
        assert_eq!(Item::event(&id, json!({"": 1})), Err(BadItem::Key(BadKey::Empty)));
        assert_eq!(Item::event(&id, json!("x".repeat(ITEM_BYTES))), Err(BadItem::TooLarge));
        assert_eq!(Item::run(&id, &vec![0; RUN_BYTES + 1]), Err(BadItem::TooLarge));
        assert!(Item::run(&id, &vec![0; RUN_BYTES]).is_ok());
        let deep = |levels| (0..levels).fold(json!(1), |inner, _| json!([inner]));
        assert!(Item::event(&id, deep(ROW_LEVELS)).is_ok());
        assert_eq!(Item::event(&id, deep(ROW_LEVELS + 1)), Err(BadItem::TooDeep));
    }

    proptest! {
        #[test]
        fn the_order_of_keys_is_the_order_of_time(a in 0..=LAST_MILLIS, b in 0..=LAST_MILLIS) {
            let (one, other) = (id(a, "z").to_key().unwrap(), id(b, "a").to_key().unwrap());
            prop_assert!(a == b || (a < b) == (one < other));
            prop_assert!(first_key_of(a) < one);
        }

        #[test]
        fn an_id_comes_back_from_its_key(
            millis in 0..=LAST_MILLIS, epoch: u64, sequence: u64, node in "(?s).{1,40}"
        ) {
            let id = ItemId { millis, epoch, sequence, node };
            prop_assert_eq!(ItemId::from_key(&id.to_key().unwrap()).unwrap(), id);
        }

        #[test]
        fn any_key_is_an_id_or_refused(key in "(?s).{0,60}|[0-9a-f]{0,16}-[0-9a-f]{0,17}-[0-9a-fA-F]{16}-.{0,5}") {
            if let Ok(id) = ItemId::from_key(&key) {
                prop_assert_eq!(id.to_key().unwrap(), key);
            }
        }
    }
}
