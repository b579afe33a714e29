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
use smartfw_identity::{Current, Judge, RevocationError, Revocations, Standing, tls::PeerInfo};
use smartfw_proto::{
    convert::{Hello, Told},
    limits, wire,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    time::timeout,
};
use tonic::Streaming;

use super::{
    Input as FleetInput,
    codec::PeerCodec,
    links::{Links, Outbox, Outgoing, permits},
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
/// Revocations in one message: so many always fit, whatever they are.
const STATEMENTS: usize = limits::PEER_MESSAGE / 2 / smartfw_identity::REVOCATION_BYTES;
/// A stream is not read for so long after each revocation that was checked in vain: a hundred a second cost a fiftieth
/// of one processor.
pub(super) const IN_VAIN: Duration = Duration::from_millis(10);

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
    /// Who may check revocations: one stream at a time, whatever members send.
    pub(super) judging: Semaphore,
}

impl Shared {
    /// What is said first: who we are, and what we know of revocations.
    pub(super) fn greet(&self, outbox: &Outbox) {
        let (from, to) = PROTOCOL;
        let (cluster, epoch) = (self.cluster.clone(), self.epoch.load(Relaxed));
        outbox.send(Told::Hello(Hello { from, to, cluster, epoch, revocations: self.digest() }));
    }

    fn digest(&self) -> Option<[u8; 32]> {
        self.revocations.get().ok().map(|set| set.digest())
    }

    /// Checks and keeps revocations, on a thread that serves nobody else. `None`: this member is ending.
    pub(super) async fn judge(self: &Arc<Self>, signed: Vec<Vec<u8>>) -> Option<Judged> {
        let _alone = self.judging.acquire().await.ok()?;
        let shared = self.clone();
        tokio::task::spawn_blocking(move || judge(&shared.revocations, &signed)).await.ok()
    }

    /// Every revocation that is known, a message at a time: all at once they may be more than an outbox holds.
    fn revoked(&self) -> impl Iterator<Item = Told> + Send + use<> {
        let set = self.revocations.get().unwrap_or_default();
        (0..set.len()).step_by(STATEMENTS).map(move |from| {
            let these = set.iter().skip(from).take(STATEMENTS);
            Told::Revocations(these.map(|revocation| revocation.bytes().to_vec()).collect())
        })
    }
}

/// In an outbox: every revocation that is known when the connection has room for them.
const fn every_revocation() -> Told {
    Told::Revocations(Vec::new())
}

