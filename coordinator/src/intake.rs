//! Where nodes report: what they tell is put into the history, and only then acknowledged; what they are right now goes
//! into the view.
//!
//! ```text
//! stream of a node ─┐ two batches each               ┌─> history
//! stream of a node ─┼─────────────────────> appender ┤
//! stream of a node ─┘ 64 MiB in all                  └─> view, then "kept" to the node
//! ```

mod appender;
mod carrier;
mod line;
mod numbers;
mod orders;
mod questions;
mod stream;

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use smartfw_identity::{
    Roles,
    tls::{Accepted, Listening, Net, PeerInfo, Refusal, Why},
};
use smartfw_proto::{
    limits,
    wire::{
        CoordinatorAnswer, NodeReport,
        coordination_server::{Coordination, CoordinationServer},
    },
};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, mpsc, watch},
    task::JoinHandle,
    time::timeout,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::{
    health::{Health, Level, Matter},
    keeper::Keeper,
    view::{Refused, Unlisted, View},
};
use appender::{Appender, Batch, Lasts};
use line::{HANDED, Lines};
use orders::Orders;
use questions::Questions;

pub use carrier::Carrier;
pub use orders::NotCarried;

/// The protocols that are spoken.
const PROTOCOL: (u32, u32) = (1, 2);
/// Room for events that wait to be kept, over all streams, in units of [`ROOM_UNIT`]: 64 MiB. Who finds none is not read.
const ROOMS: u32 = 64 << 10;
const ROOM_UNIT: usize = 1 << 10;
/// Batches that wait: more do not fit into the room unless they are tiny.
const WAITING: usize = 1_024;
/// A connection on which nothing came for so long is asked whether it lives. Nodes that do report every second.
const PING: Duration = Duration::from_secs(10);
/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Calls at once on one node's connection: its stream, and room.
const CALLS: u32 = 4;
/// Lines about refused connections in a minute, of each kind: anybody can connect. The rest is counted.
const LINES: u32 = 20;
/// How long what is being written may take at the end.
const ENDING: Duration = Duration::from_secs(5);

/// What is counted, from the start on.
#[derive(Debug, Default)]
pub struct Counters {
    /// Events that were kept.
    pub kept: Count,
    /// Events that were kept before.
    pub known: Count,
    /// Writes to the history.
    pub appends: Count,
    /// Writes that failed.
    pub failures: Count,
    /// Streams that were opened.
    pub streams: Count,
    /// Connections that were refused.
    pub refused: Count,
}

/// A number that only rises.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// What it is now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }
}

/// What all streams share.
pub(crate) struct Intake {
    lines: Arc<Lines>,
    lasts: Arc<Lasts>,
    orders: Orders,
    questions: Arc<Questions>,
    history: Arc<dyn Keeper>,
    view: Arc<View>,
    health: Arc<Health>,
    counters: Arc<Counters>,
    room: Arc<Semaphore>,
    batches: mpsc::Sender<Batch>,
}

/// What an intake works with.
#[derive(Clone)]
pub struct Parts {
    /// Where events are kept.
    pub history: Arc<dyn Keeper>,
    /// What the fleet is.
    pub view: Arc<View>,
    /// What is wrong.
    pub health: Arc<Health>,
    /// What is counted.
    pub counters: Arc<Counters>,
}

/// The intake at work.
pub struct Running {
    intake: Arc<Intake>,
    appender: Mutex<Option<JoinHandle<()>>>,
    server: JoinHandle<()>,
    ending: watch::Sender<bool>,
    address: SocketAddr,
}

impl Running {
    /// Lets nodes in at this socket. Needs a runtime.
    ///
    /// # Errors
    /// When the socket has no address.
    pub fn start(parts: Parts, net: &Net, listener: TcpListener) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (batches, waiting) = mpsc::channel(WAITING);
        let Parts { history, view, health, counters } = parts;
        let lasts = Arc::<Lasts>::default();
        let appender = Appender {
            batches: waiting,
            history: history.clone(),
            lasts: lasts.clone(),
            view: view.clone(),
            health: health.clone(),
            counters: counters.clone(),
        };
        let ending = watch::Sender::new(false);
        let appender = tokio::spawn(appender.run(ending.subscribe()));
        let intake = Arc::new(Intake {
            lines: Arc::default(),
            lasts,
            orders: Orders::default(),
            questions: Arc::default(),
            history,
            view,
            health,
            counters,
            room: Arc::new(Semaphore::new(ROOMS as usize)),
            batches,
        });
        let server = tokio::spawn(accept(intake.clone(), net, listener));
        Ok(Self { intake, appender: Mutex::new(Some(appender)), server, ending, address })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The way for operators' orders.
    pub fn carrier(&self) -> Carrier {
        Carrier(self.intake.clone())
    }

