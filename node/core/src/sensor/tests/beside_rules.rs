//! What models add where a rule has spoken.

use alloc::{sync::Arc, vec, vec::Vec};

use super::{
    brute_force::{ssh, typo},
    lab::*,
    models::{blind, built, forest, lab, scan},
};
use crate::{
    Class, Detector, Evidence,
    model::{ForestParts, Model, Node, Split},
    sensor::Models,
};

/// From five connections to one service on brute force, however many ports are asked.
fn guesses() -> Option<Arc<Model>> {
    let split = Split { feature: 11, threshold: 5.0, missing_right: false, left: 1 };
    let nodes = vec![Node::split(split), Node::leaf(0.0), Node::leaf(0.0)];
    let shares = vec![32_768, 0, 32_767, 65_000, 0, 535, 1000, 0, 64_535];
    built(ForestParts { nodes, shares, ..forest() })
}

fn watched_by(used: Option<Arc<Model>>) -> Lab {
    let mut lab = Lab::new();
    lab.sensor.set_models(Models { used, shadow: None });
    lab
}

fn closed_ports(lab: &mut Lab) {
    (0..20).for_each(|port| lab.refuse(ATTACKER, 1000 + port));
}

/// Passwords that nobody answers, over connections that acknowledge what was never sent.
fn forged_passwords(lab: &mut Lab) {
    for port in 0..30 {
        let mut forged = Connection::forged(lab, ATTACKER, 50_000 + port, 80);
        forged.asks(lab, PSH | ACK, b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\npassword=1");
    }
}

#[test]
fn what_anybody_could_have_forged_does_not_hide_a_guesser_who_is_known() {
    type Distraction = fn(&mut Lab);
    // The second is of the guesser's class, and on less evidence.
    let distractions: [(Distraction, Class); 2] =
        [(closed_ports, Class::PortScan), (forged_passwords, Class::BruteForce)];
    for (distract, class) in distractions {
        let mut lab = watched_by(guesses());
        browse(&mut lab, ATTACKER, 29_000);
        for turn in 0..7 {
            let mut connection = ssh(&mut lab, ATTACKER, 30_000 + turn);
            typo(&mut lab, &mut connection);
            connection.close(&mut lab);
            lab.wait(200);
        }
        lab.silent();
        distract(&mut lab);
        let ruled = lab.verdicts().pop().unwrap();
        assert_eq!((ruled.detector, ruled.class), (Detector::Rules, class));
        assert!(
            ruled.standing.known && ruled.evidence == Some(Evidence::Spoofable),
            "only reported: {ruled:?}"
        );
        let mut connection = Connection::open(&mut lab, ATTACKER, 40_000, 8080);
        for _ in 0..5 {
            (0..400).for_each(|_| connection.exchange(&mut lab, &noise(20), &noise(20)));
            lab.wait(1000);
        }
        let strongest = lab.verdicts().into_iter().max_by_key(|verdict| verdict.evidence).expect("a guesser");
        assert_eq!((strongest.detector, strongest.class), (Detector::Forest, Class::BruteForce));
        assert_eq!(strongest.evidence, Some(Evidence::Handshake));
    }
}

#[test]
fn what_a_rule_has_said_no_model_says_again() {
    let mut lab = lab();
    browse(&mut lab, ATTACKER, 30_000);
    closed_ports(&mut lab);
    let looks = lab.sensor.stats().looks;
    lab.wait(1000);
    let verdicts = scan(&mut lab, ATTACKER, 8);
    assert!(verdicts.iter().all(|verdict| verdict.detector == Detector::Rules), "{verdicts:#?}");
    assert!(lab.sensor.stats().looks >= looks + 7, "whoever is proven is looked at all the same");
    assert_eq!(lab.sensor.stats().forest_verdicts, 0);
}

#[test]
fn who_is_proven_guilty_is_not_judged_as_well() {
    let mut lab = lab();
    closed_ports(&mut lab);
    Connection::open(&mut lab, ATTACKER, 40_000, 8080).reset(&mut lab);
    assert_eq!(lab.verdicts().pop().and_then(|verdict| verdict.evidence), Some(Evidence::Handshake));
    let looks = lab.sensor.stats().looks;
    lab.wait(1000);
    scan(&mut lab, ATTACKER, 8);
    assert_eq!(lab.sensor.stats().looks, looks);
}

#[test]
fn what_a_rule_has_named_is_not_told_as_nameless() {
    let mut lab = watched_by(blind());
    browse(&mut lab, ATTACKER, 30_000);
    closed_ports(&mut lab);
    lab.verdicts();
    let long = ip(ATTACKER, SERVER, UDP, &udp((9, 53), &noise(1200)));
    let mut hear = |seconds| {
        for _ in 0..seconds {
            (0..40).for_each(|_| lab.hears(&long));
            lab.wait(1000);
        }
        lab.verdicts()
    };
    assert_eq!(hear(9), []);
    let later = hear(6);
    assert_eq!(later.iter().map(|verdict| verdict.detector).collect::<Vec<_>>(), [Detector::Isolation]);
}
