//! Chance from a seed: the same seed gives the same ids, the same jitter and the same choices. No secret.

use core::{convert::Infallible, time::Duration};

use rand_core::TryRng;

use crate::BlockId;

/// SplitMix64 (Steele, Lea, Flood 2014): enough for ids that do not collide, for jitter, and to choose whom to ask.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) const fn id(&mut self) -> BlockId {
        BlockId(self.next())
    }

    /// One of `0..count`; 0 where there is none.
    pub(crate) const fn below(&mut self, count: usize) -> usize {
        if count == 0 { 0 } else { (self.next() % count as u64) as usize }
    }

    /// A time below `most`.
    pub(crate) const fn within(&mut self, most: Duration) -> Duration {
        Duration::from_nanos(self.next() % (most.as_nanos() as u64 + 1))
    }

    /// `duration`, longer by up to `percent`: never shorter than promised.
    pub(crate) fn jitter(&mut self, duration: Duration, percent: u8) -> Duration {
        let most = duration.as_millis() as u64 / 100 * u64::from(percent);
        duration.saturating_add(Duration::from_millis(self.next() % (most + 1)))
    }

    /// Moves `count` of `items`, chosen evenly, to the front and returns them.
    pub(crate) fn choose<'a, T>(&mut self, items: &'a mut [T], count: usize) -> &'a [T] {
        let count = count.min(items.len());
        for i in 0..count {
            let j = i + self.below(items.len() - i);
            items.swap(i, j);
        }
        &items[..count]
    }
}

/// As foca wants it.
impl TryRng for Chance {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.next() >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.next())
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for chunk in out.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_be_bytes()[..chunk.len()]);
        }
        Ok(())
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
