//! The forms that users and their scripts read: snake_case keys in a fixed order, RFC 3339 times in UTC, durations in
//! seconds. Change them only by adding.

mod cluster;
mod inward;
mod mirror;
mod models;

use std::{
    io::{self, Write},
    time::Duration,
};

use serde::Serialize as _;
use serde_json::{Map, Serializer, Value, json, ser::Formatter};
use smartfw_core::{
    Alert, Block, BlockState, Features, Health, Subject, Time,
    features::NAMES,
    model::{BENIGN, Opinion},
    order::Allowed,
    protect::Protected,
    record::{Incident, Offender},
    sensor::WindowReport,
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::view::{BlockRow, Explanation, NodeStatus, Pending};

pub use cluster::{canary, cluster_node, fleet_block};
pub use inward::{feed, place};
pub use mirror::{foreign_root, mirror};
pub use models::{lesson, model, model_imported, model_places};

/// Writes `value` as one line.
///
/// # Errors
/// When `out` fails.
pub fn line(out: &mut impl Write, value: &Value) -> io::Result<()> {
    value.serialize(&mut Serializer::with_formatter(&mut *out, Harmless))?;
    out.write_all(b"\n")
}

/// `value` on one line, without its end.
pub fn text(value: &Value) -> String {
    let mut bytes = Vec::new();
    // A vector takes everything, and a value is text throughout.
    let _ = value.serialize(&mut Serializer::with_formatter(&mut bytes, Harmless));
    String::from_utf8(bytes).unwrap_or_default()
}

/// Whether a terminal would obey this letter rather than show it: control characters, and marks that turn the direction
/// of text, so that what is shown is not what is there.
pub fn is_foul(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Compact, with every letter that a terminal would obey written as its escape: a terminal reads it, too.
struct Harmless;

impl Formatter for Harmless {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, letter)) = rest.char_indices().find(|(_, letter)| is_foul(*letter)) {
            out.write_all(&rest.as_bytes()[..at])?;
            write!(out, "\\u{:04x}", u32::from(letter))?; // all of them are below U+10000
            rest = &rest[at + letter.len_utf8()..];
        }
        out.write_all(rest.as_bytes())
    }
}

/// `2026-01-31T12:00:00.123456Z`.
pub fn rfc3339(time: Time) -> String {
    let (seconds, micros) = (time.as_secs(), time.as_nanos() % 1_000_000_000 / 1000);
    let at = OffsetDateTime::from_unix_timestamp(seconds as i64).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (date, (hour, minute, second)) = (at.date(), at.to_hms());
    format!("{date}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
}

/// Reads an RFC 3339 time of any offset; `None` when it is none, or before 1970. After 2554 is never.
pub fn parse_rfc3339(text: &str) -> Option<Time> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    let nanos = u128::try_from(at.unix_timestamp_nanos()).ok()?;
    Some(u64::try_from(nanos).map_or(Time::NEVER, Time::from_nanos))
}

/// An alert, or an update of its episode.
pub fn alert(alert: &Alert) -> Value {
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| object.insert(key.into(), value);
    put("kind", "alert".into());
    put("time", rfc3339(alert.time).into());
    put("id", alert.id.to_string().into());
    put("node", alert.node.as_str().into());
    match alert.subject {
        Subject::Source(source) => put("source", source.to_string().into()),
        Subject::Destination { service, sources_seen } => {
            put("source", Value::Null);
            put("destination", service.to_string().into());
            put("sources_seen", sources_seen.into())
        }
    };
    put("class", alert.class.as_str().into());
    put("confidence", number(alert.confidence));
    put("detector", alert.detector.as_str().into());
    put("evidence", alert.evidence.map(|evidence| evidence.as_str()).into());
    put("count", alert.count.into());
    put("reason", alert.reason.text.as_str().into());
    put("features", features(&alert.features));
    put("action", alert.action.as_str().into());
    if !alert.note.is_empty() {
        put("note", alert.note.as_str().into());
    }
    Value::Object(object)
}

