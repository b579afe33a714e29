//! Dialling: to those a stream is kept to, to those who are gone, to those for whom something waits, to seeds.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{BuildHasher as _, Hasher as _, RandomState},
    net::SocketAddr,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use smartfw_core::fleet::NodeId;
use smartfw_identity::{
    Roles,
    tls::{DialError, Expected, Net, channel},
};
use smartfw_proto::{limits, wire::peer_client::PeerClient};
use tokio::{
    sync::{mpsc, watch},
    task::AbortHandle,
    time::{sleep, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;

use super::{
    links::{Dial, Outbox, Target},
    network::{PATIENCE, PING},
    service::HANDED,
    stream::{Shared, listen, speak},
};

/// The first pause between two attempts, and the longest, with up to half of it by chance: a healed network is found
/// within the longest and a handshake.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// The longest for somebody who is gone: together they heal a partition, whoever finds the other first.
const LOOK: Duration = Duration::from_millis(2500);
/// How often a seed is dialled while there is no stream at all.
const SEEDS: Duration = Duration::from_secs(2);
/// The member with the greater key waits so long for the other one's stream.
const COURTESY: Duration = Duration::from_millis(150);
/// How long after a stream's end, when nobody says so, it is looked whether it is open.
const GLANCE: Duration = Duration::from_secs(1);

/// Dials, one attempt at a time to each member: what a partition made wait would come through all at once when it heals.
#[derive(Clone)]
pub(super) struct Dialler {
    pub(super) shared: Arc<Shared>,
    pub(super) net: Arc<Net>,
    pub(super) busy: Busy,
}

/// Addresses that are being dialled.
#[derive(Clone, Debug, Default)]
pub(super) struct Busy(Arc<Mutex<BTreeSet<SocketAddr>>>);

/// An attempt under way; ends when dropped.
struct Attempt(Busy, SocketAddr);

impl Busy {
    fn begin(&self, address: SocketAddr) -> Option<Attempt> {
        let begun = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(address);
        begun.then(|| Attempt(self.clone(), address))
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}

impl Dialler {
    /// Follows whom to dial, for ever.
    pub(super) async fn follow(self, mut targets: watch::Receiver<BTreeMap<NodeId, Target>>) {
        let mut running: BTreeMap<NodeId, (Target, AbortHandle)> = BTreeMap::new();
        loop {
            let wanted = targets.borrow_and_update().clone();
            running.retain(|node, (target, task)| {
                let same = wanted.get(node) == Some(target);
                if !same {
                    task.abort();
                }
                same
            });
            for (node, target) in wanted {
                let keep = || tokio::spawn(self.clone().keep(node, target)).abort_handle();
                running.entry(node).or_insert_with(|| (target, keep()));
            }
            if targets.changed().await.is_err() {
                return;
            }
        }
    }

    /// Dials those for whom something waits, for ever.
    pub(super) async fn serve(self, mut wanted: mpsc::Receiver<Dial>) {
        while let Some(Dial { node, address }) = wanted.recv().await {
            if !self.shared.links.is_open(&node) {
                let dialler = self.clone();
                tokio::spawn(
                    async move { dialler.dial(address, Expected { id: Some(node), name: None }).await },
                );
            }
        }
    }

    /// Dials seeds while there is no stream.
    pub(super) async fn seek(self, seeds: Vec<SocketAddr>) {
        let mut said: Option<String> = None;
        while !seeds.is_empty() {
            for seed in &seeds {
                if self.shared.links.count() == 0 {
                    self.said(&mut said, self.dial(*seed, Expected::default()).await);
                }
            }
            sleep(SEEDS + jitter(SEEDS)).await;
        }
    }

    /// Keeps a stream to a member, or looks now and then whether it is there again: often at first, because after our own
    /// restart all seem to be gone.
    async fn keep(self, node: NodeId, target: Target) {
        let expected = Expected { id: Some(node), name: None };
        let mut pause = PAUSES.0;
        let mut said = None;
        if self.shared.me > node {
            sleep(COURTESY).await;
        }
        loop {
            loop {
                // Whatever closes from here on wakes us.
                let mut closed = pin!(self.shared.links.closed.notified());
                closed.as_mut().enable();
                if !self.shared.links.is_open(&node) {
                    break;
                }
                pause = PAUSES.0;
                let _ = timeout(GLANCE, closed).await;
            }
            self.said(&mut said, self.dial(target.address, expected.clone()).await);
            sleep(pause + jitter(pause / 2)).await;
            pause = (pause * 2).min(if target.keep { PAUSES.1 } else { LOOK });
        }
    }

    /// Says why a member cannot be reached, once for each reason.
    fn said(&self, before: &mut Option<String>, result: Result<(), String>) {
        let now = result.err();
        if let Some(why) = now.as_ref().filter(|why| before.as_ref() != Some(*why)) {
            tracing::warn!(%why, "a member cannot be reached; it is tried again");
        }
        *before = now;
    }

    /// Opens one stream, unless somebody is about to; it lives on by itself.
    async fn dial(&self, address: SocketAddr, expected: Expected) -> Result<(), String> {
        let Some(_attempt) = self.busy.begin(address) else { return Ok(()) };
        let stream = self.net.dial(address, expected).await.map_err(|error: DialError| error.to_string())?;
        let peer = stream.info().clone();
        if peer.id() == self.shared.me {
            return Ok(()); // a seed may be our own address
        }
        // A coordinator may have been given a member's address.
        Roles::ORIGINS.admit(&peer.peer.member).map_err(|why| why.to_string())?;
        let broken = |why: String| format!("{address} broke the connection off: {why}");
        let channel = channel(stream, endpoint()).await.map_err(|error| broken(error.to_string()))?;
        let mut client = PeerClient::new(channel).max_decoding_message_size(limits::PEER_MESSAGE);
        let (outbox, outgoing) = Outbox::new();
        self.shared.greet(&outbox);
        let closed = outgoing.closed.clone();
        let (to, outbound) = mpsc::channel(HANDED);
        tokio::spawn(speak(self.shared.clone(), outgoing, to, |message| message));
        let exchange = timeout(PATIENCE, client.exchange(ReceiverStream::new(outbound))).await;
        let inbound = match exchange {
            Ok(Ok(answer)) => answer.into_inner(),
            Ok(Err(status)) => return Err(broken(status.message().to_owned())),
            Err(_) => return Err(broken(format!("no answer within {} s", PATIENCE.as_secs()))),
        };
        let shared = self.shared.clone();
        tokio::spawn(async move {
            let _connection = client; // closed with the stream
            listen(shared, peer, inbound, outbox, closed, true).await;
        });
        Ok(())
    }
}

fn endpoint() -> Endpoint {
    Endpoint::from_static("http://peer")
        .http2_keep_alive_interval(PING)
        .keep_alive_timeout(PATIENCE)
        .keep_alive_while_idle(true)
}

/// Up to so much, by chance: members that lost each other together do not dial together.
fn jitter(most: Duration) -> Duration {
    let chance = RandomState::new().build_hasher().finish();
    most.mul_f64((chance >> 11) as f64 / (1_u64 << 53) as f64)
}
