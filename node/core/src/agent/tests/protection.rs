//! Who is never dropped.

use super::*;
use crate::BlockState;

#[test]
fn a_protected_source_is_reported_with_the_reason() {
    let mut node = Node::new();
    node.protect(&[("192.0.2.0/30", Why::Gateway)]);
    assert_eq!(node.proven("192.0.2.1"), Some(Action::Protected));
    assert_eq!(node.reports[0].note, "192.0.2.0/30 is protected: default gateway: eth0");
    assert_eq!(node.forged("127.0.0.1"), Some(Action::Protected));
    assert_eq!(node.forged("fe80::1"), Some(Action::Protected));
    assert!(node.kernel.blocks.is_empty());
}

#[test]
fn every_host_passes_loopback_and_its_like_from_the_start() {
    let node = Node::new();
    for always in ["127.0.0.0/8", "::1", "169.254.0.0/16", "fe80::/10", "224.0.0.0/4", "ff00::/8"] {
        assert!(node.passes(always), "{always}");
    }
}

#[test]
fn a_block_rests_while_its_target_is_protected() {
    let mut node = Node::new();
    node.proven("192.0.2.1");
    node.protect(&[("192.0.2.1", Why::SshSession)]);
    assert_eq!(node.dropped("192.0.2.1"), None);
    assert!(node.passes("192.0.2.1"));
    assert!(matches!(node.agent.blocks().next().unwrap().state, BlockState::Suspended(_)));
    node.protect(&[]);
    assert_eq!(node.dropped("192.0.2.1"), Some(Strength::Hard));
    assert!(!node.passes("192.0.2.1"));
    node.protect(&[("192.0.2.1", Why::SshSession)]);
    node.pass(400);
    node.protect(&[]);
    assert_eq!(node.dropped("192.0.2.1"), None, "it was over meanwhile");
}

#[test]
fn a_persons_wide_block_stands_and_passes_who_is_protected_within() {
    let mut node = Node::new();
    node.block("192.0.2.0/24", false).unwrap();
    node.protect(&[("192.0.2.1", Why::Gateway)]);
    assert_eq!(node.dropped("192.0.2.0/24"), Some(Strength::Hard));
    assert!(node.passes("192.0.2.1"));
    node.protect(&[("192.0.2.0/23", Why::Member)]);
    assert_eq!(node.dropped("192.0.2.0/24"), None, "nothing of it may be dropped");
}

#[test]
fn the_allow_list_beats_every_block() {
    let mut node = Node::new();
    node.proven("192.0.2.1");
    node.block("192.0.2.2", false).unwrap();
    let Ok(Done::Allowed(ended)) = node.allow("192.0.2.0/30", None) else { panic!("allowed") };
    assert_eq!(ended.len(), 2);
    assert!(node.kernel.blocks.is_empty() && node.passes("192.0.2.0/30"));
    node.pass(60);
    assert_eq!(node.proven("192.0.2.1"), Some(Action::Protected));
    for force in [false, true] {
        let refused = node.block("192.0.2.1", force);
        assert!(matches!(refused, Err(Refusal::Protected { why: Why::AllowList, .. })), "{refused:?}");
    }
    node.block("192.0.2.0/24", true).unwrap();
    assert!(node.passes("192.0.2.0/30"), "force does not lift the allow list");
}

#[test]
fn an_allowance_ends_when_it_was_meant_to() {
    let mut node = Node::new();
    node.allow("192.0.2.1", Some(60)).unwrap();
    assert_eq!(node.proven("192.0.2.1"), Some(Action::Protected));
    node.pass(60);
    assert!(!node.passes("192.0.2.1"));
    node.pass(300);
    assert_eq!(node.proven("192.0.2.1"), Some(Action::Block));
}

