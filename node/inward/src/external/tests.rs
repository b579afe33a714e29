use proptest::prelude::*;
use smartfw_core::{Class, Evidence, Subject};

use super::*;

/// 2026-11-30T00:00:00Z.
const NOW: Time = Time::from_secs(1_795_996_800);

fn hear(form: Form, line: &str) -> (Option<Verdict>, Heard) {
    let mut listener = Listener::new(form, 600);
    let verdict = listener.hear(NOW, line.as_bytes());
    (verdict, listener.heard())
}

/// An alert of Suricata's, with something else in place of a part of it.
fn eve(part: &str, other: &str) -> String {
    let line = r#"{"timestamp":"2026-11-29T23:59:59.251547+0000","flow_id":586497171462735,"event_type":"alert","src_ip":"203.0.113.7","src_port":50096,"dest_ip":"192.0.2.1","dest_port":80,"proto":"TCP","direction":"to_server","alert":{"action":"allowed","gid":1,"signature_id":2018358,"rev":10,"signature":"ET WEB_SERVER attack","category":"Web Application Attack","severity":1},"app_proto":"http","flow":{"pkts_toserver":4,"pkts_toclient":3,"bytes_toserver":1,"bytes_toclient":2,"start":"x"}}"#;
    assert!(line.contains(part), "{part}");
    line.replace(part, other)
}

fn suricata(part: &str, other: &str) -> Option<Verdict> {
    hear(Form::Suricata, &eve(part, other)).0
}

fn source(verdict: Option<Verdict>) -> String {
    match verdict.unwrap().subject {
        Subject::Source(address) => address.to_string(),
        subject @ Subject::Destination { .. } => panic!("{subject:?}"),
    }
}

#[test]
fn an_alert_of_suricata_becomes_a_verdict() {
    let verdict = suricata("", "").unwrap();
    assert_eq!(verdict.subject, Subject::Source([203, 0, 113, 7].into()));
    assert_eq!((verdict.class, verdict.evidence), (Class::WebAttack, Some(Evidence::Handshake)));
    assert_eq!(verdict.detector, smartfw_core::Detector::External);
    assert_eq!(verdict.reason.text, "suricata: ET WEB_SERVER attack");
    assert_eq!((verdict.reason.rule.as_str(), verdict.confidence), ("suricata.1:2018358", 0.95));
    assert_eq!(NOW.since(verdict.at).as_millis(), 748);
}

#[test]
fn only_an_answered_tcp_flow_proves_the_address() {
    for (part, other) in [
        ("\"pkts_toclient\":3", "\"pkts_toclient\":0"),
        ("\"pkts_toserver\":4", "\"pkts_toserver\":1"),
        ("\"proto\":\"TCP\"", "\"proto\":\"UDP\""),
        (
            ",\"flow\":{\"pkts_toserver\":4,\"pkts_toclient\":3,\"bytes_toserver\":1,\"bytes_toclient\":2,\"start\":\"x\"}",
            "",
        ),
    ] {
        assert_eq!(suricata(part, other).unwrap().evidence, Some(Evidence::Spoofable), "{other}");
    }
}

#[test]
fn who_began_is_the_attacker_unless_the_rule_names_another() {
    let answer = "\"src_ip\":\"192.0.2.1\",\"src_port\":80,\"dest_ip\":\"203.0.113.7\"";
    let line = |flow: &str, alert: &str| {
        eve("\"src_ip\":\"203.0.113.7\",\"src_port\":50096,\"dest_ip\":\"192.0.2.1\"", answer)
            .replace("\"direction\":\"to_server\"", "\"direction\":\"to_client\"")
            .replace("\"pkts_toserver\":4", flow)
            .replace("\"gid\":1", alert)
    };
    let heard = |line: String| source(hear(Form::Suricata, &line).0);
    let plain = "\"pkts_toserver\":4";
    assert_eq!(heard(line(plain, "\"gid\":1")), "203.0.113.7", "by the direction");
    let began = "\"pkts_toserver\":4,\"src_ip\":\"203.0.113.7\"";
    assert_eq!(heard(line(began, "\"gid\":1")), "203.0.113.7", "by the flow");
    let named = "\"gid\":1,\"source\":{\"ip\":\"192.0.2.1\",\"port\":80}";
    assert_eq!(heard(line(began, named)), "192.0.2.1", "by the rule");
    let third = "\"gid\":1,\"source\":{\"ip\":\"198.51.100.9\"}";
    assert_eq!(heard(line(began, third)), "203.0.113.7", "nobody is framed who was not there");
}

#[test]
fn what_is_no_attack_is_passed_over() {
    for (part, other) in [
        ("\"event_type\":\"alert\"", "\"event_type\":\"flow\""),
        ("\"severity\":1", "\"severity\":3"),
        ("Web Application Attack", "Misc activity"),
    ] {
        let (verdict, heard) = hear(Form::Suricata, &eve(part, other));
        assert_eq!((verdict, heard), (None, Heard { others: 1, ..Heard::default() }), "{other}");
    }
}

