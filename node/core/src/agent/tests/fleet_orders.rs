//! What operators order the whole fleet to do.

use super::{
    fleet::{EVIL, ME, WEB_2, WEB_3, fleet_block, log, order, version},
    *,
};
use crate::{
    BlockState, Withheld,
    fleet::{FleetBlock, NodeId, OperatorOrder, OrderKind, Version},
};

const HOUR: Duration = Duration::from_secs(3600);

pub(super) fn block_order(targets: &[&str], force: bool) -> OrderKind {
    let targets = targets.iter().map(|target| net(target)).collect();
    OrderKind::Block { targets, duration: Some(HOUR), class: Class::Manual, reason: "by hand".into(), force }
}

pub(super) fn allow_order(target: &str) -> OrderKind {
    OrderKind::Allow { target: net(target), duration: None, comment: "partner".into() }
}

pub(super) fn unblock_order(target: &str, covers: &[(NodeId, u64)], orders: &[u128]) -> OrderKind {
    OrderKind::Unblock {
        target: net(target),
        covers: covers.iter().map(|(node, sequence)| (*node, version(*sequence))).collect(),
        orders: orders.to_vec(),
        hold: Duration::from_secs(600),
        false_positive: false,
    }
}

fn mistake(target: &str, covers: &[(NodeId, u64)]) -> OrderKind {
    let OrderKind::Unblock { target, covers, orders, hold, .. } = unblock_order(target, covers, &[]) else {
        unreachable!()
    };
    OrderKind::Unblock { target, covers, orders, hold, false_positive: true }
}

fn canary(target: &str, watched: bool) -> OrderKind {
    OrderKind::Canary { target: net(target), watched }
}

#[test]
fn an_operators_block_drops_all_its_targets_under_the_operators_name() {
    let mut node = Node::in_fleet();
    node.ordered_before(600, 1, block_order(&["192.0.2.1", "198.51.100.0/24"], false));
    assert_eq!((node.dropped("192.0.2.1"), node.left("198.51.100.0/24")), (Some(Strength::Hard), Some(3000)));
    assert_eq!(node.entry("192.0.2.1").unwrap().note.origin, "alice");
    let ids: alloc::collections::BTreeSet<_> = node.agent.blocks().map(|listed| listed.block.id).collect();
    assert_eq!(ids.len(), 2);
    let order = node.agent.fleet_orders().next().unwrap();
    assert_eq!((order.summary(), order.targets), (("block", Some(net("192.0.2.1")), "by hand"), 2));
    assert!(node.store.keys().all(|(tree, _)| *tree != Tree::Blocks), "the logs keep it");
    node.pass(3000);
    assert_eq!((node.kernel.blocks.len(), node.agent.fleet_orders().count()), (0, 0));
}

#[test]
fn force_lifts_the_width_and_never_what_this_node_protects() {
    let mut node = Node::in_fleet();
    node.protect(&[("192.0.2.9", Why::Own), ("20.0.0.0/16", Why::Gateway)]);
    node.ordered(1, block_order(&["20.0.0.0/15", "0.0.0.0/0"], false));
    assert_eq!(node.withheld("20.0.0.0/15"), Some(Withheld::TooWide));
    node.ordered(2, block_order(&["30.0.0.0/15", "0.0.0.0/0", "192.0.2.9"], true));
    assert_eq!(node.kernel.blocks.keys().copied().collect::<Vec<_>>(), [net("30.0.0.0/15")]);
    assert!(matches!(node.state("192.0.2.9"), Some(BlockState::Suspended(_))));
    assert!(node.passes("192.0.2.9"));
}

#[test]
fn the_same_order_carried_by_several_is_one() {
    let mut node = Node::in_fleet();
    node.ordered(1, block_order(&["192.0.2.1"], false));
    node.pass(1000);
    node.ordered(1, block_order(&["192.0.2.1"], false));
    assert_eq!((node.left("192.0.2.1"), node.agent.block_count()), (Some(2600), 1));
    node.ordered(2, mistake("192.0.2.2", &[(WEB_2, 1)]));
    node.ordered(2, mistake("192.0.2.2", &[(WEB_2, 1)]));
    assert_eq!(node.trust(WEB_2), 0.95);
}

