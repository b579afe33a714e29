//! How much of what other clusters say is held, and which.

use super::{
    fleet::{WEB_2, WEB_3, fleet_block, version},
    fleet_foreign::{HOUR, OTHER},
    *,
};
use crate::{Withheld, fleet::FleetBlock};

fn lasting(duration: Duration) -> FleetBlock {
    FleetBlock { duration: Some(duration), ..fleet_block("203.0.113.7") }
}

#[test]
fn however_many_speak_there_of_one_target_eight_are_held() {
    let mut node = Node::believing();
    for key in 100..150 {
        node.hears_abroad(key, version(1), fleet_block("203.0.113.7"));
    }
    assert_eq!((node.agent.foreign_count(&OTHER), node.agent.block_count()), (8, 8));
    let health = node.agent.health(node.now());
    assert!(health.iter().any(|health| health.what.starts_with("42 blocks of the fleet have no room")));
    node.hears(WEB_2, 1, "203.0.113.7");
    assert_eq!(node.agent.block_count(), 9, "members have room of their own");
    node.hears_abroad(107, version(2), fleet_block("203.0.113.7"));
    node.withdrawn_abroad(100, 2, "203.0.113.7");
    node.hears_abroad(149, version(1), fleet_block("203.0.113.7"));
    assert_eq!(
        node.agent.foreign_count(&OTHER),
        8,
        "whoever is held may speak again, and room is given away"
    );
    node.agent.handle_foreign_clusters(node.now(), BTreeMap::new());
    node.take();
    assert_eq!(node.agent.block_count(), 1);
}

#[test]
fn of_what_is_too_much_of_one_target_the_best_is_held() {
    let mut node = Node::believing();
    for key in 100..108 {
        node.hears_abroad(key, version(1), FleetBlock { evidence: None, ..lasting(2 * HOUR) });
    }
    assert_eq!(node.withheld("203.0.113.7"), Some(Withheld::NoEvidence));
    (108..116).for_each(|key| node.hears_abroad(key, version(1), fleet_block("203.0.113.7")));
    assert_eq!(node.left("203.0.113.7"), Some(300), "what nobody follows makes room");
    node.hears_abroad(116, version(1), lasting(HOUR));
    node.hears_abroad(117, version(1), FleetBlock { evidence: Some(Evidence::Spoofable), ..lasting(HOUR) });
    node.hears_abroad(100, version(1), FleetBlock { evidence: None, ..lasting(2 * HOUR) });
    assert_eq!((node.dropped("203.0.113.7"), node.left("203.0.113.7")), (Some(Strength::Hard), Some(3600)));
    assert_eq!((node.agent.foreign_count(&OTHER), node.agent.block_count()), (8, 8));
    let again = node.restarted_believing(&[(OTHER, "other")]);
    assert_eq!((again.agent.foreign_count(&OTHER), &again.kernel), (8, &node.kernel));
}

#[test]
fn what_waits_for_the_quota_makes_no_room_for_what_is_worth_less() {
    let mut node = Node::believing_with(|config| {
        config.fleet.blocks_per_minute = 1;
        config.fleet.backlog_per_hour = 0;
    });
    node.hears_abroad(100, version(1), lasting(HOUR / 2));
    (101..108).for_each(|key| node.hears_abroad(key, version(1), lasting(HOUR)));
    let lasts = |node: &Node, left: Duration| {
        let end = Some(node.now().after(left));
        node.agent.blocks().filter(|listed| listed.block.expires == end).count()
    };
    node.hears_abroad(108, version(1), lasting(HOUR / 3));
    assert_eq!((lasts(&node, HOUR), lasts(&node, HOUR / 2)), (7, 1));
    node.hears_abroad(109, version(1), lasting(2 * HOUR));
    assert_eq!((lasts(&node, HOUR), lasts(&node, 2 * HOUR)), (6, 1), "what is worth more takes such a place");
    assert_eq!(node.left("203.0.113.7"), Some(1800), "and not that of the one that is enforced");
}

#[test]
fn a_word_that_finds_no_room_takes_nobody_s_place() {
    let mut node = Node::believing_with(|config| {
        config.limits.blocks = 60;
        config.limits.automatic_blocks = 30;
    });
    (100..108).for_each(|key| node.hears_abroad(key, version(1), lasting(HOUR)));
    for (member, net) in [(WEB_2, 1), (WEB_3, 2)] {
        (1..=30).for_each(|n| node.hears(member, n, &alloc::format!("198.51.{net}.{n}")));
    }
    node.hears_abroad(108, version(1), lasting(2 * HOUR));
    assert_eq!(node.agent.foreign_count(&OTHER), 8);
}
