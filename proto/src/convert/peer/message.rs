//! Messages on a stream between two members.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use prost::Message as _;
use smartfw_core::{
    Time,
    fleet::{CHAIN_BYTES, RUN_BYTES, SignedRun},
    gossip::{Carried, LOGS, Message, More, RUNS, Row, SPANS, Span, Summary, WANTS, Want},
};
use wire::peer_message::Message as Wire;

use super::{bytes, fixed, node, version};
use crate::{
    ConvertError,
    convert::{
        Problem,
        scalar::{Result, nanos, required, text},
    },
    limits, wire,
};

/// The first message on a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The oldest protocol that the sender speaks.
    pub from: u32,
    /// The newest one.
    pub to: u32,
    /// Its cluster.
    pub cluster: String,
    /// Its epoch.
    pub epoch: u64,
    /// What it knows of revocations: equal at two members when their sets are. `None`: it does not say.
    pub revocations: Option<[u8; 32]>,
}

/// What comes over a stream between two members.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// Who speaks; the first message.
    Hello(Hello),
    /// For the replicated logs.
    Gossip(Message<SignedRun>),
    /// For the membership: a datagram where UDP is blocked.
    Datagram(Vec<u8>),
    /// Signed revocations, encoded.
    Revocations(Vec<Vec<u8>>),
    /// For the fleet's sums, encoded.
    Contribution(Vec<u8>),
}

impl From<Told> for wire::PeerMessage {
    fn from(told: Told) -> Self {
        let message = match told {
            Told::Hello(Hello { from, to, cluster, epoch, revocations }) => Wire::Hello(wire::Hello {
                protocol_from: from,
                protocol_to: to,
                cluster,
                epoch,
                revocations: revocations.map(Vec::from).unwrap_or_default(),
            }),
            Told::Gossip(message) => gossip_to_wire(message),
            Told::Datagram(bytes) => Wire::Datagram(bytes),
            Told::Revocations(signed) => Wire::Revocations(wire::Revocations { signed }),
            Told::Contribution(bytes) => Wire::Contribution(bytes),
        };
        Self { message: Some(message) }
    }
}

impl TryFrom<wire::PeerMessage> for Told {
    type Error = ConvertError;

    fn try_from(wire::PeerMessage { message }: wire::PeerMessage) -> Result<Self> {
        Ok(match required("peer.message", message)? {
            Wire::Hello(wire::Hello {
                protocol_from: from,
                protocol_to: to,
                cluster,
                epoch,
                revocations,
            }) => {
                let cluster = text("hello.cluster", limits::NAME, cluster)?;
                // A digest of a kind that is not known here is none: then everything is told.
                Self::Hello(Hello { from, to, cluster, epoch, revocations: revocations.try_into().ok() })
            }
            Wire::Datagram(datagram) => Self::Datagram(bytes("datagram", limits::DATAGRAM, datagram)?),
            Wire::Contribution(sums) => Self::Contribution(bytes("contribution", limits::DATAGRAM, sums)?),
            Wire::Revocations(wire::Revocations { signed }) => {
                within("revocations", limits::REVOCATIONS, signed.len())?;
                let each = |one| bytes("revocations.signed", limits::REVOCATION, one);
                Self::Revocations(signed.into_iter().map(each).collect::<Result<_>>()?)
            }
            other => Self::Gossip(gossip(other)?),
        })
    }
}

fn gossip_to_wire(message: Message<SignedRun>) -> Wire {
    match message {
        Message::Digest { all, wall } => Wire::Digest(wire::PeerDigest { all, wall: wall.as_nanos() }),
        Message::Summary(logs) => {
            let (tags, digests) = logs.iter().map(|Summary { tag, digest }| (*tag, *digest)).unzip();
            Wire::Summary(wire::PeerSummary { tags, digests })
        }
        Message::Vectors { rows, answer } => Wire::Vectors(wire::PeerVectors {
            rows: rows.into_iter().map(wire::PeerRow::from).collect(),
            answer,
        }),
        Message::Pull(wants) => {
            let want = |Want { tag, span }| wire::PeerWant { tag, span: Some(span.into()) };
            Wire::Pull(wire::PeerPull { wants: wants.into_iter().map(want).collect() })
        }
        Message::Runs { runs, answers } => Wire::Runs(runs_to_wire(runs, answers)),
        Message::Proof(runs) => {
            let (one, other) = *runs;
            Wire::Proof(wire::PeerProof {
                certificate_one: one.certificate.to_vec(),
                certificate_other: other.certificate.to_vec(),
                one: Some(run_to_wire(&one, 0, Duration::ZERO)),
                other: Some(run_to_wire(&other, 0, Duration::ZERO)),
            })
        }
        Message::Enforced { origin, site, span } => {
            Wire::Enforced(wire::PeerEnforced { site, origin: origin.0.to_vec(), span: Some(span.into()) })
        }
    }
}

