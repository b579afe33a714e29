use std::time::Duration;

use super::*;
use crate::commands::import::pieces::PIECE;

const NOW: Time = Time::from_secs(1_769_860_800); // 2026-01-31T12:00:00Z

fn read(text: impl AsRef<[u8]>) -> Vec<Result<Entry, Bad>> {
    let defaults = Defaults { duration: Some(Duration::from_secs(60)), reason: "imported".into(), now: NOW };
    Entries::new(std::io::Cursor::new(text.as_ref().to_vec()), defaults).collect()
}

/// Line and target of the good ones, line of the bad ones.
fn lines(text: impl AsRef<[u8]>) -> (Vec<(u64, String)>, Vec<u64>) {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for entry in read(text) {
        match entry {
            Ok(entry) => good.push((entry.line, entry.order.target.to_string())),
            Err(one) => bad.push(one.line),
        }
    }
    (good, bad)
}

fn order(text: &str) -> BlockOrder {
    read(text).remove(0).unwrap().order
}

#[test]
fn one_address_a_line_with_comments() {
    let text = "# a list\n203.0.113.7\n\n2001:db8::/48 # a network\n; old style\n  198.51.100.1\t// x\r\n::ffff:10.0.0.1\n";
    let (good, bad) = lines(text);
    let expected = [(2, "203.0.113.7/32"), (4, "2001:db8::/48"), (6, "198.51.100.1/32"), (7, "10.0.0.1/32")];
    assert_eq!(good, expected.map(|(line, target)| (line, target.to_owned())));
    assert!(bad.is_empty());
}

#[test]
fn bad_lines_are_named_and_the_others_are_taken() {
    let (good, bad) = lines("203.0.113.7\nnonsense\n203.0.113.0/33\n\u{1b}[31m\n203.0.113.8\n");
    assert_eq!(good.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 5]);
    assert_eq!(bad, [2, 3, 4]);
}

#[test]
fn csv_with_a_heading_finds_its_columns() {
    let text = "Class,IP,Reason,Duration\nport_scan,203.0.113.7,\"said \"\"so\"\", twice\",10m\nfeed,203.0.113.8,,\n";
    let entries = read(text);
    let first = &entries[0].as_ref().unwrap().order;
    assert_eq!(first.reason, "said \"so\", twice");
    assert_eq!((first.class, first.duration), (Class::PortScan, Some(Duration::from_secs(600))));
    let second = &entries[1].as_ref().unwrap().order;
    assert_eq!((second.class, second.duration), (Class::Feed, Some(Duration::from_secs(60))));
    assert_eq!(second.reason, "imported");
}

#[test]
fn csv_without_a_heading_is_target_duration_reason() {
    let order = order("203.0.113.7,3600,because");
    assert_eq!((order.duration, order.reason.as_str()), (Some(Duration::from_secs(3600)), "because"));
}

#[test]
fn json_lines_are_taken_as_the_export_writes_them() {
    let text = r#"{"kind":"block","target":"203.0.113.7/32","class":"slow_dos","expires":"2026-01-31T13:00:00Z","reason":"why"}
{"target":"203.0.113.8","expires":null}
{"target":"203.0.113.9","duration":7200}
{"target":"203.0.113.10","duration":"forever"}
{"target":"203.0.113.11"}"#;
    let orders: Vec<_> = read(text).into_iter().map(|entry| entry.unwrap().order).collect();
    let durations: Vec<_> =
        orders.iter().map(|order| order.duration.map(|duration| duration.as_secs())).collect();
    assert_eq!(durations, [Some(3600), None, Some(7200), None, Some(60)]);
    assert_eq!((orders[0].class, orders[0].reason.as_str()), (Class::SlowDos, "why"));
}

#[test]
fn a_soft_block_of_an_export_is_passed_over_and_counted() {
    let text = "{\"target\":\"203.0.113.7\",\"strength\":\"soft\"}\n{\"target\":\"203.0.113.8\",\"strength\":\"hard\"}\n";
    let defaults = Defaults { duration: None, reason: String::new(), now: NOW };
    let mut entries = Entries::new(text.as_bytes(), defaults);
    let targets: Vec<_> = entries.by_ref().map(|entry| entry.unwrap().order.target.to_string()).collect();
    assert_eq!((targets, entries.soft()), (vec!["203.0.113.8/32".to_owned()], 1));
}

