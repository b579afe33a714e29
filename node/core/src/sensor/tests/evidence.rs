use super::lab::*;
use crate::{Class, Evidence};

/// `count` connections on ports from 1000 on, begun by `begin`, and the evidence of the first verdict.
fn evidence_of(count: u16, begin: impl Fn(&mut Lab, &mut Connection)) -> Evidence {
    let mut lab = Lab::new();
    for port in 0..count {
        lab.refuse(ATTACKER, 1000 + port);
        let mut open = Connection::new(ATTACKER, 40_000 + port, 80);
        begin(&mut lab, &mut open);
        lab.wait(1);
    }
    let verdicts = lab.verdicts();
    let strongest = verdicts.iter().filter(|verdict| verdict.class == Class::PortScan);
    strongest.filter_map(|verdict| verdict.evidence).max().expect("a scan")
}

#[test]
fn a_syn_scan_proves_nothing() {
    let evidence = evidence_of(60, |lab, open| {
        open.syn(lab);
        open.syn_ack(lab);
        open.asks(lab, RST, b"");
    });
    assert_eq!(evidence, Evidence::Spoofable);
}

#[test]
fn a_reset_that_acknowledges_proves_nothing_either() {
    let evidence = evidence_of(60, |lab, open| {
        open.syn(lab);
        open.syn_ack(lab);
        open.reset(lab);
    });
    assert_eq!(evidence, Evidence::Spoofable);
}

#[test]
fn a_connect_scan_proves_itself() {
    let evidence = evidence_of(60, |lab, open| {
        open.syn(lab);
        open.syn_ack(lab);
        open.asks(lab, ACK, b"");
        open.reset(lab);
    });
    assert_eq!(evidence, Evidence::Handshake);
}

#[test]
fn an_acknowledgement_must_cover_what_we_sent() {
    for number in [0, 1, 12_345, u32::MAX] {
        let evidence = evidence_of(60, |lab, open| {
            open.syn(lab);
            open.syn_ack(lab);
            open.received = number;
            open.asks(lab, ACK, b"");
            open.reset(lab);
        });
        assert_eq!(evidence, Evidence::Spoofable, "acknowledging {number}");
    }
    for (off, proof) in [(0, Evidence::Handshake), (1, Evidence::Handshake), (2, Evidence::Spoofable)] {
        let evidence = evidence_of(60, |lab, open| {
            open.syn(lab);
            open.syn_ack(lab);
            open.received += off;
            open.asks(lab, ACK, b"");
            open.reset(lab);
        });
        assert_eq!(evidence, proof, "{off} beyond our SYN");
    }
}

#[test]
fn nothing_is_proven_before_we_answered() {
    let evidence = evidence_of(60, |lab, open| {
        open.syn(lab);
        open.asks(lab, ACK, b"");
        open.asks(lab, ACK, GET);
    });
    assert_eq!(evidence, Evidence::Spoofable);
}

#[test]
fn a_syn_cookie_is_as_good_as_any_number() {
    // With cookies the kernel keeps nothing; what we see is the same: a SYN-ACK leaves, an ACK covers it.
    let mut lab = Lab::new();
    let mut connection = Connection::new(CLIENT, 40_000, 80);
    connection.received = u32::MAX - 1;
    connection.syn(&mut lab);
    connection.syn_ack(&mut lab);
    connection.asks(&mut lab, ACK, b"");
    assert_eq!(lab.sensor.stats().handshakes, 1);
}

#[test]
fn a_fast_open_is_proven_by_our_taking_its_data() {
    let mut lab = Lab::new();
    let mut taken = Connection::new(CLIENT, 40_000, 80);
    taken.asks(&mut lab, SYN, GET);
    taken.syn_ack(&mut lab);
    assert_eq!(lab.sensor.stats().handshakes, 1);
    let mut refused = Connection::new(CLIENT, 40_001, 80);
    refused.asks(&mut lab, SYN, GET);
    refused.sent -= GET.len() as u32;
    refused.syn_ack(&mut lab);
    assert_eq!(lab.sensor.stats().handshakes, 1, "the cookie was not valid: the data was not taken");
}

#[test]
fn a_forged_request_and_our_repeated_answer_prove_nothing() {
    let mut lab = Lab::new();
    let mut forged = Connection::new(CLIENT, 40_000, 80);
    forged.syn(&mut lab);
    let begun = forged.clone();
    forged.syn_ack(&mut lab);
    forged.received = 7;
    forged.asks(&mut lab, PSH | ACK, GET);
    // Nobody confirmed, so our kernel sends its SYN-ACK again.
    begun.clone().syn_ack(&mut lab);
    assert_eq!(lab.sensor.stats().handshakes, 0);
}

#[test]
fn a_regular_guest_is_one_who_worked_here_for_a_while_and_is_not_dropped() {
    let mut lab = Lab::new();
    for visit in 0..30 {
        browse(&mut lab, CLIENT, 40_000 + visit);
        lab.wait(500);
    }
    browse(&mut lab, ATTACKER, 40_000);
    assert!(lab.sensor.regulars(lab.now, 10).is_empty(), "what was done just now vouches for nobody");
    lab.wait(120_000);
    assert_eq!(lab.sensor.regulars(lab.now, 10), [CLIENT]);
    assert!(lab.sensor.regulars(lab.now, 0).is_empty());
    lab.sensor.handle_block(crate::prefix::host(CLIENT), Some(crate::Strength::Hard));
    assert!(lab.sensor.regulars(lab.now, 10).is_empty());
}

