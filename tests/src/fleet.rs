//! A fleet of real daemons with real certificates, each in a network namespace of its own, all on one bridge.
//!
//! ```text
//! attacker 203.0.113.9 ──┬── node 0  10.77.0.1, 2001:db8:77::1
//!                        ├── node 1  10.77.0.2, 2001:db8:77::2
//!                        └── …
//! ```
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a laboratory that cannot go on has failed")]

mod assault;
mod authority;
mod estate;
mod links;
mod probes;
mod sshd;
mod wire;

use std::{
    env, fs,
    net::{IpAddr, SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    daemon::{Answer, Guard},
    kernel,
    process::until,
};
pub use assault::Ports;
pub use authority::{Authority, OPERATOR, equip, now};
pub use estate::skew;
pub use probes::Probes;
pub use sshd::Sshd;
pub use wire::{EVIL, Wire, address, address6};

/// The peers' port.
pub const PORT: u16 = 7470;
/// How long members may take to find each other, on a busy machine.
const FORM: Duration = Duration::from_secs(30);
/// How long a block may take to reach a kernel when nothing is broken and the machine is busy.
pub const SPREAD: Duration = Duration::from_secs(5);

/// Daemons, all of one cluster.
#[derive(Debug)]
pub struct Fleet<'a> {
    /// What they are on.
    pub wire: &'a Wire,
    /// The daemons.
    pub guards: Vec<Guard<'a>>,
}

/// Whether what takes minutes is wanted, too (`SMARTFW_LONG=1`); it says so where not.
pub fn long() -> bool {
    let long = env::var_os("SMARTFW_LONG").is_some_and(|value| value == "1");
    if !long {
        println!("left out: it takes long (SMARTFW_LONG=1)");
    }
    long
}

impl Drop for Fleet<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            for guard in &self.guards {
                println!(
                    "--- {}\n{}",
                    guard.log().display(),
                    fs::read_to_string(guard.log()).unwrap_or_default()
                );
            }
        }
    }
}

impl<'a> Fleet<'a> {
    /// Starts a daemon on every host, and waits until each knows all.
    pub fn start(wire: &'a Wire) -> Self {
        Self::of(wire, wire.nodes.len())
    }

    /// The same on the first hosts.
    pub fn of(wire: &'a Wire, count: usize) -> Self {
        let mut fleet = Self::equipped(wire, &Authority::found("prod"), count);
        (0..count).for_each(|n| fleet.launch(n));
        println!("{count} members found each other in {:?}", fleet.formed(count - 1));
        fleet
    }

    /// The same, and none is started yet.
    pub fn equipped(wire: &'a Wire, authority: &Authority, count: usize) -> Self {
        let mut fleet = Self { wire, guards: Vec::new() };
        authority.keep_operator(&wire.operator());
        (0..count).for_each(|n| fleet.add(n, authority));
        fleet
    }

    /// Daemons that are in no cluster, and started.
    pub fn strangers(wire: &'a Wire, count: usize) -> Self {
        let mut fleet = Self { wire, guards: Vec::new() };
        for n in 0..count {
            fleet.guards.push(Guard::prepare(&wire.nodes[n], &wire.folder(n), "").unwrap());
            fleet.launch(n);
        }
        fleet
    }

    /// Gives the next host an identity.
    pub fn add(&mut self, node: usize, authority: &Authority) {
        self.add_at(node, authority, "default");
    }

    /// Gives the next host an identity at a site.
    pub fn add_at(&mut self, node: usize, authority: &Authority, site: &str) {
        let guard = Guard::prepare(&self.wire.nodes[node], &self.wire.folder(node), "").unwrap();
        let seeds = [SocketAddr::from((address(0), PORT))];
        let seeds: &[SocketAddr] = if node == 0 { &[] } else { &seeds };
        let member = authority.member_at(&format!("node-{node}"), site);
        equip(&member, &guard.state(), seeds);
        self.guards.push(guard);
    }

    /// Starts a daemon and waits until it answers.
    pub fn launch(&mut self, node: usize) {
        let name = format!("node-{node}");
        let listen = format!("{}:{PORT}", address(node));
        let guard = &mut self.guards[node];
        guard.spawn(&["--name", &name, "--listen", &listen]).unwrap();
        let answers = || guard.cli(&["status"]).is_ok_and(|answer| answer.code == 0);
        let asked = until("the daemon answers", Duration::from_secs(15), answers);
        assert!(asked.is_ok(), "{}", fs::read_to_string(self.guards[node].log()).unwrap_or_default());
    }

