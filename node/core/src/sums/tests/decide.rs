use alloc::vec::Vec;
use core::net::IpAddr;

use super::fleet::*;
use crate::{Class, Detector, Evidence, sensor::*};

#[test]
fn one_port_on_each_of_five_nodes_by_full_handshakes_is_a_scan() {
    let mut fleet = Fleet::new(5);
    for node in 0..4 {
        fleet.sees(node, ATTACKER, probe(node, 22, true));
        fleet.wait(3);
    }
    fleet.silent();
    fleet.sees(4, ATTACKER, probe(4, 22, true));
    fleet.wait(3);
    let deciders: Vec<_> = fleet.verdicts.iter().map(|(node, _)| *node).collect();
    let mut owners = fleet.owners(ATTACKER);
    owners.sort_unstable();
    assert_eq!(deciders, owners, "both owners, once each");
    let verdict = &fleet.verdicts[0].1;
    assert_eq!((verdict.class, verdict.detector), (Class::PortScan, Detector::Fleet));
    assert_eq!(verdict.evidence, Some(Evidence::Handshake));
    assert_eq!((verdict.reason.measured, verdict.reason.limit), (5.0, 5.0));
    assert_eq!(verdict.reason.text, "5 ports opened and left on 5 nodes within the hour");
}

#[test]
fn the_same_by_forged_packets_is_told_and_proves_nothing() {
    let mut fleet = Fleet::new(5);
    for node in 0..5 {
        fleet.sees(node, ATTACKER, probe(node, 22, false));
    }
    fleet.wait(3);
    let none = (ATTACKER, Class::PortScan, None);
    assert_eq!(fleet.accused().into_iter().collect::<Vec<_>>(), [none]);
}

#[test]
fn forged_packets_add_nothing_to_handshakes() {
    let mut fleet = Fleet::new(5);
    for node in 0..5 {
        fleet.sees(node, ATTACKER, probe(node, 22, node < 3));
    }
    fleet.wait(5);
    fleet.silent();
}

#[test]
fn two_nodes_alone_decide_nothing_however_much_they_see() {
    let mut fleet = Fleet::new(5);
    for port in 0..100 {
        for node in 0..2 {
            fleet.sees(node, ATTACKER, probe(node, port, true));
            fleet.sees(node, ATTACKER, probe(node, port, false));
            fleet.sees(node, ATTACKER, SSH);
        }
        fleet.wait(3);
    }
    fleet.silent();
}

#[test]
fn a_port_in_five_minutes_adds_up_and_one_in_half_an_hour_does_not() {
    let mut fleet = Fleet::new(20);
    for node in 0..20 {
        fleet.sees(node, ATTACKER, probe(node, 80, true));
        fleet.wait(300);
    }
    assert!(!fleet.verdicts.is_empty());
    let mut fleet = Fleet::new(20);
    for node in 0..20 {
        fleet.sees(node, ATTACKER, probe(node, 80, true));
        fleet.wait(1800);
    }
    fleet.silent();
}

#[test]
fn yesterdays_evidence_is_gone() {
    let mut fleet = Fleet::new(5);
    (0..4).for_each(|node| fleet.sees(node, ATTACKER, probe(node, 22, true)));
    fleet.wait(3700);
    fleet.sees(4, ATTACKER, probe(4, 22, true));
    fleet.wait(5);
    fleet.silent();
}

#[test]
fn a_monitor_that_asks_for_the_same_again_is_decided_about_once_a_day() {
    let mut fleet = Fleet::new(5);
    for _ in 0..20 {
        (0..5).for_each(|node| fleet.sees(node, ATTACKER, probe(node, 22, true)));
        fleet.wait(600);
    }
    assert_eq!(fleet.verdicts.len(), 2, "by both owners, once");
    (0..5).for_each(|node| fleet.sees(node, ATTACKER, probe(node, 3306, true)));
    fleet.wait(3);
    assert_eq!(fleet.verdicts.len(), 4, "asking for something new is no monitoring");
}

