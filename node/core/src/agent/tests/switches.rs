//! Enforcement and mode.

use super::*;
use crate::order::Mode;

#[test]
fn nothing_is_dropped_while_off_and_everything_again_after() {
    let mut node = Node::new();
    node.proven("192.0.2.1");
    node.switch(EnforcementState::Off, None).unwrap();
    assert_eq!(node.kernel, Enforced::default());
    assert_eq!(node.proven("192.0.2.2"), Some(Action::Report), "detection only reports");
    node.block("192.0.2.3", false).unwrap();
    node.protect(&[("192.0.2.9", Why::Gateway)]);
    assert_eq!(node.kernel, Enforced::default());
    node.switch(EnforcementState::On, None).unwrap();
    assert_eq!(node.kernel.blocks.len(), 2);
    assert!(node.passes("192.0.2.9"));
}

#[test]
fn a_panic_is_over_by_itself() {
    let mut node = Node::new();
    node.proven("192.0.2.1");
    let panic = Order::Enforcement {
        state: EnforcementState::Panic,
        confirm: None,
        resume: Some(Duration::from_secs(60)),
    };
    node.order(panic).unwrap();
    assert_eq!(node.kernel, Enforced::default());
    node.pass(60);
    assert_eq!(node.agent.enforcement(), EnforcementState::On);
    assert_eq!(node.dropped("192.0.2.1"), Some(Strength::Hard));
}

#[test]
fn an_unconfirmed_change_rolls_back() {
    let mut node = Node::new();
    node.switch(EnforcementState::Off, None).unwrap();
    let Ok(Done::Changed { reverts }) = node.switch(EnforcementState::On, Some(120)) else {
        panic!("changed")
    };
    assert_eq!(reverts, Some(node.now().after(Duration::from_secs(120))));
    node.order(Order::Mode { mode: Mode::Manual, confirm: Some(Duration::from_secs(120)) }).unwrap();
    node.pass(120);
    assert_eq!((node.agent.enforcement(), node.agent.mode()), (EnforcementState::Off, Mode::Auto));
    assert_eq!(node.kernel, Enforced::default());
}

#[test]
fn a_confirmed_change_stays() {
    let mut node = Node::new();
    node.switch(EnforcementState::Off, None).unwrap();
    node.switch(EnforcementState::On, Some(120)).unwrap();
    node.order(Order::Mode { mode: Mode::Manual, confirm: Some(Duration::from_secs(120)) }).unwrap();
    node.order(Order::Confirm).unwrap();
    node.pass(1000);
    assert_eq!((node.agent.enforcement(), node.agent.mode()), (EnforcementState::On, Mode::Manual));
    assert_eq!(node.order(Order::Confirm), Err(Refusal::NothingToConfirm));
}

#[test]
fn a_changed_configuration_changes_the_mode_and_an_unchanged_one_does_not() {
    let mut node = Node::new();
    node.order(Order::Mode { mode: Mode::Manual, confirm: None }).unwrap();
    let config = node.agent.config.clone();
    node.agent.set_config(node.now(), config.clone());
    assert_eq!(node.agent.mode(), Mode::Manual, "what the person said since stands");
    node.agent.set_config(node.now(), PolicyConfig { mode: Mode::Manual, ..config.clone() });
    node.agent.set_config(node.now(), config);
    assert_eq!(node.agent.mode(), Mode::Auto);
}