/// A run as it stands in a database, with the chain that it is checked by.
pub fn run_to_bytes(run: &SignedRun) -> Vec<u8> {
    runs_to_wire(vec![Carried { run: run.clone(), age: Duration::ZERO }], None).encode_to_vec()
}

/// The run in what stood in a database.
///
/// # Errors
/// When it is none, or more than one.
pub fn run_from_bytes(bytes: &[u8]) -> Result<SignedRun> {
    const RUN: &str = "mirrored.run";
    let runs_of = wire::PeerRuns::decode(bytes).map_err(|_| ConvertError::new(RUN, Problem::Unreadable))?;
    within(RUN, 1, runs_of.runs.len())?;
    match runs(runs_of)? {
        Message::Runs { runs, .. } => {
            let run = runs.into_iter().next().map(|carried| carried.run);
            run.ok_or(ConvertError::new(RUN, Problem::Missing))
        }
        _ => Err(ConvertError::new(RUN, Problem::Unreadable)),
    }
}

/// Each chain travels once in a message, however many runs it holds.
fn runs_to_wire(runs: Vec<Carried<SignedRun>>, answers: Option<More>) -> wire::PeerRuns {
    let mut certificates: Vec<Vec<u8>> = Vec::new();
    let mut numbers: HashMap<Arc<[u8]>, u32> = HashMap::new();
    let mut carried = Vec::with_capacity(runs.len());
    for Carried { run, age } in runs {
        let number = *numbers.entry(run.certificate.clone()).or_insert_with(|| {
            certificates.push(run.certificate.to_vec());
            certificates.len() as u32 - 1
        });
        carried.push(run_to_wire(&run, number, age));
    }
    wire::PeerRuns { runs: carried, certificates, more: answers.map(|More(more)| more) }
}

fn run_to_wire(run: &SignedRun, certificate: u32, age: Duration) -> wire::PeerRun {
    wire::PeerRun {
        body: run.bytes.to_vec(),
        signature: run.signature.to_vec(),
        certificate,
        age: nanos(age),
    }
}

fn gossip(message: Wire) -> Result<Message<SignedRun>> {
    Ok(match message {
        Wire::Digest(wire::PeerDigest { all, wall }) => Message::Digest { all, wall: Time::from_nanos(wall) },
        Wire::Summary(wire::PeerSummary { tags, digests }) => {
            within("summary.tags", LOGS, tags.len())?;
            within("summary.digests", tags.len(), digests.len())?;
            let pairs = tags.into_iter().zip(digests);
            Message::Summary(pairs.map(|(tag, digest)| Summary { tag, digest }).collect())
        }
        Wire::Vectors(wire::PeerVectors { rows, answer }) => {
            within("vectors.rows", WANTS, rows.len())?;
            within("vectors.spans", limits::PEER_SPANS, rows.iter().map(|row| row.spans.len()).sum())?;
            let rows: Vec<Row> = rows.into_iter().map(Row::try_from).collect::<Result<_>>()?;
            let tags: HashSet<u64> = rows.iter().map(|row| row.tag).collect();
            if tags.len() < rows.len() {
                return Err(ConvertError::new("vectors.rows", Problem::OutOfRange));
            }
            Message::Vectors { rows, answer }
        }
        Wire::Pull(wire::PeerPull { wants }) => {
            within("pull.wants", WANTS, wants.len())?;
            let want = |wire::PeerWant { tag, span }| {
                Ok(Want { tag, span: required("pull.span", span)?.try_into()? })
            };
            let wants: Vec<Want> = wants.into_iter().map(want).collect::<Result<_>>()?;
            in_order("pull.wants", wants.iter().map(|want| (want.tag, want.span)))?;
            Message::Pull(wants)
        }
        Wire::Runs(message) => runs(message)?,
        Wire::Proof(wire::PeerProof { one, other, certificate_one, certificate_other }) => {
            let signed = |run, certificate| {
                let certificate = bytes("proof.certificate", CHAIN_BYTES, certificate)?;
                Ok(run_of(required("proof.run", run)?, &certificate.into())?.run)
            };
            Message::Proof(Box::new((signed(one, certificate_one)?, signed(other, certificate_other)?)))
        }
        Wire::Enforced(wire::PeerEnforced { site, origin, span }) => Message::Enforced {
            origin: node("enforced.origin", &origin)?,
            site,
            span: required("enforced.span", span)?.try_into()?,
        },
        Wire::Hello(_) | Wire::Datagram(_) | Wire::Revocations(_) | Wire::Contribution(_) => {
            return Err(ConvertError::new("peer.message", Problem::OutOfRange));
        }
    })
}