#[test]
fn failures_spread_over_the_fleet_add_up() {
    let mut fleet = Fleet::new(5);
    for round in 0..3 {
        for node in 0..5 {
            fleet.sees(node, ATTACKER, SSH);
        }
        fleet.wait(3);
        if round == 1 {
            fleet.silent();
        }
    }
    let expected = (ATTACKER, Class::BruteForce, Some(Evidence::Handshake));
    assert_eq!(fleet.accused().into_iter().collect::<Vec<_>>(), [expected]);
}

#[test]
fn a_person_with_an_old_password_on_five_hosts_is_no_attacker() {
    let mut fleet = Fleet::new(5);
    for node in 0..5 {
        fleet.sees(node, ATTACKER, SSH);
        fleet.sees(node, ATTACKER, SSH);
        fleet.wait(20);
    }
    fleet.silent();
}

#[test]
fn who_gets_in_anywhere_had_typed_wrongly_everywhere() {
    let mut fleet = Fleet::new(5);
    (0..2).for_each(|node| fleet.sees(node, ATTACKER, Sign::LoginAccepted));
    fleet.wait(3);
    for node in 0..5 {
        (0..3).for_each(|_| fleet.sees(node, ATTACKER, SSH));
        fleet.wait(3);
    }
    fleet.silent();
}

#[test]
fn what_the_owner_itself_has_seen_needs_no_second_witness() {
    let mut fleet = Fleet::new(5);
    for owner in fleet.owners(ATTACKER) {
        fleet.sees(owner, ATTACKER, Sign::LoginAccepted);
    }
    fleet.wait(3);
    for node in 0..5 {
        (0..4).for_each(|_| fleet.sees(node, ATTACKER, SSH));
        fleet.wait(3);
    }
    fleet.silent();
}

#[test]
fn a_source_of_ipv6_is_its_64_and_every_address_of_it_is_told() {
    let mut fleet = Fleet::new(5);
    let address = |index: usize| -> IpAddr { alloc::format!("2001:db8:1:2::{index}").parse().unwrap() };
    (0..5).for_each(|node| fleet.sees(node, address(node + 1), probe(node, 22, true)));
    fleet.wait(3);
    assert_eq!(fleet.accused().len(), 5);
    let mut fleet = Fleet::new(5);
    let elsewhere = |index: usize| -> IpAddr { alloc::format!("2001:db8:1:{index}::1").parse().unwrap() };
    (0..5).for_each(|node| fleet.sees(node, elsewhere(node + 1), probe(node, 22, true)));
    fleet.wait(3);
    fleet.silent();
}

#[test]
fn what_goes_on_is_told_again_but_not_more_than_once_a_minute() {
    let mut fleet = Fleet::new(5);
    for second in 0..60u16 {
        (0..5).for_each(|node| fleet.sees(node, ATTACKER, probe(node, second, true)));
        fleet.wait(3);
    }
    let count = fleet.verdicts.len();
    assert!((4..=8).contains(&count), "{count} verdicts of two owners in three minutes");
}

#[test]
fn honest_work_is_told_with_the_verdict() {
    let mut fleet = Fleet::new(5);
    for node in 0..5 {
        let sign = probe(node, 22, true);
        let weak = Weak { at: fleet.now, source: ATTACKER, sign, known: node == 2 };
        fleet.nodes[node].handle_observation(fleet.now, weak);
    }
    fleet.wait(3);
    assert!(fleet.verdicts[0].1.standing.known);
}

#[test]
fn a_quiet_fleet_says_nothing() {
    let mut fleet = Fleet::new(5);
    fleet.wait(600);
    assert_eq!(fleet.messages, 0);
    fleet.sees(0, ATTACKER, probe(0, 22, true));
    fleet.wait(600);
    assert!(fleet.messages <= 6, "{} messages about one sign", fleet.messages);
}
