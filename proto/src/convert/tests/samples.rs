//! One of each message, with no field at its default.

use std::time::Duration;

use smartfw_core::{
    Action, Alert, Block, BlockId, BlockState, Class, Detector, Evidence, Features, Health, HealthLevel,
    Origin, Outcome, Reason, Strength, Subject, Time, Withheld,
    fleet::NodeId,
    order::{Allowed, BlockOrder, EnforcementState, Mode},
    protect::{Protected, Why},
    record::{Incident, Offender},
};

use crate::view::{
    BlockRow, Coordinator, Explanation, FleetBlockRow, NodeStatus, Pending, TopFrame, TopSource,
};

pub(super) fn features() -> Features {
    Features::from_array(std::array::from_fn(|index| index as f32 + 0.5))
}

pub(super) fn block(target: &str) -> Block {
    Block {
        id: BlockId(u64::MAX),
        target: target.parse().unwrap(),
        class: Class::SlowDos,
        origin: Origin("web-1".into()),
        confidence: 0.5,
        strength: Strength::Soft,
        detector: Detector::Rules,
        evidence: None,
        reason: "why".into(),
        since: Time::from_secs(10),
        expires: Some(Time::from_secs(20)),
        level: 3,
    }
}

pub(super) fn fleet_block() -> FleetBlockRow {
    FleetBlockRow {
        target: "2001:db8::/48".parse().unwrap(),
        class: Class::BruteForce,
        origin: "web-1".into(),
        confirmed_by: vec!["web-2".into()],
        enforced_on: vec!["web-1".into()],
        since: Time::from_secs(1),
        expires: None,
        propagation: vec![("web-2".into(), Duration::from_millis(7))],
        withheld: Some(Withheld::Quota),
        origin_id: Some(NodeId([3; 32])),
    }
}

pub(super) fn row() -> BlockRow {
    let block = block("2001:db8::/64");
    BlockRow {
        block,
        packets: 7,
        bytes: 700,
        state: BlockState::InForce,
        forced: true,
        reverts: Some(Time::from_secs(3)),
    }
}

pub(super) fn alert(subject: Subject) -> Alert {
    Alert {
        id: BlockId(1),
        time: Time::from_secs(10),
        node: "web-1".into(),
        subject,
        class: Class::NetFlood,
        confidence: 1.0,
        detector: Detector::Flow,
        evidence: Some(Evidence::Spoofable),
        count: 12,
        reason: Reason { rule: "net_flood.syn".into(), measured: 500.0, limit: 400.0, text: "many".into() },
        features: features(),
        action: Action::RateLimit,
        note: "note".into(),
    }
}

pub(super) fn source() -> Subject {
    Subject::Source("203.0.113.7".parse().unwrap())
}

pub(super) fn pending() -> Pending {
    Pending {
        id: BlockId(2),
        since: Time::from_secs(1),
        until: Time::from_secs(2),
        target: "203.0.113.0/24".parse().unwrap(),
        class: Class::BruteForce,
        confidence: 0.25,
        strength: Strength::Hard,
        detector: Detector::External,
        evidence: Some(Evidence::Handshake),
        reason: "12 failures".into(),
    }
}

pub(super) fn allowed() -> Allowed {
    let target = "10.0.0.0/8".parse().unwrap();
    Allowed { target, since: Time::from_secs(1), expires: None, comment: "office".into() }
}

pub(super) fn protected(why: Why) -> Protected {
    Protected { net: "10.0.0.1/32".parse().unwrap(), why, detail: "eth0".into() }
}

pub(super) fn order(target: &str) -> BlockOrder {
    let (target, duration) = (target.parse().unwrap(), Some(Duration::from_secs(3600)));
    BlockOrder { target, duration, reason: "asked".into(), class: Class::WebAttack, force: true }
}

pub(super) fn explanation() -> Explanation {
    Explanation {
        address: "2001:db8::7".parse().unwrap(),
        now: Time::from_secs(100),
        node: "web-1".into(),
        enforcement: EnforcementState::Panic,
        mode: Mode::Manual,
        blocks: vec![row()],
        pending: vec![pending()],
        protected: vec![protected(Why::Gateway)],
        allowed: vec![allowed()],
        alerts: vec![alert(source())],
        window: Some(features()),
        offenders: vec![offender()],
        held_back: None,
        outcome: Outcome::Suspended,
        next: Duration::from_secs(300),
        remedies: vec!["smartfw-cli enable".into()],
    }
}

pub(super) fn offender() -> Offender {
    let (class, detector, action) = (Class::PortScan, Detector::Rules, Action::Block);
    let evidence = Some(Evidence::Handshake);
    let incident = Incident { at: Time::from_secs(5), class, detector, evidence, action, text: "why".into() };
    let (target, until) = ("2001:db8::/64".parse().unwrap(), Time::from_secs(9));
    Offender { target, level: 2, until, timeline: [incident].into() }
}

pub(super) fn status() -> NodeStatus {
    NodeStatus {
        node: "web-1".into(),
        version: "0.1.0".into(),
        enforcement: EnforcementState::On,
        mode: Mode::Auto,
        enforcer: "iptables".into(),
        interfaces: vec!["eth0".into(), "eth1".into()],
        uptime: Duration::from_secs(9),
        packets: 1,
        lost: 2,
        sources: 3,
        blocked: 4,
        alerts: 5,
        pending: 6,
        cluster: Some("prod".into()),
        peers_alive: 7,
        peers_known: 8,
        coordinator: Coordinator::Away,
        models: vec!["forest".into()],
        health: vec![Health { level: HealthLevel::Error, what: "what".into(), remedy: "do".into() }],
        reverts: Some(Time::from_secs(1)),
    }
}

pub(super) fn frame() -> TopFrame {
    let address = "203.0.113.7".parse().unwrap();
    TopFrame {
        time: Time::from_secs(1),
        packets_per_second: 1.5,
        bits_per_second: 2.5,
        lost_per_second: 0.0,
        dropped_per_second: 3.5,
        sources: 1,
        connections: 2,
        blocked: 3,
        alerts: 4,
        top: vec![TopSource { address, features: features(), blocked: Some(Strength::Hard) }],
        recent_blocks: vec![row()],
        recent_alerts: vec![alert(source())],
    }
}
