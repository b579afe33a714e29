mod hostile;
mod link;
mod network;
mod segments;
mod transport;
mod tunnel;

use alloc::{vec, vec::Vec};

use super::{build::*, *};

/// What the frame holds: readable, and IP.
fn read(link: Link, bytes: &[u8]) -> Packet<'_> {
    parse(&frame(link, bytes)).expect("readable").expect("IP")
}

/// Why the IP packet cannot be read.
fn refused(bytes: &[u8]) -> Malformed {
    parse(&frame(Link::Raw, bytes)).expect_err("malformed")
}

/// The destination port of the segment or datagram.
fn port(packet: &Packet<'_>) -> u16 {
    match packet.transport {
        Transport::Tcp(tcp) => tcp.destination_port,
        Transport::Udp(udp) => udp.destination_port,
        other => panic!("{other:?} has no port"),
    }
}
