//! What other members say.

use super::*;
use crate::{
    BlockState, Withheld,
    agent::{FleetMember, Heard},
    fleet::{FleetBlock, LogId, NodeId, OperatorOrder, OrderKind, VerifiedOrder, Version},
    gossip::Voided,
    record::Speaker,
};

pub(super) const ME: NodeId = NodeId([1; 32]);
pub(super) const WEB_2: NodeId = NodeId([2; 32]);
pub(super) const WEB_3: NodeId = NodeId([3; 32]);
pub(super) const EVIL: NodeId = NodeId([66; 32]);
pub(super) const ALICE: NodeId = NodeId([200; 32]);
pub(super) const SIGNER: NodeId = NodeId([201; 32]);

/// What the tests' members say, and what operators order.
impl Node {
    pub(super) fn in_fleet() -> Self {
        Self::in_fleet_with(|_| {})
    }

    pub(super) fn in_fleet_with(change: impl FnOnce(&mut PolicyConfig)) -> Self {
        let mut node = Self::with(change);
        node.join();
        node
    }

    pub(super) fn join(&mut self) {
        self.agent.join_fleet(self.now(), ME, "web-1".into(), "berlin".into());
        self.members(&[
            (WEB_2, "web-2", "10.0.0.2"),
            (WEB_3, "web-3", "10.0.0.3"),
            (EVIL, "evil", "10.0.0.66"),
        ]);
    }

    pub(super) fn members(&mut self, members: &[(NodeId, &str, &str)]) {
        let member = |(id, name, address): &(NodeId, &str, &str)| FleetMember {
            id: *id,
            name: (*name).into(),
            site: "berlin".into(),
            address: address.parse().unwrap(),
            there_since: Some(Time::from_secs(START - 86_400)),
        };
        self.agent.handle_members(self.now(), members.iter().map(member).collect());
        self.take();
    }

    /// A member's proven block of five minutes.
    pub(super) fn hears(&mut self, origin: NodeId, sequence: u64, target: &str) {
        self.hears_block(origin, sequence, fleet_block(target));
    }

    pub(super) fn hears_block(&mut self, origin: NodeId, sequence: u64, block: FleetBlock) {
        let left = block.duration;
        self.hears_left(origin, sequence, block, left);
    }

    pub(super) fn hears_left(
        &mut self,
        origin: NodeId,
        sequence: u64,
        block: FleetBlock,
        left: Option<Duration>,
    ) {
        self.agent.handle_fleet_block(self.now(), &log(origin), version(sequence), block, left);
        self.take();
    }

    pub(super) fn voids(&mut self, origin: NodeId, upto: u64, target: &str) {
        let why = Voided::Withdrawn;
        self.agent.handle_fleet_void(self.now(), &log(origin), net(target), version(upto), why);
        self.take();
    }

    pub(super) fn ordered(&mut self, id: u128, kind: OrderKind) {
        self.ordered_before(0, id, kind);
    }

    /// An order that was signed so many seconds ago.
    pub(super) fn ordered_before(&mut self, seconds: u64, id: u128, kind: OrderKind) {
        let issued = Time::from_secs(START + self.second - seconds);
        self.orders(seconds, OperatorOrder { id, issued, ..order(kind) });
    }

    /// Any order, so many seconds old, carried by web-3.
    pub(super) fn orders(&mut self, seconds: u64, order: OperatorOrder) {
        let heard = Heard { carrier: WEB_3, age: Duration::from_secs(seconds), stored: false };
        self.hears_order(order, heard);
    }

    pub(super) fn hears_order(&mut self, order: OperatorOrder, heard: Heard) {
        let order = VerifiedOrder { order, signer: ALICE, issuer: SIGNER };
        self.agent.handle_fleet_order(self.now(), order, heard);
        self.take();
    }

    pub(super) fn state(&self, target: &str) -> Option<BlockState> {
        let listed = self.agent.blocks().find(|listed| listed.block.target == net(target));
        listed.map(|listed| listed.state)
    }

