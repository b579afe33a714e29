//! What other clusters say.

use super::{
    fleet::{WEB_2, fleet_block, version},
    fleet_orders::unblock_order,
    *,
};
use crate::{
    Block, BlockState, Origin, Withheld,
    agent::Foreigner,
    blocklist::Said,
    fleet::{FleetBlock, NodeId, OrderKind, Version},
    record::{Speaker, StoredBlock},
};

pub(super) const OTHER: NodeId = NodeId([90; 32]);
pub(super) const HOUR: Duration = Duration::from_secs(3600);

impl Node {
    /// The node after a restart in the order of a real one: the store, the fleet, whom to believe, the kernel.
    pub(super) fn restarted_believing(&self, clusters: &[(NodeId, &str)]) -> Self {
        let mut node = self.restarted();
        node.join();
        let clusters = clusters.iter().map(|(id, name)| (*id, String::from(*name))).collect();
        node.agent.handle_foreign_clusters(node.now(), clusters);
        for entry in self.kernel.blocks.values() {
            assert!(node.agent.adopt(node.now(), entry.clone()));
        }
        node.take();
        node
    }

    pub(super) fn believing() -> Self {
        Self::believing_with(|_| {})
    }

    pub(super) fn believing_with(change: impl FnOnce(&mut PolicyConfig)) -> Self {
        let mut node = Self::in_fleet_with(change);
        node.agent.handle_foreign_clusters(node.now(), BTreeMap::from([(OTHER, "other".into())]));
        node
    }

    pub(super) fn hears_abroad(&mut self, key: u8, version: Version, block: FleetBlock) {
        self.hears_abroad_late(key, version, block, Duration::ZERO);
    }

    fn hears_abroad_late(&mut self, key: u8, version: Version, block: FleetBlock, age: Duration) {
        self.agent.handle_foreign_block(self.now(), &foreigner(key), version, block, age);
        self.take();
    }

