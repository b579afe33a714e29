//! Rows' encoding: a version, then postcard.

use serde::{Serialize, de::DeserializeOwned};
use smartfw_core::{Record, record::Tree};

use super::Key;

/// The version of the rows' encoding: a row of another is not understood, and set aside with the rest.
pub const VERSION: u8 = 2;

/// A record's key in the store: its table's number, then its key there.
pub fn row_key(record: &Record) -> Key {
    let mut key = vec![table(record.tree())];
    key.extend_from_slice(&record.key());
    key
}

/// The tables' numbers on disk: never change one.
const fn table(tree: Tree) -> u8 {
    match tree {
        Tree::Blocks => 1,
        Tree::Allowed => 2,
        Tree::Pending => 3,
        Tree::Offenders => 4,
        Tree::HeldBack => 5,
        Tree::Switches => 6,
        Tree::Alerts => 7,
        Tree::Lessons => 8,
        Tree::Trust => 9,
        Tree::Overruled => 10,
        Tree::Foreign => 11,
    }
}

/// A value as it is stored.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    // Only maps of unknown length and broken Serialize implementations fail; ours are derived.
    postcard::to_extend(value, vec![VERSION]).unwrap_or_default()
}

/// A stored value; `None` when it is of another version or makes no sense.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    match bytes.split_first()? {
        (&VERSION, rest) => postcard::from_bytes(rest).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_and_other_versions_are_not() {
        let mut bytes = encode(&(1_u64, "text"));
        assert_eq!(decode::<(u64, String)>(&bytes), Some((1, "text".to_owned())));
        bytes[0] = VERSION + 1;
        assert_eq!(decode::<(u64, String)>(&bytes), None);
        assert_eq!(decode::<u64>(&[]), None);
    }
}
