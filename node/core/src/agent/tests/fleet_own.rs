//! What this node says to the fleet.

use super::{
    fleet::{ME, WEB_2, fleet_block, version},
    *,
};
use crate::{
    Withheld,
    fleet::{Entry, FleetBlock, LogId},
    gossip::Audience,
};

fn said(node: &mut Node) -> Vec<(Audience, Entry)> {
    core::mem::take(&mut node.says)
}

#[test]
fn what_detection_blocks_here_is_said_behind_its_record_without_waiting_for_the_disk() {
    let mut node = Node::in_fleet();
    node.disk = false;
    node.proven("192.0.2.1");
    assert!(node.store.keys().any(|(tree, _)| *tree == Tree::Blocks), "one write keeps both");
    let [(Audience::Cluster, Entry::Block(block))] = &said(&mut node)[..] else { panic!("said") };
    assert_eq!((block.target, block.strength, block.level), (net("192.0.2.1"), Strength::Hard, 1));
    assert!((300..=330).contains(&block.duration.unwrap().as_secs()));
    assert_eq!(block.evidence, Some(Evidence::Handshake));
    node.hears(ME, 1, "192.0.2.1");
    assert_eq!(node.agent.block_count(), 1, "what comes back is known");
    node.pass(400);
    assert_eq!(node.says, [], "what is over by itself needs no word");
}

#[test]
fn private_targets_are_said_within_the_site() {
    let mut node = Node::in_fleet();
    node.proven("10.9.9.9");
    node.proven("fd00::9");
    assert!(said(&mut node).iter().all(|(audience, _)| *audience == Audience::Site));
}

#[test]
fn a_soft_block_that_goes_on_is_said_again_and_a_persons_block_never() {
    let mut node = Node::in_fleet();
    node.pass(10);
    node.block("192.0.2.2", false).unwrap();
    node.unblock("192.0.2.2").unwrap();
    node.forged("192.0.2.1");
    node.pass(100);
    node.forged("192.0.2.1");
    let said = said(&mut node);
    assert_eq!(said.len(), 2);
    assert!(said.iter().all(|(_, entry)| entry.target() == Some(net("192.0.2.1"))));
}

#[test]
fn what_is_taken_back_here_is_taken_back_everywhere() {
    let mut node = Node::in_fleet();
    node.proven("192.0.2.1");
    said(&mut node);
    node.unblock("192.0.2.1").unwrap();
    let [(Audience::Cluster, Entry::Withdraw { target, lasts })] = said(&mut node)[..] else {
        panic!("said")
    };
    assert_eq!(target, net("192.0.2.1"));
    assert!(lasts.unwrap().as_secs() >= 300 + 3600, "it outlives what it takes back");
    node.hears(ME, 1, "192.0.2.1");
    assert_eq!(node.agent.block_count(), 0, "its own word on its way brings nothing back");
}

#[test]
fn what_cut_off_the_clients_is_taken_back_everywhere() {
    let mut node = Node::in_fleet();
    for _ in 0..60 {
        node.pass(1);
        node.agent.handle_handshakes(node.now(), 50);
    }
    node.proven("192.0.2.1");
    said(&mut node);
    for _ in 0..6 {
        node.pass(1);
        node.agent.handle_handshakes(node.now(), 0);
        node.take();
    }
    assert!(matches!(said(&mut node)[..], [(_, Entry::Withdraw { .. })]));
}

#[test]
fn a_node_with_a_wiped_store_takes_its_own_blocks_back_from_its_peers() {
    let mut node = Node::in_fleet();
    node.hears(ME, 17, "192.0.2.1");
    let listed = node.agent.blocks().next().unwrap();
    assert_eq!((listed.block.origin.0.as_str(), listed.state), ("web-1", crate::BlockState::InForce));
    assert_eq!(node.store.keys().filter(|(tree, _)| *tree == Tree::Blocks).count(), 1);
    assert_eq!(node.says, [], "the fleet knows");
    node.pass(20);
    assert_eq!(node.says, []);
    node.unblock("192.0.2.1").unwrap();
    assert!(matches!(said(&mut node)[..], [(_, Entry::Withdraw { .. })]));
    let claim = FleetBlock { detector: Detector::Operator, ..fleet_block("192.0.2.2") };
    node.hears_block(ME, 18, claim);
    assert_eq!(node.agent.block_count(), 0, "an operator's word is not this node's to say");
}

