//! What other clusters say.

use super::{
    fleet::{WEB_2, fleet_block, version},
    fleet_orders::unblock_order,
    *,
};
use crate::{
    BlockState, Withheld,
    agent::Foreigner,
    fleet::{FleetBlock, NodeId, OrderKind, Version},
};

const OTHER: NodeId = NodeId([90; 32]);
const HOUR: Duration = Duration::from_secs(3600);

impl Node {
    fn believing() -> Self {
        Self::believing_with(|_| {})
    }

    fn believing_with(change: impl FnOnce(&mut PolicyConfig)) -> Self {
        let mut node = Self::in_fleet_with(change);
        node.agent.handle_foreign_clusters(node.now(), BTreeMap::from([(OTHER, "other".into())]));
        node
    }

    fn hears_abroad(&mut self, key: u8, version: Version, block: FleetBlock) {
        let left = block.duration;
        self.agent.handle_foreign_block(self.now(), &foreigner(key), version, block, left);
        self.take();
    }

    fn withdrawn_abroad(&mut self, key: u8, sequence: u64, target: &str) {
        let (from, version) = (foreigner(key), version(sequence));
        self.agent.handle_foreign_withdrawal(self.now(), &from, version, net(target), Some(HOUR));
        self.take();
    }
}

fn foreigner(key: u8) -> Foreigner {
    Foreigner { cluster: OTHER, node: NodeId([key; 32]), name: alloc::format!("other/web-{key}") }
}

fn of_operator(target: &str) -> FleetBlock {
    FleetBlock { detector: Detector::Operator, evidence: None, ..fleet_block(target) }
}

#[test]
fn what_a_believed_cluster_blocks_is_dropped_until_it_takes_it_back() {
    let mut node = Node::believing();
    node.hears_abroad(100, version(1), fleet_block("203.0.113.7"));
    node.hears_abroad(101, version(1), of_operator("203.0.113.8"));
    assert_eq!(node.dropped("203.0.113.7"), Some(Strength::Hard));
    assert_eq!(node.dropped("203.0.113.8"), Some(Strength::Hard), "a person needs no proof");
    let listed = node.agent.blocks().find(|listed| listed.block.target == net("203.0.113.7")).unwrap();
    assert_eq!(listed.block.origin.0, "other/web-100");
    node.withdrawn_abroad(101, 2, "203.0.113.7");
    assert!(node.dropped("203.0.113.7").is_some(), "nobody takes back another's word");
    node.withdrawn_abroad(100, 2, "203.0.113.7");
    assert_eq!(node.dropped("203.0.113.7"), None);
    node.hears_abroad(100, version(1), fleet_block("203.0.113.7"));
    assert_eq!(node.dropped("203.0.113.7"), None, "what was taken back and comes late is over");
    assert!(node.says.is_empty(), "it is no word of ours");
}

#[test]
fn a_cluster_that_is_not_believed_is_not_heard_and_one_that_no_longer_is_loses_all() {
    let mut node = Node::in_fleet();
    node.hears_abroad(100, version(1), fleet_block("203.0.113.7"));
    assert_eq!(node.agent.block_count(), 0);
    let mut node = Node::believing();
    node.hears_abroad(100, version(1), fleet_block("203.0.113.7"));
    node.hears(WEB_2, 1, "203.0.113.8");
    node.agent.handle_foreign_clusters(node.now(), BTreeMap::new());
    node.take();
    assert_eq!((node.dropped("203.0.113.7"), node.agent.block_count()), (None, 1));
}

#[test]
fn every_limit_for_members_holds_for_another_cluster_too() {
    let mut node = Node::believing();
    node.ordered(1, OrderKind::Canary { target: net("198.51.100.9"), watched: true });
    let wrong = [
        ("203.0.0.0/12", fleet_block("203.0.0.0/12"), Withheld::TooWide),
        ("10.1.2.3", fleet_block("10.1.2.3"), Withheld::Private),
        (
            "203.0.113.1",
            FleetBlock { class: Class::Botnet, ..fleet_block("203.0.113.1") },
            Withheld::Outbound,
        ),
        ("203.0.113.2", FleetBlock { evidence: None, ..fleet_block("203.0.113.2") }, Withheld::NoEvidence),
        ("198.51.100.9", of_operator("198.51.100.9"), Withheld::Canary),
    ];
    for (n, (target, block, why)) in (1..).zip(wrong) {
        node.hears_abroad(100, version(n), block);
        assert_eq!((node.withheld(target), node.dropped(target)), (Some(why), None), "{target}");
    }
    let weak = Some(Evidence::Spoofable);
    node.hears_abroad(100, version(9), FleetBlock { evidence: weak, ..fleet_block("203.0.113.3") });
    assert_eq!(node.dropped("203.0.113.3"), Some(Strength::Soft));
    node.ordered(2, OrderKind::Trust { node: OTHER, believed: false });
    assert_eq!(node.withheld("203.0.113.3"), Some(Withheld::Distrusted));
}

#[test]
fn however_many_speak_there_a_cluster_has_one_quota() {
    let mut node = Node::believing_with(|config| {
        config.fleet.blocks_per_minute = 3;
        config.fleet.backlog_per_hour = 0;
    });
    for key in 100..110 {
        node.hears_abroad(key, version(1), fleet_block(&alloc::format!("203.0.113.{key}")));
    }
    let waiting = || node.agent.blocks().filter(|one| one.state == BlockState::Withheld(Withheld::Quota));
    assert_eq!((node.agent.foreign_count(&OTHER), waiting().count()), (10, 7));
    node.pass(61);
    assert_eq!(node.agent.blocks().filter(|one| one.state == BlockState::InForce).count(), 6);
}

#[test]
fn it_agrees_with_nobody_when_others_are_asked_whether_they_agree() {
    let mut node = Node::believing_with(|config| config.fleet.quorum = 2);
    node.hears_abroad(100, version(1), fleet_block("203.0.112.0/22"));
    node.hears_abroad(101, version(1), fleet_block("203.0.112.0/22"));
    node.hears(WEB_2, 1, "203.0.112.0/22");
    assert_eq!(node.dropped("203.0.112.0/22"), None);
}

#[test]
fn our_operators_end_it_in_the_whole_fleet() {
    let mut node = Node::believing();
    node.hears_abroad(100, version(1), fleet_block("203.0.113.7"));
    let (covers, orders, _) = node.agent.fleet_covers(&net("203.0.113.7"), (1, 9));
    assert_eq!((covers.len(), orders.len()), (1, 0));
    node.ordered(1, unblock_order("203.0.113.7", &[(NodeId([100; 32]), 1)], &[]));
    assert_eq!(node.dropped("203.0.113.7"), None);
    node.hears_abroad(100, version(1), fleet_block("203.0.113.7"));
    assert_eq!(node.dropped("203.0.113.7"), None, "the same word said again");
}
