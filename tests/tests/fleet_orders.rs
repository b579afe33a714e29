//! Many blocks, the expelled, sites, IPv6, networks that carry no datagrams, and what a fleet costs when nothing
//! happens. The namespaces have neither DNS nor a way to the Internet, and there is no coordinator.
//!
//! All need root and the built programs: `cargo test -p smartfw-tests --test fleet_orders -- --ignored --nocapture`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    fmt::Write as _,
    fs,
    net::{IpAddr, Ipv4Addr},
    thread,
    time::{Duration, Instant},
};

use smartfw_tests::{
    fleet::{Authority, EVIL, Fleet, SPREAD, Wire},
    process::until,
};

const ALL: [usize; 5] = [0, 1, 2, 3, 4];
const OTHER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
const LATER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 11);

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn a_hundred_thousand_blocks_given_to_one_are_in_every_kernel() {
    const MANY: usize = 100_000;
    let wire = Wire::new(5);
    let fleet = Fleet::start(&wire);
    let mut lines = String::new();
    for n in 0..MANY {
        writeln!(lines, "20.{}.{}.{}", n / 62_500, n / 250 % 250, n % 250 + 1).unwrap();
    }
    let file = wire.dir.path().join("list");
    fs::write(&file, lines).unwrap();
    let begun = Instant::now();
    let said = fleet.order(0, &["import", &file.display().to_string()]);
    println!("imported after {:?}: {}", begun.elapsed(), said.trim());
    let mut full = [None; 5];
    until("every kernel holds all", Duration::from_secs(30), || {
        for node in ALL {
            if full[node].is_none() && fleet.held(node) == MANY {
                full[node] = Some(begun.elapsed());
            }
        }
        full.iter().all(Option::is_some)
    })
    .unwrap_or_else(|error| panic!("{error}: {:?}", ALL.map(|node| fleet.held(node))));
    println!("100,000 blocks in the kernels after {full:?} (bound 5 s)");
    let memory: Vec<String> = fleet.guards.iter().map(|guard| resident(guard.pid().unwrap())).collect();
    println!("resident of `ip netns exec`, which becomes the daemon: {memory:?}");
}

