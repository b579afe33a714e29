//! Members that do not behave, and ports that are taken.

use std::net::UdpSocket;

use smartfw_identity::tls::{Expected, Net, channel};
use smartfw_proto::{
    convert::{Hello, Told},
    wire::{PeerMessage, peer_client::PeerClient},
};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Code, Status, Streaming,
    transport::{Channel, Endpoint},
};

use super::*;

/// A member's connection in the hands of somebody who may say anything.
struct Raw {
    client: PeerClient<Channel>,
    _net: Net,
}

/// An exchange over it.
struct Exchange {
    to: mpsc::Sender<PeerMessage>,
    from: Streaming<PeerMessage>,
}

impl Raw {
    async fn dial(identity: &Identity, address: SocketAddr) -> Self {
        let revocations = Arc::new(Revocations::in_memory(identity.trust().clone()));
        let net = Net::new(Current::new(identity.clone()), revocations);
        let stream = net.dial(address, Expected::default()).await.unwrap();
        let channel = channel(stream, Endpoint::from_static("http://peer")).await.unwrap();
        Self { client: PeerClient::new(channel), _net: net }
    }

    async fn exchange(&mut self) -> Result<Exchange, Status> {
        let (to, outbound) = mpsc::channel(4);
        let from = self.client.exchange(ReceiverStream::new(outbound)).await?.into_inner();
        Ok(Exchange { to, from })
    }
}

impl Exchange {
    async fn say(&self, told: Told) {
        let _ = self.to.send(told.into()).await;
    }

    async fn hello(&self, revocations: Option<[u8; 32]>) {
        self.say(Told::Hello(Hello { from: 1, to: 1, cluster: "prod".into(), epoch: 1, revocations })).await;
    }

    async fn hear(&mut self) -> Option<Told> {
        let heard = tokio::time::timeout(Duration::from_secs(10), self.from.message()).await.unwrap();
        heard.ok().flatten().map(|message| Told::try_from(message).unwrap())
    }

    /// Listens until it ends.
    async fn ended(&mut self) {
        while self.hear().await.is_some() {}
    }
}

#[test]
fn a_connection_carries_one_exchange_and_says_nothing_of_the_expelled_before_hello() {
    let authority = Authority::found();
    let node = Node::start();
    node.enter(&authority.member("one"), Vec::new()).unwrap();
    let operator = &authority.founded.operator;
    let statement = Revocation::by_operator(operator, NodeId([9; 32]), Role::Node, clock::now()).unwrap();
    node.runtime.block_on(node.handle.revoke(vec![statement.clone()])).unwrap();
    let (member, address) = (authority.member("hostile"), node.address());
    node.runtime.block_on(async {
        let mut raw = Raw::dial(&member, address).await;
        let mut first = raw.exchange().await.unwrap();
        let Some(Told::Hello(hello)) = first.hear().await else { panic!("hello comes first") };
        let second = raw.exchange().await.err().unwrap();
        assert_eq!(second.code(), Code::ResourceExhausted, "{second}");
        first.hello(None).await;
        assert_eq!(first.hear().await, Some(Told::Revocations(vec![statement])));
        drop(first);
        let third = raw.exchange().await.err().unwrap();
        assert_eq!(third.code(), Code::ResourceExhausted, "not after its end either");
        // Who knows the same is told nothing of it.
        let mut raw = Raw::dial(&member, address).await;
        let mut knowing = raw.exchange().await.unwrap();
        knowing.hear().await.unwrap();
        knowing.hello(hello.revocations).await;
        let told = knowing.hear().await;
        assert!(told.is_some() && !matches!(told, Some(Told::Revocations(_))), "{told:?}");
    });
}

#[test]
fn a_forged_revocation_ends_the_stream_and_expels_nobody() {
    let authority = Authority::found();
    let node = Node::start();
    node.enter(&authority.member("one"), Vec::new()).unwrap();
    let operator = &authority.founded.operator;
    let mut forged = Revocation::by_operator(operator, NodeId([9; 32]), Role::Node, clock::now()).unwrap();
    // The statement's beginning: the cluster's name has the same length, and the signature does not hold any more.
    let at = forged.windows(4).position(|four| four == [9; 4]).unwrap();
    forged[at] = 8;
    let (member, address) = (authority.member("hostile"), node.address());
    node.runtime.block_on(async {
        let mut raw = Raw::dial(&member, address).await;
        let mut exchange = raw.exchange().await.unwrap();
        exchange.hello(None).await;
        exchange.say(Told::Revocations(vec![forged])).await;
        exchange.ended().await;
    });
    assert_eq!(node.counters.fleet.malformed.get(), 1);
}

