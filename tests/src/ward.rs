//! A guarded server for one test, and somebody who knocks on it all the time.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    path::Path,
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::Result;
use tempfile::TempDir;

use crate::{
    daemon::Guard,
    kernel::{Meter, Sources},
    net::{Host, Net, SERVER_V4, SERVER_V6},
    process::{Stop, until},
    site::Site,
};

/// A network of its own, and a folder that goes with it.
#[derive(Debug)]
pub struct Ward {
    /// The network.
    pub net: Net,
    dir: TempDir,
}

/// How long a knocker knocks at most; every test is shorter.
const KNOCKING: Duration = Duration::from_secs(300);
/// The pause between two knocks: a thousand a second show a gap of a few milliseconds.
const PAUSE: Duration = Duration::from_millis(1);

impl Ward {
    /// Makes the network. Needs root.
    pub fn new() -> Result<Self> {
        Ok(Self { net: Net::new()?, dir: tempfile::tempdir()? })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Starts the daemon.
    pub fn guard(&self) -> Result<Guard<'_>> {
        Guard::start(self.net.server(), &self.dir().join("node"))
    }

    /// Opens the services.
    pub fn site(&self) -> Result<Site> {
        Site::open(&self.net, self.dir())
    }

    /// Counts the packets of an address.
    pub fn meter(&self, address: IpAddr) -> Result<Meter<'_>> {
        Meter::install(self.net.server(), "ward", Sources::One(address))
    }
}

/// Somebody who sends a datagram every millisecond until dropped.
#[derive(Debug)]
pub struct Knocker {
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

impl Knocker {
    /// Knocks from a host on a closed port of the server, over IPv4.
    pub fn v4(host: &Host) -> Result<Self> {
        Self::start(host, "0.0.0.0:0", SocketAddr::from((SERVER_V4, 9)))
    }

    /// Knocks over IPv6.
    pub fn v6(host: &Host) -> Result<Self> {
        Self::start(host, "[::]:0", SocketAddr::from((SERVER_V6, 9)))
    }

    fn start(host: &Host, from: &str, to: SocketAddr) -> Result<Self> {
        // A socket stays in the namespace that it was made in, whoever uses it.
        let socket = host.namespace.inside(|| UdpSocket::bind(from))??;
        let stop = Stop::after(KNOCKING);
        let knock = {
            let stop = stop.clone();
            move || {
                while stop.sleep(PAUSE) {
                    // "Connection refused" is the answer of a closed port, and no reason to end.
                    let _ = socket.send_to(b"knock", to);
                }
            }
        };
        Ok(Self { stop, thread: Some(thread::spawn(knock)) })
    }
}

impl Drop for Knocker {
    fn drop(&mut self) {
        self.stop.now();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// How long the meter must show that nothing passes, before that is believed.
const SILENCE: Duration = Duration::from_millis(300);

/// Waits until a knocker's packets come and none passes; how long that took.
pub fn silence(meter: &Meter<'_>, limit: Duration) -> Result<Duration> {
    until("nothing passes any more", limit, || silent(meter).unwrap_or(false))
}

/// Waits until a knocker's packets pass.
pub fn passage(meter: &Meter<'_>, limit: Duration) -> Result<Duration> {
    until("packets pass again", limit, || {
        let before = meter.read().map(|reading| reading.passed);
        thread::sleep(SILENCE);
        meter.read().map(|reading| reading.passed).ok() > before.ok()
    })
}

/// Whether packets come, and none passes, for a moment.
pub fn silent(meter: &Meter<'_>) -> Result<bool> {
    let before = meter.read()?;
    thread::sleep(SILENCE);
    let after = meter.read()?;
    Ok(after.passed == before.passed && after.seen > before.seen)
}
