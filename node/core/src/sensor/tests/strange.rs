//! What has no name: how often it is told, of whom, and what it leaves behind.

use super::{
    lab::*,
    models::{lab, long_packets},
};
use crate::{Class, Detector};

#[test]
fn what_is_strange_is_told_once_an_hour_and_names_what_is_unusual() {
    let mut lab = lab();
    let verdicts = long_packets(&mut lab, CLIENT, 1200, 3000);
    assert_eq!(verdicts.len(), 1, "{verdicts:#?}");
    let verdict = &verdicts[0];
    assert_eq!((verdict.class, verdict.detector), (Class::Anomaly, Detector::Isolation));
    assert!((verdict.confidence - 0.933).abs() < 1e-3, "{verdict:?}");
    assert_eq!(
        verdict.reason.text,
        "unlike anything usual: mean_packet_length 1228 bytes (typical 100, +0.43)"
    );
    assert_eq!(long_packets(&mut lab, CLIENT, 1200, 700).len(), 1);
    assert_eq!(lab.sensor.stats().isolation_verdicts, 2);
}

#[test]
fn no_more_strange_sources_are_told_within_a_minute_than_may_be() {
    let mut lab = lab();
    lab.now = crate::Time::from_secs(1_000_020); // a minute's beginning
    for _ in 0..20 {
        for source in 0..5 {
            (0..2).for_each(|_| lab.hears(&ip(somebody(source), SERVER, UDP, &udp((9, 53), &noise(700)))));
        }
        lab.wait(1000);
    }
    assert_eq!(lab.verdicts().len(), 3);
    assert!(lab.sensor.stats().anomalies_unreported > 0);
    lab.wait(40_000);
    let verdicts = (0..2).flat_map(|source| long_packets(&mut lab, somebody(source + 3), 700, 10));
    assert_eq!(verdicts.count(), 2, "the others' turn comes");
}

#[test]
fn who_did_honest_work_is_strange_only_far_from_everything() {
    let mut lab = lab();
    browse(&mut lab, CLIENT, 30_000);
    lab.wait(11_000);
    assert_eq!(long_packets(&mut lab, CLIENT, 700, 20), []);
    lab.wait(11_000);
    assert_eq!(long_packets(&mut lab, CLIENT, 1200, 20).len(), 1);
    assert_eq!(long_packets(&mut lab, ATTACKER, 700, 20).len(), 1, "a stranger is told of sooner");
}

#[test]
fn an_anomaly_does_not_make_a_suspect_of_a_guest() {
    let mut lab = lab();
    assert_eq!(long_packets(&mut lab, CLIENT, 1200, 20).len(), 1);
    lab.wait(11_000);
    browse(&mut lab, CLIENT, 30_000);
    lab.sensor.report_every_look();
    lab.wait(2000);
    browse(&mut lab, CLIENT, 30_001);
    let report = core::iter::from_fn(|| lab.sensor.poll_window()).last().unwrap();
    assert!(report.known && report.suspect, "it is remembered as benign, and not learned from: {report:?}");
}
