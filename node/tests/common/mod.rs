//! The real daemon in a network namespace of its own. Needs root: without it the tests say so and do nothing.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

use hyper_util::rt::TokioIo;
use smartfw_core::{
    Class,
    order::{BlockOrder, Order, Refusal},
};
use smartfw_proto::{
    convert::answer_from_wire,
    view::{Answer, NodeStatus},
    wire::{self, control_client::ControlClient},
};
use tonic::transport::{Channel, Endpoint};

/// How long anything may take: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whether the tests can run; says why they cannot.
pub fn possible() -> bool {
    let root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    let tools = ["ip", "ipset", "iptables"].iter().all(|tool| Command::new(tool).arg("-V").output().is_ok());
    if !root || !tools {
        eprintln!("skipped: needs root, ip, ipset and iptables");
    }
    root && tools
}

/// A network namespace with one interface, and the folders of a node.
pub struct Place {
    pub namespace: String,
    pub folder: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let namespace = format!("sfw-node-{}-{}", std::process::id(), NUMBER.fetch_add(1, SeqCst));
        run("ip", &["netns", "add", &namespace]);
        let place = Self { namespace, folder: tempfile::tempdir().unwrap() };
        place.inside("ip", &["link", "set", "lo", "up"]);
        place.inside("ip", &["link", "add", "eth0", "type", "veth", "peer", "name", "eth1"]);
        place.inside("ip", &["address", "add", "192.0.2.1/24", "dev", "eth0"]);
        place.inside("ip", &["link", "set", "eth0", "up"]);
        place.inside("ip", &["link", "set", "eth1", "up"]);
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a program inside, and demands that it succeeds.
    pub fn inside(&self, program: &str, arguments: &[&str]) -> String {
        let mut all = vec!["netns", "exec", &self.namespace, program];
        all.extend(arguments);
        run("ip", &all)
    }

    /// Runs a program inside; whether it succeeded.
    pub fn try_inside(&self, program: &str, arguments: &[&str]) -> bool {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace, program]).args(arguments);
        command.output().unwrap().status.success()
    }

    /// The node's command line, with everything in the folder.
    pub fn command(&self, extra: &[&str]) -> Command {
        self.command_by(&[], extra)
    }

    /// The same, started by another program.
    pub fn command_by(&self, by: &[&str], extra: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace]).args(by).arg(env!("CARGO_BIN_EXE_smartfw-node"));
        command.arg("--state-dir").arg(self.path("state")).arg("--log-dir").arg(self.path("log"));
        command.arg("--socket").arg(self.path("node.sock")).args(["--name", "web-1"]);
        command.args(extra).env("SMARTFW_TEST_FAULT", self.path("fault")).stdin(Stdio::null());
        command
    }

    /// Starts a node and waits until it answers.
    pub async fn start(&self, extra: &[&str]) -> Node {
        self.start_by(&[], extra).await
    }

    /// The same, started by another program.
    pub async fn start_by(&self, by: &[&str], extra: &[&str]) -> Node {
        let stderr = fs::File::create(self.path("stderr")).unwrap();
        let child = self.command_by(by, extra).stdout(Stdio::null()).stderr(stderr).spawn().unwrap();
        let mut node = Node { child, client: None, stderr: self.path("stderr") };
        let begun = Instant::now();
        while node.client.is_none() {
            assert!(
                begun.elapsed() < PATIENCE && node.child.try_wait().unwrap().is_none(),
                "{}",
                self.said()
            );
            node.client = self.connect().await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        node
    }

    /// Starts a node that shall refuse, and gives what it said.
    pub fn refused(&self, extra: &[&str]) -> Output {
        let output = self.command(extra).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        output
    }

    /// What the node wrote on stderr.
    pub fn said(&self) -> String {
        fs::read_to_string(self.path("stderr")).unwrap_or_default()
    }

    /// The targets in a kernel set.
    pub fn set(&self, name: &str) -> Vec<String> {
        let text = self.inside("ipset", &["save", name]);
        let adds = text.lines().filter_map(|line| line.strip_prefix(&format!("add {name} ")));
        adds.filter_map(|rest| rest.split(' ').next().map(str::to_owned)).collect()
    }

    /// A way to the node's services.
    pub async fn channel(&self) -> Option<Channel> {
        let path = self.path("node.sock");
        let connect = move |_| {
            let path = path.clone();
            async move { tokio::net::UnixStream::connect(path).await.map(TokioIo::new) }
        };
        let endpoint = Endpoint::from_static("http://node");
        endpoint.connect_with_connector(tower::service_fn(connect)).await.ok()
    }

    async fn connect(&self) -> Option<ControlClient<Channel>> {
        let mut client = ControlClient::new(self.channel().await?);
        client.status(wire::StatusRequest {}).await.ok().map(|_| client)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", &self.namespace]).status();
    }
}

/// A running node; killed when dropped.
pub struct Node {
    child: Child,
    client: Option<ControlClient<Channel>>,
    stderr: PathBuf,
}

impl Node {
    pub fn client(&mut self) -> &mut ControlClient<Channel> {
        self.client.as_mut().unwrap()
    }

    pub async fn status(&mut self) -> NodeStatus {
        self.client().status(wire::StatusRequest {}).await.unwrap().into_inner().try_into().unwrap()
    }

    pub async fn order(&mut self, order: Order) -> Result<Answer, Refusal> {
        let order = wire::Order::try_from(order).unwrap();
        answer_from_wire(self.client().submit(order).await.unwrap().into_inner()).unwrap()
    }

    pub async fn block(&mut self, target: &str) {
        let answer = self.order(Order::Block(block_order(target))).await.unwrap();
        assert!(matches!(answer, Answer::Blocked { .. }), "{answer:?}");
    }

    /// Waits until the health list has, or has no longer, an entry that holds `words`.
    pub async fn wait_for_health(&mut self, words: &str, there: bool) {
        let begun = Instant::now();
        loop {
            let health = self.status().await.health;
            if health.iter().any(|entry| entry.what.contains(words)) == there {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{words}: {health:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn signal(&self, name: &str) {
        run("kill", &["-s", name, &self.child.id().to_string()]);
    }

    /// Waits until it ends with an error that says so.
    pub async fn ends_by_itself(mut self, why: &str) {
        wait_for("the end", || self.child.try_wait().unwrap().is_some()).await;
        assert_eq!(self.child.wait().unwrap().code(), Some(1));
        let said = fs::read_to_string(&self.stderr).unwrap();
        assert!(said.contains(why), "{said}");
    }

    /// Ends it as a service manager does, and demands success.
    pub fn end(mut self) {
        self.signal("TERM");
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            thread::sleep(Duration::from_millis(10));
        };
        assert!(status.success(), "{status}");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn block_order(target: &str) -> BlockOrder {
    let target = smartfw_core::prefix::parse_target(target).unwrap();
    BlockOrder { target, duration: None, reason: "test".into(), class: Class::Manual, force: false }
}

/// Runs a program and demands that it succeeds.
pub fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Waits until `condition` holds.
pub async fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "waited too long for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}
