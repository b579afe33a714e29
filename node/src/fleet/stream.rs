//! One stream between two members, whichever of them opened it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use smartfw_core::{
    fleet::{NodeId, SignedRun, VerifiedRun, Verifier as _},
    gossip::Message,
};
use smartfw_identity::{Current, Judge, Revocations, Standing, tls::PeerInfo};
use smartfw_proto::{
    convert::{Hello, Told},
    limits, wire,
};
use tokio::{
    sync::{Semaphore, mpsc, watch},
    time::timeout,
};
use tonic::Streaming;

use super::{
    Input as FleetInput,
    codec::PeerCodec,
    links::{Links, Outbox, Outgoing},
};
use crate::{
    counters::Counters,
    health::Health,
    inbox::{Inbox, Input},
};

/// The protocols that this version speaks.
const PROTOCOL: (u32, u32) = (1, 1);
/// How long the other side may take to say who it is.
const HELLO: Duration = Duration::from_secs(5);
/// Messages of one stream that wait for the driver; then the stream is not read, and its sender waits.
const UNREAD: usize = 64;

/// What all streams of this member share.
pub(super) struct Shared {
    pub(super) me: NodeId,
    pub(super) cluster: String,
    pub(super) current: Current,
    pub(super) revocations: Arc<Revocations>,
    pub(super) judge: Arc<Judge<PeerCodec>>,
    pub(super) links: Arc<Links>,
    pub(super) inbox: Inbox,
    pub(super) counters: Arc<Counters>,
    pub(super) health: Arc<Health>,
    /// The epoch of our log, for Hello.
    pub(super) epoch: Arc<AtomicU64>,
}

impl Shared {
    /// What is said first: who we are, and who was expelled.
    pub(super) fn greet(&self, outbox: &Outbox) {
        let (from, to) = PROTOCOL;
        let hello = Hello { from, to, cluster: self.cluster.clone(), epoch: self.epoch.load(Relaxed) };
        outbox.send(Told::Hello(hello));
        for told in self.revoked() {
            outbox.send(told);
        }
    }

    /// Every revocation that is known.
    pub(super) fn revoked(&self) -> Vec<Told> {
        let Ok(set) = self.revocations.get() else { return Vec::new() };
        let all: Vec<Vec<u8>> = set.iter().map(|revocation| revocation.bytes().to_vec()).collect();
        // So many always fit into a message, whatever they are.
        let most = (limits::PEER_MESSAGE / 2 / smartfw_identity::REVOCATION_BYTES).min(limits::REVOCATIONS);
        all.chunks(most).map(|chunk| Told::Revocations(chunk.to_vec())).collect()
    }
}

/// Hands what waits to the connection, until one of them is closed.
pub(super) async fn speak<T: Send + 'static>(
    mut outgoing: Outgoing,
    to: mpsc::Sender<T>,
    form: impl Fn(wire::PeerMessage) -> T,
) {
    loop {
        let mut closed = outgoing.closed.clone();
        let told = tokio::select! {
            biased;
            _ = closed.wait_for(|closed| *closed) => return,
            told = outgoing.receiver.recv() => told,
        };
        let Some(told) = told else { return };
        outgoing.taken(&told);
        let sent = tokio::select! {
            _ = closed.wait_for(|closed| *closed) => return,
            sent = to.send(form(told.into())) => sent,
        };
        if sent.is_err() {
            return;
        }
    }
}

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("it said nothing within {} s", HELLO.as_secs())]
    Mute,
    #[error("it did not say who it is first")]
    Nameless,
    #[error("it is of cluster {0}")]
    Foreign(String),
    #[error("it speaks protocols {0} to {1}, and this version {p0} to {p1}", p0 = PROTOCOL.0, p1 = PROTOCOL.1)]
    Protocol(u32, u32),
    #[error("it sent what is no message: {0}")]
    Malformed(#[from] smartfw_proto::ConvertError),
    #[error("there is another stream with it")]
    Spare,
    #[error("it was closed")]
    Closed,
    #[error("the connection broke: {0}")]
    Broken(String),
}

/// Listens to a member until the stream ends.
pub(super) async fn listen(
    shared: Arc<Shared>,
    peer: PeerInfo,
    inbound: Streaming<wire::PeerMessage>,
    outbox: Outbox,
    closed: watch::Receiver<bool>,
    ours: bool,
) {
    let (node, name, address) = (peer.id(), peer.peer.member.name.name.clone(), peer.address);
    let mut ear =
        Ear { shared, peer, inbound, closed, number: None, unread: Arc::new(Semaphore::new(UNREAD)) };
    let ended = ear.listen(outbox.clone(), ours).await;
    outbox.close();
    if let Some(number) = ear.number {
        ear.shared.links.close(node, number);
    }
    match ended {
        Ended::Malformed(_) | Ended::Nameless | Ended::Foreign(_) | Ended::Protocol(..) => {
            ear.shared.counters.fleet.malformed.add(1);
            tracing::warn!(%name, %node, %address, why = %ended, "a member's stream was closed");
        }
        Ended::Spare => tracing::debug!(%name, why = %ended, "a member's stream ended"),
        _ => tracing::info!(%name, %address, why = %ended, "a member's stream ended"),
    }
}

