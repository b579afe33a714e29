//! What the members are on: a bridge, and an attacker on it.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
};

use tempfile::TempDir;

use crate::{namespace::Namespace, net::INTERFACE};

/// Where the attackers are.
pub const EVIL: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);
/// Networks of attackers: all are on the wire.
const FAR: &str = "route add 203.0.113.0/24 dev eth0\nroute add 198.51.100.0/24 dev eth0\n\
                   route add 192.168.50.0/24 dev eth0\nroute add 2001:db8:3::/64 dev eth0\n";

/// The network. Dropping it deletes every namespace.
#[derive(Debug)]
pub struct Wire {
    _hub: Namespace,
    /// Who attacks, from any address of its networks.
    pub attacker: Namespace,
    /// The members' hosts.
    pub nodes: Vec<Namespace>,
    /// A folder that goes with it.
    pub dir: TempDir,
}

/// A node's IPv4 address.
pub fn address(node: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, node as u8 + 1)
}

/// A node's IPv6 address.
pub fn address6(node: usize) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0x77, 0, 0, 0, 0, node as u16 + 1)
}

impl Wire {
    /// So many hosts. Needs root.
    pub fn new(count: usize) -> Self {
        let hub = Namespace::new("hub").unwrap();
        hub.ip("link add br0 type bridge mcast_snooping 0\nlink set br0 up\n").unwrap();
        let host = |role: &str, port: String, lines: String| {
            let namespace = Namespace::new(role).unwrap();
            namespace
                .ip(&format!(
                    "link add {INTERFACE} type veth peer name {port} netns {}\nlink set {INTERFACE} up\n{lines}",
                    hub.name()
                ))
                .unwrap();
            hub.ip(&format!("link set {port} master br0\nlink set {port} up\n")).unwrap();
            namespace
        };
        let lines = format!(
            "addr add {EVIL}/32 dev eth0\naddr add 2001:db8:3::9/64 dev eth0 nodad\n\
             route add 10.77.0.0/24 dev eth0 src {EVIL}\nroute add 2001:db8:77::/64 dev eth0\n"
        );
        let attacker = host("attacker", "evil".into(), lines);
        let node = |n: usize| {
            let [v4, v6] = [address(n).to_string(), address6(n).to_string()];
            let lines = format!("addr add {v4}/24 dev eth0\naddr add {v6}/64 dev eth0 nodad\n{FAR}");
            host("node", format!("n{n}"), lines)
        };
        let nodes = (0..count).map(node).collect();
        Self { _hub: hub, attacker, nodes, dir: tempfile::tempdir().unwrap() }
    }

    /// The folder of a node's files.
    pub fn folder(&self, node: usize) -> PathBuf {
        self.dir.path().join(format!("node-{node}"))
    }

    /// Where the operator's keys are.
    pub fn operator(&self) -> PathBuf {
        self.dir.path().join("operator")
    }

    /// Gives the attacker one more address.
    pub fn lend(&self, from: IpAddr) {
        let lines = match from {
            IpAddr::V4(from) => format!("addr replace {from}/32 dev eth0\n"),
            IpAddr::V6(from) => format!("addr replace {from}/64 dev eth0 nodad\n"),
        };
        self.attacker.ip(&lines).unwrap();
    }

    /// From now on the attacker's programs come from this address.
    pub fn pose(&self, from: IpAddr) {
        self.lend(from);
        let net = if from.is_ipv4() { "10.77.0.0/24" } else { "2001:db8:77::/64" };
        self.attacker.ip(&format!("route replace {net} dev eth0 src {from}\n")).unwrap();
    }
}
