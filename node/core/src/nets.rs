//! A map of prefixes that answers which of them share an address with another.

use alloc::collections::{BTreeMap, BTreeSet};
use core::ops::{Bound, RangeInclusive};

use ipnet::IpNet;

use crate::Time;

/// A map from prefixes (host bits cleared) to values.
///
/// Prefixes sort by address and then by length, so what lies within a prefix is one range; what holds it is looked
/// up once for each length that occurs at all.
#[derive(Clone, Debug)]
pub(crate) struct Nets<V> {
    map: BTreeMap<IpNet, V>,
    /// How many prefixes there are of each length, IPv4 before IPv6.
    lengths: BTreeMap<(bool, u8), usize>,
}

impl<V> Nets<V> {
    pub(crate) const fn new() -> Self {
        Self { map: BTreeMap::new(), lengths: BTreeMap::new() }
    }

    pub(crate) fn insert(&mut self, net: IpNet, value: V) -> Option<V> {
        let old = self.map.insert(net, value);
        if old.is_none() {
            *self.lengths.entry(length(&net)).or_default() += 1;
        }
        old
    }

    pub(crate) fn remove(&mut self, net: &IpNet) -> Option<V> {
        let old = self.map.remove(net)?;
        if let Some(count) = self.lengths.get_mut(&length(net)) {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&length(net));
            }
        }
        Some(old)
    }

    pub(crate) fn get(&self, net: &IpNet) -> Option<&V> {
        self.map.get(net)
    }

    pub(crate) fn get_mut(&mut self, net: &IpNet) -> Option<&mut V> {
        self.map.get_mut(net)
    }

    /// Lays the entries out anew, without the gaps that inserting one by one leaves: a third less memory.
    pub(crate) fn compact(&mut self) {
        self.map = core::mem::take(&mut self.map).into_iter().collect();
    }

    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&IpNet, &V)> {
        self.map.iter()
    }

    /// The prefixes behind `net`, or all.
    pub(crate) fn after(&self, net: Option<IpNet>) -> impl Iterator<Item = (&IpNet, &V)> {
        self.map.range((net.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded))
    }

    /// The prefixes that hold all of `net`, itself included, widest first.
    pub(crate) fn covering(&self, net: &IpNet) -> impl Iterator<Item = (&IpNet, &V)> {
        let net = *net;
        let lengths = self.lengths.range((is_v6(&net), 0)..=length(&net));
        lengths.filter_map(move |(&(_, length), _)| {
            let wider = IpNet::new(net.addr(), length).ok()?.trunc();
            self.map.get_key_value(&wider)
        })
    }

    /// The prefixes that lie within `net`, itself included.
    pub(crate) fn within(&self, net: &IpNet) -> impl Iterator<Item = (&IpNet, &V)> {
        self.map.range(span(net))
    }

    /// The prefixes that share an address with `net`.
    pub(crate) fn overlapping(&self, net: &IpNet) -> impl Iterator<Item = (&IpNet, &V)> {
        let same = *net;
        self.covering(net).filter(move |(wider, _)| **wider != same).chain(self.within(net))
    }
}

/// From `net` itself to the last address in it: exactly what lies within.
fn span(net: &IpNet) -> RangeInclusive<IpNet> {
    let net = net.trunc();
    net..=IpNet::from(net.broadcast())
}

fn length(net: &IpNet) -> (bool, u8) {
    (is_v6(net), net.prefix_len())
}

const fn is_v6(net: &IpNet) -> bool {
    matches!(net, IpNet::V6(_))
}

/// A map whose entries are due at a time of their own.
#[derive(Clone, Debug)]
pub(crate) struct ExpiringMap<K, V> {
    entries: BTreeMap<K, (Time, V)>,
    deadlines: BTreeSet<(Time, K)>,
}

impl<K: Ord + Clone, V> ExpiringMap<K, V> {
    pub(crate) const fn new() -> Self {
        Self { entries: BTreeMap::new(), deadlines: BTreeSet::new() }
    }

