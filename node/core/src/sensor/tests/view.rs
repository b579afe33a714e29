use super::lab::*;
use crate::{
    Class, Evidence, Subject,
    config::SensorConfig,
    packet::{Direction, Frame},
    sensor::View,
};

const INSIDE: &str = "10.0.0.7";

/// A router: its own address, and traffic that it forwards from an interface that is trusted or not.
fn passes(lab: &mut Lab, packet: &[u8], trusted: bool) {
    let frame = Frame { trusted, ..raw(packet, Direction::In) };
    lab.sensor.observe(lab.now, &frame).unwrap();
    // Forwarded packets are seen a second time when they leave.
    let frame = Frame { trusted: !trusted, ..raw(packet, Direction::Out) };
    lab.sensor.observe(lab.now, &frame).unwrap();
}

#[test]
fn a_scan_through_us_is_the_initiators() {
    let mut lab = Lab::new();
    for port in 0..40 {
        passes(&mut lab, &ip(ATTACKER, address(INSIDE), TCP, &tcp((9, port), (1, 0), SYN, b"")), false);
        passes(&mut lab, &ip(address(INSIDE), ATTACKER, TCP, &tcp((port, 9), (0, 2), RST | ACK, b"")), false);
    }
    let verdict = lab.accuses(ATTACKER, Class::PortScan, "port_scan.ports", Evidence::Spoofable);
    let packets = verdict.features.packets_per_second * 10.0;
    assert!(packets < 20.0, "what passes twice counts once, not {packets}");
}

#[test]
fn what_comes_from_a_trusted_interface_is_not_judged() {
    let mut lab = Lab::new();
    for port in 0..400 {
        passes(&mut lab, &ip(address(INSIDE), CLIENT, TCP, &tcp((9, port), (1, 0), SYN, b"")), true);
        passes(&mut lab, &ip(address(INSIDE), CLIENT, UDP, &udp((9, port), b"?")), true);
        passes(&mut lab, &ip(address(INSIDE), CLIENT, ICMP, &[8, 0, 0, 0, 0, 0, 0, 0]), true);
    }
    lab.silent();
}

#[test]
fn answers_to_a_trusted_network_are_held_against_nobody() {
    let mut lab = Lab::new();
    for port in 0..400 {
        let (inside, outside) = (address(INSIDE), CLIENT);
        passes(&mut lab, &ip(inside, outside, UDP, &udp((1000 + port, 53), b"who is?")), true);
        passes(&mut lab, &ip(outside, inside, UDP, &udp((53, 1000 + port), b"this one")), false);
        passes(&mut lab, &ip(inside, outside, TCP, &tcp((1000 + port, 80), (1, 0), SYN, b"")), true);
        passes(&mut lab, &ip(outside, inside, TCP, &tcp((80, 1000 + port), (9, 2), SYN | ACK, b"")), false);
        passes(&mut lab, &ip(inside, outside, TCP, &tcp((1000 + port, 80), (2, 10), ACK, b"")), true);
        passes(&mut lab, &ip(outside, inside, TCP, &tcp((80, 1000 + port), (10, 2), ACK, b"")), false);
    }
    lab.silent();
}

#[test]
fn answers_of_a_trusted_network_count_for_the_one_who_asked() {
    let mut lab = Lab::new();
    for port in 0..400 {
        let (inside, outside) = (address(INSIDE), CLIENT);
        passes(&mut lab, &ip(outside, inside, UDP, &udp((9, 1000 + port), b"who is?")), false);
        passes(&mut lab, &ip(inside, outside, UDP, &udp((1000 + port, 9), b"this one")), true);
        lab.wait(10);
    }
    lab.silent();
}

