//! What real packets meet, on both rule engines and in both families.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::{
    io::Read,
    net::{SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use common::*;
use nix::sched::{CloneFlags, setns};
use smartfw_core::{Strength, enforcement::Change};
use smartfw_enforce::{Backend, Counters, Enforcer, Iptables, Options, Table, can_drop_in_scratch};

fn on_both(test: fn(&Wire, Iptables)) {
    for backend in [Backend::Nft, Backend::Legacy] {
        on_a_wire(move |wire| test(wire, open(backend)));
    }
}

#[test]
fn a_hard_block_drops_everything_of_its_target_and_nothing_else() {
    on_both(|wire, mut enforcer| {
        enforcer.install(&[]).unwrap();
        for family in [0, 1] {
            assert!(wire.pings(PEER[family], HOST[family]));
            block(&mut enforcer, PEER[family], Strength::Hard);
            assert!(!wire.pings(PEER[family], HOST[family]));
            assert!(wire.pings(OTHER[family], HOST[family]));
            unblock(&mut enforcer, PEER[family]);
            assert!(wire.pings(PEER[family], HOST[family]));
        }
    });
}

#[test]
fn an_established_connection_survives_a_soft_block_and_dies_within_a_second_of_a_hard_one() {
    on_both(|wire, mut enforcer| {
        enforcer.install(&[]).unwrap();
        for family in [0, 1] {
            let listener = listen(family);
            let mut connection = wire.connect(&listener).unwrap();
            assert!(speaks(&mut connection));
            block(&mut enforcer, PEER[family], Strength::Soft);
            assert!(speaks(&mut connection));
            assert!(wire.connect(&listener).is_none());

            let begun = Instant::now();
            block(&mut enforcer, PEER[family], Strength::Hard);
            assert!(!speaks(&mut connection));
            let many = [net("203.0.113.0/24"), net("2001:db8:ffff::/48"), net(PEER[family])];
            let destroyed = match family {
                0 => enforcer.destroy(net(PEER[family])).unwrap(),
                _ => enforcer.destroy_all(&many).unwrap(),
            };
            assert_eq!(destroyed.sockets, 1);
            assert!(destroyed.tracked >= 1);
            let error = connection.1.read(&mut [0; 1]).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionAborted);
            assert!(begun.elapsed() < Duration::from_secs(1));
            unblock(&mut enforcer, PEER[family]);
        }
    });
}

#[test]
fn the_protected_pass_whatever_is_blocked() {
    on_both(|wire, mut enforcer| {
        enforcer.install(&[net(PEER[0]), net(PEER[1])]).unwrap();
        for (family, wide) in [(0, "10.0.0.0/8"), (1, "2001:db8::/32")] {
            for strength in [Strength::Hard, Strength::Soft] {
                block(&mut enforcer, wide, strength);
                assert!(wire.pings(PEER[family], HOST[family]));
                assert!(!wire.pings(OTHER[family], HOST[family]));
            }
        }
    });
}

#[test]
fn everything_can_be_blocked_and_only_the_protected_and_loopback_remain() {
    on_both(|wire, mut enforcer| {
        enforcer.install(&[net(PEER[0]), net(PEER[1])]).unwrap();
        for (family, everything) in [(0, "0.0.0.0/0"), (1, "::/0")] {
            block(&mut enforcer, everything, Strength::Hard);
            assert!(!wire.pings(OTHER[family], HOST[family]));
            assert!(wire.pings(PEER[family], HOST[family]));
            assert!(succeeds(&format!("ping -n -c 1 -W 1 {}", HOST[family])));
            let enforced = enforcer.enforced(now()).unwrap();
            assert!(enforced.blocks.contains_key(&net(everything)), "{:?}", enforced.blocks);
            unblock(&mut enforcer, everything);
            assert!(wire.pings(OTHER[family], HOST[family]));
        }
    });
}

#[test]
fn a_blocked_neighbour_can_still_find_us() {
    on_both(|wire, mut enforcer| {
        enforcer.install(&[]).unwrap();
        block(&mut enforcer, "2001:db8:77::/64", Strength::Hard);
        block(&mut enforcer, "fe80::/10", Strength::Hard);
        wire.peer(|| ip("-6 neigh flush dev sfw-p"));
        assert!(!wire.pings(PEER[1], HOST[1]));
        let neighbours = wire.peer(|| sh("ip -6 neigh show dev sfw-p"));
        let found = neighbours.lines().any(|line| line.starts_with(HOST[1]) && line.contains("lladdr"));
        assert!(found, "{neighbours}");
    });
}

#[test]
fn what_is_dropped_is_counted_by_its_entry() {
    on_both(|wire, mut enforcer| {
        enforcer.install(&[]).unwrap();
        block(&mut enforcer, PEER[0], Strength::Hard);
        block(&mut enforcer, "2001:db8:77::/64", Strength::Soft);
        for family in [0, 1] {
            assert!(!wire.pings(PEER[family], HOST[family]));
        }
        let counters = enforcer.counters().unwrap();
        assert_eq!(counters[&net(PEER[0])], Counters { packets: 1, bytes: 84 });
        assert_eq!(counters[&net("2001:db8:77::/64")], Counters { packets: 1, bytes: 104 });
        // A renewed block goes on counting, one by one and in bulk.
        block(&mut enforcer, PEER[0], Strength::Hard);
        let held = enforcer.enforced(now()).unwrap();
        enforcer.replace(now(), &held).unwrap();
        assert_eq!(enforcer.counters().unwrap(), counters);
    });
}

