//! Segments whose numbers are guessed, and endings that the server never believed.

use alloc::vec::Vec;

use super::{
    brute_force::{ssh, typo},
    lab::*,
};
use crate::{
    Class, Evidence,
    packet::{Direction, Frame},
};

const HEAD: &[u8] = b"GET / HTTP/1.1\r\nHost: example.net\r\n";
const FORM: &[u8] = b"POST /login HTTP/1.1\r\nContent-Length: 9\r\n\r\npassword=";

/// Thirty headers that never end, of which a line comes each second, acknowledged, with something else after it.
fn slowloris(feint: impl Fn(&mut Lab, &mut Connection)) -> Lab {
    let mut lab = Lab::new();
    browse(&mut lab, ATTACKER, 19_000);
    let begin = |port: u16| Connection::open(&mut lab, ATTACKER, 20_000 + port, 80);
    let mut slow: Vec<_> = (0..30).map(begin).collect();
    for line in 0..12 {
        for connection in &mut slow {
            connection.asks(&mut lab, PSH | ACK, if line == 0 { HEAD } else { b"X-a: b\r\n" });
            connection.answers(&mut lab, ACK, b"");
            feint(&mut lab, connection);
        }
        lab.wait(1000);
    }
    lab
}

#[test]
fn who_starves_us_is_found_whatever_it_sends_beside() {
    type Feint = fn(&mut Lab, &mut Connection);
    let feints: [(&str, Feint); 5] = [
        ("nothing", |_, _| ()),
        ("another SYN", |lab, connection| {
            Connection { sent: 7, ..connection.clone() }.syn(lab);
        }),
        ("a FIN that nobody gets", |lab, connection| connection.clone().asks(lab, FIN | ACK, b"")),
        ("a RST that nobody gets", |lab, connection| connection.clone().reset(lab)),
        ("a RST out of the window", |lab, connection| {
            let sent = connection.sent.wrapping_add(1 << 20);
            Connection { sent, ..connection.clone() }.reset(lab);
        }),
    ];
    for (name, feint) in feints {
        let verdicts = slowloris(feint).verdicts();
        let verdict = verdicts.first().unwrap_or_else(|| panic!("nobody was accused, for {name}"));
        assert_eq!(verdict.class, Class::SlowDos, "{name}: {verdict:#?}");
        assert_eq!(verdict.evidence, Some(Evidence::Handshake), "{name}");
    }
}

#[test]
fn who_feigns_a_reset_and_waits_is_found_when_the_server_gives_up() {
    for request in [HEAD, b""] {
        let mut lab = Lab::new();
        let begin = |port: u16| Connection::open(&mut lab, ATTACKER, 20_000 + port, 80);
        let mut held: Vec<_> = (0..30).map(begin).collect();
        for connection in &mut held {
            connection.asks(&mut lab, PSH | ACK, request);
            connection.answers(&mut lab, ACK, b"");
            connection.clone().reset(&mut lab);
        }
        lab.wait(60_000);
        lab.verdicts();
        held.iter_mut().for_each(|connection| connection.answers(&mut lab, FIN | ACK, b""));
        lab.accuses(ATTACKER, Class::SlowDos, "slow_dos.starved", Evidence::Handshake);
    }
}

/// Connections of the source that count as open.
fn open(lab: &mut Lab, source: core::net::IpAddr) -> u32 {
    lab.sensor.source(source).map_or(0, |source| source.open)
}

#[test]
fn a_reset_ends_a_connection_although_what_was_sent_before_it_is_taken_after_it() {
    let mut lab = Lab::new();
    for port in 0..100 {
        let mut upload = Connection::open(&mut lab, CLIENT, 30_000 + port, 80);
        upload.asks(&mut lab, PSH | ACK, b"PUT / HTTP/1.1\r\nContent-Length: 500000\r\n\r\n");
        for _ in 0..80 {
            upload.asks(&mut lab, ACK, &noise(1400));
        }
        let mut cancelled = upload.clone();
        if port % 2 == 0 {
            upload.asks(&mut lab, FIN | ACK, b"");
        }
        // Some reset with the number of their FIN, some with the next.
        if port % 4 == 0 { &mut cancelled } else { &mut upload }.reset(&mut lab);
        upload.answers(&mut lab, ACK, b"");
    }
    assert_eq!(open(&mut lab, CLIENT), 0);
    lab.silent();
}