#[test]
fn a_handshake_through_us_proves_only_what_the_trusted_side_answered() {
    let handshakes = |trusted| {
        let mut lab = Lab::new();
        let (inside, outside) = (address(INSIDE), CLIENT);
        passes(&mut lab, &ip(outside, inside, TCP, &tcp((9, 80), (1, 0), SYN, b"")), false);
        passes(&mut lab, &ip(inside, outside, TCP, &tcp((80, 9), (100, 2), SYN | ACK, b"")), trusted);
        passes(&mut lab, &ip(outside, inside, TCP, &tcp((9, 80), (2, 101), ACK, b"")), false);
        lab.sensor.stats().handshakes
    };
    assert_eq!(handshakes(true), 1);
    assert_eq!(handshakes(false), 0, "one sender could have forged all three");
}

#[test]
fn our_own_address_from_outside_accuses_nobody() {
    let mut lab = Lab::new();
    for port in 0..100 {
        lab.hears(&ip(SERVER, CLIENT, TCP, &tcp((9, port), (1, 0), SYN, b"")));
        lab.says(&ip(CLIENT, SERVER, TCP, &tcp((9, port), (1, 0), SYN, b"")));
    }
    lab.silent();
    assert_eq!(lab.sensor.stats().sources, 0);
}

#[test]
fn our_own_scan_is_a_botnets_and_no_targets_fault() {
    let mut lab = Lab::new();
    for port in 0..60 {
        lab.says(&ip(SERVER, CLIENT, TCP, &tcp((9, port), (1, 0), SYN, b"")));
        lab.hears(&ip(CLIENT, SERVER, TCP, &tcp((port, 9), (0, 2), RST | ACK, b"")));
    }
    let verdicts = lab.verdicts();
    let first = verdicts.first().expect("an alert");
    assert_eq!((first.subject, first.class), (Subject::Source(SERVER), Class::Botnet));
    assert_eq!(first.evidence, None, "nothing may follow");
    assert!(first.reason.text.starts_with("this host asks others: "));
    assert!(verdicts.iter().all(|verdict| verdict.subject == Subject::Source(SERVER)));
}

#[test]
fn our_own_ordinary_connections_are_no_scan() {
    let mut lab = Lab::new();
    for number in 0..500 {
        let other = somebody(number);
        lab.says(&ip(SERVER, other, TCP, &tcp((9, 443), (1, 0), SYN, b"")));
        lab.hears(&ip(other, SERVER, TCP, &tcp((443, 9), (5, 2), SYN | ACK, b"")));
        lab.says(&ip(SERVER, other, TCP, &tcp((9, 443), (2, 6), ACK, b"")));
    }
    lab.silent();
}

#[test]
fn without_addresses_of_our_own_the_initiator_is_judged() {
    let mut lab = Lab::new();
    lab.sensor.set_view(View::Initiator);

    for port in 0..40 {
        for packet in [
            ip(ATTACKER, SERVER, TCP, &tcp((9, port), (1, 0), SYN, b"")),
            ip(SERVER, ATTACKER, TCP, &tcp((port, 9), (0, 2), RST | ACK, b"")),
        ] {
            let frame = Frame { direction: None, ..raw(&packet, Direction::In) };
            lab.sensor.observe(lab.now, &frame).unwrap();
        }
    }
    lab.accuses(ATTACKER, Class::PortScan, "port_scan.ports", Evidence::Spoofable);
}

#[test]
fn ipv6_and_tunnels_are_judged_alike() {
    let mut lab = Lab::seeing(SensorConfig::default(), &["2001:db8:1::/48", "10.0.0.0/8"], 3);
    let (source, target) = (address("2001:db8:bad::1"), address("2001:db8:1::1"));
    for port in 0..40 {
        lab.hears(&ip(source, target, TCP, &tcp((9, port), (1, 0), SYN, b"")));
    }
    lab.accuses(source, Class::PortScan, "port_scan.ports", Evidence::Spoofable);
    for port in 0..40 {
        let inner = ip(ATTACKER, address(INSIDE), TCP, &tcp((9, port), (1, 0), SYN, b""));
        lab.hears(&ip(CLIENT, address(INSIDE), 4, &inner));
    }
    lab.accuses(ATTACKER, Class::PortScan, "port_scan.ports", Evidence::Spoofable);
}
