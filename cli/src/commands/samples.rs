//! What tests show.

use smartfw_core::{
    Action, Alert, Block, BlockId, BlockState, Class, Detector, Evidence, Features, Origin, Outcome, Reason,
    Strength, Subject, Time,
    order::{EnforcementState, Mode},
};
use smartfw_proto::view::{BlockRow, Explanation};
use std::time::Duration;

pub(super) const NOW: Time = Time::from_secs(1_769_860_800); // 2026-01-31T12:00:00Z

pub(super) fn alert() -> Alert {
    Alert {
        id: BlockId(0xab),
        time: Time::from_secs(NOW.as_secs() - 60),
        node: "web-1".into(),
        subject: Subject::Source("203.0.113.7".parse().unwrap()),
        class: Class::PortScan,
        confidence: 0.97,
        detector: Detector::Rules,
        evidence: Some(Evidence::Handshake),
        count: 3,
        reason: Reason {
            rule: "port_scan.ports".into(),
            measured: 312.0,
            limit: 15.0,
            text: "312 ports in 4.1 s".into(),
        },
        features: Features { distinct_ports: 312.0, packets_per_second: 76.1, ..Features::default() },
        action: Action::Block,
        note: String::new(),
    }
}

pub(super) fn row() -> BlockRow {
    let block = Block {
        id: BlockId(0xab),
        target: "203.0.113.7/32".parse().unwrap(),
        class: Class::PortScan,
        origin: Origin("web-1".into()),
        confidence: 0.97,
        strength: Strength::Hard,
        detector: Detector::Rules,
        evidence: Some(Evidence::Handshake),
        reason: "312 ports in 4.1 s".into(),
        since: Time::from_secs(NOW.as_secs() - 60),
        expires: Some(Time::from_secs(NOW.as_secs() + 240)),
        level: 1,
    };
    BlockRow { block, packets: 1234, bytes: 60_000, state: BlockState::InForce, forced: false, reverts: None }
}

pub(super) fn explanation() -> Explanation {
    Explanation {
        address: "203.0.113.7".parse().unwrap(),
        now: NOW,
        node: "web-1".into(),
        enforcement: EnforcementState::On,
        mode: Mode::Auto,
        blocks: vec![row()],
        pending: vec![],
        protected: vec![],
        allowed: vec![],
        alerts: vec![alert()],
        window: None,
        offenders: vec![],
        held_back: None,
        outcome: Outcome::Dropped,
        next: Duration::from_secs(3600),
        remedies: vec![
            "smartfw-cli unblock 203.0.113.7/32".into(),
            "smartfw-cli allow add 203.0.113.7".into(),
        ],
    }
}
