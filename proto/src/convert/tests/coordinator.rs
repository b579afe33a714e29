//! What a node tells a coordinator.

use smartfw_core::{
    Event, EventKind,
    fleet::{NodeId, SignedOrder, Version},
};

use super::{
    super::{
        Allowance, Question, Reply,
        coordinator::{Announced, Answer, FleetMember, Opening, Report, Statistics},
    },
    samples::{block, fleet_block, status},
    *,
};
use crate::view::Covers;

fn event(sequence: u64) -> Event {
    Event {
        sequence,
        time: Time::from_secs(9),
        kind: EventKind::Lift,
        address: Some("203.0.113.0/24".parse().unwrap()),
        class: Some(Class::SlowDos),
        body: "{}".into(),
    }
}

#[test]
fn what_a_node_tells_a_coordinator_survives_the_wire() {
    let (version, epoch, oldest, dropped) = ("0.1.0".into(), 7, 8, 9);
    survives!(NodeReport, Report::Opening(Opening { protocol: (1, 2), version, epoch, oldest, dropped }));
    for kind in EventKind::ALL {
        let event = Event { kind: *kind, ..event(u64::MAX) };
        let bare = Event { address: None, class: None, ..event.clone() };
        survives!(NodeReport, Report::Events(vec![event, bare]));
    }
    let statistics = Statistics {
        time: Time::from_secs(1),
        packets: 2,
        bytes: 3,
        lost: 4,
        flows: 5,
        sources: 6,
        alerts: 7,
        blocks: 8,
        dropped_packets: 9,
        dropped_bytes: 10,
        waiting: 11,
    };
    survives!(NodeReport, Report::Statistics(statistics));
    survives!(NodeReport, Report::Status(Box::new(status())));
    survives!(NodeReport, Report::Blocks(vec![block("203.0.113.7/32")], true));
    for refused in [None, Some("a canary".to_owned())] {
        survives!(NodeReport, Report::Outcome { id: [7; 16], refused });
    }
    for (order, site) in [(None, None), (Some(u128::MAX - 1), Some("east".to_owned()))] {
        survives!(NodeReport, Report::Allowed(vec![allowance(order, site)], false));
    }
}

fn allowance(order: Option<u128>, site: Option<String>) -> Allowance {
    Allowance { allowed: allowed(), order, site }
}

#[test]
fn questions_and_what_is_said_to_them_survive_the_wire() {
    let target: IpNet = "203.0.113.0/24".parse().unwrap();
    for question in [Question::Covers(target), Question::Check(target, true), Question::Block(target)] {
        survives!(CoordinatorAnswer, Answer::Question(u64::MAX, question));
    }
    let covers = vec![(NodeId([5; 32]), Version { epoch: 1, sequence: 2 })];
    let (orders, lasts) = (vec![u128::MAX - 1], Some(Duration::from_secs(60)));
    let covers = Covers { covers, orders, lasts, targets: vec![target], total: 1, more: true };
    survives!(NodeReport, Report::Reply(1, Reply::Covers(covers)));
    for refused in [None, Some((target, Refusal::TooWide { shortest: 16 }))] {
        survives!(NodeReport, Report::Reply(1, Reply::Check(refused)));
    }
    survives!(NodeReport, Report::Reply(1, Reply::Block(None)));
    survives!(NodeReport, Report::Reply(1, Reply::Block(Some(fleet_block()))));
}

#[test]
fn a_question_or_reply_without_anything_in_it_is_refused() {
    let nothing = wire::CheckTargetsRequest { targets: Vec::new(), force: true };
    for question in [None, Some(wire::question::Question::Check(nothing))] {
        assert!(<(u64, Question)>::try_from(wire::Question { number: 1, question }).is_err());
    }
    assert!(<(u64, Reply)>::try_from(wire::Reply { number: 1, reply: None }).is_err());
    let order = Some(vec![7; 15]);
    let wire = wire::Allowance { order, ..allowance(None, None).into() };
    assert!(Allowance::try_from(wire).is_err());
}

#[test]
fn what_a_coordinator_answers_survives_the_wire() {
    let kept = Version { epoch: 1, sequence: 2 };
    survives!(CoordinatorAnswer, Answer::Opening(1, None));
    survives!(CoordinatorAnswer, Answer::Opening(1, Some(kept)));
    survives!(CoordinatorAnswer, Answer::Kept(kept));
    let (bytes, certificate) = ([1, 2].as_slice().into(), [3].as_slice().into());
    survives!(
        CoordinatorAnswer,
        Answer::Order(SignedOrder { bytes, signature: [4; 64], certificate, lasts: None })
    );
    let member = FleetMember {
        id: NodeId([5; 32]),
        name: "web-1".into(),
        site: "east".into(),
        address: "192.0.2.1:7470".into(),
        state: "alive".into(),
    };
    let lasts = Duration::from_secs(60);
    survives!(AnnounceAnswer, Announced { lasts, members: vec![member], revocations: vec![vec![1]] });
}

#[test]
fn more_than_the_limits_allow_is_refused() {
    let refused = |report: Report| {
        let wire = match report {
            // What is sent is cut: a hostile sender does not.
            Report::Events(events) => wire::NodeReport {
                report: Some(wire::node_report::Report::Events(wire::EventBatch {
                    events: events.into_iter().map(Into::into).collect(),
                })),
            },
            other => other.into(),
        };
        Report::try_from(wire).is_err()
    };
    assert!(!refused(Report::Events((0..limits::EVENTS as u64).map(event).collect())));
    assert!(refused(Report::Events((0..=limits::EVENTS as u64).map(event).collect())));
    let body = |bytes| Report::Events(vec![Event { body: "x".repeat(bytes), ..event(1) }]);
    assert!(!refused(body(limits::EVENT)));
    assert!(refused(body(limits::EVENT + 1)));
    let many =
        wire::AnnounceAnswer { revocations: vec![vec![]; limits::REVOCATIONS + 1], ..Default::default() };
    assert!(Announced::try_from(many).is_err());
}
