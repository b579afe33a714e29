use alloc::vec::Vec;
use core::net::IpAddr;

use super::fleet::*;
use crate::sums::*;

fn source(index: u32) -> IpAddr {
    IpAddr::V4((0x0b00_0000 + index).into())
}

#[test]
fn everybody_names_the_same_two_owners_and_all_have_their_share() {
    let fleet = Fleet::new(10);
    let mut shares = [0; 10];
    for index in 0..1000 {
        let owners = fleet.owners(source(index));
        assert!(owners.len() == 2 && owners[0] != owners[1]);
        let others = fleet.nodes.iter().map(|node| node.ring.owners_of(source(index)));
        assert!(others.into_iter().all(|other| other == fleet.nodes[0].ring.owners_of(source(index))));
        owners.iter().for_each(|owner| shares[*owner] += 1);
    }
    assert!(shares.iter().all(|share| (140..260).contains(share)), "{shares:?}");
}

#[test]
fn the_end_of_a_member_moves_only_what_was_its_own() {
    let mut fleet = Fleet::new(10);
    let before: Vec<_> = (0..500).map(|index| fleet.owners(source(index))).collect();
    fleet.down.insert(9);
    fleet.settle_members();
    for (index, before) in before.into_iter().enumerate() {
        let after = fleet.owners(source(index as u32));
        assert!(!after.contains(&9));
        if !before.contains(&9) {
            assert_eq!(before, after);
        }
    }
}

#[test]
fn a_sum_survives_the_end_of_both_its_owners() {
    let mut fleet = Fleet::new(7);
    let mut witnesses = (0..7).filter(|node| !fleet.owners(ATTACKER).contains(node)).collect::<Vec<_>>();
    let last = witnesses.pop().unwrap();
    for node in &witnesses {
        fleet.sees(*node, ATTACKER, probe(*node, 22, true));
    }
    fleet.wait(3);
    fleet.down.extend(fleet.owners(ATTACKER));
    fleet.settle_members();
    fleet.wait(3);
    fleet.silent();
    fleet.sees(last, ATTACKER, probe(last, 22, true));
    fleet.wait(3);
    assert_eq!(fleet.verdicts.len(), 2, "the new owners were told what the old ones knew");
}

#[test]
fn two_nodes_are_too_few_to_decide_together() {
    let mut fleet = Fleet::new(2);
    for port in 0..50 {
        (0..2).for_each(|node| fleet.sees(node, ATTACKER, probe(node, port, true)));
        fleet.wait(3);
    }
    fleet.silent();
    assert_eq!(NODES, 3);
}
