use super::lab::*;
use crate::{Class, Evidence, sensor::OpenConnection};

fn open(lab: &mut Lab, client: core::net::IpAddr, client_port: u16, port: u16) -> Connection {
    let connection =
        OpenConnection { local: (SERVER, port), remote: (client, client_port), remote_began: true };
    lab.sensor.handle_open(lab.now, &connection);
    Connection::new(client, client_port, port)
}

#[test]
fn whoever_is_connected_already_is_no_stranger_whom_forged_packets_could_hurt() {
    let mut lab = Lab::new();
    open(&mut lab, CLIENT, 50_000, 443);
    (0..40).for_each(|port| lab.probe(CLIENT, port));
    let verdict = lab.accuses(CLIENT, Class::PortScan, "port_scan.ports", Evidence::Spoofable);
    assert!(verdict.standing.known);
}

#[test]
fn the_end_of_a_connection_that_was_open_already_is_no_failed_login_and_no_probe() {
    let mut lab = Lab::new();
    for port in 0..60 {
        let mut ssh = open(&mut lab, CLIENT, 50_000 + port, 22);
        ssh.answers(&mut lab, PSH | ACK, &noise(60));
        ssh.asks(&mut lab, ACK, b"");
        ssh.close(&mut lab);
        lab.wait(100);
    }
    lab.silent();
}

#[test]
fn slow_readers_that_were_there_before_are_found() {
    let mut lab = Lab::new();
    let mut readers: alloc::vec::Vec<_> =
        (0..40).map(|port| open(&mut lab, ATTACKER, 50_000 + port, 80)).collect();
    for _ in 0..8 {
        for reader in &mut readers {
            reader.window = 0;
            reader.asks(&mut lab, ACK, b"");
        }
        lab.wait(1000);
    }
    lab.accuses(ATTACKER, Class::SlowDos, "slow_dos.connections", Evidence::Handshake);
}

#[test]
fn what_we_began_ourselves_is_held_against_nobody() {
    let mut lab = Lab::new();
    for port in 0..60 {
        let ours =
            OpenConnection { local: (SERVER, 40_000 + port), remote: (CLIENT, 5432), remote_began: false };
        lab.sensor.handle_open(lab.now, &ours);
        let ports = (5432, 40_000 + port);
        lab.hears(&ip(CLIENT, SERVER, TCP, &tcp(ports, (1, 1), PSH | ACK, b"a row")));
        lab.hears(&ip(CLIENT, SERVER, TCP, &tcp(ports, (6, 1), FIN | ACK, b"")));
    }
    lab.silent();
}