    pub(super) fn withheld(&self, target: &str) -> Option<Withheld> {
        match self.state(target) {
            Some(BlockState::Withheld(why)) => Some(why),
            _ => None,
        }
    }

    pub(super) fn regulars(&mut self, regulars: &[&str]) {
        let regulars = regulars.iter().map(|address| address.parse().unwrap()).collect();
        self.agent.handle_regulars(self.now(), regulars);
        self.take();
    }

    pub(super) fn trust(&self, node: NodeId) -> f32 {
        self.agent.fleet_origins().into_iter().find(|origin| origin.id == node).unwrap().trust
    }
}

/// An order of Alice's that is remembered for a day.
pub(super) fn order(kind: OrderKind) -> OperatorOrder {
    let lasts = Some(Duration::from_secs(24 * 3600));
    let issued = Time::from_secs(START);
    OperatorOrder { id: 1, operator: "alice".into(), issued, lasts, site: None, kind }
}

pub(super) fn log(origin: NodeId) -> LogId {
    LogId { origin, site: None }
}

pub(super) const fn version(sequence: u64) -> Version {
    Version { epoch: 7, sequence }
}

pub(super) fn fleet_block(target: &str) -> FleetBlock {
    FleetBlock {
        target: net(target),
        class: Class::BruteForce,
        confidence: 0.9,
        strength: Strength::Hard,
        detector: Detector::Rules,
        evidence: Some(Evidence::Handshake),
        reason: "nine failed logins".into(),
        level: 1,
        duration: Some(Duration::from_secs(300)),
    }
}

#[test]
fn what_a_member_blocks_is_dropped_here_until_it_is_over() {
    let mut node = Node::in_fleet();
    node.hears(WEB_2, 1, "192.0.2.1");
    assert_eq!((node.dropped("192.0.2.1"), node.left("192.0.2.1")), (Some(Strength::Hard), Some(300)));
    assert_eq!(node.entry("192.0.2.1").unwrap().note.origin, "web-2");
    assert!(!node.store.keys().any(|(tree, _)| *tree == Tree::Blocks), "the logs keep it");
    node.pass(300);
    assert_eq!((node.dropped("192.0.2.1"), node.agent.block_count()), (None, 0));
}

#[test]
fn who_is_in_no_fleet_hears_nobody() {
    let mut node = Node::new();
    node.hears(WEB_2, 1, "192.0.2.1");
    node.ordered(1, OrderKind::Trust { node: WEB_2, believed: false });
    assert_eq!((node.agent.block_count(), node.agent.fleet_orders().count()), (0, 0));
}

#[test]
fn a_void_ends_what_was_said_up_to_it_and_nothing_else() {
    let mut node = Node::in_fleet();
    node.hears(WEB_2, 5, "192.0.2.1");
    node.hears(WEB_3, 1, "192.0.2.1");
    node.voids(WEB_2, 4, "192.0.2.1");
    assert_eq!(node.agent.block_count(), 2, "an earlier word");
    node.voids(WEB_2, 5, "192.0.2.1");
    assert_eq!(node.entry("192.0.2.1").unwrap().note.origin, "web-3");
    node.voids(WEB_3, 9, "192.0.2.1");
    assert_eq!(node.dropped("192.0.2.1"), None);
}

#[test]
fn the_higher_version_holds_and_the_same_one_never_lasts_longer() {
    let mut node = Node::in_fleet();
    node.hears(WEB_2, 5, "192.0.2.1");
    let longer = FleetBlock { duration: Some(Duration::from_secs(9000)), ..fleet_block("192.0.2.1") };
    node.hears_block(WEB_2, 4, longer.clone());
    node.hears_block(WEB_2, 5, longer.clone());
    assert_eq!(node.left("192.0.2.1"), Some(300));
    node.hears_block(WEB_2, 6, longer);
    assert_eq!((node.left("192.0.2.1"), node.agent.block_count()), (Some(9000), 1));
}

