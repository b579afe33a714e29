//! Many rows in one: what is written together is stored together. A tree of sled's costs six microseconds and a
//! kilobyte of memory a row, so that an import of a hundred thousand blocks would take most of a second.
//!
//! A pack is never changed. What is written later, alone or in another pack, has a higher generation and counts
//! instead; [`Newest`] sorts that out when everything is read.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
};

use super::{Key, Value};

/// From so many rows on, what is written together becomes packs.
pub(super) const PACKED: usize = 256;

/// Bytes of one pack, unless a single row has more: some two hundred blocks. What is larger than a fifth of a segment
/// sled puts into a file of its own, which costs a flush each, and on a full disk is not recovered from.
const BYTES: usize = 24 << 10;

/// Instead of a value's length: the row is deleted.
const DELETED: u32 = u32::MAX;

/// The rows, cut into what goes into one pack each.
pub(super) fn split(mut rows: &[(Key, Value)]) -> impl Iterator<Item = &[(Key, Value)]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |(key, value): &&(Key, Value)| {
            bytes += key.len() + length(value) + 8;
            bytes <= BYTES
        };
        let count = rows.iter().take_while(fits).count().max(1).min(rows.len());
        let (pack, rest) = rows.split_at(count);
        rows = rest;
        (!pack.is_empty()).then_some(pack)
    })
}

/// The rows of a pack, one after the other.
pub(super) fn encode(rows: &[(Key, Value)]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(rows.iter().map(|(key, value)| key.len() + length(value) + 8).sum());
    for (key, value) in rows {
        bytes.extend_from_slice(&(key.len() as u32).to_le_bytes());
        bytes.extend_from_slice(key);
        let size = value.as_ref().map_or(DELETED, |value| value.len() as u32);
        bytes.extend_from_slice(&size.to_le_bytes());
        bytes.extend_from_slice(value.as_deref().unwrap_or_default());
    }
    bytes
}

/// Shows each row of a pack with its value, `None` when it is deleted. Whether the pack made sense to its end.
pub(super) fn decode(mut pack: &[u8], mut each: impl FnMut(&[u8], Option<&[u8]>)) -> bool {
    while !pack.is_empty() {
        let Some((key, rest)) = sized(pack).and_then(|(size, rest)| rest.split_at_checked(size as usize))
        else {
            return false;
        };
        let Some((size, rest)) = sized(rest) else { return false };
        if size == DELETED {
            each(key, None);
            pack = rest;
        } else {
            let Some((value, rest)) = rest.split_at_checked(size as usize) else { return false };
            each(key, Some(value));
            pack = rest;
        }
    }
    true
}

/// A row that stands alone: its generation, and its value unless it is deleted.
pub(super) fn encode_single(generation: u64, value: Option<&[u8]>) -> Vec<u8> {
    let mut bytes = generation.to_le_bytes().to_vec();
    if let Some(value) = value {
        bytes.push(1);
        bytes.extend_from_slice(value);
    }
    bytes
}

/// What [`encode_single`] made.
pub(super) fn decode_single(bytes: &[u8]) -> Option<(u64, Option<&[u8]>)> {
    let (generation, rest) = bytes.split_at_checked(8)?;
    let generation = u64::from_le_bytes(generation.try_into().ok()?);
    Some((generation, rest.split_first().map(|(_, value)| value)))
}

/// Which keys were shown already, the newest generation first.
#[derive(Default)]
pub(super) struct Newest {
    shown: HashSet<u128>,
    one: RandomState,
    other: RandomState,
}

impl Newest {
    /// Whether the key comes for the first time. Keys are told apart by 128 bits of keyed hashes: of a million rows two
    /// meet with a probability of 10^-27.
    pub(super) fn first(&mut self, key: &[u8]) -> bool {
        let hash = u128::from(self.one.hash_one(key)) << 64 | u128::from(self.other.hash_one(key));
        self.shown.insert(hash)
    }
}

fn sized(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (size, rest) = bytes.split_at_checked(4)?;
    Some((u32::from_le_bytes(size.try_into().ok()?), rest))
}

fn length(value: &Value) -> usize {
    value.as_ref().map_or(0, Vec::len)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_pack_gives_its_rows_back(
            rows: Vec<(Vec<u8>, Option<Vec<u8>>)>,
            generation: u64,
            value: Option<Vec<u8>>,
        ) {
            let mut back = Vec::new();
            prop_assert!(decode(&encode(&rows), |key, value| back.push((key.to_vec(), value.map(<[u8]>::to_vec)))));
            prop_assert_eq!(rows, back);
            let single = encode_single(generation, value.as_deref());
            prop_assert_eq!(decode_single(&single), Some((generation, value.as_deref())));
        }

        #[test]
        fn no_row_is_lost_between_packs(sizes in prop::collection::vec(0..BYTES / 2, 0..20)) {
            let rows: Vec<(Key, Value)> =
                sizes.iter().enumerate().map(|(n, size)| (vec![n as u8], Some(vec![0; *size]))).collect();
            let packs: Vec<_> = split(&rows).collect();
            prop_assert_eq!(&packs.concat(), &rows);
            prop_assert!(packs.iter().all(|rows| rows.len() == 1 || encode(rows).len() <= BYTES));
        }

        #[test]
        fn damaged_packs_are_found_out(bytes: Vec<u8>) {
            let mut length = 0;
            if decode(&bytes, |key, value| length += 8 + key.len() + value.map_or(0, <[u8]>::len)) {
                prop_assert_eq!(length, bytes.len());
            }
            let _ = decode_single(&bytes);
        }
    }
}
