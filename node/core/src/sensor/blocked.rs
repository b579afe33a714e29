//! Who is dropped already: such packets are seen before the kernel drops them, are counted, and teach nothing.

use core::net::IpAddr;

use alloc::collections::BTreeMap;
use hashbrown::HashTable;
use ipnet::IpNet;

use super::table::Keyed;

/// The targets of hard blocks.
#[derive(Debug)]
pub(super) struct Blocked {
    keyed: Keyed,
    nets: HashTable<IpNet>,
    /// How many targets there are of each IPv4 and IPv6 prefix length: only those lengths are looked up.
    lengths: BTreeMap<(bool, u8), usize>,
}

impl Blocked {
    pub(super) fn new(keyed: Keyed) -> Self {
        Self { keyed, nets: HashTable::new(), lengths: BTreeMap::new() }
    }

    /// Adds the target; whether it was missing.
    pub(super) fn insert(&mut self, net: IpNet) -> bool {
        let (keyed, hash) = (self.keyed, self.keyed.hash(&net));
        if self.nets.find(hash, |other| *other == net).is_some() {
            return false;
        }
        self.nets.insert_unique(hash, net, |net| keyed.hash(net));
        *self.lengths.entry(length(&net)).or_default() += 1;
        true
    }

    /// Removes the target; whether it was there.
    pub(super) fn remove(&mut self, net: &IpNet) -> bool {
        let Ok(entry) = self.nets.find_entry(self.keyed.hash(net), |other| other == net) else {
            return false;
        };
        entry.remove();
        if let Some(count) = self.lengths.get_mut(&length(net)) {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&length(net));
            }
        }
        true
    }

    /// Whether a target holds the address.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        self.lengths.keys().filter(|(v6, _)| *v6 == address.is_ipv6()).any(|(_, length)| {
            IpNet::new(address, *length).is_ok_and(|net| {
                let net = net.trunc();
                self.nets.find(self.keyed.hash(&net), |other| *other == net).is_some()
            })
        })
    }
}

fn length(net: &IpNet) -> (bool, u8) {
    (matches!(net, IpNet::V6(_)), net.prefix_len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_in_every_prefix_that_holds_it_until_it_is_removed() {
        let mut blocked = Blocked::new(Keyed::new(7));
        let net = "192.0.2.0/24".parse().unwrap();
        blocked.insert(net);
        blocked.insert("2001:db8::/64".parse().unwrap());
        assert!(blocked.contains("192.0.2.9".parse().unwrap()));
        assert!(blocked.contains("2001:db8::5".parse().unwrap()));
        assert!(!blocked.contains("192.0.3.9".parse().unwrap()));
        assert!(blocked.remove(&net) && !blocked.remove(&net));
        assert!(!blocked.contains("192.0.2.9".parse().unwrap()));
    }
}
