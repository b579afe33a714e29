//! Blocks, alerts, pending decisions, protected and allowed entries.

use smartfw_core::{
    Alert, Block, BlockId, BlockState, Features, Origin, Reason, Service, Subject, Time,
    order::Allowed,
    protect::Protected,
    record::{Incident, Offender},
};

use super::{
    ConvertError,
    scalar::{
        Result, address, address_bytes, clip, clip_finite, clip_share, clipped, finite, list, name,
        optional_name, required, share, small, target, text, times,
    },
};
use crate::{
    limits,
    view::{BlockRow, Pending},
    wire,
};

fn evidence_to_wire(evidence: Option<smartfw_core::Evidence>) -> i32 {
    evidence.map_or(wire::Evidence::Unspecified, Into::into).into()
}

impl From<Block> for wire::Block {
    fn from(block: Block) -> Self {
        let Block {
            id,
            target,
            class,
            origin,
            confidence,
            strength,
            detector,
            evidence,
            reason,
            since,
            expires,
            level,
        } = block;
        Self {
            id: id.0,
            target: Some(target.into()),
            class: wire::Class::from(class).into(),
            origin: clip(limits::NAME, origin.0),
            confidence: clip_share(confidence),
            strength: wire::Strength::from(strength).into(),
            detector: wire::Detector::from(detector).into(),
            evidence: evidence_to_wire(evidence),
            reason: clip(limits::TEXT, reason),
            since: since.as_nanos(),
            expires: expires.map(Time::as_nanos),
            level: level.into(),
        }
    }
}

impl TryFrom<wire::Block> for Block {
    type Error = ConvertError;
    fn try_from(block: wire::Block) -> Result<Self> {
        Ok(Self {
            id: BlockId(block.id),
            target: target("block.target", block.target)?,
            class: name("block.class", block.class)?,
            origin: Origin(text("block.origin", limits::NAME, block.origin)?),
            confidence: share("block.confidence", block.confidence)?,
            strength: name("block.strength", block.strength)?,
            detector: name("block.detector", block.detector)?,
            evidence: optional_name("block.evidence", block.evidence)?,
            reason: text("block.reason", limits::TEXT, block.reason)?,
            since: Time::from_nanos(block.since),
            expires: times(block.expires),
            level: small("block.level", block.level)?,
        })
    }
}

impl From<BlockRow> for wire::BlockRow {
    fn from(BlockRow { block, packets, bytes, state, forced, reverts }: BlockRow) -> Self {
        let reverts = reverts.map(Time::as_nanos);
        Self { block: Some(block.into()), packets, bytes, state: Some(state.into()), forced, reverts }
    }
}

impl TryFrom<wire::BlockRow> for BlockRow {
    type Error = ConvertError;
    fn try_from(row: wire::BlockRow) -> Result<Self> {
        let wire::BlockRow { block, packets, bytes, state, forced, reverts } = row;
        let block = required("row.block", block)?.try_into()?;
        let state = required("row.state", state)?.try_into()?;
        Ok(Self { block, packets, bytes, state, forced, reverts: times(reverts) })
    }
}

impl From<BlockState> for wire::block_row::State {
    fn from(state: BlockState) -> Self {
        match state {
            BlockState::InForce => Self::InForce(wire::InForce {}),
            BlockState::Shadowed => Self::Shadowed(wire::Shadowed {}),
            BlockState::Suspended(protected) => Self::Suspended(protected.into()),
            BlockState::Off => Self::Off(wire::Off {}),
            BlockState::Withheld(why) => Self::Withheld(wire::Withheld::from(why).into()),
        }
    }
}

impl TryFrom<wire::block_row::State> for BlockState {
    type Error = ConvertError;
    fn try_from(state: wire::block_row::State) -> Result<Self> {
        use wire::block_row::State;
        Ok(match state {
            State::InForce(wire::InForce {}) => Self::InForce,
            State::Shadowed(wire::Shadowed {}) => Self::Shadowed,
            State::Suspended(protected) => Self::Suspended(protected.try_into()?),
            State::Off(wire::Off {}) => Self::Off,
            State::Withheld(why) => Self::Withheld(name("row.withheld", why)?),
        })
    }
}

