//! Strangers and members that do not behave, against real daemons: the fleet stays whole, memory stays bounded, and the
//! log says who it was.
//!
//! All need root and the built programs: `cargo test -p smartfw-tests --test hostile -- --ignored`.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test that cannot go on has failed")]

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    process::Stdio,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use smartfw_core::Time;
use smartfw_identity::{
    Current, Founded, Founding, Identity, Invitation, JoinError, Joined, Joining, Key, Known, Label,
    Revocation, Revocations, Role, Signer, Token, Wish, join, request,
    tls::{DialError, Expected, MemberStream, Net, RefusedUs, channel},
};
use smartfw_proto::{
    convert::{Hello, Told},
    limits,
    wire::{PeerMessage, peer_client::PeerClient},
};
use smartfw_tests::{
    daemon::Guard,
    fleet::{EVIL, Fleet, PORT, Wire, address, equip, now},
    namespace::Namespace,
    process::until,
};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Request, Status, Streaming,
    transport::{Channel, Endpoint},
};

/// How long a block may take to reach both kernels while others do what they can against it.
const SPREAD: Duration = Duration::from_secs(10);
/// What a daemon may take at most, in KiB: one that is not optimised, with all its threads.
const MEMORY: u64 = 150 << 10;
const DAY: Duration = Duration::from_secs(86_400);

/// A signer and a node at work, and a host without a daemon.
struct Case<'a> {
    authority: &'a Authority,
    fleet: Fleet<'a>,
    host: &'a Namespace,
}

/// A cluster that was founded seventy days ago, so that certificates of then have expired, grace and all.
struct Authority {
    founded: Founded,
    signer: Identity,
    _ledger: TempDir,
}

fn label(text: &str) -> Label {
    Label::new(text).unwrap()
}

impl Authority {
    fn found() -> Self {
        let (ledger, then) = (tempfile::tempdir().unwrap(), seventy_days_ago());
        let (cluster, site) = (&label("prod"), &Label::default_site());
        let founding = Founding { cluster, site, signer: &label("signer"), operator: &label("operator") };
        let founded = founding.found(ledger.path(), then).unwrap();
        Self { signer: founded.signer.own(now()).unwrap(), founded, _ledger: ledger }
    }

    fn admit(&self, name: &str, role: Role, at: Time) -> Identity {
        let (key, trust) = (Arc::new(Key::generate().unwrap()), self.signer.trust().clone());
        let token = self.founded.signer.invite(invitation(role, at), at).unwrap();
        let wanted = request(&key).unwrap();
        let joining = Joining { name: &label(name), request: &wanted, roles: &[role] };
        let revocations = Revocations::in_memory(trust.clone());
        let known = Known { holder: &|_| None, revocations: &revocations, root: None };
        match self.founded.signer.redeem(&token, &joining, known, at).unwrap() {
            Joined::Member(chain) => Identity::new(key, chain, trust).unwrap(),
            Joined::Signer(_) => panic!("none was asked for"),
        }
    }
}

/// Longer ago than a certificate lasts, with its grace.
fn seventy_days_ago() -> Time {
    Time::from_nanos(now().as_nanos() - (DAY * 70).as_nanos() as u64)
}

fn invitation(role: Role, at: Time) -> Invitation {
    Invitation {
        role,
        site: Label::default_site(),
        replace: None,
        expires: at.after(Duration::from_secs(600)),
    }
}

impl<'a> Case<'a> {
    fn start(wire: &'a Wire, authority: &'a Authority, expelled: &[&Identity]) -> Self {
        let mut fleet = Fleet { wire, guards: Vec::new() };
        let node = authority.admit("node-1", Role::Node, now());
        for (n, identity) in [&authority.signer, &node].into_iter().enumerate() {
            let guard = Guard::prepare(&wire.nodes[n], &wire.folder(n), "").unwrap();
            let seed = [SocketAddr::from((address(0), PORT))];
            equip(identity, &guard.state(), &seed[..n]);
            let folder = guard.state().join("identity");
            let known = Revocations::open(&folder.join("revocations"), identity.trust().clone());
            for gone in expelled {
                let operator = &authority.founded.operator;
                let at = operator.member().not_before.after(DAY * 2);
                let said = Revocation::by_operator(operator, gone.id(), Role::Node, at).unwrap();
                assert_eq!(known.insert([said.as_slice()]).unwrap().0.len(), 1);
            }
            if n == 0 {
                authority.founded.signer.save(&folder).unwrap();
            }
            fleet.guards.push(guard);
            fleet.launch(n);
        }
        fleet.formed(1);
        Self { authority, fleet, host: &wire.nodes[2] }
    }

