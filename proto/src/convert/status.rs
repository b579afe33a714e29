//! How a node is, what it knows of an address, and its live view.

use std::time::Duration;

use smartfw_core::{Alert, Features, Health, Time};

use super::{
    ConvertError, Problem,
    scalar::{
        Result, address, address_bytes, clip, clip_finite, clipped, clipped_names, finite, list, name, names,
        nanos, optional_name, required, text, times,
    },
};
use crate::{
    limits,
    view::{AlertEvent, Coordinator, Explanation, NodeStatus, TopFrame, TopSource},
    wire,
};

impl From<NodeStatus> for wire::NodeStatus {
    fn from(status: NodeStatus) -> Self {
        Self {
            node: clip(limits::NAME, status.node),
            version: clip(limits::NAME, status.version),
            enforcement: wire::EnforcementState::from(status.enforcement).into(),
            mode: wire::Mode::from(status.mode).into(),
            enforcer: clip(limits::NAME, status.enforcer),
            interfaces: clipped_names(status.interfaces),
            uptime: nanos(status.uptime),
            packets: status.packets,
            lost: status.lost,
            sources: status.sources,
            blocked: status.blocked,
            alerts: status.alerts,
            pending: status.pending,
            cluster: status.cluster.map(|cluster| clip(limits::NAME, cluster)),
            peers_alive: status.peers_alive,
            peers_known: status.peers_known,
            coordinator: wire::Coordinator::from(status.coordinator).into(),
            models: clipped_names(status.models),
            health: clipped(limits::LISTED, status.health),
            reverts: status.reverts.map(Time::as_nanos),
        }
    }
}

impl TryFrom<wire::NodeStatus> for NodeStatus {
    type Error = ConvertError;
    fn try_from(status: wire::NodeStatus) -> Result<Self> {
        Ok(Self {
            node: text("status.node", limits::NAME, status.node)?,
            version: text("status.version", limits::NAME, status.version)?,
            enforcement: name("status.enforcement", status.enforcement)?,
            mode: name("status.mode", status.mode)?,
            enforcer: text("status.enforcer", limits::NAME, status.enforcer)?,
            interfaces: names("status.interfaces", status.interfaces)?,
            uptime: Duration::from_nanos(status.uptime),
            packets: status.packets,
            lost: status.lost,
            sources: status.sources,
            blocked: status.blocked,
            alerts: status.alerts,
            pending: status.pending,
            cluster: status.cluster.map(|name| text("status.cluster", limits::NAME, name)).transpose()?,
            peers_alive: status.peers_alive,
            peers_known: status.peers_known,
            coordinator: coordinator(status.coordinator)?,
            models: names("status.models", status.models)?,
            health: list("status.health", limits::LISTED, status.health)?,
            reverts: times(status.reverts),
        })
    }
}

fn coordinator(value: i32) -> Result<Coordinator> {
    match wire::Coordinator::try_from(value) {
        Ok(wire::Coordinator::Unspecified) => Ok(Coordinator::None),
        Ok(wire::Coordinator::Connected) => Ok(Coordinator::Connected),
        Ok(wire::Coordinator::Away) => Ok(Coordinator::Away),
        Err(_) => Err(ConvertError::new("status.coordinator", Problem::Unknown(value.into()))),
    }
}

impl From<Health> for wire::Health {
    fn from(Health { level, what, remedy }: Health) -> Self {
        let (what, remedy) = (clip(limits::TEXT, what), clip(limits::TEXT, remedy));
        Self { level: wire::HealthLevel::from(level).into(), what, remedy }
    }
}

impl TryFrom<wire::Health> for Health {
    type Error = ConvertError;
    fn try_from(wire::Health { level, what, remedy }: wire::Health) -> Result<Self> {
        let what = text("health.what", limits::TEXT, what)?;
        let remedy = text("health.remedy", limits::TEXT, remedy)?;
        Ok(Self { level: name("health.level", level)?, what, remedy })
    }
}

impl From<Explanation> for wire::Explanation {
    fn from(explanation: Explanation) -> Self {
        let Explanation {
            address,
            now,
            node,
            enforcement,
            mode,
            blocks,
            pending,
            protected,
            allowed,
            mut alerts,
            window,
            offenders,
            held_back,
            outcome,
            next,
            remedies,
        } = explanation;
        alerts.drain(..alerts.len().saturating_sub(limits::EXPLAINED)); // the newest are the ones that count
        Self {
            address: address_bytes(address),
            now: now.as_nanos(),
            node: clip(limits::NAME, node),
            enforcement: wire::EnforcementState::from(enforcement).into(),
            mode: wire::Mode::from(mode).into(),
            blocks: clipped(limits::EXPLAINED, blocks),
            pending: clipped(limits::EXPLAINED, pending),
            protected: clipped(limits::EXPLAINED, protected),
            allowed: clipped(limits::EXPLAINED, allowed),
            alerts: clipped(limits::EXPLAINED, alerts),
            window: window.map(Into::into),
            offenders: clipped(limits::OFFENDERS, offenders),
            held_back: held_back.map(Time::as_nanos),
            outcome: wire::Outcome::from(outcome).into(),
            next: nanos(next),
            remedies: clipped_names(remedies),
        }
    }
}