#[test]
fn a_reset_with_the_number_of_the_fin_that_the_server_took_ends_it() {
    let mut lab = Lab::new();
    let mut connection = Connection::open(&mut lab, CLIENT, 30_000, 80);
    connection.asks(&mut lab, PSH | ACK, GET);
    let mut before = connection.clone();
    connection.asks(&mut lab, FIN | ACK, b"");
    connection.answers(&mut lab, ACK, b"");
    assert_eq!(open(&mut lab, CLIENT), 1, "the server may still answer");
    before.reset(&mut lab);
    assert_eq!(open(&mut lab, CLIENT), 0);
}

#[test]
fn what_ends_a_connection_before_its_handshake_hides_none_of_it() {
    let feints: [fn(&mut Lab, &mut Connection); 2] = [
        |lab, connection| Connection { sent: 7, ..connection.clone() }.reset(lab),
        |lab, connection| {
            // The server refuses an acknowledgement that does not fit, and goes on waiting.
            Connection { received: 7, ..connection.clone() }.asks(lab, ACK, b"");
            Connection { received: 7, ..connection.clone() }.answers(lab, RST, b"");
        },
    ];
    for feint in feints {
        let mut lab = Lab::new();
        (0..20).for_each(|port| lab.refuse(ATTACKER, 1000 + port));
        let mut probe = Connection::new(ATTACKER, 40_000, 80);
        probe.syn(&mut lab);
        probe.syn_ack(&mut lab);
        feint(&mut lab, &mut probe);
        probe.asks(&mut lab, ACK, b"");
        assert_eq!(open(&mut lab, ATTACKER), 1);
        probe.close(&mut lab);
        assert_eq!(open(&mut lab, ATTACKER), 0);
        let proven = lab.verdicts().iter().any(|verdict| verdict.evidence == Some(Evidence::Handshake));
        assert!(proven, "a handshake that carries nothing is a probe");
    }
}

#[test]
fn a_login_that_is_reset_while_the_server_ends_it_counts_once() {
    let mut lab = Lab::new();
    for port in 0..7 {
        let mut connection = Connection::open(&mut lab, CLIENT, 40_000 + port, 3389);
        connection.exchange(&mut lab, &noise(300), &noise(300));
        connection.clone().reset(&mut lab);
        (0..5).for_each(|_| connection.clone().answers(&mut lab, FIN | ACK, b""));
    }
    lab.silent();
    assert_eq!(open(&mut lab, CLIENT), 0);
}

#[test]
fn a_guesser_is_counted_although_it_feigns_to_reset_each_connection() {
    let mut lab = Lab::new();
    for port in 0..8 {
        let mut connection = ssh(&mut lab, ATTACKER, 40_000 + port);
        connection.clone().reset(&mut lab);
        typo(&mut lab, &mut connection);
        connection.close(&mut lab);
    }
    lab.accuses(ATTACKER, Class::BruteForce, "brute_force.failures", Evidence::Handshake);
}

#[test]
fn what_others_guess_under_a_customers_ports_is_not_the_customers() {
    let mut lab = Lab::new();
    let open = |port: u16| Connection::open(&mut lab, CLIENT, 40_000 + port, 80);
    let mut connections: Vec<_> = (0..40).map(open).collect();
    connections.iter_mut().for_each(|connection| connection.exchange(&mut lab, GET, OK));
    for round in 1..8_u32 {
        lab.wait(1000);
        for connection in &connections {
            // Each number by itself may be guessed.
            let guess = round.wrapping_mul(0x1357_9bdf);
            let sent = connection.sent.wrapping_add(guess);
            let received = connection.received.wrapping_add(guess);
            Connection { sent, ..connection.clone() }.asks(&mut lab, PSH | ACK, FORM);
            Connection { received, ..connection.clone() }.asks(&mut lab, PSH | ACK, FORM);
            Connection { sent, ..connection.clone() }.asks(&mut lab, PSH | ACK, HEAD);
            connection.clone().asks(&mut lab, PSH, FORM);
        }
    }
    lab.wait(7000);
    lab.silent();
}

