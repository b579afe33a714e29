use super::{
    brute_force::{ssh, typo},
    lab::*,
};
use crate::{
    Class, Detector, Evidence, Strength, Verdict,
    sensor::{Login, LoginOutcome},
};

fn says(lab: &mut Lab, source: &str, outcome: LoginOutcome) {
    let login = Login { source: address(source), port: 50_000, outcome };
    lab.sensor.handle_login(lab.now, login);
}

#[test]
fn eight_failures_by_the_services_own_word_are_proven_brute_force() {
    let mut lab = Lab::new();
    (0..7).for_each(|_| says(&mut lab, "203.0.113.66", LoginOutcome::Failed));
    lab.silent();
    says(&mut lab, "203.0.113.66", LoginOutcome::Failed);
    lab.accuses(ATTACKER, Class::BruteForce, "brute_force.failures", Evidence::Handshake);
}

#[test]
fn a_success_clears_what_went_before() {
    let mut lab = Lab::new();
    for _ in 0..10 {
        (0..7).for_each(|_| says(&mut lab, "192.0.2.10", LoginOutcome::Failed));
        says(&mut lab, "192.0.2.10", LoginOutcome::Accepted);
        lab.wait(1000);
    }
    lab.silent();
}

#[test]
fn failures_fade_within_hours() {
    let mut lab = Lab::new();
    for _ in 0..40 {
        (0..3).for_each(|_| says(&mut lab, "192.0.2.10", LoginOutcome::Failed));
        lab.wait(1_200_000);
    }
    lab.silent();
}

#[test]
fn packets_are_not_counted_once_sshd_speaks() {
    let mut lab = Lab::new();
    for port in 0..7 {
        let mut connection = ssh(&mut lab, CLIENT, 40_000 + port);
        says(&mut lab, "192.0.2.10", LoginOutcome::Failed);
        typo(&mut lab, &mut connection);
        connection.close(&mut lab);
    }
    lab.silent();
}

#[test]
fn a_mapped_address_is_the_ipv4_address_that_it_is() {
    let mut lab = Lab::new();
    (0..8).for_each(|_| says(&mut lab, "::ffff:203.0.113.66", LoginOutcome::Failed));
    lab.accuses(ATTACKER, Class::BruteForce, "brute_force.failures", Evidence::Handshake);
}

#[test]
fn who_got_in_is_known() {
    let mut lab = Lab::new();
    says(&mut lab, "192.0.2.10", LoginOutcome::Accepted);
    (0..40).for_each(|port| lab.refuse(CLIENT, 1000 + port));
    let verdict = lab.accuses(CLIENT, Class::PortScan, "port_scan.ports", Evidence::Spoofable);
    assert!(verdict.standing.known && verdict.standing.established);
}

#[test]
fn another_detectors_verdict_is_given_what_is_known_here() {
    let mut lab = Lab::new();
    (0..40).for_each(|port| lab.refuse(CLIENT, 1000 + port));
    let verdict = lab.accuses(CLIENT, Class::PortScan, "port_scan.ports", Evidence::Spoofable);
    let verdict = Verdict { detector: Detector::External, ..verdict };
    assert!(!verdict.standing.known);
    says(&mut lab, "192.0.2.10", LoginOutcome::Accepted);
    lab.sensor.handle_external(lab.now, verdict.clone());
    let told = lab.accuses(CLIENT, Class::PortScan, "port_scan.ports", Evidence::Spoofable);
    assert!(told.standing.known && told.standing.established, "policy must know that it is a customer");
    lab.sensor.handle_block("192.0.2.10/32".parse().unwrap(), Some(Strength::Hard));
    lab.sensor.handle_external(lab.now, verdict);
    lab.silent();
}

#[test]
fn another_detectors_word_of_a_handshake_counts_where_this_host_has_seen_one() {
    let mut lab = Lab::new();
    (0..40).for_each(|port| lab.refuse(CLIENT, 1000 + port));
    let verdict = lab.accuses(CLIENT, Class::PortScan, "port_scan.ports", Evidence::Spoofable);
    let claimed = Verdict { detector: Detector::External, evidence: Some(Evidence::Handshake), ..verdict };
    lab.sensor.handle_external(lab.now, claimed.clone());
    lab.accuses(CLIENT, Class::PortScan, "port_scan.ports", Evidence::Spoofable);
    Connection::open(&mut lab, CLIENT, 40_000, 22).close(&mut lab);
    lab.sensor.handle_external(lab.now, claimed);
    lab.accuses(CLIENT, Class::PortScan, "port_scan.ports", Evidence::Handshake);
}

#[test]
fn what_another_detector_proves_counts_against_its_source_for_a_day() {
    let mut lab = Lab::new();
    browse(&mut lab, CLIENT, 30_000);
    (0..40).for_each(|port| lab.refuse(CLIENT, 1000 + port));
    let verdict = lab.accuses(CLIENT, Class::PortScan, "port_scan.ports", Evidence::Spoofable);
    let proven = Verdict { detector: Detector::External, evidence: Some(Evidence::Handshake), ..verdict };
    lab.sensor.handle_external(lab.now, proven);
    let told = lab.verdicts().pop().unwrap();
    assert!(told.standing.known, "what spoke for it is told with the verdict that ends it");
    for (hours, port, known) in [(1, 31_000, false), (22, 32_000, false), (1, 33_000, true)] {
        lab.wait(hours * 3_600_000);
        browse(&mut lab, CLIENT, port);
        (0..20).for_each(|closed| lab.refuse(CLIENT, port - 20_000 + closed));
        let after = lab.verdicts().pop().expect("a scan");
        assert_eq!(after.standing.known, known, "after {hours} hours more");
    }
}

#[test]
fn a_stranger_whom_another_detector_accuses_is_not_known_within_ten_minutes() {
    let mut lab = Lab::new();
    (0..3).for_each(|port| lab.datagram(CLIENT, (9, 53 + port)));
    (0..20).for_each(|port| lab.refuse(ATTACKER, 1000 + port));
    let verdict = lab.accuses(ATTACKER, Class::PortScan, "port_scan.ports", Evidence::Spoofable);
    let subject = crate::Subject::Source(CLIENT);
    lab.sensor.handle_external(lab.now, Verdict { detector: Detector::External, subject, ..verdict });
    for (minutes, known) in [(9, false), (1, true)] {
        lab.wait(minutes * 60_000);
        browse(&mut lab, CLIENT, 30_000 + minutes as u16);
        assert_eq!(lab.sensor.acquaintances.is_known(&lab.sensor.keyed, lab.now, CLIENT), known);
    }
}