impl TryFrom<wire::Explanation> for Explanation {
    type Error = ConvertError;
    fn try_from(explanation: wire::Explanation) -> Result<Self> {
        Ok(Self {
            address: address("explanation.address", &explanation.address)?,
            now: Time::from_nanos(explanation.now),
            node: text("explanation.node", limits::NAME, explanation.node)?,
            enforcement: name("explanation.enforcement", explanation.enforcement)?,
            mode: name("explanation.mode", explanation.mode)?,
            blocks: list("explanation.blocks", limits::EXPLAINED, explanation.blocks)?,
            pending: list("explanation.pending", limits::EXPLAINED, explanation.pending)?,
            protected: list("explanation.protected", limits::EXPLAINED, explanation.protected)?,
            allowed: list("explanation.allowed", limits::EXPLAINED, explanation.allowed)?,
            alerts: list("explanation.alerts", limits::EXPLAINED, explanation.alerts)?,
            window: explanation.window.map(Features::try_from).transpose()?,
            offenders: list("explanation.offenders", limits::OFFENDERS, explanation.offenders)?,
            held_back: times(explanation.held_back),
            outcome: name("explanation.outcome", explanation.outcome)?,
            next: Duration::from_nanos(explanation.next),
            remedies: names("explanation.remedies", explanation.remedies)?,
        })
    }
}

impl From<AlertEvent> for wire::AlertEvent {
    fn from(event: AlertEvent) -> Self {
        let event = match event {
            AlertEvent::Alert(alert) => wire::alert_event::Event::Alert(alert.into()),
            AlertEvent::Missed(count) => wire::alert_event::Event::Missed(count),
        };
        Self { event: Some(event) }
    }
}

impl TryFrom<wire::AlertEvent> for AlertEvent {
    type Error = ConvertError;
    fn try_from(event: wire::AlertEvent) -> Result<Self> {
        Ok(match required("event", event.event)? {
            wire::alert_event::Event::Alert(alert) => Self::Alert(Alert::try_from(alert)?),
            wire::alert_event::Event::Missed(count) => Self::Missed(count),
        })
    }
}

impl From<TopFrame> for wire::TopFrame {
    fn from(frame: TopFrame) -> Self {
        Self {
            time: frame.time.as_nanos(),
            packets_per_second: clip_finite(frame.packets_per_second),
            bits_per_second: clip_finite(frame.bits_per_second),
            lost_per_second: clip_finite(frame.lost_per_second),
            dropped_per_second: clip_finite(frame.dropped_per_second),
            sources: frame.sources,
            connections: frame.connections,
            blocked: frame.blocked,
            alerts: frame.alerts,
            top: clipped(limits::TOP, frame.top),
            recent_blocks: clipped(limits::TOP, frame.recent_blocks),
            recent_alerts: clipped(limits::TOP, frame.recent_alerts),
        }
    }
}

impl TryFrom<wire::TopFrame> for TopFrame {
    type Error = ConvertError;
    fn try_from(frame: wire::TopFrame) -> Result<Self> {
        Ok(Self {
            time: Time::from_nanos(frame.time),
            packets_per_second: finite("top.packets_per_second", frame.packets_per_second)?,
            bits_per_second: finite("top.bits_per_second", frame.bits_per_second)?,
            lost_per_second: finite("top.lost_per_second", frame.lost_per_second)?,
            dropped_per_second: finite("top.dropped_per_second", frame.dropped_per_second)?,
            sources: frame.sources,
            connections: frame.connections,
            blocked: frame.blocked,
            alerts: frame.alerts,
            top: list("top.top", limits::TOP, frame.top)?,
            recent_blocks: list("top.recent_blocks", limits::TOP, frame.recent_blocks)?,
            recent_alerts: list("top.recent_alerts", limits::TOP, frame.recent_alerts)?,
        })
    }
}

impl From<TopSource> for wire::TopSource {
    fn from(TopSource { address, features, blocked }: TopSource) -> Self {
        let blocked = blocked.map_or(wire::Strength::Unspecified, Into::into).into();
        Self { address: address_bytes(address), features: Some(features.into()), blocked }
    }
}

impl TryFrom<wire::TopSource> for TopSource {
    type Error = ConvertError;
    fn try_from(source: wire::TopSource) -> Result<Self> {
        Ok(Self {
            address: address("top.address", &source.address)?,
            features: required("top.features", source.features)?.try_into()?,
            blocked: optional_name("top.blocked", source.blocked)?,
        })
    }
}
