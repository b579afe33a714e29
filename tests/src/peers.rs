//! Sixty-four more addresses of the server in each family: what a host of many sites has, and what peers of a network
//! without a middle are to each other. Web and the rest answer on all of them; besides, each has a UDP port of its own.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket},
    thread,
};

use anyhow::{Context, Result};

use crate::namespace::Namespace;

/// How many there are in each family.
pub const COUNT: u8 = 64;
/// All of IPv4.
pub const ALL_V4: &str = "192.0.2.128/26";
/// All of IPv6.
pub const ALL_V6: &str = "2001:db8:1::80/122";

/// What becomes of a datagram to a peer's port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// It comes back.
    Answers,
    /// Nothing comes back: the program does not know the sender.
    Silent,
    /// The host says that nothing listens: the program is gone.
    Gone,
}

/// One of the addresses.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// The address.
    pub address: IpAddr,
    /// Its UDP port, different at each.
    pub port: u16,
    /// What the port does.
    pub manner: Manner,
}

/// The peers of one family.
pub fn all(v6: bool) -> impl Iterator<Item = Peer> {
    (0..COUNT).map(move |i| Peer {
        address: if v6 {
            Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x80 + u16::from(i)).into()
        } else {
            Ipv4Addr::new(192, 0, 2, 128 + i).into()
        },
        // 617 has no divisor in common with the range, so that ports look like chance and are never the same.
        port: 20_000 + (u32::from(i) * 617 % 40_000) as u16,
        manner: match i % 8 {
            0..4 => Manner::Answers,
            4..7 => Manner::Silent,
            _ => Manner::Gone,
        },
    })
}

/// Gives the addresses to the server and starts the programs behind their ports, which live as long as this process.
pub fn settle(server: &Namespace) -> Result<()> {
    let peers = || [false, true].into_iter().flat_map(all);
    let lines = peers().map(|peer| match peer.address {
        IpAddr::V4(address) => format!("addr add {address}/32 dev eth0\n"),
        // Not preferred: what the server says without naming its address comes from its first one.
        IpAddr::V6(address) => format!("addr add {address}/128 dev eth0 nodad preferred_lft 0\n"),
    });
    server.ip(&lines.collect::<String>())?;
    server.inside(|| peers().try_for_each(listen))?
}

fn listen(peer: Peer) -> Result<()> {
    if peer.manner == Manner::Gone {
        return Ok(());
    }
    let socket = UdpSocket::bind((peer.address, peer.port)).context("a peer cannot listen")?;
    thread::spawn(move || {
        let mut packet = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut packet) {
            if peer.manner == Manner::Answers {
                let _ = socket.send_to(&packet[..length], from);
            }
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_peer_has_an_address_and_a_port_of_its_own() {
        for v6 in [false, true] {
            let pairs: Vec<Peer> = all(v6).collect();
            let addresses: BTreeSet<IpAddr> = pairs.iter().map(|peer| peer.address).collect();
            let ports: BTreeSet<u16> = pairs.iter().map(|peer| peer.port).collect();
            assert_eq!((addresses.len(), ports.len()), (usize::from(COUNT), usize::from(COUNT)));
        }
    }
}
