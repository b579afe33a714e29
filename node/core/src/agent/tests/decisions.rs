//! What follows from a verdict.

use super::*;
use crate::{
    config::PolicyLimits,
    order::Mode,
    policy::Veto,
    verdict::{Protocol, Service},
};

const DAY: u64 = 24 * 3600;

#[test]
fn a_proven_offender_is_dropped_hard_for_five_minutes() {
    let mut node = Node::new();
    assert_eq!(node.proven("192.0.2.1"), Some(Action::Block));
    assert_eq!(node.dropped("192.0.2.1"), Some(Strength::Hard));
    assert!((300..=330).contains(&node.left("192.0.2.1").unwrap()));
    assert!(node.log.contains(&Effect::Destroy(net("192.0.2.1"))));
    assert!(node.log.contains(&Effect::Forget(net("192.0.2.1"), Some(Strength::Hard))));
    node.pass(299);
    assert_eq!(node.dropped("192.0.2.1"), Some(Strength::Hard));
    node.pass(31);
    assert_eq!(node.dropped("192.0.2.1"), None);
    assert_eq!(
        node.log.last(),
        node.log.iter().rfind(|e| matches!(e, Effect::Persist(..) | Effect::Report(_)))
    );
    assert!(node.log.contains(&Effect::Forget(net("192.0.2.1"), None)), "its windows start anew");
}

#[test]
fn who_comes_back_is_dropped_for_longer() {
    let mut node = Node::new();
    for (level, least) in [(1, 300), (2, 3600), (3, DAY), (4, 7 * DAY), (5, 7 * DAY)] {
        assert_eq!(node.proven("192.0.2.1"), Some(Action::Block));
        let left = node.left("192.0.2.1").unwrap();
        assert!((least..=least * 11 / 10).contains(&left), "level {level}: {left} s");
        assert_eq!(node.agent.blocks().next().unwrap().block.level, level);
        node.pass(left + 1);
    }
}

#[test]
fn a_source_behind_a_hard_block_raises_nothing() {
    let mut node = Node::new();
    node.proven("192.0.2.1");
    let (reports, records) = (node.reports.len(), node.log.len());
    for _ in 0..100 {
        node.pass(2);
        assert_eq!(node.proven("192.0.2.1"), None);
        assert_eq!(node.judge("192.0.2.1", Class::SlowDos, Some(Evidence::Handshake)), None);
    }
    assert_eq!((node.reports.len(), node.log.len()), (reports, records));
    assert_eq!(node.agent.blocks().next().unwrap().block.level, 1);
    assert_eq!(node.agent.counters().suppressed, 200);
}

#[test]
fn a_level_is_forgotten_thirty_days_after_the_last_block() {
    let mut node = Node::new();
    node.proven("192.0.2.1");
    let left = node.left("192.0.2.1").unwrap();
    node.pass(left + 30 * DAY - 10);
    node.proven("192.0.2.1");
    assert!(node.left("192.0.2.1").unwrap() >= 3600, "remembered to the last day");
    let left = node.left("192.0.2.1").unwrap();
    node.pass(left + 30 * DAY + 10);
    node.proven("192.0.2.1");
    assert!(node.left("192.0.2.1").unwrap() <= 330, "and forgotten after");
}

#[test]
fn forged_packets_limit_softly_and_never_for_longer() {
    let mut node = Node::new();
    for _ in 0..10 {
        node.forged("192.0.2.1");
        assert_eq!(node.dropped("192.0.2.1"), Some(Strength::Soft));
        assert_eq!(node.left("192.0.2.1"), Some(300));
        assert_eq!(node.agent.blocks().next().unwrap().block.level, 1);
        node.pass(301);
        assert_eq!(node.dropped("192.0.2.1"), None);
    }
    assert!(!node.log.iter().any(|effect| matches!(effect, Effect::Destroy(_))), "connections stay");
}

#[test]
fn a_rule_and_the_forest_tell_one_episode_and_the_stronger_evidence_decides() {
    let mut node = Node::new();
    let (source, class) = ("192.0.2.1", Class::BruteForce);
    assert_eq!(node.judge(source, class, Some(Evidence::Spoofable)), Some(Action::Block));
    assert_eq!(node.dropped(source), Some(Strength::Soft));
    let forest = Verdict { detector: Detector::Forest, ..verdict(source, class, Some(Evidence::Handshake)) };
    node.verdict(Verdict { at: node.now(), ..forest });
    assert_eq!(node.dropped(source), Some(Strength::Hard));
    let told: Vec<_> = node.reports.iter().map(|alert| (alert.id, alert.count, alert.detector)).collect();
    let id = node.reports[0].id;
    assert_eq!(told, [(id, 1, Detector::Rules), (id, 2, Detector::Forest)]);
}

