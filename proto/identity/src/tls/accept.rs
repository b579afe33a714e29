//! Accepting members, and strangers with tokens.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, Id, JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;

use crate::identity::Current;
use crate::revocations::Revocations;
use crate::trust::{Refused, Roles};

use super::half_open::HalfOpen;
use super::open::{Gate, OpenStreams};
use super::refusal::{Refusal, RefusedUs, Why, tls_error};
use super::stream::{JoinStream, MemberStream, PeerInfo, Stranger, Stream};
use super::verify::{Finding, Rules};
use super::{HANDSHAKE, JOIN_ALPN, JOINING, Net, config};

/// Accepted streams that wait for their server: more than come about within one turn of it.
const WAITING: usize = 64;
/// Refusals that wait to be logged; more are only counted.
const REFUSALS: usize = 256;
/// How long to wait when the system cannot accept, for want of descriptors mostly.
const BREATH: Duration = Duration::from_millis(50);
/// How often it is looked whether a stranger is gone.
const GLANCE: Duration = Duration::from_millis(250);

/// Who may connect.
#[derive(Clone, Copy, Debug)]
pub struct Listening {
    /// Members of these roles.
    pub roles: Roles,
    /// Strangers with tokens, too: on signers.
    pub joiners: bool,
}

/// What a listener takes in. Dropping it ends the listener.
#[derive(Debug)]
pub struct Accepted {
    /// Members: for the server of everything that members may call.
    pub members: ReceiverStream<io::Result<MemberStream>>,
    /// Strangers: for a server of their own that has nothing but joining.
    pub joiners: ReceiverStream<io::Result<JoinStream>>,
    /// Who was refused, and why; what does not fit is only counted.
    pub refusals: mpsc::Receiver<Refusal>,
    /// How many were.
    pub stats: Arc<ListenStats>,
    /// Ends the listener when dropped; streams that were accepted stay open.
    pub listener: ListenerTask,
}

/// The task that accepts; ends when dropped.
#[derive(Debug)]
pub struct ListenerTask(JoinHandle<()>);

impl Drop for ListenerTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How many connections came, and what became of them.
#[derive(Debug, Default)]
pub struct ListenStats {
    /// Members accepted.
    pub members: AtomicU64,
    /// Strangers accepted for joining.
    pub joiners: AtomicU64,
    /// Refused by our rules or theirs, or not speaking TLS.
    pub refused: AtomicU64,
    /// Dropped because they were too slow.
    pub slow: AtomicU64,
    /// Dropped because too many were unfinished.
    pub crowded: AtomicU64,
}

impl Net {
    /// Accepts connections; `serve_with_incoming` of a tonic server takes the streams.
    pub fn listen(&self, listener: TcpListener, who: Listening) -> Accepted {
        let (members, member_streams) = mpsc::channel(WAITING);
        let (joiners, join_streams) = mpsc::channel(WAITING);
        let (refusals, refused) = mpsc::channel(REFUSALS);
        let stats = Arc::new(ListenStats::default());
        let (current, revocations) = (self.current.clone(), self.revocations.clone());
        let (streams, counted) = (self.streams.clone(), stats.clone());
        let door = Door { who, current, revocations, streams, members, joiners, refusals, stats: counted };
        Accepted {
            members: ReceiverStream::new(member_streams),
            joiners: ReceiverStream::new(join_streams),
            refusals: refused,
            stats,
            listener: ListenerTask(tokio::spawn(accept(listener, Arc::new(door)))),
        }
    }
}

/// What every handshake needs.
struct Door {
    who: Listening,
    current: Current,
    revocations: Arc<Revocations>,
    streams: Arc<OpenStreams>,
    members: mpsc::Sender<io::Result<MemberStream>>,
    joiners: mpsc::Sender<io::Result<JoinStream>>,
    refusals: mpsc::Sender<Refusal>,
    stats: Arc<ListenStats>,
}

/// The handshakes under way.
#[derive(Default)]
struct Handshakes {
    table: HalfOpen,
    tasks: JoinSet<()>,
    running: BTreeMap<u64, (SocketAddr, AbortHandle)>,
    numbers: BTreeMap<Id, u64>,
}

async fn accept(listener: TcpListener, door: Arc<Door>) {
    let mut handshakes = Handshakes::default();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((tcp, from)) => handshakes.begin(&door, tcp, from),
                Err(_) => sleep(BREATH).await,
            },
            Some(ended) = handshakes.tasks.join_next_with_id() => {
                handshakes.end(ended.map_or_else(|e| e.id(), |(id, ())| id));
            }
        }
    }
}