impl From<Subject> for wire::alert::Subject {
    fn from(subject: Subject) -> Self {
        match subject {
            Subject::Source(source) => Self::Source(address_bytes(source)),
            Subject::Destination { service, sources_seen } => {
                Self::Destination(wire::Destination { service: Some(service.into()), sources_seen })
            }
        }
    }
}

impl TryFrom<wire::alert::Subject> for Subject {
    type Error = ConvertError;
    fn try_from(subject: wire::alert::Subject) -> Result<Self> {
        Ok(match subject {
            wire::alert::Subject::Source(bytes) => Self::Source(address("alert.source", &bytes)?),
            wire::alert::Subject::Destination(wire::Destination { service, sources_seen }) => {
                Self::Destination {
                    service: required("destination.service", service)?.try_into()?,
                    sources_seen,
                }
            }
        })
    }
}

impl From<Service> for wire::Service {
    fn from(Service { address, port, protocol }: Service) -> Self {
        let protocol = wire::Protocol::from(protocol).into();
        Self { address: address_bytes(address), port: port.into(), protocol }
    }
}

impl TryFrom<wire::Service> for Service {
    type Error = ConvertError;
    fn try_from(service: wire::Service) -> Result<Self> {
        Ok(Self {
            address: address("service.address", &service.address)?,
            port: small("service.port", service.port)?,
            protocol: name("service.protocol", service.protocol)?,
        })
    }
}

impl From<Reason> for wire::Reason {
    fn from(Reason { rule, measured, limit, text }: Reason) -> Self {
        let (measured, limit) = (clip_finite(measured), clip_finite(limit));
        Self { rule: clip(limits::NAME, rule), measured, limit, text: clip(limits::TEXT, text) }
    }
}

impl TryFrom<wire::Reason> for Reason {
    type Error = ConvertError;
    fn try_from(reason: wire::Reason) -> Result<Self> {
        Ok(Self {
            rule: text("reason.rule", limits::NAME, reason.rule)?,
            measured: finite("reason.measured", reason.measured)?,
            limit: finite("reason.limit", reason.limit)?,
            text: text("reason.text", limits::TEXT, reason.text)?,
        })
    }
}

impl From<Alert> for wire::Alert {
    fn from(alert: Alert) -> Self {
        let Alert {
            id,
            time,
            node,
            subject,
            class,
            confidence,
            detector,
            evidence,
            count,
            reason,
            features,
            action,
            note,
        } = alert;
        Self {
            id: id.0,
            time: time.as_nanos(),
            node: clip(limits::NAME, node),
            subject: Some(subject.into()),
            class: wire::Class::from(class).into(),
            confidence: clip_share(confidence),
            detector: wire::Detector::from(detector).into(),
            evidence: evidence_to_wire(evidence),
            count,
            reason: Some(reason.into()),
            features: Some(features.into()),
            action: wire::Action::from(action).into(),
            note: clip(limits::TEXT, note),
        }
    }
}

impl TryFrom<wire::Alert> for Alert {
    type Error = ConvertError;
    fn try_from(alert: wire::Alert) -> Result<Self> {
        Ok(Self {
            id: BlockId(alert.id),
            time: Time::from_nanos(alert.time),
            node: text("alert.node", limits::NAME, alert.node)?,
            subject: required("alert.subject", alert.subject)?.try_into()?,
            class: name("alert.class", alert.class)?,
            confidence: share("alert.confidence", alert.confidence)?,
            detector: name("alert.detector", alert.detector)?,
            evidence: optional_name("alert.evidence", alert.evidence)?,
            count: alert.count,
            reason: required("alert.reason", alert.reason)?.try_into()?,
            features: alert.features.map(Features::try_from).transpose()?.unwrap_or_default(),
            action: name("alert.action", alert.action)?,
            note: text("alert.note", limits::TEXT, alert.note)?,
        })
    }
}

impl From<Protected> for wire::Protected {
    fn from(Protected { net, why, detail }: Protected) -> Self {
        let why = wire::Why::from(why).into();
        Self { net: Some(net.into()), why, detail: clip(limits::TEXT, detail) }
    }
}

