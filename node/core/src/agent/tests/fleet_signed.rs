//! What of an order its carrier, its signer and its site decide.

use super::{
    fleet::{ALICE, EVIL, SIGNER, WEB_2, WEB_3, fleet_block, log, order, version},
    fleet_orders::{allow_order, block_order, unblock_order},
    *,
};
use crate::{
    Withheld,
    agent::Heard,
    fleet::{NodeId, OperatorOrder, OrderKind, VerifiedOrder},
    order::EnforcementState,
};

const HOUR: Duration = Duration::from_secs(3600);

const fn heard(age: Duration) -> Heard {
    Heard { carrier: EVIL, age, stored: false }
}

fn canary(target: &str) -> OrderKind {
    OrderKind::Canary { target: net(target), watched: true }
}

fn panic(minutes: u64) -> OrderKind {
    OrderKind::Panic { duration: Duration::from_secs(60 * minutes) }
}

impl Node {
    fn state_of_enforcement(&self) -> EnforcementState {
        self.agent.enforcement()
    }
}

#[test]
fn an_order_holds_as_long_as_its_operator_signed_whoever_carries_it() {
    let mut node = Node::in_fleet();
    let allow = OperatorOrder { id: 1, lasts: None, ..order(allow_order("192.0.2.1")) };
    node.orders(0, allow.clone());
    let end = OperatorOrder { id: 2, lasts: None, ..order(OrderKind::Disallow { id: 1 }) };
    node.orders(0, end);
    assert!(!node.passes("192.0.2.1"));
    node.pass(10 * 24 * 3600);
    node.orders(10, allow);
    assert!(!node.passes("192.0.2.1"), "carried again, it is still ended");
    assert_eq!(node.agent.fleet_orders().count(), 1, "and is listed no more");
    let short = OperatorOrder { id: 3, lasts: Some(HOUR), ..order(canary("192.0.2.9")) };
    node.orders(1800, short);
    node.pass(1799);
    assert_eq!(node.agent.fleet_orders().count(), 2);
    node.pass(1);
    assert_eq!(node.agent.fleet_orders().count(), 1);
}

#[test]
fn what_is_over_when_it_comes_is_counted() {
    let mut node = Node::in_fleet();
    node.orders(3600, order(block_order(&["192.0.2.1"], false)));
    assert_eq!((node.agent.block_count(), node.agent.counters().orders_over), (0, 1));
}

#[test]
fn a_private_address_is_ordered_within_its_site_alone() {
    let mut node = Node::in_fleet();
    let of = |id, site: Option<&str>, kind| OperatorOrder { id, site: site.map(Into::into), ..order(kind) };
    node.orders(0, of(1, Some("paris"), block_order(&["10.9.0.1"], false)));
    node.orders(0, of(2, None, block_order(&["10.9.0.2"], false)));
    node.orders(0, of(3, Some("berlin"), block_order(&["10.9.0.3"], false)));
    node.orders(0, of(4, Some("paris"), block_order(&["192.0.2.4"], false)));
    let private = Some(Withheld::Private);
    assert_eq!((node.withheld("10.9.0.1"), node.withheld("10.9.0.2")), (private, private));
    assert_eq!(node.withheld("192.0.2.4"), private, "it says itself that it is for others");
    assert_eq!(node.dropped("10.9.0.3"), Some(Strength::Hard));
    node.orders(0, of(5, Some("paris"), unblock_order("10.9.0.3", &[], &[3])));
    node.orders(0, of(6, None, allow_order("10.9.0.3")));
    node.orders(0, of(7, Some("paris"), canary("10.9.0.3")));
    assert_eq!((node.dropped("10.9.0.3"), node.agent.fleet_orders().count()), (Some(Strength::Hard), 4));
    node.orders(0, of(8, Some("berlin"), unblock_order("10.9.0.3", &[], &[3])));
    assert_eq!(node.dropped("10.9.0.3"), None);
}

#[test]
fn the_orders_of_an_expelled_operator_end_at_once() {
    let mut node = Node::in_fleet();
    node.hears(WEB_2, 1, "192.0.2.8");
    node.ordered(1, block_order(&["192.0.2.1"], false));
    node.ordered(2, allow_order("192.0.2.8"));
    node.ordered(3, canary("192.0.2.3"));
    node.ordered(4, OrderKind::Trust { node: WEB_3, believed: false });
    let bob = VerifiedOrder {
        order: OperatorOrder { id: 5, ..order(block_order(&["192.0.2.5"], false)) },
        signer: NodeId([210; 32]),
        issuer: SIGNER,
    };
    node.agent.handle_fleet_order(node.now(), bob, heard(Duration::ZERO));
    node.take();
    assert_eq!(node.dropped("192.0.2.8"), None);
    node.agent.handle_operators_expelled(node.now(), |signer, _| *signer == ALICE);
    node.take();
    let dropped: Vec<_> = node.kernel.blocks.keys().copied().collect();
    assert_eq!(dropped, [net("192.0.2.5"), net("192.0.2.8")]);
    assert_eq!(node.proven("192.0.2.3"), Some(Action::Block), "it is no canary any more");
    node.hears(WEB_3, 1, "192.0.2.30");
    assert_eq!(node.dropped("192.0.2.30"), Some(Strength::Hard), "and its word against others is void");
    node.agent.handle_operators_expelled(node.now(), |_, issuer| *issuer == SIGNER);
    node.take();
    assert_eq!(node.agent.fleet_orders().count(), 0, "whom an expelled signer made goes with it");
}