#[test]
fn a_full_set_of_expulsions_reaches_who_comes_later_and_closes_no_stream() {
    let authority = Authority::found();
    let (one, other) = (Node::start(), Node::start());
    one.enter(&authority.member("one"), Vec::new()).unwrap();
    let mut bytes = 0;
    let mut revoke = |statements: Vec<Vec<u8>>| {
        bytes += statements.iter().map(Vec::len).sum::<usize>();
        one.runtime.block_on(one.handle.revoke(statements)).unwrap();
    };
    let numbered = |n: u64| {
        let mut node = [7; 32];
        node[..8].copy_from_slice(&n.to_be_bytes());
        NodeId(node)
    };
    for operator in 0..4 {
        let operator = authority.operator(&format!("operator-{operator}"));
        let says = |n| Revocation::by_operator(&operator, numbered(n), Role::Node, clock::now()).unwrap();
        revoke((0..1024).map(says).collect());
    }
    let root_says = |n| Revocation::by_root(&authority.founded.root, numbered(n), clock::now()).unwrap();
    revoke((5000..7500).map(root_says).collect());
    assert!(bytes > links::OUTBOX, "{bytes} bytes");
    other.enter(&authority.member("other"), vec![one.address()]).unwrap();
    let kept = || std::fs::metadata(other.handle.folder().join("revocations")).unwrap().len();
    until("the other knows them all", || kept() > bytes as u64);
    assert_eq!(one.counters.fleet.outboxes_full.get() + other.counters.fleet.outboxes_full.get(), 0);
    assert_eq!(other.status().unwrap().peers_connected, 1);
}

#[test]
fn datagrams_for_nobody_here_never_reach_the_driver() {
    let authority = Authority::found();
    let node = Node::start();
    node.enter(&authority.member("one"), Vec::new()).unwrap();
    let (socket, address) = (UdpSocket::bind("127.0.0.1:0").unwrap(), node.address());
    for n in 0..100_u8 {
        socket.send_to(&[n; 200], address).unwrap();
    }
    let fleet = &node.counters.fleet;
    // Each is counted when it comes, and again when it is dropped.
    until("all are dropped", || fleet.datagrams_dropped.get() == 100);
    assert_eq!(fleet.datagrams.get(), 100);
}

#[test]
fn whoever_left_enters_again_at_once_on_the_same_port() {
    let authority = Authority::found();
    let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (node, other) = (Node::listening(free), Node::start());
    other.enter(&authority.member("other"), Vec::new()).unwrap();
    for n in 0..3 {
        node.enter(&authority.member(&format!("one-{n}")), vec![other.address()]).unwrap();
        until("they are connected", || node.status().unwrap().peers_connected == 1);
        node.runtime.block_on(node.handle.leave()).unwrap();
        network::Sockets::bind(free).unwrap();
        // What is put aside is named by the second.
        std::thread::sleep(Duration::from_secs(1));
    }
}

#[test]
fn a_node_whose_port_is_taken_comes_into_the_fleet_when_it_is_free() {
    let authority = Authority::found();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (node, other) = (Node::listening(taken.local_addr().unwrap()), Node::start());
    other.enter(&authority.member("other"), Vec::new()).unwrap();
    node.equip(&authority.member("one"));
    let reach = Reach { advertise: None, seeds: Vec::new() };
    reach.save(&node.handle.folder()).unwrap();
    // As at a start.
    let opening = node.control.open(None).unwrap();
    let (reply, answer) = oneshot::channel();
    node.inbox.send(Input::Fleet(crate::fleet::Input::Enter(Box::new(opening), reply)));
    node.runtime.block_on(answer).unwrap().unwrap();
    node.control.begin().unwrap();
    let wrong = || node.control.health.list().into_iter().map(|entry| entry.what).collect::<String>();
    until("it says what is wrong", || wrong().contains("cannot listen"));
    drop(taken);
    until("it is right again", || wrong().is_empty());
    let address = node.address();
    node.runtime.block_on(async {
        Raw::dial(&authority.member("caller"), address).await;
    });
}
