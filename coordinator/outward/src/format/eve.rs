//! Suricata's eve.json, as docs.suricata.io describes it under "EVE JSON Format".

use serde_json::{Map, Value, json};
use smartfw_core::{Class, EventKind};
use smartfw_proto::json::rfc3339;

use super::{Facts, Room};
use crate::{event::Destination, text};

/// Numbers of signatures from 1,000,000 to 1,999,999 are for local use (sidallocation.org).
const FIRST_SIGNATURE: usize = 1_000_001;

/// An alert is Suricata's `alert`; for what Suricata does not know `event_type` is the event's kind.
pub(super) fn record(facts: &Facts<'_>, room: Room) -> Value {
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    // Suricata writes the offset as +0000.
    put("timestamp", rfc3339(facts.time).replace('Z', "+0000").into());
    put("event_type", facts.kind.as_str().into());
    put("host", text::cut(facts.node, room.word).into());
    if let Some(source) = facts.source {
        put("src_ip", source.to_string().into());
    }
    if let Some(Destination { address, port, protocol }) = facts.destination {
        put("dest_ip", address.to_string().into());
        put("dest_port", port.into());
        put("proto", protocol.as_str().to_uppercase().into());
    }
    if facts.kind == EventKind::Alert {
        put("alert", alert(facts));
    }
    put("smartfw", own(facts, room));
    Value::Object(object)
}

fn alert(facts: &Facts<'_>) -> Value {
    let place = Class::ALL.iter().position(|class| Some(*class) == facts.class);
    json!({
        "action": if facts.is_blocked() { "blocked" } else { "allowed" },
        "gid": 1,
        "signature_id": FIRST_SIGNATURE + place.unwrap_or(Class::ALL.len()),
        "rev": 1,
        "signature": format!("SmartFW {}", facts.title()),
        "category": facts.class.map_or("Unknown Traffic", category),
        "severity": match facts.severity() { 8.. => 1, 5.. => 2, _ => 3 },
    })
}

/// The nearest of the classes in Suricata's `classification.config`.
const fn category(class: Class) -> &'static str {
    match class {
        Class::PortScan => "Detection of a Network Scan",
        Class::BruteForce => "Attempted User Privilege Gain",
        Class::SlowDos | Class::HttpFlood | Class::NetFlood => "Attempted Denial of Service",
        Class::Botnet => "A Network Trojan was detected",
        Class::WebAttack => "Web Application Attack",
        Class::Infiltration => "Successful Administrator Privilege Gain",
        Class::Anomaly | Class::Feed => "Potentially Bad Traffic",
        Class::Manual => "Misc activity",
    }
}

/// What SmartFW itself says: the whole body where there is room.
pub(super) fn own(facts: &Facts<'_>, room: Room) -> Value {
    if room.body {
        return Value::Object(facts.body().clone());
    }
    json!({
        "kind": facts.kind.as_str(),
        "id": facts.text("id").map(|id| text::cut(id, room.word)),
        "target": facts.target.map(|target| target.to_string()),
        "class": facts.class.map(Class::as_str),
        "confidence": facts.confidence(),
        "reason": facts.reason(room.reason),
        "shortened": true,
    })
}