#[test]
fn a_member_that_was_away_when_the_canary_was_declared_is_mistaken_and_no_liar() {
    let mut node = Node::in_fleet();
    node.ordered(1, canary("192.0.2.1"));
    node.pass(1000);
    let away = crate::agent::FleetMember {
        id: WEB_2,
        name: "web-2".into(),
        site: "berlin".into(),
        address: "10.0.0.2".parse().unwrap(),
        there_since: Some(node.now()),
    };
    node.agent.handle_members(node.now(), alloc::vec![away]);
    node.hears(WEB_2, 1, "192.0.2.1");
    assert_eq!((node.trust(WEB_2), node.withheld("192.0.2.1")), (0.95, Some(Withheld::Canary)));
    node.pass(301);
    node.hears(WEB_2, 2, "192.0.2.1");
    assert_eq!(node.trust(WEB_2), 0.0, "by then it knows");
}

#[test]
fn who_carried_the_canary_s_order_knew_of_it() {
    let mut node = Node::in_fleet();
    node.agent.handle_members(node.now(), Vec::new());
    node.hears_order(order(canary("192.0.2.1")), heard(Duration::from_secs(400)));
    node.pass(1);
    node.hears(EVIL, 1, "192.0.2.1");
    assert_eq!(node.trust(EVIL), 0.0);
}

#[test]
fn an_operator_s_panic_stops_enforcement_and_it_resumes_by_itself() {
    let mut node = Node::in_fleet();
    node.block("192.0.2.1", false).unwrap();
    node.ordered(1, panic(15));
    assert_eq!((node.state_of_enforcement(), node.kernel.blocks.len()), (EnforcementState::Panic, 0));
    node.pass(899);
    assert_eq!(node.state_of_enforcement(), EnforcementState::Panic);
    node.pass(1);
    assert_eq!((node.state_of_enforcement(), node.kernel.blocks.len()), (EnforcementState::On, 1));
}

#[test]
fn a_panic_that_comes_late_ends_when_the_others_do_and_no_panic_is_longer_than_a_day() {
    let mut node = Node::in_fleet();
    node.ordered_before(600, 1, panic(15));
    node.pass(300);
    assert_eq!(node.state_of_enforcement(), EnforcementState::On);
    node.ordered_before(900, 2, panic(15));
    assert_eq!(node.state_of_enforcement(), EnforcementState::On, "it is over");
    node.ordered(3, panic(100_000));
    node.pass(24 * 3600);
    assert_eq!(node.state_of_enforcement(), EnforcementState::On);
}

#[test]
fn a_panic_ends_here_by_enable_and_is_not_begun_again_by_whoever_carries_it_or_a_restart() {
    let mut node = Node::in_fleet();
    node.ordered(1, panic(15));
    node.switch(EnforcementState::On, None).unwrap();
    node.ordered(1, panic(15));
    assert_eq!(node.state_of_enforcement(), EnforcementState::On);
    let mut other = node.restarted();
    other.join();
    let stored = Heard { stored: true, ..heard(Duration::ZERO) };
    other.hears_order(order(panic(15)), stored);
    other.hears_order(order(panic(15)), heard(Duration::ZERO));
    assert_eq!(other.state_of_enforcement(), EnforcementState::On);
}

#[test]
fn a_panic_outlives_a_restart() {
    let mut node = Node::in_fleet();
    node.ordered(1, panic(15));
    let mut other = node.restarted();
    assert_eq!(other.state_of_enforcement(), EnforcementState::Panic);
    other.pass(900);
    assert_eq!(other.state_of_enforcement(), EnforcementState::On);
}

#[test]
fn resuming_ends_what_was_ordered_before_it_in_whatever_order_it_comes() {
    let mut node = Node::in_fleet();
    node.ordered(1, panic(60));
    node.pass(10);
    node.ordered(2, OrderKind::Resume);
    assert_eq!(node.state_of_enforcement(), EnforcementState::On);
    node.ordered_before(5, 3, panic(60));
    assert_eq!(node.state_of_enforcement(), EnforcementState::On, "it was signed before");
    node.pass(10);
    node.ordered(4, panic(60));
    node.ordered_before(20, 5, OrderKind::Resume);
    assert_eq!(node.state_of_enforcement(), EnforcementState::Panic, "it was signed after");
}

