//! Everything that the fleet can fill has a limit.

use super::{
    fleet::{ALICE, EVIL, WEB_2, fleet_block},
    fleet_orders::{allow_order, block_order, unblock_order},
    *,
};
use crate::{
    agent::{FleetMember, REGULARS},
    fleet::{COVERED, NodeId, ORDER_TARGETS, OrderKind},
};

fn host(n: u32) -> String {
    alloc::format!("{}", core::net::Ipv4Addr::from(0x1400_0000 + n))
}

fn id(n: u32) -> NodeId {
    let mut id = [7; 32];
    id[..4].copy_from_slice(&n.to_be_bytes());
    NodeId(id)
}

fn warns(node: &Node, of: &str) -> bool {
    node.agent.health(node.now()).iter().any(|health| health.what.contains(of))
}

#[test]
fn one_origin_takes_as_much_room_as_its_detection_could_and_all_leave_some() {
    let mut node = Node::in_fleet_with(|config| {
        config.limits.automatic_blocks = 20;
        config.limits.blocks = 60;
    });
    (1..=1000).for_each(|n| node.hears(EVIL, n.into(), &host(n)));
    assert_eq!(node.agent.block_count(), 19, "who floods leaves the other half to the others");
    (1..=1000).for_each(|n| node.hears(id(n), 1, &host(n)));
    assert_eq!(node.agent.block_count(), 38);
    assert!(warns(&node, "1962 blocks of the fleet have no room"));
    for n in 0..20 {
        assert_eq!(node.proven(&alloc::format!("192.0.2.{n}")), Some(Action::Block));
    }
    node.hears(EVIL, 2000, &host(1));
    assert_eq!(node.agent.block_count(), 58, "what is held can be said anew");
    node.ordered(1, block_order(&["192.0.2.200"], false));
    assert_eq!(node.dropped("192.0.2.200"), Some(Strength::Hard), "operators have room of their own");
    node.pass(300);
    assert!(!warns(&node, "have no room"), "what is over is not missed any more");
}

#[test]
fn members_and_regulars_are_bounded() {
    let mut node = Node::in_fleet();
    let member = |n: u32| FleetMember {
        id: id(n),
        name: "same".into(),
        site: "berlin".into(),
        address: IpAddr::from((0x1400_0000 + n).to_be_bytes()),
        there_since: None,
    };
    node.agent.handle_members(node.now(), (0..5000).map(member).collect());
    node.take();
    assert_eq!(node.agent.fleet_origins().len(), 4096 + 1);
    assert!(warns(&node, "904 members"));
    let regulars = (0..10_000).map(|n: u32| IpAddr::from((0x1500_0000 + n).to_be_bytes())).collect();
    node.agent.handle_regulars(node.now(), regulars);
    assert_eq!(node.agent.fleet.sizes().0, REGULARS);
}

#[test]
fn orders_are_bounded_and_their_room_comes_back_when_they_are_over() {
    let mut node = Node::in_fleet();
    for n in 0..20_010 {
        node.ordered(n, OrderKind::Disallow { id: n });
    }
    assert_eq!(node.agent.fleet_orders().count(), 20_000);
    assert!(warns(&node, "10 orders") && warns(&node, "as many orders"));
    node.pass(24 * 3600);
    assert_eq!(node.agent.fleet_orders().count(), 0);
    assert!(!warns(&node, "orders"));
}

#[test]
fn an_import_leaves_room_for_what_ends_it_and_an_order_without_room_waits_for_it() {
    let mut node = Node::in_fleet();
    for n in 0..16_001 {
        node.ordered(
            n,
            OrderKind::Block {
                targets: alloc::vec![net(&host(n as u32))],
                duration: Some(Duration::from_secs(if n < 2 { 600 } else { 3600 })),
                class: Class::Manual,
                reason: String::new(),
                force: false,
            },
        );
    }
    assert_eq!(node.agent.fleet_orders().count(), 16_000);
    node.ordered(20_000, allow_order("192.0.2.7"));
    assert!(node.passes("192.0.2.7"));
    node.pass(600);
    assert!(node.agent.fleet_orders().any(|listed| listed.order.id == 16_000));
}

#[test]
fn what_unblocks_cover_is_bounded() {
    let mut node = Node::in_fleet();
    let covers: Vec<_> = (0..COVERED as u64 + 50).map(|n| (WEB_2, n)).collect();
    for n in 0..1010 {
        node.ordered_before(700, n, unblock_order(&host(n as u32), &covers, &[]));
    }
    assert_eq!(node.agent.fleet_orders().count(), 1000);
    assert!(warns(&node, "10 orders"));
}

