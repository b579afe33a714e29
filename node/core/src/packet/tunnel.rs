//! Packets that carry packets: 4in4, 6in4, 4in6, 6in6, GRE (with Ethernet, ERSPAN and IP inside), VXLAN, Geneve.

use pnet_packet::vxlan::VxlanPacket;

use super::{Malformed, be16, link};

const VXLAN_PORT: u16 = 4789;
const GENEVE_PORT: u16 = 6081;
const GRE_HEADER: usize = 4;

/// The IP packet inside `content` of protocol `protocol`, if it is a tunnel and carries one.
pub(super) fn inner(protocol: u8, content: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    match protocol {
        4 | 41 => Ok(Some(content)),
        47 => gre(content),
        17 => match be16(content, 2) {
            Some(VXLAN_PORT) => Ok(vxlan(content)),
            Some(GENEVE_PORT) => Ok(geneve(content)),
            _ => Ok(None),
        },
        _ => Ok(None),
    }
}

fn gre(content: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    let flags = be16(content, 0).ok_or(Malformed::TunnelHeader)?;
    let kind = be16(content, 2).ok_or(Malformed::TunnelHeader)?;
    let sequenced = flags & 0x1000 != 0;
    // Version 1 is PPTP's own dialect; routing (0x4000) was withdrawn by RFC 2784.
    if flags & 0x4007 != 0 {
        return Ok(None);
    }
    let optional = [0x8000, 0x2000, 0x1000].iter().filter(|bit| flags & **bit != 0).count();
    let header = GRE_HEADER + optional * 4;
    let rest = content.get(header..).ok_or(Malformed::TunnelHeader)?;
    match kind {
        0x0800 | 0x86dd => Ok(Some(rest)),
        0x6558 => link::inner_ethernet(rest),
        // ERSPAN type I has no header of its own and no sequence; type II has 8 bytes, type III 12 or 20.
        0x88be if sequenced => rest.get(8..).map_or(Ok(None), link::inner_ethernet),
        0x88be => link::inner_ethernet(rest),
        0x22eb => {
            let subheader = rest.get(11).is_some_and(|last| last & 1 == 1);
            rest.get(if subheader { 20 } else { 12 }..).map_or(Ok(None), link::inner_ethernet)
        }
        _ => Ok(None),
    }
}

/// Anybody may use the port for something else: what does not look like VXLAN (RFC 7348) is plain UDP.
fn vxlan(content: &[u8]) -> Option<&[u8]> {
    let packet = content.get(8..)?;
    let vxlan = VxlanPacket::new(packet)?;
    if vxlan.get_flags() & 0x08 == 0 {
        return None;
    }
    link::inner_ethernet(packet.get(VxlanPacket::minimum_packet_size()..)?).ok().flatten()
}

/// RFC 8926: version 0, options in words, then a protocol type.
fn geneve(content: &[u8]) -> Option<&[u8]> {
    let packet = content.get(8..)?;
    let first = *packet.first()?;
    if first >> 6 != 0 {
        return None;
    }
    let rest = packet.get(8 + usize::from(first & 0x3f) * 4..)?;
    match be16(packet, 2)? {
        0x6558 => link::inner_ethernet(rest).ok().flatten(),
        0x0800 | 0x86dd => Some(rest),
        _ => None,
    }
}
