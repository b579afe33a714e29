//! The sockets of a member, and the tasks that serve them, on threads of their own: whatever strangers do to them, the
//! control socket stays free.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use smartfw_identity::{
    Current, Revocations, Roles,
    tls::{Accepted, Listening, Net, Refusal, Why},
};
use smartfw_proto::{
    limits,
    wire::{announcement_server::AnnouncementServer, peer_server::PeerServer},
};
use tokio::{
    net::{TcpListener, UdpSocket},
    runtime::Runtime,
    sync::{Semaphore, mpsc, watch},
    time::{interval, sleep},
};

use super::{
    Input as FleetInput,
    announcing::AnnouncementService,
    beside::Beside,
    coordinators::Places,
    datagrams::receive,
    dial::{Busy, Dialler},
    links::Dial,
    service::PeerService,
    stream::Shared,
};
use crate::{
    health::Matter,
    inbox::Input,
    uplink::{self, Uplink, Way},
};

/// A connection on which nothing came for so long is asked whether it lives; where digests pass, it never is.
pub(super) const PING: Duration = Duration::from_secs(4);
/// How long it may take to answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
/// How long until a port that is taken is tried again.
const AGAIN: Duration = Duration::from_secs(2);
/// How long tasks may take to end: they hold the sockets, and who leaves may enter again at once.
const ENDING: Duration = Duration::from_secs(2);
/// How often idle streams are closed.
const TIDY: Duration = Duration::from_secs(10);
/// Lines about refused connections in a minute, of each kind: anybody can connect. The rest is counted.
const LINES: u32 = 20;
/// Calls at once on one member's connection: its stream, a renewal, and room.
const CALLS: u32 = 8;

/// An announcement names an address; what a coordinator passes on is a revocation with its certificates.
const ANNOUNCEMENT: usize = limits::REVOCATION + (4 << 10);

/// Sockets that are bound and nobody serves yet.
pub(super) struct Sockets {
    pub(super) tcp: std::net::TcpListener,
    pub(super) udp: std::net::UdpSocket,
}

/// The way out for datagrams, as soon as there is a socket. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Udp(Arc<OnceLock<std::net::UdpSocket>>);

impl Udp {
    /// Sends a datagram.
    pub(super) fn send_to(&self, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
        self.0.get().ok_or(io::ErrorKind::NotConnected)?.send_to(bytes, to)
    }

    /// From now on, by this socket.
    pub(super) fn by(&self, socket: &std::net::UdpSocket) -> io::Result<()> {
        let _ = self.0.set(socket.try_clone()?);
        Ok(())
    }
}

impl Sockets {
    /// Binds both to one address.
    pub(super) fn bind(address: SocketAddr) -> io::Result<Self> {
        let tcp = std::net::TcpListener::bind(address)?;
        tcp.set_nonblocking(true)?;
        // Where the port was left to the system, both have the same.
        let udp = std::net::UdpSocket::bind(tcp.local_addr()?)?;
        udp.set_nonblocking(true)?;
        Ok(Self { tcp, udp })
    }
}

/// What a network is made of.
pub(super) struct Parts {
    pub(super) shared: Arc<Shared>,
    /// What is listened on; without them, they are bound as soon as the port is free.
    pub(super) sockets: Option<Sockets>,
    pub(super) listen: SocketAddr,
    pub(super) udp: Udp,
    pub(super) wanted: mpsc::Receiver<Dial>,
    pub(super) seeds: Vec<SocketAddr>,
    pub(super) beside: Arc<dyn Beside>,
    /// The way to coordinators, and where they are.
    pub(super) reported: (Uplink, watch::Receiver<Places>),
}

/// A network at work; ends when dropped.
pub(super) struct Network {
    pub(super) shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

impl Network {
    /// Serves the sockets.
    pub(super) fn start(parts: Parts) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("fleet")
            .enable_all()
            .build()?;
        let shared = parts.shared.clone();
        {
            // The caller may itself run within another runtime.
            let _within = runtime.enter();
            serve(parts);
        }
        Ok(Self { shared, runtime: Some(runtime) })
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.shared.links.close_all();
        let Some(runtime) = self.runtime.take() else { return };
        // On a thread of its own: the caller may run within another runtime, where waiting for one would panic.
        let ending = std::thread::spawn(move || runtime.shutdown_timeout(ENDING));
        let _ = ending.join();
    }
}