#[test]
fn an_anomaly_is_reported_and_never_blocks() {
    let mut node = Node::new();
    for evidence in [None, Some(Evidence::Spoofable), Some(Evidence::Handshake)] {
        let odd = verdict("192.0.2.1", Class::Anomaly, evidence);
        node.verdict(Verdict { at: node.now(), detector: Detector::Isolation, ..odd });
        let told = node.reports.last().unwrap();
        assert_eq!((told.action, told.note.as_str()), (Action::Report, Veto::Isolation.text()));
        assert_eq!(node.agent.blocks().count(), 0);
    }
    assert_eq!(node.agent.counters().refused.get(&Veto::Isolation), Some(&3));
}

#[test]
fn a_soft_block_is_renewed_while_the_offence_goes_on() {
    let mut node = Node::new();
    node.forged("192.0.2.1");
    for _ in 0..60 {
        node.pass(10);
        node.forged("192.0.2.1");
        assert!(node.left("192.0.2.1").unwrap() >= 240);
    }
    let changes = node.log.iter().filter(|effect| matches!(effect, Effect::Enforce(_))).count();
    assert!(changes <= 11, "one change a minute at most: {changes}");
    let told = node.log.iter().filter(|effect| matches!(effect, Effect::Forget(..))).count();
    assert_eq!(told, 1, "the sensor is told once: a renewal changes nothing for it");
}

#[test]
fn a_soft_block_becomes_hard_once_there_is_proof() {
    let mut node = Node::new();
    node.forged("192.0.2.1");
    assert_eq!(node.proven("192.0.2.1"), Some(Action::Block));
    assert_eq!(node.dropped("192.0.2.1"), Some(Strength::Hard));
    assert!(node.log.contains(&Effect::Destroy(net("192.0.2.1"))));
    let evidence = node.reports.iter().map(|alert| alert.evidence).collect::<Vec<_>>();
    assert_eq!(
        evidence,
        [Some(Evidence::Spoofable), Some(Evidence::Handshake)],
        "what it was proven by is told"
    );
}

#[test]
fn a_known_client_is_not_hurt_by_packets_in_its_name() {
    let mut node = Node::new();
    let mut forged = verdict("192.0.2.1", Class::NetFlood, Some(Evidence::Spoofable));
    forged.standing.known = true;
    node.verdict(forged);
    assert_eq!(node.dropped("192.0.2.1"), None);
    assert_eq!(node.reports[0].action, Action::Report);
    assert_eq!(node.reports[0].note, Veto::Known.text());
    assert_eq!(node.agent.counters().refused[&Veto::Known], 1);
}

#[test]
fn a_flood_of_forged_sources_blocks_nobody_and_protects_the_service() {
    for (protocol, protects) in [(Protocol::Tcp, 1), (Protocol::Udp, 0)] {
        let mut node = Node::new();
        let service = Service { address: "10.0.0.5".parse().unwrap(), port: 80, protocol };
        let mut flood = verdict("192.0.2.1", Class::NetFlood, None);
        for sources_seen in 1000..1010 {
            flood.subject = Subject::Destination { service, sources_seen };
            node.verdict(flood.clone());
        }
        assert_eq!(node.reports.len(), 1, "one episode, however many sources");
        assert_eq!(node.reports[0].action, Action::Report);
        assert!(node.kernel.blocks.is_empty());
        let protect = Effect::ProtectService(service);
        assert_eq!(node.log.iter().filter(|effect| **effect == protect).count(), protects);
    }
}

#[test]
fn an_episode_brings_one_alert_and_an_update_a_minute() {
    let mut node = Node::new();
    for _ in 0..1200 {
        node.judge("192.0.2.1", Class::Anomaly, None);
        node.pass(1);
    }
    let first = &node.reports[0];
    assert!(node.reports.iter().all(|alert| alert.id == first.id));
    assert_eq!(node.reports.len(), 20);
    assert_eq!(node.reports.last().map(|alert| alert.count), Some(1141));
    node.pass(301);
    assert_eq!(node.reports.len(), 21, "what was not told yet is told at the end");
    assert_eq!(node.reports.last().map(|alert| alert.count), Some(1200));
    node.judge("192.0.2.1", Class::Anomaly, None);
    assert_ne!(node.reports.last().map(|alert| alert.id), Some(node.reports[0].id), "a new episode");
    assert_eq!(node.agent.counters().alerts, 2);
}