#[test]
fn a_guessed_reset_makes_no_probe_of_a_customers_connection() {
    let mut lab = Lab::new();
    (0..60).for_each(|port| lab.refuse(CLIENT, 1000 + port));
    let waiting = Connection::open(&mut lab, CLIENT, 40_000, 25);
    for off in [1, 2, 100, u32::MAX] {
        Connection { sent: waiting.sent.wrapping_add(off), ..waiting.clone() }.reset(&mut lab);
    }
    (60..75).for_each(|port| lab.refuse(CLIENT, 1000 + port));
    let verdicts = lab.verdicts();
    assert!(!verdicts.is_empty());
    verdicts.iter().for_each(|verdict| assert_eq!(verdict.evidence, Some(Evidence::Spoofable)));
}

#[test]
fn failures_that_others_forge_are_not_proven_by_one_of_the_customers_own() {
    let mut lab = Lab::new();
    let mut own = Connection::open(&mut lab, CLIENT, 40_000, 21);
    for port in 0..7 {
        let mut forged = Connection::forged(&mut lab, CLIENT, 30_000 + port, 21);
        forged.asks(&mut lab, PSH | ACK, b"PASS x\r\n");
        forged.answers(&mut lab, PSH | ACK, b"530 Login incorrect.\r\n");
    }
    lab.silent();
    own.exchange(&mut lab, b"PASS mistyped\r\n", b"530 Login incorrect.\r\n");
    lab.accuses(CLIENT, Class::BruteForce, "brute_force.failures", Evidence::Spoofable);
}

#[test]
fn nobody_answers_for_a_server_behind_us_that_answered_itself() {
    let mut lab = Lab::new();
    let (inside, outside) = (address("10.0.0.7"), CLIENT);
    let mut pass = |from, to, segment: &[u8], trusted| {
        let packet = ip(from, to, TCP, segment);
        let frame = Frame { trusted, ..raw(&packet, Direction::In) };
        lab.sensor.observe(lab.now, &frame).unwrap();
    };
    pass(outside, inside, &tcp((9, 21), (1, 0), SYN, b""), false);
    pass(inside, outside, &tcp((21, 9), (100, 2), SYN | ACK, b""), true);
    pass(outside, inside, &tcp((9, 21), (2, 101), ACK, b""), false);
    for _ in 0..20 {
        pass(inside, outside, &tcp((21, 9), (101, 2), PSH | ACK, b"530 Login incorrect.\r\n"), false);
    }
    lab.silent();
}

#[test]
fn a_connection_whose_end_was_missed_makes_room_for_the_next_on_its_ports() {
    let mut lab = Lab::new();
    for visit in 0..50_u32 {
        let mut connection = Connection::new(CLIENT, 40_000, 80);
        // Now and then with the number that the last began with.
        connection.sent = connection.sent.wrapping_add((visit / 2) << 20);
        connection.received = connection.received.wrapping_sub(visit << 24);
        connection.syn(&mut lab);
        connection.syn_ack(&mut lab);
        connection.asks(&mut lab, ACK, b"");
        connection.exchange(&mut lab, GET, OK);
        lab.wait(2000);
    }
    assert_eq!(lab.sensor.stats().handshakes, 50);
    let mut last = None;
    for _ in 0..20 {
        lab.wait(1000);
        browse(&mut lab, CLIENT, 41_000);
        last = core::iter::from_fn(|| lab.sensor.poll_window()).last().or(last);
    }
    let features = last.expect("a window").features;
    assert!(features.open_connections <= 1.0, "of fifty at most the last is open: {features:?}");
    lab.silent();
}

#[test]
fn long_transfers_both_ways_stay_the_connections_own_although_much_is_missed() {
    let mut lab = Lab::new();
    let mut connection = Connection::open(&mut lab, CLIENT, 40_000, 80);
    connection.exchange(&mut lab, GET, OK);
    for _ in 0..100 {
        // A hundred megabytes that nobody saw, and then the next segments.
        connection.sent = connection.sent.wrapping_add(100 << 20);
        connection.received = connection.received.wrapping_add(100 << 20);
        connection.answers(&mut lab, ACK, b"");
        connection.exchange(&mut lab, GET, OK);
        lab.wait(100);
    }
    lab.wait(1000);
    connection.exchange(&mut lab, GET, OK);
    let report = core::iter::from_fn(|| lab.sensor.poll_window()).last().expect("a window");
    assert!(report.features.requests_per_second > 7.0, "{report:?}");
}
