//! An event, and what the formats and messages want to know of it.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use serde_json::{Map, Value};
use smartfw_core::{Class, Event, EventKind, IpNet, Time, verdict::Protocol};

use crate::text;

/// A body that is nested deeper goes out as text: most readers of JSON give up at about a hundred levels.
const DEEPEST: usize = 16;

/// An event, and the node that it happened on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeEvent {
    /// The node's name.
    pub node: String,
    /// What happened.
    pub event: Event,
}

/// How much room the free texts have; less where a record must fit into a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// Bytes of the reason.
    pub(crate) reason: usize,
    /// Bytes of each other text.
    pub(crate) word: usize,
    /// Whether the whole body goes along.
    pub(crate) body: bool,
}

impl Room {
    /// From as much as anybody wants to as little as always fits.
    pub(crate) const ALL: [Self; 4] = [
        Self { reason: 16 << 10, word: 255, body: true },
        Self { reason: 1024, word: 255, body: false },
        Self { reason: 256, word: 64, body: false },
        Self { reason: 32, word: 32, body: false },
    ];
}

/// The service that an attack of many sources is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    pub(crate) address: IpAddr,
    /// None where the protocol has no ports.
    pub(crate) port: Option<u16>,
    pub(crate) protocol: Protocol,
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}/{}", SocketAddr::new(self.address, port), self.protocol),
            None => write!(f, "{}/{}", self.address, self.protocol),
        }
    }
}

/// An event, read once.
#[derive(Clone, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) node: &'a str,
    pub(crate) time: Time,
    pub(crate) kind: EventKind,
    pub(crate) class: Option<Class>,
    pub(crate) target: Option<IpNet>,
    pub(crate) source: Option<IpAddr>,
    pub(crate) destination: Option<Destination>,
    body: Map<String, Value>,
}

impl<'a> Facts<'a> {
    pub(crate) fn of(told: &'a NodeEvent) -> Self {
        let NodeEvent { node, event } = told;
        let body = read_body(&event.body);
        let service = body.get("destination").and_then(Value::as_str).and_then(service);
        let named = body.get("source").and_then(Value::as_str).and_then(|text| text.parse().ok());
        let of_address = event.address.filter(|_| service.is_none()).and_then(host);
        Self {
            node,
            time: event.time,
            kind: event.kind,
            class: event.class,
            target: event.address,
            source: named.or(of_address),
            destination: service,
            body,
        }
    }

    /// The body, as an object in any case.
    pub(crate) fn body(&self) -> &Map<String, Value> {
        &self.body
    }

    /// A text of the body.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.body.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// A text of the body that a terminal can show, of so many bytes at most.
    pub(crate) fn word(&self, key: &str, most: usize) -> Option<String> {
        self.text(key).map(|text| text::shown(text, most))
    }

    /// How sure, from 0 to 1.
    pub(crate) fn confidence(&self) -> Option<f64> {
        self.body.get("confidence").and_then(Value::as_f64).filter(|number| (0.0..=1.0).contains(number))
    }

    /// How many verdicts the episode has seen.
    pub(crate) fn count(&self) -> Option<u64> {
        self.body.get("count").and_then(Value::as_u64)
    }

    /// Why, or what: the sentence of the event.
    pub(crate) fn reason(&self, most: usize) -> String {
        let said = ["reason", "what", "text"].into_iter().find_map(|key| self.text(key));
        text::shown(said.unwrap_or_default(), most)
    }

    /// What was done: the alert's action, or what the event is.
    pub(crate) fn action(&self, most: usize) -> String {
        self.word("action", most).unwrap_or_else(|| self.kind.as_str().to_owned())
    }

    /// Whether the kernel stops the source's packets because of this.
    pub(crate) fn is_blocked(&self) -> bool {
        self.kind == EventKind::Block || self.text("action") == Some("block")
    }

    /// What it is, for people: `port scan`, `health`.
    pub(crate) fn title(&self) -> String {
        self.class.map_or(self.kind.as_str(), Class::as_str).replace('_', " ")
    }

    /// Whom it is about, as far as one knows.
    pub(crate) fn about(&self) -> Option<String> {
        let source = self.source.map(|source| source.to_string());
        source
            .or_else(|| self.destination.map(|to| to.to_string()))
            .or_else(|| self.target.map(|target| target.to_string()))
    }

    /// How bad, from 0 to 10, as CEF counts. Break-ins before attempts, attempts before looking around.
    pub(crate) fn severity(&self) -> u8 {
        match (self.kind, self.text("level")) {
            (EventKind::Health, Some("error")) => 8,
            (EventKind::Health, Some("warn")) => 5,
            (EventKind::Health | EventKind::Lift, _) => 2,
            (EventKind::Audit, _) => 3,
            (EventKind::Alert | EventKind::Block, _) => self.class.map_or(3, severity),
        }
    }
}

