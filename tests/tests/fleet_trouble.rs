//! What a fleet survives: partitions, lost packets, wrong clocks, killed and wiped members, the loss of its first
//! node. What is said of kernels is read from the kernels.
//!
//! All need root and the built programs: `cargo test -p smartfw-tests --test fleet_trouble -- --ignored --nocapture`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    collections::BTreeSet,
    fs,
    net::Ipv4Addr,
    thread,
    time::{Duration, Instant},
};

use smartfw_tests::{
    fleet::{Authority, EVIL, Fleet, SPREAD, Wire, address, long, skew},
    process::until,
};

const OTHER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
const LATER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 11);
const ALL: [usize; 5] = [0, 1, 2, 3, 4];
/// A healed partition has healed after this.
const HEALED: Duration = Duration::from_secs(5);
/// Longer than it takes to give each other up for dead.
const GIVEN_UP: Duration = Duration::from_secs(15);

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn two_and_three_decide_apart_and_agree_when_the_partition_heals() {
    let (one, other) = ([0, 1], [2, 3, 4]);
    let (before, apart) = (Ipv4Addr::new(192, 0, 2, 66), Ipv4Addr::new(192, 0, 2, 77));
    let wire = Wire::new(5);
    let fleet = Fleet::start(&wire);
    fleet.order(0, &["block", &before.to_string(), "--for", "1h"]);
    fleet.until_all(&ALL, before.into(), true, SPREAD);
    wire.part(&one, &other, true);
    fleet.attack(0, EVIL);
    fleet.attack(4, OTHER);
    fleet.order(3, &["block", &apart.to_string(), "--for", "1h"]);
    fleet.order(1, &["unblock", &before.to_string()]);
    fleet.until_all(&one, EVIL.into(), true, SPREAD);
    fleet.until_all(&one, before.into(), false, SPREAD);
    fleet.until_all(&other, OTHER.into(), true, SPREAD);
    fleet.until_all(&other, apart.into(), true, SPREAD);
    thread::sleep(GIVEN_UP);
    let here = [fleet.drops(0, EVIL.into()), fleet.drops(0, OTHER.into()), fleet.drops(0, apart.into())];
    let there = [EVIL, OTHER, before].map(|address| fleet.drops(4, address.into()));
    assert_eq!((here, there), ([true, false, false], [false, true, true]), "they are apart");
    println!("alive, as node 0 and node 4 see it: {} and {}", fleet.alive(0), fleet.alive(4));
    let begun = Instant::now();
    wire.part(&one, &other, false);
    let expected: BTreeSet<String> = [EVIL, OTHER, apart].map(|address| address.to_string()).into();
    agree(&fleet, &ALL, &expected, HEALED * 2);
    let kernels = begun.elapsed();
    until("the lists agree", HEALED, || ALL.iter().all(|node| blocks(&fleet, *node) == blocks(&fleet, 0)))
        .unwrap();
    println!("two and three agree: kernels after {kernels:?}, lists after {:?}", begun.elapsed());
    assert_eq!(blocks(&fleet, 0).len(), 3, "{:?}", blocks(&fleet, 0));
    assert!(begun.elapsed() < HEALED, "{:?}", begun.elapsed());
    fleet.formed(4);
}

/// What a node lists as the fleet's blocks: target, class, origin.
fn blocks(fleet: &Fleet<'_>, node: usize) -> BTreeSet<[String; 3]> {
    let list = fleet.list(node, &["cluster", "blocks"]);
    let text = |value: &serde_json::Value| value.as_str().unwrap_or("").to_owned();
    list.iter().map(|block| ["target", "class", "origin"].map(|key| text(&block[key]))).collect()
}

/// The targets that a node's kernel drops.
fn targets(fleet: &Fleet<'_>, node: usize) -> BTreeSet<String> {
    fleet.kernel(node).into_iter().map(|entry| entry.target).collect()
}

