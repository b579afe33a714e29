//! What one member decides, all enforce: real daemons with real certificates, each in a network namespace.
//!
//! All need root and the built programs: `cargo test -p smartfw-tests --test fleet -- --ignored`.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test that cannot go on has failed")]

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    thread,
    time::{Duration, Instant},
};

use smartfw_tests::{
    fleet::{Authority, EVIL, Fleet, SPREAD, Wire, long},
    process::until,
};

/// Another one who attacks.
const OTHER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
/// A healed partition has healed after this.
const HEALED: Duration = Duration::from_secs(5);

/// A member that was killed knows everything again so long after its start.
const COMPLETE: Duration = Duration::from_secs(2);
/// How long it is away: for a moment, longer than others try to dial it, and until they have given it up for dead.
const AWAY: [Duration; 3] = [Duration::ZERO, Duration::from_secs(4), Duration::from_secs(15)];

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn an_attack_on_one_of_two_is_dropped_by_both() {
    let wire = Wire::new(2);
    let fleet = Fleet::start(&wire);
    spreads(&fleet);
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn an_attack_on_one_of_five_is_dropped_by_all() {
    let wire = Wire::new(5);
    let fleet = Fleet::start(&wire);
    spreads(&fleet);
}

/// Many attacks, one after another: how long after each decision its origin has every member's word. The kernels are
/// polled meanwhile, which takes time from the daemons.
#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn many_attacks_on_one_of_five_are_dropped_by_all_in_time() {
    const ATTACKS: u8 = 20;
    if !long() {
        return;
    }
    let wire = Wire::new(5);
    let fleet = Fleet::start(&wire);
    for n in 0..ATTACKS {
        let from = Ipv4Addr::new(203, 0, 113, 100 + n);
        fleet.attack(0, from);
        fleet.until_all(&[0, 1, 2, 3, 4], from.into(), true, SPREAD);
    }
    let page = fleet.page(0);
    let lines = page.lines().filter(|line| line.starts_with("smartfw_decision_to_member_seconds"));
    lines.for_each(|line| println!("{line}"));
    assert!(fleet.metric(0, "smartfw_decision_to_member_seconds_count") >= f64::from(ATTACKS) * 4.0);
}

