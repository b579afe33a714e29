//! What other clusters say. Nobody has looked at a signature yet.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, value::RawValue};

use crate::item::{ITEM_BYTES, ItemId, List, RUN_BYTES, decode_names};

/// What stood in another cluster's list. Whoever may write to the database may have written it.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// What claims to be a signed run: bytes, whose signature is still to be checked.
    Run {
        /// Under which key it stood: a claim, too.
        id: ItemId,
        /// The run.
        bytes: Vec<u8>,
    },
    /// A row that nobody signed: to be shown at most, never to be acted upon.
    Row {
        /// Under which key it stood.
        id: ItemId,
        /// The row.
        row: Value,
    },
    /// What stood there was told before and is another now. Rows are written once: somebody changed it. What stands there
    /// now follows, unless only a part was changed.
    Rewritten {
        /// The row's key.
        key: String,
    },
    /// What was told before was removed, though it was not the oldest.
    Removed {
        /// The row's key.
        key: String,
    },
    /// What stands there is nothing that we write.
    Unreadable {
        /// The beginning of the row's key.
        key: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// A row of a list as it came.
pub(crate) fn read(list: List, key: &str, raw: &RawValue) -> Result<Heard, &'static str> {
    let id = ItemId::from_key(key).map_err(|_| "its key is none of ours")?;
    if raw.get().len() > ITEM_BYTES {
        return Err("it is larger than an item");
    }
    match list {
        List::Runs => {
            let text: String = serde_json::from_str(raw.get()).map_err(|_| "it is no run")?;
            let bytes = STANDARD.decode(text).map_err(|_| "it is no base64")?;
            if bytes.len() > RUN_BYTES {
                Err("it is larger than a run")
            } else {
                Ok(Heard::Run { id, bytes })
            }
        }
        List::Blocks | List::Events => {
            let row = serde_json::from_str(raw.get()).map_err(|_| "it has too many levels")?;
            Ok(Heard::Row { id, row: decode_names(row) })
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::item::Item;

    #[test]
    fn a_run_and_a_row_come_back_as_two_different_things() {
        let id = ItemId { millis: 1, epoch: 2, sequence: 3, node: "web-1.example".into() };
        let (bytes, row) = (b"\x00\xffrun".to_vec(), json!({"a.b": [1]}));
        let run = Item::run(&id, &bytes).unwrap();
        assert_eq!(back(List::Runs, &run), Ok(Heard::Run { id: id.clone(), bytes }));
        let block = Item::block(&id, row.clone()).unwrap();
        assert_eq!(back(List::Blocks, &block), Ok(Heard::Row { id, row }));
        assert_eq!(back(List::Runs, &block), Err("it is no run"));
    }

    #[test]
    fn what_we_never_write_is_unreadable() {
        let key = ItemId { millis: 1, epoch: 2, sequence: 3, node: "n".into() }.to_key().unwrap();
        let of = |list, key: &str, raw: String| read(list, key, &RawValue::from_string(raw).unwrap());
        assert_eq!(of(List::Runs, "x", "1".into()), Err("its key is none of ours"));
        assert_eq!(of(List::Runs, &key, "\"*\"".into()), Err("it is no base64"));
        assert_eq!(
            of(List::Runs, &key, format!("\"{}\"", "A".repeat(ITEM_BYTES))),
            Err("it is larger than an item")
        );
        let long = format!("\"{}\"", "A".repeat((RUN_BYTES + 3) / 3 * 4));
        assert_eq!(of(List::Runs, &key, long), Err("it is larger than a run"));
        let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
        assert_eq!(of(List::Blocks, &key, deep), Err("it has too many levels"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(key in ".{0,50}", text in ".{0,50}") {
            let raw = RawValue::from_string(Value::from(text).to_string()).unwrap();
            for list in List::ALL {
                let _ = read(list, &key, &raw);
            }
        }
    }

    fn back(list: List, item: &Item) -> Result<Heard, &'static str> {
        let key = item.path().split_once('/').unwrap().1;
        let raw = RawValue::from_string(String::from_utf8(item.body().to_vec()).unwrap()).unwrap();
        read(list, key, &raw)
    }
}
