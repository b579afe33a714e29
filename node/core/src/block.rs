//! Blocks: who is dropped, on whose word, why, until when.

use alloc::string::String;
use core::{fmt, num::ParseIntError, str::FromStr, time::Duration};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::{Class, Detector, Evidence, Strength, Time};

/// One origin's wish that a target be dropped. The block list holds at most one per target and origin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// Identifies it in the kernel's comment, in logs and in commands.
    pub id: BlockId,
    /// Who is dropped.
    pub target: IpNet,
    /// What for.
    pub class: Class,
    /// On whose word.
    pub origin: Origin,
    /// How sure, 0 to 1.
    pub confidence: f32,
    /// How much is dropped.
    pub strength: Strength,
    /// Who found it.
    pub detector: Detector,
    /// What proves that the address is real.
    pub evidence: Option<Evidence>,
    /// Why, for a human being.
    pub reason: String,
    /// Since when.
    pub since: Time,
    /// Until when; `None` for ever.
    pub expires: Option<Time>,
    /// How many times it has offended: 1 for the first block.
    pub level: u8,
}

impl Block {
    /// Whether it is over at `now`.
    pub fn expired(&self, now: Time) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// What is left of it at `now`; `None` for ever.
    pub fn remaining(&self, now: Time) -> Option<Duration> {
        self.expires.map(|expires| expires.since(now))
    }
}

/// Identifies a block or an alert's episode: sixteen lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BlockId(pub u64);

impl fmt::Display for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for BlockId {
    type Err = ParseIntError;
    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

/// On whose word a block stands: the name of a node, or of the person's host for an operator's order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Origin(pub String);

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
