//! A fleet of real daemons, each in a network namespace of its own, on one bridge.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use smartfw_core::Time;
use smartfw_identity::{
    Founded, Founding, Identity, Invitation, Joined, Joining, Key, Known, Label, Revocations, Role, Root,
    Signer, request,
};
use smartfw_tests::{daemon::Guard, kernel, namespace::Namespace, net::INTERFACE, process::until};
use tempfile::TempDir;

/// The peers' port.
pub(super) const PORT: u16 = 7470;
/// How long members may take to find each other.
pub(super) const FORM: Duration = Duration::from_secs(20);

/// The wire between the members: a bridge, and an attacker on it.
pub(super) struct Wire {
    _hub: Namespace,
    pub(super) attacker: Namespace,
    pub(super) nodes: Vec<Namespace>,
    pub(super) dir: TempDir,
}

/// Where the attackers are.
pub(super) const EVIL: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);

pub(super) fn address(node: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, node as u8 + 1)
}

impl Wire {
    /// So many hosts.
    pub(super) fn new(count: usize) -> Self {
        let hub = Namespace::new("hub").unwrap();
        hub.ip("link add br0 type bridge\nlink set br0 up\n").unwrap();
        let host = |role: &str, port: String, lines: String| {
            let namespace = Namespace::new(role).unwrap();
            namespace
                .ip(&format!(
                    "link add {INTERFACE} type veth peer name {port} netns {}\nlink set {INTERFACE} up\n{lines}",
                    hub.name()
                ))
                .unwrap();
            hub.ip(&format!("link set {port} master br0\nlink set {port} up\n")).unwrap();
            namespace
        };
        let attacker = host(
            "attacker",
            "evil".into(),
            format!("addr add {EVIL}/24 dev eth0\nroute add 10.77.0.0/24 dev eth0\n"),
        );
        let node = |n: usize| {
            let lines = format!("addr add {}/24 dev eth0\nroute add 203.0.113.0/24 dev eth0\n", address(n));
            host("node", format!("n{n}"), lines)
        };
        let nodes = (0..count).map(node).collect();
        Self { _hub: hub, attacker, nodes, dir: tempfile::tempdir().unwrap() }
    }

    /// Cuts a node off, or connects it again.
    pub(super) fn cut(&self, node: usize, cut: bool) {
        let change = if cut { "-I" } else { "-D" };
        for chain in ["INPUT", "OUTPUT"] {
            let side = if chain == "INPUT" { "-s" } else { "-d" };
            let args = ["-t", "filter", change, chain, side, "10.77.0.0/24", "-j", "DROP"];
            let done = self.nodes[node].command("iptables").args(args).output().unwrap();
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        }
    }

    pub(super) fn folder(&self, node: usize) -> PathBuf {
        self.dir.path().join(format!("node-{node}"))
    }
}

/// A cluster's authority, and its members' identities.
pub(super) struct Authority {
    founded: Founded,
    _ledger: TempDir,
}

pub(super) fn now() -> Time {
    Time::from_nanos(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64)
}

fn label(text: &str) -> Label {
    Label::new(text).unwrap()
}

impl Authority {
    pub(super) fn found(cluster: &str) -> Self {
        let ledger = tempfile::tempdir().unwrap();
        let founding = Founding {
            cluster: &label(cluster),
            site: &Label::default_site(),
            signer: &label("signer"),
            operator: &label("operator"),
        };
        Self { founded: founding.found(ledger.path(), now()).unwrap(), _ledger: ledger }
    }

    /// A member's identity.
    pub(super) fn member(&self, name: &str) -> Identity {
        let key = Arc::new(Key::generate().unwrap());
        let (signer, trust): (&Signer, _) = (&self.founded.signer, self.founded.identity.trust().clone());
        let invitation = Invitation {
            role: Role::Node,
            site: Label::default_site(),
            replace: None,
            expires: now().after(Duration::from_secs(600)),
        };
        let token = signer.invite(invitation, now()).unwrap();
        let wanted = request(&key).unwrap();
        let joining = Joining { name: &label(name), request: &wanted, roles: &[Role::Node] };
        let revocations = Revocations::in_memory(trust.clone());
        let root: Option<&Root> = None;
        let known = Known { holder: &|_| None, revocations: &revocations, root };
        match signer.redeem(&token, &joining, known, now()).unwrap() {
            Joined::Member(chain) => Identity::new(key, chain, trust).unwrap(),
            Joined::Signer(_) => panic!("a node is no signer"),
        }
    }
}

/// Writes an identity into a node's state folder.
pub(super) fn equip(identity: &Identity, state: &Path, seeds: &[SocketAddr]) {
    let folder = state.join("identity");
    fs::create_dir_all(&folder).unwrap();
    fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    identity.save(&folder, None).unwrap();
    Revocations::create(&folder.join("revocations"), identity.trust().clone()).unwrap();
    let seeds: Vec<String> = seeds.iter().map(SocketAddr::to_string).collect();
    fs::write(folder.join("reach.json"), serde_json::json!({"advertise": null, "seeds": seeds}).to_string())
        .unwrap();
}

