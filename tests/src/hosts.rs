//! Hosts whose people make a fleet of them: daemons and the real command line, each host in a network namespace of its own.
#![expect(clippy::unwrap_used, reason = "a laboratory that cannot go on has failed")]

use std::{net::Ipv4Addr, path::PathBuf, process::Output, time::Duration};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    daemon::program,
    namespace::Namespace,
    net::INTERFACE,
    process::{Running, until},
};

/// How long a daemon may take to answer, and members to hear of each other.
pub const SOON: Duration = Duration::from_secs(20);
const WORDS: &str = "four random words here";

/// Hosts on one wire, each with a daemon.
#[derive(Debug)]
pub struct Hosts {
    /// The hosts.
    pub nodes: Vec<Namespace>,
    /// Their daemons.
    pub daemons: Vec<Running>,
    hub: Namespace,
    dir: TempDir,
    enforcer: &'static str,
}

/// A host's address.
pub fn address(node: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 78, 0, node as u8 + 1)
}

impl Hosts {
    /// Starts a daemon on each of so many hosts, which decides and leaves the kernel alone.
    pub fn start(count: usize) -> Self {
        Self::with(count, "dry-run")
    }

    /// The same daemons, and what they decide is done by their kernels.
    pub fn start_guarding(count: usize) -> Self {
        Self::with(count, "iptables")
    }

    fn with(count: usize, enforcer: &'static str) -> Self {
        let hub = Namespace::new("hub").unwrap();
        hub.ip("link add br0 type bridge\nlink set br0 up\n").unwrap();
        let nodes = (0..count).map(|n| plug(&hub, n)).collect();
        let mut hosts = Self { nodes, daemons: Vec::new(), hub, dir: tempfile::tempdir().unwrap(), enforcer };
        (0..count).for_each(|n| hosts.launch(n));
        hosts
    }

    /// Another host on the wire, without a daemon.
    pub fn guest(&self, n: usize) -> Namespace {
        plug(&self.hub, n)
    }

    /// Where a host has its files.
    pub fn folder(&self, node: usize) -> PathBuf {
        self.dir.path().join(node.to_string())
    }

    /// Starts a host's daemon and waits until it answers.
    pub fn launch(&mut self, node: usize) {
        let folder = self.folder(node);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("node.toml"), "").unwrap();
        let mut command = self.nodes[node].command(&program("smartfw-node").unwrap().display().to_string());
        let file = |name: &str| folder.join(name);
        command.arg("--config").arg(file("node.toml")).arg("--state-dir").arg(file("state"));
        command.arg("--log-dir").arg(file("log")).arg("--socket").arg(file("node.sock"));
        command.args(["--name", &format!("web-{}", node + 1), "--interface", INTERFACE]);
        command.args(["--enforcer", self.enforcer, "--metrics", "off"]);
        self.daemons.push(Running::start(command, &file("journal")).unwrap());
        until("the daemon answers", SOON, || self.run(node, &["status"]).status.success()).unwrap();
    }

    /// Runs the command line on a host.
    pub fn run(&self, node: usize, arguments: &[&str]) -> Output {
        let mut command = self.nodes[node].command(&program("smartfw-cli").unwrap().display().to_string());
        command.arg("--socket").arg(self.folder(node).join("node.sock")).args(arguments);
        command
            .env("SMARTFW_OPERATOR_DIR", self.dir.path().join("operator"))
            .env("SMARTFW_PASSPHRASE", WORDS);
        command.current_dir(self.dir.path()).output().unwrap()
    }

    /// What must succeed, and prints.
    #[track_caller]
    pub fn works(&self, node: usize, arguments: &[&str]) -> String {
        let done = self.run(node, arguments);
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    }

    /// What must be refused, in one line that says why.
    #[track_caller]
    pub fn refused(&self, node: usize, arguments: &[&str], why: &str) {
        let done = self.run(node, arguments);
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(1), "{arguments:?}");
        assert!(said.contains(why) && said.lines().count() == 1, "{arguments:?}: {said}");
    }

    /// A list as JSON.
    pub fn array(&self, node: usize, arguments: &[&str]) -> Vec<Value> {
        serde_json::from_str(&self.works(node, &[&["-o", "json"], arguments].concat())).unwrap()
    }

    /// A token of the host's.
    pub fn token(&self, node: usize, more: &[&str]) -> String {
        self.works(node, &[&["cluster", "token", "-o", "raw"], more].concat()).trim().to_owned()
    }

    /// Makes the first host a cluster's first signer.
    pub fn found(&self) {
        let at = address(0).to_string();
        self.works(0, &["cluster", "init", "--name", "prod", "--advertise", &at, "--operator", "alice"]);
    }

    /// Lets a host join, and waits until all know each other.
    pub fn join(&self, node: usize) {
        let token = self.token(0, &[]);
        self.works(node, &["cluster", "join", &address(0).to_string(), "--token", &token]);
        let alive = |node: usize| {
            let all = self.array(node, &["cluster", "nodes"]);
            all.iter().filter(|node| node["state"] == "alive").count()
        };
        until("they know each other", SOON, || alive(0) == alive(node) && alive(node) > 1).unwrap();
    }

    /// Whether a host knows of a block in the cluster.
    pub fn holds(&self, node: usize, target: &str) -> bool {
        self.array(node, &["cluster", "blocks"]).iter().any(|block| block["target"] == target)
    }
}

fn plug(hub: &Namespace, n: usize) -> Namespace {
    let (namespace, port) = (Namespace::new("node").unwrap(), format!("n{n}"));
    let pair = format!("link add {INTERFACE} type veth peer name {port} netns {}\n", hub.name());
    let up = format!("link set {INTERFACE} up\naddr add {}/24 dev {INTERFACE}\n", address(n));
    namespace.ip(&format!("{pair}{up}")).unwrap();
    hub.ip(&format!("link set {port} master br0\nlink set {port} up\n")).unwrap();
    namespace
}
