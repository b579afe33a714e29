//! A control service that answers as the test wants.

#[path = "daemon/service.rs"]
mod service;

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::PathBuf,
    process::{Child, Stdio},
    sync::{Arc, Mutex, atomic::AtomicBool},
    time::Duration,
};

use smartfw_core::{
    Action, Alert, Block, BlockId, BlockState, Class, Detector, Evidence, Features, Health, HealthLevel,
    IpNet, Origin, Reason, Strength, Subject, Time,
    order::{EnforcementState, Mode, Order, Refusal},
};
use smartfw_proto::{
    limits,
    view::{Answer, BlockRow, ClusterNode, Coordinator, FleetBlockRow, Given, NodeStatus, Reloaded},
    wire::{cluster_server::ClusterServer, control_server::ControlServer, models_server::ModelsServer},
};
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::Status;

use service::Service;

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
