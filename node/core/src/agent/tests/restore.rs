//! After a restart.

use super::*;
use crate::{BlockId, enforcement::Note, order::Mode};

fn entry(target: &str, class: Class, strength: Strength) -> Entry {
    let note = Note { id: BlockId(7), class, origin: "web-1".into() };
    Entry { target: net(target), strength, expires: Some(Time::from_secs(START + 600)), note }
}

#[test]
fn a_restart_changes_nothing() {
    let mut node = Node::new();
    node.proven("192.0.2.1");
    node.forged("192.0.2.2");
    node.protect(&[("192.0.2.3", Why::Gateway)]);
    node.block("192.0.2.3", true).unwrap();
    node.allow("198.51.100.0/24", Some(900)).unwrap();
    node.block("192.0.2.4", false).unwrap();
    node.unblock("192.0.2.4").unwrap();
    node.order(Order::Mode { mode: Mode::Manual, confirm: Some(Duration::from_secs(30)) }).unwrap();
    node.proven("192.0.2.5");
    let mut other = node.restarted();
    other.protect(&[("192.0.2.3", Why::Gateway)]);
    random::assert_same(&node, &other);
    assert_eq!(other.kernel, node.kernel);
    for node in [&mut node, &mut other] {
        node.pass(31);
        node.order(Order::Confirm).unwrap();
        node.pass(60);
        assert_eq!(node.dropped("192.0.2.3"), Some(Strength::Hard), "confirmed after the restart");
        assert_eq!(node.agent.mode(), Mode::Auto, "rolled back after the restart");
        assert_eq!(node.proven("192.0.2.4"), Some(Action::Report), "held back after the restart");
        node.pass(400);
        node.proven("192.0.2.1");
        assert!(node.left("192.0.2.1").unwrap() >= 3600, "the level is remembered");
    }
}

#[test]
fn what_ended_while_the_node_was_down_is_removed_from_the_store() {
    let mut node = Node::new();
    node.proven("192.0.2.1");
    node.allow("198.51.100.1", Some(60)).unwrap();
    node.second += 1000;
    let mut other = node.restarted();
    assert!(other.kernel.blocks.is_empty() && !other.passes("198.51.100.1"));
    other.take();
    assert!(!other.store.keys().any(|(tree, _)| matches!(tree, Tree::Blocks | Tree::Allowed)));
}

#[test]
fn a_changed_configuration_beats_the_stored_mode() {
    let mut node = Node::new();
    node.order(Order::Mode { mode: Mode::Manual, confirm: None }).unwrap();
    assert_eq!(node.restarted().agent.mode(), Mode::Manual);
    node.agent.config.mode = Mode::Manual;
    node.store.retain(|(tree, _), _| *tree == Tree::Switches);
    let mut agent = Agent::new(PolicyConfig { mode: Mode::Auto, ..node.agent.config.clone() }, 1, node.now());
    let stored = Record::Mode { mode: Mode::Auto, configured: Mode::Manual, rollback: None };
    agent.restore(node.now(), Record::Mode { mode: Mode::Manual, configured: Mode::Manual, rollback: None });
    assert_eq!(agent.mode(), Mode::Auto);
    agent.restore(node.now(), stored);
    assert_eq!(agent.mode(), Mode::Auto);
}

#[test]
fn a_kernel_entry_without_a_record_is_adopted() {
    let mut node = Node::new();
    node.agent.adopt(node.now(), entry("192.0.2.1", Class::BruteForce, Strength::Hard));
    node.agent.adopt(node.now(), entry("192.0.2.2", Class::Manual, Strength::Hard));
    node.take();
    let blocks: Vec<_> = node.agent.blocks().map(|listed| listed.block).collect();
    assert_eq!(
        (blocks[0].id, blocks[0].class, blocks[0].evidence),
        (BlockId(7), Class::BruteForce, Some(Evidence::Handshake))
    );
    assert_eq!(blocks[1].detector, Detector::Operator);
    assert_eq!(node.agent.desired().blocks.len(), 2);
    assert_eq!(node.restarted().agent.desired().blocks.len(), 2, "it has a record now");
}

#[test]
fn what_is_known_or_over_or_everybody_is_not_adopted() {
    let mut node = Node::new();
    node.proven("192.0.2.1");
    let before = node.agent.desired();
    node.agent.adopt(node.now(), entry("192.0.2.1", Class::PortScan, Strength::Soft));
    node.agent.adopt(
        node.now(),
        Entry { expires: Some(node.now()), ..entry("192.0.2.2", Class::PortScan, Strength::Soft) },
    );
    node.agent.adopt(node.now(), entry("0.0.0.0/0", Class::PortScan, Strength::Soft));
    assert_eq!(node.agent.desired(), before);
}

#[test]
fn an_adopted_block_of_a_protected_target_rests() {
    let mut node = Node::new();
    node.protect(&[("192.0.2.1", Why::Gateway)]);
    node.agent.adopt(node.now(), entry("192.0.2.1", Class::BruteForce, Strength::Hard));
    assert!(node.agent.desired().blocks.is_empty());
}
