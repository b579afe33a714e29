use std::{cell::RefCell, rc::Rc};

use smartfw_core::{
    Block, Features, Reason,
    protect::{Protected, Why},
};
use smartfw_proto::view::BlockRow;

use super::*;
use crate::commands::samples;

fn shown(explanation: &Explanation) -> String {
    let bytes = Rc::new(RefCell::new(Vec::new()));
    let mut output = Output::to(Format::Human, Rc::clone(&bytes));
    human_form(&mut output, explanation, &[]).unwrap();
    String::from_utf8(bytes.take()).unwrap()
}

/// Without the blanks that align columns.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_dropped_source_is_explained_with_the_number_that_decided_and_its_limit() {
    let text = shown(&samples::explanation());
    let headline = text.lines().next().unwrap();
    assert_eq!(
        headline,
        "203.0.113.7 is dropped altogether. Port scan: 312 ports in 4.1 s; for 4m more, on the word of web-1"
    );
    assert!(squeezed(&text).contains("port_scan.ports 312 15 20.8"), "{text}");
    assert!(squeezed(&text).contains("distinct_ports 312 -"), "{text}");
    assert!(text.contains("handshake: the source completed a TCP handshake"), "{text}");
    assert!(text.contains("\n  smartfw-cli unblock 203.0.113.7/32\n"), "{text}");
    assert!(text.contains("--reason false-positive"), "{text}");
    assert!(text.contains("Nothing protects it"), "{text}");
}

#[test]
fn a_models_word_is_explained_by_its_probability_and_what_moved_it() {
    let mut explanation = samples::explanation();
    let alert = &mut explanation.alerts[0];
    (alert.detector, alert.class, alert.confidence) = (Detector::Forest, Class::BruteForce, 0.97);
    alert.reason = Reason {
        rule: "model.forest".into(),
        measured: 0.97,
        limit: 0.9,
        text: "brute_force at 97 %: attempts_per_service 14 (+0.41), packets_per_second 31.2 (+0.22)".into(),
    };
    let text = squeezed(&shown(&explanation));
    assert!(text.contains("found brute_force, 97% sure, by forest"), "{text}");
    assert!(text.contains("because brute_force at 97 %: attempts_per_service 14 (+0.41)"), "{text}");
    assert!(text.contains("model.forest 0.9700 0.9000"), "{text}");
    let alert = &mut explanation.alerts[0];
    (alert.detector, alert.class) = (Detector::Isolation, Class::Anomaly);
    let text = squeezed(&shown(&explanation));
    assert!(text.contains("may follow a report: an anomaly is never blocked"), "{text}");
}

#[test]
fn the_window_of_now_stands_beside_the_one_of_then() {
    let window = Some(Features { distinct_ports: 2.0, ..Features::default() });
    let text = shown(&Explanation { window, ..samples::explanation() });
    assert!(squeezed(&text).contains("distinct_ports 312 2"), "{text}");
}

#[test]
fn an_unknown_address_is_said_to_be_unknown() {
    let unknown = Explanation {
        blocks: vec![],
        alerts: vec![],
        outcome: Outcome::Passes,
        remedies: vec!["smartfw-cli block 203.0.113.7".into()],
        ..samples::explanation()
    };
    let text = shown(&unknown);
    assert!(text.starts_with("203.0.113.7 passes. Nothing is known of it.\n"), "{text}");
    assert!(!text.contains("Measured") && !text.contains("Timeline"), "{text}");
}

#[test]
fn a_suspended_block_says_what_suspends_it() {
    let gateway =
        Protected { net: "203.0.113.7/32".parse().unwrap(), why: Why::Gateway, detail: "eth0".into() };
    let state = BlockState::Suspended(gateway.clone());
    let suspended = Explanation {
        blocks: vec![BlockRow { state, ..samples::row() }],
        protected: vec![gateway],
        outcome: Outcome::Suspended,
        ..samples::explanation()
    };
    let text = shown(&suspended);
    assert!(text.starts_with("203.0.113.7 passes, although a block says otherwise. 203.0.113.7/32 is protected: default gateway."), "{text}");
    assert!(text.contains("203.0.113.7/32 is protected: default gateway (eth0)"), "{text}");
}

#[test]
fn hostile_text_cannot_reach_the_terminal() {
    let block = Block { reason: "\u{1b}[2J\u{1b}]0;owned\u{7}\nfake line".into(), ..samples::row().block };
    let text =
        shown(&Explanation { blocks: vec![BlockRow { block, ..samples::row() }], ..samples::explanation() });
    assert!(!text.contains('\u{1b}') && !text.contains('\u{7}'), "{text:?}");
    assert!(!text.lines().any(|line| line == "fake line"), "{text}");
}

#[test]
fn an_address_that_is_none_is_refused_in_one_line() {
    let line = parse("10.0.0.0/8").unwrap_err().line().unwrap();
    assert_eq!(line, "\"10.0.0.0/8\" is not an address: write one like 203.0.113.7 or 2001:db8::7");
    assert_eq!(parse("::ffff:10.0.0.1").unwrap(), "10.0.0.1".parse::<IpAddr>().unwrap());
}
