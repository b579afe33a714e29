use alloc::vec::Vec;
use core::time::Duration;
use std::println;

use super::net::*;
use crate::members::*;

/// Every node sees all others, for so many seconds.
fn holds(net: &mut Net, seconds: u64) {
    for tenth in 0..seconds * 10 {
        net.run(Duration::from_millis(100));
        let alive: Vec<_> = net.hosts.iter().map(|host| host.members.alive().count()).collect();
        assert!(net.is_whole(), "{alive:?} after {} s", tenth / 10);
    }
}

fn suspicions(net: &Net) -> usize {
    let events = net.hosts.iter().flat_map(|host| &host.events);
    events.filter(|(_, event)| matches!(event, MembersEffect::Suspect(_))).count()
}

#[test]
fn a_member_whose_udp_is_dropped_from_now_on_is_not_even_suspected() {
    for seed in 0..5 {
        let mut net = Net::formed(5, 60 + seed);
        let before = suspicions(&net);
        net.mute.insert(3);
        holds(&mut net, 180);
        assert_eq!(suspicions(&net), before);
        let trip = net.hosts[0].members.member(&id(3)).unwrap().round_trip.unwrap();
        assert!(trip < Duration::from_millis(50), "{trip:?}: the wait for UDP is none of it");
    }
}

#[test]
fn news_reach_a_member_without_udp_as_soon_as_one_probe_showed_it() {
    for seed in 0..5 {
        let mut net = Net::formed(5, 70 + seed);
        net.mute.insert(3);
        net.run(Duration::from_secs(17));
        let card = Card { version: "0.2.0".into(), ..config(1, 1, &[]).card };
        net.with(1, |members, now| members.handle_card(now, card.clone()));
        let hears = |net: &Net| net.hosts[3].members.member(&id(1)).is_some_and(|member| member.card == card);
        let took = net.until(1, hears);
        println!("news to the one without UDP after {took:?}");
        assert!(took.is_some());
    }
}

#[test]
fn nobody_is_given_up_in_a_larger_fleet_where_udp_is_dropped_for_one() {
    let mut net = Net::formed(30, 61);
    net.mute.insert(7);
    holds(&mut net, 120);
}

#[test]
fn a_member_that_hears_no_udp_but_sends_it_stays_one() {
    let mut net = Net::formed(5, 62);
    net.deaf.insert(2);
    holds(&mut net, 180);
}

#[test]
fn a_node_without_udp_gets_to_know_everybody_through_one_stream() {
    for seed in 0..5 {
        let mut net = Net::new(5, 63 + seed);
        net.mute.insert(3);
        net.run(Duration::from_secs(2));
        net.dial(3, 0);
        let took = net.until(4, Net::is_whole);
        println!("five, one without UDP: {took:?}");
        assert!(took.is_some());
        holds(&mut net, 120);
    }
}

#[test]
fn who_has_udp_again_uses_it() {
    let mut net = Net::formed(5, 64);
    net.mute.insert(3);
    holds(&mut net, 60);
    net.mute.clear();
    holds(&mut net, 150);
    net.ways = Some((0, 0));
    holds(&mut net, 60);
    let (streams, datagrams) = net.ways.unwrap_or_default();
    assert!(streams < datagrams / 10, "{streams} through streams, {datagrams} by UDP");
}

#[test]
fn who_came_by_stream_uses_udp_where_it_works() {
    let mut net = Net::new(5, 66);
    (1..5).for_each(|node| net.dial(node, 0));
    assert!(net.until(5, Net::is_whole).is_some());
    net.run(Duration::from_secs(30));
    net.ways = Some((0, 0));
    net.run(Duration::from_secs(60));
    assert_eq!(net.ways.unwrap_or_default().0, 0);
}

#[test]
fn where_udp_works_nothing_goes_through_streams() {
    let mut net = Net::formed(5, 65);
    net.ways = Some((0, 0));
    net.run(Duration::from_secs(300));
    assert_eq!(net.ways.unwrap_or_default().0, 0);
}
