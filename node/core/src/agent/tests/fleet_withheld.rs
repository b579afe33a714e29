//! What is held back of the fleet's word, and what frees it.

use super::{
    fleet::{EVIL, WEB_2, WEB_3, fleet_block},
    *,
};
use crate::{
    Withheld,
    fleet::{FleetBlock, OrderKind},
};

#[test]
fn a_proxy_is_not_dropped_on_a_members_word() {
    let mut node = Node::in_fleet_with(|config| config.proxies = alloc::vec![net("192.0.2.0/28")]);
    node.hears(WEB_2, 1, "192.0.2.1");
    assert_eq!(node.withheld("192.0.2.1"), Some(Withheld::Proxy));
    let config = PolicyConfig { proxies: Vec::new(), ..node.agent.config.clone() };
    node.agent.set_config(node.now(), config);
    node.take();
    assert_eq!(node.dropped("192.0.2.1"), Some(Strength::Hard));
}

#[test]
fn a_regular_guest_is_dropped_only_when_two_origins_prove_the_offence() {
    let mut node = Node::in_fleet();
    node.regulars(&["192.0.2.1", "192.0.2.9"]);
    node.hears(WEB_2, 1, "192.0.2.1");
    node.hears(WEB_2, 2, "192.0.2.0/28");
    assert_eq!(node.withheld("192.0.2.1"), Some(Withheld::Regular));
    assert_eq!(node.withheld("192.0.2.0/28"), Some(Withheld::Regular));
    let forged = FleetBlock { evidence: Some(Evidence::Spoofable), ..fleet_block("192.0.2.1") };
    node.hears_block(EVIL, 1, forged);
    assert!(node.kernel.blocks.is_empty(), "forged packets prove nothing");
    node.hears(WEB_3, 1, "192.0.2.1");
    assert_eq!(node.dropped("192.0.2.1"), Some(Strength::Hard));
    assert_eq!(node.dropped("192.0.2.0/28"), None, "only one says so of all of it");
    node.voids(WEB_3, 1, "192.0.2.1");
    assert_eq!(node.dropped("192.0.2.1"), None, "the second origin took it back");
    node.regulars(&["192.0.2.9"]);
    assert_eq!(node.dropped("192.0.2.1"), Some(Strength::Hard), "it stayed away");
    node.regulars(&["192.0.2.1"]);
    assert_eq!(node.withheld("192.0.2.1"), Some(Withheld::Regular));
    assert_eq!(node.dropped("192.0.2.0/28"), None);
}

#[test]
fn a_second_origin_that_is_not_believed_is_none() {
    let mut node = Node::in_fleet();
    node.regulars(&["192.0.2.1"]);
    node.hears(WEB_2, 1, "192.0.2.1");
    node.ordered(1, OrderKind::Trust { node: WEB_3, believed: false });
    node.hears(WEB_3, 1, "192.0.2.1");
    assert_eq!(node.dropped("192.0.2.1"), None);
    node.pass(1);
    node.ordered(2, OrderKind::Trust { node: WEB_3, believed: true });
    assert_eq!(node.dropped("192.0.2.1"), Some(Strength::Hard));
}

#[test]
fn where_a_quorum_is_configured_wide_long_and_soft_blocks_need_it() {
    let mut node = Node::in_fleet_with(|config| config.fleet.quorum = 2);
    let plain = fleet_block("192.0.2.1");
    let soft = FleetBlock { strength: Strength::Soft, target: net("192.0.2.2"), ..plain.clone() };
    let long = FleetBlock {
        duration: Some(Duration::from_secs(3 * 24 * 3600)),
        target: net("192.0.2.3"),
        ..plain.clone()
    };
    let wide = FleetBlock { target: net("198.51.100.0/24"), ..plain.clone() };
    for (block, sequence) in [&plain, &soft, &long, &wide].into_iter().zip(1..) {
        node.hears_block(WEB_2, sequence, block.clone());
    }
    assert_eq!(node.kernel.blocks.keys().copied().collect::<Vec<_>>(), [net("192.0.2.1")]);
    assert_eq!(node.withheld("198.51.100.0/24"), Some(Withheld::Quorum));
    for (block, sequence) in [soft, long, wide].into_iter().zip(1..) {
        node.hears_block(WEB_3, sequence, block);
    }
    assert_eq!(node.kernel.blocks.len(), 4);
}