fn spreads(fleet: &Fleet<'_>) {
    let took = thread::scope(|scope| {
        let watching = scope.spawn(|| fleet.dropped_after(IpAddr::from(EVIL), SPREAD));
        thread::sleep(Duration::from_millis(100));
        fleet.attack(0, EVIL);
        watching.join().unwrap()
    });
    let took: Vec<Duration> = took.into_iter().map(|took| took.expect("dropped")).collect();
    let behind: Vec<i128> =
        took.iter().map(|other| other.as_micros() as i128 - took[0].as_micros() as i128).collect();
    println!("behind the first node's kernel, microseconds: {behind:?}");
    // A scan is blocked softly first, and then altogether: every other member says so of each.
    let words = || fleet.metric(0, "smartfw_decision_to_member_seconds_count");
    let whole = || words() >= 1.0 && (words() as usize).is_multiple_of(fleet.guards.len() - 1);
    until("every member has given its word", SPREAD, whole).unwrap();
    let count = words();
    let sum = fleet.metric(0, "smartfw_decision_to_member_seconds_sum");
    println!("decision to member's word: {count} words, {:.2} ms on average", sum / count.max(1.0) * 1e3);
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn what_its_origin_takes_back_is_dropped_nowhere() {
    let wire = Wire::new(3);
    let fleet = Fleet::start(&wire);
    fleet.attack(1, EVIL);
    println!("all drop it after {:?}", fleet.until_all(&[0, 1, 2], EVIL.into(), true, SPREAD));
    fleet.guards[1].order(&["unblock", &EVIL.to_string()]).unwrap();
    println!("nobody drops it after {:?}", fleet.until_all(&[0, 1, 2], EVIL.into(), false, SPREAD));
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn a_killed_member_goes_on_dropping_and_learns_what_it_missed() {
    let wire = Wire::new(3);
    let mut fleet = Fleet::start(&wire);
    fleet.attack(0, EVIL);
    fleet.attack(1, OTHER);
    fleet.until_all(&[0, 1, 2], EVIL.into(), true, SPREAD);
    fleet.until_all(&[0, 1, 2], OTHER.into(), true, SPREAD);
    for (round, away) in AWAY.into_iter().enumerate() {
        let missed = Ipv4Addr::new(203, 0, 113, 11 + round as u8);
        fleet.guards[1].kill();
        fleet.attack(0, missed);
        fleet.until_all(&[0, 2], missed.into(), true, SPREAD);
        assert!(fleet.drops(1, EVIL.into()) && fleet.drops(1, OTHER.into()));
        assert!(!fleet.drops(1, missed.into()));
        thread::sleep(away);
        let begun = Instant::now();
        fleet.launch(1);
        let answered = begun.elapsed();
        let learned = fleet.until_all(&[1], missed.into(), true, SPREAD);
        println!("away for {away:?}: answered after {answered:?}, complete {learned:?} later");
        assert!(begun.elapsed() < COMPLETE, "{:?}", begun.elapsed());
        assert!(fleet.drops(1, EVIL.into()) && fleet.drops(1, OTHER.into()), "what it knew is kept");
        fleet.formed(2);
    }
    // What it had said itself is still its own: it takes it back.
    thread::sleep(Duration::from_secs(11));
    assert!(fleet.drops(2, OTHER.into()), "nobody heard that it is over");
    fleet.guards[1].order(&["unblock", &OTHER.to_string()]).unwrap();
    fleet.until_all(&[0, 1, 2], OTHER.into(), false, SPREAD);
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn a_healed_partition_brings_both_sides_what_the_other_decided() {
    if !long() {
        return;
    }
    let wire = Wire::new(5);
    let fleet = Fleet::start(&wire);
    wire.cut(4, true);
    fleet.attack(0, EVIL);
    fleet.attack(4, OTHER);
    fleet.until_all(&[0, 1, 2, 3], EVIL.into(), true, SPREAD);
    fleet.until_all(&[4], OTHER.into(), true, SPREAD);
    // Longer than it takes to give each other up for dead.
    thread::sleep(Duration::from_secs(15));
    assert!(!fleet.drops(4, EVIL.into()) && !fleet.drops(0, OTHER.into()));
    println!("alive, as node 0 and node 4 see it: {} and {}", fleet.alive(0), fleet.alive(4));
    wire.cut(4, false);
    let all = [0, 1, 2, 3, 4];
    let begun = Instant::now();
    fleet.until_all(&all, EVIL.into(), true, HEALED);
    fleet.until_all(&all, OTHER.into(), true, HEALED);
    println!("healed in {:?}", begun.elapsed());
    assert!(begun.elapsed() < HEALED);
    fleet.formed(4);
}

/// Waits until a node's log names something.
fn names(fleet: &Fleet<'_>, node: usize, what: &str) {
    let log = || fs::read_to_string(fleet.guards[node].log()).unwrap_or_default();
    until("the refusal is named", SPREAD, || log().contains(what)).unwrap();
    println!("{}", log().lines().find(|line| line.contains(what)).unwrap());
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn who_has_a_foreign_certificate_is_refused_and_named() {
    let wire = Wire::new(3);
    let mut fleet = Fleet::of(&wire, 2);
    // The same names, under another root.
    let stranger = Authority::found("prod");
    fleet.add(2, &stranger);
    fleet.launch(2);
    // Each refuses the other, and says so in its own log.
    names(&fleet, 0, "refused a connection from 10.77.0.3");
    names(&fleet, 2, "was not signed under the root of cluster prod");
    fleet.attack(0, EVIL);
    fleet.until_all(&[0, 1], EVIL.into(), true, SPREAD);
    thread::sleep(Duration::from_secs(2));
    assert!(!fleet.drops(2, EVIL.into()), "it hears nothing");
    fleet.attack(2, OTHER);
    fleet.until_all(&[2], OTHER.into(), true, SPREAD);
    thread::sleep(Duration::from_secs(2));
    assert!(!fleet.drops(0, OTHER.into()) && !fleet.drops(1, OTHER.into()), "and nobody hears it");
    assert_eq!((fleet.alive(0), fleet.alive(2)), (1.0, 0.0));
}
