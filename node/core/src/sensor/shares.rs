//! How much of something each network has had.

use alloc::{boxed::Box, vec};
use core::net::IpAddr;

use super::table::Keyed;
use crate::prefix;

/// What one network may have: a tenth for a site, a fifth for the network around it, as in learning.
const PARTS: [usize; 2] = [10, 5];
/// Counters of sites, and as many of the networks around them: 32 kB. Networks on the same counter are taken for one,
/// so that what a network had is never thought less than it was, and who chooses addresses does not know which these are.
/// Ten sites and five networks around them can have all they may: then one other in 270 is refused with them.
const COUNTERS: usize = 4096;

/// Counts what the networks around addresses take until it is cleared.
#[derive(Debug)]
pub(super) struct Shares {
    keyed: Keyed,
    most: [u32; 2],
    taken: [Box<[u32]>; 2],
}

impl Shares {
    /// Shares in so many things.
    pub(super) fn new(keyed: Keyed, things: usize) -> Self {
        let most = PARTS.map(|part| u32::try_from(things / part).unwrap_or(u32::MAX).max(1));
        Self { keyed, most, taken: PARTS.map(|_| vec![0; COUNTERS].into_boxed_slice()) }
    }

    /// Takes one for an address; none when a network around it has had its share.
    pub(super) fn take(&mut self, address: IpAddr) -> bool {
        let [site, around] =
            prefix::neighbourhoods(address).map(|net| self.keyed.hash(&net) as usize % COUNTERS);
        let [sites, networks] = &mut self.taken;
        let taken = [&mut sites[site], &mut networks[around]];
        let left = taken.iter().zip(self.most).all(|(taken, most)| **taken < most);
        taken.into_iter().for_each(|taken| *taken += u32::from(left));
        left
    }

    /// Nobody has had anything.
    pub(super) fn clear(&mut self) {
        self.taken.iter_mut().for_each(|taken| taken.fill(0));
    }
}

#[cfg(test)]
mod tests {
    use core::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    fn taken(shares: &mut Shares, addresses: impl Iterator<Item = IpAddr>) -> usize {
        addresses.filter(|address| shares.take(*address)).count()
    }

    #[test]
    fn a_site_takes_a_tenth_and_the_network_around_it_a_fifth_until_all_is_cleared() {
        let site =
            |site: u16| (0..500).map(move |host| Ipv6Addr::new(0x2001, 0xdb8, site, host, 0, 0, 0, 1).into());
        let mut shares = Shares::new(Keyed::new(1), 1000);
        for _ in 0..2 {
            assert_eq!(taken(&mut shares, site(1)), 100);
            assert_eq!(taken(&mut shares, (2..9).flat_map(site)), 100, "with the first it is a fifth");
            assert!(shares.take([192, 0, 2, 1].into()), "others have their own");
            shares.clear();
        }
    }

    #[test]
    fn of_ipv4_a_24_is_a_site_and_a_16_is_around_it_also_as_ipv6() {
        let address = |host: u32| Ipv4Addr::from(0x0b00_0000 + host);
        let mut shares = Shares::new(Keyed::new(1), 1000);
        assert_eq!(taken(&mut shares, (0..256).map(|host| address(host).into())), 100);
        let mapped = (256..9000).map(|host| address(host).to_ipv6_mapped().into());
        assert_eq!(taken(&mut shares, mapped), 100);
    }

    #[test]
    fn of_a_few_things_each_network_has_one() {
        let mut shares = Shares::new(Keyed::new(1), 3);
        assert_eq!(taken(&mut shares, (0..9).map(|host| [192, 0, 2, host].into())), 1);
    }
}
