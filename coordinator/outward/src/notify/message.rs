//! What a person is told, and the fields that templates fill in.

use std::sync::Arc;

use serde_json::{Map, Value};
use smartfw_core::{Event, EventKind};
use smartfw_proto::json::rfc3339;

use super::summary::Summary;
use crate::event::{Facts, NodeEvent};

/// So long is a field at most.
const FIELD: usize = 1000;

/// The fields of a single message.
pub(crate) const SINGLE: &[&str] = &[
    "kind",
    "time",
    "id",
    "node",
    "source",
    "title",
    "class",
    "severity",
    "confidence",
    "detector",
    "evidence",
    "count",
    "repeats",
    "action",
    "reason",
];

/// The fields of a digest.
pub(crate) const DIGEST: &[&str] =
    &["kind", "total", "repeats", "first", "last", "classes", "sources", "nodes"];

/// Something to tell.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Message {
    /// One event, and how often it was repeated since it was last told.
    Single { event: Arc<NodeEvent>, repeats: u64 },
    /// Many.
    Digest(Box<Summary>),
}

impl Message {
    /// One that nobody takes for an attack.
    pub(crate) fn test(now: smartfw_core::Time) -> Self {
        let body = r#"{"id":"test","reason":"this is a test, nothing has happened","action":"report"}"#;
        let event = Event {
            sequence: 0,
            time: now,
            kind: EventKind::Audit,
            address: None,
            class: None,
            body: body.to_owned(),
        };
        Self::Single { event: Arc::new(NodeEvent { node: "coordinator".to_owned(), event }), repeats: 0 }
    }

    /// The value of each field, on one line. What is unknown is empty.
    pub(crate) fn fields(&self) -> Map<String, Value> {
        match self {
            Self::Single { event, repeats } => single(&Facts::of(event), *repeats),
            Self::Digest(sum) => digest(sum),
        }
    }
}

fn single(facts: &Facts<'_>, repeats: u64) -> Map<String, Value> {
    let value = |field: &str| -> Value {
        match field {
            "kind" => facts.kind.as_str().into(),
            "time" => rfc3339(facts.time).into(),
            "node" => crate::text::shown(facts.node, FIELD).into(),
            "source" => facts.about().unwrap_or_default().into(),
            "title" => facts.title().into(),
            "class" => facts.class.map_or("", |class| class.as_str()).into(),
            "severity" => facts.severity().into(),
            "confidence" => facts.confidence().into(),
            "count" => facts.count().into(),
            "repeats" => repeats.into(),
            "action" => facts.action(FIELD).into(),
            "reason" => facts.reason(FIELD).into(),
            other => facts.word(other, FIELD).unwrap_or_default().into(),
        }
    };
    SINGLE.iter().map(|field| ((*field).to_owned(), value(field))).collect()
}

fn digest(sum: &Summary) -> Map<String, Value> {
    let Summary { total, repeats, first, last, classes, sources, nodes } = sum;
    let values: [Value; 8] = [
        "digest".into(),
        (*total).into(),
        (*repeats).into(),
        rfc3339(*first).into(),
        rfc3339(*last).into(),
        classes.line().into(),
        sources.line().into(),
        nodes.line().into(),
    ];
    DIGEST.iter().map(|field| (*field).to_owned()).zip(values).collect()
}

/// A field as a text.
pub(crate) fn as_text(fields: &Map<String, Value>, field: &str) -> String {
    match fields.get(field) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(value) => value.to_string(),
    }
}
