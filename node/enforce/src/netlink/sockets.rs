//! TCP sockets by their remote end, by sock_diag: found, and destroyed.

use std::{collections::BTreeSet, net::IpAddr};

use nix::sys::socket::SockProtocol;
use smartfw_core::{IpNet, prefix};

use super::{
    Failure, Socket,
    wire::{ACK, DUMP, Message, REQUEST},
};
use crate::{EnforceError, sets::Family};

const BY_FAMILY: u16 = 20;
const DESTROY: u16 = 21;
const TCP: u8 = 6;
/// Every state that has a remote end: all but TIME_WAIT (6), CLOSE (7) and LISTEN (10).
const STATES: u32 = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 8 | 1 << 9 | 1 << 11;
const ESTABLISHED: u32 = 1 << 1;
const LISTENING: u32 = 1 << 10;
/// The attribute that holds the kernel's filter, and its one operation: "the remote end is within".
const FILTER: u16 = 1;
const REMOTE_WITHIN: u8 = 8;
/// Offsets in the kernel's answer.
const FAMILY: usize = 0;
const IDENTITY: std::ops::Range<usize> = 4..52;
/// Within the identity.
const LOCAL_PORT: usize = 0;
const REMOTE_PORT: usize = 2;
const LOCAL: usize = 4;
const REMOTE: usize = 20;

/// A socket as the kernel names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    family: u8,
    identity: [u8; 48],
    /// Its local address and port.
    pub(crate) local: (IpAddr, u16),
    /// Its remote end; a mapped address as what it maps.
    pub(crate) remote: IpAddr,
    /// The port there.
    pub(crate) remote_port: u16,
}

/// A conversation about the sockets of one network namespace.
pub(crate) struct Sockets {
    socket: Socket,
}

impl Sockets {
    pub(crate) fn open() -> Result<Self, EnforceError> {
        Ok(Self { socket: Socket::open(SockProtocol::NetlinkSockDiag, 0)? })
    }

    /// The connected TCP sockets whose remote end is in `target`: of IPv4, of IPv6, and IPv4 mapped into IPv6.
    pub(crate) fn of(&mut self, target: &IpNet) -> Result<Vec<Found>, Failure> {
        let mut found = Vec::new();
        for family in Family::ALL {
            let request = query(family, target);
            self.socket.request(request, |answer| found.extend(read(answer.payload)))?;
        }
        found.retain(|socket| target.contains(&socket.remote));
        Ok(found)
    }

    /// The established connections, and the local ports on which somebody listens; of each at most `limit`.
    pub(crate) fn open_connections(&mut self, limit: usize) -> Result<(Vec<Found>, BTreeSet<u16>), Failure> {
        let (mut open, mut listening) = (Vec::new(), BTreeSet::new());
        for family in Family::ALL {
            self.socket.request(dump(family, ESTABLISHED), |answer| {
                open.extend(read(answer.payload).filter(|_| open.len() < limit));
            })?;
            self.socket.request(dump(family, LISTENING), |answer| {
                listening.extend(read(answer.payload).map(|socket| socket.local.1));
            })?;
        }
        Ok((open, listening))
    }

    /// Destroys a socket: its program sees an error, its peer a reset. False when it was gone already.
    pub(crate) fn destroy(&mut self, found: &Found) -> Result<bool, Failure> {
        let mut message = Message::new(DESTROY, REQUEST | ACK);
        message.raw(&[found.family, TCP, 0, 0]).raw(&u32::MAX.to_ne_bytes()).raw(&found.identity);
        match self.socket.request(message, |_| {}) {
            Ok(()) => Ok(true),
            // The program has closed it, or its last packet has.
            Err(Failure::Refused { code: 2, .. }) => Ok(false),
            Err(failure) => Err(failure),
        }
    }
}

fn query(family: Family, target: &IpNet) -> Message {
    let mut message = dump(family, STATES);
    message.attribute(FILTER, &filter(target));
    message
}

fn dump(family: Family, states: u32) -> Message {
    let mut message = Message::new(BY_FAMILY, REQUEST | DUMP);
    message.raw(&[family.number(), TCP, 0, 0]).raw(&states.to_ne_bytes()).raw(&[0; 48]);
    message
}

/// One condition: accepted when it holds, refused (a jump beyond the end) when not.
fn filter(target: &IpNet) -> Vec<u8> {
    let octets = match target.network() {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    let length = 12 + octets.len();
    let mut filter = vec![REMOTE_WITHIN, length as u8];
    filter.extend_from_slice(&(length as u16 + 4).to_ne_bytes());
    filter.extend_from_slice(&[Family::of(target).number(), target.prefix_len(), 0, 0]);
    // Any port.
    filter.extend_from_slice(&(-1_i32).to_ne_bytes());
    filter.extend_from_slice(&octets);
    filter
}

fn read(payload: &[u8]) -> Option<Found> {
    let identity: [u8; 48] = payload.get(IDENTITY)?.try_into().ok()?;
    let family = *payload.get(FAMILY)?;
    let address = |at: usize| {
        let octets: [u8; 16] = identity[at..at + 16].try_into().ok()?;
        Some(match family == Family::V4.number() {
            true => IpAddr::from([octets[0], octets[1], octets[2], octets[3]]),
            false => prefix::canonical(IpAddr::from(octets)),
        })
    };
    let port = |at: usize| u16::from_be_bytes([identity[at], identity[at + 1]]);
    let (local, remote) = ((address(LOCAL)?, port(LOCAL_PORT)), address(REMOTE)?);
    Some(Found { family, identity, local, remote, remote_port: port(REMOTE_PORT) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_is_laid_out_as_the_kernel_reads_it() {
        let filter = filter(&"203.0.113.0/24".parse().unwrap());
        assert_eq!(filter[..2], [8, 16]);
        assert_eq!(filter[2..4], 20_u16.to_ne_bytes());
        assert_eq!(filter[4..8], [2, 24, 0, 0]);
        assert_eq!(filter[8..], [255, 255, 255, 255, 203, 0, 113, 0]);
    }

    #[test]
    fn a_mapped_remote_end_is_its_ipv4_address() {
        let mut answer = vec![0; 72];
        answer[0] = 10;
        answer[34..36].fill(0xff);
        answer[36..40].copy_from_slice(&[203, 0, 113, 7]);
        assert_eq!(read(&answer).unwrap().remote, "203.0.113.7".parse::<IpAddr>().unwrap());
        assert_eq!(read(&answer[..50]), None);
    }
}
