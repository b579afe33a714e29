//! One stream to each coordinator, for as long as the fleet names it.

mod listening;
mod speaking;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    hash::{BuildHasher as _, Hasher as _, RandomState},
    net::SocketAddr,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use smartfw_core::fleet::{NodeId, Version};
use smartfw_identity::{
    Refused, Revocations, Role, Roles,
    tls::{DialError, Expected, Net, channel},
};
use smartfw_proto::{
    convert::{Answer, ConvertError, Opening, Report},
    wire::{self, coordination_client::CoordinationClient},
};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Streaming, transport::Endpoint};

use super::{
    Uplink,
    conversation::{Conversation, Nonsense},
    index::Index,
    telling,
};
use crate::{fleet::coordinators::Places, inbox::Inbox};
use listening::Ear;
use speaking::Mouth;

/// Coordinators that are reported to at once; each has its own place in the buffer.
const SEATS: usize = 4;
/// The protocols that this version speaks.
const PROTOCOL: (u32, u32) = (1, 2);
/// The first pause between two attempts, and the longest, with up to as much again by chance: a thousand nodes do not
/// come back together.
const PAUSES: (Duration, Duration) = (Duration::from_millis(300), Duration::from_secs(10));
/// A stream that lasted so long was none that failed: the next attempt is made at once.
const LASTED: Duration = Duration::from_secs(30);
/// How long it is waited for the buffer; without one a coordinator hears how the node is, and of no event.
const OPENING: Duration = Duration::from_secs(2);
/// How long a coordinator may take to open its side.
const PATIENCE: Duration = Duration::from_secs(10);
/// A connection on which nothing came for so long is asked whether it lives, and how long it may take to answer.
const PING: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(10));
/// One answer, bytes: the longest is an order with its operator's certificates.
const ANSWER: usize = 64 << 10;
/// Messages handed to the connection that it has not written yet.
const HANDED: usize = 2;
/// Orders of one coordinator that are under way: as many as a fleet's people give at once.
const UNDER_WAY: usize = 32;
/// What became of orders, waiting to be told: a coordinator that does not read passes no more on.
const OUTCOMES: usize = 64;
/// How long the other side is given to hear what was said last.
const LAST_WORD: Duration = Duration::from_secs(1);

/// What links are made of.
#[derive(Clone)]
pub(crate) struct Way {
    pub(crate) uplink: Uplink,
    pub(crate) net: Arc<Net>,
    pub(crate) revocations: Arc<Revocations>,
    pub(crate) inbox: Inbox,
}

/// Reports to whomever the fleet names, until the network ends.
pub(crate) async fn follow(way: Way, mut places: watch::Receiver<Places>) {
    way.uplink.resume();
    let seats = Arc::new(Semaphore::new(SEATS));
    let mut links = JoinSet::new();
    links.spawn(telling::watch(way.uplink.clone()));
    let mut running = BTreeMap::new();
    let mut revoked = way.revocations.changes();
    loop {
        let named: Vec<NodeId> = places.borrow_and_update().keys().copied().collect();
        way.uplink.named(!named.is_empty());
        running.retain(|_, task: &mut tokio::task::AbortHandle| !task.is_finished());
        for id in named {
            running.entry(id).or_insert_with(|| {
                let (alone, seats) = (Arc::new(Semaphore::new(1)), seats.clone());
                let link = Link { way: way.clone(), id, seats, places: places.clone(), alone };
                links.spawn(link.keep())
            });
        }
        tokio::select! {
            changed = places.changed() => if changed.is_err() {
                // Nobody will name another: the driver has left the fleet.
                return;
            },
            changed = revoked.changed() => if changed.is_ok() {
                way.forget_expelled();
            },
            _ = links.join_next() => {}
        }
    }
}

impl Way {
    /// Nothing waits for whoever was expelled.
    fn forget_expelled(&self) {
        if let Ok(set) = self.revocations.get() {
            self.uplink.expelled(|id| set.is_revoked(id, Role::Coordinator));
        }
    }
}

