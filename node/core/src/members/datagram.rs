//! A datagram on the wire: an envelope with its counter, what is said, and the sender's signature over both.
//!
//! ```text
//! format 1 | kind 1 | sender 32 | epoch 8 | sequence 8 | to: beginning of the id 8, generation 8 | body | signature 64
//! introduction:  record | chain (length 2)
//! reminder:      record of the receiver
//! news:          generation 8 or record | incarnation 2 | message | updates (count 2)
//! ```
//! A third party is named by id and generation; both ends know its record.

use alloc::{sync::Arc, vec::Vec};

use foca::{Header, Member};

use super::{
    DATAGRAM_DOMAIN, Keys,
    bytes::Reader,
    codec::{put_member, put_message, read_header, read_member, read_message},
    record::{Identity, Record},
};
use crate::fleet::NodeId;

/// Bytes of a datagram: fits into one packet on every network in use, with room for tunnels (RFC 8085, section 3.2).
pub const MAX_DATAGRAM: usize = 1400;
/// Bytes of a certificate chain in an introduction: what a datagram has left beside the longest record. A leaf of
/// Ed25519 and its signer's certificate take some 900.
pub const MAX_CHAIN: usize = 960;

const FORMAT: u8 = 1;
const INTRODUCTION: u8 = 1;
const ASKS: u8 = 2;
const RECORD: u8 = 4;
const REMINDER: u8 = 8;

/// Whom a datagram is for: so that it is worth nothing to anybody else, nor to a later life of the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Addressee {
    pub(super) short: u64,
    pub(super) generation: u64,
}

impl Addressee {
    /// Whoever listens at an address: for introductions alone.
    pub(super) const ANYBODY: Self = Self { short: 0, generation: 0 };

    pub(super) const fn of(record: &Record) -> Self {
        Self { short: record.id.short(), generation: record.generation }
    }
}

/// The counters and ends of a datagram.
#[derive(Clone, Copy, Debug)]
pub(super) struct Envelope {
    pub(super) sender: NodeId,
    pub(super) epoch: u64,
    pub(super) sequence: u64,
    pub(super) to: Addressee,
}

/// Says who the sender is, with its certificates, and asks for the same where `asks`.
pub(super) fn introduction(keys: &impl Keys, envelope: &Envelope, record: &Record, asks: bool) -> Vec<u8> {
    let mut out = begin(envelope, INTRODUCTION | if asks { ASKS } else { 0 });
    record.put(&mut out);
    let chain = Some(keys.chain()).filter(|chain| chain.len() <= MAX_CHAIN).unwrap_or_default();
    out.extend_from_slice(&(chain.len() as u16).to_be_bytes());
    out.extend_from_slice(chain);
    seal(keys, out)
}

/// Tells a member of a later life of its own, which it has forgotten.
pub(super) fn reminder(keys: &impl Keys, envelope: &Envelope, record: &Record) -> Vec<u8> {
    let mut out = begin(envelope, REMINDER);
    record.put(&mut out);
    seal(keys, out)
}

/// What foca says, with the sender's record where the other end does not know it yet.
pub(super) fn news(keys: &impl Keys, envelope: &Envelope, said: &News, whole: bool) -> Vec<u8> {
    let mut out = begin(envelope, if whole { RECORD } else { 0 });
    let source = &said.header.src.0;
    if whole {
        source.put(&mut out);
    } else {
        out.extend_from_slice(&source.generation.to_be_bytes());
    }
    out.extend_from_slice(&said.header.src_incarnation.to_be_bytes());
    put_message(&mut out, &said.header.message, |out, third| {
        out.extend_from_slice(&third.0.id.0);
        out.extend_from_slice(&third.0.generation.to_be_bytes());
    });
    if let Some(updates) = &said.updates {
        put_updates(&mut out, updates, MAX_DATAGRAM - 64);
    }
    seal(keys, out)
}

/// What foca says to one member.
#[derive(Debug)]
pub(super) struct News {
    pub(super) header: Header<Identity>,
    /// `None` in the messages that never carry any.
    pub(super) updates: Option<Vec<Member<Identity>>>,
}

impl News {
    /// Reads what foca made.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let header = read_header(&mut reader)?;
        Some(Self { header, updates: read_updates(&mut reader)? })
    }

    /// What foca reads: at most `max` bytes, the last updates left out where they do not fit.
    pub(super) fn bytes(&self, max: usize) -> Vec<u8> {
        use foca::Codec as _;
        let mut out = Vec::new();
        // A vector takes everything: this cannot fail.
        let _ = super::codec::Codec.encode_header(&self.header, &mut out);
        if let Some(updates) = &self.updates {
            put_updates(&mut out, updates, max);
        }
        out
    }
}

/// Whether bytes have the form of a datagram that another sent to `node`, or to whoever listens. It costs no signature,
/// and says nothing about who sent it: for those who read a socket that anybody may write to.
pub fn is_for(node: &NodeId, bytes: &[u8]) -> bool {
    Opened::parse(bytes).is_some_and(|Opened { envelope: Envelope { sender, to, .. }, body, .. }| {
        let introduces = matches!(body, Body::Introduction { .. });
        sender != *node && (to.short == node.short() || (introduces && to == Addressee::ANYBODY))
    })
}

