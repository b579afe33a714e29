//! Which orders hold here, and what becomes of a panic whose operator was expelled.

use super::{
    fleet::{ALICE, ME, SIGNER, WEB_2, WEB_3, order},
    *,
};
use crate::{
    agent::Heard,
    fleet::{NodeId, OperatorOrder, OrderKind, VerifiedOrder},
    order::EnforcementState,
};

const HOUR: Duration = Duration::from_secs(3600);
const BOB: NodeId = NodeId([210; 32]);

fn panic(hours: u32) -> OrderKind {
    OrderKind::Panic { duration: HOUR * hours }
}

fn by_bob(node: &mut Node, id: u128, kind: OrderKind) {
    let order = OperatorOrder { id, ..order(kind) };
    let order = VerifiedOrder { order, signer: BOB, issuer: SIGNER };
    let heard = Heard { carrier: ME, age: Duration::ZERO, stored: false };
    node.agent.handle_fleet_order(node.now(), order, heard);
    node.take();
}

fn expel(node: &mut Node, whom: NodeId) {
    node.agent.handle_operators_expelled(node.now(), |signer, _| *signer == whom);
    node.take();
}

#[test]
fn only_an_order_that_holds_here_is_obeyed() {
    let mut node = Node::in_fleet();
    let revoke = OrderKind::Revoke { node: WEB_2 };
    node.orders(0, OperatorOrder { id: 1, site: Some("paris".into()), ..order(revoke.clone()) });
    node.orders(3600, OperatorOrder { id: 2, lasts: Some(HOUR), ..order(revoke.clone()) });
    node.orders(0, OperatorOrder { id: 3, site: Some("berlin".into()), ..order(revoke) });
    assert_eq!([1, 2, 3].map(|id| node.agent.obeys(id)), [false, false, true]);
}

#[test]
fn the_panic_of_an_expelled_operator_ends_with_it() {
    let mut node = Node::in_fleet();
    by_bob(&mut node, 1, panic(24));
    assert_eq!(node.agent.enforcement(), EnforcementState::Panic);
    expel(&mut node, WEB_3);
    assert_eq!(node.agent.enforcement(), EnforcementState::Panic, "it was another who was expelled");
    expel(&mut node, BOB);
    assert_eq!(node.agent.enforcement(), EnforcementState::On);
}

#[test]
fn the_panic_that_another_operator_ordered_too_goes_on_as_long_as_he_said() {
    let mut node = Node::in_fleet();
    by_bob(&mut node, 1, panic(24));
    node.ordered(2, panic(1));
    expel(&mut node, BOB);
    assert_eq!(node.agent.fleet_panic(), Some(node.now().after(HOUR)));
    expel(&mut node, ALICE);
    assert_eq!(node.agent.enforcement(), EnforcementState::On);
}

#[test]
fn a_panic_that_a_person_here_prolonged_outlives_the_operator_who_began_it() {
    let mut node = Node::in_fleet();
    by_bob(&mut node, 1, panic(1));
    let long = Order::Enforcement { state: EnforcementState::Panic, confirm: None, resume: Some(2 * HOUR) };
    node.order(long).unwrap();
    expel(&mut node, BOB);
    assert_eq!(node.agent.enforcement(), EnforcementState::Panic);
}

#[test]
fn an_unconfirmed_switch_off_does_not_swallow_a_panic() {
    let mut node = Node::in_fleet();
    node.switch(EnforcementState::Off, Some(60)).unwrap();
    node.ordered(1, panic(1));
    node.pass(61);
    assert_eq!(node.agent.enforcement(), EnforcementState::Panic);
    node.pass(3600);
    assert_eq!(node.agent.enforcement(), EnforcementState::On);
}
