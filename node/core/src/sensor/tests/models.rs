//! When models speak, and when they do not.

use alloc::{borrow::ToOwned, sync::Arc, vec, vec::Vec};

use super::{
    brute_force::{ssh, typo},
    lab::*,
};
use crate::{
    Class, Detector, Evidence, IpNet, Strength, Subject, Verdict,
    config::SensorConfig,
    features::NAMES,
    model::{BENIGN, Calibration, Forest, ForestParts, IsolationForest, IsolationParts, Model, Node, Split},
    sensor::{Models, models::MAX_LOOKS},
    verdict::Protocol,
};

/// From six ports on a scan, from five connections to one service on brute force, else benign; strange are windows of
/// long packets.
pub(super) fn forest() -> ForestParts {
    let split =
        |feature, threshold, left| Node::split(Split { feature, threshold, missing_right: false, left });
    ForestParts {
        features: NAMES.map(str::to_owned).to_vec(),
        classes: vec![BENIGN.into(), "port_scan".into(), "brute_force".into()],
        roots: vec![0],
        nodes: vec![split(6, 6.0, 1), split(11, 5.0, 3), Node::leaf(0.0), Node::leaf(0.0), Node::leaf(0.0)],
        shares: [[40, 30, 30], [60, 0, 40], [2, 97, 1], [98, 1, 1], [3, 0, 97]]
            .concat()
            .into_iter()
            .map(|percent: u16| (u32::from(percent) * 65_535 / 100) as u16)
            .collect(),
        calibration: Calibration::default(),
    }
}

fn isolation() -> IsolationParts {
    let split = |threshold, left| Node::split(Split { feature: 2, threshold, missing_right: false, left });
    IsolationParts {
        features: NAMES.map(str::to_owned).to_vec(),
        roots: vec![0],
        nodes: vec![split(500.0, 1), Node::leaf(10.0), split(1000.0, 3), Node::leaf(5.0), Node::leaf(1.0)],
        mean_path: 10.0,
        threshold: 0.6,
        typical: vec![100.0; NAMES.len()],
    }
}

fn model() -> Option<Arc<Model>> {
    built(forest())
}

/// One to which everything is benign.
pub(super) fn blind() -> Option<Arc<Model>> {
    built(ForestParts { nodes: vec![Node::leaf(0.0)], shares: vec![65_535, 0, 0], ..forest() })
}

pub(super) fn built(parts: ForestParts) -> Option<Arc<Model>> {
    let isolation = IsolationForest::new(isolation()).unwrap();
    Some(Arc::new(Model::new(Forest::new(parts).unwrap(), isolation).unwrap()))
}

pub(super) fn lab() -> Lab {
    lab_with(SensorConfig::default())
}

fn lab_with(config: SensorConfig) -> Lab {
    let mut lab = Lab::with(config);
    lab.sensor.set_models(Models { used: model(), shadow: None });
    lab
}

/// Seconds in which eight ports are asked again and again: too few for the rules.
pub(super) fn scan(lab: &mut Lab, source: core::net::IpAddr, seconds: u16) -> Vec<Verdict> {
    for second in 0..seconds {
        (0..4).for_each(|port| lab.refuse(source, 1000 + (second * 4 + port) % 8));
        lab.wait(1000);
    }
    lab.verdicts()
}

pub(super) fn long_packets(
    lab: &mut Lab,
    source: core::net::IpAddr,
    length: usize,
    seconds: u64,
) -> Vec<Verdict> {
    for _ in 0..seconds {
        for _ in 0..3 {
            lab.hears(&ip(source, SERVER, UDP, &udp((9, 53), &noise(length))));
        }
        lab.wait(1000);
    }
    lab.verdicts()
}

#[test]
fn the_forest_names_an_attack_after_three_looks_and_says_why() {
    let mut lab = lab();
    // Two packets come before the window, and the first look is at its eighth.
    assert_eq!(scan(&mut lab, ATTACKER, 4), []);
    let verdicts = scan(&mut lab, ATTACKER, 3);
    assert_eq!(verdicts.len(), 3, "as long as it goes on, once a second: {verdicts:#?}");
    let first = &verdicts[0];
    assert_eq!((first.subject, first.class), (Subject::Source(ATTACKER), Class::PortScan));
    assert_eq!((first.detector, first.evidence), (Detector::Forest, Some(Evidence::Spoofable)));
    assert_eq!(first.reason.rule, "model.forest");
    assert!((first.confidence - 0.97).abs() < 1e-3 && first.reason.measured >= first.reason.limit);
    assert_eq!(first.reason.text, "port_scan at 97 %: distinct_ports 8 (+0.67)");
    assert_eq!(lab.sensor.stats().forest_verdicts, 3);
}

