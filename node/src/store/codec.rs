//! Rows' encoding: a version, then postcard.

use serde::{Serialize, de::DeserializeOwned};

/// The version of the rows' encoding: a row of another is not understood, and set aside with the rest.
pub const VERSION: u8 = 1;

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