#[test]
fn an_answer_that_does_more_is_told_at_once() {
    let mut node = Node::new();
    assert_eq!(node.judge("192.0.2.1", Class::BruteForce, None), Some(Action::Report));
    assert_eq!(node.judge("192.0.2.1", Class::BruteForce, None), None);
    assert_eq!(node.proven("192.0.2.1"), Some(Action::Block));
    assert_eq!(node.reports[0].id, node.reports[1].id);
}

#[test]
fn of_too_many_episodes_the_longest_silent_is_forgotten() {
    let mut node = Node::with(|config| {
        config.limits = PolicyLimits { offenders: 2, ..PolicyLimits::default() };
    });
    for source in ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.3", "192.0.2.2", "192.0.2.1"] {
        node.judge(source, Class::Anomaly, None);
        node.pass(1);
    }
    assert_eq!(node.reports.len(), 4);
    assert_eq!((node.agent.episodes.len(), node.agent.offenders.len()), (2, 2));
    assert!(node.agent.health(node.now()).iter().any(|health| health.what.contains("episodes")));
}

#[test]
fn forged_sources_cannot_push_out_the_memory_of_a_proven_one() {
    let mut node = Node::with(|config| config.limits.offenders = 10);
    node.proven("192.0.2.1");
    for n in 0..100 {
        node.judge(&alloc::format!("198.51.100.{n}"), Class::Anomaly, None);
    }
    node.pass(400);
    node.proven("192.0.2.1");
    assert!(node.left("192.0.2.1").unwrap() >= 3600);
}

#[test]
fn a_mapped_address_is_the_ipv4_address() {
    let mut node = Node::new();
    node.proven("::ffff:192.0.2.1");
    assert_eq!(node.dropped("192.0.2.1"), Some(Strength::Hard));
    assert_eq!(node.reports[0].subject, Subject::Source("192.0.2.1".parse().unwrap()));
}

#[test]
fn three_offending_addresses_of_a_64_are_dropped_as_one() {
    let mut node = Node::new();
    for source in ["2001:db8::1", "2001:db8::2", "2001:db8::3"] {
        node.proven(source);
    }
    assert_eq!(node.dropped("2001:db8::/64"), Some(Strength::Hard));
    assert_eq!(node.proven("2001:db8::4"), None, "its neighbours are behind the same block");
    node.forged("2001:db8:1::1");
    node.forged("2001:db8:1::2");
    node.forged("2001:db8:1::3");
    assert_eq!(node.dropped("2001:db8:1::/64"), Some(Strength::Soft));
}

#[test]
fn forged_neighbours_do_not_drop_the_64_of_somebody_who_is_known() {
    let mut node = Node::new();
    let near = |source: &str, evidence| {
        let standing = Standing { network_known: true, ..Standing::default() };
        Verdict { standing, ..verdict(source, Class::PortScan, Some(evidence)) }
    };
    for source in ["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4"] {
        node.verdict(near(source, Evidence::Spoofable));
        assert_eq!(node.dropped(source), Some(Strength::Soft), "each by itself");
    }
    assert_eq!(node.dropped("2001:db8::/64"), None);
    for source in ["2001:db8::1", "2001:db8::2", "2001:db8::3"] {
        node.verdict(near(source, Evidence::Handshake));
    }
    assert_eq!(
        node.dropped("2001:db8::/64"),
        Some(Strength::Hard),
        "three proven ones are enough all the same"
    );
}

#[test]
fn the_soft_block_of_a_64_ends_when_somebody_in_it_became_known() {
    let mut node = Node::new();
    for source in ["2001:db8::1", "2001:db8::2", "2001:db8::3"] {
        node.forged(source);
    }
    node.pass(200);
    let standing = Standing { network_known: true, ..Standing::default() };
    let at = node.now();
    let forged = verdict("2001:db8::3", Class::PortScan, Some(Evidence::Spoofable));
    node.verdict(Verdict { at, standing, ..forged });
    assert_eq!(node.left("2001:db8::/64"), Some(100), "it is not renewed");
    assert_eq!(node.left("2001:db8::3"), Some(300), "who offends is blocked by itself");
    node.pass(100);
    assert_eq!(node.dropped("2001:db8::/64"), None);
}

#[test]
fn a_64_with_a_protected_address_is_never_dropped_as_one() {
    let mut node = Node::new();
    node.protect(&[("2001:db8::99", Why::Own)]);
    for n in 1..10 {
        assert_eq!(node.proven(&alloc::format!("2001:db8::{n}")), Some(Action::Block));
        assert_eq!(node.dropped(&alloc::format!("2001:db8::{n}")), Some(Strength::Hard));
    }
    assert_eq!(node.dropped("2001:db8::/64"), None);
}