#[test]
fn another_word_or_a_silence_begins_the_count_anew() {
    let mut lab = lab();
    assert_eq!(scan(&mut lab, ATTACKER, 3), []);
    lab.sensor.set_models(Models { used: blind(), shadow: None });
    assert_eq!(scan(&mut lab, ATTACKER, 1), []);
    lab.sensor.set_models(Models { used: model(), shadow: None });
    assert_eq!(scan(&mut lab, ATTACKER, 2), []);
    lab.wait(11_000);
    // The first look at the new window is at its eighth packet.
    assert_eq!(scan(&mut lab, ATTACKER, 3), []);
    assert_eq!(scan(&mut lab, ATTACKER, 1).len(), 1);
}

#[test]
fn models_are_silent_where_a_rule_has_spoken() {
    let mut lab = lab();
    (0..30).for_each(|port| lab.refuse(ATTACKER, 2000 + port));
    let looks = lab.sensor.stats().looks;
    lab.wait(1000);
    let verdicts = scan(&mut lab, ATTACKER, 9);
    assert!(!verdicts.is_empty() && verdicts.iter().all(|verdict| verdict.detector == Detector::Rules));
    assert_eq!(lab.sensor.stats().looks, looks);
    let later = scan(&mut lab, ATTACKER, 6);
    assert!(later.iter().any(|verdict| verdict.detector == Detector::Forest), "{later:#?}");
}

#[test]
fn a_rule_waits_for_no_model_that_speaks_of_the_same() {
    let mut lab = lab();
    scan(&mut lab, ATTACKER, 6);
    (0..4).for_each(|port| lab.refuse(ATTACKER, 1000 + port));
    assert_eq!(lab.verdicts().last().map(|verdict| verdict.detector), Some(Detector::Forest));
    (0..20).for_each(|port| lab.refuse(ATTACKER, 2000 + port));
    let verdicts = lab.verdicts();
    assert_eq!(verdicts.first().map(|verdict| verdict.detector), Some(Detector::Rules), "{verdicts:#?}");
}

#[test]
fn a_window_of_seven_packets_says_too_little() {
    let mut lab = lab();
    for port in 0..40 {
        lab.refuse(ATTACKER, 1000 + port % 7);
        lab.wait(1500);
    }
    lab.silent();
    assert_eq!(lab.sensor.stats().looks, 0);
}

#[test]
fn what_needs_connections_is_proven_where_nearly_all_of_the_window_is_of_proven_ones() {
    let mut lab = lab();
    for turn in 0..7 {
        let mut connection = ssh(&mut lab, ATTACKER, 30_000 + turn);
        typo(&mut lab, &mut connection);
        connection.close(&mut lab);
        lab.wait(300);
    }
    let mut connection = Connection::open(&mut lab, ATTACKER, 40_000, 8080);
    for _ in 0..5 {
        connection.exchange(&mut lab, &noise(20), &noise(20));
        lab.wait(1000);
    }
    let verdicts = lab.verdicts();
    assert!(!verdicts.is_empty());
    for verdict in verdicts {
        assert_eq!((verdict.detector, verdict.class), (Detector::Forest, Class::BruteForce));
        assert_eq!(verdict.evidence, Some(Evidence::Handshake));
    }
}

#[test]
fn what_others_forge_in_a_name_takes_the_proof_from_what_its_owner_did() {
    let mut lab = lab();
    for turn in 0..7 {
        let mut connection = ssh(&mut lab, ATTACKER, 30_000 + turn);
        typo(&mut lab, &mut connection);
        connection.close(&mut lab);
        lab.wait(300);
    }
    for second in 0..5 {
        let mut forged = Connection::forged(&mut lab, ATTACKER, 40_000 + second, 8080);
        forged.asks(&mut lab, ACK, b"");
        (0..10).for_each(|_| forged.asks(&mut lab, PSH | ACK, &noise(20)));
        lab.wait(1000);
    }
    let verdicts = lab.verdicts();
    let last = verdicts.iter().rfind(|verdict| verdict.detector == Detector::Forest).unwrap();
    assert_eq!((last.class, last.evidence), (Class::BruteForce, Some(Evidence::Spoofable)));
}

