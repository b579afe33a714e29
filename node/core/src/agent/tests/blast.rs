//! The bound of the blast.

use super::*;
use crate::policy::Veto;

#[test]
fn whoever_carries_others_is_reported_and_not_dropped() {
    let mut node = Node::with(|config| config.proxies.push(net("198.51.100.0/24")));
    let mut shared = verdict("192.0.2.1", Class::BruteForce, Some(Evidence::Handshake));
    shared.standing.shared = true;
    node.verdict(shared);
    let mut busy = verdict("192.0.2.2", Class::BruteForce, Some(Evidence::Handshake));
    busy.standing.flow_share = 201;
    node.verdict(busy);
    node.proven("198.51.100.7");
    node.forged("198.51.100.8");
    let notes: Vec<&str> = node.reports.iter().map(|alert| alert.note.as_str()).collect();
    assert_eq!(notes, [Veto::Shared, Veto::FlowShare, Veto::Proxy, Veto::Proxy].map(Veto::text));
    assert!(node.kernel.blocks.is_empty());
}

#[test]
fn too_many_blocks_of_a_class_fall_back_to_reporting_loudly() {
    let mut node = Node::with(|config| config.blast.blocks_per_minute = 5);
    for n in 1..=9 {
        node.proven(&alloc::format!("192.0.2.{n}"));
    }
    assert_eq!(node.kernel.blocks.len(), 5);
    assert_eq!(node.reports[5].note, Veto::TooMany.text());
    assert!(node.agent.health(node.now()).iter().any(|health| health.what == Veto::TooMany.text()));
    assert_eq!(node.forged("192.0.2.20"), Some(Action::Block), "another class has a bound of its own");
    node.pass(61);
    assert_eq!(node.proven("192.0.2.30"), Some(Action::Block), "a minute later it may again");
}

#[test]
fn too_many_blocks_of_connected_sources_fall_back_to_reporting() {
    let mut node = Node::with(|config| config.blast.established_per_minute = 2);
    for n in 1..=4 {
        let mut verdict = verdict(&alloc::format!("192.0.2.{n}"), Class::SlowDos, Some(Evidence::Handshake));
        verdict.standing.established = true;
        node.verdict(verdict);
    }
    assert_eq!(node.kernel.blocks.len(), 2);
    assert_eq!(node.reports[2].note, Veto::TooManyEstablished.text());
    assert_eq!(node.proven("192.0.2.9"), Some(Action::Block), "others are not affected");
}

#[test]
fn detection_makes_only_so_many_blocks_and_leaves_room_for_people() {
    let mut node = Node::with(|config| config.limits.automatic_blocks = 3);
    for n in 1..=5 {
        node.proven(&alloc::format!("192.0.2.{n}"));
    }
    assert_eq!(node.kernel.blocks.len(), 3);
    assert_eq!(node.reports[3].note, Veto::ListFull.text());
    assert!(node.block("192.0.2.100", false).is_ok());
}

#[test]
fn a_list_that_people_filled_takes_no_more_from_detection() {
    let mut node = Node::with(|config| config.limits.blocks = 2);
    node.block("203.0.113.1", false).unwrap();
    node.block("203.0.113.2", false).unwrap();
    assert_eq!(node.proven("192.0.2.1"), Some(Action::Report));
    assert_eq!(node.reports[0].note, Veto::ListFull.text());
    assert_eq!(node.agent.block_count(), 2);
}

#[test]
fn blocks_that_cut_off_everybody_are_withdrawn() {
    let mut node = Node::new();
    node.forged("203.0.113.50");
    for _ in 0..120 {
        node.agent.handle_handshakes(node.now(), 40);
        node.pass(1);
    }
    node.block("203.0.113.9", false).unwrap();
    for n in 1..=3 {
        node.judge(&alloc::format!("192.0.2.{n}"), Class::HttpFlood, Some(Evidence::Handshake));
    }
    for _ in 0..5 {
        node.pass(1);
        node.agent.handle_handshakes(node.now(), 1);
    }
    node.take();
    assert_eq!(
        node.kernel.blocks.keys().copied().collect::<Vec<_>>(),
        [net("203.0.113.9"), net("203.0.113.50")]
    );
    assert!(node.agent.health(node.now()).iter().any(|health| health.what == Veto::Collapse.text()));
    let action = node.judge("192.0.2.77", Class::HttpFlood, Some(Evidence::Handshake));
    assert_eq!(action, Some(Action::Report));
    node.proven("192.0.2.1");
    assert!(node.left("192.0.2.1").unwrap() <= 330, "what was withdrawn is no offence");
}

#[test]
fn after_the_clock_was_set_back_counting_begins_anew() {
    let mut node = Node::with(|config| config.blast.blocks_per_minute = 1);
    node.second = 1_000_000;
    node.proven("192.0.2.1");
    assert_eq!(node.proven("192.0.2.2"), Some(Action::Report), "as many as there may be");
    node.second = 0;
    assert_eq!(node.proven("192.0.2.3"), Some(Action::Block), "the minute of another time is over");
    let told = node.reports.len();
    for _ in 0..3 {
        node.pass(61);
        node.verdict(verdict("192.0.2.2", Class::BruteForce, None));
    }
    assert!(node.reports.len() >= told + 3, "an offence that goes on is told of again");
}