#[test]
fn every_word_has_an_id_of_its_own_from_which_its_version_is_had_back() {
    let mut ids = alloc::collections::BTreeSet::new();
    for (origin, site, epoch) in [(WEB_2, false, 7), (WEB_3, false, 7), (WEB_2, true, 7), (WEB_2, false, 8)] {
        let speaker = Speaker::Member { node: origin, site };
        let said = crate::blocklist::Said { speaker, epoch, force: false };
        for sequence in [1, 2, 1 << 48] {
            assert!(ids.insert(said.id(sequence)));
            assert_eq!(said.version(said.id(sequence)), Version { epoch, sequence });
        }
    }
}

#[test]
fn members_with_one_name_are_told_apart_by_their_keys() {
    let mut node = Node::in_fleet();
    node.hears(WEB_2, 1, "192.0.2.1");
    node.hears(NodeId([9; 32]), 1, "192.0.2.2");
    let fake = "web-3 (0303030303030303)";
    node.members(&[(WEB_2, "web-1", "10.0.0.2"), (WEB_3, "web-3", "10.0.0.3"), (EVIL, "web-3", "10.0.0.66")]);
    let labels = |node: &Node| -> Vec<String> {
        node.agent.fleet_origins().into_iter().map(|origin| origin.label).collect()
    };
    assert_eq!(
        labels(&node),
        ["web-1", "web-1 (0202020202020202)", fake, "0909090909090909", "web-3 (4242424242424242)"]
    );
    assert_eq!(node.agent.blocks().next().unwrap().block.origin.0, "web-1 (0202020202020202)");
    node.members(&[(WEB_2, fake, "10.0.0.2"), (WEB_3, "web-3", "10.0.0.3"), (EVIL, "web-3", "10.0.0.66")]);
    let labels = labels(&node);
    let unique: alloc::collections::BTreeSet<_> = labels.iter().collect();
    assert_eq!((unique.len(), &labels[1][..]), (5, fake), "{labels:?}");
}

#[test]
fn members_addresses_are_protected_while_they_are_members() {
    let mut node = Node::in_fleet();
    node.hears(WEB_3, 1, "198.51.100.2");
    assert_eq!(node.dropped("198.51.100.2"), Some(Strength::Hard));
    node.members(&[(WEB_2, "web-2", "198.51.100.2")]);
    assert_eq!(node.dropped("198.51.100.2"), None);
    assert_eq!(node.agent.why_protected(&net("198.51.100.2")).unwrap().why, Why::Member);
    assert_eq!(node.proven("198.51.100.2"), Some(Action::Protected));
    node.protect(&[("198.51.100.9", Why::Gateway)]);
    assert_eq!(node.agent.why_protected(&net("198.51.100.2")).unwrap().detail, "web-2");
    node.members(&[]);
    assert_eq!(node.dropped("198.51.100.2"), Some(Strength::Hard));
    assert!(node.agent.why_protected(&net("198.51.100.9")).is_some());
}

#[test]
fn what_is_protected_or_allowed_here_is_not_dropped_on_a_members_word() {
    let mut node = Node::in_fleet();
    node.protect(&[("192.0.2.1", Why::SshSession)]);
    node.allow("192.0.2.2", None).unwrap();
    node.hears(WEB_2, 1, "192.0.2.1");
    node.hears(WEB_2, 2, "192.0.2.2");
    node.hears(WEB_2, 3, "192.0.2.0/24");
    assert!(node.kernel.blocks.is_empty());
    assert!(matches!(node.state("192.0.2.1"), Some(BlockState::Suspended(by)) if by.why == Why::SshSession));
    assert!(matches!(node.state("192.0.2.2"), Some(BlockState::Suspended(by)) if by.why == Why::AllowList));
    node.protect(&[]);
    assert_eq!(node.dropped("192.0.2.1"), Some(Strength::Hard));
    node.order(Order::Disallow { target: net("192.0.2.2") }).unwrap();
    assert_eq!(
        node.dropped("192.0.2.2"),
        Some(Strength::Hard),
        "a person's allow ends nothing that the fleet says"
    );
}

