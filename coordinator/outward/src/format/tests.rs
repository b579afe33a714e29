use proptest::prelude::*;
use serde_json::Value;
use smartfw_core::{Class, Event, EventKind, Time};

use super::*;
use crate::event::tests::{alert, with};

const ALL: [Format; 5] = [Format::Eve, Format::Ecs, Format::Cef, Format::Syslog, Format::CefSyslog];
const STREAM: usize = 64 << 10;
const DATAGRAM: usize = 2048;

fn record(format: Format, told: &NodeEvent, most: usize) -> String {
    String::from_utf8(format.record(told, Facility::default(), most)).unwrap()
}

#[test]
fn suricatas_readers_find_what_they_look_for() {
    let eve: Value = serde_json::from_str(&record(Format::Eve, &alert(), STREAM)).unwrap();
    assert_eq!(eve["timestamp"], "2026-01-31T12:00:00.123456+0000");
    assert_eq!((&eve["event_type"], &eve["src_ip"]), (&"alert".into(), &"203.0.113.7".into()));
    assert_eq!(eve["alert"]["signature"], "SmartFW port scan");
    assert_eq!(eve["alert"]["category"], "Detection of a Network Scan");
    assert_eq!((&eve["alert"]["action"], &eve["alert"]["severity"]), (&"blocked".into(), &3.into()));
    assert_eq!(eve["smartfw"]["features"]["ports"], 312);
    let service = record(Format::Eve, &with("destination", "10.0.0.5:80/tcp"), STREAM);
    assert!(service.contains(r#""dest_ip":"10.0.0.5","dest_port":80,"proto":"TCP""#), "{service}");
}

#[test]
fn elastics_readers_find_what_they_look_for() {
    let ecs: Value = serde_json::from_str(&record(Format::Ecs, &alert(), STREAM)).unwrap();
    assert_eq!(ecs["@timestamp"], "2026-01-31T12:00:00.123456Z");
    assert_eq!(ecs["ecs"]["version"], "8.17.0");
    assert_eq!(ecs["event"]["kind"], "alert");
    assert_eq!(ecs["event"]["category"], serde_json::json!(["intrusion_detection", "network"]));
    assert_eq!(ecs["event"]["type"], serde_json::json!(["denied"]));
    assert_eq!(ecs["event"]["risk_score"], 97.0);
    assert_eq!((&ecs["source"]["ip"], &ecs["rule"]["name"]), (&"203.0.113.7".into(), &"port_scan".into()));
    assert_eq!(ecs["observer"]["name"], "web-1");
}

#[test]
fn a_cef_record_reads_as_the_standard_writes_it() {
    assert_eq!(
        record(Format::Cef, &alert(), STREAM),
        format!(
            "CEF:0|SmartFW|SmartFW|{}|port_scan|port scan|4|rt=1769860800123 cat=alert dvchost=web-1 \
             src=203.0.113.7 act=block cnt=3 externalId=a1 cfp1Label=confidence cfp1=0.97 cs1Label=detector \
             cs1=rules msg=312 ports in 4.1 s",
            env!("CARGO_PKG_VERSION")
        )
    );
    let six = record(Format::Cef, &with("source", "2001:db8::7"), STREAM);
    assert!(six.contains(" c6a2Label=Source IPv6 Address c6a2=2001:db8::7 "), "{six}");
}

#[test]
fn a_syslog_message_reads_as_the_rfc_writes_it() {
    assert_eq!(
        record(Format::Syslog, &alert(), STREAM),
        "<133>1 2026-01-31T12:00:00.123456Z web-1 smartfw - alert [smartfw@32473 id=\"a1\" node=\"web-1\" \
         class=\"port_scan\" source=\"203.0.113.7\" target=\"203.0.113.7/32\" action=\"block\" \
         confidence=\"0.97\" detector=\"rules\" count=\"3\"] port scan by 203.0.113.7 on web-1 (block): 312 \
         ports in 4.1 s"
    );
}

#[test]
fn a_message_begins_with_the_bom_only_where_it_is_no_ascii() {
    let message =
        |told: &NodeEvent| record(Format::Syslog, told, STREAM).split_once("] ").unwrap().1.to_owned();
    assert!(message(&with("reason", "zuviele Schlüssel")).starts_with("\u{feff}port scan"));
    assert!(message(&alert()).starts_with("port scan"));
}

#[test]
fn the_marks_of_each_format_are_escaped() {
    let told = with("reason", "a=b|c\\d] \"e\"");
    let message = " msg=a\\=b|c\\\\d] \"e\"";
    assert!(record(Format::Cef, &told, STREAM).ends_with(message));
    let told = with("id", "a]\"\\");
    assert!(record(Format::Syslog, &told, STREAM).contains(r#"id="a\]\"\\" node="#));
}

#[test]
fn what_is_too_long_for_a_datagram_is_shortened_and_stays_whole() {
    let told = with("reason", "ü".repeat(5000));
    for format in ALL {
        let long = record(format, &told, STREAM);
        let short = record(format, &told, DATAGRAM);
        assert!(short.len() <= DATAGRAM && short.contains("üü"), "{format:?}: {short}");
        assert!(long.len() > short.len() || matches!(format, Format::Cef | Format::CefSyslog), "{format:?}");
    }
    let eve: Value = serde_json::from_str(&record(Format::Eve, &told, DATAGRAM)).unwrap();
    assert_eq!(eve["smartfw"]["shortened"], true);
    assert_eq!(eve["smartfw"]["id"], "a1");
}

#[test]
fn a_facility_is_one_of_the_table() {
    assert!(Facility::new(23).is_some() && Facility::new(24).is_none());
}

proptest! {
    #[test]
    fn nothing_that_an_event_says_breaks_a_record(told in hostile()) {
        for most in [STREAM, DATAGRAM] {
            for format in ALL {
                let record = record(format, &told, most);
                prop_assert!(record.len() <= most, "{:?}: {} bytes", format, record.len());
                prop_assert!(!record.chars().any(char::is_control), "{:?}: {:?}", format, record);
                match format {
                    Format::Eve | Format::Ecs => {
                        let read: Value = serde_json::from_str(&record).unwrap();
                        prop_assert_eq!(&read["smartfw"].is_object(), &true);
                    }
                    Format::Cef => prop_assert!(is_cef(&record), "{}", record),
                    Format::Syslog => prop_assert!(message_of(&record).is_some(), "{}", record),
                    Format::CefSyslog => {
                        let message = message_of(&record).expect("a message");
                        prop_assert!(is_cef(message.trim_start_matches('\u{feff}')), "{}", record);
                    }
                }
            }
        }
    }
}

/// Reads a CEF record as a receiver does: seven fields, then pairs whose values have no bare `=`.
fn is_cef(record: &str) -> bool {
    let mut fields = 0;
    let mut escaped = false;
    let mut extension = "";
    for (at, letter) in record.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '|' => fields += 1,
            _ => {}
        }
        if fields == 7 {
            extension = &record[at + 1..];
            break;
        }
    }
    let bare = extension.replace(r"\\", "").replace(r"\=", "");
    let known =
        ["rt", "cat", "dvchost", "src", "c6a2Label", "c6a2", "dst", "c6a3Label", "c6a3", "dpt", "proto"];
    let more = ["act", "cnt", "externalId", "cfp1Label", "cfp1", "cs1Label", "cs1", "cs2Label", "cs2", "msg"];
    let mut parts = bare.split('=');
    // What stands before each `=` ends with a key of ours; the last part is a value.
    let keys: Vec<&str> = parts.by_ref().map(|part| part.rsplit(' ').next().unwrap_or(part)).collect();
    let all_ours = keys[..keys.len() - 1].iter().all(|key| known.contains(key) || more.contains(key));
    fields == 7 && record.starts_with("CEF:0|SmartFW|SmartFW|") && all_ours && !bare.contains('\\')
}

/// Reads a syslog message as section 6 of RFC 5424 defines it, and gives its MSG.
fn message_of(record: &str) -> Option<&str> {
    let (priority, rest) = record.strip_prefix('<')?.split_once(">1 ")?;
    (priority.parse::<u16>().ok()? < 192).then_some(())?;
    let mut words = rest.splitn(6, ' ');
    let [time, host, app, process, id] = [(); 5].map(|()| words.next().unwrap_or_default());
    let ascii = [(host, 255), (app, 48), (process, 128), (id, 32)];
    let fits = |(word, most): &(&str, usize)| {
        !word.is_empty() && word.len() <= *most && word.bytes().all(|byte| byte.is_ascii_graphic())
    };
    (json::parse_rfc3339(time).is_some() && ascii.iter().all(fits)).then_some(())?;
    let mut rest = words.next()?.strip_prefix("[smartfw@32473")?;
    while let Some(parameter) = rest.strip_prefix(' ') {
        let (name, value) = parameter.split_once("=\"")?;
        (name.len() <= 32 && name.bytes().all(|byte| byte.is_ascii_lowercase())).then_some(())?;
        rest = after_value(value)?;
    }
    let message = rest.strip_prefix("] ")?;
    (message.is_ascii() || message.starts_with('\u{feff}')).then_some(message)
}

/// What follows the quote that ends a PARAM-VALUE.
fn after_value(value: &str) -> Option<&str> {
    let mut escaped = false;
    for (at, letter) in value.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(&value[at + 1..]),
            ']' => return None,
            _ => {}
        }
    }
    None
}

