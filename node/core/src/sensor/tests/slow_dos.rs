use super::lab::*;
use crate::{Class, Evidence, Time};

const HEAD: &[u8] = b"GET / HTTP/1.1\r\nHost: example.net\r\n";

fn begun(lab: &mut Lab, count: u16, request: &[u8]) -> alloc::vec::Vec<Connection> {
    let open = |port| {
        let mut connection = Connection::open(lab, ATTACKER, 20_000 + port * 13, 80);
        if !request.is_empty() {
            connection.asks(lab, PSH | ACK, request);
        }
        connection
    };
    (0..count).map(open).collect()
}

#[test]
fn twenty_headers_that_never_end_starve_the_server_and_eighteen_do_not() {
    let mut lab = Lab::new();
    let trickle = |lab: &mut Lab, slow: &mut [Connection]| {
        for _ in 0..20 {
            lab.wait(500);
            slow.iter_mut().for_each(|connection| connection.asks(lab, PSH | ACK, b"X-a: b\r\n"));
        }
    };
    let mut slow = begun(&mut lab, 18, HEAD);
    trickle(&mut lab, &mut slow);
    lab.silent();
    let mut lab = Lab::new();
    let mut slow = begun(&mut lab, 22, HEAD);
    let begun_at = lab.now;
    trickle(&mut lab, &mut slow);
    let verdict = lab.accuses(ATTACKER, Class::SlowDos, "slow_dos.connections", Evidence::Handshake);
    let after = verdict.at.since(begun_at).as_secs_f32();
    assert!((5.0..=6.5).contains(&after), "after {after} s");
    assert!(verdict.reason.text.ends_with("connections with a request unfinished for 5 s and more"));
}

#[test]
fn who_holds_connections_in_silence_is_found_by_a_timer() {
    for request in [b"", HEAD] {
        let mut lab = Lab::new();
        begun(&mut lab, 25, request);
        lab.silent();
        let due = lab.sensor.poll_timeout();
        assert!(due < Time::NEVER);
        lab.wait(5000);
        lab.silent();
        lab.wait(1500);
        lab.accuses(ATTACKER, Class::SlowDos, "slow_dos.connections", Evidence::Handshake);
    }
}

#[test]
fn a_body_at_a_trickle_starves_the_server() {
    let mut lab = Lab::new();
    let post = b"POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n";
    let mut slow = begun(&mut lab, 25, post);
    for _ in 0..16 {
        lab.wait(500);
        slow.iter_mut().for_each(|connection| connection.asks(&mut lab, PSH | ACK, b"ab"));
    }
    lab.accuses(ATTACKER, Class::SlowDos, "slow_dos.connections", Evidence::Handshake);
}

#[test]
fn an_upload_over_a_bad_link_is_no_attack() {
    let mut lab = Lab::new();
    let post = b"POST / HTTP/1.1\r\nContent-Length: 100000000\r\n\r\n";
    let mut uploads = begun(&mut lab, 30, post);
    for _ in 0..120 {
        lab.wait(500);
        uploads.iter_mut().for_each(|upload| upload.asks(&mut lab, PSH | ACK, &noise(1000)));
    }
    lab.silent();
}

#[test]
fn readers_that_shut_their_window_starve_the_server() {
    let mut lab = Lab::new();
    let mut slow = begun(&mut lab, 25, b"");
    for connection in &mut slow {
        connection.exchange(&mut lab, GET, OK);
        connection.window = 0;
    }
    for _ in 0..8 {
        slow.iter_mut().for_each(|connection| connection.asks(&mut lab, ACK, b""));
        lab.wait(1000);
    }
    lab.accuses(ATTACKER, Class::SlowDos, "slow_dos.connections", Evidence::Handshake);
}

#[test]
fn a_window_that_opens_again_is_forgiven() {
    let mut lab = Lab::new();
    let mut busy = begun(&mut lab, 25, b"");
    busy.iter_mut().for_each(|connection| connection.exchange(&mut lab, GET, OK));
    for second in 0..40 {
        for connection in &mut busy {
            connection.window = if second % 4 == 0 { 0 } else { 1024 };
            connection.asks(&mut lab, ACK, b"");
        }
        lab.wait(1000);
    }
    lab.silent();
}

#[test]
fn waiting_for_a_slow_answer_is_not_starving_anybody() {
    let mut lab = Lab::new();
    let mut polls = begun(&mut lab, 40, GET);
    for _ in 0..60 {
        lab.wait(1000);
    }
    polls.iter_mut().for_each(|poll| poll.answers(&mut lab, PSH | ACK, OK));
    lab.silent();
}

#[test]
fn a_server_that_gives_up_on_twenty_at_once_says_so() {
    let mut lab = Lab::new();
    let mut first = begun(&mut lab, 12, HEAD);
    lab.wait(6000);
    first.iter_mut().for_each(|connection| connection.answers(&mut lab, FIN | ACK, b""));
    let mut second: alloc::vec::Vec<_> =
        (0..12).map(|port| Connection::open(&mut lab, ATTACKER, 50_000 + port * 13, 80)).collect();
    second.iter_mut().for_each(|connection| connection.asks(&mut lab, PSH | ACK, HEAD));
    lab.wait(6000);
    lab.silent();
    second.iter_mut().for_each(|connection| connection.answers(&mut lab, FIN | ACK, b""));
    lab.accuses(ATTACKER, Class::SlowDos, "slow_dos.starved", Evidence::Handshake);
}

#[test]
fn connections_nobody_proved_starve_nobody() {
    let mut lab = Lab::new();
    for port in 0..60 {
        let mut forged = Connection::forged(&mut lab, CLIENT, 30_000 + port, 80);
        forged.asks(&mut lab, PSH | ACK, HEAD);
        lab.wait(200);
        forged.asks(&mut lab, PSH | ACK, b"X-a: b\r\n");
    }
    lab.silent();
}