#[test]
fn what_cannot_be_read_is_counted() {
    for (part, other) in [
        ("203.0.113.7", "203.0.113.700"),
        ("\"severity\":1", "\"severity\":\"high\""),
        ("2026-11-29T23:59:59.251547+0000", "yesterday"),
        ("}}", ""),
    ] {
        assert_eq!(hear(Form::Suricata, &eve(part, other)).1.unreadable, 1, "{other}");
    }
    assert_eq!(hear(Form::Suricata, "").1.unreadable, 1);
    assert_eq!(hear(Form::Events, "[]").1.unreadable, 1);
}

#[test]
fn the_classes_of_suricata_are_those_of_this_program() {
    for (category, class) in [
        ("Detection of a Network Scan", Class::PortScan),
        ("Attempted Denial of Service", Class::NetFlood),
        ("Attempt to login by a default username and password", Class::BruteForce),
        ("Malware Command and Control Activity Detected", Class::Botnet),
        ("Attempted Administrator Privilege Gain", Class::WebAttack),
    ] {
        assert_eq!(suricata("Web Application Attack", category).unwrap().class, class, "{category}");
    }
    let line = eve("\"app_proto\":\"http\"", "\"app_proto\":\"smb\"")
        .replace("Web Application Attack", "Attempted Administrator Privilege Gain");
    assert_eq!(hear(Form::Suricata, &line).0.unwrap().class, Class::Infiltration);
}

fn event(part: &str, other: &str) -> (Option<Verdict>, Heard) {
    let line = r#"{"kind":"alert","time":"2026-11-30T00:00:00.000Z","id":"1","node":"web-1","source":"203.0.113.7","class":"port_scan","confidence":0.97,"detector":"rules","evidence":"handshake","count":1,"reason":"312 ports in 4.1 s","features":{},"action":"block"}"#;
    assert!(line.contains(part), "{part}");
    hear(Form::Events, &line.replace(part, other))
}

#[test]
fn an_alert_of_events_becomes_a_verdict() {
    let verdict = event("", "").0.unwrap();
    assert_eq!(verdict.subject, Subject::Source([203, 0, 113, 7].into()));
    assert_eq!((verdict.class, verdict.evidence), (Class::PortScan, Some(Evidence::Handshake)));
    assert_eq!(verdict.detector, smartfw_core::Detector::External);
    assert_eq!(event("\"handshake\"", "null").0.unwrap().evidence, None);
    assert_eq!(source(event("203.0.113.7", "::ffff:203.0.113.7").0), "203.0.113.7");
    assert_eq!(event("312", "\\u001b[31m").0.unwrap().reason.text, " [31m ports in 4.1 s");
}

#[test]
fn events_that_say_too_much_or_too_little_are_not_heard() {
    for (part, other) in [
        ("\"source\":\"203.0.113.7\"", "\"source\":null"),
        ("\"kind\":\"alert\"", "\"kind\":\"block\""),
        ("port_scan", "manual"),
        ("port_scan", "feed"),
    ] {
        assert_eq!(event(part, other).1.others, 1, "{other}");
    }
    for (part, other) in [
        ("\"source\":\"203.0.113.7\"", "\"source\":\"203.0.113.0/24\""),
        ("0.97", "1.01"),
        ("0.97", "-0.1"),
        ("port_scan", "port-scan"),
        ("\"handshake\"", "\"certain\""),
        ("2026-11-30T00:00:00.000Z", "0"),
    ] {
        assert_eq!(event(part, other).1.unreadable, 1, "{other}");
    }
}

#[test]
fn what_is_old_is_not_acted_on_and_what_is_ahead_is_now() {
    assert_eq!(event("2026-11-30T00:00:00", "2026-11-29T23:49:59").1.stale, 1);
    assert!(event("2026-11-30T00:00:00", "2026-11-29T23:50:01").0.is_some());
    assert_eq!(event("2026-11-30T00:00:00", "2026-11-30T05:00:00").0.unwrap().at, NOW);
}

#[test]
fn so_many_alerts_a_minute_are_heard_and_no_more() {
    let mut listener = Listener::new(Form::Suricata, 60);
    let line = eve("", "");
    let mut hear = |now: Time| listener.hear(now, line.as_bytes()).is_some();
    assert_eq!((0..100).filter(|_| hear(NOW)).count(), 60);
    assert_eq!((0..100).filter(|_| hear(NOW.after(Duration::from_secs(10)))).count(), 10);
    assert_eq!(listener.heard(), Heard { verdicts: 70, over: 130, ..Heard::default() });
}

#[test]
fn a_long_signature_is_cut_at_a_letters_end() {
    let verdict = suricata("ET WEB_SERVER attack", &"ä".repeat(5000)).unwrap();
    assert!(verdict.reason.text.len() <= 200 && verdict.reason.text.ends_with('ä'));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0..500_usize) {
        let mut line = eve("", "").into_bytes();
        let at = at.min(line.len());
        let _ = line.splice(at..at, bytes.iter().copied());
        for form in [Form::Suricata, Form::Events] {
            let _ = Listener::new(form, 1).hear(NOW, &bytes);
            let _ = Listener::new(form, 1).hear(NOW, &line);
        }
    }

    #[test]
    fn no_text_of_a_time_panics(text in "\\PC{0,40}") {
        let _ = event("2026-11-30T00:00:00.000Z", &text.replace(['"', '\\'], ""));
    }
}