    /// Adds or replaces an entry that is due at `at`.
    pub(crate) fn insert(&mut self, key: K, value: V, at: Time) {
        self.remove(&key);
        self.deadlines.insert((at, key.clone()));
        self.entries.insert(key, (at, value));
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(_, value)| value)
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key).map(|(_, value)| value)
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let (at, value) = self.entries.remove(key)?;
        self.deadlines.remove(&(at, key.clone()));
        Some(value)
    }

    /// Moves an entry's deadline.
    pub(crate) fn postpone(&mut self, key: &K, at: Time) {
        if let Some((old, _)) = self.entries.get_mut(key) {
            self.deadlines.remove(&(*old, key.clone()));
            self.deadlines.insert((at, key.clone()));
            *old = at;
        }
    }

    /// When the next entry is due; [`Time::NEVER`] when none is.
    pub(crate) fn next_due(&self) -> Time {
        self.deadlines.first().map_or(Time::NEVER, |(at, _)| *at)
    }

    /// Takes an entry that is due at `now`.
    pub(crate) fn pop_due(&mut self, now: Time) -> Option<(K, V)> {
        if self.next_due() <= now { self.pop_first() } else { None }
    }

    /// Takes the entry that is due first: the one to go when there is no room.
    pub(crate) fn pop_first(&mut self) -> Option<(K, V)> {
        let (_, key) = self.deadlines.pop_first()?;
        self.entries.remove(&key).map(|(_, value)| (key, value))
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, (_, value))| (key, value))
    }

    /// The entries whose keys lie within.
    pub(crate) fn range(&self, keys: RangeInclusive<K>) -> impl Iterator<Item = (&K, &V)> {
        self.entries.range(keys).map(|(key, (_, value))| (key, value))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::prefix;

    fn any_net() -> impl Strategy<Value = IpNet> {
        // Few distinct bits, so that prefixes meet.
        prop_oneof![
            (0u32..8, 26u8..=32)
                .prop_map(|(a, l)| IpNet::new(core::net::Ipv4Addr::from(a).into(), l).unwrap()),
            (0u128..8, 122u8..=128)
                .prop_map(|(a, l)| IpNet::new(core::net::Ipv6Addr::from(a).into(), l).unwrap()),
            Just("0.0.0.0/0".parse().unwrap()),
            Just("::/0".parse().unwrap()),
        ]
        .prop_map(|net| net.trunc())
    }

    proptest! {
        #[test]
        fn overlaps_are_what_a_scan_finds(
            nets in prop::collection::vec(any_net(), 0..40),
            gone in prop::collection::vec(any_net(), 0..10),
            query in any_net(),
        ) {
            let mut map = Nets::new();
            for net in &nets { map.insert(*net, ()); }
            for net in &gone { map.remove(net); }
            let all: Vec<IpNet> = map.iter().map(|(net, ())| *net).collect();
            let mut found: Vec<IpNet> = map.overlapping(&query).map(|(net, ())| *net).collect();
            found.sort();
            let expected: Vec<IpNet> = all.iter().copied().filter(|net| prefix::overlap(net, &query)).collect();
            prop_assert_eq!(found, expected);
            let covering: BTreeSet<IpNet> = map.covering(&query).map(|(net, ())| *net).collect();
            prop_assert_eq!(covering, all.iter().copied().filter(|net| net.contains(&query)).collect());
        }
    }

    #[test]
    fn entries_come_due_in_order_and_only_when_due() {
        let mut map = ExpiringMap::new();
        map.insert('b', 2, Time::from_secs(2));
        map.insert('a', 1, Time::from_secs(1));
        map.postpone(&'a', Time::from_secs(3));
        assert_eq!(map.next_due(), Time::from_secs(2));
        assert_eq!(map.pop_due(Time::from_secs(1)), None);
        assert_eq!(map.pop_due(Time::from_secs(3)), Some(('b', 2)));
        assert_eq!(map.pop_due(Time::from_secs(3)), Some(('a', 1)));
        assert_eq!(map.len(), 0);
    }

    #[test]
    fn what_was_removed_never_comes_due() {
        let mut map = ExpiringMap::new();
        map.insert('a', 1, Time::from_secs(1));
        map.insert('b', 2, Time::from_secs(2));
        assert_eq!(map.remove(&'a'), Some(1));
        assert_eq!(map.next_due(), Time::from_secs(2));
        assert_eq!(map.pop_due(Time::from_secs(9)), Some(('b', 2)));
    }
}
