//! Where a block is dropped is said by whoever drops it, and by nobody else.

use smartfw_core::order::{self, EnforcementState};

use super::*;

const TARGET: &str = "203.0.113.7/32";

fn on(node: &Node, target: &str) -> Vec<String> {
    let blocks = node.blocks();
    blocks
        .into_iter()
        .find(|block| block.target == net(target))
        .map_or_else(Vec::new, |block| block.enforced_on)
}

/// The second member of two is `other`.
fn pair_with(other: Node) -> (Authority, Node, Node) {
    let authority = Authority::found();
    let one = Node::start();
    one.enter(&authority.member("one"), Vec::new()).unwrap();
    other.enter(&authority.member("other"), vec![one.address()]).unwrap();
    let connected = |node: &Node| node.status().is_some_and(|s| (s.peers_alive, s.peers_connected) == (1, 1));
    until("they are connected", || connected(&one) && connected(&other));
    (authority, one, other)
}

fn block(authority: &Authority, target: &str) -> SignedOrder {
    let kind = OrderKind::Block {
        targets: vec![net(target)],
        duration: Some(Duration::from_secs(600)),
        class: Class::Manual,
        reason: String::new(),
        force: false,
    };
    signed(authority, 7, clock::now(), kind)
}

fn signed(authority: &Authority, id: u128, issued: Time, kind: OrderKind) -> SignedOrder {
    let order = OperatorOrder { id, operator: "operator".into(), issued, lasts: None, site: None, kind };
    sign_order(&authority.founded.operator, &order, &PeerCodec).unwrap()
}

#[test]
fn what_a_kernel_refuses_nobody_is_told_to_be_dropped_there_and_the_operator_hears_of_it() {
    let (authority, one, other) = pair_with(Node::start_with(true, &[TARGET]));
    one.detects("203.0.113.7");
    until("the other holds it", || other.targets() == [net(TARGET)]);
    one.detects("203.0.113.8");
    until("another is dropped there", || on(&one, "203.0.113.8/32") == ["one", "other"]);
    assert_eq!((on(&one, TARGET), on(&other, TARGET)), (vec!["one".to_owned()], vec!["one".to_owned()]));
    let refused = other.runtime.block_on(other.handle.order(block(&authority, TARGET)));
    assert!(matches!(&refused, Err(FleetRefused::System(why)) if why.contains("full")), "{refused:?}");
}

#[test]
fn whoever_only_rehearses_says_of_nothing_that_it_drops_it() {
    let (_authority, one, other) = pair_with(Node::start_with(false, &[]));
    one.detects("203.0.113.7");
    until("the other holds it", || other.targets() == [net(TARGET)]);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!((on(&one, TARGET), one.blocks()[0].propagation_ms.len()), (vec!["one".to_owned()], 0));
}

#[test]
fn whoever_stops_enforcing_takes_its_word_back_and_gives_it_again() {
    let (_authority, one, other) = pair();
    one.detects("203.0.113.7");
    until("it is dropped on both", || on(&one, TARGET) == ["one", "other"]);
    until("both know", || on(&other, TARGET) == ["other", "one"]);
    for (state, where_to) in
        [(EnforcementState::Panic, vec!["one"]), (EnforcementState::On, vec!["one", "other"])]
    {
        let order = order::Order::Enforcement { state, confirm: None, resume: None };
        other.inbox.send(Input::Order(order, Box::new(|_| ())));
        until("the other says so", || on(&one, TARGET) == where_to);
    }
}

#[test]
fn a_target_has_one_row_whoever_says_so() {
    let (authority, one, other) = pair();
    one.detects("203.0.113.7");
    until("the other drops it", || other.targets() == [net(TARGET)]);
    one.runtime.block_on(one.handle.order(block(&authority, TARGET))).unwrap();
    until("both know of both", || {
        [&one, &other].iter().all(|node| node.blocks()[0].confirmed_by == ["operator"])
    });
    assert_eq!((one.blocks().len(), other.blocks()[0].origin.as_str()), (1, "one"));
}

#[test]
fn whoever_is_expelled_sees_it_in_its_own_health() {
    let (authority, one, _other) = pair();
    let id = one.status().unwrap().id;
    let shown = || one.control.health.list().iter().any(|entry| entry.what.contains("expelled"));
    assert!(!shown());
    let statement =
        Revocation::by_operator(&authority.founded.operator, id, Role::Node, clock::now()).unwrap();
    one.runtime.block_on(one.handle.revoke(vec![statement])).unwrap();
    until("it shows", shown);
    one.runtime.block_on(one.handle.leave()).unwrap();
    assert!(!shown(), "it is in no fleet any more");
}

#[test]
fn who_ends_a_panic_by_a_clock_that_is_behind_hears_that_nobody_would_follow() {
    let (authority, one, other) = pair();
    let (ahead, now) = (clock::now().after(Duration::from_secs(20)), clock::now());
    let panic = signed(&authority, 1, ahead, OrderKind::Panic { duration: Duration::from_secs(900) });
    one.runtime.block_on(one.handle.order(panic)).unwrap();
    let stopped = || other.inbox.ask(|agent, _| agent.enforcement()).unwrap() == EnforcementState::Panic;
    until("the other stops", stopped);
    let refused = other.runtime.block_on(other.handle.order(signed(&authority, 2, now, OrderKind::Resume)));
    assert!(matches!(&refused, Err(FleetRefused::Order(why)) if why.contains("clocks")), "{refused:?}");
    let later = ahead.after(Duration::from_secs(1));
    other.runtime.block_on(other.handle.order(signed(&authority, 3, later, OrderKind::Resume))).unwrap();
    until("it is over", || !stopped());
}