    /// Waits until every daemon believes so many others alive, and has streams to all, or to the four that
    /// it keeps of many.
    pub fn formed(&self, others: usize) -> Duration {
        let streams = if others < 16 { others } else { 4 };
        until("the members find each other", FORM, || {
            let formed = |(alive, open): (f64, f64)| alive >= others as f64 && open >= streams as f64;
            (0..self.guards.len()).all(|n| formed(self.standing(n)))
        })
        .unwrap_or_else(|error| {
            let all: Vec<_> = (0..self.guards.len()).map(|n| self.standing(n)).collect();
            panic!("{error}: alive, and streams: {all:?}")
        })
    }

    fn standing(&self, node: usize) -> (f64, f64) {
        (self.alive(node), self.streams(node))
    }

    /// How many streams a node has open.
    pub fn streams(&self, node: usize) -> f64 {
        self.metric(node, "smartfw_peer_streams")
    }

    /// How many others a node believes alive.
    pub fn alive(&self, node: usize) -> f64 {
        self.metric(node, "smartfw_peers_alive")
    }

    /// A number of a node's metrics page; zero where there is none.
    pub fn metric(&self, node: usize, name: &str) -> f64 {
        let page = self.page(node);
        let line = page.lines().find(|line| line.split(' ').next() == Some(name));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0)
    }

    /// A node's metrics page.
    pub fn page(&self, node: usize) -> String {
        self.wire.nodes[node]
            .inside(|| {
                use std::io::{Read as _, Write as _};
                let mut page = String::new();
                if let Ok(mut stream) = TcpStream::connect("127.0.0.1:9470") {
                    let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
                    let _ =
                        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
                    let _ = stream.read_to_string(&mut page);
                }
                page
            })
            .unwrap()
    }

    /// Asks a node's command line, with the operator's key at hand.
    pub fn operator(&self, node: usize, args: &[&str]) -> Answer {
        let mut client = self.guards[node].client().unwrap();
        client.env("SMARTFW_OPERATOR_DIR", self.wire.operator());
        self.guards[node].answer(client, args, "").unwrap()
    }

    /// The same by a clock that is wrong by so much (`+2h`).
    pub fn operator_by(&self, clock: &str, node: usize, args: &[&str]) -> Answer {
        let mut client = self.guards[node].client().unwrap();
        client.env("SMARTFW_OPERATOR_DIR", self.wire.operator()).envs(estate::clock(clock));
        self.guards[node].answer(client, args, "").unwrap()
    }

    /// What an operator asks must be done.
    #[track_caller]
    pub fn order(&self, node: usize, args: &[&str]) -> String {
        let answer = self.operator(node, args);
        assert_eq!(answer.code, 0, "{args:?}: {}", answer.err);
        answer.out
    }

    /// A node's answer as a list.
    pub fn list(&self, node: usize, args: &[&str]) -> Vec<Value> {
        let answer = self.guards[node].json(args).unwrap();
        answer.as_array().unwrap_or_else(|| panic!("{args:?}: {answer}")).clone()
    }

    /// Whether a node's kernel drops an address.
    pub fn drops(&self, node: usize, address: IpAddr) -> bool {
        kernel::drops(&self.wire.nodes[node], address).unwrap()
    }

    /// The targets that a node's kernel drops, in order, with their sets.
    pub fn kernel(&self, node: usize) -> Vec<kernel::Entry> {
        let mut entries = kernel::blocked(&self.wire.nodes[node]).unwrap();
        entries.sort_unstable();
        entries
    }

    /// How long after now each node's kernel drops an address, as its set shows.
    pub fn dropped_after(&self, address: IpAddr, limit: Duration) -> Vec<Option<Duration>> {
        let begun = Instant::now();
        thread::scope(|scope| {
            let poll = |node: usize| {
                move || {
                    while begun.elapsed() < limit {
                        if self.drops(node, address) {
                            return Some(begun.elapsed());
                        }
                    }
                    None
                }
            };
            let threads: Vec<_> = (0..self.guards.len()).map(|node| scope.spawn(poll(node))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    /// Waits until every one of these nodes drops an address, or none does.
    pub fn until_all(&self, nodes: &[usize], address: IpAddr, drop: bool, limit: Duration) -> Duration {
        let what = if drop { "all drop it" } else { "nobody drops it" };
        let all = || nodes.iter().all(|node| self.drops(*node, address) == drop);
        until(what, limit, all).unwrap_or_else(|error| {
            let seen: Vec<bool> = (0..self.guards.len()).map(|node| self.drops(node, address)).collect();
            panic!("{error}: {address} {seen:?}")
        })
    }
}
