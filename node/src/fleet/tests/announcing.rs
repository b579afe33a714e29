//! Coordinators that announce themselves, and are told.

use smartfw_core::EventKind;
use smartfw_identity::{
    Revocation,
    tls::{Expected, Net, channel},
};
use smartfw_proto::{
    convert::Announced,
    limits,
    view::Coordinator,
    wire::{
        AnnounceRequest, ExpelRequest, PeerMessage, announcement_client::AnnouncementClient,
        peer_client::PeerClient,
    },
};
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};

use super::*;
use crate::uplink::fake::Fake;

async fn dial(identity: &Identity, address: SocketAddr) -> (Net, Channel) {
    let revocations = Arc::new(Revocations::in_memory(identity.trust().clone()));
    let net = Net::new(Current::new(identity.clone()), revocations);
    let stream = net.dial(address, Expected::default()).await.unwrap();
    let channel = channel(stream, Endpoint::from_static("http://peer")).await.unwrap();
    (net, channel)
}

async fn announce(who: &Identity, at: SocketAddr, address: &str) -> Result<Announced, Status> {
    let (_net, channel) = dial(who, at).await;
    let request = AnnounceRequest { address: address.into() };
    let answer = AnnouncementClient::new(channel).announce(request).await?;
    Ok(answer.into_inner().try_into().unwrap())
}

#[test]
fn a_coordinator_is_known_protected_and_told_by_everybody_once_it_has_announced_itself_to_one() {
    let (authority, one, other) = pair();
    let coordinator = authority.admit("view", Role::Coordinator);
    let fake = Fake::default();
    assert_eq!(other.uplink.state(), Coordinator::None);
    let at = one.address();
    let answer = one.runtime.block_on(async {
        let address = fake.serve(&coordinator).await;
        announce(&coordinator, at, &address.to_string()).await.unwrap()
    });
    assert_eq!(answer.lasts, Duration::from_secs(3600));
    let mut members: Vec<_> = answer.members.iter().map(|it| (it.name.as_str(), it.state.as_str())).collect();
    members.sort_unstable();
    assert_eq!(members, [("one", "alive"), ("other", "alive")]);
    until("both report to it", || {
        [&one, &other].iter().all(|node| node.uplink.state() == Coordinator::Connected)
    });
    other.detects("203.0.113.7");
    let target = Some(net("203.0.113.7/32"));
    let heard = |kind| fake.heard().events.iter().any(|event| (event.kind, event.address) == (kind, target));
    until("it hears of the alert and the block", || heard(EventKind::Alert) && heard(EventKind::Block));
    assert!(!heard(EventKind::Lift));
}

#[test]
fn what_an_operator_blocks_is_told_by_the_node_that_carries_the_order_alone() {
    let (authority, one, other) = pair();
    let coordinator = authority.admit("view", Role::Coordinator);
    let (fake, at) = (Fake::default(), one.address());
    one.runtime.block_on(async {
        let address = fake.serve(&coordinator).await;
        announce(&coordinator, at, &address.to_string()).await.unwrap();
    });
    until("both report to it", || fake.heard().lists == 2);
    let target = net("203.0.113.8/32");
    let kind = OrderKind::Block {
        targets: vec![target],
        duration: Some(Duration::from_secs(600)),
        class: Class::Manual,
        reason: "seen elsewhere".into(),
        force: false,
    };
    let (operator, issued) = ("operator".into(), clock::now());
    let order = OperatorOrder { id: 7, operator, issued, lasts: None, site: None, kind };
    let signed = sign_order(&authority.founded.operator, &order, &PeerCodec).unwrap();
    one.runtime.block_on(one.handle.order(signed)).unwrap();
    until("the other drops it", || other.targets() == [target]);
    until("it is told", || fake.heard().blocks.len() == 1);
    fake.hang_up();
    until("the lists have come again", || fake.heard().lists == 5);
    let told: Vec<_> = fake.heard().blocks.iter().map(|block| block.target).collect();
    assert_eq!(told, [target, target], "by the one that carries it, each time");
}

async fn expel(who: &Identity, at: SocketAddr, revocation: Vec<u8>) -> Result<(), Status> {
    let (_net, channel) = dial(who, at).await;
    AnnouncementClient::new(channel).expel(ExpelRequest { revocation }).await.map(drop)
}

#[test]
fn who_is_expelled_by_an_operators_word_that_a_coordinator_passes_on_is_out_at_every_member() {
    let (authority, one, other) = pair();
    let (coordinator, third) = (authority.admit("view", Role::Coordinator), Node::start());
    let member = authority.member("third");
    third.enter(&member, vec![one.address()]).unwrap();
    let connected = |node: &Node| node.status().is_some_and(|status| status.peers_connected == 2);
    until("all are connected", || connected(&one) && connected(&other));
    let operator = &authority.founded.operator;
    let says = |node| Revocation::by_operator(operator, node, Role::Node, clock::now()).unwrap();
    let mut forged = says(member.id());
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let at = one.address();
    let outside = Authority::found();
    let foreign =
        Revocation::by_operator(&outside.founded.operator, member.id(), Role::Node, clock::now()).unwrap();
    one.runtime.block_on(async {
        for (wrong, code) in [
            (forged, Code::FailedPrecondition),
            (foreign, Code::FailedPrecondition),
            (vec![0xff; 100], Code::FailedPrecondition),
            (Vec::new(), Code::FailedPrecondition),
            (vec![0; limits::REVOCATION + 1], Code::InvalidArgument),
        ] {
            assert_eq!(expel(&coordinator, at, wrong).await.unwrap_err().code(), code);
        }
        let refused = expel(&authority.member("two"), at, says(member.id())).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
    });
    assert!(connected(&one) && connected(&other), "nothing of that expels anybody");
    one.runtime.block_on(expel(&coordinator, at, says(member.id()))).unwrap();
    let alone = |node: &Node| node.status().is_some_and(|status| status.peers_connected == 1);
    until("the others have parted with it", || alone(&one) && alone(&other));
    one.runtime.block_on(expel(&coordinator, at, says(member.id()))).unwrap();
}

#[test]
fn where_a_coordinator_is_nobody_blocks() {
    let (authority, one, other) = pair();
    let coordinator = authority.admit("view", Role::Coordinator);
    let at = one.address();
    one.runtime.block_on(announce(&coordinator, at, "198.51.100.7:7480")).unwrap();
    until("the other protects it", || why(&other) == Some("by the word of one".into()));
    until("so does the one", || why(&one) == Some("by the word of one".into()));
}

#[test]
fn only_a_coordinator_announces_itself_and_it_takes_part_in_nothing_else() {
    let authority = Authority::found();
    let node = Node::start();
    node.enter(&authority.member("one"), Vec::new()).unwrap();
    let (coordinator, member) = (authority.admit("view", Role::Coordinator), authority.member("two"));
    let at = node.address();
    node.runtime.block_on(async {
        let refused = announce(&member, at, "198.51.100.7:7480").await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
        let refused = announce(&coordinator, at, "0.0.0.0:7480").await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        let (_net, channel) = dial(&coordinator, at).await;
        let nothing = tokio_stream::pending::<PeerMessage>();
        let refused = PeerClient::new(channel).exchange(nothing).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
        // Who moves all the time is not told of each time.
        announce(&coordinator, at, "198.51.100.7:7480").await.unwrap();
        let refused = announce(&coordinator, at, "198.51.100.8:7480").await.unwrap_err();
        assert!(refused.message().contains("again in"), "{}", refused.message());
    });
    assert_eq!(node.status().unwrap().peers_connected, 0);
}
