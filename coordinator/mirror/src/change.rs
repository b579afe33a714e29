//! What an event of the stream says: a place and what stands there now.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::trouble::Trouble;

/// The data of `put` and `patch`.
#[derive(Debug, Deserialize)]
pub(crate) struct Change {
    /// From the place that is streamed on; `/` is that place itself.
    pub(crate) path: String,
    pub(crate) data: Box<RawValue>,
}

impl Change {
    pub(crate) fn read(data: &str) -> Result<Self, Trouble> {
        serde_json::from_str(data).map_err(|_| Trouble::Nonsense("an event is no change of data".to_owned()))
    }

    /// The children that it names.
    pub(crate) fn children(&self) -> Result<Option<Rows>, Trouble> {
        children(&self.data)
    }
}

/// Keys and rows, unread.
pub(crate) type Rows = Vec<(String, Box<RawValue>)>;

/// The children of a value. `None` when it is no object; nothing has none.
pub(crate) fn children(of: &RawValue) -> Result<Option<Rows>, Trouble> {
    match of.get().as_bytes() {
        b"null" => Ok(Some(Vec::new())),
        [b'{', ..] => match serde_json::from_str(of.get()) {
            Ok(Children(children)) => Ok(Some(children)),
            Err(_) => Err(Trouble::Nonsense(format!("more than {CHILDREN} rows at once"))),
        },
        _ => Ok(None),
    }
}

/// More rows than are ever asked for.
pub(crate) const CHILDREN: usize = 4096;

struct Children(Rows);

impl<'de> Deserialize<'de> for Children {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Bounded)
    }
}

struct Bounded;

impl<'de> Visitor<'de> for Bounded {
    type Value = Children;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {CHILDREN} rows")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Children, A::Error> {
        let mut children = Vec::new();
        while let Some(child) = map.next_entry()? {
            if children.len() == CHILDREN {
                return Err(A::Error::invalid_length(CHILDREN + 1, &self));
            }
            children.push(child);
        }
        Ok(Children(children))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_names_children_within_a_bound() {
        let rows = |count: usize| {
            let rows: Vec<String> = (0..count).map(|n| format!("\"k{n}\":[1]")).collect();
            Change::read(&format!(r#"{{"path":"/","data":{{{}}}}}"#, rows.join(","))).unwrap()
        };
        let two = rows(2).children().unwrap().unwrap();
        assert_eq!(
            two.iter().map(|(key, row)| (key.as_str(), row.get())).collect::<Vec<_>>(),
            [("k0", "[1]"), ("k1", "[1]")]
        );
        assert_eq!(rows(CHILDREN).children().unwrap().unwrap().len(), CHILDREN);
        assert!(matches!(rows(CHILDREN + 1).children(), Err(Trouble::Nonsense(_))));
    }

    #[test]
    fn nothing_has_no_children_and_a_word_is_no_object() {
        let of = |data| Change::read(&format!(r#"{{"path":"/","data":{data}}}"#)).unwrap();
        assert_eq!(of("null").children().unwrap().unwrap().len(), 0);
        assert!(of("\"x\"").children().unwrap().is_none());
        assert!(Change::read(r#"{"path":"/"}"#).is_err() && Change::read("null").is_err());
    }

    #[test]
    fn nesting_without_end_is_no_danger() {
        let deep = format!(r#"{{"path":"/","data":{{"k":{}{}}}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        let children = Change::read(&deep).unwrap().children().unwrap().unwrap();
        assert_eq!(children[0].1.get().len(), 200_000);
    }
}
