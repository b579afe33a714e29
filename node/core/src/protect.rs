//! Who can never be blocked, and why.

use alloc::{string::String, vec::Vec};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::{class::named, prefix};

/// The addresses that no detection, peer, feed or cloud may block.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtectedSet {
    entries: Vec<Protected>,
}

/// One protected prefix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protected {
    /// The prefix.
    pub net: IpNet,
    /// Why it is protected.
    pub why: Why,
    /// Which one: the interface, the user of the session, the allow list's comment. May be empty.
    pub detail: String,
}

named! {
    /// Why a prefix is protected.
    Why {
        /// 127.0.0.0/8, ::1.
        Loopback = "loopback",
        /// 0.0.0.0/8, ::.
        Unspecified = "unspecified",
        /// 169.254.0.0/16, fe80::/10.
        LinkLocal = "link-local",
        /// 224.0.0.0/4, ff00::/8.
        Multicast = "multicast",
        /// 255.255.255.255 and the broadcast addresses of our networks.
        Broadcast = "broadcast",
        /// An address of this host.
        Own = "own address",
        /// A default gateway.
        Gateway = "default gateway",
        /// A DNS resolver.
        Resolver = "resolver",
        /// A DHCP server.
        Dhcp = "DHCP server",
        /// A time server.
        Ntp = "time server",
        /// The remote end of an authenticated SSH session.
        SshSession = "SSH session",
        /// The operator's allow list.
        AllowList = "allow list",
        /// A member of the cluster.
        Member = "cluster member",
        /// The coordinator.
        Coordinator = "coordinator",
        /// An operator has declared it to be an address that no honest member blocks.
        Canary = "canary",
    }
}

impl ProtectedSet {
    /// A set of exactly these entries.
    pub fn new(entries: Vec<Protected>) -> Self {
        Self { entries }
    }

    /// What every host protects, whatever it is: loopback, unspecified, link-local, multicast, broadcast.
    pub fn of_every_host() -> Self {
        const FIXED: [(&str, Why); 9] = [
            ("127.0.0.0/8", Why::Loopback),
            ("::1/128", Why::Loopback),
            ("0.0.0.0/8", Why::Unspecified),
            ("::/128", Why::Unspecified),
            ("169.254.0.0/16", Why::LinkLocal),
            ("fe80::/10", Why::LinkLocal),
            ("224.0.0.0/4", Why::Multicast),
            ("ff00::/8", Why::Multicast),
            ("255.255.255.255/32", Why::Broadcast),
        ];
        let parse =
            |(net, why): (&str, Why)| Some(Protected { net: net.parse().ok()?, why, detail: String::new() });
        Self { entries: FIXED.into_iter().filter_map(parse).collect() }
    }

    /// Adds an entry.
    pub fn push(&mut self, entry: Protected) {
        self.entries.push(entry);
    }

    /// Why `target` cannot be blocked: the first entry that shares an address with it.
    pub fn overlapping(&self, target: &IpNet) -> Option<&Protected> {
        self.entries.iter().find(|entry| prefix::overlap(&entry.net, target))
    }

    /// Every entry.
    pub fn iter(&self) -> impl Iterator<Item = &Protected> {
        self.entries.iter()
    }
}
