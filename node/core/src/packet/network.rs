//! IPv4 and IPv6: headers, extension headers, fragments.

use core::net::IpAddr;

use pnet_packet::{
    ipv4::{Ipv4Flags, Ipv4Packet},
    ipv6::Ipv6Packet,
};

use super::{Malformed, Packet, Transport, be16, transport, tunnel};
use crate::prefix::canonical;

/// Packets within packets within packets: real tunnels nest two deep.
const MAX_NESTING: u8 = 4;

/// Reads the IP packet in `bytes`, of which `on_wire` bytes were on the wire.
pub(super) fn parse(bytes: &[u8], on_wire: u32, nesting: u8) -> Result<Packet<'_>, Malformed> {
    if nesting > MAX_NESTING {
        return Err(Malformed::Nesting);
    }
    match bytes.first().map(|first| first >> 4) {
        Some(4) => v4(bytes, on_wire, nesting),
        Some(6) => v6(bytes, on_wire, nesting),
        Some(_) => Err(Malformed::IpVersion),
        None => Err(Malformed::IpHeader),
    }
}

/// An IP header, read: what it carries and where from where to.
struct Header<'a> {
    source: IpAddr,
    destination: IpAddr,
    /// IP bytes on the wire.
    bytes: u32,
    protocol: u8,
    /// What was captured of the content.
    content: &'a [u8],
    /// The content's bytes on the wire.
    content_len: u32,
    fragment: Fragment,
}

#[derive(Clone, Copy, PartialEq)]
enum Fragment {
    Whole,
    First,
    Later,
}

impl<'a> Header<'a> {
    fn packet(self, nesting: u8) -> Result<Packet<'a>, Malformed> {
        if self.fragment == Fragment::Whole
            && let Some(inner) = tunnel::inner(self.protocol, self.content)?
        {
            let rest = self.content_len.saturating_sub((self.content.len() - inner.len()) as u32);
            let mut packet = parse(inner, rest.max(inner.len() as u32), nesting + 1)?;
            packet.tunnel = Some((self.source, self.destination));
            return Ok(packet);
        }
        let transport = match self.fragment {
            Fragment::Later => Transport::Fragment { destination_port: None },
            Fragment::First => transport::first_fragment(self.protocol, self.content, self.content_len),
            Fragment::Whole => transport::parse(self.protocol, self.content, self.content_len)?,
        };
        Ok(Packet {
            source: canonical(self.source),
            destination: canonical(self.destination),
            bytes: self.bytes,
            segments: 1,
            transport,
            tunnel: None,
        })
    }
}

fn v4(bytes: &[u8], on_wire: u32, nesting: u8) -> Result<Packet<'_>, Malformed> {
    let ip = Ipv4Packet::new(bytes).ok_or(Malformed::IpHeader)?;
    let header = usize::from(ip.get_header_length()) * 4;
    if header < Ipv4Packet::minimum_packet_size() || header > bytes.len() {
        return Err(Malformed::IpHeader);
    }
    // Length 0 is how the kernel shows a segmented send of 64 KiB and more.
    let length = match u32::from(ip.get_total_length()) {
        0 => on_wire,
        length => length,
    };
    if length > on_wire || (length as usize) < header {
        return Err(Malformed::IpLength);
    }
    let fragment = match (ip.get_fragment_offset(), ip.get_flags() & Ipv4Flags::MoreFragments != 0) {
        (0, false) => Fragment::Whole,
        (0, true) => Fragment::First,
        _ => Fragment::Later,
    };
    Header {
        source: v4_address(bytes, 12)?,
        destination: v4_address(bytes, 16)?,
        bytes: length,
        protocol: ip.get_next_level_protocol().0,
        content: &bytes[header..bytes.len().min(length as usize).max(header)],
        content_len: length - header as u32,
        fragment,
    }
    .packet(nesting)
}

fn v6(bytes: &[u8], on_wire: u32, nesting: u8) -> Result<Packet<'_>, Malformed> {
    const HEADER: usize = Ipv6Packet::minimum_packet_size();
    let ip = Ipv6Packet::new(bytes).ok_or(Malformed::IpHeader)?;
    // Length 0 is a jumbogram (RFC 2675), or how the kernel shows a segmented send of 64 KiB and more.
    let length = match u32::from(ip.get_payload_length()) {
        0 => on_wire,
        payload => payload + HEADER as u32,
    };
    if length > on_wire || (length as usize) < HEADER {
        return Err(Malformed::IpLength);
    }
    let content = &bytes[HEADER..bytes.len().min(length as usize).max(HEADER)];
    let extensions = extensions(ip.get_next_header().0, content)?;
    Header {
        source: v6_address(bytes, 8)?,
        destination: v6_address(bytes, 24)?,
        bytes: length,
        protocol: extensions.protocol,
        content: &content[extensions.length..],
        content_len: (length - HEADER as u32).saturating_sub(extensions.length as u32),
        fragment: extensions.fragment,
    }
    .packet(nesting)
}

// The packet types' own address type depends on who else in the program uses them: with or without std.

fn v4_address(bytes: &[u8], at: usize) -> Result<IpAddr, Malformed> {
    let octets: &[u8; 4] = bytes.get(at..).and_then(<[u8]>::first_chunk).ok_or(Malformed::IpHeader)?;
    Ok(IpAddr::from(*octets))
}

fn v6_address(bytes: &[u8], at: usize) -> Result<IpAddr, Malformed> {
    let octets: &[u8; 16] = bytes.get(at..).and_then(<[u8]>::first_chunk).ok_or(Malformed::IpHeader)?;
    Ok(IpAddr::from(*octets))
}

struct Extensions {
    protocol: u8,
    length: usize,
    fragment: Fragment,
}

/// RFC 8200 knows seven extension headers, each at most twice.
const MAX_EXTENSIONS: usize = 12;

/// Walks the extension headers at the start of `content`.
fn extensions(first: u8, content: &[u8]) -> Result<Extensions, Malformed> {
    let mut walk = Extensions { protocol: first, length: 0, fragment: Fragment::Whole };
    for _ in 0..MAX_EXTENSIONS {
        let rest = &content[walk.length..];
        let length = match walk.protocol {
            // Hop-by-hop, routing, destination options, mobility, host identity, shim.
            0 | 43 | 60 | 135 | 139 | 140 => 8 + usize::from(second(rest)?) * 8,
            // Authentication counts words, less two.
            51 => 8 + usize::from(second(rest)?) * 4,
            44 => {
                let word = be16(rest, 2).ok_or(Malformed::ExtensionHeader)?;
                walk.fragment = match (word >> 3, word & 1) {
                    (0, 0) => Fragment::Whole,
                    (0, _) => Fragment::First,
                    _ => Fragment::Later,
                };
                8
            }
            _ => return Ok(walk),
        };
        if length > rest.len() {
            return Err(Malformed::ExtensionHeader);
        }
        walk.protocol = rest[0];
        walk.length += length;
        if walk.fragment == Fragment::Later {
            return Ok(walk);
        }
    }
    Err(Malformed::ExtensionHeader)
}

fn second(bytes: &[u8]) -> Result<u8, Malformed> {
    bytes.get(1).copied().ok_or(Malformed::ExtensionHeader)
}
