//! Talking to the service manager: `sd_notify(3)`, one datagram each. Without a manager every call does nothing.

use std::{
    env,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram},
        },
    },
};

/// The way to the service manager.
#[derive(Debug)]
pub struct Notifier {
    socket: Option<(UnixDatagram, SocketAddr)>,
}

impl Notifier {
    /// As `NOTIFY_SOCKET` of the environment says.
    pub fn from_environment() -> Self {
        let address = env::var_os("NOTIFY_SOCKET").and_then(|path| address_of(path.as_bytes()));
        let socket = address.and_then(|address| Some((UnixDatagram::unbound().ok()?, address)));
        Self { socket }
    }

    /// The node guards.
    pub fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={}", one_line(status)));
    }

    /// A sign of life.
    pub fn alive(&self) {
        self.send("WATCHDOG=1");
    }

    /// The configuration is being read again; [`Notifier::ready`] follows.
    pub fn reloading(&self) {
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={}", monotonic_usec()));
    }

    /// The node is about to end.
    pub fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// What the manager does not take is lost: it must not hold up the node.
    fn send(&self, message: &str) {
        if let Some((socket, address)) = &self.socket {
            let sent =
                socket.set_nonblocking(true).and_then(|()| socket.send_to_addr(message.as_bytes(), address));
            if let Err(error) = sent {
                tracing::debug!(%error, "the service manager did not take a message");
            }
        }
    }
}

/// A path, or after `@` a name in the abstract namespace.
fn address_of(path: &[u8]) -> Option<SocketAddr> {
    match path.split_first()? {
        (b'@', name) => SocketAddr::from_abstract_name(name).ok(),
        _ => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path)).ok(),
    }
}

fn one_line(text: &str) -> String {
    text.replace('\n', " ")
}

/// Microseconds of `CLOCK_MONOTONIC`, as the manager compares them.
fn monotonic_usec() -> i64 {
    let clock = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC);
    clock.map_or(0, |at| at.tv_sec() * 1_000_000 + at.tv_nsec() / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manager_hears_every_message() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let socket =
            Some((UnixDatagram::unbound().unwrap(), address_of(path.as_os_str().as_bytes()).unwrap()));
        let notifier = Notifier { socket };
        notifier.ready("guards\neth0");
        let mut buffer = [0; 256];
        let length = manager.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"READY=1\nSTATUS=guards eth0");
    }

    #[test]
    fn a_manager_that_is_gone_holds_nobody_up() {
        let socket = Some((UnixDatagram::unbound().unwrap(), address_of(b"/nonexistent/notify").unwrap()));
        Notifier { socket }.stopping();
    }
}
