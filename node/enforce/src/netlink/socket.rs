//! A netlink socket: one request, its answers, its acknowledgement.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::{
    errno::Errno,
    sys::{
        socket::{self, AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, sockopt},
        time::TimeVal,
    },
};

use super::wire::{self, Message, Received};
use crate::EnforceError;

/// The kernel sends dumps in pieces of at most 32 KiB, and gives back a refused request whole (at most 64 KiB).
const BUFFER: usize = 128 * 1024;
/// The kernel answers within microseconds; a socket that stays silent this long never will.
const PATIENCE_SECONDS: i64 = 10;

const ERROR: u16 = 2;
const DONE: u16 = 3;

/// A socket of one netlink protocol, in the network namespace of the thread that opened it.
pub(crate) struct Socket {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The kernel refused it with this error number; `request` is the refused request's payload as it gave it back.
    Refused { code: i32, request: Vec<u8> },
    /// The socket failed.
    Socket(Errno),
}

impl Socket {
    /// Opens a socket, member of the multicast `groups` (a mask).
    pub(crate) fn open(protocol: SockProtocol, groups: u32) -> Result<Self, EnforceError> {
        let failed = EnforceError::system("opening a netlink socket");
        let open = || {
            let fd = socket::socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
            socket::bind(fd.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
            socket::setsockopt(&fd, sockopt::ReceiveTimeout, &TimeVal::new(PATIENCE_SECONDS, 0))?;
            Ok(fd)
        };
        Ok(Self { fd: open().map_err(failed)?, sequence: 0, buffer: vec![0; BUFFER] })
    }

    /// Sends a request that asks for an acknowledgement or a dump, and hands every answer to `each`.
    pub(crate) fn request(
        &mut self,
        message: Message,
        mut each: impl FnMut(Received<'_>),
    ) -> Result<(), Failure> {
        self.sequence = self.sequence.wrapping_add(1);
        let bytes = message.finish(self.sequence);
        socket::send(self.fd.as_raw_fd(), &bytes, MsgFlags::empty()).map_err(Failure::Socket)?;
        self.answers(&mut each)
    }

    /// Waits for whatever comes next and throws it away; false when nothing was there.
    pub(crate) fn drain(&mut self) -> Result<bool, Errno> {
        let mut any = false;
        loop {
            match socket::recv(self.fd.as_raw_fd(), &mut self.buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(_) | Err(Errno::ENOBUFS) => any = true,
                Err(Errno::EAGAIN) => return Ok(any),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }

    fn answers(&mut self, each: &mut impl FnMut(Received<'_>)) -> Result<(), Failure> {
        loop {
            let length = self.receive().map_err(Failure::Socket)?;
            let current = |message: &Received<'_>| message.sequence == self.sequence;
            for message in wire::messages(&self.buffer[..length]).filter(current) {
                match message.kind {
                    ERROR | DONE => return outcome(message),
                    _ => each(message),
                }
            }
        }
    }

    fn receive(&mut self) -> nix::Result<usize> {
        loop {
            let received = socket::recvfrom::<NetlinkAddr>(self.fd.as_raw_fd(), &mut self.buffer);
            match received {
                // Only the kernel has the port number 0.
                Ok((length, Some(from))) if from.pid() == 0 => return Ok(length),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Err(Errno::ETIMEDOUT),
                Err(errno) => return Err(errno),
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Failure {
    /// The error number, the kernel's or the socket's.
    pub(crate) fn code(&self) -> i32 {
        match self {
            Self::Refused { code, .. } => *code,
            Self::Socket(errno) => *errno as i32,
        }
    }
}

fn outcome(message: Received<'_>) -> Result<(), Failure> {
    // The end of a dump may come without an error number on old kernels.
    let code = wire::u32_at(message.payload, 0).unwrap_or(0) as i32;
    let request = || message.payload.get(20..).unwrap_or_default().to_vec();
    if code == 0 { Ok(()) } else { Err(Failure::Refused { code: code.saturating_neg(), request: request() }) }
}