#[test]
fn what_a_person_ended_does_not_come_back_when_the_last_word_was_lost_in_a_crash() {
    let mut node = Node::in_fleet();
    node.proven("192.0.2.1");
    node.hears(ME, 1, "192.0.2.1");
    node.unblock("192.0.2.1").unwrap();
    let mut other = node.restarted();
    other.join();
    other.hears(ME, 1, "192.0.2.1");
    assert_eq!(other.agent.block_count(), 0);
    assert!(matches!(said(&mut other)[..], [(_, Entry::Withdraw { .. })]), "it is said again");
}

#[test]
fn who_joins_says_what_it_blocks_already_and_who_returns_only_what_is_not_known() {
    let mut node = Node::new();
    node.proven("192.0.2.1");
    node.proven("192.0.2.2");
    assert_eq!(node.says, []);
    node.join();
    node.hears(ME, 1, "192.0.2.1");
    node.pass(10);
    let targets: Vec<_> = said(&mut node).iter().filter_map(|(_, entry)| entry.target()).collect();
    assert_eq!(targets, [net("192.0.2.2")]);
}

#[test]
fn the_fleets_blocks_are_neither_said_again_nor_counted_as_this_nodes() {
    let mut node = Node::in_fleet_with(|config| config.limits.automatic_blocks = 1);
    node.hears(WEB_2, 1, "192.0.2.1");
    node.voids(WEB_2, 1, "192.0.2.1");
    node.hears(WEB_2, 2, "192.0.2.2");
    assert_eq!(node.says, []);
    assert_eq!(node.proven("192.0.2.3"), Some(Action::Block), "the fleet takes no room from detection");
}

#[test]
fn the_sites_log_brings_own_blocks_back_too() {
    let mut node = Node::in_fleet();
    let log = LogId { origin: ME, site: Some("berlin".into()) };
    let left = Some(Duration::from_secs(100));
    node.agent.handle_fleet_block(node.now(), &log, version(3), fleet_block("10.1.1.1"), left);
    node.take();
    assert_eq!(
        (node.dropped("10.1.1.1"), node.withheld("10.1.1.1")),
        (Some(Strength::Hard), None::<Withheld>)
    );
}

#[test]
fn what_the_logs_have_no_room_for_is_said_again_as_it_is_then() {
    let mut node = Node::in_fleet();
    node.proven("192.0.2.1");
    node.proven("192.0.2.2");
    node.hears(ME, 1, "192.0.2.1");
    node.hears(ME, 2, "192.0.2.2");
    node.unblock("192.0.2.1").unwrap();
    let said = said(&mut node);
    assert_eq!(said.len(), 3);
    said.iter().for_each(|(_, entry)| node.agent.handle_unsaid(node.now(), entry));
    node.pass(9);
    assert_eq!(node.says, []);
    node.pass(1);
    let [(_, Entry::Withdraw { lasts, .. }), (_, Entry::Block(block))] = &node.says[..] else {
        panic!("said: {:?}", node.says)
    };
    assert_eq!(block.target, net("192.0.2.2"));
    assert!(lasts.unwrap() < Duration::from_secs(3600 + 400), "and no longer each time");
}

#[test]
fn what_has_no_room_is_remembered_within_bounds_and_the_rest_is_found_again() {
    let mut node = Node::in_fleet();
    node.proven("192.0.2.1");
    let (_, block) = said(&mut node).remove(0);
    let Entry::Block(block) = block else { panic!("said") };
    for n in 0..100_010_u32 {
        let target = net(&alloc::format!("{}", core::net::Ipv4Addr::from(0x1400_0000 + n)));
        node.agent.handle_unsaid(node.now(), &Entry::Block(FleetBlock { target, ..block.clone() }));
    }
    assert_eq!(node.agent.fleet.unsaid(), 100_000);
    node.pass(10);
    assert!(node.says.iter().any(|(_, entry)| entry.target() == Some(net("192.0.2.1"))));
}