#[test]
fn probes_forged_under_a_customers_address_stay_forged() {
    let mut lab = Lab::new();
    for visit in 0..30 {
        browse(&mut lab, CLIENT, 40_000 + visit);
        lab.wait(500);
    }
    for port in 1..200 {
        lab.refuse(CLIENT, 1000 + port);
        lab.wait(10);
        if port % 40 == 0 {
            browse(&mut lab, CLIENT, 41_000 + port);
        }
    }
    let verdict = lab.accuses(CLIENT, Class::PortScan, "port_scan.ports", Evidence::Spoofable);
    assert!(verdict.standing.known, "policy must know that it is a customer");
    lab.verdicts().iter().for_each(|verdict| assert_eq!(verdict.evidence, Some(Evidence::Spoofable)));
}

#[test]
fn a_customer_who_comes_while_others_forge_its_address_proves_nothing_of_theirs() {
    let mut lab = Lab::new();
    (0..60).for_each(|port| lab.refuse(CLIENT, 1000 + port));
    let mut customer = Connection::open(&mut lab, CLIENT, 40_000, 80);
    for port in 60..70 {
        lab.refuse(CLIENT, 1000 + port);
        lab.wait(3);
    }
    customer.exchange(&mut lab, GET, OK);
    for verdict in lab.verdicts() {
        assert_eq!(verdict.evidence, Some(Evidence::Spoofable), "{verdict:#?}");
    }
}

#[test]
fn stronger_evidence_is_said_at_once() {
    let mut lab = Lab::new();
    (0..40).for_each(|port| lab.refuse(ATTACKER, 1000 + port));
    assert_eq!(lab.verdicts().len(), 1);
    let mut open = Connection::open(&mut lab, ATTACKER, 40_000, 80);
    open.reset(&mut lab);
    let verdicts = lab.verdicts();
    assert_eq!(verdicts.len(), 1);
    assert_eq!(verdicts[0].evidence, Some(Evidence::Handshake));
}

#[test]
fn what_we_answer_is_not_held_against_the_one_who_asked_us() {
    let mut lab = Lab::new();
    for port in 1..300 {
        // We asked; they refuse, accept, and report.
        lab.says(&ip(SERVER, CLIENT, TCP, &tcp((40_000 + port, 80), (1, 0), SYN, b"")));
        let flags = if port % 2 == 0 { RST | ACK } else { SYN | ACK };
        lab.hears(&ip(CLIENT, SERVER, TCP, &tcp((80, 40_000 + port), (5, 2), flags, b"")));
        lab.hears(&ip(CLIENT, SERVER, ICMP, &[3, 3, 0, 0, 0, 0, 0, 0]));
        lab.hears(&ip(CLIENT, SERVER, ICMP, &[11, 0, 0, 0, 0, 0, 0, 0]));
        lab.hears(&ip(CLIENT, SERVER, ICMP, &[0, 0, 0, 0, 0, 0, 0, 0]));
        lab.says(&ip(SERVER, CLIENT, UDP, &udp((40_000 + port, 53), b"who is?")));
        lab.datagram(CLIENT, (53, 40_000 + port));
    }
    (0..1000).for_each(|_| lab.hears(&ip(CLIENT, SERVER, ICMP, &[11, 0, 0, 0, 0, 0, 0, 0])));
    lab.silent();
}

#[test]
fn errors_about_our_own_packets_are_no_traffic_of_the_routers() {
    let mut lab = Lab::new();
    (0..100).for_each(|_| lab.hears(&ip(CLIENT, SERVER, ICMP, &[11, 0, 0, 0, 0, 0, 0, 0])));
    assert_eq!(lab.sensor.stats().sources, 0);
}

#[test]
fn an_answer_after_a_minute_is_no_answer() {
    let mut lab = Lab::new();
    let ask = |lab: &mut Lab, wait| {
        for port in 0..60 {
            lab.says(&ip(SERVER, CLIENT, UDP, &udp((40_000 + port, 53), b"who is?")));
        }
        lab.wait(wait);
        for port in 0..60 {
            lab.datagram(CLIENT, (53, 40_000 + port));
        }
    };
    ask(&mut lab, 59_000);
    lab.silent();
    lab.wait(100_000);
    ask(&mut lab, 61_000);
    lab.accuses(CLIENT, Class::PortScan, "port_scan.udp_ports", Evidence::Spoofable);
}

#[test]
fn where_our_answers_leave_by_another_path_we_notice() {
    let mut lab = Lab::new();
    for port in 0..99 {
        let mut connection = Connection::new(CLIENT, 40_000 + port, 80);
        connection.syn(&mut lab);
        connection.asks(&mut lab, ACK, GET);
        connection.asks(&mut lab, ACK, b"more");
    }
    assert!(!lab.sensor.stats().is_asymmetric(), "too early to say");
    let mut connection = Connection::new(CLIENT, 50_000, 80);
    connection.syn(&mut lab);
    connection.asks(&mut lab, ACK, GET);
    let stats = lab.sensor.stats();
    assert!(stats.is_asymmetric() && stats.unanswered == 100, "{stats:?}");
    (0..100).for_each(|visit| browse(&mut lab, CLIENT, 51_000 + visit));
    assert!(!lab.sensor.stats().is_asymmetric(), "half is enough");
    lab.silent();
}