/// The link to one coordinator.
struct Link {
    way: Way,
    id: NodeId,
    seats: Arc<Semaphore>,
    places: watch::Receiver<Places>,
    /// Held by the question that is being answered, whatever becomes of the stream meanwhile.
    alone: Arc<Semaphore>,
}

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error(transparent)]
    Role(#[from] Refused),
    #[error("{SEATS} coordinators are reported to already")]
    Crowded,
    #[error("it did not answer within {} s", PATIENCE.as_secs())]
    Mute,
    #[error("it did not say first what it has")]
    Unopened,
    #[error("it speaks protocol {0}, and this version {p0} to {p1}", p0 = PROTOCOL.0, p1 = PROTOCOL.1)]
    Protocol(u32),
    #[error("it sent what is no message: {0}")]
    Malformed(#[from] ConvertError),
    #[error(transparent)]
    Nonsense(#[from] Nonsense),
    #[error("it passed orders on faster than it heard what became of them")]
    Flooded,
    #[error("it kept nothing of what it was sent within {} s", speaking::UNKEPT.as_secs())]
    Stuck,
    #[error("it has to be told of all blocks anew")]
    Anew,
    #[error("the connection broke: {0}")]
    Broken(String),
}

/// What both directions of a stream share.
struct Shared {
    /// What both speak.
    protocol: u32,
    conversation: Mutex<Conversation>,
    /// Wakes when the coordinator has kept more.
    kept: Notify,
    /// A permit for each order that may be under way.
    orders: Arc<Semaphore>,
}

/// What is to be said to who asked or ordered.
struct Word {
    report: Report,
    /// An order is under way until this is told.
    turn: Option<OwnedSemaphorePermit>,
}

impl Link {
    /// Until the fleet names it no more.
    async fn keep(mut self) {
        let (mut pause, mut said) = (PAUSES.0, None);
        loop {
            let places = self.places.borrow_and_update().get(&self.id).cloned();
            let Some(places) = places else { return };
            for address in places {
                let begun = Instant::now();
                let ended = self.report(address).await;
                if begun.elapsed() > LASTED || matches!(ended, Ended::Anew) {
                    pause = PAUSES.0;
                }
                if !matches!(ended, Ended::Anew) {
                    self.way.uplink.failed(format!("{address}: {ended}"), matches!(ended, Ended::Stuck));
                    say(&mut said, address, &ended);
                }
            }
            tokio::select! {
                () = sleep(pause + jitter(pause)) => {}
                // It may have moved. A network that ends aborts this.
                Ok(()) = self.places.changed() => {}
            }
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// One stream, from its beginning to its end.
    async fn report(&self, address: SocketAddr) -> Ended {
        self.begin(address).await.err().unwrap_or(Ended::Anew)
    }

    async fn begin(&self, address: SocketAddr) -> Result<(), Ended> {
        let stream = self.way.net.dial(address, Expected { id: Some(self.id), name: None }).await?;
        Roles(&[Role::Coordinator]).admit(&stream.info().peer.member)?;
        let _seat = self.seats.clone().try_acquire_owned().map_err(|_| Ended::Crowded)?;
        let broken = |why: tonic::transport::Error| Ended::Broken(why.to_string());
        let channel = channel(stream, endpoint()).await.map_err(broken)?;
        let mut client = CoordinationClient::new(channel).max_decoding_message_size(ANSWER);
        let (to, outbound) = mpsc::channel(HANDED);
        let index = self.index().await;
        let opening = Opening {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            epoch: index.epoch,
            oldest: index.oldest(),
            dropped: self.way.uplink.all_dropped(),
        };
        let _ = to.try_send(Report::Opening(opening).into()); // there is room for one
        let opened = timeout(PATIENCE, async {
            let mut inbound =
                client.report(ReceiverStream::new(outbound)).await.map_err(closed)?.into_inner();
            match next(&mut inbound).await? {
                Answer::Opening(protocol, _) if protocol < PROTOCOL.0 || protocol > PROTOCOL.1 => {
                    Err(Ended::Protocol(protocol))
                }
                Answer::Opening(protocol, kept) => Ok((inbound, protocol, kept)),
                _ => Err(Ended::Unopened),
            }
        });
        let (inbound, protocol, kept) = opened.await.map_err(|_| Ended::Mute)??;
        // It may have known what was added since.
        let next = self.way.uplink.0.index.borrow().next;
        let conversation = Conversation::begin(index.epoch, next, kept).inspect_err(|why| {
            if let Nonsense::Ahead(known) = why {
                self.way.uplink.order(super::keeper::Order::Ahead(*known));
            }
        })?;
        let (conversation, orders) = (Mutex::new(conversation), Arc::new(Semaphore::new(UNDER_WAY)));
        let shared = Shared { protocol, conversation, kept: Notify::new(), orders };
        self.converse(address, shared, to, inbound).await
    }

    /// What is in the buffer, which is about to be opened at the first start.
    async fn index(&self) -> Index {
        let mut index = self.way.uplink.0.index.subscribe();
        let _ = timeout(OPENING, index.wait_for(|index| index.epoch > 0)).await;
        index.borrow().clone()
    }

    async fn converse(
        &self,
        address: SocketAddr,
        shared: Shared,
        to: mpsc::Sender<wire::NodeReport>,
        inbound: Streaming<wire::CoordinatorAnswer>,
    ) -> Result<(), Ended> {
        let uplink = &self.way.uplink;
        let kept = shared.conversation.lock().unwrap_or_else(PoisonError::into_inner).kept();
        let _up = Up::new(uplink, self.id, kept);
        tracing::info!(id = %self.id, %address, "events are told to a coordinator");
        let (outcomes, outcome) = mpsc::channel(OUTCOMES);
        let ear = Ear::new(self, &shared, inbound, outcomes);
        let mouth = Mouth::new(&self.way, &shared, to, outcome);
        let mut listening = pin!(ear.listen());
        tokio::select! {
            ended = &mut listening => ended,
            ended = mouth.speak() => {
                // The connection is not torn down under what was said last: the other side ends it once it has heard that.
                let _ = timeout(LAST_WORD, listening).await;
                ended
            }
        }
    }
}

/// A coordinator that is connected; no more when dropped.
struct Up<'a>(&'a Uplink, NodeId);

impl<'a> Up<'a> {
    fn new(uplink: &'a Uplink, id: NodeId, kept: Version) -> Self {
        uplink.up(id, kept);
        Self(uplink, id)
    }
}

impl Drop for Up<'_> {
    fn drop(&mut self) {
        self.0.down(&self.1);
    }
}

async fn next(inbound: &mut Streaming<wire::CoordinatorAnswer>) -> Result<Answer, Ended> {
    match inbound.message().await {
        Ok(Some(answer)) => Ok(answer.try_into()?),
        Ok(None) => Err(Ended::Broken("the other side ended it".into())),
        Err(status) => Err(closed(status)),
    }
}

fn closed(status: tonic::Status) -> Ended {
    Ended::Broken(status.message().to_owned())
}

/// Says why a coordinator is not reported to, once for each reason.
fn say(before: &mut Option<String>, address: SocketAddr, ended: &Ended) {
    let now = ended.to_string();
    if before.as_ref() != Some(&now) {
        tracing::warn!(%address, why = now, "a coordinator is not reported to; it is tried again");
        *before = Some(now);
    }
}

fn endpoint() -> Endpoint {
    Endpoint::from_static("http://coordinator")
        .http2_keep_alive_interval(PING.0)
        .keep_alive_timeout(PING.1)
        .keep_alive_while_idle(true)
}

/// Up to so much, by chance.
fn jitter(most: Duration) -> Duration {
    let chance = RandomState::new().build_hasher().finish();
    most.mul_f64((chance >> 11) as f64 / (1_u64 << 53) as f64)
}
