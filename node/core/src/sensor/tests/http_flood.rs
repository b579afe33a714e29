use super::lab::*;
use crate::{Class, Evidence};

fn connections(lab: &mut Lab, count: u16) -> alloc::vec::Vec<Connection> {
    (0..count).map(|port| Connection::open(lab, ATTACKER, 30_000 + port, 80)).collect()
}

/// `requests` over the connections in turn, within eight seconds.
fn flood(lab: &mut Lab, connections: &mut [Connection], requests: usize) {
    for number in 0..requests {
        let turn = number % connections.len();
        connections[turn].exchange(lab, GET, OK);
        if number % 200 == 0 {
            lab.wait(1);
        }
    }
}

#[test]
fn fifteen_hundred_requests_over_many_connections_are_a_flood() {
    let mut lab = Lab::new();
    let mut open = connections(&mut lab, 32);
    flood(&mut lab, &mut open, 1499);
    lab.silent();
    flood(&mut lab, &mut open, 1);
    let verdict = lab.accuses(ATTACKER, Class::HttpFlood, "http_flood.requests", Evidence::Handshake);
    assert!(verdict.reason.text.starts_with("1500 requests over 32 connections at once in "));
}

#[test]
fn requests_that_others_forge_are_no_flood_of_a_customers() {
    let mut lab = Lab::new();
    let mut open = connections(&mut lab, 40);
    let mut forged = Connection::forged(&mut lab, ATTACKER, 50_000, 80);
    (0..3000).for_each(|_| forged.asks(&mut lab, PSH | ACK, GET));
    flood(&mut lab, &mut open, 40);
    lab.silent();
}

#[test]
fn a_fast_loop_over_a_few_connections_is_none() {
    let mut lab = Lab::new();
    let mut open = connections(&mut lab, 31);
    flood(&mut lab, &mut open, 6000);
    lab.silent();
}

#[test]
fn connections_that_are_over_do_not_count_as_open() {
    let mut lab = Lab::new();
    for mut connection in connections(&mut lab, 200) {
        connection.exchange(&mut lab, GET, OK);
        connection.close(&mut lab);
    }
    let mut open = connections(&mut lab, 10);
    flood(&mut lab, &mut open, 5000);
    lab.silent();
}

#[test]
fn ports_used_again_do_not_count_twice_as_open() {
    let mut lab = Lab::new();
    // Neither end of the earlier connections was seen to close them.
    for round in 0..40 {
        let mut again = Connection::new(CLIENT, 50_000, 80);
        again.sent = again.sent.wrapping_add(round * 100_000);
        again.syn(&mut lab);
        again.syn_ack(&mut lab);
        again.exchange(&mut lab, GET, OK);
        for _ in 0..50 {
            again.exchange(&mut lab, GET, OK);
        }
    }
    lab.silent();
}

#[test]
fn the_same_over_ten_minutes_is_none() {
    let mut lab = Lab::new();
    let mut open = connections(&mut lab, 64);
    for _ in 0..600 {
        flood(&mut lab, &mut open, 64);
        lab.wait(1000);
    }
    lab.silent();
}

#[test]
fn requests_within_tls_are_counted_by_their_turns() {
    let mut lab = Lab::new();
    let mut open: alloc::vec::Vec<_> =
        (0..40).map(|port| Connection::open(&mut lab, ATTACKER, 30_000 + port, 443)).collect();
    for connection in &mut open {
        connection.exchange(&mut lab, &[22, 3, 1, 0, 5, 1], &[22, 3, 3, 0, 5, 2]);
    }
    for _ in 0..38 {
        for connection in &mut open {
            connection.exchange(&mut lab, &[23, 3, 3, 0, 9], &[23, 3, 3, 0, 9]);
        }
    }
    lab.accuses(ATTACKER, Class::HttpFlood, "http_flood.requests", Evidence::Handshake);
}

#[test]
fn several_browsers_behind_one_address_are_shown_as_such() {
    let mut lab = Lab::new();
    let mut open = connections(&mut lab, 40);
    for (number, connection) in open.iter_mut().enumerate() {
        let agent = std::format!("GET / HTTP/1.1\r\nUser-Agent: browser/{}\r\n\r\n", number % 6);
        connection.exchange(&mut lab, agent.as_bytes(), OK);
    }
    flood(&mut lab, &mut open, 2000);
    let verdict = lab.accuses(ATTACKER, Class::HttpFlood, "http_flood.requests", Evidence::Handshake);
    assert!(verdict.standing.shared);
}

#[test]
fn one_attacker_is_not_taken_for_many() {
    let mut lab = Lab::new();
    let mut open = connections(&mut lab, 40);
    flood(&mut lab, &mut open, 2000);
    let verdict = lab.accuses(ATTACKER, Class::HttpFlood, "http_flood.requests", Evidence::Handshake);
    assert!(!verdict.standing.shared);
}
