//! A node that leaves one fleet and enters another.

use super::{
    fleet::{ME, WEB_2, fleet_block, version},
    fleet_foreign::{HOUR, OTHER},
    fleet_orders::block_order,
    *,
};
use crate::{
    Withheld,
    fleet::{Entry, FleetBlock, OrderKind},
    protect::Why,
};

fn allow(target: &str) -> OrderKind {
    OrderKind::Allow { target: net(target), duration: None, comment: String::new() }
}

#[test]
fn what_operators_of_a_fleet_allowed_ends_when_it_is_left() {
    let mut node = Node::in_fleet();
    node.ordered(1, allow("192.0.2.7"));
    let why = |node: &Node| node.agent.why_protected(&net("192.0.2.7")).map(|protected| protected.why);
    assert_eq!(why(&node), Some(Why::AllowList));
    node.agent.leave_fleet(node.now());
    node.take();
    assert_eq!(why(&node), None);
    assert_eq!(node.proven("192.0.2.7"), Some(Action::Block));
    assert_eq!((node.agent.fleet_orders().count(), node.agent.fleet_origins().len()), (0, 0));
}

#[test]
fn what_was_dropped_on_its_word_stays_dropped_and_ends_in_time() {
    let mut node = Node::in_fleet();
    node.hears(WEB_2, 1, "192.0.2.1");
    node.ordered(1, block_order(&["192.0.2.2"], false));
    node.hears(WEB_2, 2, "10.0.0.1");
    assert_eq!(node.agent.block_count(), 3);
    node.agent.leave_fleet(node.now());
    node.take();
    assert_eq!(node.agent.block_count(), 2, "what was only held is let go");
    assert!(node.dropped("192.0.2.1").is_some() && node.dropped("192.0.2.2").is_some());
    node.pass(30 * 24 * 3600);
    assert_eq!(node.agent.block_count(), 0);
}

#[test]
fn what_a_person_ended_of_its_word_is_remembered_no_longer() {
    let mut node = Node::in_fleet();
    node.hears(WEB_2, 1, "192.0.2.1");
    node.unblock("192.0.2.1").unwrap();
    let kept = |node: &Node| node.store.keys().filter(|(tree, _)| *tree == Tree::Overruled).count();
    assert_eq!(kept(&node), 1);
    node.agent.leave_fleet(node.now());
    node.take();
    assert_eq!((kept(&node), node.agent.block_count()), (0, 0));
}

#[test]
fn the_next_fleet_is_told_what_the_last_one_knew() {
    let mut node = Node::in_fleet();
    node.proven("192.0.2.1");
    node.hears(ME, 1, "192.0.2.1");
    node.says.clear();
    node.agent.leave_fleet(node.now());
    node.take();
    node.pass(20);
    assert_eq!(node.says, []);
    node.join();
    node.pass(10);
    assert!(matches!(&node.says[..], [(_, Entry::Block(block))] if block.target == net("192.0.2.1")));
}

#[test]
fn whoever_is_believed_is_believed_also_in_the_next_fleet() {
    let mut node = Node::believing();
    node.hears_abroad(100, version(1), fleet_block("203.0.113.7"));
    node.agent.leave_fleet(node.now());
    node.take();
    node.join();
    node.hears_abroad(100, version(2), fleet_block("203.0.113.8"));
    assert_eq!((node.kernel.blocks.len(), node.agent.foreign_count(&OTHER)), (2, 2));
}

#[test]
fn what_a_person_ended_of_another_cluster_s_word_stays_ended_also_in_the_next_fleet() {
    let mut node = Node::believing();
    node.hears_abroad(100, version(1), fleet_block("203.0.113.7"));
    node.unblock("203.0.113.7").unwrap();
    node.agent.leave_fleet(node.now());
    node.take();
    let mut again = node.restarted_believing(&[(OTHER, "other")]);
    node.join();
    for node in [&mut node, &mut again] {
        node.pass(700);
        let same = FleetBlock { duration: Some(HOUR), ..fleet_block("203.0.113.7") };
        node.hears_abroad(100, version(1), same.clone());
        assert_eq!(node.withheld("203.0.113.7"), Some(Withheld::Unblocked), "it is the same word");
        node.hears_abroad(100, version(2), same);
        assert!(node.dropped("203.0.113.7").is_some(), "a later one it may say");
    }
}
