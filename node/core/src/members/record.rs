//! What a member says of itself, under its own signature: nobody else can give it another address or another life.

use alloc::{string::String, sync::Arc, vec::Vec};
use core::net::{IpAddr, SocketAddr};

use super::{
    Keys, RECORD_DOMAIN,
    bytes::{Reader, cut, put_label},
};
use crate::{fleet::NodeId, prefix};

/// Bytes of a name and of a site: a DNS label. Nine members and their addresses have to fit into a datagram.
pub const MAX_LABEL: usize = 63;
/// Bytes of a version: `0.1.0-beta.12+20261122` and some.
pub const MAX_VERSION: usize = 32;

const LEFT: u8 = 1;
const V6: u8 = 2;

/// How a member shows itself. Its key is what it is; all of this may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// Where its datagrams and streams arrive.
    pub address: SocketAddr,
    /// Its name; at most [`MAX_LABEL`] bytes, the rest is cut.
    pub name: String,
    /// Its site; at most [`MAX_LABEL`] bytes, the rest is cut.
    pub site: String,
    /// The version of its program; at most [`MAX_VERSION`] bytes, the rest is cut.
    pub version: String,
    /// When its certificate ends, in seconds since the Unix epoch.
    pub expires: u64,
}

/// A card with the life that it belongs to, signed by the member that it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) id: NodeId,
    /// Which life: greater after every start, and after every time that it was given up for dead.
    pub(super) generation: u64,
    /// Whether this life ended on purpose.
    pub(super) left: bool,
    pub(super) card: Card,
    pub(super) signature: [u8; 64],
}

impl Record {
    /// The record of this node itself.
    pub(super) fn signed(
        keys: &impl Keys,
        id: NodeId,
        generation: u64,
        left: bool,
        card: &Card,
    ) -> Arc<Self> {
        let mut record = Self { id, generation, left, card: card.bounded(), signature: [0; 64] };
        record.signature = keys.sign(&record.signed_bytes());
        Arc::new(record)
    }

    /// Whether the member that it is about signed it.
    pub(super) fn is_genuine(&self, keys: &impl Keys) -> bool {
        keys.verify(&self.id, &self.signed_bytes(), &self.signature)
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        self.put_unsigned(out);
        out.extend_from_slice(&self.signature);
    }

    pub(super) fn read(bytes: &mut Reader<'_>) -> Option<Self> {
        let id = NodeId(bytes.array()?);
        let generation = bytes.u64()?;
        let flags = bytes.u8()?;
        let ip =
            if flags & V6 != 0 { IpAddr::from(bytes.array::<16>()?) } else { bytes.array::<4>()?.into() };
        let address = SocketAddr::new(ip, bytes.u16()?);
        let expires = bytes.u64()?;
        let (name, site) = (bytes.label(MAX_LABEL)?, bytes.label(MAX_LABEL)?);
        let card = Card { address, name, site, version: bytes.label(MAX_VERSION)?, expires };
        let known = flags & !(LEFT | V6) == 0;
        let signature = bytes.array()?;
        known.then_some(Self { id, generation, left: flags & LEFT != 0, card, signature })
    }

    fn signed_bytes(&self) -> Vec<u8> {
        let mut bytes = RECORD_DOMAIN.to_vec();
        self.put_unsigned(&mut bytes);
        bytes
    }

    fn put_unsigned(&self, out: &mut Vec<u8>) {
        let Self { id, generation, left, card, signature: _ } = self;
        let Card { address, name, site, version, expires } = card;
        out.extend_from_slice(&id.0);
        out.extend_from_slice(&generation.to_be_bytes());
        out.push((u8::from(*left) * LEFT) | (u8::from(address.is_ipv6()) * V6));
        match address.ip() {
            IpAddr::V4(v4) => out.extend_from_slice(&v4.octets()),
            IpAddr::V6(v6) => out.extend_from_slice(&v6.octets()),
        }
        out.extend_from_slice(&address.port().to_be_bytes());
        out.extend_from_slice(&expires.to_be_bytes());
        put_label(out, name, MAX_LABEL);
        put_label(out, site, MAX_LABEL);
        put_label(out, version, MAX_VERSION);
    }
}

impl Card {
    /// The same within the limits of the wire.
    fn bounded(&self) -> Self {
        let shown = |text: &str, max| cut(&text.replace(char::is_control, ""), max).into();
        Self {
            address: SocketAddr::new(prefix::canonical(self.address.ip()), self.address.port()),
            name: shown(&self.name, MAX_LABEL),
            site: shown(&self.site, MAX_LABEL),
            version: shown(&self.version, MAX_VERSION),
            expires: self.expires,
        }
    }
}

/// A member as foca knows it: two are the same when key and life are.
#[derive(Clone, Debug)]
pub(super) struct Identity(pub(super) Arc<Record>);

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.0.generation == other.0.generation && self.0.id == other.0.id
    }
}

impl Eq for Identity {}

impl foca::Identity for Identity {
    /// The first half of the id: foca compares it with every member at every update, and 128 bits are enough to tell
    /// members apart.
    type Addr = u128;

    /// A new life needs a signature, which foca cannot make: see `Members::revive`.
    fn renew(&self) -> Option<Self> {
        None
    }

    fn addr(&self) -> u128 {
        self.0.id.0.first_chunk().map_or(0, |half| u128::from_be_bytes(*half))
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        self.0.generation > adversary.0.generation
    }
}