fn serve(parts: Parts) {
    let Parts { shared, sockets, listen, udp, wanted, seeds, beside, reported: (uplink, places) } = parts;
    let net = Arc::new(Net::new(shared.current.clone(), shared.revocations.clone()));
    tokio::spawn(open(shared.clone(), net.clone(), (sockets, listen, udp), beside));
    let (revocations, inbox) = (shared.revocations.clone(), shared.inbox.clone());
    tokio::spawn(uplink::follow(Way { uplink, net: net.clone(), revocations, inbox }, places));
    let dialler = Dialler { shared: shared.clone(), net, busy: Busy::default() };
    tokio::spawn(dialler.clone().follow(shared.links.targets.subscribe()));
    tokio::spawn(dialler.clone().serve(wanted));
    tokio::spawn(dialler.seek(seeds));
    tokio::spawn(watch_identity(shared.current.clone(), shared.clone()));
    tokio::spawn(watch_revocations(shared.revocations.clone(), shared.clone()));
    tokio::spawn(async move {
        let mut tidy = interval(TIDY);
        loop {
            tidy.tick().await;
            shared.links.tidy();
        }
    });
}

/// Listens, as soon as the port is free.
async fn open(
    shared: Arc<Shared>,
    net: Arc<Net>,
    (mut bound, listen, way): (Option<Sockets>, SocketAddr, Udp),
    beside: Arc<dyn Beside>,
) {
    let mut waited = false;
    loop {
        let sockets = bound.take().map_or_else(|| Sockets::bind(listen), Ok);
        let opened = sockets.and_then(|Sockets { tcp, udp }| {
            way.by(&udp)?;
            Ok((TcpListener::from_std(tcp)?, UdpSocket::from_std(udp)?))
        });
        match opened {
            Ok((tcp, udp)) => {
                accept(&shared, &net, tcp, &beside);
                if waited {
                    shared.health.clear(Matter::Fleet);
                }
                return receive(shared, udp).await;
            }
            Err(error) => {
                let what = format!("members do not reach this node: it cannot listen on {listen}: {error}");
                let remedy =
                    "end what listens there, or choose another address by --listen; it is tried again";
                super::trouble(&shared.health, what, remedy);
                waited = true;
                sleep(AGAIN).await;
            }
        }
    }
}

/// Lets members in, and strangers with tokens where somebody serves them.
fn accept(shared: &Arc<Shared>, net: &Arc<Net>, tcp: TcpListener, beside: &Arc<dyn Beside>) {
    let who = Listening { roles: Roles::SERVING, joiners: beside.welcomes() };
    let Accepted { members, joiners, refusals, stats: _, listener } = net.listen(tcp, who);
    let peer = PeerServer::new(PeerService { shared: shared.clone() });
    let announcing = AnnouncementService { shared: shared.clone(), checking: Arc::new(Semaphore::new(1)) };
    let server = tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(PING))
        .http2_keepalive_timeout(Some(PATIENCE))
        .concurrency_limit_per_connection(CALLS as usize)
        .max_concurrent_streams(CALLS)
        .add_routes(beside.members())
        .add_service(peer.max_decoding_message_size(limits::PEER_MESSAGE))
        .add_service(AnnouncementServer::new(announcing).max_decoding_message_size(ANNOUNCEMENT))
        .serve_with_incoming(members);
    let health = shared.health.clone();
    tokio::spawn(async move {
        let _listener = listener; // ends with the server
        let why = server.await.err().map_or_else(String::new, |error| format!(": {error}"));
        super::trouble(&health, format!("members are not let in any more{why}"), "restart the node");
    });
    tokio::spawn(beside.joiners(joiners));
    tokio::spawn(tell_refusals(shared.clone(), refusals));
}

/// Says who was refused, and why: rustls and tonic alone would only say that a connection was cancelled.
async fn tell_refusals(shared: Arc<Shared>, mut refusals: mpsc::Receiver<Refusal>) {
    let mut minute = tokio::time::Instant::now();
    // Who shows a certificate is not lost among those who show none.
    let (mut known, mut strangers) = (0, 0);
    while let Some(refusal) = refusals.recv().await {
        shared.counters.fleet.refused.add(1);
        if minute.elapsed() > Duration::from_secs(60) {
            (minute, known, strangers) = (tokio::time::Instant::now(), 0, 0);
        }
        let lines = if matches!(refusal.why, Why::Refused(_)) { &mut known } else { &mut strangers };
        *lines += 1;
        if *lines <= LINES {
            tracing::warn!("{refusal}");
        }
    }
}

/// Tells the driver of a new certificate.
async fn watch_identity(current: Current, shared: Arc<Shared>) {
    let mut changes = current.changes();
    while changes.changed().await.is_ok() {
        shared.inbox.send(Input::Fleet(FleetInput::Renewed));
    }
}

/// Tells the driver who was expelled. `Net` closes their streams.
async fn watch_revocations(revocations: Arc<Revocations>, shared: Arc<Shared>) {
    let mut changes = revocations.changes();
    while changes.changed().await.is_ok() {
        shared.inbox.send(Input::Fleet(FleetInput::Revoked));
    }
}
