use core::time::Duration;

use super::net::*;
use crate::members::*;

#[test]
fn a_restarted_node_needs_no_seed() {
    let mut net = Net::formed(5, 30);
    net.hosts[2].up = false;
    net.run(Duration::from_secs(1));
    net.restart(2, 2);
    let took = net.until(5, Net::is_whole);
    assert!(took.is_some_and(|took| took <= Duration::from_secs(2)), "{took:?}");
    assert!((0..5).all(|at| at == 2 || net.downs(at) == 0), "it was back before anybody missed it");
}

#[test]
fn a_fleet_whose_nodes_all_restart_finds_itself_without_seeds() {
    let mut net = Net::formed(12, 31);
    (0..12).for_each(|node| net.hosts[node].up = false);
    net.run(Duration::from_secs(600));
    (0..12).for_each(|node| net.restart(node, 2));
    assert!(net.until(10, Net::is_whole).is_some());
}

#[test]
fn a_node_that_moved_is_found_at_its_new_address() {
    let mut net = Net::formed(4, 32);
    let mut card = config(2, 1, &[]).card;
    card.version = "0.2.0".into();
    card.address.set_port(7777);
    net.readdress(2, card.address);
    net.with(2, |members, now| members.handle_card(now, card.clone()));
    net.run(Duration::from_secs(20));
    assert!(net.is_whole());
    for at in [0, 1, 3] {
        assert_eq!(net.hosts[at].members.member(&id(2)).unwrap().card, card);
        assert_eq!(net.downs(at), 0);
    }
    let told = |event: &MembersEffect| matches!(event, MembersEffect::Changed(member) if member.card == card);
    assert!(net.hosts[0].events.iter().any(|(_, event)| told(event)));
}

#[test]
fn a_node_that_forgot_its_last_life_learns_of_it_and_begins_a_later_one() {
    let mut net = Net::formed(3, 33);
    // The clock was two hours behind at the last start, and the number was not kept.
    net.hosts[1].up = false;
    net.restart(1, 500);
    net.run(Duration::from_secs(5));
    net.hosts[1].up = false;
    net.restart(1, 400);
    assert!(net.until(30, |net| net.hosts[1].members.generation() > 500).is_some());
}

#[test]
fn a_clock_set_back_or_forward_two_hours_accuses_nobody() {
    let mut net = Net::formed(4, 34);
    for shift in [7200_i64, -7200] {
        net.hosts[1].clock = shift;
        net.with(1, |_, _| ());
        net.run(Duration::from_secs(60));
        assert!(net.is_whole(), "{shift}");
    }
    assert!((0..4).all(|at| net.downs(at) == 0));
}
