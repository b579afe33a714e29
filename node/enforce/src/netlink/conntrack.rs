//! Tracked connections, by netfilter's connection tracking messages: found by an end, and forgotten.

use std::net::IpAddr;

use nix::sys::socket::SockProtocol;

use super::{
    Failure, Socket,
    wire::{self, ACK, DUMP, Message, REQUEST},
};
use crate::{EnforceError, sets::Family};

const SUBSYSTEM: u8 = 1;
const GET: u8 = 1;
const DELETE: u8 = 2;

mod attribute {
    pub(super) const ORIGINAL: u16 = 1;
    pub(super) const REPLY: u16 = 2;
    pub(super) const ID: u16 = 12;
    pub(super) const ZONE: u16 = 18;
    /// Within a tuple.
    pub(super) const ADDRESSES: u16 = 1;
    /// Within the addresses.
    pub(super) const V4_SOURCE: u16 = 1;
    pub(super) const V6_SOURCE: u16 = 3;
}

/// The attribute holds attributes, as it did when the kernel sent it.
const NESTED: u16 = 0x8000;

/// A tracked connection as the kernel names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tracked {
    family: Family,
    original: Vec<u8>,
    id: Option<Vec<u8>>,
    zone: Option<Vec<u8>>,
}

/// A conversation about the tracked connections of one network namespace.
pub(crate) struct Conntrack {
    socket: Socket,
}

impl Conntrack {
    pub(crate) fn open() -> Result<Self, EnforceError> {
        Ok(Self { socket: Socket::open(SockProtocol::NetlinkNetFilter, 0)? })
    }

    /// The connections of which one end (as it appears on the wire) satisfies `wanted`; at most `limit`.
    pub(crate) fn of(
        &mut self,
        family: Family,
        limit: usize,
        wanted: impl Fn(IpAddr) -> bool,
    ) -> Result<Vec<Tracked>, Failure> {
        let mut found = Vec::new();
        let message = Message::netfilter(SUBSYSTEM, GET, REQUEST | DUMP, family.number());
        self.socket.request(message, |answer| {
            let body = answer.payload.get(4..).unwrap_or_default();
            if found.len() < limit && ends(body).any(&wanted) {
                found.extend(read(family, body));
            }
        })?;
        Ok(found)
    }

    /// Forgets a connection; false when it was gone already.
    pub(crate) fn delete(&mut self, tracked: &Tracked) -> Result<bool, Failure> {
        // Never without a tuple: that would forget every connection there is.
        let mut message = Message::netfilter(SUBSYSTEM, DELETE, REQUEST | ACK, tracked.family.number());
        message.attribute(attribute::ORIGINAL | NESTED, &tracked.original);
        for (kind, payload) in [(attribute::ID, &tracked.id), (attribute::ZONE, &tracked.zone)] {
            if let Some(payload) = payload {
                message.attribute(kind, payload);
            }
        }
        match self.socket.request(message, |_| {}) {
            Ok(()) => Ok(true),
            Err(Failure::Refused { code: 2, .. }) => Ok(false),
            Err(failure) => Err(failure),
        }
    }
}

/// Who speaks on either side: the source of the first packet, and the source of the answers.
fn ends(body: &[u8]) -> impl Iterator<Item = IpAddr> {
    [attribute::ORIGINAL, attribute::REPLY].into_iter().filter_map(|tuple| source(wire::find(body, tuple)?))
}

fn source(tuple: &[u8]) -> Option<IpAddr> {
    let addresses = wire::find(tuple, attribute::ADDRESSES)?;
    let v4 = || <[u8; 4]>::try_from(wire::find(addresses, attribute::V4_SOURCE)?).ok().map(IpAddr::from);
    let v6 = || <[u8; 16]>::try_from(wire::find(addresses, attribute::V6_SOURCE)?).ok().map(IpAddr::from);
    v4().or_else(v6)
}

fn read(family: Family, body: &[u8]) -> Option<Tracked> {
    let copy = |kind| wire::find(body, kind).map(<[u8]>::to_vec);
    let original = copy(attribute::ORIGINAL).filter(|tuple| !tuple.is_empty())?;
    Some(Tracked { family, original, id: copy(attribute::ID), zone: copy(attribute::ZONE) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(first: [u8; 4], answers: [u8; 4]) -> Vec<u8> {
        let mut message = Message::new(0, 0);
        for (kind, source) in [(attribute::ORIGINAL, first), (attribute::REPLY, answers)] {
            message.nest(kind, |tuple| {
                tuple.nest(attribute::ADDRESSES, |addresses| {
                    addresses.attribute(attribute::V4_SOURCE, &source);
                });
            });
        }
        message.attribute(attribute::ID, &[0, 0, 0, 9]);
        message.finish(1)[16..].to_vec()
    }

    #[test]
    fn both_ends_of_a_connection_are_seen() {
        let body = body([203, 0, 113, 7], [10, 0, 0, 2]);
        let ends: Vec<String> = ends(&body).map(|end| end.to_string()).collect();
        assert_eq!(ends, ["203.0.113.7", "10.0.0.2"]);
        assert_eq!(read(Family::V4, &body).unwrap().id, Some(vec![0, 0, 0, 9]));
    }

    #[test]
    fn a_connection_without_a_tuple_is_never_named() {
        assert_eq!(read(Family::V4, &[]), None);
        let mut message = Message::new(0, 0);
        message.nest(attribute::ORIGINAL, |_| {});
        assert_eq!(read(Family::V4, &message.finish(1)[16..]), None);
    }
}
