//! A packet socket on one interface.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use smartfw_host::net::Link;

use super::{
    batch::{Batch, Kind},
    sys,
};
use crate::CaptureError;

/// Bytes that the kernel keeps of what we have not taken yet. The usual 200 KiB lost more than half at 480,000 packets
/// a second; this held 200,000 without loss.
const RECEIVE_BUFFER: libc::c_int = 64 << 20;

pub(super) struct Socket {
    fd: OwnedFd,
    pub(super) kind: Kind,
    /// Whether the kernel refused the large buffer.
    pub(super) small_buffer: bool,
}

impl Socket {
    /// Opens a socket that receives the frames of `link` from now on, and of no other interface.
    ///
    /// # Errors
    /// When the capability is missing, or the interface has just vanished.
    pub(super) fn open(link: &Link) -> Result<Self, CaptureError> {
        let kind = kind(link);
        let raw = kind.ethernet || kind.with_header;
        let fd =
            sys::packet_socket(if raw { libc::SOCK_RAW } else { libc::SOCK_DGRAM }).map_err(refused(link))?;
        let small_buffer = sys::set(&fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, RECEIVE_BUFFER).is_err();
        let set = |what, level, option, value| {
            sys::set(&fd, level, option, value).map_err(|source| failed(link, what, source))
        };
        if small_buffer {
            set("enlarge the buffer", libc::SOL_SOCKET, libc::SO_RCVBUF, RECEIVE_BUFFER)?;
        }
        set("have time stamps", libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)?;
        set("have VLAN tags", libc::SOL_PACKET, libc::PACKET_AUXDATA, 1)?;
        if kind.with_header {
            set("have segment sizes", libc::SOL_PACKET, libc::PACKET_VNET_HDR, 1)?;
        }
        sys::bind(&fd, link.index).map_err(|source| failed(link, "capture", source))?;
        Ok(Self { fd, kind, small_buffer })
    }

    /// Whether it still receives what the interface `index` does. It ceases to when the interface vanishes, even if
    /// one with the same number comes back.
    pub(super) fn is_bound_to(&self, index: u32) -> bool {
        sys::bound_to(&self.fd).is_ok_and(|bound| bound == index as i32)
    }

    /// Fills `batch` with what is there; the number of frames.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there, and whatever the kernel says of the interface.
    pub(super) fn receive(&self, batch: &mut Batch) -> io::Result<usize> {
        sys::receive(&self.fd, batch, self.kind.with_header)
    }

    /// Frames that the kernel had no room for since the last call.
    pub(super) fn take_drops(&self) -> u64 {
        sys::drops(&self.fd).map_or(0, u64::from)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// How the frames of an interface begin.
fn kind(link: &Link) -> Kind {
    /// `ARPHRD_RAWIP`.
    const RAW_IP: u16 = 519;
    let ethernet = matches!(link.hardware, libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK);
    // These have no header at all (tun, WireGuard), so that the whole frame is the IP packet, with its segment size.
    // Of everything else (PPP, tunnels, InfiniBand) the kernel takes the header off, and cannot give segment sizes.
    let headless = matches!(link.hardware, libc::ARPHRD_NONE | RAW_IP);
    Kind { ethernet, with_header: ethernet || headless, loopback: link.loopback }
}

fn refused(link: &Link) -> impl FnOnce(io::Error) -> CaptureError {
    let interface = link.name.clone();
    move |source| match source.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => CaptureError::NoPermission,
        _ => CaptureError::Socket { interface, what: "open a packet socket", source },
    }
}

fn failed(link: &Link, what: &'static str, source: io::Error) -> CaptureError {
    CaptureError::Socket { interface: link.name.clone(), what, source }
}

#[cfg(test)]
impl Socket {
    pub(super) fn set_buffer_for_test(&self, bytes: libc::c_int) {
        sys::set(&self.fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, bytes).unwrap();
    }
}
