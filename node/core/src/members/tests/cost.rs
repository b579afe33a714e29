use core::time::Duration;
use std::println;

use super::net::*;

/// Headers of UDP and IPv4 below every datagram.
const HEADERS: u64 = 28;

fn idle(size: usize) -> f64 {
    let mut net = Net::formed(size, 50);
    net.run(Duration::from_secs(30));
    let sent = |net: &Net| {
        let stats = net.hosts.iter().map(|host| host.members.stats());
        stats.map(|stats| stats.sent_bytes + stats.sent * HEADERS).sum::<u64>()
    };
    let before = sent(&net);
    net.run(Duration::from_secs(300));
    let rate = (sent(&net) - before) as f64 / 300.0 / size as f64;
    println!("{size} idle nodes: {rate:.0} bytes a second sent by each, headers and signatures included");
    rate
}

#[test]
fn an_idle_node_sends_less_than_a_quarter_of_what_the_fleet_may_cost() {
    for size in [2, 5, 50] {
        assert!(idle(size) < 250.0);
    }
}

#[test]
fn a_dead_member_costs_little() {
    let mut net = Net::formed(5, 51);
    net.hosts[4].up = false;
    net.run(Duration::from_secs(60));
    let bytes =
        |net: &Net| net.hosts[0].members.stats().sent_bytes + net.hosts[0].members.stats().sent * HEADERS;
    let before = bytes(&net);
    net.run(Duration::from_secs(300));
    let rate = (bytes(&net) - before) / 300;
    println!("{rate} bytes a second beside a dead member");
    assert!(rate < 350);
}
