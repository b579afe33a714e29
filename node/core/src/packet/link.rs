//! Link headers: what stands before the IP packet.

use pnet_packet::{ethernet::EthernetPacket, vlan::VlanPacket};

use super::{Malformed, be16};

/// What a captured frame begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Link {
    /// Ethernet II, with any number of VLAN tags (802.1Q, 802.1ad).
    Ethernet,
    /// Linux cooked capture, version 1.
    LinuxCooked,
    /// Linux cooked capture, version 2.
    LinuxCooked2,
    /// BSD loopback: the address family in the capturing host's byte order.
    Null,
    /// OpenBSD loopback: the address family in network byte order.
    Loop,
    /// An IP packet of either version.
    Raw,
    /// PPP, with or without the HDLC-like address and control bytes.
    Ppp,
}

impl Link {
    /// The link type of a capture file's number (LINKTYPE_… and the DLT_… of several systems).
    pub const fn from_dlt(dlt: u32) -> Option<Self> {
        Some(match dlt {
            0 => Self::Null,
            1 => Self::Ethernet,
            9 | 50 => Self::Ppp,
            12 | 14 | 101 | 228 | 229 => Self::Raw,
            108 => Self::Loop,
            113 => Self::LinuxCooked,
            276 => Self::LinuxCooked2,
            _ => return None,
        })
    }
}

/// The bytes of the IP packet and the length of what stood before it; `None` for what is not IP.
pub(super) fn network_layer(bytes: &[u8], link: Link) -> Result<Option<(&[u8], usize)>, Malformed> {
    let found = match link {
        Link::Ethernet => ethernet(bytes)?,
        Link::LinuxCooked => ethertype(bytes, be16(bytes, 14).ok_or(Malformed::LinkHeader)?, 16)?,
        Link::LinuxCooked2 => ethertype(bytes, be16(bytes, 0).ok_or(Malformed::LinkHeader)?, 20)?,
        Link::Null | Link::Loop => family(bytes)?,
        Link::Raw => Some(0),
        Link::Ppp => ppp(bytes)?,
    };
    let Some(offset) = found else { return Ok(None) };
    bytes.get(offset..).map(|ip| Some((ip, offset))).ok_or(Malformed::LinkHeader)
}

/// The bytes of the IP packet in an Ethernet frame that another packet carried.
pub(super) fn inner_ethernet(bytes: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    Ok(network_layer(bytes, Link::Ethernet)?.map(|(ip, _)| ip))
}

fn ethernet(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    let frame = EthernetPacket::new(bytes).ok_or(Malformed::LinkHeader)?;
    ethertype(bytes, frame.get_ethertype().0, EthernetPacket::minimum_packet_size())
}

/// More tags than any network nests.
const MAX_TAGS: usize = 8;

/// Follows VLAN tags, MPLS labels, PPPoE and SNAP from `offset`, where what `kind` names begins.
fn ethertype(bytes: &[u8], mut kind: u16, mut offset: usize) -> Result<Option<usize>, Malformed> {
    for _ in 0..MAX_TAGS {
        match kind {
            0x0800 | 0x86dd => return Ok(Some(offset)),
            0x8100 | 0x88a8 | 0x9100 | 0x9200 => {
                let tag = bytes.get(offset..).and_then(VlanPacket::new).ok_or(Malformed::LinkHeader)?;
                kind = tag.get_ethertype().0;
                offset += VlanPacket::minimum_packet_size();
            }
            0x8847 | 0x8848 => return mpls(bytes, offset),
            0x8864 => {
                let session = bytes.get(offset + 6..).ok_or(Malformed::LinkHeader)?;
                return Ok(ppp(session)?.map(|header| offset + 6 + header));
            }
            length if length <= 1500 => match snap(bytes, offset) {
                Some(inner) => (kind, offset) = (inner, offset + 8),
                None => return Ok(None),
            },
            _ => return Ok(None),
        }
    }
    Err(Malformed::LinkHeader)
}

/// The Ethernet type behind an 802.2 LLC header with SNAP and no organisation.
fn snap(bytes: &[u8], offset: usize) -> Option<u16> {
    let header: &[u8; 8] = bytes.get(offset..)?.first_chunk()?;
    header.starts_with(&[0xaa, 0xaa, 3, 0, 0, 0]).then(|| u16::from_be_bytes([header[6], header[7]]))
}

/// Labels do not say what they carry: IP is known by its version's nibble, as routers do.
fn mpls(bytes: &[u8], mut offset: usize) -> Result<Option<usize>, Malformed> {
    for _ in 0..MAX_TAGS {
        let label: &[u8; 4] =
            bytes.get(offset..).and_then(|rest| rest.first_chunk()).ok_or(Malformed::LinkHeader)?;
        offset += 4;
        if label[2] & 1 == 1 {
            let nibble = bytes.get(offset).map(|byte| byte >> 4);
            return Ok(matches!(nibble, Some(4 | 6)).then_some(offset));
        }
    }
    Err(Malformed::LinkHeader)
}

fn ppp(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    let start = if bytes.starts_with(&[0xff, 3]) { 2 } else { 0 };
    match be16(bytes, start).ok_or(Malformed::LinkHeader)? {
        0x0021 | 0x0057 => Ok(Some(start + 2)),
        _ => Ok(None),
    }
}

/// 2 is IPv4 everywhere; IPv6 is 10 on Linux, 24 to 30 on the BSDs. Either byte order: the family is a small number.
fn family(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    let word: &[u8; 4] = bytes.first_chunk().ok_or(Malformed::LinkHeader)?;
    let family = match *word {
        [0, 0, high, low] if high != 0 || low != 0 => u16::from_be_bytes([high, low]),
        [low, high, 0, 0] => u16::from_be_bytes([high, low]),
        _ => return Ok(None),
    };
    Ok(matches!(family, 2 | 10 | 24 | 28 | 30).then_some(4))
}
