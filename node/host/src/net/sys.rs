//! The system calls that the standard library lacks, for netlink sockets. All `unsafe` of this module's parent is here.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
    time::Duration,
};

/// A routing netlink socket that belongs to the multicast groups in the bit mask `groups` (0: none).
pub(crate) fn netlink_socket(groups: u32, nonblocking: bool) -> io::Result<File> {
    let flags = libc::SOCK_RAW | libc::SOCK_CLOEXEC | if nonblocking { libc::SOCK_NONBLOCK } else { 0 };
    // SAFETY: socket(2) takes no pointer.
    let fd = unsafe { libc::socket(libc::AF_NETLINK, flags, libc::NETLINK_ROUTE) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was opened above and nobody else owns it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: sockaddr_nl is plain numbers, for which zero is valid.
    let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
    address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
    address.nl_groups = groups;
    let length = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
    // SAFETY: the pointer is to a sockaddr_nl of `length` bytes that outlives the call.
    let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
    if bound < 0 { Err(io::Error::last_os_error()) } else { Ok(File::from(socket)) }
}

/// Gives up on a read from `file` after `patience`.
pub(crate) fn set_receive_timeout(file: &File, patience: Duration) -> io::Result<()> {
    let timeout = libc::timeval {
        tv_sec: patience.as_secs() as libc::time_t,
        tv_usec: patience.subsec_micros() as libc::suseconds_t,
    };
    let length = size_of::<libc::timeval>() as libc::socklen_t;
    let value = (&raw const timeout).cast();
    // SAFETY: the pointer is to a timeval of `length` bytes that outlives the call.
    let set =
        unsafe { libc::setsockopt(file.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVTIMEO, value, length) };
    if set < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Waits until one of `files` can be read, at most `patience`; which ones can.
pub(crate) fn wait_readable<F: AsFd>(files: &[F], patience: Duration) -> io::Result<Vec<bool>> {
    let mut polled: Vec<libc::pollfd> = files
        .iter()
        .map(|file| libc::pollfd { fd: file.as_fd().as_raw_fd(), events: libc::POLLIN, revents: 0 })
        .collect();
    let millis = patience.as_millis().min(i32::MAX as u128) as i32;
    // SAFETY: the pointer is to `polled.len()` pollfds that outlive the call.
    let ready = unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, millis) };
    if ready < 0 {
        let error = io::Error::last_os_error();
        return if error.kind() == io::ErrorKind::Interrupted {
            Ok(vec![false; files.len()])
        } else {
            Err(error)
        };
    }
    Ok(polled.iter().map(|file| file.revents != 0).collect())
}

/// An inotify instance that does not block.
pub(crate) fn inotify() -> io::Result<File> {
    // SAFETY: inotify_init1(2) takes no pointer.
    let fd = unsafe { libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was opened above and nobody else owns it.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// Has `inotify` tell of files in or at `path` that are written, created, moved or deleted.
pub(crate) fn inotify_watch(inotify: &File, path: &std::ffi::CStr) -> io::Result<()> {
    const EVENTS: u32 =
        libc::IN_MODIFY | libc::IN_CREATE | libc::IN_MOVED_TO | libc::IN_DELETE | libc::IN_CLOSE_WRITE;
    // SAFETY: the path is a C string that outlives the call.
    let watch = unsafe { libc::inotify_add_watch(inotify.as_raw_fd(), path.as_ptr(), EVENTS) };
    if watch < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