#[test]
fn an_unblock_ends_what_it_names_and_holds_detection_back() {
    let mut node = Node::in_fleet();
    node.hears(WEB_2, 5, "192.0.2.1");
    node.hears(WEB_3, 5, "192.0.2.1");
    node.ordered(1, block_order(&["192.0.2.1", "192.0.2.2"], false));
    let (covers, orders, _) = node.agent.fleet_covers(&net("192.0.2.1"), (1, 9));
    assert_eq!(
        (covers.as_slice(), orders.as_slice()),
        (&[(WEB_2, version(5)), (WEB_3, version(5))][..], &[1][..])
    );
    node.ordered(2, unblock_order("192.0.2.1", &[(WEB_2, 5), (WEB_3, 5)], &[1]));
    assert_eq!(node.kernel.blocks.keys().copied().collect::<Vec<_>>(), [net("192.0.2.2")]);
    node.hears(WEB_2, 6, "192.0.2.1");
    assert_eq!(node.withheld("192.0.2.1"), Some(Withheld::HeldBack));
    assert_eq!(node.proven("192.0.2.1"), Some(Action::Report));
    node.pass(200);
    node.hears_block(WEB_2, 7, FleetBlock { duration: Some(HOUR), ..fleet_block("192.0.2.1") });
    node.pass(400);
    assert_eq!(node.dropped("192.0.2.1"), Some(Strength::Hard), "the hold is over");
}

#[test]
fn an_unblock_that_comes_before_the_block_voids_it_all_the_same() {
    let mut node = Node::in_fleet();
    node.ordered_before(700, 9, unblock_order("192.0.2.1", &[(WEB_2, 5)], &[1]));
    node.hears(WEB_2, 5, "192.0.2.1");
    node.ordered(1, block_order(&["192.0.2.1"], false));
    node.hears(WEB_2, 4, "192.0.2.1");
    assert_eq!(node.agent.block_count(), 0);
    node.hears(WEB_3, 4, "192.0.2.1");
    assert_eq!(node.dropped("192.0.2.1"), Some(Strength::Hard), "it does not name this one");
    node.hears(WEB_2, 6, "192.0.2.1");
    assert_eq!(node.agent.block_count(), 2, "nor a later one");
}

#[test]
fn an_unblock_of_a_network_voids_within_it_exactly_what_it_names() {
    let mut node = Node::in_fleet();
    node.hears(WEB_2, 3, "192.0.2.3");
    node.hears(WEB_2, 5, "192.0.2.5");
    node.ordered_before(700, 1, unblock_order("192.0.2.0/24", &[(WEB_2, 5)], &[]));
    assert_eq!(node.kernel.blocks.keys().copied().collect::<Vec<_>>(), [net("192.0.2.3")]);
}

#[test]
fn an_allow_beats_every_block_until_it_is_taken_back_by_its_id() {
    let mut node = Node::in_fleet();
    node.hears(WEB_2, 1, "192.0.2.1");
    node.block("192.0.2.2", false).unwrap();
    node.ordered(1, block_order(&["192.0.2.3"], true));
    node.ordered(2, allow_order("192.0.2.0/24"));
    node.ordered(3, allow_order("192.0.2.0/24"));
    assert!(node.kernel.blocks.is_empty() && node.passes("192.0.2.0/24"));
    assert_eq!(node.agent.block_count(), 3, "they rest");
    assert_eq!(node.proven("192.0.2.4"), Some(Action::Protected));
    assert_eq!(node.agent.allowed().next().unwrap().comment, "partner");
    let ids = |node: &Node| node.agent.fleet_allowed().map(|(id, ..)| id).collect::<Vec<_>>();
    assert_eq!((ids(&node), node.agent.allowed_here().count()), ([2, 3].into(), 0));
    node.ordered(4, OrderKind::Disallow { id: 2 });
    assert_eq!(ids(&node), [3]);
    assert!(node.kernel.blocks.is_empty(), "the other allow stands");
    node.ordered(5, OrderKind::Disallow { id: 3 });
    assert_eq!(node.kernel.blocks.len(), 3);
    node.ordered(3, allow_order("192.0.2.0/24"));
    assert_eq!(node.kernel.blocks.len(), 3, "it was taken back for good");
}

#[test]
fn an_allow_ends_by_itself() {
    let mut node = Node::in_fleet();
    node.hears_block(WEB_2, 1, FleetBlock { duration: Some(HOUR), ..fleet_block("192.0.2.1") });
    let allow =
        OrderKind::Allow { target: net("192.0.2.1"), duration: Some(HOUR / 2), comment: String::new() };
    node.ordered(1, allow);
    assert_eq!(node.dropped("192.0.2.1"), None);
    node.pass(1800);
    assert_eq!(node.dropped("192.0.2.1"), Some(Strength::Hard));
}