fn severity(class: Class) -> u8 {
    match class {
        Class::Infiltration => 10,
        Class::Botnet => 9,
        Class::WebAttack => 8,
        Class::BruteForce | Class::NetFlood => 7,
        Class::HttpFlood | Class::SlowDos => 6,
        Class::Feed => 5,
        Class::PortScan | Class::Anomaly => 4,
        Class::Manual => 3,
    }
}

/// `10.0.0.5:80/tcp`, `10.0.0.5/icmp`, as an alert names a service.
fn service(text: &str) -> Option<Destination> {
    let (address, protocol) = text.rsplit_once('/')?;
    let protocol = protocol.parse().ok()?;
    if let Ok(address) = address.parse() {
        return Some(Destination { address, port: None, protocol });
    }
    let socket: SocketAddr = address.parse().ok()?;
    Some(Destination { address: socket.ip(), port: Some(socket.port()), protocol })
}

/// What cannot be used as an object becomes one with a text.
fn read_body(body: &str) -> Map<String, Value> {
    match serde_json::from_str(body) {
        Ok(Value::Object(object)) if object.values().all(|value| is_shallow(value, DEEPEST)) => object,
        _ => Map::from_iter([("text".to_owned(), body.into())]),
    }
}

fn is_shallow(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(values) => levels > 0 && values.iter().all(|value| is_shallow(value, levels - 1)),
        Value::Object(object) => levels > 0 && object.values().all(|value| is_shallow(value, levels - 1)),
        _ => true,
    }
}

/// The address of a prefix that is one.
fn host(net: IpNet) -> Option<IpAddr> {
    (net.prefix_len() == net.max_prefix_len()).then(|| net.addr())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An alert as `alerts` prints it.
    pub(crate) fn alert() -> NodeEvent {
        let body = r#"{"kind":"alert","time":"2026-01-31T12:00:00.123456Z","id":"a1","node":"web-1",
            "source":"203.0.113.7","class":"port_scan","confidence":0.97,"detector":"rules",
            "evidence":"handshake","count":3,"reason":"312 ports in 4.1 s","features":{"ports":312},
            "action":"block"}"#;
        let event = Event {
            sequence: 1,
            time: Time::from_nanos(1_769_860_800_123_456_000),
            kind: EventKind::Alert,
            address: Some("203.0.113.7/32".parse().unwrap()),
            class: Some(Class::PortScan),
            body: body.to_owned(),
        };
        NodeEvent { node: "web-1".to_owned(), event }
    }

    /// The same with something else in its body.
    pub(crate) fn with(key: &str, value: impl Into<Value>) -> NodeEvent {
        let mut told = alert();
        let mut body: Value = serde_json::from_str(&told.event.body).unwrap();
        body[key] = value.into();
        told.event.body = body.to_string();
        told
    }

    #[test]
    fn an_alert_about_a_service_has_a_destination_and_no_source() {
        let to = |destination: &str| {
            let mut told = with("destination", destination);
            told.event.body = told.event.body.replace(r#""203.0.113.7""#, "null");
            let facts = Facts::of(&told);
            assert_eq!(facts.source, None, "{destination}");
            facts.destination
        };
        for service in ["[2001:db8::5]:443/tcp", "10.0.0.5:53/udp", "10.0.0.5/icmp"] {
            assert_eq!(to(service).unwrap().to_string(), service);
        }
    }

    #[test]
    fn what_is_no_service_leaves_the_source_as_it_is() {
        for nonsense in ["", "/tcp", "10.0.0.5:80", "10.0.0.5:80/nothing", "a|b=c\n/tcp"] {
            let told = with("destination", nonsense);
            let facts = Facts::of(&told);
            assert!(facts.destination.is_none() && facts.source.is_some(), "{nonsense}");
        }
    }

    #[test]
    fn what_is_no_object_and_what_is_nested_too_deep_becomes_a_text() {
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(100), "]".repeat(100));
        for body in ["", "no json", "[1]", "\"text\"", deep.as_str()] {
            let mut told = alert();
            told.event.body = body.to_owned();
            assert_eq!(Facts::of(&told).body()["text"], body);
        }
    }

    #[test]
    fn values_of_another_kind_are_as_good_as_none() {
        let told = with("confidence", "very");
        let facts = Facts::of(&told);
        assert_eq!((facts.confidence(), facts.count()), (None, Some(3)));
        let told = with("confidence", 7.5);
        assert_eq!(Facts::of(&told).confidence(), None);
        let told = with("reason", serde_json::json!(["a"]));
        assert_eq!(Facts::of(&told).reason(100), "");
    }

    #[test]
    fn a_break_in_is_worse_than_a_scan_and_a_failing_node_worse_than_a_warning() {
        let told = alert();
        let facts = Facts::of(&told);
        let scan = facts.severity();
        assert!(Facts { class: Some(Class::Infiltration), ..facts.clone() }.severity() > scan);
        let severity = |level: &str| {
            let mut told = with("level", level);
            told.event.kind = EventKind::Health;
            Facts::of(&told).severity()
        };
        assert!(severity("error") > severity("warn") && severity("warn") > severity("info"));
    }
}