/// A datagram whose form is right; nobody has looked at its signature yet.
#[derive(Debug)]
pub(super) struct Opened<'a> {
    pub(super) envelope: Envelope,
    pub(super) body: Body<'a>,
    signed: &'a [u8],
    signature: [u8; 64],
}

/// What a datagram says.
#[derive(Debug)]
pub(super) enum Body<'a> {
    /// Who the sender is.
    Introduction { record: Record, chain: &'a [u8], asks: bool },
    /// Who we are.
    Reminder(Record),
    /// What foca says there.
    News(Told<'a>),
}

/// What foca says there, unread.
#[derive(Debug)]
pub(super) struct Told<'a> {
    pub(super) generation: u64,
    pub(super) record: Option<Record>,
    rest: Reader<'a>,
}

impl<'a> Opened<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        if bytes.len() > MAX_DATAGRAM {
            return None;
        }
        let (signed, signature) = bytes.split_last_chunk::<64>()?;
        let mut reader = Reader(signed);
        let (format, kind) = (reader.u8()?, reader.u8()?);
        let sender = NodeId(reader.array()?);
        let (epoch, sequence) = (reader.u64()?, reader.u64()?);
        let to = Addressee { short: reader.u64()?, generation: reader.u64()? };
        let body = match kind {
            _ if format != FORMAT => return None,
            INTRODUCTION => Body::introduction(reader, false)?,
            kind if kind == INTRODUCTION | ASKS => Body::introduction(reader, true)?,
            REMINDER => Body::Reminder(Record::read(&mut reader).filter(|_| reader.is_empty())?),
            0 => Body::News(Told { generation: reader.u64()?, record: None, rest: reader }),
            RECORD => {
                let record = Record::read(&mut reader)?;
                Body::News(Told { generation: record.generation, record: Some(record), rest: reader })
            }
            _ => return None,
        };
        let envelope = Envelope { sender, epoch, sequence, to };
        Some(Self { envelope, body, signed, signature: *signature })
    }

    pub(super) fn is_genuine(&self, keys: &impl Keys) -> bool {
        let bytes = [DATAGRAM_DOMAIN, self.signed].concat();
        keys.verify(&self.envelope.sender, &bytes, &self.signature)
    }
}

impl<'a> Body<'a> {
    fn introduction(mut reader: Reader<'a>, asks: bool) -> Option<Self> {
        let record = Record::read(&mut reader)?;
        let length = reader.u16()?;
        let chain = reader.take(length.into())?;
        (reader.is_empty() && chain.len() <= MAX_CHAIN).then_some(Self::Introduction { record, chain, asks })
    }
}

impl Told<'_> {
    /// Reads it: said by `source` to `me`, and about the third parties that `find` knows.
    pub(super) fn read(
        mut self,
        source: &Identity,
        me: &Identity,
        find: impl Fn(NodeId, u64) -> Option<Identity>,
    ) -> Option<News> {
        let src_incarnation = self.rest.u16()?;
        let message = read_message(&mut self.rest, |reader| {
            let id = NodeId(reader.array()?);
            find(id, reader.u64()?)
        })?;
        let header = Header { src: source.clone(), src_incarnation, dst: me.clone(), message };
        Some(News { header, updates: read_updates(&mut self.rest)? })
    }
}

fn begin(envelope: &Envelope, kind: u8) -> Vec<u8> {
    let Envelope { sender, epoch, sequence, to } = envelope;
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(&[FORMAT, kind]);
    out.extend_from_slice(&sender.0);
    for number in [*epoch, *sequence, to.short, to.generation] {
        out.extend_from_slice(&number.to_be_bytes());
    }
    out
}

fn seal(keys: &impl Keys, mut out: Vec<u8>) -> Vec<u8> {
    let signature = keys.sign(&[DATAGRAM_DOMAIN, &out].concat());
    out.extend_from_slice(&signature);
    out
}

/// Appends as many updates as fit into `max` bytes altogether.
fn put_updates(out: &mut Vec<u8>, updates: &[Member<Identity>], max: usize) {
    let tally = out.len();
    out.extend_from_slice(&[0, 0]);
    let mut count: u16 = 0;
    for update in updates {
        let before = out.len();
        put_member(out, update);
        if out.len() > max {
            out.truncate(before);
            break;
        }
        count += 1;
    }
    out[tally..tally + 2].copy_from_slice(&count.to_be_bytes());
}

/// Everything that is left: no updates at all, or exactly as many as announced.
#[expect(clippy::option_option, reason = "outside: whether it can be read; inside: whether there are any")]
fn read_updates(reader: &mut Reader<'_>) -> Option<Option<Vec<Member<Identity>>>> {
    if reader.is_empty() {
        return Some(None);
    }
    let count = reader.u16()?;
    let updates = (0..count).map(|_| read_member(reader)).collect::<Option<Vec<_>>>()?;
    reader.is_empty().then_some(Some(updates))
}

/// An identity for those who are only named.
pub(super) fn named(record: &Arc<Record>, generation: u64) -> Option<Identity> {
    (record.generation == generation).then(|| Identity(record.clone()))
}
