//! The order of effects, and what happens when disk or kernel fail.

use super::*;

fn stage(effect: &Effect) -> u8 {
    match effect {
        Effect::Enforcement(_) | Effect::Enforce(_) => 0,
        Effect::Destroy(_) | Effect::Forget(..) | Effect::Acquit(_) | Effect::ProtectService(_) => 1,
        Effect::Persist(..) => 2,
        Effect::Report(_) | Effect::Say(..) => 3,
    }
}

#[test]
fn the_kernel_comes_first_then_the_disk_then_everybody_else() {
    let mut node = Node::new();
    node.proven("192.0.2.1");
    let stages: Vec<u8> = node.log.iter().map(stage).collect();
    assert!(stages.is_sorted(), "{stages:?}");
    assert_eq!((stages.first(), stages.last()), (Some(&0), Some(&3)));
}

#[test]
fn nothing_is_told_before_it_is_kept() {
    let mut node = Node::new();
    node.disk = false;
    node.proven("192.0.2.1");
    assert_eq!(node.dropped("192.0.2.1"), Some(Strength::Hard), "enforced all the same");
    assert!(node.reports.is_empty());
    let last = node.log.iter().rev().find_map(|effect| match effect {
        Effect::Persist(sequence, _) => Some(*sequence),
        _ => None,
    });
    let last = last.unwrap();
    node.agent.handle_persisted(node.now(), Sequence(last.0 - 1));
    node.take();
    assert!(node.reports.is_empty());
    node.pass(11);
    assert!(node.agent.health(node.now()).iter().any(|health| health.what.contains("disk")));
    node.agent.handle_persisted(node.now(), last);
    node.take();
    assert_eq!(node.reports.len(), 1);
    assert!(node.agent.health(node.now()).is_empty());
}

#[test]
fn an_order_is_acknowledged_with_the_number_of_its_last_record() {
    let mut node = Node::new();
    let (_, sequence) = node.agent.handle_order(node.now(), Order::Block(block("192.0.2.1", false))).unwrap();
    node.take();
    let numbers: Vec<Sequence> = node
        .log
        .iter()
        .filter_map(|effect| match effect {
            Effect::Persist(sequence, _) => Some(*sequence),
            _ => None,
        })
        .collect();
    assert_eq!(numbers.last(), Some(&sequence));
}

#[test]
fn reports_that_wait_for_a_dead_disk_are_bounded_and_counted() {
    let mut node = Node::with(|config| config.limits.alerts = 5);
    node.disk = false;
    for n in 1..=8 {
        node.proven(&alloc::format!("192.0.2.{n}"));
    }
    assert_eq!(node.agent.counters().dropped_reports, 3);
    node.agent.handle_persisted(node.now(), Sequence(u64::MAX));
    node.take();
    assert_eq!(node.reports.len(), 5);
}

#[test]
fn the_history_of_alerts_is_bounded_on_the_disk_too() {
    let mut node = Node::with(|config| config.limits.alerts = 5);
    for n in 1..=8 {
        node.proven(&alloc::format!("192.0.2.{n}"));
        node.pass(1);
    }
    assert_eq!(node.agent.alerts().count(), 5);
    assert_eq!(node.store.keys().filter(|(tree, _)| *tree == Tree::Alerts).count(), 5);
}

#[test]
fn what_the_kernel_refuses_stays_desired_and_is_shown() {
    let mut node = Node::new();
    node.proven("192.0.2.1");
    node.agent.handle_enforced(node.now(), net("192.0.2.1"), Err("set is full".into()));
    assert!(node.agent.desired().blocks.contains_key(&net("192.0.2.1")));
    assert!(node.agent.health(node.now())[0].what.contains("set is full"));
    node.agent.handle_enforced(node.now(), net("192.0.2.1"), Ok(()));
    assert!(node.agent.health(node.now()).is_empty());
}

#[test]
fn failures_are_remembered_up_to_a_bound() {
    let mut node = Node::new();
    for n in 0..200 {
        node.agent.handle_enforced(node.now(), net(&alloc::format!("192.0.2.{n}")), Err("no".into()));
    }
    assert!(node.agent.health(node.now())[0].what.contains("at least 64"));
}

#[test]
fn long_texts_are_cut() {
    let mut node = Node::new();
    let mut long = verdict("192.0.2.1", Class::BruteForce, Some(Evidence::Handshake));
    long.reason.text = "ü".repeat(1000);
    node.verdict(long);
    assert_eq!(node.reports[0].reason.text.len(), 256);
    assert_eq!(node.agent.blocks().next().unwrap().block.reason.len(), 256);
}
