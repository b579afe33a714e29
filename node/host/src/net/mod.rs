//! The host's interfaces, addresses and default routes, as the kernel of this network namespace has them.

mod changes;
mod netlink;
pub(crate) mod sys;

use std::{io, net::IpAddr};

pub use changes::Changes;
use ipnet::IpNet;
use netlink::{Attributes, Message, number};

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The kernel's number for it; another one when it vanished and came back.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// What its frames begin with: an `ARPHRD_…` number.
    pub hardware: u16,
    /// Whether somebody switched it on.
    pub up: bool,
    /// Whether it is a loopback.
    pub loopback: bool,
    /// Whether it has one remote end and no neighbours.
    pub point_to_point: bool,
    /// The bridge, bond, team or VRF that it is a member of.
    pub master: Option<u32>,
    /// The interface that it is stacked upon, in this namespace.
    pub lower: Option<u32>,
    /// Its hardware address, where that is an Ethernet one.
    pub mac: Option<[u8; 6]>,
    /// The driver's kind (`vlan`, `bridge`, `bond`, `veth`, …); empty for hardware.
    pub kind: String,
}

/// An address of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The interface that has it.
    pub index: u32,
    /// The address, with the length of its network's prefix.
    pub net: IpNet,
    /// The network's broadcast address, if it has one.
    pub broadcast: Option<IpAddr>,
    /// The other end of a point-to-point interface.
    pub peer: Option<IpAddr>,
    /// Whether it means something beyond link and host.
    pub global: bool,
}

/// A default route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DefaultRoute {
    /// The interface, where the kernel says.
    pub index: Option<u32>,
    /// The gateway; `None` where everything is on the link.
    pub gateway: Option<IpAddr>,
    /// Whether it is a route of IPv6.
    pub v6: bool,
}

/// Every interface.
///
/// # Errors
/// When the kernel does not answer.
pub fn links() -> io::Result<Vec<Link>> {
    let mut links = Vec::new();
    netlink::dump(libc::RTM_GETLINK, 16, 0, |message| links.extend(link(message)))?;
    Ok(links)
}

/// Every address of this host.
///
/// # Errors
/// When the kernel does not answer.
pub fn addresses() -> io::Result<Vec<Address>> {
    let mut addresses = Vec::new();
    netlink::dump(libc::RTM_GETADDR, 8, 0, |message| addresses.extend(address(message)))?;
    Ok(addresses)
}

/// Every default route of every routing table, both families; all hops of those that have several.
///
/// # Errors
/// When the kernel does not answer.
pub fn default_routes() -> io::Result<Vec<DefaultRoute>> {
    let mut routes = Vec::new();
    // One family's full table must not hide the other's default route.
    for family in [libc::AF_INET, libc::AF_INET6] {
        netlink::dump(libc::RTM_GETROUTE, 12, family, |message| default_route(message, &mut routes))?;
    }
    Ok(routes)
}

fn link(message: &Message<'_>) -> Option<Link> {
    if message.kind != libc::RTM_NEWLINK {
        return None;
    }
    let (header, attributes) = message.body.split_at_checked(16)?;
    let flags = number(&header[8..])?;
    let flag = |bit: libc::c_int| flags & bit as u32 != 0;
    let mut link = Link {
        index: number(&header[4..])?,
        name: String::new(),
        hardware: u16::from_ne_bytes([header[2], header[3]]),
        up: flag(libc::IFF_UP),
        loopback: flag(libc::IFF_LOOPBACK),
        point_to_point: flag(libc::IFF_POINTOPOINT),
        master: None,
        lower: None,
        mac: None,
        kind: String::new(),
    };
    let mut lower_is_elsewhere = false;
    for (kind, value) in Attributes(attributes) {
        match kind {
            libc::IFLA_IFNAME => link.name = text(value),
            libc::IFLA_ADDRESS => link.mac = value.try_into().ok(),
            libc::IFLA_MASTER => link.master = number(value),
            libc::IFLA_LINK => link.lower = number(value).filter(|lower| *lower != 0 && *lower != link.index),
            libc::IFLA_LINK_NETNSID => lower_is_elsewhere = true,
            libc::IFLA_LINKINFO => link.kind = kind_of(value),
            _ => {}
        }
    }
    if lower_is_elsewhere {
        link.lower = None;
    }
    (!link.name.is_empty()).then_some(link)
}

fn kind_of(info: &[u8]) -> String {
    const IFLA_INFO_KIND: u16 = 1;
    Attributes(info)
        .find(|(kind, _)| *kind == IFLA_INFO_KIND)
        .map(|(_, value)| text(value))
        .unwrap_or_default()
}

fn address(message: &Message<'_>) -> Option<Address> {
    if message.kind != libc::RTM_NEWADDR {
        return None;
    }
    let (header, attributes) = message.body.split_at_checked(8)?;
    let (mut local, mut address, mut broadcast) = (None, None, None);
    for (kind, value) in Attributes(attributes) {
        match kind {
            libc::IFA_LOCAL => local = ip(value),
            libc::IFA_ADDRESS => address = ip(value),
            libc::IFA_BROADCAST => broadcast = ip(value),
            _ => {}
        }
    }
    let own = local.or(address)?;
    Some(Address {
        index: number(&header[4..])?,
        net: IpNet::new(own, header[1]).ok()?,
        broadcast,
        peer: address.filter(|peer| *peer != own),
        global: header[3] == libc::RT_SCOPE_UNIVERSE,
    })
}

fn default_route(message: &Message<'_>, routes: &mut Vec<DefaultRoute>) {
    if message.kind != libc::RTM_NEWROUTE {
        return;
    }
    let Some((header, attributes)) = message.body.split_at_checked(12) else { return };
    let (family, destination_length, kind) = (i32::from(header[0]), header[1], header[7]);
    if destination_length != 0
        || kind != libc::RTN_UNICAST
        || ![libc::AF_INET, libc::AF_INET6].contains(&family)
    {
        return;
    }
    let v6 = family == libc::AF_INET6;
    let mut several = &[][..];
    let route = hop(Attributes(attributes), v6, None, |hops| several = hops);
    if several.is_empty() {
        routes.push(route);
    }
    while let Some((head, rest)) = several.split_at_checked(8) {
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let Some(own) = rest.get(..length.saturating_sub(8)) else { break };
        routes.push(hop(Attributes(own), v6, number(&head[4..]), |_| {}));
        several = several.get(length.next_multiple_of(4).max(8)..).unwrap_or_default();
    }
}

/// One hop of a route, out of its attributes; those of a route with several hops go to `several`.
fn hop<'a>(
    attributes: Attributes<'a>,
    v6: bool,
    index: Option<u32>,
    mut several: impl FnMut(&'a [u8]),
) -> DefaultRoute {
    let mut route = DefaultRoute { index, gateway: None, v6 };
    for (kind, value) in attributes {
        match kind {
            libc::RTA_OIF => route.index = number(value),
            libc::RTA_GATEWAY => route.gateway = ip(value),
            // A family, then the address: an IPv4 route by way of an IPv6 neighbour.
            libc::RTA_VIA => route.gateway = value.get(2..).and_then(ip),
            libc::RTA_MULTIPATH => several(value),
            _ => {}
        }
    }
    route
}

fn ip(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => value.first_chunk::<4>().map(|bytes| IpAddr::from(*bytes)),
        16 => value.first_chunk::<16>().map(|bytes| IpAddr::from(*bytes)),
        _ => None,
    }
}

fn text(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

#[cfg(test)]
mod tests;
