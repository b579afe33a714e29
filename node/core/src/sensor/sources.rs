//! Who is remembered: strangers, those whom anybody could have forged, and those who proved themselves.

use alloc::boxed::Box;
use core::net::IpAddr;

use ipnet::IpNet;

use super::{Sensor, sighting::Sighting, source::Source};

/// From this packet on an address has a window.
const STRANGER_PACKETS: u8 = 2;

impl Sensor {
    /// The entry of a packet's sender; strangers get one with their third packet.
    pub(super) fn introduced(&mut self, seen: &Sighting) -> Option<&mut Source> {
        if self.knows(seen.hash, seen.remote) {
            return self.known(seen.hash, seen.remote);
        }
        match self.strangers.get_mut(seen.hash, &seen.remote) {
            Some(packets) if *packets >= STRANGER_PACKETS => {
                self.strangers.remove(seen.hash, &seen.remote);
                let source = Box::new(self.newcomer(seen.hash, seen.remote));
                Some(self.sources.insert(seen.hash, seen.remote, source))
            }
            Some(packets) => {
                *packets += 1;
                None
            }
            None => {
                self.strangers.insert(seen.hash, seen.remote, 1);
                None
            }
        }
    }

    /// The judged end's entry, if it is no stranger.
    pub(super) fn source_of(&mut self, seen: &Sighting) -> Option<&mut Source> {
        self.known(seen.hash, seen.remote)
    }

    /// The address's entry, if it is no stranger.
    pub(super) fn source(&mut self, address: IpAddr) -> Option<&mut Source> {
        self.known(self.keyed.address(address), address)
    }

    pub(super) fn knows(&self, hash: u64, address: IpAddr) -> bool {
        self.proven.get(hash, &address).is_some() || self.sources.get(hash, &address).is_some()
    }

    /// Whether the address completed a handshake with this host, and is remembered.
    pub(super) fn has_shaken_hands(&self, address: IpAddr) -> bool {
        self.proven.get(self.keyed.address(address), &address).is_some()
    }

    pub(super) fn known(&mut self, hash: u64, address: IpAddr) -> Option<&mut Source> {
        let proven = self.proven.get_mut(hash, &address);
        proven.or_else(|| self.sources.get_mut(hash, &address)).map(|source| &mut **source)
    }

    /// The entry of one of our own addresses, as a source of connections to others.
    pub(super) fn own_source(&mut self, address: IpAddr) -> &mut Source {
        self.proven_source(address)
    }

    /// The address's entry among those that completed a handshake.
    pub(super) fn proven_source(&mut self, address: IpAddr) -> &mut Source {
        let hash = self.keyed.address(address);
        if self.proven.get(hash, &address).is_none() {
            self.strangers.remove(hash, &address);
            let source = self.sources.remove(hash, &address);
            let source = source.unwrap_or_else(|| Box::new(self.newcomer(hash, address)));
            self.proven.insert(hash, address, source);
        }
        // The entry was found or made above, so that the fallback is never built.
        match self.proven.get_mut(hash, &address) {
            Some(source) => source,
            None => unreachable!("an entry that was just inserted is in the table"),
        }
    }

    pub(super) fn forget(&mut self, target: IpNet) {
        if target == crate::prefix::host(target.addr()) {
            let (address, hash) = (target.addr(), self.keyed.address(target.addr()));
            self.strangers.remove(hash, &address);
            self.sources.remove(hash, &address);
            self.proven.remove(hash, &address);
        } else {
            let keep = |address: &IpAddr| !target.contains(address);
            self.strangers.retain(keep);
            self.sources.retain(keep);
            self.proven.retain(keep);
        }
    }
}
