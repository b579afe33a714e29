//! The generation of nf_tables' rules: one number that every change of any rule raises.

use nix::sys::socket::SockProtocol;

use super::{
    Failure, Socket,
    wire::{self, ACK, Message, REQUEST},
};
use crate::EnforceError;

const SUBSYSTEM: u8 = 10;
const GET_GENERATION: u8 = 16;
const GENERATION: u16 = 1;
/// The notifications of nf_tables, as a mask of netfilter's groups.
const GROUP: u32 = 1 << 6;

/// A socket that hears of every change of nf_tables' rules.
pub(crate) fn listen() -> Result<Socket, EnforceError> {
    Socket::open(SockProtocol::NetlinkNetFilter, GROUP)
}

/// A socket to ask with.
pub(crate) fn open() -> Result<Socket, EnforceError> {
    Socket::open(SockProtocol::NetlinkNetFilter, 0)
}

/// The present generation; `None` where the kernel has no nf_tables.
pub(crate) fn generation(socket: &mut Socket) -> Result<Option<u32>, Failure> {
    let message = Message::netfilter(SUBSYSTEM, GET_GENERATION, REQUEST | ACK, 0);
    let mut generation = None;
    let outcome = socket.request(message, |answer| {
        let body = answer.payload.get(4..).unwrap_or_default();
        generation = wire::find(body, GENERATION).and_then(wire::be_u32);
    });
    match outcome {
        Err(Failure::Refused { .. }) => Ok(None),
        outcome => outcome.map(|()| generation),
    }
}
