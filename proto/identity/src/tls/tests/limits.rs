//! What many connections at once can do, and what rubbish.

use std::net::{IpAddr, Ipv4Addr};

use tokio::net::TcpSocket;
use tokio::time::sleep;

use super::*;

#[tokio::test]
async fn one_members_streams_are_bounded() {
    let world = World::new(system());
    let server = Server::new(&world.founded.identity, Roles::ANY).await;
    let node = net(&world.join(Role::Node, "web-1"));
    let mut streams = Vec::new();
    for _ in 0..=STREAMS_EACH {
        streams.push(node.dial(server.address, Expected::default()).await.unwrap());
    }
    let mut streams = streams.into_iter();
    let mut rest = Vec::new();
    let mut first = streams.next().unwrap();
    assert!(timeout(HANDSHAKE, first.read_to_end(&mut rest)).await.is_ok(), "the oldest was closed");
    let mut last = streams.last().unwrap();
    assert!(works(&mut last).await);
    drop((first, last));
    for _ in 0..100 {
        sleep(Duration::from_millis(20)).await;
        if server.net.open() + node.open() == 0 {
            return;
        }
    }
    panic!("{} and {} places were not given back", server.net.open(), node.open());
}

#[tokio::test]
async fn a_thousand_half_open_handshakes_keep_no_member_out() {
    let world = World::new(system());
    let server = Server::new(&world.founded.identity, Roles::ANY).await;
    let node = net(&world.join(Role::Node, "web-1"));
    let mut silent = Vec::new();
    for number in 0..1000_u32 {
        let socket = TcpSocket::new_v4().unwrap();
        // From twenty addresses, so that the limits of one address are not all that is tried.
        let from = Ipv4Addr::from(0x7f00_0100 + number % 20);
        socket.bind(SocketAddr::new(IpAddr::V4(from), 0)).unwrap();
        silent.push(socket.connect(server.address).await.unwrap());
    }
    let before = std::time::Instant::now();
    let mut stream = node.dial(server.address, Expected::default()).await.unwrap();
    assert!(works(&mut stream).await);
    assert!(before.elapsed() < HANDSHAKE, "while all the others still wait");

    let mut more = Vec::new();
    for _ in 0..2 * HALF_OPEN_EACH {
        more.push(TcpStream::connect(server.address).await.unwrap());
    }
    let mut stream = node.dial(server.address, Expected::default()).await.unwrap();
    assert!(works(&mut stream).await);
    assert!(server.stats.crowded.load(Ordering::Relaxed) >= HALF_OPEN_EACH as u64);
    let closed = timeout(Duration::from_secs(1), more[0].read(&mut [0; 8])).await;
    assert!(matches!(closed, Ok(Ok(0) | Err(_))), "the oldest is dropped long before it is too slow");
    assert_eq!(server.stats.members.load(Ordering::Relaxed), 2);
    sleep(HANDSHAKE + Duration::from_millis(500)).await;
    let gone = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
    let all = gone(&server.stats.slow) + gone(&server.stats.crowded);
    assert!(all >= 1000 + HALF_OPEN_EACH as u64, "{all} were given up");
}

#[tokio::test]
async fn rubbish_is_refused() {
    let world = World::new(system());
    let mut server = Server::new(&world.founded.identity, Roles::ANY).await;
    let mut tcp = TcpStream::connect(server.address).await.unwrap();
    tcp.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert!(matches!(server.refusal().await, Why::Handshake(_)));
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = other.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut tcp, _) = other.accept().await.unwrap();
        let _ = tcp.write_all(b"220 welcome to another service\r\n").await;
    });
    let node = net(&world.join(Role::Node, "web-1"));
    let refused = node.dial(address, Expected::default()).await.unwrap_err();
    assert!(matches!(refused, DialError::Handshake { .. }), "{refused}");
    let closed = node.dial("127.0.0.1:1".parse().unwrap(), Expected::default()).await.unwrap_err();
    assert!(matches!(closed, DialError::Connect { .. }), "{closed}");
}
