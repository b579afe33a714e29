use super::lab::*;
use crate::{Class, Evidence};

/// A stranger's first packets are only counted: what a rule measures begins behind them.
const UNCOUNTED: u16 = 2;

#[test]
fn fifteen_closed_ports_are_a_scan_and_thirteen_are_not() {
    let mut lab = Lab::new();
    // The estimate may be one off.
    for port in 0..13 + UNCOUNTED {
        lab.refuse(ATTACKER, 1000 + port * 7);
        lab.wait(10);
    }
    lab.silent();
    (5000..5005).for_each(|port| lab.refuse(ATTACKER, port));
    let verdict = lab.accuses(ATTACKER, Class::PortScan, "port_scan.ports", Evidence::Spoofable);
    assert!(verdict.reason.text.contains(" ports without an answer in 0.1"), "{}", verdict.reason.text);
    assert_eq!(verdict.reason.limit, 15.0);
    for measured in [verdict.reason.measured, verdict.features.distinct_ports.into()] {
        assert!((15.0..=17.0).contains(&measured), "{measured} ports");
    }
}

#[test]
fn the_same_port_again_is_no_other_port() {
    let mut lab = Lab::new();
    for second in 0..200u16 {
        let syn = tcp((30_000 + second, 8080), (second.into(), 0), SYN, b"");
        lab.hears(&ip(CLIENT, SERVER, TCP, &syn));
        lab.wait(100);
    }
    lab.silent();
}

#[test]
fn ports_that_answer_are_not_held_against_the_one_who_asks() {
    let mut lab = Lab::new();
    for port in 0..60 {
        let mut connection = Connection::open(&mut lab, CLIENT, 40_000 + port, 2000 + port);
        connection.exchange(&mut lab, b"hello", b"world");
        lab.wait(50);
    }
    lab.silent();
}

#[test]
fn a_scan_with_answers_here_and_there_is_a_scan() {
    let mut lab = Lab::new();
    for port in 0..40 {
        if port % 4 == 0 {
            let mut connection = Connection::new(ATTACKER, 40_000, 1000 + port);
            connection.syn(&mut lab);
            connection.syn_ack(&mut lab);
            connection.asks(&mut lab, RST, b"");
        } else {
            lab.refuse(ATTACKER, 1000 + port);
        }
    }
    lab.accuses(ATTACKER, Class::PortScan, "port_scan.ports", Evidence::Spoofable);
}

#[test]
fn scans_without_a_syn_are_scans() {
    for flags in [0, FIN, FIN | PSH | 32, ACK, SYN | FIN] {
        let mut lab = Lab::new();
        for port in 1..40 {
            lab.hears(&ip(ATTACKER, SERVER, TCP, &tcp((40_000, port), (9, 9), flags, b"")));
        }
        lab.accuses(ATTACKER, Class::PortScan, "port_scan.ports", Evidence::Spoofable);
    }
}

#[test]
fn tiny_fragments_hide_no_scan() {
    let mut lab = Lab::new();
    for port in 1..40 {
        let mut packet = ip(ATTACKER, SERVER, TCP, &tcp((40_000, port), (9, 0), SYN, b"")[..8]);
        packet[6] = 0x20;
        lab.hears(&packet);
    }
    lab.accuses(ATTACKER, Class::PortScan, "port_scan.ports", Evidence::Spoofable);
}

#[test]
fn one_port_of_25_hosts_is_a_sweep_and_of_24_is_not() {
    let mut lab = Lab::new();
    let ask = |lab: &mut Lab, host: u16| {
        let target = address(&std::format!("198.51.100.{host}"));
        lab.hears(&ip(ATTACKER, target, TCP, &tcp((40_000, 445), (host.into(), 0), SYN, b"")));
    };
    // The estimate of a few dozen in 64 slots may be one off.
    (0..23 + UNCOUNTED).for_each(|host| ask(&mut lab, host));
    lab.silent();
    (26..36).for_each(|host| ask(&mut lab, host));
    lab.accuses(ATTACKER, Class::PortScan, "port_scan.hosts", Evidence::Spoofable);
}

