//! A control service that answers as the test wants.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::PathBuf,
    process::{Child, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use smartfw_core::{
    Action, Alert, Block, BlockId, BlockState, Class, Detector, Evidence, Features, Health, HealthLevel,
    IpNet, Origin, Reason, Strength, Subject, Time,
    order::{EnforcementState, Mode, Order, Refusal},
};
use smartfw_proto::{
    convert::chunk_from_wire,
    limits,
    view::{
        AlertEvent, Answer, BlockRow, ClusterNode, Coordinator, FleetBlockRow, Given, NodeStatus, Reloaded,
    },
    wire::{
        self,
        cluster_server::ClusterServer,
        control_server::{Control, ControlServer},
        models_server::ModelsServer,
    },
};
use tokio::{net::UnixListener, sync::mpsc};
use tokio_stream::{
    Stream, StreamExt as _,
    wrappers::{ReceiverStream, UnixListenerStream},
};
use tonic::{Request, Response, Status, Streaming};

use crate::models::{self, service::Asked};
use crate::program::{Ran, command, resident, smartfw};

const NOON: Time = Time::from_secs(1_769_860_800); // 2026-01-31T12:00:00Z

/// What the service answers.
#[derive(Clone, Default)]
pub(crate) struct Script {
    pub(crate) answer: Option<Result<Answer, Refusal>>,
    pub(crate) rows: Vec<BlockRow>,
    /// So many rows more, made up as they are sent.
    pub(crate) many: usize,
    pub(crate) alerts: u64,
    /// The target that an import may not have.
    pub(crate) refuse: Option<IpNet>,
    pub(crate) reload: Option<Result<Reloaded, String>>,
    /// Every order, and the list of blocks, ends with this.
    pub(crate) broken: Option<tonic::Code>,
    /// Chunks are longer than they may be.
    pub(crate) hostile: bool,
    /// The node is in this cluster.
    pub(crate) cluster: Option<String>,
    /// But only once it was founded.
    pub(crate) founds: bool,
    /// Enforcement is switched off.
    pub(crate) off: bool,
    /// The daemon does not say how it is, and why.
    pub(crate) silent: Option<Status>,
    /// Its members.
    pub(crate) nodes: Vec<ClusterNode>,
    /// What its fleet blocks.
    pub(crate) fleet_blocks: Vec<FleetBlockRow>,
    /// So many calls with orders are taken, and then no more.
    pub(crate) calls: Option<usize>,
    /// Why nothing of the cluster is changed.
    pub(crate) refusal: Option<Status>,
    /// Its models.
    pub(crate) models: models::service::Kept,
}

/// The service, until it is dropped.
pub(crate) struct Daemon {
    _runtime: tokio::runtime::Runtime,
    folder: tempfile::TempDir,
    seen: Arc<Mutex<Seen>>,
    given: Arc<Mutex<Vec<Given>>>,
    models: Arc<Mutex<Asked>>,
}

#[derive(Default)]
struct Seen {
    orders: Vec<Order>,
    chunks: Vec<usize>,
}

impl Daemon {
    pub(crate) fn start(script: Script) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let seen = Arc::<Mutex<Seen>>::default();
        let (given, cluster) = (Arc::<Mutex<Vec<Given>>>::default(), script.clone());
        let founded = Arc::new(AtomicBool::new(!script.founds));
        let asked = Arc::<Mutex<Asked>>::default();
        let models = models::service::Service { kept: script.models.clone(), asked: Arc::clone(&asked) };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let service =
            ControlServer::new(Service { script, seen: Arc::clone(&seen), founded: Arc::clone(&founded) });
        let socket = folder.path().join("node.sock");
        let listener = runtime.block_on(async { UnixListener::bind(socket).unwrap() });
        let cluster = super::cluster::Fleet { script: cluster, given: Arc::clone(&given), founded };
        let cluster = ClusterServer::new(cluster).max_decoding_message_size(limits::MESSAGE);
        let server = tonic::transport::Server::builder().add_service(service).add_service(cluster);
        let server = server.add_service(ModelsServer::new(models).max_decoding_message_size(limits::MESSAGE));
        runtime.spawn(server.serve_with_incoming(UnixListenerStream::new(listener)));
        Self { _runtime: runtime, folder, seen, given, models: asked }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("node.sock")
    }

    /// What was asked of its models.
    pub(crate) fn models(&self) -> Arc<Mutex<Asked>> {
        Arc::clone(&self.models)
    }

    /// Where operators' keys are looked for.
    pub(crate) fn operators(&self) -> PathBuf {
        self.folder.path().join("operator")
    }

    /// What was given to the fleet.
    pub(crate) fn given(&self) -> Vec<Given> {
        self.given.lock().unwrap().clone()
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        smartfw(&self.socket(), arguments)
    }

    pub(crate) fn feed(&self, arguments: &[&str], input: &str) -> Ran {
        let mut child = self.spawn(arguments);
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap().into()
    }

    /// The chunks that have come some time after `input`, while its end has not; and how it ended.
    pub(crate) fn feed_slowly(&self, arguments: &[&str], input: &str) -> (Vec<usize>, Ran) {
        let mut child = self.spawn(arguments);
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        for _ in 0..100 {
            std::thread::sleep(Duration::from_millis(100));
            if !self.chunks().is_empty() {
                break;
            }
        }
        let chunks = self.chunks();
        drop(stdin);
        (chunks, child.wait_with_output().unwrap().into())
    }

    /// The lines that it prints, and its memory's peak in KiB.
    pub(crate) fn count_lines(&self, arguments: &[&str]) -> (usize, u64) {
        let mut child = self.spawn(arguments);
        let mut reader = BufReader::new(child.stdout.take().unwrap());
        let (mut lines, mut peak, mut line) = (0, 0, String::new());
        while reader.read_line(&mut line).unwrap() > 0 {
            lines += 1;
            if lines % 1000 == 0 {
                peak = peak.max(resident(child.id()));
            }
            line.clear();
        }
        assert!(child.wait().unwrap().success());
        (lines, peak)
    }

    /// Its exit code when its reader leaves after the first bytes.
    pub(crate) fn leave_early(&self, arguments: &[&str]) -> Option<i32> {
        let mut child = self.spawn(arguments);
        let mut first = [0; 1];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        output.status.code()
    }

    pub(crate) fn orders(&self) -> Vec<Order> {
        self.seen.lock().unwrap().orders.clone()
    }

    pub(crate) fn chunks(&self) -> Vec<usize> {
        self.seen.lock().unwrap().chunks.clone()
    }

    fn spawn(&self, arguments: &[&str]) -> Child {
        let mut command = command(&self.socket(), arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }
}

pub(crate) fn block(target: &str) -> Block {
    Block {
        id: BlockId(0xab),
        target: target.parse().unwrap(),
        class: Class::PortScan,
        origin: Origin("web-1".into()),
        confidence: 0.97,
        strength: Strength::Hard,
        detector: Detector::Rules,
        evidence: Some(Evidence::Handshake),
        reason: "312 ports in 4.1 s".into(),
        since: NOON,
        expires: Some(NOON.after(Duration::from_secs(3600))),
        level: 1,
    }
}

pub(crate) fn row(target: &str) -> BlockRow {
    let block = block(target);
    BlockRow { block, packets: 5, bytes: 300, state: BlockState::InForce, forced: false, reverts: None }
}

fn alert(count: u64) -> Alert {
    Alert {
        id: BlockId(count),
        time: NOON,
        node: "web-1".into(),
        subject: Subject::Source("203.0.113.7".parse().unwrap()),
        class: Class::PortScan,
        confidence: 0.97,
        detector: Detector::Rules,
        evidence: None,
        count,
        reason: Reason {
            rule: "port_scan.ports".into(),
            measured: 312.0,
            limit: 15.0,
            text: "312 ports".into(),
        },
        features: Features::default(),
        action: Action::Block,
        note: String::new(),
    }
}

fn status() -> NodeStatus {
    let (what, remedy) = ("packets are lost".into(), "raise the buffer".into());
    let health = Health { level: HealthLevel::Warn, what, remedy };
    NodeStatus {
        node: "web-1".into(),
        version: "0.1.0".into(),
        enforcement: EnforcementState::On,
        mode: Mode::Auto,
        enforcer: "iptables".into(),
        interfaces: vec!["eth0".into()],
        uptime: Duration::from_secs(86_400),
        packets: 1000,
        lost: 1,
        sources: 2,
        blocked: 3,
        alerts: 4,
        pending: 0,
        cluster: None,
        peers_alive: 0,
        peers_known: 0,
        coordinator: Coordinator::None,
        models: vec![],
        health: vec![health],
        reverts: None,
    }
}

struct Service {
    script: Script,
    seen: Arc<Mutex<Seen>>,
    founded: Arc<AtomicBool>,
}

type Answers<T> = std::pin::Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn stream<T: Send + 'static>(messages: impl IntoIterator<Item = T, IntoIter: Send + 'static>) -> Answers<T> {
    Box::pin(tokio_stream::iter(messages.into_iter().map(Ok)))
}