/// Hands what waits to the connection, until one of them is closed.
pub(super) async fn speak<T: Send + 'static>(
    shared: Arc<Shared>,
    mut outgoing: Outgoing,
    to: mpsc::Sender<T>,
    form: impl Fn(wire::PeerMessage) -> T,
) {
    let mut closed = outgoing.closed.clone();
    loop {
        let told = tokio::select! {
            biased;
            _ = closed.wait_for(|closed| *closed) => return,
            told = outgoing.receiver.recv() => told,
        };
        let Some(told) = told else { return };
        outgoing.taken(&told);
        let revoked = (told == every_revocation()).then(|| shared.revoked());
        let said = revoked.is_none().then_some(told);
        for told in said.into_iter().chain(revoked.into_iter().flatten()) {
            let sent = tokio::select! {
                _ = closed.wait_for(|closed| *closed) => return,
                sent = to.send(form(told.into())) => sent,
            };
            if sent.is_err() {
                return;
            }
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
    #[error("it sent a revocation that is a lie: {0}")]
    Lied(RevocationError),
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
    let room = shared.links.room(node);
    let mut ear = Ear { shared, peer, inbound, closed, number: None, room };
    let ended = ear.listen(outbox.clone(), ours).await;
    outbox.close();
    if let Some(number) = ear.number {
        ear.shared.links.close(node, number);
    }
    match ended {
        Ended::Malformed(_) | Ended::Nameless | Ended::Foreign(_) | Ended::Protocol(..) | Ended::Lied(_) => {
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
    /// What this member has in the driver's queue, over whatever streams.
    room: Arc<Semaphore>,
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
                if hello.revocations.is_none() || hello.revocations != self.shared.digest() {
                    outbox.send(every_revocation());
                }
            }
            Ok(Ok(_)) => return Ended::Nameless,
        }
        let peer = self.peer.clone();
        let node = peer.id();
        // Who opens one stream after another waits for the driver, too.
        let permit = match self.permit(permits(&every_revocation())).await {
            Ok(permit) => permit,
            Err(ended) => return ended,
        };
        let opened = || FleetInput::Connected(Box::new(peer.peer), permit);
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
        let permits = permits(&told);
        let input = match told {
            Told::Hello(_) => return Ok(()),
            Told::Revocations(signed) => return self.revoke(signed).await,
            Told::Gossip(message) => {
                self.shared.links.used(&node, matches!(message, Message::Digest { .. }));
                let permit = self.permit(permits).await?;
                let Some(message) = self.verified(message) else { return Ok(()) };
                FleetInput::Message(node, Box::new(message), permit)
            }
            Told::Datagram(bytes) if valid => FleetInput::Passed(node, bytes, self.permit(permits).await?),
            Told::Contribution(bytes) if valid => match postcard::from_bytes(&bytes) {
                Ok(sums) => FleetInput::Sums(node, Box::new(sums), self.permit(permits).await?),
                // A later version may say more.
                Err(_) => return Ok(()),
            },
            Told::Datagram(_) | Told::Contribution(_) => return Ok(()),
        };
        self.shared.inbox.send(Input::Fleet(input));
        Ok(())
    }

    async fn permit(&self, permits: u32) -> Result<OwnedSemaphorePermit, Ended> {
        self.room.clone().acquire_many_owned(permits).await.map_err(|_| Ended::Closed)
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
    async fn revoke(&self, signed: Vec<Vec<u8>>) -> Result<(), Ended> {
        let mut signed = signed.into_iter().peekable();
        while signed.peek().is_some() {
            let judged = self.judge(signed.by_ref().take(STATEMENTS).collect()).await?;
            if !judged.new.is_empty() {
                self.shared.links.tell_all(Some(self.peer.id()), &Told::Revocations(judged.new));
            }
            tokio::time::sleep(IN_VAIN * judged.in_vain).await;
        }
        Ok(())
    }

    async fn judge(&self, signed: Vec<Vec<u8>>) -> Result<Judged, Ended> {
        let judged = self.shared.judge(signed).await.ok_or(Ended::Closed)?;
        if let Some(why) = &judged.trouble {
            tracing::warn!(from = %self.peer.peer.member.name.name, %why, "revocations cannot be taken");
        }
        match judged.lie {
            Some(why) => Err(Ended::Lied(why)),
            None => Ok(judged),
        }
    }
}

/// What became of revocations that a member sent.
#[derive(Default)]
pub(super) struct Judged {
    /// Those that were new.
    pub(super) new: Vec<Vec<u8>>,
    /// How many others were checked.
    pub(super) in_vain: u32,
    /// What no member that checks what it passes on would send.
    pub(super) lie: Option<RevocationError>,
    /// Why what is true cannot be taken.
    pub(super) trouble: Option<RevocationError>,
}

fn judge(revocations: &Revocations, signed: &[Vec<u8>]) -> Judged {
    let known = revocations.get().unwrap_or_default();
    let unknown: Vec<&[u8]> =
        signed.iter().map(Vec::as_slice).filter(|bytes| !known.knows(bytes)).take(STATEMENTS).collect();
    drop(known);
    let checked = u32::try_from(unknown.len()).unwrap_or(u32::MAX);
    if checked == 0 {
        return Judged::default();
    }
    let (new, refused) = match revocations.insert(unknown) {
        Ok(inserted) => inserted,
        Err(why) => return Judged { in_vain: checked, trouble: Some(why), ..Judged::default() },
    };
    let new: Vec<Vec<u8>> = new.iter().map(|revocation| revocation.bytes().to_vec()).collect();
    let in_vain = checked - u32::try_from(new.len()).unwrap_or(checked).min(checked);
    // What cannot be read may be of a later version, and what is void or too much here may not be so there.
    match refused {
        Some(
            why @ (RevocationError::Forged | RevocationError::WrongCluster | RevocationError::Author(_)),
        ) => Judged { new, in_vain, lie: Some(why), trouble: None },
        trouble => Judged { new, in_vain, lie: None, trouble },
    }
}