    /// A token that the daemon's own ledger knows.
    fn token(&self) -> Token {
        let folder = self.fleet.guards[0].state().join("identity");
        let signer = Signer::load(&folder, &self.authority.signer, now()).unwrap();
        signer.invite(invitation(Role::Node, now()), now()).unwrap()
    }

    /// What a member's connection comes to, from the host without a daemon.
    fn dial(&self, identity: &Identity, node: usize) -> Result<(), DialError> {
        self.within(async || dial(identity, node).await.map(drop))
    }

    fn within<T: Send>(&self, work: impl AsyncFnOnce() -> T + Send) -> T {
        within(self.host, work)
    }

    /// Waits until a node's log names somebody for something.
    fn names(&self, node: usize, who: &str, what: &str) {
        let log = || fs::read_to_string(self.fleet.guards[node].log()).unwrap_or_default();
        let named = |line: &str| line.contains(who) && line.contains(what);
        let said = until("the log says who", SPREAD, || log().lines().any(named));
        assert!(said.is_ok(), "{who}: {what}\n{}", log());
        println!("{}", log().lines().find(|line| named(line)).unwrap());
    }

    /// A block still spreads, and nobody took more memory than there is to take.
    fn is_whole(&self, attacker: Ipv4Addr) {
        self.fleet.attack(0, attacker);
        println!("a block spreads in {:?}", self.fleet.until_all(&[0, 1], attacker.into(), true, SPREAD));
        for guard in &self.fleet.guards {
            let page = fs::read_to_string(format!("/proc/{}/status", guard.pid().unwrap())).unwrap();
            let most = page.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
            let most: u64 = most.trim().trim_end_matches(" kB").parse().unwrap();
            println!("{most} KiB at most");
            assert!(most < MEMORY, "{most} KiB");
        }
    }
}

fn within<T: Send>(host: &Namespace, work: impl AsyncFnOnce() -> T + Send) -> T {
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(work())
    };
    host.inside(run).unwrap()
}

fn peer(node: usize) -> SocketAddr {
    SocketAddr::from((address(node), PORT))
}

async fn dial(identity: &Identity, node: usize) -> Result<(Net, MemberStream), DialError> {
    let revocations = Arc::new(Revocations::in_memory(identity.trust().clone()));
    let net = Net::new(Current::new(identity.clone()), revocations);
    let stream = net.dial(peer(node), Expected::default()).await?;
    Ok((net, stream))
}

/// A member's connection in the hands of somebody who may say anything.
struct Raw {
    client: PeerClient<Channel>,
    _net: Net,
}

type Exchange = (mpsc::Sender<PeerMessage>, Streaming<PeerMessage>);

impl Raw {
    async fn dial(identity: &Identity, node: usize) -> Self {
        let (net, stream) = dial(identity, node).await.unwrap();
        let channel = channel(stream, Endpoint::from_static("http://peer")).await.unwrap();
        Self { client: PeerClient::new(channel), _net: net }
    }

    async fn exchange(&mut self, encoding: Option<&'static str>) -> Result<Exchange, Status> {
        let (to, outbound) = mpsc::channel(4);
        let mut request = Request::new(ReceiverStream::new(outbound));
        if let Some(encoding) = encoding {
            request.metadata_mut().insert("grpc-encoding", encoding.parse().unwrap());
        }
        Ok((to, self.client.exchange(request).await?.into_inner()))
    }
}

fn hello() -> PeerMessage {
    let cluster = "prod".into();
    Told::Hello(Hello { from: 1, to: 1, cluster, epoch: 1, revocations: None }).into()
}