#[tonic::async_trait]
impl Control for Service {
    type ImportStream = Answers<wire::OrderAnswer>;
    type ListBlocksStream = Answers<wire::BlockChunk>;
    type ListAlertsStream = Answers<wire::AlertChunk>;
    type FollowAlertsStream = Answers<wire::AlertEvent>;
    type ListPendingStream = Answers<wire::PendingChunk>;
    type ListAllowedStream = Answers<wire::AllowedChunk>;
    type TopStream = Answers<wire::TopFrame>;

    async fn status(&self, _: Request<wire::StatusRequest>) -> Result<Response<wire::NodeStatus>, Status> {
        if let Some(why) = self.script.silent.clone() {
            return Err(why);
        }
        let cluster = self.script.cluster.clone().filter(|_| self.founded.load(Ordering::SeqCst));
        let enforcement = if self.script.off { EnforcementState::Off } else { EnforcementState::On };
        Ok(Response::new(NodeStatus { cluster, enforcement, ..status() }.into()))
    }

    async fn submit(&self, request: Request<wire::Order>) -> Result<Response<wire::OrderAnswer>, Status> {
        if let Some(code) = self.script.broken {
            return Err(Status::new(code, "the daemon is ending"));
        }
        let order = request.into_inner().try_into()?;
        self.seen.lock().unwrap().orders.push(order);
        let answer = self.script.answer.clone().ok_or_else(|| Status::unimplemented(""))?;
        Ok(Response::new(answer.into()))
    }