fn runs(wire::PeerRuns { runs, certificates, more }: wire::PeerRuns) -> Result<Message<SignedRun>> {
    within("runs.runs", RUNS, runs.len())?;
    within("runs.certificates", RUNS, certificates.len())?;
    let chain = |chain| Ok(bytes("runs.certificates", CHAIN_BYTES, chain)?.into());
    let certificates: Vec<Arc<[u8]>> = certificates.into_iter().map(chain).collect::<Result<_>>()?;
    let unknown =
        |run: &wire::PeerRun| ConvertError::new("runs.certificate", Problem::Unknown(run.certificate.into()));
    let run = |run: wire::PeerRun| {
        let certificate = certificates.get(run.certificate as usize).ok_or_else(|| unknown(&run))?;
        run_of(run, certificate)
    };
    let answers = more.map(More);
    Ok(Message::Runs { runs: runs.into_iter().map(run).collect::<Result<_>>()?, answers })
}

fn run_of(run: wire::PeerRun, certificate: &Arc<[u8]>) -> Result<Carried<SignedRun>> {
    let wire::PeerRun { body, signature, certificate: _, age } = run;
    let bytes = bytes("run.body", RUN_BYTES, body)?.into();
    let signature = fixed("run.signature", &signature)?;
    let run = SignedRun { bytes, signature, certificate: certificate.clone() };
    Ok(Carried { run, age: Duration::from_nanos(age) })
}

impl From<Row> for wire::PeerRow {
    fn from(Row { tag, digest, floor, quarantined, spans }: Row) -> Self {
        let spans = spans.into_iter().map(wire::PeerSpan::from).collect();
        Self { tag, digest, floor: Some(floor.into()), quarantined, spans }
    }
}

impl TryFrom<wire::PeerRow> for Row {
    type Error = ConvertError;

    fn try_from(row: wire::PeerRow) -> Result<Self> {
        let wire::PeerRow { tag, digest, floor, quarantined, spans } = row;
        within("row.spans", SPANS, spans.len())?;
        let spans: Vec<Span> = spans.into_iter().map(Span::try_from).collect::<Result<_>>()?;
        in_order("row.spans", spans.iter().map(|span| (0, *span)))?;
        Ok(Self { tag, digest, floor: version("row.floor", floor)?, quarantined, spans })
    }
}

impl From<Span> for wire::PeerSpan {
    fn from(Span { epoch, from, to }: Span) -> Self {
        Self { epoch, from, to }
    }
}

impl TryFrom<wire::PeerSpan> for Span {
    type Error = ConvertError;

    fn try_from(wire::PeerSpan { epoch, from, to }: wire::PeerSpan) -> Result<Self> {
        if from > to {
            Err(ConvertError::new("span", Problem::OutOfRange))
        } else {
            Ok(Self { epoch, from, to })
        }
    }
}

/// Ranges of logs, each behind the one before: looking them up costs no more than walking through the logs once.
fn in_order(field: &'static str, ranges: impl Iterator<Item = (u64, Span)> + Clone) -> Result<()> {
    let before = |((tag, one), (next, other)): ((u64, Span), (u64, Span))| {
        (tag, one.epoch, one.to) < (next, other.epoch, other.from)
    };
    let ordered = ranges.clone().zip(ranges.skip(1)).all(before);
    if ordered { Ok(()) } else { Err(ConvertError::new(field, Problem::OutOfRange)) }
}

fn within(field: &'static str, limit: usize, length: usize) -> Result<()> {
    if length > limit { Err(ConvertError::new(field, Problem::TooLong { length, limit })) } else { Ok(()) }
}