#[test]
fn a_flood_of_blocks_is_delayed_and_nothing_of_it_lost() {
    let mut node = Node::in_fleet_with(|config| {
        config.fleet.blocks_per_minute = 10;
        config.fleet.backlog_per_hour = 0;
    });
    let hour = |n: u64| FleetBlock {
        duration: Some(Duration::from_secs(3600)),
        ..fleet_block(&alloc::format!("192.0.2.{n}"))
    };
    (1..=25).for_each(|n| node.hears_block(EVIL, n, hour(n)));
    node.hears(WEB_2, 1, "198.51.100.1");
    assert_eq!(node.kernel.blocks.len(), 11, "another's quota is not touched");
    assert_eq!((node.withheld("192.0.2.25"), node.agent.fleet_withheld()), (Some(Withheld::Quota), 15));
    assert!(node.agent.health(node.now()).iter().any(|health| health.what.contains("quota")));
    node.hears_block(EVIL, 26, hour(1));
    assert_eq!(node.kernel.blocks.len(), 11, "what is enforced and said again is no new block");
    node.pass(60);
    assert_eq!(node.kernel.blocks.len(), 21);
    node.pass(60);
    assert_eq!((node.kernel.blocks.len(), node.agent.fleet_withheld()), (26, 0));
    assert!(node.agent.poll_timeout() > node.now());
}

#[test]
fn what_a_partition_kept_away_is_taken_at_once() {
    let mut node = Node::in_fleet_with(|config| config.fleet.blocks_per_minute = 10);
    for n in 1..=200 {
        let block = FleetBlock {
            duration: Some(Duration::from_secs(3600)),
            ..fleet_block(&alloc::format!("192.0.2.{n}"))
        };
        node.hears_left(WEB_2, n, block, Some(Duration::from_secs(3000)));
    }
    assert_eq!(node.kernel.blocks.len(), 200);
}

#[test]
fn what_the_kernel_drops_already_waits_for_no_quota() {
    let mut node = Node::in_fleet_with(|config| config.fleet.blocks_per_minute = 0);
    node.hears(WEB_2, 1, "192.0.2.1");
    node.hears(WEB_2, 2, "192.0.2.2");
    assert!(node.agent.desired().blocks.is_empty());
    let id = node.agent.blocks().next().unwrap().block.id;
    let note = crate::enforcement::Note { id, class: Class::BruteForce, origin: "web-2".into() };
    let expires = Some(Time::from_secs(START + 300));
    let entry = Entry { target: net("192.0.2.1"), strength: Strength::Hard, expires, note };
    node.agent.adopt(node.now(), entry);
    assert_eq!(node.agent.desired().blocks.len(), 1);
    assert_eq!(node.agent.block_count(), 2);
}

#[test]
fn what_was_found_in_the_kernel_is_the_fleets_again_once_the_fleet_says_so() {
    let mut node = Node::in_fleet();
    node.hears(WEB_2, 1, "192.0.2.1");
    node.hears(WEB_2, 2, "192.0.2.2");
    let entries: Vec<Entry> = node.agent.entries().collect();
    let mut bare = Node::in_fleet();
    assert!(entries.into_iter().all(|entry| bare.agent.adopt(bare.now(), entry)));
    bare.take();
    bare.hears(WEB_2, 1, "192.0.2.1");
    assert_eq!(bare.agent.block_count(), 2);
    bare.voids(WEB_2, 9, "192.0.2.1");
    bare.voids(WEB_2, 9, "192.0.2.2");
    assert_eq!(bare.agent.block_count(), 0);
    assert!(bare.says.is_empty(), "it was never ours");
}
