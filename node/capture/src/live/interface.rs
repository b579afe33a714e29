//! One interface through its ups and downs.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

use smartfw_host::net::Link;

use super::{
    batch::{Batch, Kind},
    select::Host,
    socket::Socket,
};
use crate::CaptureError;

/// An interface that is captured on, as far as it is there.
pub struct Interface {
    name: String,
    pub(super) trusted: bool,
    state: State,
    socket: Option<Socket>,
    lost: u64,
    /// Ethernet sources whose leaving frames another interface shows.
    pub(super) counts_elsewhere: Vec<[u8; 6]>,
}

/// How an interface is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Its frames are captured.
    Up,
    /// It exists and is switched off; its frames are captured as soon as it is switched on.
    Down,
    /// It does not exist; it is looked for every second.
    Gone,
    /// It carries no default route and no global address any more, or another interface shows its frames.
    NotNeeded,
    /// It cannot be captured on, for the reason given; tried again every second.
    Failed(String),
}

impl Interface {
    pub(super) fn new(name: String, trusted: &[String]) -> Self {
        let trusted = trusted.contains(&name);
        Self { name, trusted, state: State::Gone, socket: None, lost: 0, counts_elsewhere: Vec::new() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it is.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Frames that the kernel had no room for, as of the last [`stats`](crate::Source::stats).
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Whether the kernel refused the large receive buffer (CAP_NET_ADMIN is missing): bursts may be lost.
    pub fn has_small_buffer(&self) -> bool {
        self.socket.as_ref().is_some_and(|socket| socket.small_buffer)
    }

    pub(super) fn is_down(&self) -> bool {
        !matches!(self.state, State::Up | State::NotNeeded)
    }

    /// Opens, keeps or closes the socket, as the interface is now.
    ///
    /// # Errors
    /// When it should be captured on and cannot be; [`State::Failed`] by then.
    pub(super) fn update(&mut self, host: &Host) -> Result<(), CaptureError> {
        let Some(link) = host.links.iter().find(|link| link.name == self.name) else {
            self.shut(State::Gone);
            return Ok(());
        };
        self.counts_elsewhere = macvlans_upon(link, host);
        if self.socket.as_ref().is_some_and(|socket| !socket.is_bound_to(link.index)) {
            self.shut(State::Gone);
        }
        if self.socket.is_none() {
            // Also while it is down: the kernel then begins with the first frame after it went up.
            self.socket = Some(Socket::open(link).inspect_err(|error| {
                self.state = State::Failed(error.to_string());
            })?);
        }
        self.state = if link.up { State::Up } else { State::Down };
        Ok(())
    }

    pub(super) fn close(&mut self) {
        self.shut(State::NotNeeded);
    }

    fn shut(&mut self, state: State) {
        self.count_drops();
        self.socket = None;
        self.state = state;
    }

    /// Fills `batch`; how many frames came.
    pub(super) fn receive(&mut self, batch: &mut Batch) -> usize {
        let Some(socket) = &self.socket else { return 0 };
        match socket.receive(batch) {
            Ok(count) => count,
            Err(error) => {
                self.failed(&error);
                0
            }
        }
    }

    fn failed(&mut self, error: &io::Error) {
        match error.raw_os_error() {
            Some(libc::EAGAIN | libc::EINTR) => {}
            // The interface went down, perhaps for good. The socket stays: it works again when the interface does.
            Some(libc::ENETDOWN) => self.state = State::Down,
            // A frame merged in a way that its header cannot say (older kernels, UDP): the kernel has dropped it.
            Some(libc::EINVAL) => self.lost += 1,
            _ => {
                let reason = error.to_string();
                self.shut(State::Failed(reason));
            }
        }
    }

    pub(super) fn count_drops(&mut self) {
        self.lost += self.socket.as_ref().map_or(0, Socket::take_drops);
    }

    pub(super) fn kind(&self) -> Kind {
        let none = Kind { ethernet: true, with_header: true, loopback: false };
        self.socket.as_ref().map_or(none, |socket| socket.kind)
    }

    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(AsFd::as_fd)
    }
}

/// The hardware addresses of macvlan interfaces stacked upon `link`.
fn macvlans_upon(link: &Link, host: &Host) -> Vec<[u8; 6]> {
    let upon = host.links.iter().filter(|upper| upper.kind == "macvlan" && upper.lower == Some(link.index));
    upon.filter_map(|upper| upper.mac).collect()
}

#[cfg(test)]
impl Interface {
    pub(super) fn shrink_buffer_for_test(&self) {
        let socket = self.socket.as_ref().unwrap();
        socket.set_buffer_for_test(32 * 1024);
    }
}