#[test]
fn what_no_member_may_say_is_shown_with_its_reason() {
    let plain = fleet_block("192.0.2.1");
    let cases = [
        (FleetBlock { target: net("128.0.0.0/1"), ..plain.clone() }, Withheld::TooWide),
        (FleetBlock { target: net("2001::/31"), ..plain.clone() }, Withheld::TooWide),
        (FleetBlock { target: net("::ffff:0.0.0.0/96"), ..plain.clone() }, Withheld::TooWide),
        (FleetBlock { detector: Detector::Operator, ..plain.clone() }, Withheld::NotAnOperator),
        (FleetBlock { class: Class::Botnet, ..plain.clone() }, Withheld::Outbound),
        (FleetBlock { detector: Detector::Isolation, ..plain.clone() }, Withheld::Isolation),
        (FleetBlock { evidence: None, ..plain.clone() }, Withheld::NoEvidence),
        (FleetBlock { target: net("10.1.2.3"), ..plain.clone() }, Withheld::Private),
        (FleetBlock { target: net("100.64.0.1"), ..plain.clone() }, Withheld::Private),
        (FleetBlock { target: net("fd00::1"), ..plain }, Withheld::Private),
    ];
    for (block, why) in cases {
        let mut node = Node::in_fleet();
        node.hears_block(WEB_2, 1, block);
        assert!(node.kernel.blocks.is_empty(), "{why}");
        let listed = node.agent.blocks().next().unwrap();
        assert_eq!(listed.state, BlockState::Withheld(why), "{}", why.text());
        assert_eq!(node.agent.fleet_withheld(), 1);
        let known = node.agent.explain(listed.block.target.addr(), node.now());
        assert_eq!(known.outcome, crate::Outcome::Suspended);
    }
}

#[test]
fn a_private_target_is_dropped_within_its_site_alone() {
    let mut node = Node::in_fleet();
    let say = |node: &mut Node, site: &str, sequence| {
        let log = LogId { origin: WEB_2, site: Some(site.into()) };
        let block = fleet_block("10.1.2.3");
        let left = block.duration;
        node.agent.handle_fleet_block(node.now(), &log, version(sequence), block, left);
        node.take();
    };
    say(&mut node, "paris", 1);
    assert_eq!(node.agent.block_count(), 0, "another site's log");
    say(&mut node, "berlin", 1);
    assert_eq!(node.dropped("10.1.2.3"), Some(Strength::Hard));
    node.hears(WEB_2, 1, "10.1.2.3");
    node.voids(WEB_2, 1, "10.1.2.3");
    assert_eq!(node.dropped("10.1.2.3"), Some(Strength::Hard), "the two logs do not speak for each other");
}

#[test]
fn only_a_handshake_leads_to_a_hard_block_and_a_soft_one_lasts_no_longer_than_our_own() {
    let mut node = Node::in_fleet();
    let forged =
        FleetBlock { evidence: Some(Evidence::Spoofable), duration: None, ..fleet_block("192.0.2.1") };
    node.hears_block(WEB_2, 1, forged.clone());
    assert_eq!((node.dropped("192.0.2.1"), node.left("192.0.2.1")), (Some(Strength::Soft), Some(300)));
    let old = FleetBlock { duration: Some(Duration::from_secs(9000)), target: net("192.0.2.2"), ..forged };
    node.hears_left(WEB_2, 2, old.clone(), Some(Duration::from_secs(8900)));
    assert_eq!(node.left("192.0.2.2"), Some(200), "it is a hundred seconds old");
    node.hears_left(WEB_2, 3, old, Some(Duration::from_secs(8000)));
    assert_eq!(node.dropped("192.0.2.2"), None, "its last word is over here");
    node.hears_block(WEB_2, 4, FleetBlock { duration: None, ..fleet_block("192.0.2.3") });
    assert_eq!(node.left("192.0.2.3"), Some(7 * 24 * 3600 * 11 / 10), "no detection blocks for ever");
}
