use alloc::vec::Vec;

use super::lab::*;
use crate::{Class, Evidence};

/// sshd's exchange until encryption begins, and its two replies before the first password.
pub(super) fn ssh(lab: &mut Lab, client: core::net::IpAddr, client_port: u16) -> Connection {
    let mut connection = ssh_greeted(lab, client, client_port);
    connection.exchange(lab, &noise(60), &noise(52));
    connection
}

/// The same, and only the service is accepted.
fn ssh_greeted(lab: &mut Lab, client: core::net::IpAddr, client_port: u16) -> Connection {
    let mut connection = Connection::open(lab, client, client_port, 22);
    connection.answers(lab, PSH | ACK, b"SSH-2.0-OpenSSH_9.7\r\n");
    connection.asks(lab, PSH | ACK, b"SSH-2.0-OpenSSH_9.7\r\n");
    connection.answers(lab, PSH | ACK, &noise(1080));
    connection.asks(lab, PSH | ACK, &[0, 0, 0, 12, 10, 21, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    connection.exchange(lab, &noise(44), &noise(44));
    connection
}

/// A password, refused.
pub(super) fn typo(lab: &mut Lab, connection: &mut Connection) {
    connection.exchange(lab, &noise(148), &noise(52));
}

#[test]
fn eight_refused_ssh_passwords_are_brute_force_and_seven_are_not() {
    let mut lab = Lab::new();
    let guess = |lab: &mut Lab, port| {
        let mut connection = ssh(lab, ATTACKER, port);
        typo(lab, &mut connection);
        connection.close(lab);
    };
    (0..7).for_each(|port| guess(&mut lab, 40_000 + port));
    lab.silent();
    guess(&mut lab, 50_000);
    let verdict = lab.accuses(ATTACKER, Class::BruteForce, "brute_force.failures", Evidence::Handshake);
    assert_eq!(verdict.reason.text, "8 failed logins within minutes");
}

#[test]
fn a_password_a_connection_without_a_question_before_it_is_half_a_guess() {
    let mut lab = Lab::new();
    let guess = |lab: &mut Lab, port| {
        let mut connection = ssh_greeted(lab, ATTACKER, port);
        typo(lab, &mut connection);
        connection.close(lab);
    };
    (0..14).for_each(|port| guess(&mut lab, 40_000 + port));
    lab.silent();
    guess(&mut lab, 50_000);
    lab.accuses(ATTACKER, Class::BruteForce, "brute_force.failures", Evidence::Handshake);
}

#[test]
fn who_asks_for_the_methods_or_declines_to_use_a_key_now_and_then_guesses_nothing() {
    let mut lab = Lab::new();
    for port in 0..30 {
        // The method `none` is refused; of a key it is said that it may be tried.
        let mut connection = ssh(&mut lab, CLIENT, 40_000 + port);
        connection.exchange(&mut lab, &noise(300), &noise(100));
        connection.close(&mut lab);
        lab.wait(120_000);
    }
    lab.silent();
}

#[test]
fn one_attempt_in_fifteen_seconds_adds_up() {
    let mut lab = Lab::new();
    for port in 0..12 {
        let mut connection = ssh(&mut lab, ATTACKER, 40_000 + port);
        typo(&mut lab, &mut connection);
        connection.close(&mut lab);
        lab.wait(15_000);
    }
    lab.accuses(ATTACKER, Class::BruteForce, "brute_force.failures", Evidence::Handshake);
}

#[test]
fn one_connection_counts_three_failures_at_most() {
    let mut lab = Lab::new();
    for port in 0..2 {
        let mut connection = ssh(&mut lab, CLIENT, 40_000 + port);
        (0..10).for_each(|_| typo(&mut lab, &mut connection));
        connection.close(&mut lab);
    }
    lab.silent();
}

#[test]
fn two_typos_and_a_success_are_a_person() {
    let mut lab = Lab::new();
    for day in 0..20 {
        let mut connection = ssh(&mut lab, CLIENT, 40_000 + day);
        typo(&mut lab, &mut connection);
        typo(&mut lab, &mut connection);
        connection.exchange(&mut lab, &noise(148), &noise(36));
        // OpenSSH greets with all its host keys.
        connection.exchange(&mut lab, &noise(112), &noise(1200));
        connection.close(&mut lab);
        lab.wait(20_000);
    }
    lab.silent();
}

#[test]
fn two_typos_in_connections_of_their_own_before_each_success_are_a_person() {
    let mut lab = Lab::new();
    for port in 0..120 {
        let mut connection = ssh(&mut lab, CLIENT, 40_000 + port);
        if port % 3 == 2 {
            connection.exchange(&mut lab, &noise(148), &noise(36));
        } else {
            typo(&mut lab, &mut connection);
        }
        connection.close(&mut lab);
        lab.wait(15_000);
    }
    lab.silent();
}

#[test]
fn who_gets_in_once_for_each_dozen_guesses_is_guessing() {
    let mut lab = Lab::new();
    for port in 0..39 {
        let mut connection = ssh(&mut lab, ATTACKER, 40_000 + port);
        if port % 13 == 0 {
            connection.exchange(&mut lab, &noise(148), &noise(36));
        } else {
            typo(&mut lab, &mut connection);
        }
        connection.close(&mut lab);
        lab.wait(1_000);
    }
    lab.accuses(ATTACKER, Class::BruteForce, "brute_force.failures", Evidence::Handshake);
}

#[test]
fn parallel_logins_with_a_key_that_say_little_are_no_guessing() {
    let mut lab = Lab::new();
    for round in 0..10 {
        let mut forks: Vec<_> = (0..5).map(|n| ssh(&mut lab, CLIENT, 40_000 + round * 5 + n)).collect();
        // The key may be tried, it fits, a session is opened, and a task says next to nothing: 52 bytes are as many
        // as a refusal has.
        for (request, reply) in [(300, 100), (420, 28), (92, 44), (160, 36), (60, 52)] {
            forks.iter_mut().for_each(|fork| fork.exchange(&mut lab, &noise(request), &noise(reply)));
        }
        forks.iter_mut().for_each(|fork| fork.close(&mut lab));
    }
    lab.silent();
}

#[test]
fn a_banner_before_the_first_refusal_hides_no_guess() {
    let mut lab = Lab::new();
    for port in 0..8 {
        let mut connection = ssh_greeted(&mut lab, ATTACKER, 40_000 + port);
        connection.answers(&mut lab, PSH | ACK, &noise(420));
        connection.exchange(&mut lab, &noise(60), &noise(52));
        typo(&mut lab, &mut connection);
        connection.close(&mut lab);
    }
    lab.accuses(ATTACKER, Class::BruteForce, "brute_force.failures", Evidence::Handshake);
}

#[test]
fn automation_over_ssh_is_no_guessing() {
    let mut lab = Lab::new();
    for task in 0..60 {
        let mut connection = ssh(&mut lab, CLIENT, 40_000 + task);
        connection.exchange(&mut lab, &noise(600), &noise(28));
        connection.exchange(&mut lab, &noise(112), &noise(900));
        connection.exchange(&mut lab, &noise(200), &noise(300));
        connection.close(&mut lab);
        lab.wait(300);
    }
    lab.silent();
}

#[test]
fn services_that_speak_in_the_open_say_it_themselves() {
    let refusals: [(u16, &[u8]); 7] = [
        (21, b"530 Login incorrect.\r\n"),
        (23, b"\r\nLogin incorrect\r\n"),
        (25, b"535 5.7.8 Error: authentication failed\r\n"),
        (110, b"-ERR [AUTH] Authentication failed.\r\n"),
        (143, b"a1 NO [AUTHENTICATIONFAILED] no\r\n"),
        (3306, b"\x48\0\0\x02\xff\x15\x04#28000Access denied"),
        (5432, b"E\0\0\0\x60SFATAL\0C28P01\0"),
    ];
    for (port, refusal) in refusals {
        let mut lab = Lab::new();
        for guess in 0..9 {
            let mut connection = Connection::open(&mut lab, ATTACKER, 40_000 + guess, port);
            connection.exchange(&mut lab, b"user", b"+OK\r\n");
            connection.exchange(&mut lab, b"pass", refusal);
        }
        lab.accuses(ATTACKER, Class::BruteForce, "brute_force.failures", Evidence::Handshake);
    }
}

#[test]
fn passive_ftp_is_nothing_of_the_kind() {
    let mut lab = Lab::new();
    let mut control = Connection::open(&mut lab, CLIENT, 40_000, 21);
    control.answers(&mut lab, PSH | ACK, b"220 welcome\r\n");
    control.exchange(&mut lab, b"USER me\r\n", b"331 password?\r\n");
    control.exchange(&mut lab, b"PASS me\r\n", b"230 Login successful.\r\n");
    for file in 0..60 {
        control.exchange(&mut lab, b"PASV\r\n", b"227 Entering passive mode\r\n");
        let mut data = Connection::open(&mut lab, CLIENT, 41_000 + file, 50_000 + file);
        data.answers(&mut lab, PSH | ACK, b"the file");
        data.answers(&mut lab, FIN | ACK, b"");
        data.close(&mut lab);
        lab.wait(100);
    }
    lab.silent();
}

#[test]
fn active_ftp_is_nothing_of_the_kind() {
    let mut lab = Lab::new();
    let mut control = Connection::open(&mut lab, CLIENT, 40_000, 21);
    control.exchange(&mut lab, b"USER me\r\n", b"331 password?\r\n");
    control.exchange(&mut lab, b"PASS me\r\n", b"230 Login successful.\r\n");
    for file in 0..60 {
        control.exchange(&mut lab, b"PORT 192,0,2,10,200,1\r\n", b"200 PORT ok\r\n");
        let port = 51_000 + file;
        lab.says(&ip(SERVER, CLIENT, TCP, &tcp((20, port), (1, 0), SYN, b"")));
        lab.hears(&ip(CLIENT, SERVER, TCP, &tcp((port, 20), (7, 2), SYN | ACK, b"")));
        lab.says(&ip(SERVER, CLIENT, TCP, &tcp((20, port), (2, 8), FIN | ACK, b"the file")));
        lab.wait(100);
    }
    lab.silent();
}

#[test]
fn what_an_ftp_server_asks_for_its_client_the_client_asks() {
    let mut lab = Lab::new();
    let mut control = Connection::open(&mut lab, ATTACKER, 40_000, 21);
    control.exchange(&mut lab, b"USER anonymous\r\n", b"331 password?\r\n");
    control.exchange(&mut lab, b"PASS x\r\n", b"230 Login successful.\r\n");
    for port in 1..40 {
        control.exchange(&mut lab, b"PORT 203,0,113,66,0,1\r\n", b"200 PORT ok\r\n");
        control.exchange(&mut lab, b"LIST\r\n", b"150 here it comes\r\n");
        lab.says(&ip(SERVER, ATTACKER, TCP, &tcp((20, port), (1, 0), SYN, b"")));
        lab.hears(&ip(ATTACKER, SERVER, TCP, &tcp((port, 20), (0, 2), RST | ACK, b"")));
    }
    lab.accuses(ATTACKER, Class::PortScan, "port_scan.ports", Evidence::Handshake);
}

#[test]
fn passwords_sent_to_a_form_are_counted() {
    let mut lab = Lab::new();
    let login = b"POST /login HTTP/1.1\r\nContent-Length: 20\r\n\r\nuser=a&password=abcd";
    let guess = |lab: &mut Lab, port| {
        let mut connection = Connection::open(lab, ATTACKER, port, 80);
        connection.exchange(lab, login, OK);
        connection.close(lab);
    };
    (0..24).for_each(|port| guess(&mut lab, 40_000 + port));
    lab.silent();
    guess(&mut lab, 50_000);
    let verdict = lab.accuses(ATTACKER, Class::BruteForce, "brute_force.passwords", Evidence::Handshake);
    assert!(verdict.reason.text.starts_with("25 passwords sent to a form in "));
}

#[test]
fn passwords_that_others_forge_are_not_proven_by_a_customers_own() {
    let mut lab = Lab::new();
    let login = b"POST /login HTTP/1.1\r\nContent-Length: 20\r\n\r\nuser=a&password=abcd";
    // The first of them comes before there is a window.
    for port in 0..25 {
        let mut forged = Connection::forged(&mut lab, CLIENT, 40_000 + port, 80);
        forged.asks(&mut lab, PSH | ACK, login);
    }
    Connection::open(&mut lab, CLIENT, 50_000, 80).exchange(&mut lab, login, OK);
    lab.accuses(CLIENT, Class::BruteForce, "brute_force.passwords", Evidence::Spoofable);
    let mut basic = Connection::open(&mut lab, CLIENT, 50_001, 80);
    lab.wait(1000);
    let typo = b"GET / HTTP/1.1\r\nAuthorization: Basic YTpi\r\n\r\n";
    basic.exchange(&mut lab, typo, b"HTTP/1.1 401 Unauthorized\r\n\r\n");
    lab.accuses(CLIENT, Class::BruteForce, "brute_force.passwords", Evidence::Spoofable);
}

#[test]
fn an_office_may_log_in_twice_a_second() {
    let mut lab = Lab::new();
    let login = b"POST /login HTTP/1.1\r\nContent-Length: 20\r\n\r\nuser=a&password=abcd";
    for port in 0..200 {
        let mut connection = Connection::open(&mut lab, CLIENT, 40_000 + port, 80);
        connection.exchange(&mut lab, login, OK);
        connection.close(&mut lab);
        lab.wait(500);
    }
    lab.silent();
}

#[test]
fn refused_basic_authorization_is_a_failed_login() {
    let mut lab = Lab::new();
    for guess in 0..9 {
        let mut connection = Connection::open(&mut lab, ATTACKER, 40_000 + guess, 80);
        let request = b"GET / HTTP/1.1\r\nAuthorization: Basic YTpi\r\n\r\n";
        connection.exchange(&mut lab, request, b"HTTP/1.1 401 Unauthorized\r\n\r\n");
    }
    lab.accuses(ATTACKER, Class::BruteForce, "brute_force.failures", Evidence::Handshake);
}

#[test]
fn requests_alone_are_never_brute_force() {
    let mut lab = Lab::new();
    for visit in 0..1000 {
        browse(&mut lab, CLIENT, 20_000 + visit);
        lab.wait(20);
    }
    lab.silent();
}
