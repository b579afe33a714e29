//! Probes, clocks, names and logs: what asks often, or asks where nobody answers.

use std::{
    net::{IpAddr, SocketAddr, TcpStream, UdpSocket},
    time::Duration,
};

use anyhow::{Result, ensure};

use super::{Guest, strings};
use crate::{app::TUNNEL, web::Connection};

/// Five ports every five seconds; two of them are closed, and the probe says so in its report.
pub(super) fn monitor(guest: &Guest<'_>) -> Result<()> {
    loop {
        for (port, open) in [(22, true), (80, true), (21, true), (443, false), (3306, false)] {
            let limit = Duration::from_secs(5);
            let found = TcpStream::connect_timeout(&SocketAddr::new(guest.server(), port), limit).is_ok();
            ensure!(found == open, "port {port} was found {}", if found { "open" } else { "closed" });
        }
        if !guest.stop.sleep(Duration::from_secs(5)) {
            return Ok(());
        }
    }
}

/// A client that asks for HTTPS where there is none, once a second, and goes on with HTTP.
pub(super) fn closed_port(guest: &Guest<'_>) -> Result<()> {
    loop {
        let _ = TcpStream::connect_timeout(&SocketAddr::new(guest.server(), 443), Duration::from_secs(1));
        Connection::open(guest.server())?.get("/index.html")?;
        if !guest.stop.sleep(Duration::from_secs(1)) {
            return Ok(());
        }
    }
}

/// A hundred questions a second, each from its own port, as a resolver asks. One in fifty may be lost.
pub(super) fn dns(guest: &Guest<'_>) -> Result<()> {
    let (mut asked, mut answered) = (0_u32, 0_u32);
    while guest.stop.sleep(Duration::from_millis(10)) {
        let mut question = vec![(asked >> 8) as u8, asked as u8, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in [format!("h{asked}").as_str(), "lab", "test"] {
            question.push(label.len() as u8);
            question.extend_from_slice(label.as_bytes());
        }
        question.extend_from_slice(&[0, 0, 1, 0, 1]);
        answered += u32::from(ask(guest.server(), 53, &question)?);
        asked += 1;
    }
    ensure!(answered * 50 >= asked * 49, "{answered} of {asked} questions were answered");
    Ok(())
}

pub(super) fn clock(guest: &Guest<'_>) -> Result<()> {
    let mut packet = [0; 48];
    packet[0] = 0x23; // version 4, client
    loop {
        let answered = (0..3).any(|_| ask(guest.server(), 123, &packet).unwrap_or(false));
        ensure!(answered, "the clock does not answer");
        if !guest.stop.sleep(Duration::from_secs(2)) {
            return Ok(());
        }
    }
}

/// Sends a datagram from a fresh port; whether an answer came within two seconds.
fn ask(server: IpAddr, port: u16, question: &[u8]) -> Result<bool> {
    let any = if server.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
    let socket = UdpSocket::bind(any)?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    socket.connect((server, port))?;
    socket.send(question)?;
    Ok(socket.recv(&mut [0; 1500]).is_ok())
}

/// Log lines to a collector that is not there.
pub(super) fn syslog(guest: &Guest<'_>) -> Result<()> {
    let socket = UdpSocket::bind(if guest.v6 { "[::]:0" } else { "0.0.0.0:0" })?;
    while guest.stop.sleep(Duration::from_millis(50)) {
        socket.send_to(b"<13>Jan  1 00:00:00 host app: something happened", (guest.server(), 514))?;
    }
    Ok(())
}

/// A tunnel with somebody's work in it: eighty-six packets a second of all sizes. One in fifty may be lost.
pub(super) fn tunnel(guest: &Guest<'_>) -> Result<()> {
    let socket = UdpSocket::bind(if guest.v6 { "[::]:0" } else { "0.0.0.0:0" })?;
    socket.connect((guest.server(), TUNNEL))?;
    socket.set_nonblocking(true)?;
    let (mut sent, mut back, mut buffer) = (0_usize, 0, [0; 1500]);
    while guest.stop.sleep(Duration::from_millis(11)) {
        // 37 and 1300 have no common divisor, so that sizes look like none in particular.
        socket.send(&buffer[..60 + sent * 37 % 1300])?;
        sent += 1;
        while socket.recv(&mut buffer).is_ok() {
            back += 1;
        }
    }
    // What was sent last is still under way.
    ensure!((back + 10) * 50 >= sent * 49, "{back} of {sent} packets came back through the tunnel");
    Ok(())
}

pub(super) fn ping_large(guest: &Guest<'_>) -> Result<()> {
    let server = guest.server().to_string();
    guest.tool("ping", &strings(&["-n", "-q", "-c", "1000", "-i", "0.2", "-s", "1300", &server]))
}

pub(super) fn ping(guest: &Guest<'_>) -> Result<()> {
    guest.tool("ping", &strings(&["-n", "-c", "1000", "-i", "1", &guest.server().to_string()]))
}

pub(super) fn ping_burst(guest: &Guest<'_>) -> Result<()> {
    guest.tool("ping", &strings(&["-n", "-q", "-c", "100", "-i", "0.01", &guest.server().to_string()]))
}

pub(super) fn traceroute(guest: &Guest<'_>) -> Result<()> {
    guest.tool("traceroute", &strings(&["-n", "-w", "1", &guest.server().to_string()]))
}