impl TryFrom<wire::Protected> for Protected {
    type Error = ConvertError;
    fn try_from(wire::Protected { net, why, detail }: wire::Protected) -> Result<Self> {
        let detail = text("protected.detail", limits::TEXT, detail)?;
        Ok(Self { net: target("protected.net", net)?, why: name("protected.why", why)?, detail })
    }
}

impl From<Allowed> for wire::Allowed {
    fn from(Allowed { target, since, expires, comment }: Allowed) -> Self {
        let (since, expires) = (since.as_nanos(), expires.map(Time::as_nanos));
        Self { target: Some(target.into()), since, expires, comment: clip(limits::TEXT, comment) }
    }
}

impl TryFrom<wire::Allowed> for Allowed {
    type Error = ConvertError;
    fn try_from(allowed: wire::Allowed) -> Result<Self> {
        Ok(Self {
            target: target("allowed.target", allowed.target)?,
            since: Time::from_nanos(allowed.since),
            expires: times(allowed.expires),
            comment: text("allowed.comment", limits::TEXT, allowed.comment)?,
        })
    }
}

impl From<Pending> for wire::Pending {
    fn from(pending: Pending) -> Self {
        let Pending { id, since, until, target, class, confidence, strength, detector, evidence, reason } =
            pending;
        Self {
            id: id.0,
            since: since.as_nanos(),
            target: Some(target.into()),
            class: wire::Class::from(class).into(),
            confidence: clip_share(confidence),
            strength: wire::Strength::from(strength).into(),
            detector: wire::Detector::from(detector).into(),
            evidence: evidence_to_wire(evidence),
            reason: clip(limits::TEXT, reason),
            until: until.as_nanos(),
        }
    }
}

impl TryFrom<wire::Pending> for Pending {
    type Error = ConvertError;
    fn try_from(pending: wire::Pending) -> Result<Self> {
        Ok(Self {
            id: BlockId(pending.id),
            since: Time::from_nanos(pending.since),
            target: target("pending.target", pending.target)?,
            class: name("pending.class", pending.class)?,
            confidence: share("pending.confidence", pending.confidence)?,
            strength: name("pending.strength", pending.strength)?,
            detector: name("pending.detector", pending.detector)?,
            evidence: optional_name("pending.evidence", pending.evidence)?,
            reason: text("pending.reason", limits::TEXT, pending.reason)?,
            until: Time::from_nanos(pending.until),
        })
    }
}

impl From<Offender> for wire::Offender {
    fn from(Offender { target, level, until, timeline }: Offender) -> Self {
        let timeline = clipped(limits::TIMELINE, timeline.into());
        Self { target: Some(target.into()), level: level.into(), until: until.as_nanos(), timeline }
    }
}

impl TryFrom<wire::Offender> for Offender {
    type Error = ConvertError;
    fn try_from(offender: wire::Offender) -> Result<Self> {
        Ok(Self {
            target: target("offender.target", offender.target)?,
            level: small("offender.level", offender.level)?,
            until: Time::from_nanos(offender.until),
            timeline: list("offender.timeline", limits::TIMELINE, offender.timeline)?.into(),
        })
    }
}

impl From<Incident> for wire::Incident {
    fn from(Incident { at, class, detector, evidence, action, text }: Incident) -> Self {
        Self {
            time: at.as_nanos(),
            class: wire::Class::from(class).into(),
            detector: wire::Detector::from(detector).into(),
            evidence: evidence_to_wire(evidence),
            action: wire::Action::from(action).into(),
            text: clip(limits::TEXT, text),
        }
    }
}

impl TryFrom<wire::Incident> for Incident {
    type Error = ConvertError;
    fn try_from(incident: wire::Incident) -> Result<Self> {
        Ok(Self {
            at: Time::from_nanos(incident.time),
            class: name("incident.class", incident.class)?,
            detector: name("incident.detector", incident.detector)?,
            evidence: optional_name("incident.evidence", incident.evidence)?,
            action: name("incident.action", incident.action)?,
            text: text("incident.text", limits::TEXT, incident.text)?,
        })
    }
}