#[test]
fn pinging_one_host_after_another_is_a_sweep() {
    let mut lab = Lab::new();
    for host in 1..60 {
        let target = address(&std::format!("198.51.100.{host}"));
        lab.hears(&ip(ATTACKER, target, ICMP, &[8, 0, 0, 0, 0, 1, 0, 1]));
    }
    lab.accuses(ATTACKER, Class::PortScan, "port_scan.hosts", Evidence::Spoofable);
}

#[test]
fn a_talkative_peer_asks_each_host_on_a_port_of_its_own() {
    let mut lab = Lab::new();
    for peer in 1..58 {
        let target = address(&std::format!("198.51.100.{peer}"));
        let port = 10_000 + 331 * peer;
        lab.hears(&ip(CLIENT, target, TCP, &tcp((40_000, port), (1, 0), SYN, b"")));
        lab.hears(&ip(CLIENT, target, UDP, &udp((40_000, port), b"hello")));
        lab.wait(20);
    }
    lab.silent();
}

#[test]
fn one_probe_in_fifteen_seconds_adds_up_within_the_hour() {
    let mut lab = Lab::new();
    for port in 0..24 + UNCOUNTED {
        lab.refuse(ATTACKER, 1 + port);
        lab.wait(15_000);
    }
    lab.silent();
    (100..104).for_each(|port| {
        lab.refuse(ATTACKER, port);
        lab.wait(15_000);
    });
    let verdict = lab.accuses(ATTACKER, Class::PortScan, "port_scan.ports_per_hour", Evidence::Spoofable);
    assert!(verdict.reason.text.ends_with("ports without an answer within an hour"));
}

#[test]
fn probes_of_yesterday_are_forgotten() {
    let mut lab = Lab::new();
    for port in 0..60 {
        lab.refuse(CLIENT, 1 + port);
        lab.wait(400_000);
    }
    lab.silent();
}

#[test]
fn a_monitor_that_asks_five_ports_every_five_seconds_is_no_scan() {
    let mut lab = Lab::new();
    for _ in 0..720 {
        for port in [22, 80, 443, 3306, 9100] {
            lab.refuse(CLIENT, port);
        }
        lab.wait(5000);
    }
    lab.silent();
}

#[test]
fn unanswered_datagrams_to_15_ports_are_a_scan_and_to_14_are_not() {
    let mut lab = Lab::new();
    (0..13 + UNCOUNTED).for_each(|port| lab.datagram(ATTACKER, (40_000, 1000 + port * 3)));
    lab.silent();
    (0..4).for_each(|port| lab.datagram(ATTACKER, (40_000, 2000 + port)));
    lab.accuses(ATTACKER, Class::PortScan, "port_scan.udp_ports", Evidence::Spoofable);
}

#[test]
fn answered_datagrams_are_no_scan() {
    let mut lab = Lab::new();
    for port in 0..100 {
        lab.datagram(CLIENT, (40_000, 1000 + port));
        lab.says(&ip(SERVER, CLIENT, UDP, &udp((1000 + port, 40_000), b"hello")));
    }
    lab.silent();
}

#[test]
fn twelve_ip_protocols_are_a_scan() {
    let mut lab = Lab::new();
    let ask = |lab: &mut Lab, protocol| lab.hears(&ip(ATTACKER, SERVER, protocol, &[0; 4]));
    // 32 slots estimate a dozen to within two.
    (100..109 + UNCOUNTED as u8).for_each(|protocol| ask(&mut lab, protocol));
    lab.silent();
    (120..130).for_each(|protocol| ask(&mut lab, protocol));
    lab.accuses(ATTACKER, Class::PortScan, "port_scan.protocols", Evidence::Spoofable);
}

#[test]
fn one_tunnel_is_no_scan_of_protocols() {
    let mut lab = Lab::new();
    for _ in 0..1000 {
        lab.hears(&ip(CLIENT, SERVER, 50, &[0; 100]));
        lab.says(&ip(SERVER, CLIENT, 50, &[0; 100]));
    }
    lab.silent();
}

#[test]
fn a_verdict_comes_once_a_second_while_the_scan_goes_on() {
    let mut lab = Lab::new();
    for port in 0..600 {
        lab.refuse(ATTACKER, 1 + port);
        lab.wait(5);
    }
    let verdicts = lab.verdicts();
    assert!((2..=4).contains(&verdicts.len()), "{} verdicts in three seconds", verdicts.len());
}
