//! The topology: a router in the middle, one protected server, and as many clients and attackers as asked for.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::atomic::{AtomicU8, Ordering},
};

use anyhow::{Result, ensure};

use crate::namespace::Namespace;

/// The protected host's IPv4 address.
pub const SERVER_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
/// The protected host's IPv6 address.
pub const SERVER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 2);
/// The server's default gateway.
pub const GATEWAY_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// The hardware address of the router on every side: a tool that makes its own frames wants to be told.
pub const ROUTER_MAC: &str = "02:00:00:00:00:01";
/// The interface of every host.
pub const INTERFACE: &str = "eth0";

/// The network. Dropping it deletes every namespace.
#[derive(Debug)]
pub struct Net {
    server: Namespace,
    router: Namespace,
    next: AtomicU8,
}

/// A host with an address in each family.
#[derive(Debug)]
pub struct Host {
    /// Where it lives.
    pub namespace: Namespace,
    /// Its IPv4 address.
    pub v4: Ipv4Addr,
    /// Its IPv6 address.
    pub v6: Ipv6Addr,
}

/// The side of the router on which a host lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// People who must come to no harm.
    Clients,
    /// People who do harm.
    Attackers,
}

impl Net {
    /// Makes the router and the server. Needs root.
    pub fn new() -> Result<Self> {
        let (router, server) = (Namespace::new("router")?, Namespace::new("server")?);
        server.ip(&format!(
            "link add eth0 type veth peer name server netns {}\nlink set eth0 up\n\
             addr add 192.0.2.2/24 dev eth0\naddr add 2001:db8:1::2/64 dev eth0 nodad\n",
            router.name()
        ))?;
        // A bridge without an address of its own takes its ports' lowest, and whoever comes or goes may change it:
        // IPv6 hosts then send to the old one until they miss an answer, which takes up to a minute.
        router.ip(&format!(
            "link set server up\naddr add 192.0.2.1/24 dev server\naddr add 2001:db8:1::1/64 dev server nodad\n\
             link add clients address {ROUTER_MAC} type bridge\nlink set clients up\n\
             addr add 198.51.100.1/24 dev clients\naddr add 2001:db8:2::1/64 dev clients nodad\n\
             link add attackers address {ROUTER_MAC} type bridge\nlink set attackers up\n\
             addr add 203.0.113.1/24 dev attackers\naddr add 2001:db8:3::1/64 dev attackers nodad\n\
             route add blackhole default\nroute add blackhole ::/0\n"
        ))?;
        server.ip("route add default via 192.0.2.1\nroute add ::/0 via 2001:db8:1::1\n")?;
        for key in ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"] {
            router.sysctl(key, "1")?;
        }
        Ok(Self { server, router, next: AtomicU8::new(10) })
    }

    /// The protected host.
    pub fn server(&self) -> &Namespace {
        &self.server
    }

    /// The router between all.
    pub fn router(&self) -> &Namespace {
        &self.router
    }

    /// A new host with fresh addresses. There is room for 240 in the life of one network.
    pub fn host(&self, side: Side) -> Result<Host> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        ensure!((10..250).contains(&number), "this network has no addresses left");
        let (bridge, role, v4, v6) = match side {
            Side::Clients => ("clients", "client", Ipv4Addr::new(198, 51, 100, number), 2),
            Side::Attackers => ("attackers", "attacker", Ipv4Addr::new(203, 0, 113, number), 3),
        };
        let v6 = |last: u8| Ipv6Addr::new(0x2001, 0xdb8, v6, 0, 0, 0, 0, last.into());
        let namespace = Namespace::new(role)?;
        let [a, b, c, _] = v4.octets();
        namespace.ip(&format!(
            "link add {INTERFACE} type veth peer name h{number} netns {}\nlink set {INTERFACE} up\n\
             addr add {v4}/24 dev {INTERFACE}\naddr add {}/64 dev {INTERFACE} nodad\n\
             route add default via {a}.{b}.{c}.1\nroute add ::/0 via {}\n",
            self.router.name(),
            v6(number),
            v6(1),
        ))?;
        self.router.ip(&format!("link set h{number} master {bridge}\nlink set h{number} up\n"))?;
        Ok(Host { namespace, v4, v6: v6(number) })
    }

    /// Puts a host on a link of 60 kB/s, both ways.
    pub fn slow_link(&self, host: &Host) -> Result<()> {
        let port = format!("h{}", host.v4.octets()[3]);
        for (namespace, link) in [(&self.router, port.as_str()), (&host.namespace, INTERFACE)] {
            let args = [
                "qdisc", "add", "dev", link, "root", "tbf", "rate", "480kbit", "burst", "4kb", "latency",
                "1s",
            ];
            let done = namespace.command("tc").args(args).output()?;
            ensure!(done.status.success(), "tc: {}", String::from_utf8_lossy(&done.stderr));
        }
        Ok(())
    }

    /// Switches segmentation and receive offloads of the server's link on or off, at both ends.
    pub fn set_offloads(&self, on: bool) -> Result<()> {
        let state = if on { "on" } else { "off" };
        for (namespace, link) in [(&self.server, INTERFACE), (&self.router, "server")] {
            let args = ["-K", link, "tso", state, "gso", state, "gro", state];
            let done = namespace.command("ethtool").args(args).output()?;
            ensure!(done.status.success(), "ethtool: {}", String::from_utf8_lossy(&done.stderr));
        }
        Ok(())
    }
}

impl Host {
    /// Both addresses.
    pub fn addresses(&self) -> [IpAddr; 2] {
        [self.v4.into(), self.v6.into()]
    }
}