#[test]
fn other_tables_do_where_the_best_cannot_be_had() {
    let fallbacks: [&[Table]; 3] = [&[Table::Raw], &[Table::Mangle], &[Table::Raw, Table::Mangle]];
    for backend in [Backend::Nft, Backend::Legacy] {
        for avoid in fallbacks {
            on_a_wire(move |wire| {
                let avoid = avoid.to_vec();
                let mut enforcer = Iptables::open(Options { backend, avoid }).unwrap();
                enforcer.install(&[]).unwrap();
                for family in [0, 1] {
                    let listener = listen(family);
                    let mut connection = wire.connect(&listener).unwrap();
                    block(&mut enforcer, PEER[family], Strength::Soft);
                    assert!(speaks(&mut connection));
                    assert!(wire.connect(&listener).is_none());
                    block(&mut enforcer, PEER[family], Strength::Hard);
                    assert!(!speaks(&mut connection));
                    unblock(&mut enforcer, PEER[family]);
                }
                assert_eq!(enforcer.verify().unwrap(), []);
                assert_eq!(enforcer.remove().unwrap().left, [] as [&str; 0]);
            });
        }
    }
}

#[test]
fn a_thousand_connections_are_destroyed_within_a_second_and_the_protected_ones_are_not() {
    on_a_wire(|wire| {
        let mut enforcer = open(Backend::Default);
        enforcer.install(&[net(OTHER[0])]).unwrap();
        // One socket for both families: its IPv4 connections are mapped into IPv6.
        let listener = TcpListener::bind("[::]:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let to = SocketAddr::new(HOST[0].parse().unwrap(), port);
        let mut ends: Vec<(TcpStream, TcpStream)> = (0..1000)
            .map(|_| (wire.peer(|| TcpStream::connect(to)).unwrap(), listener.accept().unwrap().0))
            .collect();
        let spared = wire.peer(|| {
            std::process::Command::new("nc")
                .args(["-s", OTHER[0], HOST[0], &port.to_string()])
                .stdin(std::process::Stdio::piped())
                .spawn()
                .unwrap()
        });
        let (protected, _) = listener.accept().unwrap();

        block(&mut enforcer, "10.77.0.0/24", Strength::Hard);
        let begun = Instant::now();
        let destroyed = enforcer.destroy(net("10.77.0.0/24")).unwrap();
        let took = begun.elapsed();
        println!("destroyed {destroyed:?} in {took:?}");
        assert_eq!(destroyed.sockets, 1000);
        assert!(took < Duration::from_secs(1), "{took:?}");
        for (_, here) in &mut ends {
            here.set_nonblocking(true).unwrap();
            let error = here.read(&mut [0; 1]).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionAborted);
        }
        protected.set_nonblocking(true).unwrap();
        let error = (&protected).read(&mut [0; 1]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
        let mut spared = spared;
        spared.kill().unwrap();
        spared.wait().unwrap();
    });
}

#[test]
fn a_forwarded_connection_is_cut_and_forgotten() {
    on_both(|wire, mut enforcer| {
        let server = wire.server_behind();
        setns(&server, CloneFlags::CLONE_NEWNET).unwrap();
        let listener = TcpListener::bind("10.78.0.2:0").unwrap();
        wire.enter_host();
        enforcer.install(&[]).unwrap();
        let mut connection = wire.connect(&listener).unwrap();
        assert!(speaks(&mut connection));
        block(&mut enforcer, PEER[0], Strength::Hard);
        let destroyed = enforcer.destroy(net(PEER[0])).unwrap();
        assert_eq!((destroyed.sockets, destroyed.tracked), (0, 1));
        assert!(!speaks(&mut connection));
    });
}

#[test]
fn this_host_can_prove_that_it_drops() {
    on_a_wire(|_| {
        for backend in [Backend::Nft, Backend::Legacy] {
            let proof = can_drop_in_scratch(Options { backend, ..Options::default() }).unwrap();
            assert!(proof.v4 && proof.v6, "{proof:?}");
            assert_eq!(proof.hooks.len(), 4);
        }
    });
}

#[test]
fn a_block_in_the_kernel_ends_by_itself() {
    on_both(|wire, mut enforcer| {
        enforcer.install(&[]).unwrap();
        enforcer.apply(now(), &[Change::Block(entry(PEER[0], Strength::Hard, Some(1)))]).unwrap();
        assert!(!wire.pings(PEER[0], HOST[0]));
        std::thread::sleep(Duration::from_millis(3500));
        assert!(wire.pings(PEER[0], HOST[0]));
    });
}

#[test]
fn who_is_blocked_again_right_after_a_block_ended_is_counted_anew() {
    on_a_wire(|wire| {
        let mut enforcer = open(Backend::Nft);
        enforcer.install(&[]).unwrap();
        let blocked = entry(PEER[0], Strength::Hard, Some(1));
        let ends = blocked.expires.unwrap();
        enforcer.apply(now(), &[Change::Block(blocked)]).unwrap();
        assert!(!wire.pings(PEER[0], HOST[0]));
        // As the daemon ends it, some milliseconds late.
        std::thread::sleep(ends.since(now()) + Duration::from_millis(20));
        unblock(&mut enforcer, PEER[0]);
        block(&mut enforcer, PEER[0], Strength::Hard);
        assert_eq!(enforcer.counters().unwrap()[&net(PEER[0])], Counters::default());
    });
}