#[test]
fn nobody_is_proven_to_have_done_what_is_not_half_of_what_its_rule_wants() {
    let mut lab = lab();
    for second in 0..6 {
        for port in 0..2 {
            let mut connection = Connection::open(&mut lab, ATTACKER, 30_000 + second * 10 + port, 8080);
            connection.exchange(&mut lab, &noise(20), &noise(20));
            connection.close(&mut lab);
        }
        lab.wait(1000);
    }
    let verdicts = lab.verdicts();
    assert!(!verdicts.is_empty());
    for verdict in verdicts {
        assert_eq!((verdict.class, verdict.evidence), (Class::BruteForce, Some(Evidence::Spoofable)));
    }
}

#[test]
fn a_forged_attack_under_a_customers_address_stays_spoofable() {
    let mut lab = lab();
    (0..3).for_each(|port| browse(&mut lab, CLIENT, 30_000 + port));
    for second in 0..8 {
        for port in 0..3 {
            // SYN, the third packet of a handshake, payload: none of them knows our number.
            let mut forged = Connection::forged(&mut lab, CLIENT, 40_000 + second * 10 + port, 8080);
            forged.asks(&mut lab, ACK, b"");
            (0..10).for_each(|_| forged.asks(&mut lab, PSH | ACK, &noise(20)));
        }
        lab.wait(1000);
    }
    let verdicts = lab.verdicts();
    assert!(verdicts.iter().any(|verdict| verdict.detector == Detector::Forest), "{verdicts:#?}");
    for verdict in verdicts {
        assert_eq!((verdict.class, verdict.evidence), (Class::BruteForce, Some(Evidence::Spoofable)));
        assert!(verdict.standing.known);
    }
}

#[test]
fn a_scan_is_spoofable_even_over_proven_connections() {
    let mut lab = lab();
    for second in 0..8 {
        for port in 0..3 {
            let mut connection = Connection::open(&mut lab, ATTACKER, 30_000 + second, 1000 + port * 3);
            connection.exchange(&mut lab, GET, OK);
            let mut connection = Connection::open(&mut lab, ATTACKER, 30_000 + second, 1001 + port * 3);
            connection.exchange(&mut lab, GET, OK);
        }
        lab.wait(1000);
    }
    let first = lab.verdicts().into_iter().next().unwrap();
    assert_eq!((first.detector, first.class), (Detector::Forest, Class::PortScan));
    assert_eq!(first.evidence, Some(Evidence::Spoofable));
}

#[test]
fn the_shadow_is_compared_and_accuses_nobody() {
    let mut lab = Lab::new();
    lab.sensor.set_models(Models { used: blind(), shadow: model() });
    assert_eq!(scan(&mut lab, ATTACKER, 12), []);
    let comparison = lab.sensor.comparison();
    assert_eq!(comparison.looks, lab.sensor.stats().looks);
    let alone: Vec<_> = comparison.shadow_only().collect();
    assert_eq!(alone, [(Class::PortScan, comparison.looks - comparison.agreed)]);
    assert!(comparison.looks > 8 && comparison.agreed < 2, "{comparison:?}");
    assert_eq!(comparison.used_only().count(), 0);

    let shadow = blind();
    lab.sensor.set_models(Models { used: model(), shadow: shadow.clone() });
    assert_eq!(lab.sensor.comparison().looks, 0, "another shadow, another comparison");
    assert!(!scan(&mut lab, ATTACKER, 4).is_empty());
    assert_eq!(lab.sensor.comparison().used_only().collect::<Vec<_>>(), [(Class::PortScan, 4)]);

    lab.sensor.set_models(Models { used: model(), shadow });
    assert_eq!(lab.sensor.comparison().looks, 0, "another model in use, another comparison");

    lab.sensor.set_models(Models { used: None, shadow: model() });
    assert_eq!(scan(&mut lab, ATTACKER, 4), []);
    assert_eq!(lab.sensor.comparison().shadow_only().collect::<Vec<_>>(), [(Class::PortScan, 4)]);
}

