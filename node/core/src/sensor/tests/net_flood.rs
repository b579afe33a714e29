use super::lab::*;
use crate::{Class, Evidence, Subject, verdict::Protocol};

fn syn(lab: &mut Lab, source: core::net::IpAddr, number: u32) {
    let ports = (1024 + (number % 60_000) as u16, 80);
    lab.hears(&ip(source, SERVER, TCP, &tcp(ports, (number, 0), SYN, b"")));
}

#[test]
fn four_hundred_half_open_connections_are_a_flood_and_fewer_are_not() {
    let mut lab = Lab::new();
    (0..401).for_each(|number| syn(&mut lab, ATTACKER, number));
    lab.silent();
    syn(&mut lab, ATTACKER, 401);
    let verdict = lab.accuses(ATTACKER, Class::NetFlood, "net_flood.syn", Evidence::Spoofable);
    assert_eq!(verdict.features.half_open, 400.0);
    assert!(verdict.reason.text.starts_with("400 SYNs without a handshake in "));
}

#[test]
fn a_syn_sent_again_is_counted_once() {
    let mut lab = Lab::new();
    for _ in 0..8 {
        (0..300).for_each(|number| syn(&mut lab, CLIENT, number));
        lab.wait(1000);
    }
    lab.silent();
}

#[test]
fn one_syn_sent_again_faster_than_any_system_does_is_a_flood() {
    let mut lab = Lab::new();
    for _ in 0..402 {
        syn(&mut lab, ATTACKER, 7);
        lab.wait(2);
    }
    lab.accuses(ATTACKER, Class::NetFlood, "net_flood.syn", Evidence::Spoofable);
}

#[test]
fn completed_handshakes_are_no_flood_however_many() {
    let mut lab = Lab::new();
    for number in 0..720 {
        browse(&mut lab, CLIENT, 2000 + number);
        lab.wait(14);
    }
    lab.silent();
}

#[test]
fn lost_connections_of_a_busy_proxy_are_few_beside_those_that_went_on() {
    let mut lab = Lab::new();
    (0..600).for_each(|number| browse(&mut lab, CLIENT, 2000 + number));
    (0..550).for_each(|number| syn(&mut lab, CLIENT, 10_000 + number));
    lab.silent();
}

#[test]
fn a_slower_flood_is_none() {
    let mut lab = Lab::new();
    for number in 0..2000 {
        syn(&mut lab, CLIENT, number);
        lab.wait(30);
    }
    lab.silent();
}

#[test]
fn datagrams_to_a_closed_port_are_a_flood_from_a_thousand_on() {
    let mut lab = Lab::new();
    let send = |lab: &mut Lab, count: u16| {
        for _ in 0..count {
            lab.datagram(ATTACKER, (40_000, 9));
            lab.says(&ip(SERVER, ATTACKER, ICMP, &[3, 3, 0, 0, 0, 0, 0, 0]));
        }
    };
    send(&mut lab, 1001);
    lab.silent();
    send(&mut lab, 1);
    lab.accuses(ATTACKER, Class::NetFlood, "net_flood.udp", Evidence::Spoofable);
}

#[test]
fn datagrams_into_silence_are_a_flood_only_when_very_many() {
    let mut lab = Lab::new();
    // A log sender's 900 a second: nobody answers syslog.
    for _ in 0..9000 {
        lab.datagram(CLIENT, (40_000, 514));
        lab.wait(1);
    }
    lab.silent();
    for _ in 0..5010 {
        lab.datagram(ATTACKER, (40_000, 514));
    }
    lab.accuses(ATTACKER, Class::NetFlood, "net_flood.udp", Evidence::Spoofable);
}

#[test]
fn a_hundred_answered_queries_a_second_are_no_flood() {
    let mut lab = Lab::new();
    for query in 0..6000u16 {
        lab.datagram(CLIENT, (1024 + query, 53));
        lab.wait(2);
        lab.says(&ip(SERVER, CLIENT, UDP, &udp((53, 1024 + query), b"answer")));
        lab.wait(8);
    }
    lab.silent();
}

#[test]
fn five_hundred_echo_requests_are_a_flood_answered_or_not() {
    let mut lab = Lab::new();
    let ping = |lab: &mut Lab| {
        lab.hears(&ip(ATTACKER, SERVER, ICMP, &[8, 0, 0, 0, 0, 1, 0, 1]));
        lab.says(&ip(SERVER, ATTACKER, ICMP, &[0, 0, 0, 0, 0, 1, 0, 1]));
    };
    (0..501).for_each(|_| ping(&mut lab));
    lab.silent();
    ping(&mut lab);
    lab.accuses(ATTACKER, Class::NetFlood, "net_flood.icmp", Evidence::Spoofable);
}

