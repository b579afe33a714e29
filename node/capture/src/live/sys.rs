//! The system calls of packet sockets. All `unsafe` of this crate is here.

use std::{
    io,
    mem::{size_of, zeroed},
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    time::Duration,
};

use super::batch::{BATCH, Batch, CONTROL, STRIDE};

/// A packet socket that receives nothing before it is bound.
pub(super) fn packet_socket(kind: libc::c_int) -> io::Result<OwnedFd> {
    let flags = kind | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: socket(2) takes no pointer.
    let fd = unsafe { libc::socket(libc::AF_PACKET, flags, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was opened above and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Lets the socket receive all frames of the interface `index`.
pub(super) fn bind(socket: &OwnedFd, index: u32) -> io::Result<()> {
    // SAFETY: sockaddr_ll is plain numbers, for which zero is valid.
    let mut address: libc::sockaddr_ll = unsafe { zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = index as i32;
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the pointer is to a sockaddr_ll of `length` bytes that outlives the call.
    checked(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) })
}

/// The interface that the socket is bound to; -1 when it has vanished.
pub(super) fn bound_to(socket: &OwnedFd) -> io::Result<i32> {
    // SAFETY: sockaddr_ll is plain numbers, for which zero is valid.
    let mut address: libc::sockaddr_ll = unsafe { zeroed() };
    let mut length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: both pointers are to values that outlive the call, and `length` is the first one's size.
    checked(unsafe { libc::getsockname(socket.as_raw_fd(), (&raw mut address).cast(), &raw mut length) })?;
    Ok(address.sll_ifindex)
}

/// Sets an option whose value is a number.
pub(super) fn set(
    socket: &OwnedFd,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the pointer is to an int of `length` bytes that outlives the call.
    checked(unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), length) })
}

/// How many frames the kernel had no room for since the last call.
pub(super) fn drops(socket: &OwnedFd) -> io::Result<u32> {
    // SAFETY: tpacket_stats is plain numbers, for which zero is valid.
    let mut stats: libc::tpacket_stats = unsafe { zeroed() };
    let mut length = size_of::<libc::tpacket_stats>() as libc::socklen_t;
    let value = (&raw mut stats).cast();
    // SAFETY: both pointers are to values that outlive the call, and `length` is the first one's size.
    checked(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            value,
            &raw mut length,
        )
    })?;
    Ok(stats.tp_drops)
}

/// Receives as many frames as are there, up to a batch, into `batch`; never waits.
pub(super) fn receive(socket: &OwnedFd, batch: &mut Batch, with_header: bool) -> io::Result<usize> {
    // SAFETY: iovec and mmsghdr are plain numbers and pointers, for which zero is valid.
    let mut vectors: [[libc::iovec; 2]; BATCH] = unsafe { zeroed() };
    // SAFETY: as above.
    let mut messages: [libc::mmsghdr; BATCH] = unsafe { zeroed() };
    let memory = batch.memory();
    let slots = memory.data.chunks_exact_mut(STRIDE).zip(memory.control.chunks_exact_mut(CONTROL));
    let slots = slots.zip(memory.headers.iter_mut()).zip(memory.addresses.iter_mut());
    for ((((data, control), header), address), (vector, message)) in
        slots.zip(vectors.iter_mut().zip(messages.iter_mut()))
    {
        let frame = &mut data[memory.headroom..];
        vector[0] = libc::iovec { iov_base: header.as_mut_ptr().cast(), iov_len: header.len() };
        vector[1] = libc::iovec { iov_base: frame.as_mut_ptr().cast(), iov_len: frame.len() };
        let used = if with_header { &mut vector[..] } else { &mut vector[1..] };
        let hdr = &mut message.msg_hdr;
        hdr.msg_iov = used.as_mut_ptr();
        hdr.msg_iovlen = used.len() as _;
        hdr.msg_name = (&raw mut *address).cast();
        hdr.msg_namelen = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        hdr.msg_control = control.as_mut_ptr().cast();
        hdr.msg_controllen = control.len() as _;
    }
    let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
    // SAFETY: every message points to vectors, buffers and an address that are distinct, of the lengths given, and
    // borrowed mutably until after the call.
    let received = unsafe {
        libc::recvmmsg(
            socket.as_raw_fd(),
            messages.as_mut_ptr(),
            BATCH as _,
            flags as _,
            std::ptr::null_mut(),
        )
    };
    if received < 0 {
        return Err(io::Error::last_os_error());
    }
    for (message, lengths) in messages.iter().zip(memory.lengths.iter_mut()).take(received as usize) {
        #[allow(clippy::unnecessary_cast, reason = "musl has another type here")]
        let control = message.msg_hdr.msg_controllen as usize;
        *lengths = (message.msg_len as usize, control);
    }
    Ok(received as usize)
}

/// Waits until one of `files` has something, at most `patience`; whether the last of them has.
pub(super) fn wait(files: &[BorrowedFd<'_>], patience: Duration) -> io::Result<bool> {
    let mut polled: Vec<libc::pollfd> = files
        .iter()
        .map(|file| libc::pollfd { fd: file.as_raw_fd(), events: libc::POLLIN, revents: 0 })
        .collect();
    // Rounded up: a wait of less than a millisecond must not become a busy loop.
    let millis = patience.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128) as i32;
    // SAFETY: the pointer is to `polled.len()` pollfds that outlive the call.
    match checked(unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, millis) }) {
        Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
        _ => Ok(polled.last().is_some_and(|last| last.revents != 0)),
    }
}

fn checked(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Sends a frame as it is.
#[cfg(test)]
pub(super) fn send_for_test(interface: &str, frame: &[u8]) -> io::Result<()> {
    let links = smartfw_host::net::links()?;
    let index = links.iter().find(|link| link.name == interface).map(|link| link.index);
    let socket = packet_socket(libc::SOCK_RAW)?;
    bind(&socket, index.ok_or(io::ErrorKind::NotFound)?)?;
    // SAFETY: the pointer is to `frame.len()` bytes that outlive the call.
    let sent = unsafe { libc::send(socket.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
    checked(sent as libc::c_int)
}
