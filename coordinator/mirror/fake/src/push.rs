//! Push ids: eight letters of time and twelve of chance, in an alphabet whose order is that of ASCII. Two of the same
//! millisecond are in the order in which they were made (firebase.blog, "The 2^120 ways to ensure unique identifiers").

const ALPHABET: &[u8; 64] = b"-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";

/// Makes push ids.
#[derive(Debug, Default)]
pub(crate) struct PushIds {
    last: u64,
    chance: u128,
}

impl PushIds {
    pub(crate) fn next(&mut self, now: u64) -> String {
        // The fake's chance is a counter with a large step: what matters is that ids differ and rise.
        self.chance = if now == self.last { self.chance + 1 } else { (self.chance * 31 + 17) % (1 << 71) };
        self.last = now;
        letters(u128::from(now), 8) + &letters(self.chance, 12)
    }
}

fn letters(number: u128, count: u32) -> String {
    (0..count).rev().map(|at| char::from(ALPHABET[(number >> (6 * at)) as usize % 64])).collect()
}