/// A block as it was at `time`, with what the kernel dropped because of it.
pub fn block(time: Time, block: &Block, packets: u64, bytes: u64) -> Value {
    json!({
        "kind": "block",
        "time": rfc3339(time),
        "id": block.id.to_string(),
        "target": block.target.to_string(),
        "class": block.class.as_str(),
        "origin": block.origin.0,
        "confidence": number(block.confidence),
        "strength": block.strength.as_str(),
        "since": rfc3339(block.since),
        "expires": block.expires.map(rfc3339),
        "level": block.level,
        "packets": packets,
        "bytes": bytes,
        "reason": block.reason,
    })
}

/// A block as a list shows it.
pub fn block_row(row: &BlockRow) -> Value {
    block(row.block.since, &row.block, row.packets, row.bytes)
}

/// A block as a list of all origins shows it: also whether the kernel drops it, and why not.
pub fn block_row_in_full(row: &BlockRow) -> Value {
    let mut value = block_row(row);
    let (state, suspended) = match &row.state {
        BlockState::InForce => ("in_force", None),
        BlockState::Shadowed => ("shadowed", None),
        BlockState::Suspended(by) => ("suspended", Some(protected(by))),
        BlockState::Off => ("off", None),
        BlockState::Withheld(_) => ("withheld", None),
    };
    if let Value::Object(object) = &mut value {
        object.insert("state".into(), state.into());
        object.insert("suspended_by".into(), suspended.into());
        if let BlockState::Withheld(why) = &row.state {
            object.insert("withheld_because".into(), why.as_str().into());
        }
        object.insert("forced".into(), row.forced.into());
        object.insert("reverts".into(), row.reverts.map(rfc3339).into());
    }
    value
}

/// The features by name, in the order of the schema.
pub fn features(features: &Features) -> Value {
    let values = features.to_array().map(number);
    Value::Object(NAMES.iter().map(|name| (*name).to_owned()).zip(values).collect())
}

/// What one capture gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// The file; `None` for the totals of several.
    pub file: Option<String>,
    /// Packets that the kernel would have dropped because of a hard block.
    pub suppressed: u64,
    /// Whether a capture ended in the middle of a packet.
    pub truncated: bool,
    /// Packets read.
    pub packets: u64,
    /// Bytes on the wire.
    pub bytes: u64,
    /// Packets that could not be parsed.
    pub malformed: u64,
    /// Remote addresses seen.
    pub sources: u64,
    /// Connections and conversations seen.
    pub flows: u64,
    /// How long it took.
    pub elapsed: Duration,
}

/// The summary of a capture.
pub fn summary(summary: &Summary) -> Value {
    let seconds = summary.elapsed.as_secs_f64();
    let rate = if seconds > 0.0 { (summary.packets as f64 / seconds).round() as u64 } else { 0 };
    json!({
        "kind": "summary",
        "file": summary.file,
        "suppressed": summary.suppressed,
        "truncated": summary.truncated,
        "packets": summary.packets,
        "bytes": summary.bytes,
        "malformed": summary.malformed,
        "sources": summary.sources,
        "flows": summary.flows,
        "seconds": (seconds * 1e6).round() / 1e6,
        "packets_per_second": rate,
    })
}

/// `value` with the file that it comes from, right after its kind.
pub fn with_file(mut value: Value, file: &str) -> Value {
    if let Value::Object(object) = &mut value {
        object.shift_insert(1, "file".into(), file.into());
    }
    value
}

/// How a node is.
pub fn status(status: &NodeStatus) -> Value {
    let mut value = json!({
        "node": status.node,
        "version": status.version,
        "enforcement": status.enforcement.as_str(),
        "mode": status.mode.as_str(),
        "enforcer": status.enforcer,
        "interfaces": status.interfaces,
        "uptime": status.uptime.as_secs(),
        "packets": status.packets,
        "lost": status.lost,
        "sources": status.sources,
        "blocked": status.blocked,
        "alerts": status.alerts,
        "pending": status.pending,
        "cluster": status.cluster,
        "peers_alive": status.peers_alive,
        "peers_known": status.peers_known,
        "coordinator": status.coordinator.as_str(),
        "models": status.models,
        "health": status.health.iter().map(health).collect::<Vec<_>>(),
    });
    if let (Value::Object(object), Some(reverts)) = (&mut value, status.reverts) {
        object.insert("reverts".into(), rfc3339(reverts).into());
    }
    value
}