fn resident(pid: u32) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.unwrap_or("?").trim().to_owned()
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn who_is_expelled_is_believed_in_nothing_and_heard_no_more() {
    let wire = Wire::new(5);
    let fleet = Fleet::start(&wire);
    let rest = [0, 1, 2, 3];
    fleet.attack(4, EVIL);
    fleet.attack(0, OTHER);
    fleet.until_all(&ALL, EVIL.into(), true, SPREAD);
    fleet.until_all(&ALL, OTHER.into(), true, SPREAD);
    fleet.order(4, &["block", "192.0.2.77", "--for", "1h"]);
    fleet.until_all(&ALL, Ipv4Addr::new(192, 0, 2, 77).into(), true, SPREAD);
    let said = fleet.order(1, &["cluster", "revoke", "node-4", "--yes"]);
    println!("{}", said.trim());
    println!("its block is void after {:?}", fleet.until_all(&rest, EVIL.into(), false, SPREAD));
    let closed = || rest.iter().all(|node| fleet.streams(*node) <= 3.0 && fleet.alive(*node) <= 3.0);
    println!("its streams are closed after {:?}", until("they are", SPREAD, closed).unwrap());
    assert!(rest.iter().all(|node| fleet.drops(*node, OTHER.into())), "what others said stands");
    let carried = Ipv4Addr::new(192, 0, 2, 77).into();
    assert!(rest.iter().all(|node| fleet.drops(*node, carried)), "and what an operator said through it");
    fleet.attack(4, LATER);
    until("it says something", SPREAD, || fleet.drops(4, LATER.into())).unwrap();
    thread::sleep(Duration::from_secs(3));
    assert!(rest.iter().all(|node| !fleet.drops(*node, LATER.into())), "nobody hears it");
    assert!(rest.iter().all(|node| fleet.alive(*node) <= 3.0), "and it does not come back");
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn an_attack_over_ipv6_is_dropped_by_all() {
    let wire = Wire::new(5);
    let fleet = Fleet::start(&wire);
    let from: IpAddr = "2001:db8:3::66".parse().unwrap();
    fleet.attack(1, from);
    println!(
        "dropped by all within {:?} after the attacker gave up",
        fleet.until_all(&ALL, from, true, SPREAD)
    );
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn private_attackers_stay_within_their_site() {
    let wire = Wire::new(4);
    let authority = Authority::found("prod");
    let mut fleet = Fleet::equipped(&wire, &authority, 0);
    for (node, site) in ["east", "east", "west", "west"].into_iter().enumerate() {
        fleet.add_at(node, &authority, site);
    }
    (0..4).for_each(|node| fleet.launch(node));
    fleet.formed(3);
    let private = Ipv4Addr::new(192, 168, 50, 7);
    fleet.attack(0, private);
    fleet.attack(0, EVIL);
    println!("in its site after {:?}", fleet.until_all(&[0, 1], private.into(), true, SPREAD));
    fleet.until_all(&[0, 1, 2, 3], EVIL.into(), true, SPREAD);
    thread::sleep(Duration::from_secs(3));
    let told = |node: usize| fleet.guards[node].order(&["cluster", "blocks", "-o", "raw"]).unwrap();
    for node in [2, 3] {
        assert!(!fleet.drops(node, private.into()), "it is somebody else there");
        assert!(!told(node).contains("192.168.50.7"), "and nobody there hears of it: {}", told(node));
    }
    assert!(told(1).contains("192.168.50.7"), "{}", told(1));
    fleet.attack(3, private);
    fleet.until_all(&[2, 3], private.into(), true, SPREAD);
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn a_member_whose_datagrams_are_dropped_from_now_on_stays_one() {
    let wire = Wire::new(5);
    let fleet = Fleet::start(&wire);
    wire.mute(3, true);
    let mut least = [4.0_f64; 5];
    for _ in 0..20 {
        thread::sleep(Duration::from_secs(1));
        ALL.iter().for_each(|node| least[*node] = least[*node].min(fleet.alive(*node)));
    }
    println!("alive within 20 s, as each saw it: at least {least:?}");
    fleet.attack(3, EVIL);
    println!("from it to all {:?}", fleet.until_all(&ALL, EVIL.into(), true, SPREAD));
    fleet.attack(0, OTHER);
    println!("from others to it {:?}", fleet.until_all(&ALL, OTHER.into(), true, SPREAD));
    assert!(least.iter().all(|alive| *alive >= 4.0), "nobody was given up: {least:?}");
}

/// Only streams get through to it: of those whom it does not know it hears through others, and dials them.
#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn a_node_whose_datagrams_are_dropped_becomes_a_member_all_the_same() {
    let wire = Wire::new(3);
    wire.mute(2, true);
    let fleet = Fleet::start(&wire);
    fleet.attack(2, EVIL);
    fleet.until_all(&[0, 1, 2], EVIL.into(), true, SPREAD);
    fleet.attack(1, OTHER);
    fleet.until_all(&[0, 1, 2], OTHER.into(), true, SPREAD);
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn an_idle_fleet_is_nearly_silent_on_the_wire() {
    const WATCHED: u64 = 20;
    let wire = Wire::new(5);
    let fleet = Fleet::start(&wire);
    fleet.attack(0, EVIL);
    fleet.until_all(&ALL, EVIL.into(), true, SPREAD);
    thread::sleep(Duration::from_secs(5));
    let before = ALL.map(|node| traffic(&wire, node));
    thread::sleep(Duration::from_secs(WATCHED));
    let after = ALL.map(|node| traffic(&wire, node));
    let rates = ALL.map(|node| {
        let [received, sent] = [0, 1].map(|way| (after[node][way] - before[node][way]) / WATCHED);
        (received, sent)
    });
    println!("bytes a second, received and sent, of each of five: {rates:?} (bound 1,024 sent)");
    assert!(rates.iter().all(|(_, sent)| *sent <= 3072), "{rates:?}");
}

/// Bytes that a node's link has received and sent, with their Ethernet headers.
fn traffic(wire: &Wire, node: usize) -> [u64; 2] {
    let table = wire.nodes[node].inside(|| fs::read_to_string("/proc/thread-self/net/dev").unwrap()).unwrap();
    let line = table.lines().find_map(|line| line.trim().strip_prefix("eth0:")).unwrap().to_owned();
    let numbers: Vec<u64> = line.split_whitespace().map(|word| word.parse().unwrap()).collect();
    [numbers[0], numbers[8]]
}
