//! Nodes without a host, and a coordinator without a program.

use std::ops::RangeInclusive;

use smartfw_core::{
    Block, BlockId, Class, Detector, Event as Told, EventKind as Kind, Origin, Strength, Time, fleet::NodeId,
};
use smartfw_identity::{
    Current, Identity, Revocations,
    tls::{Expected, channel},
};
use smartfw_proto::{convert::Opening, wire::coordination_client::CoordinationClient};
use tokio::time::sleep;
use tonic::transport::Endpoint;

use super::*;

/// An intake at work.
pub(super) struct Fleet {
    pub(super) running: Running,
    pub(super) address: SocketAddr,
    pub(super) view: Arc<View>,
    pub(super) health: Arc<Health>,
    pub(super) counters: Arc<Counters>,
    pub(super) revocations: Arc<Revocations>,
    _net: Net,
}

impl Fleet {
    pub(super) async fn start(cluster: &Cluster, history: Arc<dyn Keeper>) -> Self {
        let identity = cluster.admit(&format!("memory-{}", clock::now().as_nanos()), Role::Coordinator);
        let revocations = Arc::new(Revocations::in_memory(identity.trust().clone()));
        let net = Net::new(Current::new(identity), revocations.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (view, health) = (Arc::<View>::default(), Arc::<Health>::default());
        let counters = Arc::<Counters>::default();
        let parts = Parts { history, view: view.clone(), health: health.clone(), counters: counters.clone() };
        let running = Running::start(parts, &net, listener).unwrap();
        Self { address: running.address(), running, view, health, counters, revocations, _net: net }
    }

    pub(super) async fn end(self) {
        self.running.end().await;
    }
}

/// A node that has an identity and nothing else.
pub(super) struct FakeNode {
    identity: Identity,
    net: Net,
}

impl FakeNode {
    pub(super) fn new(cluster: &Cluster, name: &str, role: Role) -> Self {
        Self::of(cluster.admit(name, role))
    }

    pub(super) fn of(identity: Identity) -> Self {
        let revocations = Arc::new(Revocations::in_memory(identity.trust().clone()));
        Self { net: Net::new(Current::new(identity.clone()), revocations), identity }
    }

    pub(super) fn id(&self) -> NodeId {
        self.identity.id()
    }

    pub(super) const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Dials as often as it takes: all of them have one address here, from which not many may come at once.
    pub(super) async fn insist(&self, to: SocketAddr) -> FakeStream {
        loop {
            match self.dial(to, 1).await {
                Ok(stream) => return stream,
                Err(_) => sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// Opens a stream of a buffer in this life of it.
    pub(super) async fn open(&self, fleet: &Fleet, epoch: u64) -> Result<FakeStream, Status> {
        self.dial(fleet.address, epoch).await
    }

    pub(super) async fn dial(&self, to: SocketAddr, epoch: u64) -> Result<FakeStream, Status> {
        self.speak(to, opening(epoch)).await.map(|(_, stream)| stream)
    }

    /// Opens a stream so; which protocol is spoken.
    pub(super) async fn speak(&self, to: SocketAddr, opening: Opening) -> Result<(u32, FakeStream), Status> {
        let mut stream = self.connect(to).await?;
        stream.say(Report::Opening(opening)).await;
        match stream.next().await? {
            Answer::Opening(protocol, kept) => Ok((protocol, FakeStream { kept, ..stream })),
            other => panic!("{other:?}"),
        }
    }

    /// A stream on which nothing was said.
    pub(super) async fn connect(&self, to: SocketAddr) -> Result<FakeStream, Status> {
        let connected = self.net.dial(to, Expected::default()).await;
        let connected = connected.map_err(|why| Status::unauthenticated(why.to_string()))?;
        let channel = channel(connected, Endpoint::from_static("http://coordinator")).await.unwrap();
        let mut client = CoordinationClient::new(channel).max_encoding_message_size(64 << 20);
        let (outbound, messages) = mpsc::channel(1);
        let inbound = client.report(ReceiverStream::new(messages)).await?.into_inner();
        Ok(FakeStream { outbound, inbound, kept: None })
    }
}

/// A node's side of a stream.
pub(super) struct FakeStream {
    outbound: mpsc::Sender<NodeReport>,
    inbound: Streaming<CoordinatorAnswer>,
    /// What the coordinator had when it opened.
    pub(super) kept: Option<Version>,
}

impl FakeStream {
    /// Says something; on a stream that has ended it is lost.
    pub(super) async fn say(&self, report: impl Into<NodeReport>) {
        let _ = self.outbound.send(report.into()).await;
    }

    pub(super) async fn next(&mut self) -> Result<Answer, Status> {
        match self.inbound.message().await? {
            Some(answer) => Ok(answer.try_into().unwrap()),
            None => Err(Status::ok("the stream ended")),
        }
    }

    pub(super) async fn kept_next(&mut self) -> Version {
        match timeout(Duration::from_secs(60), self.next()).await {
            Ok(Ok(Answer::Kept(upto))) => upto,
            other => panic!("{other:?}"),
        }
    }

    /// Reads until it ends.
    pub(super) async fn listen(mut self) -> Result<(), Status> {
        loop {
            self.next().await?;
        }
    }
}

pub(super) fn opening(epoch: u64) -> Opening {
    Opening { protocol: (1, 3), version: "0.1.0".into(), epoch, oldest: 1, dropped: 9 }
}

pub(super) fn batch(sequences: RangeInclusive<u64>) -> Report {
    Report::Events(events(sequences, "{}"))
}

pub(super) fn events(sequences: RangeInclusive<u64>, body: &str) -> Vec<Told> {
    let event = |sequence| Told {
        sequence,
        time: Time::from_secs(1_700_000_000 + sequence),
        kind: Kind::Alert,
        address: None,
        class: Some(Class::PortScan),
        body: body.into(),
    };
    sequences.map(event).collect()
}

pub(super) fn blocks(targets: &[&str]) -> Vec<Block> {
    let block = |target: &&str| Block {
        id: BlockId(1),
        target: smartfw_core::prefix::parse_target(target).unwrap(),
        class: Class::PortScan,
        origin: Origin("web-1".into()),
        confidence: 1.0,
        strength: Strength::Hard,
        detector: Detector::Rules,
        evidence: None,
        reason: "why".into(),
        since: clock::now(),
        expires: None,
        level: 1,
    };
    targets.iter().map(block).collect()
}

/// Waits until something is so.
pub(super) async fn until(what: &str, so: impl Fn() -> bool) {
    for _ in 0..600 {
        if so() {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("not within 30 s: {what}");
}