    /// Bytes of events that wait to be kept, in whole KiB.
    pub fn waiting(&self) -> u64 {
        let free = self.intake.room.available_permits() as u64;
        u64::from(ROOMS).saturating_sub(free) * ROOM_UNIT as u64
    }

    /// Ends every stream; what is being written has some seconds.
    pub async fn end(&self) {
        self.intake.room.close();
        for line in self.intake.lines.all() {
            line.end(Status::unavailable("the coordinator is ending"));
        }
        self.ending.send_replace(true);
        let appender = self.appender.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(appender) = appender {
            let aborting = appender.abort_handle();
            if timeout(ENDING, appender).await.is_err() {
                aborting.abort();
            }
        }
        self.server.abort();
    }
}

/// More blocks are in force than can be shown.
fn crowded(health: &Health, why: Refused) {
    let remedy =
        "let nodes block prefixes instead of addresses; the nodes drop all of them, whatever is shown here";
    health.set(Matter::Blocks, Level::Warn, why.to_string(), remedy);
}

/// More is allowed than can be shown.
fn allowing(health: &Health, why: Unlisted) {
    let remedy = "allow prefixes instead of addresses, and end what is not needed; the nodes allow all of it, whatever \
                  is shown here";
    health.set(Matter::Allowed, Level::Warn, why.to_string(), remedy);
}

fn accept(
    intake: Arc<Intake>,
    net: &Net,
    listener: TcpListener,
) -> impl Future<Output = ()> + Send + 'static {
    let who = Listening { roles: Roles::ORIGINS, joiners: false };
    let Accepted { members, joiners: _, refusals, stats: _, listener } = net.listen(listener, who);
    tokio::spawn(tell_refusals(intake.counters.clone(), refusals));
    let service = CoordinationServer::new(Service(intake.clone()));
    let server = tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(PING))
        .http2_keepalive_timeout(Some(PATIENCE))
        .concurrency_limit_per_connection(CALLS as usize)
        .max_concurrent_streams(CALLS)
        .add_service(service.max_decoding_message_size(limits::MESSAGE))
        .serve_with_incoming(members);
    async move {
        let _listener = listener; // ends with the server
        let why = server.await.err().map_or_else(String::new, |error| format!(": {error}"));
        let what = format!("nodes are not let in any more{why}");
        intake.health.set(Matter::Listening, Level::Error, what, "restart the coordinator");
    }
}

/// Says who was refused, and why: tonic alone would only say that a connection was cancelled.
async fn tell_refusals(counters: Arc<Counters>, mut refusals: mpsc::Receiver<Refusal>) {
    let mut minute = tokio::time::Instant::now();
    // Who shows a certificate is not lost among those who show none.
    let (mut known, mut strangers) = (0, 0);
    while let Some(refusal) = refusals.recv().await {
        counters.refused.add(1);
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

/// The service that nodes call.
struct Service(Arc<Intake>);

#[tonic::async_trait]
impl Coordination for Service {
    type ReportStream = Pin<Box<dyn tokio_stream::Stream<Item = Result<CoordinatorAnswer, Status>> + Send>>;

    async fn report(
        &self,
        request: Request<Streaming<NodeReport>>,
    ) -> Result<Response<Self::ReportStream>, Status> {
        let peer = request.extensions().get::<PeerInfo>().cloned();
        let peer = peer.ok_or_else(|| Status::unauthenticated("only members may report"))?;
        if !peer.exchange() {
            return Err(Status::resource_exhausted("a connection carries one report: open another"));
        }
        self.0.counters.streams.add(1);
        let (to, outbound) = mpsc::channel(HANDED);
        let line = self.0.lines.begin(peer.id());
        tokio::spawn(stream::serve(self.0.clone(), peer, request.into_inner(), line, to));
        Ok(Response::new(Box::pin(ReceiverStream::new(outbound))))
    }
}

#[cfg(test)]
mod tests;
