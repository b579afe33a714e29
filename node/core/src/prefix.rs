//! Addresses and prefixes in their one canonical form.

use core::net::IpAddr;

use ipnet::IpNet;

/// `::ffff:a.b.c.d` is `a.b.c.d`; everything else is itself.
pub fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// The prefix that holds `address` alone, in canonical form.
pub fn host(address: IpAddr) -> IpNet {
    IpNet::from(canonical(address))
}

/// The first address of the /64 of an IPv6 address: one customer's or one server's network.
pub(crate) fn network(address: IpAddr) -> Option<IpAddr> {
    match canonical(address) {
        IpAddr::V6(v6) => Some(IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into())),
        IpAddr::V4(_) => None,
    }
}

/// The prefix of that length around `address`, in canonical form; the address alone where its family has no such length.
pub fn around(address: IpAddr, length: u8) -> IpNet {
    let address = canonical(address);
    IpNet::new(address, length).map_or_else(|_| host(address), |net| net.trunc())
}

/// The site around an address, and the wider network around it: what one person can rent, and what one company can. Of
/// IPv6 anybody gets a /48, and providers a /32; of IPv4 it is the /24 and the /16.
pub fn neighbourhoods(address: IpAddr) -> [IpNet; 2] {
    let lengths = if canonical(address).is_ipv4() { [24, 16] } else { [48, 32] };
    lengths.map(|length| around(address, length))
}

/// `net` with its host bits cleared and IPv4-mapped IPv6 prefixes (of at least 96 bits) as IPv4.
pub fn canonical_net(net: IpNet) -> IpNet {
    let net = net.trunc();
    let (IpNet::V6(v6), IpAddr::V4(v4)) = (net, canonical(net.addr())) else { return net };
    match v6.prefix_len().checked_sub(96) {
        Some(length) => IpNet::new(v4.into(), length).map_or(net, |net| net.trunc()),
        None => net,
    }
}

/// Reads an address or a prefix as people write them, into canonical form.
///
/// # Errors
/// When the text is neither an address nor a prefix.
pub fn parse_target(text: &str) -> Result<IpNet, ipnet::AddrParseError> {
    match text.parse::<IpAddr>() {
        Ok(address) => Ok(host(address)),
        Err(_) => text.parse::<IpNet>().map(canonical_net),
    }
}

/// Whether the two prefixes share an address.
pub fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a)
}
