//! A table of addresses in which no network takes the room of others.

use core::net::IpAddr;

use super::{
    shares::Shares,
    table::{Generations, Keyed},
};

/// A quarter of the table is for those beyond their network's share.
const CROWD: usize = 4;

/// What is remembered of addresses that cannot be forged, but rented: one person has more of IPv6 than any table holds.
/// Whoever comes beyond the share that its network has of a generation comes among the crowd, where such take room from
/// one another only, and is remembered all the same while there is any.
///
/// The price: of a provider with more customers at a time than its share and the crowd hold, some are forgotten, and of
/// one with more than its share, while somebody else fills the crowd. Who has addresses of ten sites of five providers
/// can still fill the rest.
#[derive(Debug)]
pub(super) struct Fair<V> {
    ordinary: Generations<IpAddr, V>,
    crowd: Generations<IpAddr, V>,
    /// What each network has had of the young generation, at least what it has.
    shares: Shares,
}

impl<V> Fair<V> {
    /// A table that holds at most `2 × capacity` entries.
    pub(super) fn new(capacity: usize, keyed: Keyed) -> Self {
        let crowd = capacity / CROWD;
        let ordinary = capacity - crowd;
        Self {
            ordinary: Generations::new(ordinary),
            crowd: Generations::new(crowd),
            shares: Shares::new(keyed, ordinary),
        }
    }

    pub(super) fn get_mut(&mut self, hash: u64, address: &IpAddr) -> Option<&mut V> {
        let old = self.ordinary.take_old(hash, address).or_else(|| self.crowd.take_old(hash, address));
        if let Some((address, value)) = old {
            return Some(self.insert(hash, address, value));
        }
        self.ordinary.young_mut(hash, address).or_else(|| self.crowd.young_mut(hash, address))
    }

    pub(super) fn get(&self, hash: u64, address: &IpAddr) -> Option<&V> {
        self.ordinary.get(hash, address).or_else(|| self.crowd.get(hash, address))
    }

    /// Adds an entry whose address is not in the table.
    pub(super) fn insert(&mut self, hash: u64, address: IpAddr, value: V) -> &mut V {
        if self.ordinary.is_full() {
            // The entry ends the generation, and is the first of the next.
            self.shares.clear();
        }
        let table = if self.shares.take(address) { &mut self.ordinary } else { &mut self.crowd };
        table.insert(hash, address, value)
    }

    pub(super) fn remove(&mut self, hash: u64, address: &IpAddr) -> Option<V> {
        self.ordinary.remove(hash, address).or_else(|| self.crowd.remove(hash, address))
    }

    /// Forgets every entry that `keep` refuses: for rare events, since it looks at all.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&IpAddr) -> bool) {
        self.ordinary.retain(&mut keep);
        self.crowd.retain(keep);
    }

    /// Every entry, in no order: for rare questions.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&IpAddr, &mut V)> {
        self.ordinary.iter_mut().chain(self.crowd.iter_mut())
    }

    pub(super) fn len(&self) -> usize {
        self.ordinary.len() + self.crowd.len()
    }

    /// How many entries were forgotten because the table was full.
    pub(super) fn forgotten(&self) -> u64 {
        self.ordinary.forgotten() + self.crowd.forgotten()
    }
}

#[cfg(test)]
mod tests {
    use core::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    const CAPACITY: usize = 1000;

    struct Lab(Keyed, Fair<()>);

    impl Lab {
        fn new() -> Self {
            let keyed = Keyed::new(1);
            Self(keyed, Fair::new(CAPACITY, keyed))
        }

        /// Inserts it, or looks it up.
        fn sees(&mut self, address: impl Into<IpAddr>) {
            let address = address.into();
            let hash = self.0.address(address);
            if self.1.get_mut(hash, &address).is_none() {
                self.1.insert(hash, address, ());
            }
        }

        fn remembers(&self, address: impl Into<IpAddr>) -> bool {
            let address = address.into();
            self.1.get(self.0.address(address), &address).is_some()
        }
    }

    /// A customer of its own network.
    fn customer(index: u32) -> Ipv4Addr {
        (0x0b00_0001 + (index << 16)).into()
    }

    fn rented(site: u16, index: u32) -> Ipv6Addr {
        Ipv6Addr::new(0x2001, 0xdb8, site, (index >> 16) as u16, index as u16, 0, 0, 1)
    }

    #[test]
    fn a_provider_s_addresses_push_out_one_another_only() {
        let mut lab = Lab::new();
        (0..100).for_each(|index| lab.sees(customer(index)));
        for index in 0..100_000 {
            lab.sees(rented((index % 100) as u16, index));
            assert!(lab.1.len() <= 2 * CAPACITY);
        }
        assert!((0..100).all(|index| lab.remembers(customer(index))));
        assert!(lab.1.forgotten() > 99_000);
    }

    #[test]
    fn who_is_active_stays_also_in_the_crowd() {
        let mut lab = Lab::new();
        // A share is a tenth of three quarters.
        (0..76).for_each(|index| lab.sees(rented(1, index)));
        assert_eq!((lab.1.ordinary.len(), lab.1.crowd.len()), (75, 1));
        for index in 100..10_000 {
            lab.sees(rented(1, index));
            if index % 100 == 0 {
                (0..76).for_each(|index| lab.sees(rented(1, index)));
            }
        }
        assert!((0..76).all(|index| lab.remembers(rented(1, index))));
    }

    #[test]
    fn a_network_has_its_share_again_in_the_next_generation() {
        let mut lab = Lab::new();
        (0..200).for_each(|index| lab.sees(rented(1, index)));
        assert_eq!((lab.1.ordinary.len(), lab.1.crowd.len()), (75, 125));
        (0..675).for_each(|index| lab.sees(customer(index)));
        lab.sees(rented(1, 1000));
        assert_eq!((lab.1.ordinary.len(), lab.1.crowd.len()), (751, 125));
    }

    #[test]
    fn what_is_removed_is_gone_wherever_it_was() {
        let mut lab = Lab::new();
        (0..200).for_each(|index| lab.sees(rented(1, index)));
        for index in [0, 199] {
            let address = rented(1, index).into();
            assert!(lab.1.remove(lab.0.address(address), &address).is_some());
            assert!(!lab.remembers(address));
        }
        assert_eq!(lab.1.iter_mut().count(), 198);
        lab.1.retain(|address| *address == IpAddr::from(rented(1, 198)));
        assert_eq!((lab.1.len(), lab.remembers(rented(1, 198))), (1, true));
    }
}
