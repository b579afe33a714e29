//! What was proven against an address outlives its window: the block that follows ends within minutes, guilt in a day.

use core::net::IpAddr;

use ipnet::IpNet;

use super::{
    Sensor,
    source::Source,
    table::{Generations, Keyed},
};
use crate::{Time, prefix};

/// When an offence of an address was last proven.
#[derive(Debug)]
pub(super) struct Convictions(Generations<IpAddr, Time>);

impl Convictions {
    pub(super) fn new(capacity: usize) -> Self {
        Self(Generations::new(capacity))
    }

    fn enter(&mut self, keyed: &Keyed, now: Time, address: IpAddr) {
        let hash = keyed.address(address);
        self.0.remove(hash, &address);
        self.0.insert(hash, address, now);
    }

    fn strike(&mut self, keyed: &Keyed, target: &IpNet) {
        let address = target.addr();
        if *target == prefix::host(address) {
            self.0.remove(keyed.address(address), &address);
        } else {
            self.0.retain(|address| !target.contains(address));
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Sensor {
    /// A person found nothing wrong with the target: what was proven against it counts no more.
    pub fn handle_acquittal(&mut self, target: IpNet) {
        self.convictions.strike(&self.keyed, &target);
        if target == prefix::host(target.addr()) {
            self.source(target.addr()).into_iter().for_each(Source::acquit);
        } else {
            let all = self.sources.iter_mut().chain(self.proven.iter_mut());
            all.filter(|(address, _)| target.contains(*address)).for_each(|(_, source)| source.acquit());
        }
    }

    /// An offence of the address was proven: it is known no longer, and not again for a day.
    pub(super) fn convict(&mut self, address: IpAddr) {
        let now = self.now;
        self.acquaintances.forget(&self.keyed, address);
        self.convictions.enter(&self.keyed, now, address);
        if let Some(source) = self.source(address) {
            source.convicted_at = now;
        }
    }

    /// An address's entry with nothing counted yet.
    pub(super) fn newcomer(&self, hash: u64, address: IpAddr) -> Source {
        let mut source = Source::new(self.now);
        if let Some(at) = self.convictions.0.get(hash, &address) {
            source.convicted_at = *at;
        }
        source
    }
}
