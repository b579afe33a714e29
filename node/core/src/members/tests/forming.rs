use core::time::Duration;
use std::println;

use super::net::*;
use crate::members::*;

fn forms(size: usize, seconds: u64) {
    let mut net = Net::new(size, size as u64);
    let took = net.until(seconds, Net::is_whole);
    let bytes: u64 = net.hosts.iter().map(|host| host.members.stats().sent_bytes).sum();
    println!("{size} nodes: full view after {took:?}, {} kB a node", bytes / size as u64 / 1000);
    if took.is_none() {
        for host in net.hosts.iter().take(5) {
            println!("{} alive, {:?}", host.members.alive().count(), host.members.stats());
        }
    }
    assert!(took.is_some());
}

#[test]
fn two_nodes_find_each_other() {
    forms(2, 3);
}

#[test]
fn five_nodes_form() {
    forms(5, 5);
}

#[test]
fn fifty_nodes_form() {
    forms(50, 15);
}

#[test]
fn three_hundred_nodes_form_although_nobody_knows_anybodys_certificate() {
    forms(300, 40);
}

#[test]
fn a_member_shows_its_card_and_its_round_trip() {
    let mut net = Net::formed(3, 1);
    net.run(Duration::from_secs(10));
    let seen = net.hosts[1].members.member(&id(2)).unwrap();
    assert_eq!(seen.card, config(2, 1, &[]).card);
    assert_eq!(seen.state, MemberState::Alive);
    let millis = seen.round_trip.unwrap().as_micros();
    assert!((1000..=6000).contains(&millis), "{millis} µs");
}
