//! The Elastic Common Schema 8 (elastic.co/guide/en/ecs/8.17): nested objects, allowed values of `event.kind`,
//! `event.category` and `event.type` only.

use serde_json::{Map, Value, json};
use smartfw_core::{Class, EventKind};
use smartfw_proto::json::rfc3339;

use super::{Facts, Room, eve::own};
use crate::{event::Destination, text};

/// The version of the schema that these fields are from.
const VERSION: &str = "8.17.0";

pub(super) fn record(facts: &Facts<'_>, room: Room) -> Value {
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    put("@timestamp", rfc3339(facts.time).into());
    put("ecs", json!({"version": VERSION}));
    put("message", facts.reason(room.reason).into());
    put("event", event(facts, room));
    if let Some(source) = facts.source {
        put("source", json!({"ip": source.to_string(), "address": source.to_string()}));
        put("related", json!({"ip": [source.to_string()]}));
    } else if let Some(target) = facts.target.filter(|_| facts.destination.is_none()) {
        // `source.ip` takes no prefix.
        put("source", json!({"address": target.to_string()}));
    }
    if let Some(Destination { address, port, protocol }) = facts.destination {
        put("destination", json!({"ip": address.to_string(), "port": port}));
        put("network", json!({"transport": protocol.as_str()}));
    }
    if let Some(class) = facts.class {
        put("rule", rule(facts, class, room));
    }
    let name = text::cut(facts.node, room.word);
    put("observer", json!({"name": name, "type": "firewall", "vendor": "SmartFW", "product": "SmartFW"}));
    put("smartfw", own(facts, room));
    Value::Object(object)
}

fn event(facts: &Facts<'_>, room: Room) -> Value {
    let (category, kind_of) = sorts(facts);
    json!({
        "kind": if facts.kind == EventKind::Alert { "alert" } else { "event" },
        "category": category,
        "type": kind_of,
        "action": facts.action(room.word),
        "id": facts.text("id").map(|id| text::cut(id, room.word)),
        "severity": facts.severity(),
        "risk_score": facts.confidence().map(|confidence| confidence * 100.0),
        "module": "smartfw",
        "dataset": format!("smartfw.{}", facts.kind),
        "provider": facts.word("detector", room.word),
    })
}

/// `event.category` and `event.type`: each type is one that the schema expects in its category.
fn sorts(facts: &Facts<'_>) -> (Value, Value) {
    match facts.kind {
        EventKind::Alert if facts.is_blocked() => {
            (json!(["intrusion_detection", "network"]), json!(["denied"]))
        }
        EventKind::Alert => (json!(["intrusion_detection", "network"]), json!(["info"])),
        EventKind::Block => (json!(["network"]), json!(["denied"])),
        EventKind::Lift => (json!(["network"]), json!(["info"])),
        EventKind::Health => (json!(["host"]), json!(["info"])),
        EventKind::Audit => (json!(["configuration"]), json!(["change"])),
    }
}

fn rule(facts: &Facts<'_>, class: Class, room: Room) -> Value {
    json!({
        "name": class.as_str(),
        "category": facts.title(),
        "ruleset": facts.word("detector", room.word),
    })
}
