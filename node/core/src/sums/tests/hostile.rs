use alloc::vec::Vec;
use core::{net::IpAddr, time::Duration};

use super::fleet::*;
use crate::{Class, sensor::*, sums::*};

fn lie(source: IpAddr) -> Contribution {
    Contribution {
        address: source,
        proven: (0..100).collect(),
        forged: (0..100).collect(),
        failures: [f32::INFINITY, 1e30],
        accepted: false,
        known: false,
        first: Duration::ZERO,
        last: Duration::ZERO,
    }
}

fn says(fleet: &mut Fleet, liar: usize, message: &SumsMessage) {
    for node in 0..fleet.nodes.len() {
        fleet.nodes[node].handle_message(fleet.now, id(liar), message.clone());
    }
    fleet.carry();
}

#[test]
fn a_liar_frames_nobody_even_with_another_ones_help() {
    let mut fleet = Fleet::new(5);
    for liar in 0..2 {
        for _ in 0..50 {
            says(&mut fleet, liar, &SumsMessage::Weak(alloc::vec![lie(ATTACKER); 10]));
            says(&mut fleet, liar, &SumsMessage::Failing(LoginKind::Ssh, Failing([0xff; FAILING_BYTES])));
            says(&mut fleet, liar, &SumsMessage::Campaign(LoginKind::Ssh));
            fleet.wait(3);
        }
        if liar == 0 {
            // Somebody's three real typos, at one node.
            (0..2).for_each(|_| fleet.sees(3, ATTACKER, SSH));
        }
    }
    fleet.wait(5);
    fleet.silent();
}

#[test]
fn one_liar_hides_no_attacker() {
    let mut fleet = Fleet::new(6);
    let owners = fleet.owners(ATTACKER);
    let liar = (0..6).find(|node| !owners.contains(node)).unwrap();
    let word = Contribution { accepted: true, failures: [0.0; 2], ..lie(ATTACKER) };
    says(&mut fleet, liar, &SumsMessage::Weak(alloc::vec![word]));
    for node in (0..6).filter(|node| *node != liar) {
        (0..3).for_each(|_| fleet.sees(node, ATTACKER, SSH));
    }
    fleet.wait(3);
    let guesses = |class| fleet.accused().iter().filter(|accused| accused.1 == class).count();
    assert_eq!(guesses(Class::BruteForce), 1);
}

#[test]
fn one_owner_that_lies_raises_no_alarm() {
    let mut fleet = Fleet::new(5);
    let owners = fleet.nodes[0].ring.owners_of_campaign(LoginKind::Ssh);
    let liar = usize::from(owners[0].0[0]) - 1;
    says(&mut fleet, liar, &SumsMessage::Campaign(LoginKind::Ssh));
    (0..3).for_each(|_| fleet.sees((liar + 1) % 5, ATTACKER, SSH));
    fleet.wait(5);
    fleet.silent();
}

#[test]
fn who_is_no_member_is_not_heard() {
    let mut fleet = Fleet::new(5);
    (0..4).for_each(|node| fleet.sees(node, ATTACKER, probe(node, 22, true)));
    says(&mut fleet, 77, &SumsMessage::Weak(alloc::vec![lie(ATTACKER)]));
    fleet.wait(3);
    fleet.silent();
    assert!(fleet.nodes.iter().all(|node| node.stats().refused == 1));
}

#[test]
fn one_member_fills_no_more_than_its_share_of_the_table() {
    let mut fleet = Fleet::new(5);
    for batch in 0..10 {
        let sources = (0..1000u32).map(|n| lie(IpAddr::V4((0x0b00_0000 + batch * 1000 + n).into())));
        let message = SumsMessage::Weak(sources.collect());
        fleet.nodes[0].handle_message(fleet.now, id(1), message);
    }
    assert_eq!(fleet.nodes[0].owned.len(), 4096);
    assert_eq!(fleet.nodes[0].stats().full_owned, 10_000 - 4096);
    for node in 0..5 {
        fleet.sees(node, ATTACKER, probe(node, 22, true));
    }
    fleet.wait(3);
    assert_eq!(fleet.verdicts.len(), 2, "others are heard all the same");
    fleet.wait(3602);
    assert!(fleet.nodes[0].owned.len() <= 1, "and it is forgotten");
}

#[test]
fn more_than_a_thousand_contributions_are_not_read() {
    let mut fleet = Fleet::new(2);
    let sources = (0..1500u32).map(|n| lie(IpAddr::V4((0x0b00_0000 + n).into())));
    let message = SumsMessage::Weak(sources.collect());
    fleet.nodes[0].handle_message(fleet.now, id(1), message);
    assert_eq!(fleet.nodes[0].owned.len(), MAX_CONTRIBUTIONS);
}

#[test]
fn a_flood_of_forged_sources_leaves_the_proven_ones_their_place() {
    let mut fleet = Fleet::new(5);
    let now = fleet.now;
    for n in 0..20_000u32 {
        let source = IpAddr::V4((0x0b00_0000 + n).into());
        let weak = Weak { at: now, source, sign: probe(0, 80, false), known: false };
        fleet.nodes[0].handle_observation(now, weak);
    }
    assert_eq!(fleet.nodes[0].stats().full_local, 20_000 - 8192);
    (0..5).for_each(|node| fleet.sees(node, ATTACKER, probe(node, 22, true)));
    fleet.wait(3);
    assert_eq!(fleet.verdicts.len(), 2, "and they are told first");
}

#[test]
fn a_second_tells_a_thousand_and_the_next_the_others() {
    let mut fleet = Fleet::new(1);
    fleet.nodes[0].set_members((0..3).map(id));
    for n in 0..1800u32 {
        let source = IpAddr::V4((0x0b00_0000 + n).into());
        let weak = Weak { at: fleet.now, source, sign: probe(0, 80, true), known: false };
        fleet.nodes[0].handle_observation(fleet.now, weak);
    }
    let told = |fleet: &mut Fleet| {
        fleet.now = fleet.now.after(Duration::from_secs(1));
        let now = fleet.now;
        fleet.nodes[0].handle_timeout(now);
        let mut sources = Vec::new();
        while let Some(effect) = fleet.nodes[0].poll_effect() {
            if let SumsEffect::Send(_, SumsMessage::Weak(letter)) = effect {
                sources.extend(letter.into_iter().map(|contribution| contribution.address));
            }
        }
        sources.sort_unstable();
        sources.dedup();
        sources
    };
    let first = told(&mut fleet);
    let second = told(&mut fleet);
    assert!(first.len() > 800 && first.len() <= 1000, "{}", first.len());
    assert!(second.len() > 600 && second.iter().all(|source| !first.contains(source)));
    assert_eq!(told(&mut fleet).len(), 0);
}
