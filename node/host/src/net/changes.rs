//! News of changed interfaces, addresses and routes.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::{AsFd, BorrowedFd},
};

use super::sys;

/// A descriptor that becomes readable when interfaces, addresses or routes change.
#[derive(Debug)]
pub struct Changes(File);

impl Changes {
    /// Listens from now on.
    ///
    /// # Errors
    /// When the kernel gives no netlink socket.
    pub fn listen() -> io::Result<Self> {
        const GROUPS: i32 = libc::RTMGRP_LINK
            | libc::RTMGRP_IPV4_IFADDR
            | libc::RTMGRP_IPV6_IFADDR
            | libc::RTMGRP_IPV4_ROUTE
            | libc::RTMGRP_IPV6_ROUTE;
        sys::netlink_socket(GROUPS as u32, true).map(Self)
    }

    /// Whether anything changed since the last call; never waits.
    ///
    /// The messages are thrown away: whoever is told asks the kernel for the whole again, so that none can be missed.
    pub fn take(&mut self) -> bool {
        let mut buffer = [0; 8192];
        let mut any = false;
        loop {
            match self.0.read(&mut buffer) {
                Ok(0) => return any,
                Ok(_) => any = true,
                // There were more messages than the kernel kept for us: something did change.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => any = true,
                Err(_) => return any,
            }
        }
    }
}

impl AsFd for Changes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
