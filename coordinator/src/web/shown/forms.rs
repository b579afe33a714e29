//! What the coordinator knows, in the API's forms.

use serde::Deserialize;
use serde_json::value::RawValue;
use smartfw_api::{Allowed, Concern, Event, Level, Node, Refusal, Refused};
use smartfw_core::{HealthLevel, IpNet, Time};
use smartfw_history::Event as Kept;
use smartfw_proto::json as form;
use std::time::Duration;
use time::OffsetDateTime;

use crate::{clock, view::NodeRow};

/// An event as users read it.
pub(super) fn shown(event: &Kept) -> Option<Event> {
    Some(Event {
        kind: event.kind.to_string(),
        node: event.node.clone(),
        class: event.class.map(|class| class.to_string()),
        body: RawValue::from_string(event.body.clone()).ok()?,
    })
}

pub(super) fn node(row: NodeRow) -> Node {
    let expires = row.certificate_expires();
    let status = row.status.as_ref().map(|status| form::status(status).to_string());
    Node {
        blocks: row.statistics.map_or(0, |statistics| statistics.blocks),
        name: row.name.to_string(),
        site: row.site.to_string(),
        state: if row.state.is_empty() { row.link.as_str().to_owned() } else { row.state },
        address: Some(row.address).filter(|address| !address.is_empty()),
        version: row.version,
        trust: None,
        rtt_ms: None,
        certificate_expires: expires.map(instant),
        last_report: row.heard.map(instant),
        events_lost: row.dropped.saturating_add(row.missed),
        status: status.and_then(|status| RawValue::from_string(status).ok()),
    }
}

pub(super) fn concern(entry: crate::health::Entry) -> Concern {
    let level = match entry.level {
        HealthLevel::Info => Level::Info,
        HealthLevel::Warn => Level::Warn,
        HealthLevel::Error => Level::Error,
    };
    Concern { level, what: entry.what, remedy: entry.remedy }
}

/// What an audit event says of the allow list.
#[derive(Deserialize)]
pub(super) struct Word {
    kind: String,
    pub(super) target: IpNet,
    since: Option<String>,
    expires: Option<String>,
    #[serde(default)]
    comment: String,
}

pub(super) fn word(event: &Kept) -> Option<Word> {
    let word: Word = serde_json::from_str(&event.body).ok()?;
    ["allowed", "disallowed"].contains(&word.kind.as_str()).then_some(word)
}

/// The entry, if this word put it on the list and it is not over.
pub(super) fn standing(word: Word) -> Option<Allowed> {
    let Word { kind, target, since, expires, comment } = word;
    let at = |text: String| form::parse_rfc3339(&text).map(instant);
    let expires = expires.and_then(at);
    let over = expires.is_some_and(|expires| expires <= instant(clock::now()));
    let since = since.and_then(at)?;
    (kind == "allowed" && !over).then_some(Allowed { target, since, expires, comment })
}

pub(super) fn unread(why: smartfw_history::HistoryError) -> Refusal {
    Refusal {
        kind: Refused::Unavailable,
        what: "the history cannot be read".into(),
        why: why.to_string(),
        remedy: "look at the coordinator's health".into(),
    }
}

pub(super) fn no_cursor() -> Refusal {
    Refusal {
        kind: Refused::Invalid,
        what: "there is no such page".into(),
        why: "the cursor is none of ours".into(),
        remedy: "begin without one, or give what the page before said".into(),
    }
}

pub(super) fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

pub(super) fn moment(time: OffsetDateTime) -> Time {
    Time::from_nanos(u64::try_from(time.unix_timestamp_nanos().max(0)).unwrap_or(u64::MAX))
}

/// Beyond the year 9999 nobody reads it.
pub(super) fn instant(time: Time) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(time.as_nanos().into()).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
