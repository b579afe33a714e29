//! The sockets of a member, and the tasks that serve them, on threads of their own: whatever strangers do to them, the
//! control socket stays free.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use smartfw_core::members::MAX_DATAGRAM;
use smartfw_identity::{
    Current, Revocations, Roles,
    tls::{Accepted, Listening, Net, Refusal},
};
use smartfw_proto::{limits, wire::peer_server::PeerServer};
use tokio::{
    net::{TcpListener, UdpSocket},
    runtime::Runtime,
    sync::{Semaphore, mpsc},
    time::interval,
};

use super::{
    Input as FleetInput,
    beside::Beside,
    dial::{Busy, Dialler},
    links::Dial,
    service::PeerService,
    stream::Shared,
};
use crate::inbox::Input;

/// A connection on which nothing came for so long is asked whether it lives; where digests pass, it never is.
pub(super) const PING: Duration = Duration::from_secs(4);
/// How long it may take to answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
/// Datagrams that wait for the driver: a second of the largest fleet's. What does not fit is lost, as datagrams are.
const DATAGRAMS: usize = 1024;
/// How often idle streams are closed.
const TIDY: Duration = Duration::from_secs(10);
/// Lines about refused connections in a minute: anybody can connect. The rest is counted.
const LINES: u32 = 20;
/// Calls at once on one member's connection: its stream, a renewal, and room.
const CALLS: usize = 8;

/// Sockets that are bound and nobody serves yet.
pub(super) struct Sockets {
    pub(super) tcp: std::net::TcpListener,
    pub(super) udp: std::net::UdpSocket,
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
    pub(super) sockets: Sockets,
    pub(super) wanted: mpsc::Receiver<Dial>,
    pub(super) seeds: Vec<SocketAddr>,
    pub(super) beside: Arc<dyn Beside>,
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
            serve(parts)?;
        }
        Ok(Self { shared, runtime: Some(runtime) })
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.shared.links.close_all();
        // Also within another runtime, where waiting for it would panic.
        self.runtime.take().into_iter().for_each(Runtime::shutdown_background);
    }
}

fn serve(parts: Parts) -> io::Result<()> {
    let Parts { shared, sockets: Sockets { tcp, udp }, wanted, seeds, beside } = parts;
    let net = Arc::new(Net::new(shared.current.clone(), shared.revocations.clone()));
    let (tcp, udp) = (TcpListener::from_std(tcp)?, UdpSocket::from_std(udp)?);
    accept(&shared, &net, tcp, &beside);
    tokio::spawn(receive(shared.clone(), udp));
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
    Ok(())
}

/// Lets members in, and strangers with tokens where somebody serves them.
fn accept(shared: &Arc<Shared>, net: &Arc<Net>, tcp: TcpListener, beside: &Arc<dyn Beside>) {
    let who = Listening { roles: Roles::SERVING, joiners: beside.welcomes() };
    let Accepted { members, joiners, refusals, stats: _, listener } = net.listen(tcp, who);
    let peer = PeerServer::new(PeerService { shared: shared.clone() });
    let server = tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(PING))
        .http2_keepalive_timeout(Some(PATIENCE))
        .concurrency_limit_per_connection(CALLS)
        .add_routes(beside.members())
        .add_service(peer.max_decoding_message_size(limits::PEER_MESSAGE))
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
    let mut lines = 0;
    while let Some(refusal) = refusals.recv().await {
        shared.counters.fleet.refused.add(1);
        if minute.elapsed() > Duration::from_secs(60) {
            (minute, lines) = (tokio::time::Instant::now(), 0);
        }
        lines += 1;
        if lines <= LINES {
            tracing::warn!("{refusal}");
        }
    }
}

/// Takes datagrams in.
async fn receive(shared: Arc<Shared>, udp: UdpSocket) {
    let room = Arc::new(Semaphore::new(DATAGRAMS));
    let mut bytes = [0; MAX_DATAGRAM + 1];
    loop {
        let Ok((length, from)) = udp.recv_from(&mut bytes).await else {
            // An earlier datagram's ICMP error; nothing has come.
            tokio::task::yield_now().await;
            continue;
        };
        shared.counters.fleet.datagrams.add(1);
        match room.clone().try_acquire_owned() {
            Ok(permit) if length <= MAX_DATAGRAM => {
                let datagram = FleetInput::Datagram(from, bytes[..length].to_vec(), permit);
                shared.inbox.send(Input::Fleet(datagram));
            }
            _ => shared.counters.fleet.datagrams_dropped.add(1),
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
