//! Chance from a seed: the same seed gives the same ids and the same jitter.

use core::time::Duration;

use crate::BlockId;

/// SplitMix64 (Steele, Lea, Flood 2014): enough for ids that do not collide and for jitter; no secret.
#[derive(Clone, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) const fn id(&mut self) -> BlockId {
        BlockId(self.next())
    }

    /// `duration`, longer by up to `percent`: never shorter than promised.
    pub(super) fn jitter(&mut self, duration: Duration, percent: u8) -> Duration {
        let most = duration.as_millis() as u64 / 100 * u64::from(percent);
        duration.saturating_add(Duration::from_millis(self.next() % (most + 1)))
    }

    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_spreads_within_its_share() {
        let mut chance = Chance::new(7);
        let base = Duration::from_secs(300);
        let drawn: alloc::collections::BTreeSet<_> = (0..100).map(|_| chance.jitter(base, 10)).collect();
        assert!(drawn.len() > 50);
        assert!(drawn.iter().all(|d| (base..=base * 11 / 10).contains(d)));
        assert_eq!(chance.jitter(base, 0), base);
    }
}
