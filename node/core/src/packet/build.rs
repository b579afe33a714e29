//! Builds packets for tests, header by header, from the inside out. Checksums stay 0: nobody may care.

use alloc::{vec, vec::Vec};
use core::net::IpAddr;

use super::{Direction, Frame, Link};

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const PSH: u8 = 8;
pub(crate) const ACK: u8 = 16;
pub(crate) const URG: u8 = 32;

pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ICMP: u8 = 1;
pub(crate) const ICMP6: u8 = 58;

pub(crate) fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A TCP segment with a window of 1024.
pub(crate) fn tcp(ports: (u16, u16), numbers: (u32, u32), flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut segment = vec![];
    segment.extend(ports.0.to_be_bytes());
    segment.extend(ports.1.to_be_bytes());
    segment.extend(numbers.0.to_be_bytes());
    segment.extend(numbers.1.to_be_bytes());
    segment.extend([5 << 4, flags, 4, 0, 0, 0, 0, 0]);
    segment.extend(payload);
    segment
}

pub(crate) fn udp(ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let mut datagram = vec![];
    datagram.extend(ports.0.to_be_bytes());
    datagram.extend(ports.1.to_be_bytes());
    datagram.extend((8 + payload.len() as u16).to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    datagram
}

/// An IPv4 or IPv6 packet, as the addresses say.
pub(crate) fn ip(source: IpAddr, destination: IpAddr, protocol: u8, content: &[u8]) -> Vec<u8> {
    let mut packet = vec![];
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            packet.extend([0x45, 0]);
            packet.extend((20 + content.len() as u16).to_be_bytes());
            packet.extend([0, 0, 0, 0, 64, protocol, 0, 0]);
            packet.extend(source.octets());
            packet.extend(destination.octets());
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            packet.extend([0x60, 0, 0, 0]);
            packet.extend((content.len() as u16).to_be_bytes());
            packet.extend([protocol, 64]);
            packet.extend(source.octets());
            packet.extend(destination.octets());
        }
        _ => panic!("{source} and {destination} are not of one family"),
    }
    packet.extend(content);
    packet
}

/// From 192.0.2.1 to 198.51.100.2.
pub(crate) fn v4(protocol: u8, content: &[u8]) -> Vec<u8> {
    ip(address("192.0.2.1"), address("198.51.100.2"), protocol, content)
}

/// From 2001:db8::1 to 2001:db8::2.
pub(crate) fn v6(next: u8, content: &[u8]) -> Vec<u8> {
    ip(address("2001:db8::1"), address("2001:db8::2"), next, content)
}

/// A SYN from port 40000 to port 80.
pub(crate) fn syn() -> Vec<u8> {
    tcp((40_000, 80), (1000, 0), SYN, b"")
}

pub(crate) fn ethernet(kind: u16, content: &[u8]) -> Vec<u8> {
    [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2], &kind.to_be_bytes()[..], content].concat()
}

/// A whole frame of one segment, direction unknown.
pub(crate) fn frame(link: Link, bytes: &[u8]) -> Frame<'_> {
    Frame { bytes, link, direction: None, wire_len: bytes.len() as u32, gso_size: 0, trusted: false }
}

pub(crate) fn raw(bytes: &[u8], direction: Direction) -> Frame<'_> {
    Frame { direction: Some(direction), ..frame(Link::Raw, bytes) }
}
