//! What speaks for an address: benign handshakes of the last day, its share of the work, many clients behind it.

use alloc::vec::Vec;
use core::{net::IpAddr, time::Duration};

use super::{Sensor, decay::Decay, fair::Fair, table::Keyed};
use crate::{Class, Time, prefix, verdict::Standing};

/// How long a benign handshake counts for its address.
pub(super) const ACQUAINTANCE: Duration = Duration::from_secs(24 * 3600);
/// The half-life of an address's share of the established flows.
const SHARE_HALF_LIFE: Duration = Duration::from_secs(1800);
/// Work counts towards the share only after this long, so that an attack cannot vouch for itself.
const SHARE_DELAY: Duration = Duration::from_secs(60);
/// A share of fewer flows than this says nothing.
const SHARE_MINIMUM: f32 = 100.0;
/// Different clients behind one address, from which it counts as shared: a person has a browser or two and a phone.
const SHARED_CLIENTS: u32 = 4;
/// Work done beside the offence within ten seconds, from which the address counts as shared. Alone, a scanner, a
/// guesser and a slow attacker do none.
const SHARED_WORK: u32 = 20;

/// The addresses that did some benign work.
#[derive(Debug)]
pub(super) struct Acquaintances {
    table: Fair<Acquaintance>,
    /// When anybody in a /64 last did some, by its first address.
    networks: Fair<Time>,
    total: Work,
}

#[derive(Debug, Default)]
struct Acquaintance {
    seen: Time,
    work: Work,
}

/// Flows, counted with a delay.
#[derive(Debug, Default)]
struct Work {
    settled: Decay,
    recent: f32,
    since: Time,
}

impl Work {
    fn add(&mut self, now: Time) {
        self.settle(now);
        self.recent += 1.0;
    }

    fn settle(&mut self, now: Time) -> f32 {
        if now.since(self.since) >= SHARE_DELAY {
            self.settled.add(now, SHARE_HALF_LIFE, self.recent);
            (self.recent, self.since) = (0.0, now);
        }
        self.settled.read(now, SHARE_HALF_LIFE)
    }
}

impl Acquaintances {
    pub(super) fn new(capacity: usize, keyed: Keyed) -> Self {
        let (table, networks) = (Fair::new(capacity, keyed), Fair::new(capacity, keyed));
        Self { table, networks, total: Work::default() }
    }

    /// A connection of the address did some benign work.
    pub(super) fn worked(&mut self, keyed: &Keyed, now: Time, address: IpAddr) {
        let hash = keyed.address(address);
        if self.table.get(hash, &address).is_none() {
            self.table.insert(hash, address, Acquaintance::default());
        }
        if let Some(known) = self.table.get_mut(hash, &address) {
            known.seen = now;
            known.work.add(now);
        }
        self.total.add(now);
        if let Some(network) = prefix::network(address) {
            let hash = keyed.address(network);
            match self.networks.get_mut(hash, &network) {
                Some(seen) => *seen = now,
                None => drop(self.networks.insert(hash, network, now)),
            }
        }
    }

    /// The address turned out to be hostile, by evidence that cannot be forged.
    pub(super) fn forget(&mut self, keyed: &Keyed, address: IpAddr) {
        self.table.remove(keyed.address(address), &address);
    }

    pub(super) fn is_known(&self, keyed: &Keyed, now: Time, address: IpAddr) -> bool {
        let known = self.table.get(keyed.address(address), &address);
        known.is_some_and(|known| now.since(known.seen) < ACQUAINTANCE)
    }

    /// Whether anybody in the address's /64 is known, or was before it turned out to be hostile.
    fn is_network_known(&self, keyed: &Keyed, now: Time, address: IpAddr) -> bool {
        let network = prefix::network(address);
        let seen = network.and_then(|network| self.networks.get(keyed.address(network), &network));
        seen.is_some_and(|seen| now.since(*seen) < ACQUAINTANCE)
    }

    /// How many networks are remembered.
    #[cfg(test)]
    pub(super) fn networks(&self) -> usize {
        self.networks.len()
    }

    /// The address's share of the established flows of the last hour, per mille.
    fn share(&mut self, keyed: &Keyed, now: Time, address: IpAddr) -> u16 {
        let total = self.total.settle(now);
        let own =
            self.table.get_mut(keyed.address(address), &address).map_or(0.0, |known| known.work.settle(now));
        if total < SHARE_MINIMUM { 0 } else { (own / total * 1000.0).min(1000.0) as u16 }
    }
}

/// So much work, fading, makes a regular guest: an attacker who prepares for it has to behave for a while, at each node.
const REGULAR: f32 = 20.0;

impl Sensor {
    /// The sources with much benign work lately that are not proven guilty of anything, the most faithful first: whose
    /// block a fleet needs more than one member's word. It looks at all that are known: ask every ten seconds at most.
    pub fn regulars(&mut self, now: Time, most: usize) -> Vec<IpAddr> {
        let known = self.acquaintances.table.iter_mut();
        let known = known.filter(|(_, known)| now.since(known.seen) < ACQUAINTANCE);
        let mut regulars: Vec<(f32, IpAddr)> =
            known.map(|(address, known)| (known.work.settle(now), *address)).collect();
        regulars.retain(|(work, address)| *work >= REGULAR && !self.blocked.contains(*address));
        regulars.sort_unstable_by(|(one, a), (other, b)| other.total_cmp(one).then(a.cmp(b)));
        regulars.into_iter().take(most).map(|(_, address)| address).collect()
    }

    pub(super) fn standing(&mut self, remote: IpAddr, class: Class) -> Standing {
        let now = self.now;
        let known = self.acquaintances.is_known(&self.keyed, now, remote);
        let network_known = self.acquaintances.is_network_known(&self.keyed, now, remote);
        let flow_share = self.acquaintances.share(&self.keyed, now, remote);
        let remembered = Standing { known, network_known, flow_share, ..Standing::default() };
        let Some(source) = self.source(remote) else { return remembered };
        source.window.advance(now);
        // A flood of requests is itself made of work.
        let work = if class == Class::HttpFlood { 0 } else { source.window.total().worked };
        let clients = source.clients.count_older(now.as_secs() / 60, 0);
        Standing {
            established: now.since(source.worked_at) < Duration::from_secs(60),
            shared: clients >= SHARED_CLIENTS || work >= SHARED_WORK,
            ..remembered
        }
    }
}
