//! Bounded tables that need no scan to forget: two generations.

use core::{
    hash::{Hash, Hasher},
    net::IpAddr,
};

use hashbrown::HashTable;
use siphasher::sip::SipHasher13;

/// A keyed hash: attackers choose the keys of our tables, and must not be able to choose where they fall.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keyed(u64, u64);

impl Keyed {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed, seed.rotate_left(32) ^ 0x9e37_79b9_7f4a_7c15)
    }

    /// The hash of an address, in two blocks.
    pub(super) fn address(&self, address: IpAddr) -> u64 {
        let bits = match address {
            IpAddr::V4(v4) => u128::from(v4.to_bits()) | 0xffff << 32,
            IpAddr::V6(v6) => v6.to_bits(),
        };
        let mut hasher = SipHasher13::new_with_keys(self.0, self.1);
        hasher.write_u128(bits);
        hasher.finish()
    }

    /// The hash of several hashes and numbers.
    pub(super) fn words(&self, words: [u64; 3]) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.0, self.1);
        words.into_iter().for_each(|word| hasher.write_u64(word));
        hasher.finish()
    }

    /// A hash for the sketches' few slots, where a secret multiplier is enough (multiply-shift, Dietzfelbinger 1997).
    pub(super) fn number(&self, number: u16) -> u64 {
        (u64::from(number) + 1).wrapping_mul(self.1 | 1) >> 32
    }

    pub(super) fn hash(&self, value: &impl Hash) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.0, self.1);
        value.hash(&mut hasher);
        hasher.finish()
    }
}

/// A table that holds at most `2 × capacity` entries. When the young generation is full, the old one is forgotten as a
/// whole and the young one becomes the old; what is asked for becomes young again. So whoever is active stays, nobody
/// scans, and a flood of new keys costs the same per key, however long it lasts.
#[derive(Debug)]
pub(super) struct Generations<K, V> {
    young: HashTable<Entry<K, V>>,
    old: HashTable<Entry<K, V>>,
    capacity: usize,
    forgotten: u64,
}

#[derive(Debug)]
struct Entry<K, V> {
    hash: u64,
    key: K,
    value: V,
}

impl<K: Eq, V> Generations<K, V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { young: HashTable::new(), old: HashTable::new(), capacity: capacity.max(1), forgotten: 0 }
    }

    pub(super) fn get_mut(&mut self, hash: u64, key: &K) -> Option<&mut V> {
        match self.take_old(hash, key) {
            Some((key, value)) => Some(self.insert(hash, key, value)),
            None => self.young_mut(hash, key),
        }
    }

    /// What is asked for, if it is young.
    pub(super) fn young_mut(&mut self, hash: u64, key: &K) -> Option<&mut V> {
        self.young.find_mut(hash, |entry| entry.key == *key).map(|entry| &mut entry.value)
    }

    /// Takes an entry out of the old generation, for whoever decides where it becomes young again.
    pub(super) fn take_old(&mut self, hash: u64, key: &K) -> Option<(K, V)> {
        let (entry, _) = self.old.find_entry(hash, |entry| entry.key == *key).ok()?.remove();
        Some((entry.key, entry.value))
    }

    /// Whether the next entry ends the generation.
    pub(super) fn is_full(&self) -> bool {
        self.young.len() >= self.capacity
    }

    pub(super) fn get(&self, hash: u64, key: &K) -> Option<&V> {
        let found = self.young.find(hash, |entry| entry.key == *key);
        found.or_else(|| self.old.find(hash, |entry| entry.key == *key)).map(|entry| &entry.value)
    }

    /// Adds an entry whose key is not in the table.
    pub(super) fn insert(&mut self, hash: u64, key: K, value: V) -> &mut V {
        if self.young.len() >= self.capacity {
            core::mem::swap(&mut self.young, &mut self.old);
            self.forgotten += self.young.len() as u64;
            self.young.clear();
        }
        let entry = Entry { hash, key, value };
        &mut self.young.insert_unique(hash, entry, |entry| entry.hash).into_mut().value
    }

    pub(super) fn remove(&mut self, hash: u64, key: &K) -> Option<V> {
        let table = [&mut self.young, &mut self.old];
        table.into_iter().find_map(|table| match table.find_entry(hash, |entry| entry.key == *key) {
            Ok(entry) => Some(entry.remove().0.value),
            Err(_) => None,
        })
    }

    /// Forgets every entry that `keep` refuses: for rare events, since it looks at all.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&K) -> bool) {
        self.young.retain(|entry| keep(&entry.key));
        self.old.retain(|entry| keep(&entry.key));
    }

    /// Every entry, in no order: for rare questions.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.young.iter_mut().chain(self.old.iter_mut()).map(|entry| (&entry.key, &mut entry.value))
    }

    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// How many entries were forgotten because the table was full.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_table_forgets_the_idle_and_keeps_the_active() {
        let (keyed, mut table) = (Keyed::new(1), Generations::new(100));
        table.insert(keyed.hash(&0u32), 0u32, "active");
        for key in 1..10_000u32 {
            table.insert(keyed.hash(&key), key, "forged");
            assert!(table.len() <= 200, "{} entries", table.len());
            if key % 50 == 0 {
                assert_eq!(table.get_mut(keyed.hash(&0u32), &0), Some(&mut "active"));
            }
        }
        assert_eq!(table.get_mut(keyed.hash(&1u32), &1), None);
        assert!(table.forgotten() > 9_000);
    }

    #[test]
    fn what_is_removed_is_gone_from_both_generations() {
        let (keyed, mut table) = (Keyed::new(1), Generations::new(2));
        for key in 0..4u8 {
            table.insert(keyed.hash(&key), key, key);
        }
        assert_eq!(table.remove(keyed.hash(&0u8), &0), Some(0));
        assert_eq!(table.get(keyed.hash(&0u8), &0), None);
        assert_eq!(table.get(keyed.hash(&3u8), &3), Some(&3));
    }
}
