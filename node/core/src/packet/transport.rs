//! TCP, UDP, ICMP and ICMPv6 headers.

use core::fmt;

use pnet_packet::{icmp::IcmpPacket, tcp::TcpPacket, udp::UdpPacket};

use super::{Malformed, be16};

/// What an IP packet carries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Transport<'a> {
    /// TCP.
    Tcp(Tcp<'a>),
    /// UDP.
    Udp(Udp<'a>),
    /// ICMP or ICMPv6.
    Icmp(Icmp),
    /// A part of a packet. Only the first part can show its destination port.
    Fragment {
        /// The TCP or UDP destination port, where shown.
        destination_port: Option<u16>,
    },
    /// Any other protocol, by its number.
    Other(u8),
}

/// A TCP segment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tcp<'a> {
    /// The sender's port.
    pub source_port: u16,
    /// The receiver's port.
    pub destination_port: u16,
    /// The sequence number of the first payload byte (of the SYN, where set).
    pub sequence: u32,
    /// The next sequence number expected, where ACK is set.
    pub acknowledgement: u32,
    /// The control bits.
    pub flags: TcpFlags,
    /// The window as advertised, not scaled.
    pub window: u16,
    /// Payload bytes on the wire.
    pub payload_len: u32,
    /// What was captured of the payload.
    pub payload: &'a [u8],
}

/// The control bits of a TCP header.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    const FIN: u8 = 1;
    const SYN: u8 = 2;
    const RST: u8 = 4;
    const ACK: u8 = 16;

    /// A connection attempt: SYN without ACK, RST or FIN.
    pub const fn is_syn(self) -> bool {
        self.0 & (Self::SYN | Self::ACK | Self::RST | Self::FIN) == Self::SYN
    }

    /// The answer to a connection attempt.
    pub const fn is_syn_ack(self) -> bool {
        self.0 & (Self::SYN | Self::ACK | Self::RST) == Self::SYN | Self::ACK
    }

    /// The connection is torn down.
    pub const fn is_rst(self) -> bool {
        self.0 & Self::RST != 0
    }

    /// The sender has nothing more to send.
    pub const fn is_fin(self) -> bool {
        self.0 & Self::FIN != 0
    }

    /// The acknowledgement number counts.
    pub const fn is_ack(self) -> bool {
        self.0 & Self::ACK != 0
    }
}

impl fmt::Debug for TcpFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (bit, name) in "FSRPAUEC".chars().enumerate() {
            if self.0 >> bit & 1 == 1 {
                fmt::Write::write_char(f, name)?;
            }
        }
        Ok(())
    }
}

/// A UDP datagram.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Udp<'a> {
    /// The sender's port.
    pub source_port: u16,
    /// The receiver's port.
    pub destination_port: u16,
    /// Payload bytes on the wire.
    pub payload_len: u32,
    /// What was captured of the payload.
    pub payload: &'a [u8],
}

/// What detection tells apart in ICMP and ICMPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icmp {
    /// An echo request.
    EchoRequest,
    /// An echo reply.
    EchoReply,
    /// Something could not be delivered.
    Unreachable,
    /// Another error: a packet of the receiver's was too big, lived too long, took a detour.
    Error,
    /// Neighbour and router discovery: never judged.
    Discovery,
    /// Anything else, by its type.
    Other(u8),
}

impl Transport<'_> {
    /// Payload bytes on the wire, for what has segments.
    pub(super) fn payload_len(&self) -> u32 {
        match self {
            Self::Tcp(tcp) => tcp.payload_len,
            Self::Udp(udp) => udp.payload_len,
            Self::Icmp(_) | Self::Fragment { .. } | Self::Other(_) => 0,
        }
    }
}

/// Reads what `protocol` names in `content`, of which `length` bytes were on the wire.
pub(super) fn parse(protocol: u8, content: &[u8], length: u32) -> Result<Transport<'_>, Malformed> {
    match protocol {
        6 => tcp(content, length).map(Transport::Tcp),
        17 => udp(content, length, false).map(Transport::Udp),
        1 => icmp(content).map(Transport::Icmp),
        58 => icmpv6(content).map(Transport::Icmp),
        other => Ok(Transport::Other(other)),
    }
}

/// The first part of a packet: whole where the header fits, else at least its port (`nmap -f` sends 8 bytes).
pub(super) fn first_fragment(protocol: u8, content: &[u8], length: u32) -> Transport<'_> {
    let whole = match protocol {
        17 => udp(content, length, true).map(Transport::Udp),
        _ => parse(protocol, content, length),
    };
    match whole {
        Ok(transport) => transport,
        Err(_) => Transport::Fragment {
            destination_port: matches!(protocol, 6 | 17).then(|| be16(content, 2)).flatten(),
        },
    }
}

fn tcp(content: &[u8], length: u32) -> Result<Tcp<'_>, Malformed> {
    let tcp = TcpPacket::new(content).ok_or(Malformed::TcpHeader)?;
    let header = usize::from(tcp.get_data_offset()) * 4;
    if header < TcpPacket::minimum_packet_size() || header as u32 > length {
        return Err(Malformed::TcpHeader);
    }
    Ok(Tcp {
        source_port: tcp.get_source(),
        destination_port: tcp.get_destination(),
        sequence: tcp.get_sequence(),
        acknowledgement: tcp.get_acknowledgement(),
        flags: TcpFlags(tcp.get_flags()),
        window: tcp.get_window(),
        payload_len: length - header as u32,
        payload: content.get(header..).unwrap_or_default(),
    })
}

/// A datagram, or its first `part`: then it promises more than there is.
fn udp(content: &[u8], length: u32, part: bool) -> Result<Udp<'_>, Malformed> {
    const HEADER: u32 = UdpPacket::minimum_packet_size() as u32;
    let udp = UdpPacket::new(content).ok_or(Malformed::UdpHeader)?;
    // Length 0 is a jumbogram, or a segmented send: then the IP length counts.
    let own = match u32::from(udp.get_length()) {
        0 => length,
        own if part => own.min(length),
        own => own,
    };
    if own < HEADER || own > length {
        return Err(Malformed::UdpHeader);
    }
    Ok(Udp {
        source_port: udp.get_source(),
        destination_port: udp.get_destination(),
        payload_len: own - HEADER,
        payload: content.get(HEADER as usize..content.len().min(own as usize)).unwrap_or_default(),
    })
}

fn icmp(content: &[u8]) -> Result<Icmp, Malformed> {
    let icmp = IcmpPacket::new(content).ok_or(Malformed::IcmpHeader)?;
    Ok(match icmp.get_icmp_type().0 {
        8 => Icmp::EchoRequest,
        0 => Icmp::EchoReply,
        3 => Icmp::Unreachable,
        4 | 5 | 11 | 12 => Icmp::Error,
        other => Icmp::Other(other),
    })
}

fn icmpv6(content: &[u8]) -> Result<Icmp, Malformed> {
    Ok(match *content.first_chunk::<4>().ok_or(Malformed::IcmpHeader)? {
        [128, ..] => Icmp::EchoRequest,
        [129, ..] => Icmp::EchoReply,
        [1, ..] => Icmp::Unreachable,
        [130..=137 | 143, ..] => Icmp::Discovery,
        // All other types below 128 are errors (RFC 4443, 2.1).
        [..=127, ..] => Icmp::Error,
        [other, ..] => Icmp::Other(other),
    })
}
