//! How long after the first node's kernel the last one's drops an attacker, measured by the packets of the attacker.
//!
//! All need root and the built programs: `cargo test -p smartfw-tests --test fleet_spread -- --ignored --nocapture`.
//! `SMARTFW_ROUNDS=50` attacks so often by each tool (at most 100 times); the figures want a machine that does nothing else.
#![expect(clippy::print_stdout, reason = "the figures are half of the answer")]

use std::{
    env,
    net::Ipv4Addr,
    process::Command,
    time::{Duration, Instant},
};

use smartfw_tests::{
    fleet::{Fleet, Probes, Sshd, Wire, address},
    process::Running,
};

/// An attack is seen and dropped everywhere within this, whatever the machine does besides.
const LIMIT: Duration = Duration::from_secs(12);
/// The last node is never so far behind the first, whatever the machine does besides.
const BEHIND: Duration = Duration::from_secs(2);

/// A way to attack: a name, the command, and the set that its source must be in at the end.
struct Way {
    name: &'static str,
    line: &'static str,
    hard: bool,
}

// In order, so that what answers is asked before so many unanswered ports that a soft block comes first.
const CONNECT: Way =
    Way { name: "nmap -sT", line: "nmap -n -Pn -sT -r --max-retries 1 -p 1-1000 {to}", hard: true };
const SYN: Way =
    Way { name: "nmap -sS", line: "nmap -n -Pn -sS -S {from} -e eth0 -p 1-1000 {to}", hard: false };
const HYDRA: Way = Way { name: "hydra", line: "hydra -I -t 8 -l root -P {words} ssh://{to}", hard: true };

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn the_last_of_five_drops_an_attacker_soon_after_the_first() {
    let wire = Wire::new(5);
    let fleet = Fleet::start(&wire);
    measure(&fleet, &[CONNECT, SYN, HYDRA], 2, Duration::from_millis(1), 50);
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn the_last_of_twenty_drops_an_attacker_soon_after_the_first() {
    let wire = Wire::new(20);
    let fleet = Fleet::start(&wire);
    measure(&fleet, &[CONNECT, SYN], 1, Duration::from_millis(4), 150);
}

/// Attacks node 0 again and again, each time from another address, and prints how far behind the others are.
fn measure(fleet: &Fleet<'_>, ways: &[Way], rounds: u8, pace: Duration, target: u32) {
    let rounds =
        env::var("SMARTFW_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(rounds).min(100);
    let _sshd = Sshd::open(fleet.wire, 0);
    let _open = fleet.open(0, &[1, 2]);
    let words: String = (0..500).map(|n| format!("wrong-{n}\n")).collect();
    std::fs::write(fleet.wire.dir.path().join("words"), words).expect("writable");
    let mut all = Vec::new();
    for (which, way) in ways.iter().enumerate() {
        let mut took: Vec<Duration> = Vec::new();
        for round in 0..rounds {
            let net = if which % 2 == 0 { [203, 0, 113] } else { [198, 51, 100] };
            let host = 20 + round + if which >= 2 { 115 } else { 0 };
            took.extend(one(fleet, way, Ipv4Addr::new(net[0], net[1], net[2], host), pace));
        }
        println!("{:<10} {}", way.name, figures(&mut took));
        all.extend(took);
    }
    println!(
        "{} nodes, all: {} (bound {target} ms p99, probes every {pace:?})",
        fleet.guards.len(),
        figures(&mut all)
    );
    assert!(all.iter().all(|took| *took < BEHIND), "{all:?}");
}

/// How far behind node 0 the other nodes are, in one attack.
fn one(fleet: &Fleet<'_>, way: &Way, from: Ipv4Addr, pace: Duration) -> Vec<Duration> {
    let probes = Probes::start(fleet.wire, from.into(), pace);
    fleet.wire.pose(from.into());
    let mut attack = launch(fleet, way, from);
    let dropped = probes.silenced(LIMIT);
    attack.end(libc::SIGKILL);
    let ends = probes.end();
    assert!(dropped, "{} from {from}: {ends:?}", way.name);
    for node in 0..fleet.guards.len() {
        let kernel = fleet.kernel(node);
        let sets: Vec<_> = kernel.iter().filter(|entry| entry.covers(from.into())).map(|e| &e.set).collect();
        let right = sets.iter().any(|set| set.starts_with("smartfw_hard"));
        assert!(!sets.is_empty() && (right || !way.hard), "{} on node {node}: {sets:?}", way.name);
    }
    let lost: u64 = ends.iter().map(|(_, lost)| lost).sum();
    assert_eq!(lost, 0, "no probe is lost before");
    let at: Vec<Instant> = ends.iter().filter_map(|(at, _)| *at).collect();
    at[1..].iter().map(|at_other| at_other.saturating_duration_since(at[0])).collect()
}

fn launch(fleet: &Fleet<'_>, way: &Way, from: Ipv4Addr) -> Running {
    let words = fleet.wire.dir.path().join("words");
    let fill = |part: &str| {
        part.replace("{to}", &address(0).to_string())
            .replace("{from}", &from.to_string())
            .replace("{words}", &words.display().to_string())
    };
    let parts: Vec<String> = way.line.split(' ').map(fill).collect();
    let mut command: Command = fleet.wire.attacker.command(&parts[0]);
    command.args(&parts[1..]).current_dir(fleet.wire.dir.path());
    Running::start(command, &fleet.wire.dir.path().join("attack.log")).expect("it starts")
}

fn figures(took: &mut [Duration]) -> String {
    took.sort_unstable();
    let at = |percent: usize| took[(took.len() * percent).div_ceil(100).max(1) - 1].as_secs_f64() * 1e3;
    let last = took.len() - 1;
    format!(
        "p50 {:.1} ms, p99 {:.1} ms, most {:.1} ms of {}",
        at(50),
        at(99),
        took[last].as_secs_f64() * 1e3,
        took.len()
    )
}
