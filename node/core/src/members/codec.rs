//! How foca's messages look inside this process. On the wire they are shorter: see `datagram`.

use alloc::vec::Vec;
use core::fmt;

use ::bytes::{Buf, BufMut};
use alloc::sync::Arc;
use foca::{Header, Member, Message, State};

use super::{
    bytes::Reader,
    record::{Identity, Record},
};

/// Encodes and decodes what foca says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Codec;

/// What went wrong: bytes that are no message, or a message that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CodecError(&'static str);

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl core::error::Error for CodecError {}

impl foca::Codec<Identity> for Codec {
    type Error = CodecError;

    fn encode_header(&mut self, header: &Header<Identity>, buf: impl BufMut) -> Result<(), CodecError> {
        let mut out = Vec::new();
        put_header(&mut out, header);
        append(buf, &out)
    }

    fn decode_header(&mut self, buf: impl Buf) -> Result<Header<Identity>, CodecError> {
        decode(buf, read_header)
    }

    fn encode_member(&mut self, member: &Member<Identity>, buf: impl BufMut) -> Result<(), CodecError> {
        let mut out = Vec::new();
        put_member(&mut out, member);
        append(buf, &out)
    }

    fn decode_member(&mut self, buf: impl Buf) -> Result<Member<Identity>, CodecError> {
        decode(buf, read_member)
    }
}

fn append(mut buf: impl BufMut, bytes: &[u8]) -> Result<(), CodecError> {
    if buf.remaining_mut() < bytes.len() {
        return Err(CodecError("the message is longer than a datagram"));
    }
    buf.put_slice(bytes);
    Ok(())
}

fn decode<T>(mut buf: impl Buf, read: fn(&mut Reader<'_>) -> Option<T>) -> Result<T, CodecError> {
    let mut reader = Reader(buf.chunk());
    let read = read(&mut reader).ok_or(CodecError("not a membership message"))?;
    let rest = reader.0.len();
    buf.advance(buf.remaining() - rest);
    Ok(read)
}

fn put_header(out: &mut Vec<u8>, header: &Header<Identity>) {
    header.src.0.put(out);
    out.extend_from_slice(&header.src_incarnation.to_be_bytes());
    header.dst.0.put(out);
    put_message(out, &header.message, |out, identity| identity.0.put(out));
}

pub(super) fn read_header(bytes: &mut Reader<'_>) -> Option<Header<Identity>> {
    let src = identity(bytes)?;
    let src_incarnation = bytes.u16()?;
    let dst = identity(bytes)?;
    Some(Header { src, src_incarnation, dst, message: read_message(bytes, identity)? })
}

pub(super) fn put_member(out: &mut Vec<u8>, member: &Member<Identity>) {
    member.id().0.put(out);
    out.extend_from_slice(&member.incarnation().to_be_bytes());
    out.push(match member.state() {
        State::Alive => 0,
        State::Suspect => 1,
        State::Down => 2,
    });
}

pub(super) fn read_member(bytes: &mut Reader<'_>) -> Option<Member<Identity>> {
    let id = identity(bytes)?;
    let incarnation = bytes.u16()?;
    let state = match bytes.u8()? {
        0 => State::Alive,
        1 => State::Suspect,
        2 => State::Down,
        _ => return None,
    };
    Some(Member::new(id, incarnation, state))
}

/// Appends `message`, its third parties as `put` writes them.
pub(super) fn put_message(
    out: &mut Vec<u8>,
    message: &Message<Identity>,
    put: impl Fn(&mut Vec<u8>, &Identity),
) {
    let (tag, number, third) = match message {
        Message::Ping(number) => (0, Some(*number), None),
        Message::Ack(number) => (1, Some(*number), None),
        Message::PingReq { target, probe_number } => (2, Some(*probe_number), Some(target)),
        Message::IndirectPing { origin, probe_number } => (3, Some(*probe_number), Some(origin)),
        Message::IndirectAck { target, probe_number } => (4, Some(*probe_number), Some(target)),
        Message::ForwardedAck { origin, probe_number } => (5, Some(*probe_number), Some(origin)),
        Message::Announce => (6, None, None),
        Message::Feed => (7, None, None),
        Message::Gossip => (8, None, None),
        Message::Broadcast => (9, None, None),
        Message::TurnUndead => (10, None, None),
    };
    out.push(tag);
    out.extend(number);
    if let Some(third) = third {
        put(out, third);
    }
}

/// Reads what [`put_message`] wrote, its third parties by `third`.
pub(super) fn read_message(
    bytes: &mut Reader<'_>,
    third: impl FnOnce(&mut Reader<'_>) -> Option<Identity>,
) -> Option<Message<Identity>> {
    Some(match bytes.u8()? {
        0 => Message::Ping(bytes.u8()?),
        1 => Message::Ack(bytes.u8()?),
        2 => {
            let probe_number = bytes.u8()?;
            Message::PingReq { target: third(bytes)?, probe_number }
        }
        3 => {
            let probe_number = bytes.u8()?;
            Message::IndirectPing { origin: third(bytes)?, probe_number }
        }
        4 => {
            let probe_number = bytes.u8()?;
            Message::IndirectAck { target: third(bytes)?, probe_number }
        }
        5 => {
            let probe_number = bytes.u8()?;
            Message::ForwardedAck { origin: third(bytes)?, probe_number }
        }
        6 => Message::Announce,
        7 => Message::Feed,
        8 => Message::Gossip,
        9 => Message::Broadcast,
        10 => Message::TurnUndead,
        _ => return None,
    })
}

fn identity(bytes: &mut Reader<'_>) -> Option<Identity> {
    Record::read(bytes).map(|record| Identity(Arc::new(record)))
}
