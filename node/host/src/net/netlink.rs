//! Dumps of the kernel's routing tables by netlink, and the walk over their attributes.

use std::{
    io::{self, Read, Write},
    time::Duration,
};

use super::sys;

/// The longest answer to one read: the kernel fills at most 32 KiB for a reader of this much.
const BUFFER: usize = 64 * 1024;
/// Messages read of one dump. A router with a full Internet table has a million routes; default routes come first.
pub(super) const MAX_MESSAGES: usize = 200_000;
/// The kernel answers at once; whoever stops in the middle would stop the caller with it.
const PATIENCE: Duration = Duration::from_secs(5);

const HEADER: usize = 16;

/// A netlink message's kind and what follows its header.
pub(super) struct Message<'a> {
    pub(super) kind: u16,
    pub(super) body: &'a [u8],
}

/// Asks for everything of one kind and gives `each` the answers, up to [`MAX_MESSAGES`].
///
/// `header` is the length of the fixed part of such a message (`ifinfomsg`, `ifaddrmsg`, `rtmsg`), sent as zeros behind
/// the family (0: all) that it begins with.
pub(super) fn dump(
    request: u16,
    header: usize,
    family: i32,
    mut each: impl FnMut(&Message<'_>),
) -> io::Result<()> {
    let mut socket = sys::netlink_socket(0, false)?;
    sys::set_receive_timeout(&socket, PATIENCE)?;
    let mut message = Vec::with_capacity(HEADER + header);
    message.extend(((HEADER + header) as u32).to_ne_bytes());
    message.extend(request.to_ne_bytes());
    message.extend(((libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16).to_ne_bytes());
    message.resize(HEADER, 0);
    message.push(family as u8);
    message.resize(HEADER + header, 0);
    socket.write_all(&message)?;
    let mut buffer = vec![0; BUFFER];
    let mut left = MAX_MESSAGES;
    while left > 0 {
        let read = socket.read(&mut buffer)?;
        let mut done = false;
        walk(&buffer[..read], |message| {
            match i32::from(message.kind) {
                libc::NLMSG_DONE => done = true,
                libc::NLMSG_ERROR => return refused(message.body),
                _ => each(message),
            }
            left = left.saturating_sub(1);
            Ok(())
        })?;
        if done || read == 0 {
            break;
        }
    }
    Ok(())
}

fn refused(body: &[u8]) -> io::Result<()> {
    let code = body.first_chunk::<4>().map_or(-libc::EPROTO, |code| i32::from_ne_bytes(*code));
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code.saturating_neg())) }
}

fn walk(mut datagram: &[u8], mut each: impl FnMut(&Message<'_>) -> io::Result<()>) -> io::Result<()> {
    while let Some(header) = datagram.first_chunk::<HEADER>() {
        let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let Some(body) = datagram.get(HEADER..length) else { break };
        each(&Message { kind: u16::from_ne_bytes([header[4], header[5]]), body })?;
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(())
}

/// Attributes one after the other: kind without its flags, and value.
pub(super) struct Attributes<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        const FLAGS: u16 = 0xc000;
        let header = self.0.first_chunk::<4>()?;
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let kind = u16::from_ne_bytes([header[2], header[3]]) & !FLAGS;
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }
}

/// A number in host byte order.
pub(super) fn number(value: &[u8]) -> Option<u32> {
    value.first_chunk::<4>().map(|bytes| u32::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn attributes_are_padded_to_four_bytes() {
        let bytes = [
            &6_u16.to_ne_bytes()[..],
            &1_u16.to_ne_bytes(),
            b"ab\0\0",
            &8_u16.to_ne_bytes(),
            &2_u16.to_ne_bytes(),
            b"wxyz",
        ]
        .concat();
        let all: Vec<_> = Attributes(&bytes).collect();
        assert_eq!(all, [(1, &b"ab"[..]), (2, &b"wxyz"[..])]);
    }

    #[test]
    fn an_error_of_the_kernel_is_an_error() {
        assert!(refused(&0_i32.to_ne_bytes()).is_ok());
        assert_eq!(refused(&(-libc::EPERM).to_ne_bytes()).unwrap_err().raw_os_error(), Some(libc::EPERM));
    }

    proptest! {
        #[test]
        fn random_messages_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
            let _ = walk(&bytes, |message| { Attributes(message.body).for_each(drop); Ok(()) });
            Attributes(&bytes).for_each(drop);
        }
    }
}