/// Daemons, all of one cluster.
pub(super) struct Fleet<'a> {
    pub(super) wire: &'a Wire,
    pub(super) guards: Vec<Guard<'a>>,
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
    pub(super) fn start(wire: &'a Wire) -> Self {
        Self::of(wire, wire.nodes.len())
    }

    /// The same on the first hosts.
    pub(super) fn of(wire: &'a Wire, count: usize) -> Self {
        let authority = Authority::found("prod");
        let mut fleet = Self { wire, guards: Vec::new() };
        (0..count).for_each(|n| fleet.add(n, &authority));
        (0..count).for_each(|n| fleet.launch(n));
        println!("{count} members found each other in {:?}", fleet.formed(count - 1));
        fleet
    }

    /// Gives the next host an identity.
    pub(super) fn add(&mut self, node: usize, authority: &Authority) {
        let guard = Guard::prepare(&self.wire.nodes[node], &self.wire.folder(node), "").unwrap();
        let seeds = [SocketAddr::from((address(0), PORT))];
        let seeds: &[SocketAddr] = if node == 0 { &[] } else { &seeds };
        equip(&authority.member(&format!("node-{node}")), &guard.state(), seeds);
        self.guards.push(guard);
    }

    /// Starts a daemon and waits until it answers.
    pub(super) fn launch(&mut self, node: usize) {
        let name = format!("node-{node}");
        let listen = format!("{}:{PORT}", address(node));
        let guard = &mut self.guards[node];
        guard.spawn(&["--name", &name, "--listen", &listen]).unwrap();
        let answers = || guard.cli(&["status"]).is_ok_and(|answer| answer.code == 0);
        let asked = until("the daemon answers", Duration::from_secs(15), answers);
        assert!(asked.is_ok(), "{}", fs::read_to_string(self.guards[node].log()).unwrap_or_default());
    }

    /// Waits until every daemon has so many streams open and members alive.
    pub(super) fn formed(&self, others: usize) -> Duration {
        until("the members find each other", FORM, || {
            (0..self.guards.len()).all(|n| self.streams(n) >= others as f64)
        })
        .unwrap_or_else(|error| panic!("{error}: {:?}", self.all_streams()))
    }

    fn all_streams(&self) -> Vec<f64> {
        (0..self.guards.len()).map(|n| self.streams(n)).collect()
    }

    fn streams(&self, node: usize) -> f64 {
        self.metric(node, "smartfw_peer_streams").min(self.metric(node, "smartfw_peers_alive"))
    }

    /// A number of a node's metrics page; zero where there is none.
    pub(super) fn metric(&self, node: usize, name: &str) -> f64 {
        let page = self.page(node);
        let line = page.lines().find(|line| line.split(' ').next() == Some(name));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0)
    }

    pub(super) fn page(&self, node: usize) -> String {
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

    /// Whether a node's kernel drops an address.
    pub(super) fn drops(&self, node: usize, address: IpAddr) -> bool {
        kernel::drops(&self.wire.nodes[node], address).unwrap()
    }

    /// How long after now each node's kernel drops an address, as its set shows.
    pub(super) fn dropped_after(&self, address: IpAddr, limit: Duration) -> Vec<Option<Duration>> {
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
    pub(super) fn until_all(
        &self,
        nodes: &[usize],
        address: IpAddr,
        drop: bool,
        limit: Duration,
    ) -> Duration {
        let what = if drop { "all drop it" } else { "nobody drops it" };
        let all = || nodes.iter().all(|node| self.drops(*node, address) == drop);
        until(what, limit, all).unwrap_or_else(|error| {
            let seen: Vec<bool> = (0..self.guards.len()).map(|node| self.drops(node, address)).collect();
            panic!("{error}: {address} {seen:?}")
        })
    }

    /// An attack that is proven: many ports asked, after a connection to one that is open.
    pub(super) fn attack(&self, node: usize, from: Ipv4Addr) {
        let victim = address(node);
        let route =
            format!("addr replace {from}/24 dev eth0\nroute replace 10.77.0.0/24 dev eth0 src {from}\n");
        self.wire.attacker.ip(&route).unwrap();
        let service = self.wire.nodes[node]
            .inside(|| TcpListener::bind((victim, 8080)))
            .unwrap()
            .expect("the port is free");
        let scan = move || {
            let open = connect(SocketAddr::from((victim, 8080)));
            for port in 1000..1200 {
                let _ = connect(SocketAddr::from((victim, port)));
            }
            drop(open);
        };
        self.wire.attacker.inside(scan).unwrap();
        drop(service);
    }
}

/// Connects, with little patience.
fn connect(to: SocketAddr) -> std::io::Result<TcpStream> {
    TcpStream::connect_timeout(&to, Duration::from_millis(30))
}