#[test]
fn a_monitor_may_ping_every_second() {
    let mut lab = Lab::new();
    for _ in 0..600 {
        lab.hears(&ip(CLIENT, SERVER, ICMP, &[8, 0, 0, 0, 0, 1, 0, 1]));
        lab.wait(1000);
    }
    lab.silent();
}

#[test]
fn segments_of_no_connection_are_a_flood_from_a_thousand_on() {
    let mut lab = Lab::new();
    let stray = |lab: &mut Lab, count: u32| {
        for number in 0..count {
            lab.hears(&ip(ATTACKER, SERVER, TCP, &tcp((40_000, 80), (number, 7), ACK, b"")));
        }
    };
    stray(&mut lab, 1001);
    lab.silent();
    stray(&mut lab, 1);
    lab.accuses(ATTACKER, Class::NetFlood, "net_flood.stray", Evidence::Spoofable);
}

#[test]
fn a_download_that_was_there_before_us_is_none_of_them() {
    let mut lab = Lab::new();
    let mut connection = Connection::new(CLIENT, 40_000, 80);
    connection.asks(&mut lab, ACK, b"");
    for _ in 0..5000 {
        connection.answers(&mut lab, ACK, b"data");
        connection.asks(&mut lab, ACK, b"");
        connection.asks(&mut lab, ACK, b"");
    }
    lab.silent();
}

#[test]
fn a_flood_under_forged_addresses_is_the_services_alert_and_nobodys_verdict() {
    let mut lab = Lab::new();
    for number in 0..3000 {
        syn(&mut lab, somebody(number * 7919), number);
        lab.wait(1);
    }
    let verdicts = lab.verdicts();
    assert!(!verdicts.is_empty(), "nobody noticed");
    for verdict in &verdicts {
        let Subject::Destination { service, sources_seen } = verdict.subject else { panic!("{verdict:#?}") };
        assert_eq!((service.address, service.protocol), (SERVER, Protocol::Tcp));
        assert!((100..4000).contains(&sources_seen), "{sources_seen} sources");
        assert_eq!((verdict.class, &*verdict.reason.rule), (Class::NetFlood, "net_flood.service"));
        assert_eq!(verdict.evidence, None);
    }
    assert!(verdicts.len() <= 8, "{} alerts for two services in three seconds", verdicts.len());
    let first = verdicts.first().unwrap();
    assert_eq!(first.reason.measured, 300.0, "as soon as the limit is reached");
}

#[test]
fn a_flood_of_datagrams_under_forged_addresses_is_seen_too() {
    let mut lab = Lab::new();
    (0..1999).for_each(|number| lab.datagram(somebody(number * 31), (9, 53)));
    lab.silent();
    lab.datagram(somebody(1), (9, 53));
    let verdicts = lab.verdicts();
    let Subject::Destination { service, .. } = verdicts.first().unwrap().subject else { panic!() };
    assert_eq!((service.protocol, service.port), (Protocol::Udp, 53));
}

#[test]
fn seventy_clients_who_try_again_are_no_distributed_flood() {
    let mut lab = Lab::new();
    (0..350).for_each(|number| syn(&mut lab, somebody(number % 70), number));
    lab.silent();
}

#[test]
fn a_rush_of_real_customers_is_no_flood() {
    let mut lab = Lab::new();
    (0..1000).for_each(|customer| {
        browse(&mut lab, somebody(customer), 40_000);
        lab.wait(5);
    });
    lab.silent();
}

#[test]
fn a_flood_of_one_source_is_not_called_distributed() {
    let mut lab = Lab::new();
    (0..3000).for_each(|number| syn(&mut lab, ATTACKER, number));
    assert!(lab.verdicts().iter().all(|verdict| matches!(verdict.subject, Subject::Source(ATTACKER))));
}

#[test]
fn a_flood_of_resets_to_nothing_is_one_but_answers_are_none() {
    let mut lab = Lab::new();
    for number in 0..1100 {
        let (ours, theirs) = (1024 + number, 6881);
        lab.says(&ip(SERVER, CLIENT, TCP, &tcp((ours, theirs), (1, 0), SYN, b"")));
        lab.hears(&ip(CLIENT, SERVER, TCP, &tcp((theirs, ours), (0, 2), RST | ACK, b"")));
    }
    // Asking one host for a thousand ports is ours to explain.
    assert!(lab.verdicts().iter().all(|verdict| verdict.class == Class::Botnet));
    (0..1010).for_each(|_| lab.hears(&ip(ATTACKER, SERVER, TCP, &tcp((9, 80), (1, 0), RST, b""))));
    lab.accuses(ATTACKER, Class::NetFlood, "net_flood.stray", Evidence::Spoofable);
}
