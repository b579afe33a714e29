mod grpc;
mod limits;

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use smartfw_core::fleet::NodeId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_stream::StreamExt;

use super::*;
use crate::fixture::{DAY, World, before, label, system};
use crate::identity::Identity;
use crate::issue::request;
use crate::name::Role;
use crate::revocation::Revocation;
use crate::trust::{Refused, Roles};

/// A member that listens, greets whoever is accepted as HTTP/2 would, and echoes.
struct Server {
    net: Net,
    current: Current,
    revocations: Arc<Revocations>,
    address: SocketAddr,
    refusals: tokio::sync::mpsc::Receiver<Refusal>,
    stats: Arc<ListenStats>,
    seen: tokio::sync::mpsc::UnboundedReceiver<PeerInfo>,
    _listener: accept::ListenerTask,
}

impl Server {
    async fn new(identity: &Identity, roles: Roles) -> Self {
        let revocations = Arc::new(Revocations::in_memory(identity.trust().clone()));
        Self::with(identity, roles, revocations).await
    }

    async fn with(identity: &Identity, roles: Roles, revocations: Arc<Revocations>) -> Self {
        let current = Current::new(identity.clone());
        let net = Net::new(current.clone(), revocations.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = net.listen(listener, Listening { roles, joiners: true });
        let (tell, seen) = tokio::sync::mpsc::unbounded_channel();
        let (mut members, mut joiners) = (accepted.members, accepted.joiners);
        tokio::spawn(async move {
            while let Some(Ok(stream)) = members.next().await {
                let _ = tell.send(stream.info().clone());
                tokio::spawn(echo(stream));
            }
        });
        tokio::spawn(async move {
            while let Some(Ok(stream)) = joiners.next().await {
                tokio::spawn(echo(stream));
            }
        });
        let (refusals, stats) = (accepted.refusals, accepted.stats);
        Self { net, current, revocations, address, refusals, stats, seen, _listener: accepted.listener }
    }

    async fn refusal(&mut self) -> Why {
        timeout(HANDSHAKE, self.refusals.recv()).await.unwrap().unwrap().why
    }
}

async fn echo<I: Unpin>(mut stream: Stream<I>) {
    let _ = stream.write_all(b"hello").await;
    let mut bytes = [0; 64];
    while let Ok(read @ 1..) = stream.read(&mut bytes).await {
        let _ = stream.write_all(&bytes[..read]).await;
    }
}

async fn works<I: Unpin>(stream: &mut Stream<I>) -> bool {
    stream.write_all(b"ping").await.is_ok()
        && timeout(HANDSHAKE, async {
            let mut seen = Vec::new();
            let mut bytes = [0; 64];
            while !seen.ends_with(b"ping") {
                match stream.read(&mut bytes).await {
                    Ok(read @ 1..) => seen.extend_from_slice(&bytes[..read]),
                    _ => return false,
                }
            }
            true
        })
        .await
        .unwrap_or(false)
}

fn net(identity: &Identity) -> Net {
    let revocations = Arc::new(Revocations::in_memory(identity.trust().clone()));
    Net::new(Current::new(identity.clone()), revocations)
}

async fn dial(identity: &Identity, server: &Server) -> Result<MemberStream, DialError> {
    net(identity).dial(server.address, Expected::default()).await
}

fn refused_us(result: Result<MemberStream, DialError>) -> RefusedUs {
    match result {
        Err(DialError::RefusedUs { why, .. }) => why,
        other => panic!("{other:?}"),
    }
}

fn refused(result: Result<MemberStream, DialError>) -> Refused {
    match result {
        Err(DialError::Refused { why, .. }) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn members_know_each_other() {
    let world = World::new(system());
    let node = world.join(Role::Node, "web-1");
    let mut server = Server::new(&world.founded.identity, Roles::ANY).await;
    let mut stream = dial(&node, &server).await.unwrap();
    assert_eq!(stream.info().id(), world.founded.identity.id());
    assert_eq!(stream.info().peer.standing, crate::Standing::Valid);
    assert!(works(&mut stream).await);
    let seen = server.seen.recv().await.unwrap();
    assert_eq!((seen.id(), seen.peer.member.name.name.as_str()), (node.id(), "web-1"));
    assert_eq!(server.stats.members.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn whoever_shows_no_certificate_is_refused_and_told_so() {
    let world = World::new(system());
    let mut server = Server::new(&world.founded.identity, Roles::ANY).await;
    // The joining client without the joining protocol: a member's connection without a certificate.
    let finding = Arc::new(verify::Finding::default());
    let token = world.token(Role::Node);
    let mut config = config::join_client(verify::Rules::issuer_of(&token), finding).unwrap();
    config.alpn_protocols = vec![MEMBER_ALPN.to_vec()];
    let tcp = TcpStream::connect(server.address).await.unwrap();
    let name = rustls_pki_types::ServerName::IpAddress(server.address.ip().into());
    // It does not even come to a certificate: the root is missing in what members are shown.
    assert!(tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await.is_err());
    server.refusal().await;

    let mut config = config::client(&world.founded.identity, any(&world), Arc::default()).unwrap();
    config.client_auth_cert_resolver = Arc::new(Nothing);
    let tcp = TcpStream::connect(server.address).await.unwrap();
    let name = rustls_pki_types::ServerName::IpAddress(server.address.ip().into());
    let mut tls = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
    let error = tls.read(&mut [0; 8]).await.unwrap_err();
    assert_eq!(RefusedUs::of(&error), Some(RefusedUs::NoCertificate));
    assert_eq!(server.refusal().await, Why::Refused(Refused::NoCertificate));
}

#[derive(Debug)]
struct Nothing;

impl rustls::client::ResolvesClientCert for Nothing {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<rustls::sign::CertifiedKey>> {
        None
    }
    fn has_certs(&self) -> bool {
        false
    }
}

fn any(world: &World) -> verify::Rules {
    let trust = world.founded.identity.trust().clone();
    let revocations = Arc::new(Revocations::in_memory(trust.clone()));
    verify::Rules::Members { trust: trust.into(), revocations, roles: Roles::ANY, expected: None }
}

#[tokio::test]
async fn a_member_of_another_cluster_is_refused_by_both_sides() {
    let (world, other) = (World::new(system()), World::new(system()));
    let stranger = other.join(Role::Node, "web-1");
    let mut server = Server::new(&world.founded.identity, Roles::ANY).await;
    assert!(matches!(refused(dial(&stranger, &server).await), Refused::Foreign { .. }));
    assert_eq!(
        server.refusal().await,
        Why::RefusedUs(RefusedUs::Foreign),
        "the server learns that it was refused"
    );

    // One that does not look whom it talks to is refused by the server.
    let revocations = Arc::new(Revocations::in_memory(world.founded.identity.trust().clone()));
    let blind =
        Identity::new(stranger.key().clone(), stranger.chain().clone(), stranger.trust().clone()).unwrap();
    let rules = any(&world);
    let config = config::client(&blind, rules, Arc::default()).unwrap();
    drop(revocations);
    let tcp = TcpStream::connect(server.address).await.unwrap();
    let name = rustls_pki_types::ServerName::IpAddress(server.address.ip().into());
    let mut tls = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
    let error = tls.read(&mut [0; 8]).await.unwrap_err();
    assert_eq!(RefusedUs::of(&error), Some(RefusedUs::Foreign));
    assert!(matches!(server.refusal().await, Why::Refused(Refused::Foreign { .. })));
}

#[tokio::test]
async fn the_expired_may_come_in_their_grace_and_not_after() {
    let world = World::new(before(system(), DAY * 70));
    let graced = world.join_at(Role::Node, "web-1", before(system(), DAY * 40));
    let gone = world.join_at(Role::Node, "web-2", before(system(), DAY * 61));
    let early = world.join_at(Role::Node, "web-3", system().after(DAY * 3));
    let own = world.founded.signer.own(system()).unwrap();
    let mut server = Server::new(&own, Roles::ANY).await;
    assert!(dial(&graced, &server).await.is_ok());
    assert_eq!(server.seen.recv().await.unwrap().peer.standing, crate::Standing::Grace);
    assert_eq!(refused_us(dial(&gone, &server).await), RefusedUs::Expired);
    assert!(matches!(server.refusal().await, Why::Refused(Refused::Expired { .. })));
    assert_eq!(refused_us(dial(&early, &server).await), RefusedUs::Expired);
    assert!(matches!(server.refusal().await, Why::Refused(Refused::NotYetValid { .. })));
}

#[tokio::test]
async fn only_the_roles_that_are_let_in_are() {
    let world = World::new(system());
    let (node, operator) = (world.join(Role::Node, "web-1"), &world.founded.operator);
    let mut server = Server::new(&world.founded.identity, Roles::OPERATOR).await;
    assert!(dial(operator, &server).await.is_ok());
    assert_eq!(refused_us(dial(&node, &server).await), RefusedUs::Denied);
    assert!(matches!(server.refusal().await, Why::Refused(Refused::WrongRole { .. })));
    // And nobody takes an operator's machine for a member that answers.
    let trap = Server::new(operator, Roles::ANY).await;
    assert!(matches!(refused(dial(&node, &trap).await), Refused::WrongRole { role: Role::Operator, .. }));
}

#[tokio::test]
async fn another_member_at_the_address_is_not_taken_for_the_expected_one() {
    let world = World::new(system());
    let (one, other) = (world.join(Role::Node, "web-1"), world.join(Role::Node, "web-2"));
    let server = Server::new(&one, Roles::ANY).await;
    let dialer = net(&other);
    for expected in [
        Expected { id: Some(NodeId([1; 32])), name: None },
        Expected { id: None, name: Some(label("web-3")) },
        Expected { id: Some(one.id()), name: Some(label("web-3")) },
    ] {
        let why = refused(dialer.dial(server.address, expected).await);
        assert!(matches!(why, Refused::WrongMember { id, .. } if id == one.id()));
    }
    let right = Expected { id: Some(one.id()), name: Some(label("web-1")) };
    assert!(dialer.dial(server.address, right).await.is_ok());
}

#[tokio::test]
async fn the_revoked_are_refused_and_their_open_streams_closed_at_once() {
    let world = World::new(system());
    let (node, other) = (world.join(Role::Node, "web-1"), world.join(Role::Node, "web-2"));
    let mut server = Server::new(&world.founded.identity, Roles::ANY).await;
    let (mut stream, mut stays) = (dial(&node, &server).await.unwrap(), dial(&other, &server).await.unwrap());
    assert!(works(&mut stream).await && works(&mut stays).await);
    let operator = &world.founded.operator;
    let bytes = Revocation::by_operator(operator, node.id(), Role::Node, system()).unwrap();
    server.revocations.insert([bytes.as_slice()]).unwrap();
    let mut rest = Vec::new();
    let ended = timeout(Duration::from_secs(1), stream.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "the stream was closed, without a word from us");
    assert!(works(&mut stays).await);
    assert_eq!(refused_us(dial(&node, &server).await), RefusedUs::Revoked);
    assert!(matches!(server.refusal().await, Why::Refused(Refused::Revoked { .. })));
    // The one who was revoked is refused as a server, too.
    let there = Server::new(&node, Roles::ANY).await;
    let why = refused(server.net.dial(there.address, Expected::default()).await);
    assert!(matches!(why, Refused::Revoked { .. }));
}

#[tokio::test]
async fn a_set_that_cannot_be_read_refuses_new_connections_both_ways() {
    let world = World::new(system());
    let node = world.join(Role::Node, "web-1");
    let broken = Revocations::open(&world.dir.path().join("none"), node.trust().clone());
    let mut server = Server::with(&world.founded.identity, Roles::ANY, Arc::new(broken)).await;
    assert_eq!(refused_us(dial(&node, &server).await), RefusedUs::Unable);
    assert!(matches!(server.refusal().await, Why::Refused(Refused::RevocationsUnreadable(_))));
    let there = Server::new(&node, Roles::ANY).await;
    let why = refused(server.net.dial(there.address, Expected::default()).await);
    assert!(matches!(why, Refused::RevocationsUnreadable(_)));
}

#[tokio::test]
async fn a_renewed_certificate_is_used_at_once_and_open_streams_go_on() {
    let world = World::new(before(system(), DAY));
    let node = world.join(Role::Node, "web-1");
    let server = Server::new(&node, Roles::ANY).await;
    let signer = net(&world.founded.identity);
    let mut old = signer.dial(server.address, Expected::default()).await.unwrap();
    let chain = world
        .founded
        .signer
        .renew(node.member(), &request(node.key()).unwrap(), &world.revocations, world.now.after(DAY))
        .unwrap();
    server.current.replace(node.renewed(chain).unwrap());
    let new = signer.dial(server.address, Expected::default()).await.unwrap();
    let ends = [&old, &new].map(|stream| stream.info().peer.member.not_after);
    assert_eq!(ends[1], ends[0].after(DAY));
    assert!(works(&mut old).await);
}

#[tokio::test]
async fn a_token_reaches_its_signer_without_a_certificate_and_nobody_else() {
    let world = World::new(system());
    let token = world.token(Role::Node);
    let signer = Server::new(&world.founded.identity, Roles::ANY).await;
    let (mut stream, peer) = token.dial(signer.address).await.unwrap();
    assert_eq!(peer.member.id, world.founded.identity.id());
    assert!(works(&mut stream).await);
    assert_eq!(signer.stats.members.load(Ordering::Relaxed), 0, "a stranger is never among the members");
    assert_eq!(signer.stats.joiners.load(Ordering::Relaxed), 1);

    let node = Server::new(&world.join(Role::Node, "web-1"), Roles::ANY).await;
    let refused = token.dial(node.address).await.unwrap_err();
    assert!(matches!(refused, DialError::Refused { why: Refused::WrongRole { .. }, .. }), "{refused}");
    let elsewhere = World::new(system());
    let other = Server::new(&elsewhere.founded.identity, Roles::ANY).await;
    let refused = token.dial(other.address).await.unwrap_err();
    assert!(matches!(refused, DialError::Refused { why: Refused::WrongRoot, .. }), "{refused}");
}

#[tokio::test]
async fn a_listener_without_joiners_takes_no_strangers() {
    let world = World::new(system());
    let node = net(&world.founded.identity);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let _accepted = node.listen(listener, Listening { roles: Roles::ANY, joiners: false });
    let refused = world.token(Role::Node).dial(address).await.unwrap_err();
    assert!(matches!(refused, DialError::RefusedUs { why: RefusedUs::Unable, .. }), "{refused}");
}