/// One entry of a health list.
pub fn health(health: &Health) -> Value {
    json!({"level": health.level.as_str(), "what": health.what, "do": health.remedy})
}

/// A decision that waits for approval.
pub fn pending(pending: &Pending) -> Value {
    json!({
        "kind": "pending",
        "time": rfc3339(pending.since),
        "id": pending.id.to_string(),
        "target": pending.target.to_string(),
        "class": pending.class.as_str(),
        "confidence": number(pending.confidence),
        "strength": pending.strength.as_str(),
        "detector": pending.detector.as_str(),
        "evidence": pending.evidence.map(|evidence| evidence.as_str()),
        "reason": pending.reason,
        "lapses": rfc3339(pending.until),
    })
}

/// An entry of the allow list.
pub fn allowed(allowed: &Allowed) -> Value {
    json!({
        "kind": "allowed",
        "target": allowed.target.to_string(),
        "since": rfc3339(allowed.since),
        "expires": allowed.expires.map(rfc3339),
        "comment": allowed.comment,
    })
}

/// A protected prefix.
pub fn protected(protected: &Protected) -> Value {
    json!({"net": protected.net.to_string(), "why": protected.why.as_str(), "detail": protected.detail})
}

/// Everything known of an address.
pub fn explanation(explanation: &Explanation) -> Value {
    json!({
        "kind": "explanation",
        "time": rfc3339(explanation.now),
        "address": explanation.address.to_string(),
        "node": explanation.node,
        "enforcement": explanation.enforcement.as_str(),
        "mode": explanation.mode.as_str(),
        "outcome": explanation.outcome.as_str(),
        "blocks": explanation.blocks.iter().map(block_row_in_full).collect::<Vec<_>>(),
        "pending": explanation.pending.iter().map(pending).collect::<Vec<_>>(),
        "protected": explanation.protected.iter().map(protected).collect::<Vec<_>>(),
        "allowed": explanation.allowed.iter().map(allowed).collect::<Vec<_>>(),
        "alerts": explanation.alerts.iter().map(alert_with_rule).collect::<Vec<_>>(),
        "window": explanation.window.as_ref().map(features),
        "offenders": explanation.offenders.iter().map(offender).collect::<Vec<_>>(),
        "held_back": explanation.held_back.map(rfc3339),
        "next_block": explanation.next.as_secs(),
        "remedies": explanation.remedies,
    })
}

fn offender(offender: &Offender) -> Value {
    json!({
        "target": offender.target.to_string(),
        "level": offender.level,
        "until": rfc3339(offender.until),
        "timeline": offender.timeline.iter().map(incident).collect::<Vec<_>>(),
    })
}

fn incident(incident: &Incident) -> Value {
    json!({
        "time": rfc3339(incident.at),
        "class": incident.class.as_str(),
        "detector": incident.detector.as_str(),
        "evidence": incident.evidence.map(|evidence| evidence.as_str()),
        "action": incident.action.as_str(),
        "reason": incident.text,
    })
}

fn alert_with_rule(one: &Alert) -> Value {
    let mut value = alert(one);
    if let Value::Object(object) = &mut value {
        let rule =
            json!({"name": one.reason.rule, "measured": one.reason.measured, "limit": one.reason.limit});
        object.insert("rule".into(), rule);
    }
    value
}

/// An active source's window.
pub fn window(report: &WindowReport) -> Value {
    json!({
        "kind": "window",
        "time": rfc3339(report.at),
        "source": report.source.to_string(),
        "features": features(&report.features),
        "opinion": report.opinion.as_ref().map(opinion),
        "suspect": report.suspect,
        "proven": report.proven,
        "known": report.known,
        "port": report.port,
        "protocol": report.protocol.as_str(),
    })
}

fn opinion(opinion: &Opinion) -> Value {
    json!({
        "class": opinion.class.map_or(BENIGN, |class| class.as_str()),
        "probability": number(opinion.probability),
        "anomaly": number(opinion.anomaly),
    })
}

/// The shortest decimal that is this number: 0.97 and not 0.9700000286102295. What is not finite is 0.
fn number(value: f32) -> Value {
    let shortest = value.to_string().parse::<f64>().ok().filter(|number| number.is_finite());
    shortest.unwrap_or(0.0).into()
}

#[cfg(test)]
mod tests;