struct Ear {
    shared: Arc<Shared>,
    peer: PeerInfo,
    inbound: Streaming<wire::PeerMessage>,
    closed: watch::Receiver<bool>,
    number: Option<u64>,
    unread: Arc<Semaphore>,
}

impl Ear {
    async fn listen(&mut self, outbox: Outbox, ours: bool) -> Ended {
        match timeout(HELLO, self.next()).await {
            Err(_) => return Ended::Mute,
            Ok(Err(ended)) => return ended,
            Ok(Ok(Told::Hello(hello))) => {
                if let Err(ended) = self.check(&hello) {
                    return ended;
                }
            }
            Ok(Ok(_)) => return Ended::Nameless,
        }
        let peer = self.peer.clone();
        let node = peer.id();
        let opened = || FleetInput::Connected(Box::new(peer.peer));
        self.number = self.shared.links.open(node, outbox, ours, opened);
        if self.number.is_none() {
            return Ended::Spare;
        }
        tracing::info!(name = %self.peer.peer.member.name.name, address = %self.peer.address, ours, "a member's stream is open");
        loop {
            match self.next().await {
                Err(ended) => return ended,
                Ok(told) => {
                    if let Err(ended) = self.hear(told).await {
                        return ended;
                    }
                }
            }
        }
    }

    async fn next(&mut self) -> Result<Told, Ended> {
        let message = tokio::select! {
            biased;
            _ = self.closed.wait_for(|closed| *closed) => return Err(Ended::Closed),
            message = self.inbound.message() => message,
        };
        match message {
            Ok(Some(message)) => Ok(Told::try_from(message)?),
            Ok(None) => Err(Ended::Broken("the other side ended it".into())),
            Err(status) => Err(Ended::Broken(status.message().to_owned())),
        }
    }

    fn check(&self, hello: &Hello) -> Result<(), Ended> {
        if hello.cluster != self.shared.cluster {
            return Err(Ended::Foreign(hello.cluster.clone()));
        }
        if hello.from > PROTOCOL.1 || hello.to < PROTOCOL.0 {
            return Err(Ended::Protocol(hello.from, hello.to));
        }
        Ok(())
    }

    async fn hear(&self, told: Told) -> Result<(), Ended> {
        let node = self.peer.id();
        self.shared.counters.fleet.messages.add(1);
        // Whose certificate has expired exchanges logs, and no more.
        let valid = self.peer.peer.standing == Standing::Valid;
        let input = match told {
            Told::Hello(_) => return Ok(()),
            Told::Revocations(signed) => {
                self.revoke(&signed);
                return Ok(());
            }
            Told::Gossip(message) => {
                self.shared.links.used(&node, matches!(message, Message::Digest { .. }));
                let Some(message) = self.verified(message) else { return Ok(()) };
                let permit = self.permit().await?;
                FleetInput::Message(node, Box::new(message), permit)
            }
            Told::Datagram(bytes) if valid => FleetInput::Passed(node, bytes, self.permit().await?),
            Told::Contribution(bytes) if valid => match postcard::from_bytes(&bytes) {
                Ok(sums) => FleetInput::Sums(node, Box::new(sums), self.permit().await?),
                // A later version may say more.
                Err(_) => return Ok(()),
            },
            Told::Datagram(_) | Told::Contribution(_) => return Ok(()),
        };
        self.shared.inbox.send(Input::Fleet(input));
        Ok(())
    }

    async fn permit(&self) -> Result<tokio::sync::OwnedSemaphorePermit, Ended> {
        self.unread.clone().acquire_owned().await.map_err(|_| Ended::Closed)
    }

    /// The message with every run's signature checked; what does not hold is left out, and counted.
    fn verified(&self, message: Message<SignedRun>) -> Option<Message<VerifiedRun>> {
        message.convert(|run| match self.shared.judge.verify(&run) {
            Ok(run) => Some(run),
            Err(why) => {
                let from = &self.peer.peer.member.name.name;
                if self.shared.counters.fleet.runs_refused.get().is_multiple_of(1000) {
                    tracing::warn!(%from, %why, "a run of the fleet does not hold, and is not taken");
                }
                self.shared.counters.fleet.runs_refused.add(1);
                None
            }
        })
    }

    /// Who was expelled, by the word of root or operators: in force at once, and passed on when it was new.
    fn revoke(&self, signed: &[Vec<u8>]) {
        let from = &self.peer.peer.member.name.name;
        match self.shared.revocations.insert(signed.iter().map(Vec::as_slice)) {
            Ok((new, refused)) => {
                if let Some(why) = refused {
                    tracing::warn!(%from, %why, "a revocation does not hold, and is not taken");
                }
                if !new.is_empty() {
                    self.shared.links.tell_all(Some(self.peer.id()), &Told::Revocations(signed.to_vec()));
                }
            }
            Err(why) => tracing::warn!(%from, %why, "revocations cannot be taken"),
        }
    }
}