#[test]
fn what_the_configuration_allows_is_not_taken_back_by_an_order() {
    let mut node = Node::with(|config| config.allow.push(net("192.0.2.1")));
    assert_eq!(node.proven("192.0.2.1"), Some(Action::Protected));
    let refused = node.order(Order::Disallow { target: net("192.0.2.1") });
    assert!(matches!(refused, Err(Refusal::Protected { why: Why::AllowList, .. })));
    let config = PolicyConfig { allow: Vec::new(), ..node.agent.config.clone() };
    node.agent.set_config(node.now(), config);
    node.take();
    assert!(!node.passes("192.0.2.1"));
}

#[test]
fn a_forced_block_of_a_protected_target_reverts_unless_confirmed() {
    let mut node = Node::new();
    node.protect(&[("192.0.2.1", Why::Gateway)]);
    assert!(matches!(node.block("192.0.2.1", false), Err(Refusal::Protected { why: Why::Gateway, .. })));
    let Ok(Done::Blocked { reverts, .. }) = node.block("192.0.2.1", true) else { panic!("forced") };
    assert_eq!(reverts, Some(node.now().after(Duration::from_secs(60))));
    assert_eq!(node.dropped("192.0.2.1"), Some(Strength::Hard));
    assert!(!node.passes("192.0.2.1"), "the kernel would let it through");
    node.pass(59);
    assert_eq!(node.dropped("192.0.2.1"), Some(Strength::Hard));
    node.pass(1);
    assert_eq!(node.dropped("192.0.2.1"), None);
    assert!(node.passes("192.0.2.1"));
}

#[test]
fn a_confirmed_forced_block_lasts_as_long_as_was_asked() {
    let mut node = Node::new();
    node.protect(&[("192.0.2.1", Why::Gateway)]);
    node.block("192.0.2.1", true).unwrap();
    node.pass(30);
    assert_eq!(node.order(Order::Confirm), Ok(Done::Confirmed));
    assert_eq!(node.left("192.0.2.1"), Some(3570));
    node.pass(3569);
    assert_eq!(node.dropped("192.0.2.1"), Some(Strength::Hard));
    node.pass(1);
    assert!(node.passes("192.0.2.1"));
    assert_eq!(node.order(Order::Confirm), Err(Refusal::NothingToConfirm));
}

#[test]
fn unblocking_a_forced_block_protects_again_at_once() {
    let mut node = Node::new();
    node.protect(&[("192.0.2.1", Why::Gateway)]);
    node.block("192.0.2.1", true).unwrap();
    node.unblock("192.0.2.1").unwrap();
    assert!(node.passes("192.0.2.1"));
    assert_eq!(node.order(Order::Confirm), Err(Refusal::NothingToConfirm));
}

#[test]
fn a_forced_block_of_a_part_lifts_only_that_part() {
    let mut node = Node::new();
    node.block("192.0.2.0/24", false).unwrap();
    node.protect(&[("192.0.2.0/30", Why::Member)]);
    node.block("192.0.2.1", true).unwrap();
    assert!(!node.passes("192.0.2.0/30") && !node.passes("192.0.2.1"));
    assert!(node.passes("192.0.2.0") && node.passes("192.0.2.2/31"), "its neighbours still pass");
    node.pass(60);
    assert!(node.passes("192.0.2.0/30") && !node.passes("192.0.2.0"));
}

#[test]
fn a_blocked_64_rests_while_one_address_in_it_is_protected_or_allowed() {
    let mut node = Node::new();
    for n in 1..=3 {
        node.proven(&alloc::format!("2001:db8::{n}"));
    }
    node.protect(&[("2001:db8::99", Why::SshSession)]);
    assert_eq!(node.dropped("2001:db8::/64"), None);
    node.protect(&[]);
    assert_eq!(node.dropped("2001:db8::/64"), Some(Strength::Hard));
    node.allow("2001:db8::99", None).unwrap();
    assert_eq!(node.dropped("2001:db8::/64"), None);
    node.order(Order::Disallow { target: net("2001:db8::99") }).unwrap();
    assert_eq!(node.dropped("2001:db8::/64"), Some(Strength::Hard));
}
