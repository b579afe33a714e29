//! What a node tells a coordinator, and what it is answered.

use std::time::Duration;

use smartfw_core::{
    Block, Event, Time,
    fleet::{CHAIN_BYTES, NodeId, SignedOrder, Version},
};

use super::{
    Allowance, ConvertError, Problem, Question, Reply,
    peer::{bytes, fixed, node, version},
    scalar::{Result, clip, list, name, optional_name, required, target, text},
};
use crate::{limits, view::NodeStatus, wire};

/// A message from a node.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// The first.
    Opening(Opening),
    /// Events, in order, of the epoch that the opening named.
    Events(Vec<Event>),
    /// What it counted.
    Statistics(Statistics),
    /// How it is.
    Status(Box<NodeStatus>),
    /// Its own blocks in force; whether these are the last of them.
    Blocks(Vec<Block>, bool),
    /// What became of an order that was passed on to it.
    Outcome {
        /// The order.
        id: [u8; 16],
        /// Why it was refused; `None`: it is carried out and stored.
        refused: Option<String>,
    },
    /// What people allow there; whether these are the last of them.
    Allowed(Vec<Allowance>, bool),
    /// What it says to the question with this number.
    Reply(u64, Reply),
}

/// How a node opens its stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The protocols that it speaks.
    pub protocol: (u32, u32),
    /// The program's version.
    pub version: String,
    /// The life of its buffer of events.
    pub epoch: u64,
    /// The oldest event in it.
    pub oldest: u64,
    /// Events that it had to drop.
    pub dropped: u64,
}

/// What a node counted, from its start to `time`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// When it was read.
    pub time: Time,
    /// Packets seen.
    pub packets: u64,
    /// Bytes seen.
    pub bytes: u64,
    /// Packets that were not seen.
    pub lost: u64,
    /// Flows begun.
    pub flows: u64,
    /// Sources tracked.
    pub sources: u64,
    /// Alerts made.
    pub alerts: u64,
    /// Blocks in force.
    pub blocks: u64,
    /// Packets that the kernel dropped because of them.
    pub dropped_packets: u64,
    /// Their bytes.
    pub dropped_bytes: u64,
    /// Events that wait in the buffer.
    pub waiting: u64,
}

/// A message from a coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The first: the protocol that is spoken, and the last event of the node that is kept.
    Opening(u32, Option<Version>),
    /// Events up to here are kept.
    Kept(Version),
    /// An operator's order.
    Order(SignedOrder),
    /// A question, with its number.
    Question(u64, Question),
}

/// What a node answers to an announcement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// For how long the fleet knows of it.
    pub lasts: Duration,
    /// Who is in the fleet.
    pub members: Vec<FleetMember>,
    /// Every revocation that the node knows, as it was signed.
    pub revocations: Vec<Vec<u8>>,
}

/// A member, as another sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetMember {
    /// Who it is.
    pub id: NodeId,
    /// Its name.
    pub name: String,
    /// Its site.
    pub site: String,
    /// Where it is reached.
    pub address: String,
    /// `alive`, `suspect`, `dead` or `left`.
    pub state: String,
}

impl From<Report> for wire::NodeReport {
    fn from(report: Report) -> Self {
        use wire::node_report::Report as Wire;
        let report = match report {
            Report::Opening(opening) => Wire::Opening(opening.into()),
            Report::Events(events) => Wire::Events(wire::EventBatch {
                events: events.into_iter().take(limits::EVENTS).map(Into::into).collect(),
            }),
            Report::Statistics(statistics) => Wire::Statistics(statistics.into()),
            Report::Status(status) => Wire::Status((*status).into()),
            Report::Blocks(blocks, complete) => Wire::Blocks(wire::BlockList {
                blocks: blocks.into_iter().take(limits::CHUNK).map(Into::into).collect(),
                complete,
            }),
            Report::Outcome { id, refused } => Wire::Outcome(wire::OrderOutcome {
                id: id.to_vec(),
                refused: clip(limits::TEXT, refused.unwrap_or_default()),
            }),
            Report::Allowed(entries, complete) => Wire::Allowed(wire::AllowList {
                entries: entries.into_iter().take(limits::CHUNK).map(Into::into).collect(),
                complete,
            }),
            Report::Reply(number, reply) => Wire::Reply((number, reply).into()),
        };
        Self { report: Some(report) }
    }
}

