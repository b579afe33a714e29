use super::lab::*;
use crate::{Strength, prefix};

#[test]
fn packets_of_a_hard_block_are_counted_and_change_nothing() {
    let mut lab = Lab::new();
    lab.sensor.handle_block("203.0.113.0/24".parse().unwrap(), Some(Strength::Hard));
    (0..500).for_each(|port| lab.refuse(ATTACKER, port));
    lab.silent();
    let stats = lab.sensor.stats();
    assert_eq!((stats.suppressed, stats.sources, stats.flows), (500, 0, 0), "our answers count for nobody");
    lab.sensor.handle_login(
        lab.now,
        crate::sensor::Login { source: ATTACKER, port: 1, outcome: crate::sensor::LoginOutcome::Failed },
    );
    assert_eq!(lab.sensor.stats().sources, 0);
}

#[test]
fn packets_of_a_soft_block_are_looked_at() {
    let mut lab = Lab::new();
    lab.sensor.handle_block(prefix::host(ATTACKER), Some(Strength::Soft));
    (0..50).for_each(|port| lab.refuse(ATTACKER, port));
    assert_eq!(lab.verdicts().len(), 1);
    assert_eq!(lab.sensor.stats().suppressed, 0);
}

#[test]
fn a_block_that_softens_is_looked_at_again() {
    let mut lab = Lab::new();
    lab.sensor.handle_block(prefix::host(ATTACKER), Some(Strength::Hard));
    lab.sensor.handle_block(prefix::host(ATTACKER), Some(Strength::Soft));
    (0..50).for_each(|port| lab.refuse(ATTACKER, port));
    assert_eq!(lab.verdicts().len(), 1);
}

#[test]
fn an_unblocked_source_begins_anew() {
    for target in [prefix::host(ATTACKER), "203.0.113.0/24".parse().unwrap()] {
        let mut lab = Lab::new();
        // Thirteen of fifteen ports.
        (0..15).for_each(|port| lab.refuse(ATTACKER, port));
        browse(&mut lab, CLIENT, 30_000);
        let known = lab.sensor.stats().sources;
        lab.sensor.handle_block(target, Some(Strength::Hard));
        lab.sensor.handle_block(target, None);
        assert_eq!(lab.sensor.stats().sources, known - 1, "{target}: only the target is forgotten");
        (100..114).for_each(|port| lab.refuse(ATTACKER, port));
        lab.silent();
    }
}

#[test]
fn a_timer_leaves_a_blocked_source_alone() {
    let mut lab = Lab::new();
    (0..30).for_each(|port| {
        Connection::open(&mut lab, ATTACKER, 30_000 + port, 80);
    });
    lab.sensor.handle_block(prefix::host(ATTACKER), Some(Strength::Hard));
    lab.wait(10_000);
    lab.silent();
}
