use alloc::collections::BTreeSet;
use core::net::IpAddr;

use super::fleet::*;
use crate::{Class, Evidence, sensor::*};

fn blocked(fleet: &Fleet) -> BTreeSet<IpAddr> {
    for (address, class, evidence) in fleet.accused() {
        assert_eq!((class, evidence), (Class::BruteForce, Some(Evidence::Handshake)), "{address}");
    }
    fleet.accused().into_iter().map(|(address, ..)| address).collect()
}

/// Each of thirty addresses fails three times, at the nodes that `at` names.
fn campaign(fleet: &mut Fleet, at: impl Fn(usize, usize) -> usize) {
    for attempt in 0..3 {
        for address in 0..30 {
            fleet.sees(at(address, attempt), guesser(address), SSH);
        }
        fleet.wait(20);
    }
    fleet.wait(5);
}

#[test]
fn thirty_addresses_with_three_failures_each_are_a_campaign() {
    let mut fleet = Fleet::new(5);
    campaign(&mut fleet, |address, attempt| (address + attempt) % 5);
    assert_eq!(blocked(&fleet), (0..30).map(guesser).collect());
    assert!(fleet.nodes.iter().all(|node| node.campaign(fleet.now, LoginKind::Ssh)));
    assert!(!fleet.nodes[0].campaign(fleet.now, LoginKind::Other));
}

#[test]
fn they_are_too_where_each_address_stays_on_its_node() {
    let mut fleet = Fleet::new(5);
    campaign(&mut fleet, |address, _| address % 5);
    assert_eq!(blocked(&fleet), (0..30).map(guesser).collect());
}

#[test]
fn they_are_too_where_two_failures_meet_one_node_and_the_third_another() {
    let mut fleet = Fleet::new(5);
    campaign(&mut fleet, |address, attempt| (address + attempt / 2) % 5);
    assert_eq!(blocked(&fleet), (0..30).map(guesser).collect());
}

#[test]
fn ten_addresses_are_no_campaign() {
    let mut fleet = Fleet::new(5);
    for attempt in 0..3 {
        (0..10).for_each(|address| fleet.sees((address + attempt) % 5, guesser(address), SSH));
        fleet.wait(20);
    }
    fleet.silent();
}

#[test]
fn a_campaign_against_two_nodes_is_theirs_to_see() {
    let mut fleet = Fleet::new(5);
    campaign(&mut fleet, |address, _| address % 2);
    fleet.silent();
}

#[test]
fn a_typo_or_two_in_the_middle_of_a_campaign_hurt_nobody() {
    let mut fleet = Fleet::new(5);
    let innocent = |index: usize| guesser(1000 + index);
    for index in 0..20 {
        (0..=index % 2).for_each(|attempt| fleet.sees((index + attempt) % 5, innocent(index), SSH));
    }
    campaign(&mut fleet, |address, attempt| (address + attempt) % 5);
    for index in 0..20 {
        fleet.sees(index % 5, innocent(index), Sign::LoginAccepted);
        (0..=index % 2).for_each(|attempt| fleet.sees((index + attempt) % 5, innocent(index), SSH));
    }
    fleet.wait(120);
    assert_eq!(blocked(&fleet), (0..30).map(guesser).collect());
}

#[test]
fn who_got_in_yesterday_may_forget_the_password_today() {
    let mut fleet = Fleet::new(5);
    let innocent = guesser(999);
    fleet.sees(3, innocent, Sign::LoginAccepted);
    fleet.wait(12 * 3600);
    campaign(&mut fleet, |address, attempt| (address + attempt) % 5);
    (0..6).for_each(|_| fleet.sees(3, innocent, SSH));
    fleet.wait(10);
    assert!(!blocked(&fleet).contains(&innocent));
}

#[test]
fn an_office_whose_people_all_mistype_and_get_in_is_no_campaign() {
    let mut fleet = Fleet::new(5);
    for person in 0..100 {
        let (address, node) = (guesser(person), person % 5);
        fleet.sees(node, address, SSH);
        fleet.sees(node, address, SSH);
        fleet.wait(4);
        fleet.sees(node, address, Sign::LoginAccepted);
    }
    fleet.wait(10);
    fleet.silent();
    assert!(!fleet.nodes[0].campaign(fleet.now, LoginKind::Ssh));
}

#[test]
fn a_campaign_ends() {
    let mut fleet = Fleet::new(5);
    campaign(&mut fleet, |address, attempt| (address + attempt) % 5);
    fleet.wait(3600 + 120);
    assert!(fleet.nodes.iter().all(|node| !node.campaign(fleet.now, LoginKind::Ssh)));
    let before = fleet.verdicts.len();
    (0..3).for_each(|_| fleet.sees(2, guesser(7), SSH));
    fleet.wait(5);
    assert_eq!(fleet.verdicts.len(), before);
}

#[test]
fn mail_and_ssh_are_different_campaigns() {
    let mut fleet = Fleet::new(5);
    for attempt in 0..3 {
        for address in 0..30 {
            let kind = if address % 2 == 0 { LoginKind::Ssh } else { LoginKind::Other };
            fleet.sees((address + attempt) % 5, guesser(address), Sign::LoginFailed(kind));
        }
        fleet.wait(20);
    }
    fleet.silent();
}