impl TryFrom<wire::NodeReport> for Report {
    type Error = ConvertError;
    fn try_from(message: wire::NodeReport) -> Result<Self> {
        use wire::node_report::Report as Wire;
        Ok(match required("report", message.report)? {
            Wire::Opening(opening) => Self::Opening(opening.try_into()?),
            Wire::Events(batch) => Self::Events(list("report.events", limits::EVENTS, batch.events)?),
            Wire::Statistics(statistics) => Self::Statistics(statistics.into()),
            Wire::Status(status) => Self::Status(Box::new(status.try_into()?)),
            Wire::Blocks(wire::BlockList { blocks, complete }) => {
                Self::Blocks(list("report.blocks", limits::CHUNK, blocks)?, complete)
            }
            Wire::Outcome(wire::OrderOutcome { id, refused }) => {
                let refused = text("outcome.refused", limits::TEXT, refused)?;
                Self::Outcome {
                    id: fixed("outcome.id", &id)?,
                    refused: Some(refused).filter(|refused| !refused.is_empty()),
                }
            }
            Wire::Allowed(wire::AllowList { entries, complete }) => {
                Self::Allowed(list("report.allowed", limits::CHUNK, entries)?, complete)
            }
            Wire::Reply(reply) => {
                let (number, reply) = reply.try_into()?;
                Self::Reply(number, reply)
            }
        })
    }
}

impl From<Opening> for wire::ReportOpening {
    fn from(Opening { protocol, version, epoch, oldest, dropped }: Opening) -> Self {
        let version = clip(limits::NAME, version);
        Self { protocol_from: protocol.0, protocol_to: protocol.1, version, epoch, oldest, dropped }
    }
}

impl TryFrom<wire::ReportOpening> for Opening {
    type Error = ConvertError;
    fn try_from(opening: wire::ReportOpening) -> Result<Self> {
        let wire::ReportOpening { protocol_from, protocol_to, version, epoch, oldest, dropped } = opening;
        let version = text("opening.version", limits::NAME, version)?;
        Ok(Self { protocol: (protocol_from, protocol_to), version, epoch, oldest, dropped })
    }
}

impl From<Event> for wire::NodeEvent {
    fn from(Event { sequence, time, kind, address, class, body }: Event) -> Self {
        Self {
            sequence,
            time: time.as_nanos(),
            kind: wire::EventKind::from(kind).into(),
            address: address.map(Into::into),
            class: class.map_or(0, |class| wire::Class::from(class).into()),
            body,
        }
    }
}

impl TryFrom<wire::NodeEvent> for Event {
    type Error = ConvertError;
    fn try_from(
        wire::NodeEvent { sequence, time, kind, address, class, body }: wire::NodeEvent,
    ) -> Result<Self> {
        let address = address.map(|net| target("event.address", Some(net))).transpose()?;
        let body = text("event.body", limits::EVENT, body)?;
        Ok(Self {
            sequence,
            time: Time::from_nanos(time),
            kind: name("event.kind", kind)?,
            address,
            class: optional_name("event.class", class)?,
            body,
        })
    }
}

/// The same fields on both sides, none of which can be wrong.
macro_rules! statistics {
    ($($field:ident),+) => {
        impl From<Statistics> for wire::NodeStatistics {
            fn from(Statistics { time, $($field),+ }: Statistics) -> Self {
                Self { time: time.as_nanos(), $($field),+ }
            }
        }

        impl From<wire::NodeStatistics> for Statistics {
            fn from(wire::NodeStatistics { time, $($field),+ }: wire::NodeStatistics) -> Self {
                Self { time: Time::from_nanos(time), $($field),+ }
            }
        }
    };
}