/// Text with everything that ever broke a log.
fn nasty() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<char>().prop_map(String::from),
        "[\\x00-\\x1f|=\"\\\\\\]\\[<>&%{}]{1,8}",
        Just("\u{202e}\u{2028}\u{feff}\u{85}".to_owned()),
        Just(" src=10.0.0.1 msg=".to_owned()),
        Just("\n<13>1 - - - - - -".to_owned()),
        Just("x".repeat(10_000)),
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

fn hostile() -> impl Strategy<Value = NodeEvent> {
    let keys = ["id", "reason", "action", "detector", "source", "destination", "what", "level", "x"];
    let body = prop::collection::vec((prop::sample::select(keys.to_vec()), nasty()), 0..9)
        .prop_map(|pairs| {
            Value::Object(pairs.into_iter().map(|(key, text)| (key.into(), text.into())).collect())
        })
        .prop_map(|body| body.to_string());
    let body = prop_oneof![4 => body, 1 => nasty(), 1 => (0..200_usize).prop_map(|deep| "[".repeat(deep))];
    let kind = prop::sample::select(EventKind::ALL);
    let class = prop::option::of(prop::sample::select(Class::ALL));
    let address = prop::sample::select(vec!["203.0.113.7/32", "2001:db8::/48", "10.0.0.0/8", ""]);
    (nasty(), body, kind, class, address, any::<u64>()).prop_map(|(node, body, kind, class, address, at)| {
        let (address, time) = (address.parse().ok(), Time::from_nanos(at));
        NodeEvent { node, event: Event { sequence: 1, time, kind, address, class, body } }
    })
}