/// Waits until these kernels drop just this.
fn agree(fleet: &Fleet<'_>, nodes: &[usize], expected: &BTreeSet<String>, limit: Duration) -> Duration {
    let agree = || nodes.iter().all(|node| targets(fleet, *node) == *expected);
    until("the kernels agree", limit, agree).unwrap_or_else(|error| {
        let held: Vec<_> = nodes.iter().map(|node| targets(fleet, *node)).collect();
        panic!("{error}: expected {expected:?}, held {held:?}")
    })
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn a_wiped_node_whose_clock_is_behind_refills_and_is_heard_again() {
    let wire = Wire::new(5);
    let mut fleet = Fleet::start(&wire);
    fleet.attack(0, EVIL);
    fleet.attack(2, OTHER);
    fleet.order(1, &["block", "192.0.2.77", "--for", "1h"]);
    let mut expected: BTreeSet<String> =
        ["192.0.2.77", "203.0.113.9", "203.0.113.10"].map(String::from).into();
    agree(&fleet, &ALL, &expected, SPREAD);
    fleet.guards[2].kill();
    fleet.wipe(2);
    assert!(targets(&fleet, 2).is_empty());
    skew(&mut fleet.guards[2], "-2h");
    let begun = Instant::now();
    fleet.launch(2);
    let started = begun.elapsed();
    agree(&fleet, &ALL, &expected, SPREAD);
    println!("wiped: answered after {started:?}, was full after {:?}", begun.elapsed());
    // The version of what it says now must be above all that it said before, or nobody listens.
    fleet.attack(2, LATER);
    expected.insert(LATER.to_string());
    println!("what it says then is everywhere after {:?}", agree(&fleet, &ALL, &expected, SPREAD));
    fleet.order(2, &["unblock", &OTHER.to_string()]);
    fleet.until_all(&ALL, OTHER.into(), false, SPREAD);
    let log = fs::read_to_string(fleet.guards[2].log()).unwrap();
    let raised = log.lines().find(|line| line.contains("others knew more of this node than itself"));
    println!("{}", raised.expect("its epoch, of a clock two hours behind, was raised above its old one"));
    for node in ALL {
        let health = fleet.guards[node].json(&["status"]).unwrap()["health"].to_string();
        assert!(!health.contains("two different things"), "node {node} speaks of a lie: {health}");
    }
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn clocks_two_hours_wrong_neither_hide_nor_prolong_a_block() {
    let wire = Wire::new(5);
    let fleet = skewed(&wire);
    for (node, from) in [(0, EVIL), (3, OTHER), (4, LATER)] {
        fleet.attack(node, from);
        fleet.until_all(&ALL, from.into(), true, SPREAD);
        let left: Vec<u64> = ALL.iter().map(|at| fleet.remaining(*at, from.into()).unwrap()).collect();
        println!("a block of node {node} lasts {left:?} s more");
        assert!(
            left.iter().all(|left| (240..=330).contains(left)),
            "five minutes, give or take a tenth: {left:?}"
        );
    }
}

/// Daemons of which two have wrong clocks: node 3 is two hours behind, node 4 two hours ahead.
fn skewed(wire: &Wire) -> Fleet<'_> {
    let mut fleet = Fleet::equipped(wire, &Authority::found("prod"), 5);
    skew(&mut fleet.guards[3], "-2h");
    skew(&mut fleet.guards[4], "+2h");
    ALL.iter().for_each(|node| fleet.launch(*node));
    fleet.formed(4);
    fleet
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn an_operator_s_word_counts_where_the_clock_is_wrong() {
    let wire = Wire::new(5);
    let fleet = skewed(&wire);
    for (node, host) in [(0, 70), (3, 73), (4, 74)] {
        let target = Ipv4Addr::new(192, 0, 2, host);
        fleet.order(node, &["block", &target.to_string(), "--for", "1h"]);
        println!("given at node {node} it lasts {:?} s more", holds_for_an_hour(&fleet, target));
    }
}

/// Who types on such a machine signs by its clock. That may be refused, but not be taken and come to nothing.
#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn an_order_signed_by_a_wrong_clock_counts_everywhere_or_is_refused() {
    let wire = Wire::new(5);
    let fleet = skewed(&wire);
    for (node, host, clock) in [(3, 83, "-2h"), (4, 84, "+2h")] {
        let target = Ipv4Addr::new(192, 0, 2, host);
        let answer = fleet.operator_by(clock, node, &["block", &target.to_string(), "--for", "1h"]);
        println!("by a clock {clock}: {} {}{}", answer.code, answer.out.trim(), answer.err.trim());
        if answer.code == 0 {
            println!("it lasts {:?} s more", holds_for_an_hour(&fleet, target));
        } else {
            assert!(answer.code == 1 && answer.err.contains("set the clock"), "{}", answer.err);
            thread::sleep(Duration::from_secs(1));
            assert!(ALL.iter().all(|at| !fleet.drops(*at, target.into())), "refused, and yet dropped");
        }
    }
}

/// An operator's block of an hour is in every kernel, and ends in an hour everywhere: in how many seconds exactly.
fn holds_for_an_hour(fleet: &Fleet<'_>, target: Ipv4Addr) -> Vec<u64> {
    fleet.until_all(&ALL, target.into(), true, SPREAD);
    let left: Vec<u64> = ALL.iter().map(|at| fleet.remaining(*at, target.into()).unwrap()).collect();
    assert!(left.iter().all(|left| (3300..=3600).contains(left)), "{left:?}");
    left
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn who_cannot_hear_one_member_hears_the_others_say_it() {
    let wire = Wire::new(5);
    let fleet = Fleet::start(&wire);
    wire.deafen(4, address(0), true);
    for (round, (to, back)) in
        [(EVIL, OTHER), (LATER, Ipv4Addr::new(203, 0, 113, 12))].into_iter().enumerate()
    {
        fleet.attack(0, to);
        let there = fleet.until_all(&ALL, to.into(), true, SPREAD);
        fleet.attack(4, back);
        let here = fleet.until_all(&ALL, back.into(), true, SPREAD);
        println!(
            "node 4 does not hear node 0, round {round}: from 0 to all {there:?}, from 4 to all {here:?}"
        );
        // In the second round their streams are dead.
        thread::sleep(if round == 0 { GIVEN_UP } else { Duration::ZERO });
    }
    println!("alive, as node 0 and node 4 see it: {} and {}", fleet.alive(0), fleet.alive(4));
    assert!(ALL.iter().all(|node| fleet.alive(*node) >= 3.0));
    wire.deafen(4, address(0), false);
    println!("streams are whole after {:?}", fleet.formed(4));
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn a_quarter_of_all_packets_lost_does_not_stop_a_block() {
    let wire = Wire::new(5);
    let fleet = Fleet::start(&wire);
    wire.lose(25, true);
    let mut took = Vec::new();
    for n in 0..5 {
        let from = Ipv4Addr::new(203, 0, 113, 20 + n);
        fleet.attack(n.into(), from);
        took.push(fleet.until_all(&ALL, from.into(), true, SPREAD * 2));
        thread::sleep(Duration::from_secs(2));
    }
    println!("at 25 % loss everywhere after {took:?}");
    let alive: Vec<f64> = ALL.iter().map(|node| fleet.alive(*node)).collect();
    println!("alive, as each sees it: {alive:?}");
    assert!(alive.iter().all(|alive| *alive >= 4.0), "nobody was given up: {alive:?}");
    wire.lose(25, false);
    fleet.formed(4);
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn a_member_killed_while_thousands_are_blocked_comes_back_complete() {
    const MANY: usize = 5000;
    let wire = Wire::new(3);
    let mut fleet = Fleet::start(&wire);
    let import = |fleet: &Fleet<'_>, net: u8| {
        let file = wire.dir.path().join(format!("list-{net}"));
        let lines: String = (0..MANY).map(|n| format!("{net}.7.{}.{}\n", n / 250, n % 250 + 1)).collect();
        fs::write(&file, lines).unwrap();
        fleet.order(0, &["import", &file.display().to_string()]);
    };
    import(&fleet, 20);
    let holds = |fleet: &Fleet<'_>, node: usize, count: usize| fleet.held(node) >= count;
    until("all hold the first", SPREAD * 2, || (0..3).all(|node| holds(&fleet, node, MANY))).unwrap();
    fleet.guards[2].kill();
    import(&fleet, 21);
    fleet.attack(1, EVIL);
    until("both hold the rest", SPREAD * 2, || (0..2).all(|node| holds(&fleet, node, 2 * MANY + 1))).unwrap();
    assert!(fleet.held(2) >= MANY && fleet.held(2) <= MANY + 1, "the kernel keeps on: {}", fleet.held(2));
    let begun = Instant::now();
    fleet.launch(2);
    let answered = begun.elapsed();
    until("it is complete", SPREAD * 2, || holds(&fleet, 2, 2 * MANY + 1)).unwrap();
    println!(
        "killed with {MANY} blocks, {} more meanwhile: answered after {answered:?}, complete after {:?} (bound 2 s)",
        MANY + 1,
        begun.elapsed()
    );
    assert!(begun.elapsed() < SPREAD, "{:?}", begun.elapsed());
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn another_signer_lets_in_when_the_first_node_is_gone_for_good() {
    let wire = Wire::new(4);
    let fleet = orphans(&wire);
    fleet.join(3, 1, &[]);
    fleet.attack(3, EVIL);
    fleet.until_all(&[1, 2, 3], EVIL.into(), true, SPREAD);
}

/// Two thirds of a certificate's life are over: it is renewed by whoever still may.
#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn another_signer_renews_when_the_first_node_is_gone_for_good() {
    if !long() {
        return;
    }
    let wire = Wire::new(3);
    let mut fleet = orphans(&wire);
    let left = [1, 2];
    let before = left.map(|node| expiry(&fleet, node));
    left.iter().for_each(|node| fleet.guards[*node].stop());
    for node in left {
        skew(&mut fleet.guards[node], "+21d");
        fleet.launch(node);
    }
    let renewed = || left.iter().zip(&before).all(|(node, before)| expiry(&fleet, *node) > *before);
    let took = until("all are renewed", Duration::from_secs(90), renewed);
    let after = left.map(|node| expiry(&fleet, node));
    println!("renewed by the second signer after {took:?}: {before:?} became {after:?}");
    took.unwrap();
    fleet.attack(2, OTHER);
    fleet.until_all(&left, OTHER.into(), true, SPREAD);
}

/// A fleet whose founder is gone with all that it had: node 1 is a signer, node 2 a member.
fn orphans(wire: &Wire) -> Fleet<'_> {
    let mut fleet = Fleet::strangers(wire, wire.nodes.len());
    fleet.found(0);
    fleet.join(1, 0, &["--role", "signer", "--root", &fleet.root()]);
    fleet.join(2, 0, &[]);
    fleet.guards[0].kill();
    fs::remove_dir_all(wire.folder(0)).unwrap();
    fleet
}

/// Until when a node's own certificate holds, as it says.
fn expiry(fleet: &Fleet<'_>, node: usize) -> String {
    let name = format!("node-{node}");
    let nodes = fleet.list(node, &["cluster", "nodes"]);
    let own = nodes.iter().find(|member| member["name"] == name.as_str());
    own.and_then(|own| own["certificate_expires"].as_str()).unwrap_or_default().to_owned()
}
