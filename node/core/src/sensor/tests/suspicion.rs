//! How long what speaks against a source goes on speaking, and what it keeps the source from.

use super::{
    lab::*,
    models::{lab, long_packets},
};
use crate::{
    Class, Evidence, Strength, Verdict,
    config::{SensorConfig, SensorLimits},
    prefix,
    sensor::{Login, LoginOutcome, WindowReport},
};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

/// Twenty closed ports from `first` on, under the address of `source`, and the last verdict.
#[track_caller]
fn scan(lab: &mut Lab, source: core::net::IpAddr, first: u16) -> Verdict {
    (0..20).for_each(|port| lab.refuse(source, first + port));
    let verdict = lab.verdicts().pop().expect("a scan");
    assert_eq!((verdict.class, verdict.evidence), (Class::PortScan, Some(Evidence::Spoofable)));
    verdict
}

/// A visit each ten minutes.
fn visits(lab: &mut Lab, client: core::net::IpAddr, first: u16, count: u16) {
    for visit in 0..count {
        lab.wait(10 * MINUTE);
        browse(lab, client, first + visit);
    }
}

/// The window of the visit that comes now.
fn window(lab: &mut Lab, client: core::net::IpAddr, port: u16) -> WindowReport {
    lab.wait(10_000);
    browse(lab, client, port);
    let reports = core::iter::from_fn(|| lab.sensor.poll_window());
    reports.filter(|report| report.source == client).last().expect("a window")
}

#[test]
fn a_customer_stays_known_for_its_work_whatever_was_forged_in_its_name() {
    let mut lab = Lab::new();
    browse(&mut lab, CLIENT, 30_000);
    assert!(scan(&mut lab, CLIENT, 1000).standing.known);
    visits(&mut lab, CLIENT, 31_000, 150);
    let again = scan(&mut lab, CLIENT, 2000);
    assert!(again.standing.known, "who forges may try again a day later: {again:?}");
}

#[test]
fn a_customer_stays_known_also_while_the_forging_never_ends() {
    let mut lab = Lab::new();
    browse(&mut lab, CLIENT, 30_000);
    for hour in 0..30 {
        let forged = scan(&mut lab, CLIENT, 1000 + hour * 100);
        assert!(forged.standing.known, "in hour {hour}: {forged:?}");
        browse(&mut lab, CLIENT, 31_000 + hour);
        lab.wait(HOUR);
    }
}

#[test]
fn who_was_proven_guilty_is_not_known_for_work_within_a_day() {
    let mut lab = Lab::new();
    browse(&mut lab, ATTACKER, 30_000);
    (0..40).for_each(|port| lab.refuse(ATTACKER, 1000 + port));
    Connection::open(&mut lab, ATTACKER, 40_000, 8080).reset(&mut lab);
    let proven = lab.verdicts().pop().unwrap();
    assert_eq!((proven.class, proven.evidence), (Class::PortScan, Some(Evidence::Handshake)));
    // A weaker word of the same class washes nothing off.
    lab.wait(15_000);
    scan(&mut lab, ATTACKER, 2000);
    visits(&mut lab, ATTACKER, 31_000, 140);
    assert!(window(&mut lab, ATTACKER, 30_001).suspect);
    assert!(!scan(&mut lab, ATTACKER, 3000).standing.known);
    visits(&mut lab, ATTACKER, 32_000, 10);
    assert!(scan(&mut lab, ATTACKER, 4000).standing.known, "a day later it is a client like others");
}