    async fn import(
        &self,
        request: Request<Streaming<wire::ImportChunk>>,
    ) -> Result<Response<Self::ImportStream>, Status> {
        let (mut chunks, refuse) = (request.into_inner(), self.script.refuse);
        let seen = Arc::clone(&self.seen);
        let (sender, answers) = mpsc::channel(1);
        tokio::spawn(async move {
            while let Some(Ok(chunk)) = chunks.next().await {
                let orders = chunk_from_wire(chunk).unwrap();
                seen.lock().unwrap().chunks.push(orders.len());
                let refused: Vec<_> = orders
                    .iter()
                    .filter(|order| Some(order.target) == refuse)
                    .map(|order| (order.target, Refusal::Everything))
                    .collect();
                let refused_count = refused.len() as u64;
                let accepted = orders.len() as u64 - refused_count;
                let answer: Result<_, Refusal> = Ok(Answer::Imported { accepted, refused, refused_count });
                if sender.send(Ok(answer.into())).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(answers))))
    }

    async fn list_blocks(
        &self,
        _: Request<wire::ListBlocksRequest>,
    ) -> Result<Response<Self::ListBlocksStream>, Status> {
        if let Some(code) = self.script.broken {
            return Err(Status::new(code, "the daemon is ending"));
        }
        if self.script.hostile {
            let rows = vec![row("203.0.113.7/32").into(); limits::CHUNK + 1];
            return Ok(Response::new(stream([wire::BlockChunk { rows }])));
        }
        let first = (!self.script.rows.is_empty()).then(|| wire::BlockChunk::from(self.script.rows.clone()));
        let made_up =
            (0..self.script.many / limits::CHUNK).map(|_| vec![row("203.0.113.7/32"); limits::CHUNK].into());
        Ok(Response::new(stream(first.into_iter().chain(made_up))))
    }

    async fn list_alerts(
        &self,
        _: Request<wire::ListAlertsRequest>,
    ) -> Result<Response<Self::ListAlertsStream>, Status> {
        Ok(Response::new(stream((0..self.script.alerts).map(|count| vec![alert(count)].into()))))
    }

    async fn follow_alerts(
        &self,
        _: Request<wire::ListAlertsRequest>,
    ) -> Result<Response<Self::FollowAlertsStream>, Status> {
        let alerts = (0..self.script.alerts).map(|count| AlertEvent::Alert(alert(count)).into());
        let events = alerts.chain([AlertEvent::Missed(7).into()]);
        Ok(Response::new(stream(events)))
    }

    async fn list_pending(
        &self,
        _: Request<wire::ListPendingRequest>,
    ) -> Result<Response<Self::ListPendingStream>, Status> {
        Ok(Response::new(stream([])))
    }

    async fn list_allowed(
        &self,
        _: Request<wire::ListAllowedRequest>,
    ) -> Result<Response<Self::ListAllowedStream>, Status> {
        Ok(Response::new(stream([])))
    }

    async fn check_allowed(
        &self,
        _: Request<wire::CheckAllowedRequest>,
    ) -> Result<Response<wire::CheckAllowedAnswer>, Status> {
        Ok(Response::new(wire::CheckAllowedAnswer::default()))
    }

    async fn explain(&self, _: Request<wire::ExplainRequest>) -> Result<Response<wire::Explanation>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn reload(&self, _: Request<wire::ReloadRequest>) -> Result<Response<wire::ReloadAnswer>, Status> {
        let answer = self.script.reload.clone().unwrap_or_else(|| Ok(Reloaded::default()));
        Ok(Response::new(answer.into()))
    }

    async fn top(&self, _: Request<wire::TopRequest>) -> Result<Response<Self::TopStream>, Status> {
        Ok(Response::new(stream([])))
    }
}