#[test]
fn an_order_has_so_many_targets_and_no_more() {
    let mut node = Node::in_fleet();
    let targets: Vec<String> = (0..ORDER_TARGETS as u32 + 44).map(host).collect();
    let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
    node.ordered(1, block_order(&targets, false));
    assert_eq!(node.agent.block_count(), ORDER_TARGETS);
    assert_eq!(node.agent.fleet_orders().next().unwrap().targets, ORDER_TARGETS);
}

#[test]
fn canaries_are_bounded() {
    let mut node = Node::in_fleet();
    for n in 0..1010 {
        node.ordered(n, OrderKind::Canary { target: net(&host(n as u32)), watched: true });
    }
    assert!(warns(&node, "as many canaries") && warns(&node, "10 orders"));
    node.pass(24 * 3600);
    assert!(!warns(&node, "as many canaries"));
}

#[test]
fn what_a_person_ended_here_is_remembered_within_bounds() {
    let mut node = Node::in_fleet_with(|config| config.limits.allowed = 5);
    (1..=9).for_each(|n| node.hears(WEB_2, n.into(), &host(n)));
    node.unblock("20.0.0.0/24").unwrap();
    assert_eq!(node.agent.fleet.sizes().2, 5);
    assert_eq!(node.store.keys().filter(|(tree, _)| *tree == Tree::Overruled).count(), 5);
}

#[test]
fn words_that_wait_for_the_disk_are_bounded_and_said_later() {
    let mut outbox = crate::agent::effects::Outbox::new();
    let dropped = (0..100_010).filter(|n| !outbox.say(net(&host(*n)), Time::NEVER)).count();
    assert_eq!(dropped, 10);
}

#[test]
fn origins_that_came_and_went_are_forgotten() {
    let mut node = Node::in_fleet();
    for n in 0..10_000 {
        node.hears(id(n), 1, "192.0.2.1");
        node.voids(id(n), 1, "192.0.2.1");
    }
    assert!(node.agent.fleet.sizes().1 <= 8192);
}

#[test]
fn texts_and_numbers_of_others_are_bounded() {
    let mut node = Node::in_fleet();
    let long = "é".repeat(5000);
    let block =
        crate::fleet::FleetBlock { reason: long, confidence: f32::NAN, level: 0, ..fleet_block("192.0.2.1") };
    node.hears_block(WEB_2, 1, block);
    let block = node.agent.blocks().next().unwrap().block;
    assert!(block.reason.len() <= 256 && block.confidence == 0.0 && block.level == 1);
}

#[test]
fn an_order_that_nobody_may_give_waits_for_nothing() {
    let mut node = Node::in_fleet();
    for n in 0..300 {
        node.ordered(n, allow_order("0.0.0.0/0"));
        let wide = OrderKind::Canary { target: net("20.0.0.0/8"), watched: true };
        node.ordered(1000 + n, wide);
    }
    assert_eq!((node.agent.fleet.refused_orders(), node.agent.counters().orders_refused), (0, 600));
}

#[test]
fn what_ends_others_finds_a_place_among_what_waits() {
    let mut node = Node::in_fleet();
    for n in 0..20_000 {
        node.ordered(n, OrderKind::Trust { node: WEB_2, believed: true });
    }
    (20_000..20_500).for_each(|n| node.ordered(n, allow_order("192.0.2.7")));
    assert_eq!(node.agent.fleet.refused_orders(), 192);
    (30_000..30_010).for_each(|n| node.ordered(n, OrderKind::Resume));
    assert_eq!(node.agent.fleet.refused_orders(), 202);
}

#[test]
fn what_waits_for_room_ends_with_its_operator() {
    let mut node = Node::in_fleet();
    for n in 0..20_000 {
        node.ordered(n, OrderKind::Trust { node: WEB_2, believed: true });
    }
    node.ordered(20_000, allow_order("192.0.2.7"));
    assert_eq!(node.agent.fleet.refused_orders(), 1);
    node.agent.handle_operators_expelled(node.now(), |signer, _| *signer == ALICE);
    assert_eq!((node.agent.fleet.refused_orders(), node.agent.fleet_orders().count()), (0, 0));
    node.pass(1);
    assert!(!node.passes("192.0.2.7"), "room does not bring it back");
}
