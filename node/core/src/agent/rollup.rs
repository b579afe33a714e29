//! Who changes the address within a /64 does not hide: three offending addresses make the /64 the offender.

use alloc::collections::BTreeMap;
use core::{
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use ipnet::{IpNet, Ipv6Net};

use crate::{Strength, Time, nets::ExpiringMap};

/// How many addresses of a /64 must offend, and within what time.
const ADDRESSES: usize = 3;
const WITHIN: Duration = Duration::from_secs(3600);
/// One network of a customer or a server.
const LENGTH: u8 = 64;
/// Addresses remembered of a /64: enough to tell three proven ones among forged ones.
const MOST: usize = 16;

/// The offending addresses of each /64.
#[derive(Clone, Debug)]
pub(super) struct Rollup(ExpiringMap<IpNet, BTreeMap<Ipv6Addr, (Time, Strength)>>);

impl Rollup {
    pub(super) const fn new() -> Self {
        Self(ExpiringMap::new())
    }

    /// Counts an address that earned a block; gives the /64 and how much of it may be dropped, once it is the
    /// offender: hard only when three addresses are proven, or anybody could frame the neighbours.
    pub(super) fn offend(
        &mut self,
        now: Time,
        address: IpAddr,
        strength: Strength,
        limit: usize,
    ) -> Option<(IpNet, Strength)> {
        let IpAddr::V6(address) = address else { return None };
        let net = network(address)?;
        if self.0.get(&net).is_none() {
            if self.0.len() >= limit {
                self.0.pop_first();
            }
            self.0.insert(net, BTreeMap::new(), Time::NEVER);
        }
        self.0.postpone(&net, now.after(WITHIN));
        let seen = self.0.get_mut(&net)?;
        seen.retain(|_, (at, _)| now.since(*at) < WITHIN);
        remember(seen, address, now, strength);
        let count = |least: Strength| seen.values().filter(|(_, strength)| *strength >= least).count();
        let due = [Strength::Hard, Strength::Soft].into_iter().find(|least| count(*least) >= ADDRESSES)?;
        // A proven address is dropped hard by itself; the whole /64 softly would let it off.
        (due >= strength).then_some((net, due))
    }

    /// Forgets what is over an hour old.
    pub(super) fn forget(&mut self, now: Time) {
        while self.0.pop_due(now).is_some() {}
    }

    pub(super) fn next_due(&self) -> Time {
        self.0.next_due()
    }
}

/// The /64 of an address.
pub(super) fn network(address: Ipv6Addr) -> Option<IpNet> {
    Ipv6Net::new(address, LENGTH).ok().map(|net| IpNet::from(net.trunc()))
}

fn remember(
    seen: &mut BTreeMap<Ipv6Addr, (Time, Strength)>,
    address: Ipv6Addr,
    now: Time,
    strength: Strength,
) {
    if seen.len() >= MOST && !seen.contains_key(&address) {
        let oldest =
            seen.iter().min_by_key(|(_, (at, strength))| (*strength, *at)).map(|(address, _)| *address);
        oldest.and_then(|oldest| seen.remove(&oldest));
    }
    let entry = seen.entry(address).or_insert((now, strength));
    *entry = (now, entry.1.max(strength));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offend(rollup: &mut Rollup, at: u64, address: &str, strength: Strength) -> Option<(IpNet, Strength)> {
        rollup.offend(Time::from_secs(at), address.parse().unwrap(), strength, 100)
    }

    #[test]
    fn three_proven_addresses_make_the_network_the_offender() {
        let mut rollup = Rollup::new();
        assert_eq!(offend(&mut rollup, 0, "2001:db8::1", Strength::Hard), None);
        assert_eq!(offend(&mut rollup, 1, "2001:db8::1", Strength::Hard), None, "the same address again");
        assert_eq!(offend(&mut rollup, 2, "2001:db8::2", Strength::Hard), None);
        assert_eq!(offend(&mut rollup, 3, "2001:db8:0:1::3", Strength::Hard), None, "another network");
        let net = "2001:db8::/64".parse().unwrap();
        assert_eq!(offend(&mut rollup, 4, "2001:db8::3", Strength::Hard), Some((net, Strength::Hard)));
    }

    #[test]
    fn forged_addresses_frame_the_neighbours_only_softly() {
        let mut rollup = Rollup::new();
        offend(&mut rollup, 0, "2001:db8::1", Strength::Soft);
        offend(&mut rollup, 0, "2001:db8::2", Strength::Soft);
        assert_eq!(
            offend(&mut rollup, 0, "2001:db8::3", Strength::Hard),
            None,
            "one proven address is not three"
        );
        let soft = offend(&mut rollup, 0, "2001:db8::4", Strength::Soft).unwrap();
        assert_eq!(soft.1, Strength::Soft);
    }

    #[test]
    fn addresses_over_an_hour_apart_are_strangers() {
        let mut rollup = Rollup::new();
        offend(&mut rollup, 0, "2001:db8::1", Strength::Hard);
        offend(&mut rollup, 1800, "2001:db8::2", Strength::Hard);
        assert_eq!(offend(&mut rollup, 3600, "2001:db8::3", Strength::Hard), None);
    }

    #[test]
    fn a_flood_of_addresses_and_networks_stays_bounded() {
        let mut rollup = Rollup::new();
        for n in 0..1000u64 {
            let network = (0x2001_0db8_u128 << 96) | (u128::from(n) << 64);
            for host in 0..20 {
                let address = Ipv6Addr::from(network | host).into();
                rollup.offend(Time::from_secs(n), address, Strength::Soft, 50);
            }
        }
        assert_eq!(rollup.0.len(), 50);
        assert!(rollup.0.iter().all(|(_, seen)| seen.len() <= MOST));
        rollup.forget(Time::from_secs(10_000));
        assert_eq!(rollup.0.len(), 0);
    }
}