    pub(super) fn withdrawn_abroad(&mut self, key: u8, sequence: u64, target: &str) {
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

#[test]
fn a_restart_makes_nothing_of_another_cluster_our_own() {
    let mut node = Node::believing_with(|config| config.fleet.blocks_per_minute = 2);
    for n in 1..=4 {
        node.hears_abroad(
            100,
            version(n),
            FleetBlock { duration: Some(HOUR), ..fleet_block(&alloc::format!("203.0.113.{n}")) },
        );
    }
    node.hears_abroad(101, version(1), fleet_block("203.0.113.9"));
    node.withdrawn_abroad(101, 2, "203.0.113.9");
    node.pass(60);
    let mut again = node.restarted_believing(&[(OTHER, "other")]);
    assert_eq!(again.kernel, node.kernel, "what was dropped is, and what waited for the quota waits");
    let blocks = |node: &Node| node.agent.blocks().map(|listed| listed.block).collect::<Vec<_>>();
    assert_eq!(blocks(&again), blocks(&node));
    assert_eq!((again.agent.blocks.automatic(), again.agent.foreign_count(&OTHER)), (0, 4));
    again.hears_abroad(101, version(1), fleet_block("203.0.113.9"));
    assert_eq!(again.dropped("203.0.113.9"), None, "what was taken back is known to be");
    again.withdrawn_abroad(100, 5, "203.0.113.1");
    assert_eq!(again.dropped("203.0.113.1"), None);
    again.ordered(1, unblock_order("203.0.113.2", &[(NodeId([100; 32]), 2)], &[]));
    assert_eq!(again.dropped("203.0.113.2"), None, "our operators end it still");
    let none = node.restarted_believing(&[]);
    assert_eq!((none.agent.block_count(), none.kernel.blocks.len()), (0, 0), "nobody is believed any more");
    assert!(!none.store.keys().any(|(tree, _)| *tree == Tree::Foreign));
    again.pass(40 * 24 * 3600);
    assert!(!again.store.keys().any(|(tree, _)| *tree == Tree::Foreign), "all of it is over");
}

#[test]
fn a_store_that_was_lost_is_given_what_other_clusters_say_anew() {
    let mut node = Node::believing();
    node.hears_abroad(100, version(1), fleet_block("203.0.113.7"));
    let before = core::mem::take(&mut node.store);
    node.agent.handle_store_lost(node.now());
    node.take();
    let foreign = |store: &BTreeMap<(Tree, Vec<u8>), Record>| {
        store
            .iter()
            .filter(|((tree, _), _)| *tree == Tree::Foreign)
            .map(|(_, record)| record.clone())
            .collect()
    };
    let (before, after): (Vec<_>, Vec<_>) = (foreign(&before), foreign(&node.store));
    assert_eq!((before.len(), &before), (1, &after));
}

#[test]
fn one_who_takes_his_word_back_takes_nobody_else_s_turn() {
    let mut node = Node::believing_with(|config| {
        config.fleet.blocks_per_minute = 1;
        config.fleet.backlog_per_hour = 0;
    });
    node.hears_abroad(100, version(1), fleet_block("203.0.113.1"));
    node.hears_abroad(101, version(1), fleet_block("203.0.113.2"));
    node.hears_abroad(102, version(1), fleet_block("203.0.113.2"));
    assert_eq!(node.withheld("203.0.113.2"), Some(Withheld::Quota));
    node.withdrawn_abroad(101, 2, "203.0.113.2");
    node.pass(61);
    assert_eq!(node.dropped("203.0.113.2"), Some(Strength::Hard));
}

#[test]
fn a_mistake_costs_the_cluster_its_trust_whichever_of_its_keys_spoke() {
    let mut node = Node::believing_with(|config| config.fleet.trust = 90);
    for (n, key) in (100..103).enumerate() {
        let target = alloc::format!("203.0.113.{n}");
        node.hears_abroad(key, version(1), fleet_block(&target));
        let OrderKind::Unblock { target, covers, orders, hold, .. } =
            unblock_order(&target, &[(NodeId([key; 32]), 1)], &[])
        else {
            unreachable!()
        };
        node.ordered(
            1 + n as u128,
            OrderKind::Unblock { target, covers, orders, hold, false_positive: true },
        );
    }
    node.hears_abroad(110, version(1), fleet_block("203.0.113.9"));
    assert_eq!(node.withheld("203.0.113.9"), Some(Withheld::Distrusted));
    let weighed = |node: &Node| node.store.keys().filter(|(tree, _)| *tree == Tree::Trust).count();
    assert_eq!((node.trust(OTHER), weighed(&node)), (0.85, 1), "no account is opened for a key");
}

#[test]
fn a_cluster_that_blocks_a_canary_is_blamed_and_not_proven_a_liar() {
    let mut node = Node::believing();
    node.ordered_before(600, 1, OrderKind::Canary { target: net("198.51.100.9"), watched: true });
    node.hears_abroad(100, version(1), fleet_block("198.51.100.9"));
    node.hears_abroad(101, version(1), fleet_block("198.51.100.9"));
    assert_eq!(node.trust(OTHER), 0.9, "it cannot know what is one here");
}

#[test]
fn a_block_for_ever_ends_when_our_own_longest_would_however_often_it_is_heard() {
    let mut node = Node::believing();
    let for_ever = |target| FleetBlock { duration: None, ..of_operator(target) };
    let longest = 7 * 24 * 3600 * 11 / 10;
    node.hears_abroad(100, version(1), for_ever("203.0.113.7"));
    assert_eq!(node.left("203.0.113.7"), Some(longest));
    node.pass(longest - 60);
    let age = Duration::from_secs(longest - 60);
    node.hears_abroad_late(100, version(1), for_ever("203.0.113.7"), age);
    assert_eq!(node.left("203.0.113.7"), Some(60), "the row was told again");
    node.agent.handle_foreign_clusters(node.now(), BTreeMap::new());
    node.agent.handle_foreign_clusters(node.now(), BTreeMap::from([(OTHER, "other".into())]));
    node.hears_abroad_late(100, version(1), for_ever("203.0.113.7"), age);
    assert_eq!(node.left("203.0.113.7"), Some(60), "its root was removed and added again");
    node.pass(61);
    let age = Duration::from_secs(longest + 1);
    node.hears_abroad_late(100, version(1), for_ever("203.0.113.7"), age);
    assert_eq!(node.dropped("203.0.113.7"), None, "the row was removed and put again");
}

#[test]
fn a_word_under_the_number_of_another_s_moves_nothing_but_itself() {
    let mut node = Node::believing();
    node.proven("203.0.113.7");
    node.hears(WEB_2, 1, "203.0.113.8");
    for target in ["203.0.113.7", "203.0.113.8"] {
        let listed = node.agent.blocks().find(|listed| listed.block.target == net(target)).unwrap();
        let speaker = Speaker::Foreign { cluster: OTHER, node: NodeId([100; 32]) };
        let same = Said { speaker, epoch: 7, force: false }.version(listed.block.id);
        // Nobody follows it, and it is taken back.
        node.hears_abroad(100, same, FleetBlock { class: Class::Botnet, ..fleet_block(target) });
        let ids = node.agent.blocks().filter(|one| one.block.id == listed.block.id);
        let words: Vec<_> = ids.map(|one| node.agent.fleet_word(&one.block)).collect();
        assert_eq!(words.len(), 2, "{target}");
        assert_ne!(words[0], words[1], "{target}");
        assert!(node.dropped(target).is_some(), "{target}: it is withheld alone");
        let taken_back = Version { sequence: same.sequence.saturating_add(1), ..same };
        node.agent.handle_foreign_withdrawal(node.now(), &foreigner(100), taken_back, net(target), None);
        node.take();
        assert!(node.dropped(target).is_some(), "{target}: it ends alone");
        assert_eq!(node.agent.foreign_count(&OTHER), 0, "{target}");
    }
}

#[test]
fn what_an_earlier_version_had_made_its_own_is_so_no_longer() {
    let mut node = Node::believing();
    node.proven("203.0.113.7");
    let ours = node.store.iter().find(|((tree, _), _)| *tree == Tree::Blocks).unwrap().1.clone();
    let Record::Block(ours) = ours else { unreachable!() };
    let block =
        Block { target: net("203.0.113.8"), origin: Origin("other/web-1".into()), ..ours.block.clone() };
    let adopted = Record::Block(StoredBlock { block, ..ours });
    node.store.insert((adopted.tree(), adopted.key()), adopted);
    let again = node.restarted_believing(&[(OTHER, "other")]);
    assert_eq!((again.agent.block_count(), again.dropped("203.0.113.8")), (1, None));
    assert_eq!(again.store.keys().filter(|(tree, _)| *tree == Tree::Blocks).count(), 1);
}

#[test]
fn what_was_taken_back_is_known_as_long_as_it_could_be_held() {
    let year = Duration::from_secs(365 * 24 * 3600);
    let mut node = Node::believing_with(|config| config.ladder = [year; 4]);
    let for_a_year = || FleetBlock { duration: Some(year), ..fleet_block("203.0.113.7") };
    node.hears_abroad(100, version(1), for_a_year());
    node.agent.handle_foreign_withdrawal(
        node.now(),
        &foreigner(100),
        version(2),
        net("203.0.113.7"),
        Some(year),
    );
    node.pass(40 * 24 * 3600);
    node.hears_abroad_late(100, version(1), for_a_year(), Duration::from_secs(40 * 24 * 3600));
    assert_eq!(node.dropped("203.0.113.7"), None);
}