#[test]
fn nobody_allows_or_watches_every_address() {
    let mut node = Node::in_fleet();
    node.hears(WEB_2, 1, "192.0.2.1");
    node.ordered(1, allow_order("0.0.0.0/0"));
    node.ordered(2, canary("128.0.0.0/1", true));
    assert_eq!(node.dropped("192.0.2.1"), Some(Strength::Hard));
    assert_eq!(node.agent.counters().orders_refused, 2);
}

/// A member's key has no other way in than these two, and both go by the log that it signed: there is none to allow,
/// and none to speak for another.
#[test]
fn one_liar_cannot_end_what_others_say_or_what_was_decided_here() {
    let mut node = Node::in_fleet();
    node.proven("192.0.2.1");
    node.block("192.0.2.2", false).unwrap();
    node.hears(WEB_2, 1, "192.0.2.3");
    node.ordered(1, block_order(&["192.0.2.4"], false));
    let before = node.kernel.clone();
    let mut liar = |target: &str| {
        for sequence in [1, u64::MAX] {
            node.voids(EVIL, sequence, target);
            node.hears_left(EVIL, sequence, fleet_block(target), Some(Duration::ZERO));
        }
        let soft =
            FleetBlock { evidence: None, duration: Some(Duration::from_secs(1)), ..fleet_block(target) };
        node.hears_block(EVIL, u64::MAX, soft);
    };
    ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.0/24"].into_iter().for_each(&mut liar);
    assert_eq!(node.kernel, before);
    let own = crate::fleet::LogId { origin: ME, site: None };
    node.agent.handle_fleet_void(
        node.now(),
        &own,
        net("192.0.2.1"),
        version(9),
        crate::gossip::Voided::Revoked,
    );
    node.take();
    assert_eq!(node.kernel, before, "not even the fleet ends what this node decided");
}

#[test]
fn mistakes_lower_trust_and_below_the_limit_nothing_is_enforced() {
    let mut node = Node::in_fleet();
    node.hears_block(EVIL, 1, FleetBlock { duration: Some(100 * HOUR), ..fleet_block("192.0.2.1") });
    for day in 0..3 {
        for n in 0..9 {
            let seconds = day * 24 * 3600;
            let kind = mistake("198.51.100.1", &[(EVIL, 99)]);
            let (id, issued) = (u128::from(100 * day + n), Time::from_secs(START - seconds));
            node.orders(seconds, OperatorOrder { id, issued, lasts: None, ..order(kind) });
        }
    }
    assert_eq!((node.trust(EVIL), node.withheld("192.0.2.1")), (0.4, Some(Withheld::Distrusted)));
    assert_eq!(node.dropped("192.0.2.1"), None);
    let mut other = node.restarted();
    other.join();
    assert_eq!(other.trust(EVIL), 0.4, "it is remembered");
    other.hears(EVIL, 2, "192.0.2.2");
    assert_eq!(other.withheld("192.0.2.2"), Some(Withheld::Distrusted));
    other.pass(1);
    other.ordered(7777, OrderKind::Trust { node: EVIL, believed: true });
    assert_eq!((other.trust(EVIL), other.dropped("192.0.2.2")), (1.0, Some(Strength::Hard)));
}

#[test]
fn who_blocks_a_canary_is_proven_a_liar() {
    let mut node = Node::in_fleet();
    node.hears(EVIL, 1, "192.0.2.1");
    node.ordered_before(600, 1, canary("198.51.100.7", true));
    node.hears(EVIL, 2, "198.51.100.0/24");
    assert_eq!(node.trust(EVIL), 0.0);
    assert_eq!(
        (node.withheld("192.0.2.1"), node.withheld("198.51.100.0/24")),
        (Some(Withheld::Distrusted), Some(Withheld::Canary))
    );
    assert!(node.agent.health(node.now()).iter().any(|health| health.what.contains("not believed")));
    let other = node.restarted();
    assert_eq!(other.agent.fleet_origins().len(), 0, "in no fleet yet");
    assert!(node.store.keys().any(|(tree, _)| *tree == Tree::Trust));
}

#[test]
fn who_blocked_a_canary_before_it_was_one_may_have_been_deceived() {
    let mut node = Node::in_fleet();
    node.hears(WEB_2, 1, "198.51.100.7");
    node.ordered(1, canary("198.51.100.7", true));
    node.hears(WEB_3, 1, "198.51.100.7");
    assert_eq!(node.withheld("198.51.100.7"), Some(Withheld::Canary));
    assert_eq!((node.trust(WEB_2), node.trust(WEB_3)), (1.0, 1.0));
    node.pass(1);
    node.ordered(2, canary("198.51.100.7", false));
    assert_eq!(node.dropped("198.51.100.7"), Some(Strength::Hard));
}

