//! What no node could see alone: weak evidence added up over a fleet, by real daemons against real services.
//!
//! All need root and the built programs: `cargo test -p smartfw-tests --test fleet_together -- --ignored --nocapture`.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test that cannot go on has failed")]

use std::{
    net::{IpAddr, Ipv4Addr},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use smartfw_tests::{
    fleet::{EVIL, Fleet, SPREAD, Sshd, Wire, address},
    process::until,
};

const ALL: [usize; 5] = [0, 1, 2, 3, 4];
/// Sums are told once a second, and an attempt without an answer is looked at again after three.
const TOGETHER: Duration = Duration::from_secs(10);
/// Guesses come from so many addresses.
const CROWD: u8 = 30;
/// Of which so many guess at the same time.
const HANDS: u8 = 30;

/// Alerts that a node lists.
fn alerts(fleet: &Fleet<'_>, node: usize) -> Vec<Value> {
    fleet.list(node, &["alerts"])
}

/// All alerts but those of the fleet's sums.
fn own(fleet: &Fleet<'_>) -> Vec<Value> {
    let all = (0..fleet.guards.len()).flat_map(|node| alerts(fleet, node));
    all.filter(|alert| alert["detector"] != "fleet").collect()
}

fn of_fleet(fleet: &Fleet<'_>) -> Vec<Value> {
    let all = (0..fleet.guards.len()).flat_map(|node| alerts(fleet, node));
    all.filter(|alert| alert["detector"] == "fleet").collect()
}

fn tell(alerts: &[Value]) {
    for alert in alerts {
        println!(
            "{} {} {} {}: {} ({})",
            alert["node"],
            alert["source"],
            alert["class"],
            alert["action"],
            alert["reason"],
            alert["evidence"]
        );
    }
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn one_port_on_each_of_five_is_a_scan_and_on_one_it_is_nothing() {
    let wire = Wire::new(5);
    let fleet = Fleet::start(&wire);
    let _ports: Vec<_> = ALL.iter().map(|node| fleet.open(*node, &[8443])).collect();
    let begun = Instant::now();
    for node in ALL {
        scan(&wire, EVIL, "-sT", node, "8443");
    }
    fleet.until_all(&ALL, EVIL.into(), true, TOGETHER);
    println!("in all kernels {:?} after the first port was asked", begun.elapsed());
    let said = of_fleet(&fleet);
    tell(&said);
    assert!(said.iter().any(|alert| alert["source"] == EVIL.to_string() && alert["class"] == "port_scan"));
    assert!(own(&fleet).is_empty(), "no node sees it alone: {:?}", own(&fleet));
    let hard = |node: &usize| fleet.kernel(*node).iter().any(|entry| entry.set.starts_with("smartfw_hard"));
    assert!(ALL.iter().all(hard), "handshakes prove it");
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn the_same_ports_on_a_node_alone_are_nothing() {
    let wire = Wire::new(1);
    let fleet = Fleet::start(&wire);
    let ports = [8443, 8444, 8445, 8446, 8447];
    let _ports = fleet.open(0, &ports);
    for port in ports {
        scan(&wire, EVIL, "-sT", 0, &port.to_string());
    }
    thread::sleep(TOGETHER);
    assert!(!fleet.drops(0, EVIL.into()) && alerts(&fleet, 0).is_empty(), "{:?}", alerts(&fleet, 0));
}

/// Asks a node's port with nmap.
fn scan(wire: &Wire, from: Ipv4Addr, how: &str, node: usize, port: &str) {
    wire.pose(from.into());
    let mut command = wire.attacker.command("nmap");
    command.args(["-n", "-Pn", how, "-p", port, "--max-retries", "0", &address(node).to_string()]);
    let done = command.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// Under anybody's name: the fleet says so, and blocks nobody for it.
#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn forged_probes_of_five_are_an_alert_and_no_block() {
    let wire = Wire::new(5);
    let fleet = Fleet::start(&wire);
    let victim = Ipv4Addr::new(198, 51, 100, 200);
    for node in ALL {
        // Two each: what one node can claim.
        for port in ["81", "82"] {
            let mut command = wire.attacker.command("hping3");
            let (from, to) = (victim.to_string(), address(node).to_string());
            command.args(["-q", "-c", "1", "-S", "-p", port, "-a", &from, &to]);
            command.output().unwrap();
        }
    }
    let said = || of_fleet(&fleet).into_iter().find(|alert| alert["source"] == victim.to_string());
    until("the fleet says so", TOGETHER, || said().is_some()).unwrap();
    thread::sleep(Duration::from_secs(3));
    tell(&of_fleet(&fleet));
    let alert = said().unwrap();
    assert_eq!((&alert["class"], &alert["action"]), (&"port_scan".into(), &"report".into()));
    for node in ALL {
        assert!(fleet.kernel(node).is_empty(), "node {node} drops {:?}", fleet.kernel(node));
    }
    assert!(own(&fleet).is_empty(), "{:?}", own(&fleet));
}

fn guesser(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(198, 51, 100, n + 1)
}

/// Three wrong passwords from each address, at the nodes that `at` names for the nth guess.
fn guess(wire: &Wire, at: impl Fn(u8, usize) -> usize + Sync) {
    (0..CROWD).for_each(|n| wire.lend(guesser(n).into()));
    thread::scope(|scope| {
        for hand in 0..HANDS {
            let at = &at;
            scope.spawn(move || {
                for n in (0..CROWD).filter(|n| n % HANDS == hand) {
                    (0..3).for_each(|guess| wire.mistype(at(n, guess), guesser(n)));
                }
            });
        }
    });
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn three_failures_each_of_thirty_addresses_are_a_campaign_against_five() {
    let wire = Wire::new(5);
    let fleet = Fleet::start(&wire);
    let _services: Vec<Sshd> = ALL.iter().map(|node| Sshd::open(&wire, *node)).collect();
    guess(&wire, |n, guess| (usize::from(n) + guess) % 5);
    let dropped = || (0..CROWD).filter(|n| fleet.drops(0, guesser(*n).into())).count();
    let most = usize::from(CROWD) * 9 / 10;
    let took = until("nearly all are dropped", TOGETHER, || dropped() >= most);
    let said = of_fleet(&fleet);
    tell(&said[..said.len().min(5)]);
    println!("{} of {CROWD} are dropped {took:?} after the last guess; {} alerts", dropped(), said.len());
    took.unwrap();
    for n in (0..CROWD).filter(|n| fleet.drops(0, guesser(*n).into())) {
        fleet.until_all(&ALL, guesser(n).into(), true, SPREAD);
    }
    assert!(said.iter().all(|alert| alert["class"] == "brute_force"));
    assert!(own(&fleet).is_empty(), "no node sees it alone: {:?}", own(&fleet));
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn the_same_guesses_at_a_node_alone_are_nothing() {
    let wire = Wire::new(1);
    let fleet = Fleet::start(&wire);
    let _sshd = Sshd::open(&wire, 0);
    guess(&wire, |_, _| 0);
    thread::sleep(Duration::from_secs(5));
    let hurt: Vec<IpAddr> =
        (0..CROWD).map(|n| guesser(n).into()).filter(|from| fleet.drops(0, *from)).collect();
    assert!(hurt.is_empty() && alerts(&fleet, 0).is_empty(), "{hurt:?} {:?}", alerts(&fleet, 0));
}
