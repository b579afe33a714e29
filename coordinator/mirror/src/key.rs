//! Names as keys of the database.
//!
//! A key of a Firebase Realtime Database has at most 768 bytes and none of `.`, `$`, `#`, `[`, `]`, `/` and the ASCII
//! control characters (firebase.google.com/docs/database/usage/limits). A dot becomes a comma, so that an address stays
//! readable (`203,0,113,7`); whatever else may not stand, and the comma and the tilde themselves, become `~` and two
//! hexadecimal digits. Every name has one key and every key one name.

use thiserror::Error;

/// The longest key that the database takes, in bytes.
pub const KEY_BYTES: usize = 768;

/// The text cannot be a key, or the key is none of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadKey {
    /// The database has no empty keys.
    #[error("the key is empty")]
    Empty,
    /// It would be longer than the database takes.
    #[error("the key is longer than {KEY_BYTES} bytes")]
    TooLong,
    /// Nothing that we write looks like it.
    #[error("the key was not made by this program")]
    Foreign,
}

/// The key of a name.
///
/// # Errors
/// When the name is empty or too long.
pub fn encode(name: &str) -> Result<String, BadKey> {
    if name.is_empty() {
        return Err(BadKey::Empty);
    }
    let mut key = String::with_capacity(name.len());
    for letter in name.chars() {
        match letter {
            '.' => key.push(','),
            ',' | '~' | '$' | '#' | '[' | ']' | '/' | '\0'..='\x1f' | '\x7f' => escape(letter, &mut key),
            letter => key.push(letter),
        }
        if key.len() > KEY_BYTES {
            return Err(BadKey::TooLong);
        }
    }
    Ok(key)
}

fn escape(letter: char, key: &mut String) {
    let code = u32::from(letter);
    key.push('~');
    key.extend([code >> 4, code & 15].into_iter().filter_map(|digit| char::from_digit(digit, 16)));
}

/// The name of a key.
///
/// # Errors
/// When [`encode`] never makes such a key.
pub fn decode(key: &str) -> Result<String, BadKey> {
    let mut name = String::with_capacity(key.len());
    let mut letters = key.chars();
    while let Some(letter) = letters.next() {
        name.push(match letter {
            ',' => '.',
            '~' => unescape(&mut letters).ok_or(BadKey::Foreign)?,
            letter => letter,
        });
    }
    // Two keys for one name would make two rows of one.
    if encode(&name)? == key { Ok(name) } else { Err(BadKey::Foreign) }
}

fn unescape(letters: &mut impl Iterator<Item = char>) -> Option<char> {
    let (high, low) = (letters.next()?.to_digit(16)?, letters.next()?.to_digit(16)?);
    char::from_u32(high << 4 | low)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_address_stays_readable() {
        assert_eq!(encode("203.0.113.7").unwrap(), "203,0,113,7");
        assert_eq!(encode("2001:db8::1").unwrap(), "2001:db8::1");
        assert_eq!(encode("web-1").unwrap(), "web-1");
        assert_eq!(encode("10.0.0.0/8").unwrap(), "10,0,0,0~2f8");
    }

    #[test]
    fn what_cannot_be_a_key_is_refused() {
        assert_eq!(encode(""), Err(BadKey::Empty));
        assert_eq!(decode(""), Err(BadKey::Empty));
        assert_eq!(encode(&"x".repeat(KEY_BYTES)).unwrap().len(), KEY_BYTES);
        assert_eq!(encode(&"x".repeat(KEY_BYTES + 1)), Err(BadKey::TooLong));
        for foreign in ["~", "~2", "~zz", "~61", "~2F", "a.b", "a/b", "~ff"] {
            assert_eq!(decode(foreign), Err(BadKey::Foreign), "{foreign}");
        }
    }

    proptest! {
        #[test]
        fn every_name_comes_back_from_a_key_that_the_database_takes(name in "(?s).{1,60}") {
            let key = encode(&name).unwrap();
            prop_assert!(!key.contains(['.', '$', '#', '[', ']', '/']) && !key.bytes().any(|b| b < 32 || b == 127));
            prop_assert_eq!(decode(&key).unwrap(), name);
        }

        #[test]
        fn every_key_that_is_understood_is_the_only_one_of_its_name(key in "[a-c,~0-9./$]{0,12}") {
            if let Ok(name) = decode(&key) {
                prop_assert_eq!(encode(&name).unwrap(), key);
            }
        }
    }
}
