//! Waking up when somebody changes rules.

use std::{
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use crate::{
    EnforceError,
    netlink::{Socket, nftables},
};

/// Hears of every change of nf_tables' rules, our own included. Of iptables-legacy and of sets there is no news:
/// they have to be looked at every other second.
pub struct Watch {
    socket: Socket,
}

impl Watch {
    /// Opens it in the calling thread's network namespace.
    ///
    /// # Errors
    /// When the kernel has no netfilter notifications or does not let us hear them.
    pub fn open() -> Result<Self, EnforceError> {
        Ok(Self { socket: nftables::listen()? })
    }

    /// Waits until rules change (true) or `timeout` is over (false), whichever comes first.
    ///
    /// # Errors
    /// When the socket fails; the caller goes on by looking at intervals.
    pub fn wait(&mut self, timeout: Duration) -> Result<bool, EnforceError> {
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
        let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, timeout) {
            Ok(0) | Err(Errno::EINTR) => Ok(false),
            Ok(_) => self.clear(),
            Err(errno) => Err(EnforceError::system("waiting for changes of rules")(errno)),
        }
    }

    /// Throws away what has been heard so far; false when that was nothing. For those who poll the descriptor themselves.
    ///
    /// # Errors
    /// When the socket fails.
    pub fn clear(&mut self) -> Result<bool, EnforceError> {
        self.socket.drain().map_err(EnforceError::system("hearing of changes of rules"))
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
