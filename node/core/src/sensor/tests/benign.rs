//! What must never be held against anybody, beside what each rule's own tests show.

use super::lab::*;

#[test]
fn a_browser_opens_six_connections_at_once() {
    let mut lab = Lab::new();
    for page in 0..30u16 {
        let mut six: alloc::vec::Vec<_> =
            (0..6).map(|port| Connection::open(&mut lab, CLIENT, 30_000 + page * 6 + port, 80)).collect();
        for _ in 0..15 {
            six.iter_mut().for_each(|connection| connection.exchange(&mut lab, GET, OK));
        }
        lab.wait(4000);
        six.iter_mut().for_each(|connection| connection.close(&mut lab));
    }
    lab.silent();
}

#[test]
fn long_polls_wait_for_minutes() {
    let mut lab = Lab::new();
    let mut polls: alloc::vec::Vec<_> =
        (0..30).map(|port| Connection::open(&mut lab, CLIENT, 30_000 + port, 80)).collect();
    for _ in 0..5 {
        polls.iter_mut().for_each(|poll| poll.asks(&mut lab, PSH | ACK, GET));
        lab.wait(55_000);
        polls.iter_mut().for_each(|poll| poll.answers(&mut lab, PSH | ACK, OK));
        lab.wait(20);
        polls.iter_mut().for_each(|poll| poll.asks(&mut lab, ACK, b""));
    }
    lab.silent();
}

#[test]
fn web_sockets_stay_open_and_say_little() {
    let mut lab = Lab::new();
    let upgrade = b"GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let mut sockets: alloc::vec::Vec<_> =
        (0..40).map(|port| Connection::open(&mut lab, CLIENT, 30_000 + port, 80)).collect();
    for socket in &mut sockets {
        socket.exchange(&mut lab, upgrade, b"HTTP/1.1 101 Switching Protocols\r\n\r\n");
    }
    for _ in 0..60 {
        for socket in &mut sockets {
            socket.asks(&mut lab, PSH | ACK, &[0x81, 0x85, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
            socket.answers(&mut lab, ACK, b"");
        }
        lab.wait(5000);
    }
    lab.silent();
}

#[test]
fn an_upload_of_sixty_kilobytes_a_second_takes_its_time() {
    let mut lab = Lab::new();
    let mut upload = Connection::open(&mut lab, CLIENT, 30_000, 80);
    upload.asks(&mut lab, PSH | ACK, b"PUT /file HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n");
    for _ in 0..2400 {
        upload.asks(&mut lab, ACK, &noise(1448));
        upload.answers(&mut lab, ACK, b"");
        lab.wait(24);
    }
    lab.silent();
}

#[test]
fn idle_connections_of_a_pool_are_no_hoard() {
    let mut lab = Lab::new();
    let mut pool: alloc::vec::Vec<_> =
        (0..60).map(|port| Connection::open(&mut lab, CLIENT, 30_000 + port, 5432)).collect();
    for idle in &mut pool {
        idle.exchange(&mut lab, b"\0\0\0\x08\0\x03\0\0", b"R\0\0\0\x08\0\0\0\0");
    }
    for _ in 0..20 {
        lab.wait(30_000);
        pool.iter_mut().for_each(|idle| idle.asks(&mut lab, ACK, b""));
    }
    lab.silent();
}

#[test]
fn health_checks_connect_and_leave() {
    let mut lab = Lab::new();
    for check in 0..600 {
        for port in [22, 80, 443] {
            let mut connection = Connection::open(&mut lab, CLIENT, 20_000 + check, port);
            connection.close(&mut lab);
        }
        lab.wait(2000);
    }
    lab.silent();
}

#[test]
fn what_goes_to_everybody_is_held_against_nobody() {
    let mut lab = Lab::new();
    for port in 1..200 {
        for group in ["224.0.0.251", "255.255.255.255"] {
            lab.hears(&ip(CLIENT, address(group), UDP, &udp((5353, port), b"anybody?")));
        }
        let (link_local, group) = (address("fe80::1"), address("ff02::fb"));
        lab.hears(&ip(link_local, group, UDP, &udp((5353, port), b"anybody?")));
        lab.hears(&ip(link_local, address("fe80::2"), 58, &[135, 0, 0, 0, 0, 0, 0, 0]));
    }
    lab.silent();
}
