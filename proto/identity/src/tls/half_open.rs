//! Handshakes that are under way: bounded in all and per address, the oldest gives way.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};

/// Unfinished handshakes in all: at 5 s each, 200 a second that never finish displace nobody.
pub const HALF_OPEN: usize = 1024;
/// Unfinished handshakes of one address (for IPv6, of one /64, which one host has to itself).
pub const HALF_OPEN_EACH: usize = 64;

/// The table; knows numbers only, so that it can be tried without connections.
#[derive(Debug, Default)]
pub(super) struct HalfOpen {
    next: u64,
    sources: BTreeMap<u64, IpAddr>,
    of: BTreeMap<IpAddr, BTreeSet<u64>>,
}

impl HalfOpen {
    /// A new one; and the one that has to give way to it.
    pub(super) fn begin(&mut self, address: IpAddr) -> (u64, Option<u64>) {
        let source = source(address);
        let displaced = self.displaced(&source);
        displaced.into_iter().for_each(|oldest| self.end(oldest));
        let number = self.next;
        self.next += 1;
        self.sources.insert(number, source);
        self.of.entry(source).or_default().insert(number);
        (number, displaced)
    }

    fn displaced(&self, source: &IpAddr) -> Option<u64> {
        let same = self.of.get(source).filter(|same| same.len() >= HALF_OPEN_EACH);
        let of_same = same.and_then(|same| same.first().copied());
        of_same.or_else(|| self.sources.keys().next().copied().filter(|_| self.sources.len() >= HALF_OPEN))
    }

    /// It is over, one way or another.
    pub(super) fn end(&mut self, number: u64) {
        let Some(source) = self.sources.remove(&number) else { return };
        if let Some(same) = self.of.get_mut(&source) {
            same.remove(&number);
            if same.is_empty() {
                self.of.remove(&source);
            }
        }
    }
}

fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_displaces_only_its_own_oldest() {
        let mut table = HalfOpen::default();
        let (other, none) = table.begin(address("192.0.2.1"));
        assert_eq!(none, None);
        let first = table.begin(address("192.0.2.2")).0;
        for _ in 1..HALF_OPEN_EACH {
            assert_eq!(table.begin(address("192.0.2.2")).1, None);
        }
        assert_eq!(table.begin(address("::ffff:192.0.2.2")).1, Some(first), "the same host by another name");
        assert!(table.sources.contains_key(&other));
    }

    #[test]
    fn a_network_of_one_host_is_one_address() {
        let mut table = HalfOpen::default();
        let first = table.begin(address("2001:db8::1")).0;
        for i in 1..HALF_OPEN_EACH {
            table.begin(address(&format!("2001:db8::{:x}", i + 1)));
        }
        assert_eq!(table.begin(address("2001:db8::ffff:1")).1, Some(first));
        assert_eq!(table.begin(address("2001:db8:0:1::1")).1, None);
    }

    #[test]
    fn all_together_displace_the_oldest() {
        let mut table = HalfOpen::default();
        for i in 0..HALF_OPEN as u32 {
            assert_eq!(table.begin(IpAddr::V4((0x0a00_0000 + i).into())).1, None);
        }
        assert_eq!(table.begin(address("192.0.2.1")).1, Some(0));
        assert_eq!(table.sources.len(), HALF_OPEN);
        (0..2 * HALF_OPEN as u64).for_each(|number| table.end(number));
        assert!(table.of.is_empty() && table.sources.is_empty(), "nothing is left behind");
    }
}
