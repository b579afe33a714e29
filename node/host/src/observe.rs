//! One look at the host: what it is, and who must never be locked out.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::IpAddr,
    path::{Path, PathBuf},
};

use ipnet::IpNet;
use smartfw_core::{
    prefix,
    protect::{Protected, ProtectedSet, Why},
};

use crate::{
    net::{self, Address, DefaultRoute, Link},
    sources::{dhcp, resolvers, time},
    ssh::{self, Sessions},
};

/// Entries of one kind. A node of a large container platform has some hundred addresses; resolvers and servers are a
/// handful. What is beyond is left out and counted.
const MAX_OF_A_KIND: usize = 1024;

/// Where to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostConfig {
    /// The root of the file system.
    pub root: PathBuf,
    /// Where the sessions are remembered across restarts; `None`: nowhere.
    pub sessions_file: Option<PathBuf>,
}

impl Default for HostConfig {
    fn default() -> Self {
        Self { root: "/".into(), sessions_file: None }
    }
}

/// What was seen of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Who must never be blocked: own and broadcast addresses, gateways, resolvers, DHCP and time servers, and the remote
    /// ends of SSH sessions. Loopback and the like are in [`ProtectedSet::of_every_host`].
    pub protected: ProtectedSet,
    /// This host's addresses, each with its network's prefix length.
    pub own: Vec<IpNet>,
    /// Entries left out because there were more than the limit.
    pub left_out: usize,
}

/// What the kernel says of the host's place in the network.
#[derive(Default)]
pub(crate) struct Place {
    pub(crate) links: Vec<Link>,
    pub(crate) addresses: Vec<Address>,
    pub(crate) routes: Vec<DefaultRoute>,
}

impl Place {
    pub(crate) fn look() -> io::Result<Self> {
        Ok(Self { links: net::links()?, addresses: net::addresses()?, routes: net::default_routes()? })
    }
}

/// Looks at the host once. Sessions come from their memory.
///
/// # Errors
/// When the kernel does not say which addresses and routes there are. Files that are missing or garbage say nothing.
pub fn observe(config: &HostConfig, sessions: &Sessions) -> io::Result<Observed> {
    let place = Place::look()?;
    let servers = servers(&config.root);
    Ok(assemble(&place, &servers, sessions))
}

/// Servers that the host cannot live without.
pub(crate) fn servers(root: &Path) -> Vec<Protected> {
    let resolvers =
        resolvers::resolvers(root).into_iter().map(|(address, file)| entry(address, Why::Resolver, file));
    let dhcp = dhcp::servers(root).into_iter().map(|address| entry(address, Why::Dhcp, ""));
    let network = root.join("proc/thread-self/net");
    let time = time::servers(root, &network).into_iter().map(|address| entry(address, Why::Ntp, ""));
    resolvers.chain(dhcp).chain(time).collect()
}

pub(crate) fn assemble(place: &Place, servers: &[Protected], sessions: &Sessions) -> Observed {
    let mut all = Collected::default();
    let name = |index: u32| {
        place.links.iter().find(|link| link.index == index).map_or("", |link| link.name.as_str())
    };
    for address in &place.addresses {
        all.add(entry(address.net.addr(), Why::Own, name(address.index)));
        if let Some(broadcast) = address.broadcast {
            all.add(entry(broadcast, Why::Broadcast, name(address.index)));
        }
    }
    for (address, index) in gateways(place) {
        all.add(entry(address, Why::Gateway, index.map_or("", name)));
    }
    servers.iter().for_each(|server| all.add(server.clone()));
    for (address, user) in sessions.protected() {
        all.add(entry(address, Why::SshSession, user));
    }
    let mut own: Vec<IpNet> = place.addresses.iter().map(|address| address.net).collect();
    own.truncate(MAX_OF_A_KIND);
    Observed { protected: ProtectedSet::new(all.entries), own, left_out: all.left_out }
}

/// Gateways of default routes; where such a route has none, the other end of its point-to-point interface.
fn gateways(place: &Place) -> Vec<(IpAddr, Option<u32>)> {
    let mut found = Vec::new();
    for route in &place.routes {
        match (route.gateway, route.index) {
            (Some(gateway), index) => found.push((gateway, index)),
            (None, Some(index)) => {
                let of_route = |address: &&Address| address.index == index;
                let peers = place.addresses.iter().filter(of_route).filter_map(|address| address.peer);
                found.extend(peers.map(|peer| (peer, Some(index))));
            }
            (None, None) => {}
        }
    }
    found
}

fn entry(address: IpAddr, why: Why, detail: &str) -> Protected {
    Protected { net: prefix::host(address), why, detail: detail.to_owned() }
}

