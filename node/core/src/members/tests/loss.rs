use alloc::vec::Vec;
use core::time::Duration;
use std::println;

use super::net::*;
use crate::members::*;

/// The share of "somebody sees somebody" that is true.
fn seen(net: &Net) -> f64 {
    let up = net.hosts.iter().filter(|host| host.up).count();
    let alive: usize = net.hosts.iter().filter(|host| host.up).map(|host| host.members.alive().count()).sum();
    alive as f64 / (up * (up - 1)) as f64
}

#[test]
fn a_quarter_of_all_datagrams_lost_costs_nobody_the_view() {
    let mut net = Net::formed(50, 3);
    net.loss = 250;
    for second in 0..120 {
        net.run(Duration::from_secs(1));
        assert!(seen(&net) > 0.95, "{} after {second} s", seen(&net));
    }
    let downs: usize = (0..50).map(|at| net.downs(at)).sum();
    assert!(downs <= 50, "{downs} times of 2,450 members was one given up in two minutes");
    net.loss = 0;
    assert!(net.until(30, Net::is_whole).is_some());
}

#[test]
fn a_fleet_forms_at_a_quarter_lost() {
    for seed in 0..5 {
        let mut net = Net::new(20, seed);
        net.loss = 250;
        let took = net.until(30, Net::is_whole);
        println!("20 nodes at a quarter lost: {took:?}");
        assert!(took.is_some());
    }
}

#[test]
fn who_is_not_heard_by_one_is_alive_by_the_word_of_others() {
    let mut net = Net::formed(5, 5);
    net.cut.insert((1, 2));
    for _ in 0..60 {
        net.run(Duration::from_secs(1));
        assert!(net.is_whole());
    }
}

#[test]
fn a_node_that_cannot_be_reached_is_given_up_although_it_hears_everything() {
    let mut net = Net::formed(5, 6);
    (0..4).for_each(|other| {
        net.cut.insert((4, other));
    });
    net.run(Duration::from_secs(40));
    assert!((0..4).all(|at| net.state(4, at) == Some(MemberState::Dead)));
    net.cut.clear();
    let took = net.until(30, Net::is_whole);
    assert!(took.is_some());
}

#[test]
fn a_healed_partition_is_one_fleet_again() {
    let mut net = Net::formed(6, 7);
    for a in 0..3 {
        for b in 3..6 {
            net.cut.extend([(a, b), (b, a)]);
        }
    }
    net.run(Duration::from_secs(60));
    assert!((0..6).all(|at| net.hosts[at].members.alive().count() == 2), "two halves");
    net.cut.clear();
    assert!(net.until(15, Net::is_whole).is_some());
}

#[test]
fn an_open_stream_ends_the_partition_at_once() {
    let mut net = Net::formed(2, 8);
    net.cut.extend([(0, 1), (1, 0)]);
    net.run(Duration::from_secs(60));
    assert_eq!(net.state(0, 1), Some(MemberState::Dead));
    net.cut.clear();
    net.with(0, |members, now| members.handle_contact(now, id(1)));
    assert!(net.until(2, Net::is_whole).is_some());
}

#[test]
fn where_udp_is_blocked_datagrams_go_through_streams() {
    let mut net = Net::formed(5, 9);
    net.udp = false;
    net.run(Duration::from_secs(120));
    assert!(net.is_whole());
    net.udp = true;
    net.run(Duration::from_secs(60));
    net.tap = Some(Vec::new());
    let (streams, _) = net.ways.replace((0, 0)).unwrap_or_default();
    assert!(streams > 100, "{streams} datagrams through streams");
    net.run(Duration::from_secs(60));
    let (streams, datagrams) = net.ways.unwrap_or_default();
    assert!(streams < datagrams / 10, "by UDP again: {streams} through streams, {datagrams} not");
}

#[test]
fn a_fleet_forms_without_udp_where_streams_are_open() {
    let mut net = Net::new(3, 10);
    net.udp = false;
    net.run(Duration::from_secs(2));
    net.dial(1, 0);
    net.dial(2, 0);
    assert!(net.until(60, Net::is_whole).is_some());
}
