//! What one member decides, all enforce: real daemons with real certificates, each in a network namespace.
//!
//! All need root and the built programs: `cargo test -p smartfw-tests --test fleet -- --ignored`.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test that cannot go on has failed")]

#[path = "fleet/common.rs"]
mod common;

use std::{net::IpAddr, thread, time::Duration};

use common::{EVIL, Fleet, Wire};

/// How long a block may take to reach a kernel, when nothing is broken and the machine is busy.
const SPREAD: Duration = Duration::from_secs(5);

#[test]
#[ignore = "needs root"]
fn an_attack_on_one_of_two_is_dropped_by_both() {
    let wire = Wire::new(2);
    let fleet = Fleet::start(&wire);
    spreads(&fleet);
}

#[test]
#[ignore = "needs root"]
fn an_attack_on_one_of_five_is_dropped_by_all() {
    let wire = Wire::new(5);
    let fleet = Fleet::start(&wire);
    spreads(&fleet);
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
    thread::sleep(Duration::from_millis(200));
    let count = fleet.metric(0, "smartfw_decision_to_member_seconds_count");
    let sum = fleet.metric(0, "smartfw_decision_to_member_seconds_sum");
    println!("decision to member's word: {count} words, {:.2} ms on average", sum / count.max(1.0) * 1e3);
    assert_eq!(count as usize, fleet.guards.len() - 1);
}