statistics!(packets, bytes, lost, flows, sources, alerts, blocks, dropped_packets, dropped_bytes, waiting);

impl From<Answer> for wire::CoordinatorAnswer {
    fn from(answer: Answer) -> Self {
        use wire::coordinator_answer::Answer as Wire;
        let answer = match answer {
            Answer::Opening(protocol, kept) => {
                Wire::Opening(wire::AnswerOpening { protocol, kept: kept.map(Into::into) })
            }
            Answer::Kept(upto) => Wire::Kept(wire::EventsKept { upto: Some(upto.into()) }),
            Answer::Order(SignedOrder { bytes, signature, certificate, lasts: _ }) => {
                Wire::Order(wire::CarriedOrder {
                    body: bytes.to_vec(),
                    signature: signature.to_vec(),
                    certificate: certificate.to_vec(),
                })
            }
            Answer::Question(number, question) => Wire::Question((number, question).into()),
        };
        Self { answer: Some(answer) }
    }
}

impl TryFrom<wire::CoordinatorAnswer> for Answer {
    type Error = ConvertError;
    fn try_from(message: wire::CoordinatorAnswer) -> Result<Self> {
        use wire::coordinator_answer::Answer as Wire;
        Ok(match required("answer", message.answer)? {
            Wire::Opening(wire::AnswerOpening { protocol, kept }) => {
                let kept = kept.map(|kept| version("answer.kept", Some(kept))).transpose()?;
                Self::Opening(protocol, kept)
            }
            Wire::Kept(wire::EventsKept { upto }) => Self::Kept(version("kept.upto", upto)?),
            Wire::Order(wire::CarriedOrder { body, signature, certificate }) => Self::Order(SignedOrder {
                bytes: bytes("order.body", limits::REVOCATION, body)?.into(),
                signature: fixed("order.signature", &signature)?,
                certificate: bytes("order.certificate", CHAIN_BYTES, certificate)?.into(),
                lasts: None,
            }),
            Wire::Question(question) => {
                let (number, question) = question.try_into()?;
                Self::Question(number, question)
            }
        })
    }
}

impl From<Announced> for wire::AnnounceAnswer {
    fn from(Announced { lasts, members, revocations }: Announced) -> Self {
        Self {
            lasts: u64::try_from(lasts.as_nanos()).unwrap_or(u64::MAX),
            members: members.into_iter().take(limits::ANNOUNCED).map(Into::into).collect(),
            revocations,
        }
    }
}

impl TryFrom<wire::AnnounceAnswer> for Announced {
    type Error = ConvertError;
    fn try_from(wire::AnnounceAnswer { lasts, members, revocations }: wire::AnnounceAnswer) -> Result<Self> {
        let (length, limit) = (revocations.len(), limits::REVOCATIONS);
        if length > limit {
            return Err(ConvertError::new("announced.revocations", Problem::TooLong { length, limit }));
        }
        let each = |one| bytes("announced.revocation", limits::REVOCATION, one);
        Ok(Self {
            lasts: Duration::from_nanos(lasts),
            members: list("announced.members", limits::ANNOUNCED, members)?,
            revocations: revocations.into_iter().map(each).collect::<Result<_>>()?,
        })
    }
}

impl From<FleetMember> for wire::FleetMember {
    fn from(FleetMember { id, name, site, address, state }: FleetMember) -> Self {
        Self { id: id.0.to_vec(), name, site, address, state }
    }
}

impl TryFrom<wire::FleetMember> for FleetMember {
    type Error = ConvertError;
    fn try_from(wire::FleetMember { id, name, site, address, state }: wire::FleetMember) -> Result<Self> {
        Ok(Self {
            id: node("member.id", &id)?,
            name: text("member.name", limits::NAME, name)?,
            site: text("member.site", limits::NAME, site)?,
            address: text("member.address", limits::ADDRESS, address)?,
            state: text("member.state", limits::NAME, state)?,
        })
    }
}