#[test]
fn who_was_proven_guilty_stays_so_for_a_day_when_its_block_ends() {
    let mut lab = Lab::new();
    blocked_for_an_hour(&mut lab);
    (0..10).for_each(|port| lab.refuse(ATTACKER, 1000 + port));
    lab.silent();
    browse(&mut lab, ATTACKER, 30_000);
    assert!(window(&mut lab, ATTACKER, 30_001).suspect);
    assert!(!scan(&mut lab, ATTACKER, 2000).standing.known, "one handshake after five minutes is cheap");
    // The next block, a soft one, washes nothing off either.
    lab.sensor.handle_block(prefix::host(ATTACKER), Some(Strength::Soft));
    lab.sensor.handle_block(prefix::host(ATTACKER), None);
    lab.wait(22 * HOUR);
    browse(&mut lab, ATTACKER, 31_000);
    assert!(!scan(&mut lab, ATTACKER, 3000).standing.known);
    lab.wait(HOUR);
    browse(&mut lab, ATTACKER, 32_000);
    assert!(scan(&mut lab, ATTACKER, 4000).standing.known, "a day later it is a client like others");
}

#[test]
fn whom_a_person_acquits_is_known_by_its_next_handshake() {
    for target in [prefix::host(ATTACKER), "203.0.113.0/24".parse().unwrap()] {
        let mut lab = Lab::new();
        blocked_for_an_hour(&mut lab);
        lab.sensor.handle_acquittal(prefix::host(CLIENT));
        browse(&mut lab, ATTACKER, 30_000);
        assert!(window(&mut lab, ATTACKER, 30_001).suspect, "{target}: another was acquitted");
        lab.sensor.handle_acquittal(target);
        let acquitted = window(&mut lab, ATTACKER, 30_002);
        assert!(!acquitted.suspect, "{target}: {acquitted:?}");
        assert!(scan(&mut lab, ATTACKER, 2000).standing.known, "{target}");
    }
}

#[test]
fn convictions_beyond_the_limit_are_forgotten() {
    let limits = SensorLimits { proven: 20, ..SensorLimits::default() };
    let mut lab = Lab::with(SensorConfig { limits, ..SensorConfig::default() });
    for number in 0..100 {
        let guesser = Login { source: somebody(number), port: 1, outcome: LoginOutcome::Failed };
        (0..8).for_each(|_| lab.sensor.handle_login(lab.now, guesser));
    }
    assert_eq!(lab.verdicts().len(), 100);
    assert!((20..=40).contains(&lab.sensor.convictions.len()), "{}", lab.sensor.convictions.len());
}

/// The attacker is convicted, blocked for an hour, and free again, its counters empty.
fn blocked_for_an_hour(lab: &mut Lab) {
    (0..40).for_each(|port| lab.refuse(ATTACKER, 1000 + port));
    Connection::open(lab, ATTACKER, 40_000, 8080).reset(lab);
    assert_eq!(lab.verdicts().pop().and_then(|verdict| verdict.evidence), Some(Evidence::Handshake));
    lab.sensor.handle_block(prefix::host(ATTACKER), Some(Strength::Hard));
    lab.wait(HOUR);
    lab.sensor.handle_block(prefix::host(ATTACKER), None);
}

#[test]
fn a_stranger_is_not_known_for_work_while_anything_speaks_against_it() {
    let mut lab = Lab::new();
    scan(&mut lab, CLIENT, 1000);
    lab.wait(9 * MINUTE);
    let window_then = window(&mut lab, CLIENT, 30_000);
    assert!(window_then.suspect && !window_then.known, "{window_then:?}");
    lab.wait(MINUTE);
    browse(&mut lab, CLIENT, 30_001);
    let window_now = window(&mut lab, CLIENT, 30_002);
    assert!(!window_now.suspect && window_now.known, "{window_now:?}");
}

#[test]
fn what_was_strange_is_learned_from_again_after_an_ordinary_hour() {
    let mut lab = lab();
    // Told once in the first minute, and strange for most of an hour.
    assert_eq!(long_packets(&mut lab, CLIENT, 1200, 3000).len(), 1);
    lab.wait(50 * MINUTE);
    assert!(window(&mut lab, CLIENT, 30_000).suspect, "what is told once an hour is no less strange between");
    lab.wait(10 * MINUTE);
    assert!(!window(&mut lab, CLIENT, 30_001).suspect);
}