#[test]
fn this_node_blocks_no_canary_itself() {
    let mut node = Node::in_fleet();
    node.proven("198.51.100.7");
    node.ordered(1, canary("198.51.100.7", true));
    assert_eq!(node.dropped("198.51.100.7"), None);
    node.pass(301);
    assert_eq!(node.proven("198.51.100.7"), Some(Action::Protected));
    assert_eq!(node.reports.last().unwrap().note, "198.51.100.7/32 is protected: canary");
}

#[test]
fn a_revoked_member_is_forgotten_and_what_operators_said_through_it_stands() {
    let mut node = Node::in_fleet();
    node.hears(EVIL, 1, "192.0.2.1");
    node.ordered(1, block_order(&["192.0.2.2"], false));
    node.ordered(2, mistake("192.0.2.3", &[(EVIL, 7)]));
    node.ordered(3, OrderKind::Revoke { node: EVIL });
    node.hears(EVIL, 2, "192.0.2.4");
    assert_eq!(node.kernel.blocks.keys().copied().collect::<Vec<_>>(), [net("192.0.2.2")]);
    assert!(node.store.keys().all(|(tree, _)| *tree != Tree::Trust));
    node.ordered(4, OrderKind::Revoke { node: ME });
    assert_eq!(node.kernel.blocks.len(), 1);
}

#[test]
fn a_person_without_a_key_ends_what_the_fleet_says_here_alone() {
    let mut node = Node::in_fleet();
    node.hears_block(WEB_2, 1, FleetBlock { duration: Some(HOUR), ..fleet_block("192.0.2.1") });
    node.ordered(1, block_order(&["192.0.2.1"], false));
    let Ok(Done::Unblocked(ended)) = node.unblock("192.0.2.1") else { panic!("unblocked") };
    assert_eq!(ended.iter().map(|block| block.origin.0.as_str()).collect::<Vec<_>>(), ["web-2", "alice"]);
    assert!(node.kernel.blocks.is_empty() && node.says.is_empty());
    assert_eq!(node.withheld("192.0.2.1"), Some(Withheld::Unblocked));
    assert_eq!(node.unblock("192.0.2.1"), Err(Refusal::NotFound));
    let mut other = node.restarted();
    other.join();
    other.hears_block(WEB_2, 1, FleetBlock { duration: Some(HOUR), ..fleet_block("192.0.2.1") });
    other.ordered(1, block_order(&["192.0.2.1"], false));
    assert!(other.kernel.blocks.is_empty(), "after a restart, too");
    other.pass(601);
    other.hears_block(WEB_2, 2, FleetBlock { duration: Some(HOUR), ..fleet_block("192.0.2.1") });
    assert_eq!(other.dropped("192.0.2.1"), Some(Strength::Hard), "a later word is another");
    other.pass(3 * 3600);
    assert!(other.store.keys().all(|(tree, _)| *tree != Tree::Overruled));
}

#[test]
fn an_unblock_covers_this_nodes_block_too_and_the_fleet_hears_that_it_is_over() {
    let mut node = Node::in_fleet();
    node.proven("192.0.2.1");
    node.says.clear();
    node.hears(ME, 4, "192.0.2.1");
    let order = mistake("192.0.2.1", &[(ME, 4)]);
    node.ordered(1, order.clone());
    assert!(node.kernel.blocks.is_empty());
    assert!(matches!(node.says[..], [(_, crate::fleet::Entry::Withdraw { .. })]));
    assert_eq!(node.agent.lessons().count(), 1);
    node.pass(700);
    node.proven("192.0.2.1");
    node.hears(ME, 5, "192.0.2.1");
    let mut other = node.restarted();
    other.join();
    other.hears(ME, 5, "192.0.2.1");
    other.ordered_before(700, 1, order);
    assert_eq!(other.dropped("192.0.2.1"), Some(Strength::Hard), "the later block is not covered");
}

#[test]
fn versions_of_an_earlier_life_are_covered_by_those_of_a_later() {
    let mut node = Node::in_fleet();
    let cover = Version { epoch: 8, sequence: 1 };
    let kind = OrderKind::Unblock {
        target: net("192.0.2.1"),
        covers: alloc::vec![(WEB_2, cover)],
        orders: Vec::new(),
        hold: Duration::ZERO,
        false_positive: false,
    };
    node.ordered(1, kind);
    node.agent.handle_fleet_block(node.now(), &log(WEB_2), version(99), fleet_block("192.0.2.1"), Some(HOUR));
    assert_eq!(node.agent.block_count(), 0);
}