#[test]
fn in_manual_mode_a_person_decides() {
    let mut node = Node::with(|config| config.mode = Mode::Manual);
    assert_eq!(node.proven("192.0.2.1"), Some(Action::Pending));
    node.proven("192.0.2.1");
    assert!(node.kernel.blocks.is_empty());
    let waiting: Vec<_> = node.agent.pending().cloned().collect();
    assert_eq!(waiting.len(), 1);
    node.pass(600);
    let Ok(Done::Approved(blocks)) = node.order(Order::Approve(Some(waiting[0].id))) else {
        panic!("approved")
    };
    assert_eq!(blocks[0].since, node.now());
    assert_eq!(node.dropped("192.0.2.1"), Some(Strength::Hard));
    assert!((300..=330).contains(&node.left("192.0.2.1").unwrap()), "as if decided now");
    assert_eq!(node.agent.pending().count(), 0);
    assert_eq!(node.reports.last().map(|alert| alert.action), Some(Action::Block));
    assert_eq!(node.order(Order::Approve(Some(waiting[0].id))), Err(Refusal::NotFound));
}

#[test]
fn a_rejected_decision_is_a_lesson_and_does_not_come_back_at_once() {
    let mut node = Node::with(|config| config.mode = Mode::Manual);
    node.proven("192.0.2.1");
    let id = node.agent.pending().next().unwrap().id;
    assert_eq!(node.order(Order::Reject(id)), Ok(Done::Rejected));
    assert_eq!(node.agent.lessons().map(|lesson| lesson.class).collect::<Vec<_>>(), [Class::BruteForce]);
    node.proven("192.0.2.1");
    assert_eq!(node.agent.pending().count(), 0);
    node.pass(601);
    assert_eq!(node.proven("192.0.2.1"), Some(Action::Pending));
}

#[test]
fn each_waiting_decision_has_an_id_of_its_own() {
    let mut node = Node::with(|config| config.mode = Mode::Manual);
    node.judge("2001:db8::1", Class::BruteForce, Some(Evidence::Spoofable));
    for host in [2, 3, 1] {
        node.proven(&alloc::format!("2001:db8::{host}"));
    }
    let ids: alloc::collections::BTreeSet<_> = node.agent.pending().map(|pending| pending.id).collect();
    assert_eq!(node.agent.pending().count(), 4, "three addresses and their network");
    assert_eq!(ids.len(), 4);
}

#[test]
fn who_is_unblocked_while_the_decision_waits_is_left_in_peace() {
    let mut node = Node::with(|config| config.mode = Mode::Manual);
    node.proven("192.0.2.1");
    assert_eq!(node.unblock("192.0.2.1"), Ok(Done::Unblocked(Vec::new())));
    assert_eq!((node.agent.pending().count(), node.agent.lessons().count()), (0, 0));
    assert_ne!(node.proven("192.0.2.1"), Some(Action::Pending), "it is held back");
    assert_eq!(node.unblock("192.0.2.1"), Err(Refusal::NotFound));
}

#[test]
fn the_queue_is_bounded_and_says_so() {
    let mut node = Node::with(|config| {
        config.mode = Mode::Manual;
        config.limits.pending = 3;
    });
    for n in 1..=4 {
        node.proven(&alloc::format!("192.0.2.{n}"));
    }
    assert_eq!(node.agent.pending().count(), 3);
    assert_eq!(node.reports[3].action, Action::Report);
    assert_eq!(node.reports[3].note, Veto::QueueFull.text());
    assert!(node.agent.health(node.now()).iter().any(|health| health.what == Veto::QueueFull.text()));
    assert_eq!(
        node.order(Order::Approve(None)).map(|done| matches!(done, Done::Approved(b) if b.len() == 3)),
        Ok(true)
    );
}

#[test]
fn a_decision_that_waited_for_a_day_is_dropped() {
    let mut node = Node::with(|config| config.mode = Mode::Manual);
    node.proven("192.0.2.1");
    node.pass(DAY - 1);
    assert_eq!(node.agent.pending().count(), 1);
    node.pass(1);
    assert_eq!(node.agent.pending().count(), 0);
}

#[test]
fn what_became_protected_meanwhile_is_not_approved() {
    let mut node = Node::with(|config| config.mode = Mode::Manual);
    node.proven("192.0.2.1");
    node.protect(&[("192.0.2.1", Why::SshSession)]);
    let id = node.agent.pending().next().unwrap().id;
    assert!(matches!(node.order(Order::Approve(Some(id))), Err(Refusal::Protected { .. })));
    assert_eq!(node.order(Order::Approve(None)), Ok(Done::Approved(Vec::new())));
    assert!(node.kernel.blocks.is_empty());
}
