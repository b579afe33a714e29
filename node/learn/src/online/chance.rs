//! Chance from a seed, kept with the state, so that a restart goes on where the draw was.

use serde::{Deserialize, Serialize};

/// SplitMix64 (Steele, Lea and Flood 2014): enough to draw a sample that nobody can steer without knowing the seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// One of `0..count`; 0 where there is none.
    pub(super) const fn below(&mut self, count: usize) -> usize {
        if count == 0 { 0 } else { (self.next() % count as u64) as usize }
    }
}