/// Entries without repetition, and no more than the limit of each kind.
#[derive(Default)]
struct Collected {
    entries: Vec<Protected>,
    known: BTreeSet<(Why, IpNet)>,
    counts: BTreeMap<Why, usize>,
    left_out: usize,
}

impl Collected {
    fn add(&mut self, entry: Protected) {
        let address = entry.net.addr();
        // These every host protects; and an unspecified "server" is a placeholder in somebody's file.
        let is_fixed = address.is_loopback() || address.is_unspecified() || address.is_multicast();
        if is_fixed || !self.known.insert((entry.why, entry.net)) {
            return;
        }
        let limit = if entry.why == Why::SshSession { ssh::MAX_SESSIONS } else { MAX_OF_A_KIND };
        let count = self.counts.entry(entry.why).or_default();
        if *count == limit {
            self.left_out += 1;
        } else {
            *count += 1;
            self.entries.push(entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ssh::Session, testing::Namespace};

    fn place(addresses: &[(&str, Option<&str>)]) -> Place {
        let address = |(net, peer): &(&str, Option<&str>)| Address {
            index: 2,
            net: net.parse().unwrap(),
            broadcast: None,
            peer: peer.map(|peer| peer.parse().unwrap()),
            global: true,
        };
        Place { addresses: addresses.iter().map(address).collect(), ..Place::default() }
    }

    fn why(observed: &Observed, target: &str) -> Option<Why> {
        observed.protected.overlapping(&target.parse().unwrap()).map(|entry| entry.why)
    }

    #[test]
    fn the_other_end_of_a_link_without_gateway_is_the_gateway() {
        let mut place = place(&[("10.8.0.2/32", Some("10.8.0.1"))]);
        assert_eq!(why(&assemble(&place, &[], &Sessions::default()), "10.8.0.1/32"), None);
        place.routes = vec![DefaultRoute { index: Some(2), gateway: None, v6: false }];
        assert_eq!(why(&assemble(&place, &[], &Sessions::default()), "10.8.0.1/32"), Some(Why::Gateway));
    }

    #[test]
    fn servers_and_sessions_are_protected_and_placeholders_are_not() {
        let servers = ["10.0.0.53", "0.0.0.0", "::", "127.0.0.53"]
            .map(|a| entry(a.parse().unwrap(), Why::Resolver, "f"));
        let mut sessions = Sessions::default();
        let session = Session { address: "192.0.2.7".parse().unwrap(), user: "alice".into() };
        sessions.update(smartfw_core::Time::from_secs(1), &[session]);
        let observed = assemble(&place(&[("10.0.0.2/24", None)]), &servers, &sessions);
        assert_eq!(observed.protected.iter().count(), 3);
        assert_eq!(why(&observed, "10.0.0.53/32"), Some(Why::Resolver));
        assert_eq!(observed.protected.overlapping(&"192.0.2.0/24".parse().unwrap()).unwrap().detail, "alice");
        assert_eq!(why(&observed, "10.0.0.3/32"), None, "a neighbour is not an own address");
    }

    #[test]
    fn more_of_a_kind_than_the_limit_are_left_out_and_counted() {
        let nets: Vec<String> = (0..1030).map(|n| format!("10.1.{}.{}/16", n / 256, n % 256)).collect();
        let addresses: Vec<(&str, Option<&str>)> = nets.iter().map(|net| (net.as_str(), None)).collect();
        let observed = assemble(&place(&addresses), &[], &Sessions::default());
        assert_eq!((observed.left_out, observed.own.len()), (6, MAX_OF_A_KIND));
    }

    #[test]
    fn a_hosts_own_and_broadcast_addresses_and_gateways_are_protected() {
        let Some(space) = Namespace::new("observe") else { return };
        space.ip("link add v0 type veth peer name v1");
        space.ip("link set v0 up");
        space.ip("link set v1 up");
        space.ip("addr add 10.9.0.2/24 brd + dev v0");
        space.ip("addr add 2001:db8:9::2/64 dev v0 nodad");
        space.ip("route add default via 10.9.0.1");
        space.ip("-6 route add default via 2001:db8:9::1");
        let config = HostConfig { root: "/nonexistent".into(), sessions_file: None };
        let observed = space.inside(|| observe(&config, &Sessions::default()).unwrap());
        for (target, expected) in [
            ("10.9.0.2/32", Why::Own),
            ("2001:db8:9::2/128", Why::Own),
            ("10.9.0.255/32", Why::Broadcast),
            ("10.9.0.1/32", Why::Gateway),
            ("2001:db8:9::1/128", Why::Gateway),
        ] {
            assert_eq!(why(&observed, target), Some(expected), "{target}");
        }
        assert_eq!(why(&observed, "10.9.0.7/32"), None);
        assert!(observed.own.contains(&"10.9.0.2/24".parse().unwrap()));
    }
}
