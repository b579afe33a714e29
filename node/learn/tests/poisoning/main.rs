//! An attacker has a week to teach a node that attacks are ordinary. Each test lets him try in one way, and shows that
//! he fails, and that he would have succeeded with a learner that believes what it sees.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod attacks;
mod naive;
mod node;
mod town;

use std::sync::OnceLock;

use attacks::Attack;
use node::Node;
use smartfw_learn::online::{RECALL_TOLERANCE, Scores, THRESHOLD_TOLERANCE};

/// How much of benign traffic may be called an attack more than before: one window in two hundred.
const MORE_FALSE_ALARMS: f32 = 0.005;

/// A node whose first week was peaceful.
fn settled() -> Node {
    static SETTLED: OnceLock<Node> = OnceLock::new();
    let settle = || {
        let mut node = Node::new();
        node.week(Attack::None);
        node
    };
    SETTLED.get_or_init(settle).clone()
}

/// Which figures are worse than they were before the attack, by more than may be.
fn harm(before: &Scores, after: &Scores) -> Vec<String> {
    let mut harm = Vec::new();
    for (class, recall) in &before.recall {
        let (recall, now) = (recall.share, after.recall.get(class).copied().unwrap_or_default().share);
        let tolerance = if class.is_some() { RECALL_TOLERANCE } else { MORE_FALSE_ALARMS };
        if now < recall - tolerance {
            harm.push(format!("recall of {class:?} {recall:.3} -> {now:.3}"));
        }
    }
    if (after.threshold - before.threshold).abs() > THRESHOLD_TOLERANCE {
        harm.push(format!("threshold {:.3} -> {:.3}", before.threshold, after.threshold));
    }
    harm
}

/// Lets the attack run for a week against the guarded and against the naive learner.
fn withstands(attack: Attack) {
    let mut node = settled();
    let before = node.figures();
    node.week(attack);
    assert_eq!(harm(&before, &node.figures()), Vec::<String>::new(), "{}", node.progress());
    let naive = naive::figures(&node);
    assert_ne!(harm(&before, &naive), Vec::<String>::new(), "the attack is none: nobody falls for it");
}

#[test]
fn a_peaceful_week_brings_a_better_suited_model() {
    let mut node = settled();
    let before = node.figures();
    node.week(Attack::None);
    assert!(node.promoted() >= 1, "{}", node.progress());
    assert_eq!(harm(&before, &node.figures()), Vec::<String>::new());
}

#[test]
fn a_ramp_of_a_week_makes_no_flood_ordinary() {
    withstands(Attack::Ramp);
}

#[test]
fn a_botnet_just_below_the_threshold_teaches_nothing() {
    withstands(Attack::Botnet);
}

#[test]
fn copycats_that_behave_for_days_teach_nothing_by_their_attack() {
    withstands(Attack::Copycats);
}

#[test]
fn volume_from_one_network_teaches_nothing() {
    withstands(Attack::Volume);
}

#[test]
fn two_hundred_lies_of_an_operator_cost_no_recall() {
    withstands(Attack::Lies);
}

#[test]
fn who_comes_at_night_alone_teaches_nothing() {
    withstands(Attack::Night);
}