impl Handshakes {
    fn begin(&mut self, door: &Arc<Door>, tcp: TcpStream, from: SocketAddr) {
        let (number, displaced) = self.table.begin(from.ip());
        if let Some((from, handle)) = displaced.and_then(|oldest| self.running.remove(&oldest)) {
            handle.abort();
            door.refuse(Refusal { from, why: Why::Crowded });
        }
        let handle = self.tasks.spawn(welcome(door.clone(), tcp, from));
        self.numbers.insert(handle.id(), number);
        self.running.insert(number, (from, handle));
    }

    fn end(&mut self, id: Id) {
        if let Some(number) = self.numbers.remove(&id) {
            self.table.end(number);
            self.running.remove(&number);
        }
    }
}

async fn welcome(door: Arc<Door>, tcp: TcpStream, from: SocketAddr) {
    let deadline = Instant::now() + JOINING;
    let shaken = timeout(HANDSHAKE, door.shake_and_deliver(tcp, from)).await;
    match shaken.unwrap_or(Err(Why::Slow)) {
        Err(why) => door.refuse(Refusal { from, why }),
        Ok(None) => {}
        // A stranger stays half open until it is gone: the same limits hold for it.
        Ok(Some(gate)) => {
            let closing = CloseOnDrop(gate);
            while Arc::strong_count(&closing.0) > 1 && Instant::now() < deadline {
                sleep(GLANCE).await;
            }
        }
    }
}

struct CloseOnDrop(Arc<Gate>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Door {
    /// The gate of a stranger's stream, or nothing when a member was delivered.
    async fn shake_and_deliver(&self, tcp: TcpStream, from: SocketAddr) -> Result<Option<Arc<Gate>>, Why> {
        let _ = tcp.set_nodelay(true);
        let start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), tcp).await;
        let start = start.map_err(|e| explain(&e, &Finding::default()))?;
        let joins = start.client_hello().alpn().is_some_and(|mut spoken| spoken.any(|it| it == JOIN_ALPN));
        let identity = self.current.get();
        let finding = Arc::new(Finding::default());
        let config = if joins && self.who.joiners {
            config::join_server(&identity)
        } else {
            let (trust, revocations) = (identity.trust().clone().into(), self.revocations.clone());
            let rules = Rules::Members { trust, revocations, roles: self.who.roles, expected: None };
            config::server(&identity, rules, finding.clone())
        };
        let config = config.map_err(|e| Why::Ours(e.to_string()))?;
        let tls = start.into_stream(Arc::new(config)).await.map_err(|e| explain(&e, &finding))?;
        if joins && self.who.joiners {
            return Ok(Some(self.deliver_stranger(tls, from).await));
        }
        self.deliver_member(tls, from, &finding).await.map(|()| None)
    }

    async fn deliver_member(
        &self,
        tls: TlsStream<TcpStream>,
        address: SocketAddr,
        found: &Finding,
    ) -> Result<(), Why> {
        let peer = found.peer().ok_or(Refused::NoCertificate)?;
        let gate = Arc::new(Gate::default());
        let place = self.streams.enter(&peer.member, &gate);
        // Whoever was revoked since the handshake began is not missed by the sweeper, now that it has its place.
        self.revocations.check(&peer.member)?;
        let stream = Stream::new(tls.into(), PeerInfo::new(address, peer), gate).placed(place);
        if self.members.send(Ok(stream)).await.is_ok() {
            self.stats.members.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    async fn deliver_stranger(&self, tls: TlsStream<TcpStream>, address: SocketAddr) -> Arc<Gate> {
        let gate = Arc::new(Gate::default());
        let stream =
            Stream::new(tls.into(), Stranger { address }, gate.clone()).until(Instant::now() + JOINING);
        if self.joiners.send(Ok(stream)).await.is_ok() {
            self.stats.joiners.fetch_add(1, Ordering::Relaxed);
        }
        gate
    }

    fn refuse(&self, refusal: Refusal) {
        let count = match refusal.why {
            Why::Slow => &self.stats.slow,
            Why::Crowded => &self.stats.crowded,
            _ => &self.stats.refused,
        };
        count.fetch_add(1, Ordering::Relaxed);
        let _ = self.refusals.try_send(refusal);
    }
}

fn explain(error: &io::Error, finding: &Finding) -> Why {
    if let Some(refused) = finding.refused() {
        return refused.into();
    }
    match (tls_error(error), RefusedUs::of(error)) {
        (Some(rustls::Error::NoCertificatesPresented), _) => Refused::NoCertificate.into(),
        (_, Some(why)) => why.into(),
        _ => Why::Handshake(error.to_string()),
    }
}