/// Listens until the other side ends it.
async fn ended(from: &mut Streaming<PeerMessage>) {
    let listen = async { while let Ok(Some(_)) = from.message().await {} };
    tokio::time::timeout(Duration::from_secs(20), listen).await.expect("it is ended");
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn who_may_not_come_in_is_refused_and_named() {
    let (wire, authority) = (Wire::new(3), Authority::found());
    let expired = authority.admit("old", Role::Node, seventy_days_ago());
    let expelled = authority.admit("expelled", Role::Node, now());
    let operator = authority.admit("bob", Role::Operator, now());
    let case = Case::start(&wire, &authority, &[&expelled]);
    let refused_us = |identity| match case.dial(identity, 1) {
        Err(DialError::RefusedUs { why, .. }) => why,
        other => panic!("{other:?}"),
    };
    let from = format!("{}", address(2));
    assert_eq!(refused_us(&expired), RefusedUs::Expired);
    case.names(1, &from, "prod/default/old expired");
    assert_eq!(refused_us(&expelled), RefusedUs::Revoked);
    case.names(1, &from, "was revoked");
    assert_eq!(refused_us(&operator), RefusedUs::Denied);
    case.names(1, &from, "prod/default/bob is a operator");
    // The same names, under another root.
    let foreign = Authority::found();
    let stranger = foreign.admit("node-1", Role::Node, now());
    assert!(matches!(case.dial(&stranger, 1), Err(DialError::Refused { .. })));
    case.names(1, &from, "it refused us");
    let mut naked = case.host.command("openssl");
    naked.args(["s_client", "-alpn", "h2", "-connect", &peer(1).to_string()]).stdin(Stdio::null());
    naked.output().unwrap();
    case.names(1, &from, "showed no certificate");
    case.is_whole(EVIL);
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn a_stolen_token_is_good_once_and_for_no_name_of_another() {
    let (wire, authority) = (Wire::new(3), Authority::found());
    let case = Case::start(&wire, &authority, &[]);
    let folder = wire.dir.path();
    let joins = |token: &Token, name: &str| {
        let wish = Wish { name: &label(name), roles: &[Role::Node], folder };
        case.within(async || join(peer(0), token, wish, now()).await.map(|joined| joined.identity))
    };
    let token = case.token();
    assert_eq!(joins(&token, "thief").unwrap().member().name.name, label("thief"));
    let Err(JoinError::Refused(why)) = joins(&token, "owner") else { panic!("it was used") };
    assert!(why.contains("was used already"), "{why}");
    case.names(0, "owner", "was used already");
    let Err(JoinError::Refused(why)) = joins(&case.token(), "node-1") else { panic!("it is another's") };
    assert!(why.contains("is taken"), "{why}");
    case.names(0, "node-1", "is taken");
    case.is_whole(EVIL);
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn a_member_that_does_not_behave_is_cut_off_and_named_and_the_fleet_stays_whole() {
    let (wire, authority) = (Wire::new(3), Authority::found());
    let mallory = authority.admit("mallory", Role::Node, now());
    let case = Case::start(&wire, &authority, &[]);
    case.within(async || {
        // A message larger than any: it is never read to its end.
        let mut raw = Raw::dial(&mallory, 1).await;
        let (to, mut from) = raw.exchange(None).await.unwrap();
        to.send(hello()).await.unwrap();
        let too_large = vec![0; limits::PEER_MESSAGE * 8];
        let _ = to.send(Told::Datagram(too_large).into()).await;
        ended(&mut from).await;
        // One that is within the limit of a message and beyond that of what it holds.
        let mut raw = Raw::dial(&mallory, 1).await;
        let (to, mut from) = raw.exchange(None).await.unwrap();
        to.send(hello()).await.unwrap();
        let _ = to.send(Told::Datagram(vec![0; limits::DATAGRAM + 1]).into()).await;
        ended(&mut from).await;
        // Nothing compressed is taken, so nothing grows.
        let mut raw = Raw::dial(&mallory, 1).await;
        let refused = raw.exchange(Some("gzip")).await.map(drop).unwrap_err();
        assert_eq!(refused.code(), tonic::Code::Unimplemented, "{refused}");
        // Whoever says nothing, and whoever wants more of one connection.
        let mut raw = Raw::dial(&mallory, 1).await;
        let (_to, mut from) = raw.exchange(None).await.unwrap();
        let second = raw.exchange(None).await.map(drop).unwrap_err();
        assert_eq!(second.code(), tonic::Code::ResourceExhausted, "{second}");
        ended(&mut from).await;
    });
    case.names(1, "mallory", "it sent what is no message");
    case.names(1, "mallory", "it said nothing within 5 s");
    case.is_whole(EVIL);
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn a_stream_that_never_ends_and_many_that_never_begin_stop_nobody() {
    const LASTS: Duration = Duration::from_secs(8);
    let (wire, authority) = (Wire::new(3), Authority::found());
    let mallory = authority.admit("mallory", Role::Node, now());
    let case = Case::start(&wire, &authority, &[]);
    thread::scope(|scope| {
        let talks = scope.spawn(|| {
            case.within(async || {
                // Accepted, and silent from then on; each closes the oldest before it.
                let mut silent = Vec::new();
                for _ in 0..32 {
                    silent.push(dial(&mallory, 0).await.unwrap());
                }
                let mut raw = Raw::dial(&mallory, 1).await;
                let (to, mut from) = raw.exchange(None).await.unwrap();
                to.send(hello()).await.unwrap();
                tokio::spawn(async move { while let Ok(Some(_)) = from.message().await {} });
                let (begun, mut said) = (Instant::now(), 0);
                while begun.elapsed() < LASTS {
                    let one = Told::Datagram(vec![said as u8; limits::DATAGRAM]).into();
                    if tokio::time::timeout(LASTS, to.send(one)).await.is_ok_and(|sent| sent.is_ok()) {
                        said += 1;
                    }
                }
                said
            })
        });
        thread::sleep(Duration::from_secs(1));
        case.is_whole(EVIL);
        println!("{} messages were taken meanwhile", talks.join().unwrap());
    });
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn ten_thousand_handshakes_that_never_end_and_a_flood_of_datagrams_stop_nobody() {
    let (wire, authority) = (Wire::new(3), Authority::found());
    let case = Case::start(&wire, &authority, &[]);
    let sources: Vec<Ipv4Addr> = (0..25).map(|n| Ipv4Addr::new(203, 0, 113, 100 + n)).collect();
    let lines: String = sources.iter().map(|source| format!("addr add {source}/24 dev eth0\n")).collect();
    wire.attacker.ip(&lines).unwrap();
    // Whoever connects so often is dropped by the firewall itself; the peers' port has to stand it all the same.
    case.fleet.guards.iter().for_each(|guard| {
        for source in &sources {
            guard.order(&["allow", "add", &source.to_string()]).unwrap();
        }
    });
    thread::scope(|scope| {
        let connects = scope.spawn(|| half_open(&wire.attacker, &sources));
        let floods = scope.spawn(|| flood(&wire.attacker, sources[0]));
        thread::sleep(Duration::from_secs(1));
        case.is_whole(EVIL);
        println!("{} connections and {} datagrams", connects.join().unwrap(), floods.join().unwrap());
    });
    case.names(0, "203.0.113.1", "too many unfinished handshakes");
    let dropped = case.fleet.page(0);
    let dropped = dropped.lines().filter(|line| line.contains("datagrams"));
    dropped.for_each(|line| println!("{line}"));
    case.is_whole(Ipv4Addr::new(203, 0, 113, 10));
}

/// Connects 10,000 times from many addresses, says nothing, and hangs up on nobody.
fn half_open(host: &Namespace, sources: &[Ipv4Addr]) -> usize {
    within(host, async || {
        let mut held = Vec::new();
        for n in 0..10_000 {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind((sources[n % sources.len()], 0).into()).unwrap();
            let connect = tokio::time::timeout(Duration::from_millis(200), socket.connect(peer(n % 2)));
            if let Ok(Ok(stream)) = connect.await {
                held.push(stream);
            }
        }
        held.len()
    })
}

/// Datagrams that are none.
fn flood(host: &Namespace, source: Ipv4Addr) -> usize {
    host.inside(|| {
        let socket = UdpSocket::bind((source, 0)).unwrap();
        (0..200_000_usize).filter(|n| socket.send_to(&[*n as u8; 600], peer(n % 2)).is_ok()).count()
    })
    .unwrap()
}