#[test]
fn without_a_model_or_switched_off_nothing_is_judged() {
    let mut off = SensorConfig::default();
    off.models.enabled = false;
    for mut lab in [Lab::new(), lab_with(off)] {
        assert_eq!(scan(&mut lab, ATTACKER, 12), []);
        assert_eq!(lab.sensor.stats().looks, 0);
        assert_eq!(lab.sensor.poll_window().unwrap().opinion, None);
    }
    let mut config = SensorConfig::default();
    config.models.anomaly = false;
    assert_eq!(long_packets(&mut lab_with(config), CLIENT, 1200, 20), []);
    let mut config = SensorConfig::default();
    config.models.confidence = 98;
    assert_eq!(scan(&mut lab_with(config), ATTACKER, 12), []);
}

#[test]
fn who_is_dropped_already_is_not_judged() {
    let mut lab = lab();
    scan(&mut lab, ATTACKER, 12);
    let looks = lab.sensor.stats().looks;
    assert!(looks > 8);
    lab.sensor.handle_block(IpNet::from(ATTACKER), Some(Strength::Hard));
    assert_eq!(scan(&mut lab, ATTACKER, 12), []);
    assert_eq!(lab.sensor.stats().looks, looks);
}

#[test]
fn however_many_sources_there_are_a_second_has_an_end() {
    let mut lab = lab();
    let sources = MAX_LOOKS / 2 + 100;
    for source in 0..sources {
        (0..9).for_each(|_| lab.datagram(somebody(source), (9, 53)));
    }
    (0..sources).for_each(|source| lab.datagram(somebody(source), (9, 53)));
    assert_eq!((lab.sensor.stats().looks, lab.sensor.stats().looks_skipped), (2048, 100));
    // Who proved itself has a share that forged addresses cannot take.
    (0..3).for_each(|port| browse(&mut lab, CLIENT, 30_000 + port));
    lab.now = lab.now.after(core::time::Duration::from_millis(999));
    (0..sources).for_each(|source| lab.datagram(somebody(source), (9, 53)));
    lab.wait(1);
    (0..sources).for_each(|source| lab.datagram(somebody(source), (9, 53)));
    let looks = lab.sensor.stats().looks;
    browse(&mut lab, CLIENT, 30_003);
    assert_eq!(lab.sensor.stats().looks, looks + 1);
}

#[test]
fn what_is_judged_is_what_training_sees() {
    let mut lab = lab();
    lab.sensor.report_every_look();
    (0..30).for_each(|port| browse(&mut lab, CLIENT, 30_000 + port));
    for turn in 0..200 {
        lab.refuse(ATTACKER, 1000 + turn % 8);
        browse(&mut lab, CLIENT, 31_000 + turn);
        lab.wait(130);
    }
    let reports: Vec<_> = core::iter::from_fn(|| lab.sensor.poll_window()).collect();
    let judged: Vec<_> =
        reports.iter().filter_map(|report| report.opinion.map(|one| (report, one))).collect();
    assert_eq!(judged.len() as u64, lab.sensor.stats().looks);
    assert!(judged.len() > 40, "{}", judged.len());
    let model = model().unwrap();
    for (report, opinion) in judged {
        assert_eq!(model.judge(&report.features), opinion);
        assert!(report.features.to_array().iter().all(|value| value.is_finite()));
    }
    for gaps in [CLIENT, ATTACKER].map(|source| reports.iter().filter(move |one| one.source == source)) {
        let times: Vec<_> = gaps.map(|report| report.at).collect();
        assert!(times.windows(2).all(|two| two[1].since(two[0]).as_millis() >= 1000), "{times:?}");
    }
}

#[test]
fn a_window_says_who_it_is_of() {
    let mut lab = lab();
    browse(&mut lab, CLIENT, 30_000);
    scan(&mut lab, ATTACKER, 10);
    lab.wait(10_000);
    browse(&mut lab, CLIENT, 30_001);
    lab.refuse(ATTACKER, 1007);
    let reports: Vec<_> = core::iter::from_fn(|| lab.sensor.poll_window()).collect();
    let of = |source| *reports.iter().rfind(|report| report.source == source).unwrap();
    let (guest, scanner) = (of(CLIENT), of(ATTACKER));
    assert_eq!((guest.suspect, guest.proven, guest.known), (false, true, true));
    assert_eq!((scanner.suspect, scanner.proven, scanner.known), (true, false, false));
    assert_eq!((guest.port, guest.protocol), (80, Protocol::Tcp));
    assert_eq!((scanner.port, scanner.protocol), (1007, Protocol::Tcp), "{scanner:?}");
}