#[test]
fn a_json_array_is_taken_however_it_is_laid_out() {
    let expected = vec!["203.0.113.7/32".to_owned(), "203.0.113.8/32".to_owned()];
    for text in [
        r#"[{"target":"203.0.113.7"},{"target":"203.0.113.8"}]"#,
        "[\n  {\n    \"target\": \"203.0.113.7\",\n    \"reason\": \"a ] and a , in \\\" it\"\n  },\n  {\"target\": \"203.0.113.8\"}\n]\n",
        r#" ["203.0.113.7", "203.0.113.8"]"#,
        "[\n{\"target\":\"203.0.113.7\"},\n{\"target\":\"203.0.113.8\"}\n]\n",
    ] {
        let (good, bad) = lines(text);
        assert_eq!(good.into_iter().map(|(_, target)| target).collect::<Vec<_>>(), expected, "{text}");
        assert!(bad.is_empty(), "{text}");
    }
    assert_eq!(read("[]"), []);
}

#[test]
fn an_element_of_an_array_knows_its_line() {
    let (good, bad) =
        lines("[\n{\"target\":\"203.0.113.7\"},\n{\"target\":5},\n\n{\"target\":\"203.0.113.8\"}]");
    assert_eq!(good.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 5]);
    assert_eq!(bad, [3]);
}

#[test]
fn hostile_json_is_bad_and_nothing_worse() {
    for text in [
        "{",
        "{}",
        "{\"target\":null}",
        "{\"target\":[]}",
        "[{",
        "[",
        "[[[[",
        "[\"",
        "{\"target\":\"203.0.113.7\",\"duration\":-1}",
        "{\"target\":\"203.0.113.7\",\"duration\":true}",
        "{\"target\":\"203.0.113.7\",\"expires\":\"soon\"}",
        "{\"target\":\"203.0.113.7\",\"expires\":\"2020-01-01T00:00:00Z\"}",
        "{\"target\":\"203.0.113.7\",\"class\":\"benign\"}",
    ] {
        let entries = read(text);
        assert_eq!(entries.len(), 1, "{text}");
        assert!(entries[0].is_err(), "{text}");
    }
    let nested = "[".repeat(10_000);
    assert!(read(nested).iter().all(Result::is_err));
}

#[test]
fn what_is_too_long_is_passed_over_and_named() {
    let text = format!("{}\n203.0.113.7\n", "x".repeat(PIECE * 3));
    let (good, bad) = lines(text);
    assert_eq!((good, bad), (vec![(2, "203.0.113.7/32".to_owned())], vec![1]));
    let element = format!("[\"{}\", \"203.0.113.7\"]", "x".repeat(PIECE));
    assert_eq!(lines(element), (vec![], vec![1]));
    let reason = format!("203.0.113.7,1h,{}", "r".repeat(limits::TEXT + 1));
    assert_eq!(lines(reason), (vec![], vec![1]));
}

#[test]
fn bytes_that_are_no_text_are_bad() {
    let (good, bad) = lines(b"203.0.113.7\n\xff\xfe\n203.0.113.8");
    assert_eq!((good.len(), bad), (2, vec![2]));
}

#[test]
fn no_time_at_all_is_refused_in_every_form() {
    for text in ["{\"target\":\"203.0.113.7\",\"duration\":0}", "203.0.113.7,0"] {
        assert!(read(text)[0].is_err(), "{text}");
    }
}

#[test]
fn a_byte_order_mark_hides_nothing() {
    for text in ["\u{feff}[{\"target\":\"203.0.113.7\"}]", "\u{feff}203.0.113.7\n"] {
        assert_eq!(lines(text), (vec![(1, "203.0.113.7/32".to_owned())], vec![]), "{text}");
    }
}

#[test]
fn an_end_beyond_all_time_is_none() {
    let order = order("{\"target\":\"203.0.113.7\",\"expires\":\"9999-12-31T23:59:59Z\"}");
    assert_eq!(order.duration, None);
}
