use alloc::vec::Vec;
use core::net::IpAddr;

use super::{
    brute_force::{ssh, typo},
    lab::*,
};
use crate::sensor::{Login, LoginKind, LoginOutcome, Sign, Weak};

fn signs(lab: &mut Lab) -> Vec<Weak> {
    let now = lab.now;
    core::iter::from_fn(|| lab.sensor.poll_weak(now)).collect()
}

fn said(lab: &mut Lab) -> Vec<(IpAddr, Sign)> {
    signs(lab).into_iter().map(|weak| (weak.source, weak.sign)).collect()
}

fn probed(port: u16, proven: bool) -> (IpAddr, Sign) {
    (ATTACKER, Sign::Probed { host: SERVER, port, proven })
}

#[test]
fn an_empty_handshake_is_a_proven_probe_once_an_hour() {
    let mut lab = Lab::new();
    for round in 0..3 {
        Connection::open(&mut lab, ATTACKER, 40_000 + round, 22).reset(&mut lab);
    }
    assert_eq!(said(&mut lab), [probed(22, true)]);
    lab.silent();
}

#[test]
fn what_nobody_followed_is_a_probe_that_anybody_could_have_forged() {
    let mut lab = Lab::new();
    lab.refuse(ATTACKER, 23);
    lab.probe(ATTACKER, 24);
    Connection::new(ATTACKER, 50_000, 80).syn(&mut lab);
    assert_eq!(said(&mut lab), []);
    lab.wait(3000);
    assert_eq!(said(&mut lab), [probed(23, false), probed(24, false), probed(80, false)]);
    assert_eq!(said(&mut lab), []);
}

#[test]
fn an_honest_client_gives_no_sign() {
    let mut lab = Lab::new();
    for round in 0..20 {
        browse(&mut lab, CLIENT, 40_000 + round);
        lab.wait(500);
    }
    lab.wait(4000);
    assert_eq!(said(&mut lab), []);
}

#[test]
fn refused_passwords_and_accepted_ones_are_told_with_what_they_were_for() {
    let mut lab = Lab::new();
    let mut connection = ssh(&mut lab, CLIENT, 40_000);
    typo(&mut lab, &mut connection);
    assert_eq!(said(&mut lab), [(CLIENT, Sign::LoginFailed(LoginKind::Ssh))]);
    connection.exchange(&mut lab, &noise(148), &noise(1200));
    assert_eq!(said(&mut lab), [(CLIENT, Sign::LoginAccepted)]);
}

#[test]
fn sshds_own_word_is_told() {
    let mut lab = Lab::new();
    let login = |outcome| Login { source: ATTACKER, port: 50_000, outcome };
    lab.sensor.handle_login(lab.now, login(LoginOutcome::Failed));
    lab.sensor.handle_login(lab.now, login(LoginOutcome::Accepted));
    lab.sensor.handle_login(lab.now, login(LoginOutcome::Failed));
    let signs = signs(&mut lab);
    let failed = Sign::LoginFailed(LoginKind::Ssh);
    assert_eq!(signs.iter().map(|weak| weak.sign).collect::<Vec<_>>(), [failed, Sign::LoginAccepted, failed]);
    assert_eq!(signs.iter().map(|weak| weak.known).collect::<Vec<_>>(), [false, true, true]);
}

#[test]
fn programs_whose_token_ran_out_give_no_sign() {
    let mut lab = Lab::new();
    let request = b"GET /v1 HTTP/1.1\r\nHost: api\r\nAuthorization: Basic eDp5\r\n\r\n";
    let mut connection = Connection::open(&mut lab, CLIENT, 40_000, 80);
    connection.exchange(&mut lab, request, b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
    connection.close(&mut lab);
    lab.wait(4000);
    assert_eq!(said(&mut lab), []);
}

#[test]
fn a_flood_leaves_a_bounded_number_of_signs() {
    let mut lab = Lab::new();
    for index in 0..5000 {
        lab.probe(somebody(index), 80);
    }
    lab.wait(3000);
    assert_eq!(said(&mut lab).len(), 256);
    for index in 0..1500 {
        let source = somebody(index);
        lab.sensor.handle_login(lab.now, Login { source, port: 1, outcome: LoginOutcome::Failed });
    }
    assert_eq!(said(&mut lab).len(), 1024);
    assert_eq!(lab.sensor.stats().weak_dropped, 476);
}
