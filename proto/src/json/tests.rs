use smartfw_core::{
    Action, BlockId, Class, Detector, Evidence, HealthLevel, Origin, Reason, Service, Strength,
    order::{EnforcementState, Mode},
    verdict::Protocol,
};

use super::*;
use crate::view::Coordinator;

const NOON: Time = Time::from_nanos(1_769_860_800_123_456_789); // 2026-01-31T12:00:00.123456789Z

fn an_alert() -> Alert {
    Alert {
        id: BlockId(0xab),
        time: NOON,
        node: "web-1".into(),
        subject: Subject::Source("203.0.113.7".parse().unwrap()),
        class: Class::PortScan,
        confidence: 0.97,
        detector: Detector::Rules,
        evidence: Some(Evidence::Handshake),
        count: 1,
        reason: Reason {
            rule: "port_scan.ports".into(),
            measured: 312.0,
            limit: 15.0,
            text: "312 ports in 4.1 s".into(),
        },
        features: Features { distinct_ports: 312.0, syn_share: 0.5, ..Features::default() },
        action: Action::Block,
        note: String::new(),
    }
}

fn a_block() -> Block {
    Block {
        id: BlockId(0xab),
        target: "203.0.113.7/32".parse().unwrap(),
        class: Class::PortScan,
        origin: Origin("web-1".into()),
        confidence: 0.97,
        strength: Strength::Hard,
        detector: Detector::Rules,
        evidence: Some(Evidence::Handshake),
        reason: "312 ports in 4.1 s".into(),
        since: NOON,
        expires: None,
        level: 1,
    }
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn an_alert_about_a_source_has_the_agreed_form() {
    let text = alert(&an_alert()).to_string();
    assert!(text.starts_with(
        r#"{"kind":"alert","time":"2026-01-31T12:00:00.123456Z","id":"00000000000000ab","node":"web-1","source":"203.0.113.7","class":"port_scan","confidence":0.97,"detector":"rules","evidence":"handshake","count":1,"reason":"312 ports in 4.1 s","features":{"packets_per_second":0.0,"#
    ), "{text}");
    assert!(text.ends_with(r#""open_connections":0.0},"action":"block"}"#), "{text}");
}

#[test]
fn an_alert_about_a_destination_has_no_source() {
    let service = Service { address: "10.0.0.5".parse().unwrap(), port: 80, protocol: Protocol::Tcp };
    let subject = Subject::Destination { service, sources_seen: 4711 };
    let text = alert(&Alert { subject, evidence: None, ..an_alert() }).to_string();
    assert!(
        text.contains(r#""source":null,"destination":"10.0.0.5:80/tcp","sources_seen":4711,"class""#),
        "{text}"
    );
    assert!(text.contains(r#""evidence":null"#), "{text}");
}

#[test]
fn an_alert_says_why_no_more_was_done_only_when_there_is_something_to_say() {
    assert!(alert(&an_alert()).get("note").is_none());
    let value = alert(&Alert { note: "10.0.0.1 is protected".into(), ..an_alert() });
    assert_eq!(value["note"], "10.0.0.1 is protected");
}

#[test]
fn a_window_tells_of_its_source_after_its_features() {
    let report = WindowReport::new(NOON, "203.0.113.7".parse().unwrap(), Features::default());
    let text = window(&report).to_string();
    assert!(
        text.starts_with(
            r#"{"kind":"window","time":"2026-01-31T12:00:00.123456Z","source":"203.0.113.7","features":{"packets_per_second":0.0,"#
        ),
        "{text}"
    );
    assert!(
        text.ends_with(
            r#"},"opinion":null,"suspect":false,"proven":false,"known":false,"port":0,"protocol":"other"}"#
        ),
        "{text}"
    );
    let said = |class| Some(Opinion { class, probability: 0.97, anomaly: 0.4 });
    let benign = window(&WindowReport { opinion: said(None), ..report });
    assert_eq!(benign["opinion"].to_string(), r#"{"class":"benign","probability":0.97,"anomaly":0.4}"#);
    let attack = window(&WindowReport { opinion: said(Some(Class::SlowDos)), ..report });
    assert_eq!(attack["opinion"]["class"], "slow_dos");
}

#[test]
fn a_block_keeps_its_keys_in_order_and_its_prefix_length() {
    let value = block(NOON, &a_block(), 5, 300);
    let expected = [
        "kind",
        "time",
        "id",
        "target",
        "class",
        "origin",
        "confidence",
        "strength",
        "since",
        "expires",
        "level",
        "packets",
        "bytes",
        "reason",
    ];
    assert_eq!(keys(&value), expected);
    assert_eq!(value["target"], "203.0.113.7/32");
    assert_eq!(value["expires"], Value::Null);
    let until = block(NOON, &Block { expires: Some(Time::from_secs(0)), ..a_block() }, 0, 0);
    assert_eq!(until["expires"], "1970-01-01T00:00:00.000000Z");
}

#[test]
fn a_summary_of_several_files_has_no_file() {
    let one = Summary { packets: 1000, elapsed: Duration::from_millis(500), ..Summary::default() };
    let value = summary(&one);
    let expected = [
        "kind",
        "file",
        "suppressed",
        "truncated",
        "packets",
        "bytes",
        "malformed",
        "sources",
        "flows",
        "seconds",
        "packets_per_second",
    ];
    assert_eq!(keys(&value), expected);
    assert_eq!(value["file"], Value::Null);
    assert_eq!(value["packets_per_second"], 2000);
    assert_eq!(summary(&Summary::default())["packets_per_second"], 0);
}

#[test]
fn the_file_comes_right_after_the_kind() {
    let value = with_file(block(NOON, &a_block(), 0, 0), "scan.pcap");
    assert_eq!(&keys(&value)[..3], ["kind", "file", "time"]);
}

#[test]
fn a_status_has_the_agreed_keys() {
    let health = vec![Health { level: HealthLevel::Warn, what: "w".into(), remedy: "d".into() }];
    let node = NodeStatus {
        node: "web-1".into(),
        version: "0.1.0".into(),
        enforcement: EnforcementState::On,
        mode: Mode::Auto,
        enforcer: "iptables".into(),
        interfaces: vec!["eth0".into()],
        uptime: Duration::from_secs(86_400),
        packets: 1,
        lost: 0,
        sources: 2,
        blocked: 3,
        alerts: 4,
        pending: 0,
        cluster: None,
        peers_alive: 0,
        peers_known: 0,
        coordinator: Coordinator::None,
        models: vec![],
        health,
        reverts: None,
    };
    let text = status(&node).to_string();
    assert_eq!(
        text,
        r#"{"node":"web-1","version":"0.1.0","enforcement":"on","mode":"auto","enforcer":"iptables","interfaces":["eth0"],"uptime":86400,"packets":1,"lost":0,"sources":2,"blocked":3,"alerts":4,"pending":0,"cluster":null,"peers_alive":0,"peers_known":0,"coordinator":"none","models":[],"health":[{"level":"warn","what":"w","do":"d"}]}"#
    );
}

#[test]
fn times_survive_the_way_there_and_back() {
    assert_eq!(parse_rfc3339(&rfc3339(NOON)), Some(Time::from_nanos(1_769_860_800_123_456_000)));
    assert_eq!(parse_rfc3339("2026-01-31T13:00:00+01:00"), Some(Time::from_secs(1_769_860_800)));
    assert_eq!(parse_rfc3339("1969-12-31T23:59:59Z"), None);
    assert_eq!(parse_rfc3339("yesterday"), None);
    assert!(rfc3339(Time::NEVER).starts_with("2554-"));
}

#[test]
fn numbers_that_json_cannot_carry_are_zero() {
    assert_eq!(number(f32::NAN).to_string(), "0.0");
    assert_eq!(number(f32::INFINITY).to_string(), "0.0");
    assert_eq!(number(0.1).to_string(), "0.1");
}

#[test]
fn a_line_is_one_line_whatever_the_text_holds() {
    let mut out = Vec::new();
    let reason = Reason { text: "two\nlines \u{1b}[31m".into(), ..an_alert().reason };
    line(&mut out, &alert(&Alert { reason, ..an_alert() })).unwrap();
    assert_eq!(out.iter().filter(|&&byte| byte == b'\n').count(), 1);
    assert!(!out.contains(&0x1b));
}

#[test]
fn json_obeys_no_letter_that_a_terminal_would() {
    let evil = "a\u{9b}31m\u{7f}\u{202e}\u{1b}b\u{2069}ü";
    let value = json!({"reason": evil});
    let expected = "{\"reason\":\"a\\u009b31m\\u007f\\u202e\\u001bb\\u2069ü\"}";
    assert_eq!(text(&value), expected);
    assert_eq!(serde_json::from_str::<Value>(&text(&value)).unwrap(), value);
    let mut bytes = Vec::new();
    line(&mut bytes, &value).unwrap();
    assert_eq!(String::from_utf8(bytes).unwrap(), format!("{expected}\n"));
}