#[test]
fn what_a_faster_clock_has_signed_outranks_what_ends_it() {
    let mut node = Node::in_fleet();
    node.pass(100);
    node.ordered(7, panic(60));
    let signed = |ago: u64, id, kind| OperatorOrder {
        id,
        issued: Time::from_nanos(node.now().as_nanos() - ago * 1_000_000_000),
        ..order(kind)
    };
    let by = |order: OperatorOrder| node.agent.fleet_outranks(&order).map(|other| other.id);
    assert_eq!(by(signed(40, 8, OrderKind::Resume)), Some(7), "its machine's clock is behind");
    assert_eq!(by(signed(0, 6, OrderKind::Resume)), Some(7), "of two at once the greater id counts");
    assert_eq!(by(signed(0, 8, OrderKind::Resume)), None);
    assert_eq!(by(signed(40, 8, panic(15))), None, "two panics do not contradict each other");
}

#[test]
fn a_panic_is_ended_by_what_only_a_slower_clock_signed_before() {
    let mut node = Node::in_fleet();
    node.pass(100);
    node.ordered(7, OrderKind::Resume);
    let issued = Time::from_nanos(node.now().as_nanos() - 40_000_000_000);
    let late = OperatorOrder { id: 8, issued, ..order(panic(15)) };
    assert_eq!(node.agent.fleet_outranks(&late).map(|other| other.id), Some(7));
}

#[test]
fn whether_the_fleet_or_a_person_has_stopped_enforcement_is_known() {
    let mut node = Node::in_fleet();
    assert_eq!(node.agent.fleet_panic(), None);
    node.ordered(1, panic(15));
    assert_eq!(node.agent.fleet_panic(), Some(node.now().after(Duration::from_secs(900))));
    let long = Order::Enforcement { state: EnforcementState::Panic, confirm: None, resume: Some(2 * HOUR) };
    node.order(long).unwrap();
    assert_eq!(node.agent.fleet_panic(), None, "a person prolonged it");
    node.switch(EnforcementState::On, None).unwrap();
    assert_eq!(node.agent.fleet_panic(), None);
}

#[test]
fn the_fleet_s_word_neither_shortens_a_longer_panic_nor_switches_on_what_is_off() {
    let mut node = Node::in_fleet();
    let long = Order::Enforcement { state: EnforcementState::Panic, confirm: None, resume: Some(2 * HOUR) };
    node.order(long).unwrap();
    node.ordered(1, panic(15));
    node.pass(1);
    node.ordered(2, OrderKind::Resume);
    assert_eq!(node.state_of_enforcement(), EnforcementState::Panic, "a person on this node knows better");
    node.switch(EnforcementState::Off, None).unwrap();
    node.pass(1);
    node.ordered(3, panic(15));
    node.pass(1000);
    node.ordered(4, OrderKind::Resume);
    assert_eq!(node.state_of_enforcement(), EnforcementState::Off);
}

#[test]
fn a_word_that_counts_for_nothing_has_nothing_judged_anew() {
    let mut node = Node::in_fleet_with(|config| config.fleet.quorum = 2);
    (0..50).for_each(|n| node.hears(WEB_2, n + 1, &alloc::format!("20.0.0.{n}")));
    for (sequence, target) in (1..).zip(["0.0.0.0/1", "128.0.0.0/1"]) {
        node.agent.handle_fleet_block(
            node.now(),
            &log(EVIL),
            version(sequence),
            fleet_block(target),
            fleet_block(target).duration,
        );
        assert!(node.agent.fleet.doubts() == 0, "{target}");
    }
    node.take();
    node.hears(WEB_2, 99, "30.0.0.0/24");
    node.agent.handle_fleet_block(
        node.now(),
        &log(WEB_3),
        version(1),
        fleet_block("30.0.0.0/24"),
        fleet_block("30.0.0.0/24").duration,
    );
    assert_eq!(node.agent.fleet.doubts(), 1);
    node.take();
    assert_eq!(node.dropped("30.0.0.0/24"), Some(Strength::Hard), "two agree");
}

#[test]
fn many_allowances_lay_out_what_passes_once() {
    let mut node = Node::in_fleet();
    for n in 0..100 {
        let allow = OperatorOrder { id: n, ..order(allow_order(&alloc::format!("192.0.2.{n}"))) };
        let allow = VerifiedOrder { order: allow, signer: ALICE, issuer: SIGNER };
        node.agent.handle_fleet_order(node.now(), allow, heard(Duration::ZERO));
    }
    assert!(node.agent.passing_stale && !node.agent.passing().any(|passing| *passing == net("192.0.2.7")));
    node.take();
    assert!(node.passes("192.0.2.7"));
}
