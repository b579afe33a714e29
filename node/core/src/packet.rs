//! From frames to packets: every link type, tunnel and header that detection understands.
//!
//! Nothing here trusts a length, and a bad checksum is no reason to refuse: the kernel hands over outgoing packets
//! before their checksum is made.

mod link;
mod network;
mod transport;
mod tunnel;

use core::net::IpAddr;

pub use link::Link;
pub use transport::{Icmp, Tcp, TcpFlags, Transport, Udp};

use crate::class::named;

/// A frame as it was captured.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The bytes captured, from the link header on; may be fewer than were on the wire.
    pub bytes: &'a [u8],
    /// What the bytes begin with.
    pub link: Link,
    /// Whether this host received or sent it; `None` where nobody knows (captures).
    pub direction: Option<Direction>,
    /// The length on the wire, bytes.
    pub wire_len: u32,
    /// The payload bytes of each wire segment when the kernel handed over several as one (GRO, TSO); 0 for one.
    pub gso_size: u16,
    /// Whether the operator trusts the interface: what is forwarded from it is not judged.
    pub trusted: bool,
}

/// Which way a frame went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// This host received it.
    In,
    /// This host sent it.
    Out,
}

/// An IP packet, the innermost where several are nested.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Packet<'a> {
    /// Who sent it.
    pub source: IpAddr,
    /// To whom.
    pub destination: IpAddr,
    /// IP bytes on the wire, headers of all segments included.
    pub bytes: u32,
    /// Wire segments, at least 1.
    pub segments: u32,
    /// What it carries.
    pub transport: Transport<'a>,
    /// The ends of the outermost tunnel that it came in.
    pub tunnel: Option<(IpAddr, IpAddr)>,
}

named! {
    /// Why a frame could not be read. Counted by name, never fatal.
    Malformed {
        /// The link header is cut.
        LinkHeader = "link_header",
        /// The IP header is cut, or says that it is shorter than it can be.
        IpHeader = "ip_header",
        /// The IP version is neither 4 nor 6, or differs from what the link said.
        IpVersion = "ip_version",
        /// The IP header promises more bytes than were on the wire.
        IpLength = "ip_length",
        /// An IPv6 extension header is cut, or there are too many.
        ExtensionHeader = "extension_header",
        /// The TCP header is cut, or says that it is shorter than it can be.
        TcpHeader = "tcp_header",
        /// The UDP header is cut, or its length does not fit.
        UdpHeader = "udp_header",
        /// The ICMP header is cut.
        IcmpHeader = "icmp_header",
        /// A tunnel's header is cut or inconsistent.
        TunnelHeader = "tunnel_header",
        /// More packets within packets than anybody needs.
        Nesting = "nesting",
    }
}

/// Reads the packet in a frame; `None` for what is not IP (ARP, LLDP, spanning tree).
///
/// # Errors
/// [`Malformed`] when the frame is IP and cannot be read.
pub fn parse<'a>(frame: &Frame<'a>) -> Result<Option<Packet<'a>>, Malformed> {
    let Some((ip, header)) = link::network_layer(frame.bytes, frame.link)? else { return Ok(None) };
    let on_wire = frame.wire_len.saturating_sub(header as u32).min(MAX_PACKET).max(ip.len() as u32);
    let mut packet = network::parse(ip, on_wire, 0)?;
    packet.split(frame.gso_size);
    Ok(Some(packet))
}

/// Kernels merge up to 512 KiB (BIG TCP); a capture file may claim anything, and sums of it must not overflow.
const MAX_PACKET: u32 = 1 << 20;

/// The payload of a full Ethernet segment of TCP with timestamps: what a frame longer than the MTU was made of when
/// nobody recorded it.
const USUAL_MSS: u32 = 1448;

impl Packet<'_> {
    /// Counts the wire segments of a frame that offloading merged: verdicts must not depend on offload settings.
    fn split(&mut self, gso_size: u16) {
        let payload = self.transport.payload_len();
        let segment = match gso_size {
            0 if matches!(self.transport, Transport::Tcp(_)) && payload > USUAL_MSS + 12 => USUAL_MSS,
            0 => return,
            size => u32::from(size),
        };
        self.segments = payload.div_ceil(segment).max(1);
        let headers = self.bytes.saturating_sub(payload);
        self.bytes = self.bytes.saturating_add(headers.saturating_mul(self.segments - 1));
    }
}

/// Big-endian reads that cannot leave the slice.
pub(crate) fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
pub(crate) mod build;
#[cfg(test)]
mod tests;
