//! Members and the numbers of what they say.

use core::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::class::UnknownName;

/// A member: the SHA-256 of its Ed25519 public key. A name is only a label.
///
/// Shown as its first sixteen hexadecimal digits; `{:#}` shows all sixty-four, and those are what it is read from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub [u8; 32]);

impl NodeId {
    /// Its first eight bytes as a number: for hashing and for choosing by chance, not for telling members apart.
    pub const fn short(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = if f.alternate() { self.0.as_slice() } else { &self.0[..8] };
        shown.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for NodeId {
    type Err = UnknownName;
    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(UnknownName);
        }
        let mut id = [0; 32];
        for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Self(id))
    }
}

fn digit(byte: u8) -> Result<u8, UnknownName> {
    match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        _ => Err(UnknownName),
    }
}

/// The number of an entry of an origin: later ones are higher. Epochs are new whenever the origin's store is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version {
    /// Which life of the origin's store.
    pub epoch: u64,
    /// Which entry of that life; the first is 1.
    pub sequence: u64,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.sequence)
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn a_member_is_shown_short_and_read_long() {
        let id = NodeId(core::array::from_fn(|i| (i as u8).wrapping_mul(37)));
        assert_eq!(format!("{id}"), "00254a6f94b9de03");
        assert_eq!(format!("{id:#}").parse(), Ok(id));
        assert_eq!(format!("{id}").parse::<NodeId>(), Err(UnknownName));
        assert_eq!("é".repeat(32).parse::<NodeId>(), Err(UnknownName));
    }
}
