//! Two network namespaces joined by a wire: `host`, where SmartFW works, and `peer`, from where packets come. Each
//! test has its own, in a thread of its own, and they end with it.

#![allow(dead_code, reason = "each test program uses its own part")]
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{
    fs::File,
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    os::fd::AsRawFd,
    panic,
    process::{Command, Stdio},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nix::sched::{CloneFlags, setns, unshare};
use smartfw_core::{
    BlockId, Class, IpNet, Strength, Time,
    enforcement::{Change, Enforced, Entry, Note},
};
use smartfw_enforce::{Backend, Enforcer, Iptables, Options, Reconciler, Repair, Surplus};

pub(crate) const HOST: [&str; 2] = ["10.77.0.1", "2001:db8:77::1"];
pub(crate) const PEER: [&str; 2] = ["10.77.0.2", "2001:db8:77::2"];
/// A second address of the peer.
pub(crate) const OTHER: [&str; 2] = ["10.77.0.3", "2001:db8:77::3"];

/// How long a packet may take that is not dropped.
const PATIENCE: Duration = Duration::from_millis(300);

pub(crate) struct Wire {
    pub(crate) host: File,
    pub(crate) peer: File,
}

/// Runs `test` in fresh namespaces, or says why not.
pub(crate) fn on_a_wire(test: impl FnOnce(&Wire) + Send + 'static) {
    let outcome = thread::spawn(move || match Wire::lay() {
        Ok(wire) => test(&wire),
        // Past the harness, which shows the output of failures only.
        Err(why) => std::io::stderr().write_all(format!("skipped: {why}\n").as_bytes()).unwrap(),
    })
    .join();
    if let Err(cause) = outcome {
        panic::resume_unwind(cause);
    }
}

impl Wire {
    fn lay() -> Result<Self, String> {
        let host = namespace()?;
        let peer = namespace()?;
        let wire = Self { host, peer };
        wire.enter_host();
        ip("link set lo up");
        ip("link add sfw-h type veth peer name sfw-p");
        ip(&format!("link set sfw-p netns /proc/{}/fd/{}", std::process::id(), wire.peer.as_raw_fd()));
        addresses("sfw-h", &[HOST]);
        wire.enter_peer();
        ip("link set lo up");
        addresses("sfw-p", &[PEER, OTHER]);
        wire.enter_host();
        Ok(wire)
    }

    /// A third namespace behind the host, which forwards between it and the peer; its address is 10.78.0.2.
    pub(crate) fn server_behind(&self) -> File {
        let server = namespace().unwrap();
        self.enter_host();
        ip("link add sfw-r type veth peer name sfw-s");
        ip(&format!("link set sfw-s netns /proc/{}/fd/{}", std::process::id(), server.as_raw_fd()));
        ip("addr add 10.78.0.1/24 dev sfw-r");
        ip("link set sfw-r up");
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
        setns(&server, CloneFlags::CLONE_NEWNET).unwrap();
        ip("addr add 10.78.0.2/24 dev sfw-s");
        ip("link set sfw-s up");
        ip("route add default via 10.78.0.1");
        self.peer(|| ip("route add 10.78.0.0/24 via 10.77.0.1"));
        server
    }

    pub(crate) fn enter_host(&self) {
        setns(&self.host, CloneFlags::CLONE_NEWNET).unwrap();
    }

    pub(crate) fn enter_peer(&self) {
        setns(&self.peer, CloneFlags::CLONE_NEWNET).unwrap();
    }

    /// Runs `work` in the peer's namespace.
    pub(crate) fn peer<T>(&self, work: impl FnOnce() -> T) -> T {
        self.enter_peer();
        let done = work();
        self.enter_host();
        done
    }

    /// A connection from the peer: its end there, and its end here.
    pub(crate) fn connect(&self, listener: &TcpListener) -> Option<(TcpStream, TcpStream)> {
        let to = listener.local_addr().unwrap();
        let there = self.peer(|| TcpStream::connect_timeout(&to, PATIENCE)).ok()?;
        let here = listener.accept().unwrap().0;
        here.set_read_timeout(Some(PATIENCE)).unwrap();
        Some((there, here))
    }

    /// Whether a ping from `source` in the peer's namespace is answered.
    pub(crate) fn pings(&self, source: &str, target: &str) -> bool {
        self.peer(|| succeeds(&format!("ping -n -c 1 -W 0.3 -I {source} {target}")))
    }
}

pub(crate) fn listen(family: usize) -> TcpListener {
    let address: IpAddr = HOST[family].parse().unwrap();
    TcpListener::bind(SocketAddr::new(address, 0)).unwrap()
}

/// Whether what one end says reaches the other.
pub(crate) fn speaks((there, here): &mut (TcpStream, TcpStream)) -> bool {
    there.write_all(b"x").is_ok() && here.read(&mut [0; 1]).is_ok_and(|count| count == 1)
}

pub(crate) fn open(backend: Backend) -> Iptables {
    Iptables::open(Options { backend, ..Options::default() }).unwrap()
}

pub(crate) fn now() -> Time {
    Time::ZERO.after(SystemTime::now().duration_since(UNIX_EPOCH).unwrap())
}

pub(crate) fn net(text: &str) -> IpNet {
    smartfw_core::prefix::parse_target(text).unwrap()
}

pub(crate) fn entry(target: &str, strength: Strength, seconds: Option<u64>) -> Entry {
    let note = Note { id: BlockId(7), class: Class::PortScan, origin: "web-1".into() };
    let expires = seconds.map(|seconds| now().after(Duration::from_secs(seconds)));
    Entry { target: net(target), strength, expires, note }
}

pub(crate) fn block(enforcer: &mut dyn Enforcer, target: &str, strength: Strength) {
    let applied = enforcer.apply(now(), &[Change::Block(entry(target, strength, None))]).unwrap();
    assert_eq!(applied.failed, []);
}

pub(crate) fn unblock(enforcer: &mut dyn Enforcer, target: &str) {
    enforcer.apply(now(), &[Change::Unblock(net(target))]).unwrap();
}

pub(crate) fn state(entries: impl IntoIterator<Item = Entry>, protected: &[&str]) -> Enforced {
    let blocks = entries.into_iter().map(|entry| (entry.target, entry)).collect();
    Enforced { blocks, protected: protected.iter().map(|text| net(text)).collect() }
}

pub(crate) fn reconcile(reconciler: &mut Reconciler, enforcer: &mut Iptables, desired: &Enforced) -> Repair {
    reconciler.step(now(), enforcer, Surplus::Remove, &mut || desired.clone()).unwrap()
}

/// Runs a command line whose words hold no spaces, and returns what it wrote.
pub(crate) fn sh(line: &str) -> String {
    let output = command(line).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{line}: {complaint}");
    String::from_utf8(output.stdout).unwrap()
}

/// Feeds a program.
pub(crate) fn feed(line: &str, input: &str) {
    let mut child = command(line).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{line}");
}

pub(crate) fn succeeds(line: &str) -> bool {
    command(line).output().unwrap().status.success()
}

fn command(line: &str) -> Command {
    let mut words = line.split(' ');
    let mut command = Command::new(words.next().unwrap());
    command.args(words);
    command
}

pub(crate) fn ip(arguments: &str) {
    sh(&format!("ip {arguments}"));
}

fn namespace() -> Result<File, String> {
    unshare(CloneFlags::CLONE_NEWNET)
        .map_err(|errno| format!("no network namespace can be made ({errno})"))?;
    File::open("/proc/thread-self/ns/net").map_err(|error| error.to_string())
}

fn addresses(device: &str, addresses: &[[&str; 2]]) {
    ip(&format!("link set {device} up"));
    for (index, [v4, v6]) in addresses.iter().enumerate() {
        // The first address is the source of what does not choose one.
        let preferred = if index == 0 { "forever" } else { "0" };
        ip(&format!("addr add {v4}/24 dev {device}"));
        ip(&format!("addr add {v6}/64 dev {device} nodad preferred_lft {preferred}"));
    }
}
