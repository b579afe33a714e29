//! A server, those who talk to it, and a clock, in a few lines each.

use alloc::{vec, vec::Vec};
use core::{net::IpAddr, time::Duration};

use crate::{
    Class, Evidence, Subject, Time, Verdict,
    config::SensorConfig,
    packet::Direction,
    sensor::{Sensor, View},
};

pub(super) use crate::packet::build::{ACK, FIN, ICMP, PSH, RST, SYN, TCP, UDP, address, ip, raw, tcp, udp};

pub(super) const ATTACKER: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(203, 0, 113, 66));
pub(super) const CLIENT: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 2, 10));
pub(super) const SERVER: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(198, 51, 100, 2));

/// One sensor on a host (or a network), and the time.
pub(super) struct Lab {
    pub(super) sensor: Sensor,
    pub(super) now: Time,
}

impl Lab {
    /// At [`SERVER`], with the default rules.
    pub(super) fn new() -> Self {
        Self::with(SensorConfig::default())
    }

    pub(super) fn with(config: SensorConfig) -> Self {
        Self::seeing(config, &["198.51.100.0/24"], 1)
    }

    pub(super) fn seeing(config: SensorConfig, ours: &[&str], seed: u64) -> Self {
        let ours = ours.iter().map(|net| net.parse().unwrap()).collect();
        Self { sensor: Sensor::new(config, View::Host(ours), seed), now: Time::from_secs(1_000_000) }
    }

    pub(super) fn wait(&mut self, millis: u64) {
        self.now = self.now.after(Duration::from_millis(millis));
        if self.sensor.poll_timeout() <= self.now {
            self.sensor.handle_timeout(self.now);
        }
    }

    /// The host receives an IP packet.
    pub(super) fn hears(&mut self, packet: &[u8]) {
        self.sensor.observe(self.now, &raw(packet, Direction::In)).unwrap();
    }

    /// The host sends an IP packet.
    pub(super) fn says(&mut self, packet: &[u8]) {
        self.sensor.observe(self.now, &raw(packet, Direction::Out)).unwrap();
    }

    /// `source` asks a port, in vain.
    pub(super) fn probe(&mut self, source: IpAddr, port: u16) {
        self.hears(&ip(source, SERVER, TCP, &tcp((40_000, port), (port.into(), 0), SYN, b"")));
    }

    /// The same, and the port is closed.
    pub(super) fn refuse(&mut self, source: IpAddr, port: u16) {
        self.probe(source, port);
        self.says(&ip(SERVER, source, TCP, &tcp((port, 40_000), (0, u32::from(port) + 1), RST | ACK, b"")));
    }

    /// `source` sends a datagram.
    pub(super) fn datagram(&mut self, source: IpAddr, ports: (u16, u16)) {
        self.hears(&ip(source, SERVER, UDP, &udp(ports, b"hello")));
    }

    pub(super) fn verdicts(&mut self) -> Vec<Verdict> {
        core::iter::from_fn(|| self.sensor.poll_verdict()).collect()
    }

    /// Nobody is accused.
    #[track_caller]
    pub(super) fn silent(&mut self) {
        let verdicts = self.verdicts();
        assert!(verdicts.is_empty(), "{verdicts:#?}");
    }

    /// Exactly one kind of verdict was given, about `source`; the first of them.
    #[track_caller]
    pub(super) fn accuses(
        &mut self,
        source: IpAddr,
        class: Class,
        rule: &str,
        evidence: Evidence,
    ) -> Verdict {
        let verdicts = self.verdicts();
        let first = verdicts.first().unwrap_or_else(|| panic!("nobody was accused of {rule}")).clone();
        for verdict in &verdicts {
            assert_eq!(verdict.subject, Subject::Source(source), "{verdict:#?}");
        }
        let said = (first.class, &*first.reason.rule, first.evidence);
        assert_eq!(said, (class, rule, Some(evidence)), "{first:#?}");
        assert!(first.reason.measured >= first.reason.limit && first.confidence >= 0.9, "{first:#?}");
        first
    }
}

/// One TCP connection, seen from the server.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    pub(super) client: (IpAddr, u16),
    pub(super) server: (IpAddr, u16),
    /// The next sequence numbers.
    pub(super) sent: u32,
    pub(super) received: u32,
    pub(super) window: u16,
}

impl Connection {
    pub(super) fn new(client: IpAddr, client_port: u16, port: u16) -> Self {
        let sent = u32::from(client_port).wrapping_mul(0x0101_0101) ^ 0x5a5a_5a5a;
        let received = u32::from(port).wrapping_mul(0x0202_0303) ^ 0x1357_9bdf;
        Self { client: (client, client_port), server: (SERVER, port), sent, received, window: 1024 }
    }

    /// A whole handshake.
    pub(super) fn open(lab: &mut Lab, client: IpAddr, client_port: u16, port: u16) -> Self {
        let mut connection = Self::new(client, client_port, port);
        connection.syn(lab);
        connection.syn_ack(lab);
        connection.asks(lab, ACK, b"");
        connection
    }

    /// As somebody opens one in the client's name, who does not see what the server answers.
    pub(super) fn forged(lab: &mut Lab, client: IpAddr, client_port: u16, port: u16) -> Self {
        let mut connection = Self::new(client, client_port, port);
        connection.syn(lab);
        connection.syn_ack(lab);
        connection.received = 7;
        connection
    }

    pub(super) fn syn(&mut self, lab: &mut Lab) {
        self.asks(lab, SYN, b"");
    }

    pub(super) fn syn_ack(&mut self, lab: &mut Lab) {
        self.answers(lab, SYN | ACK, b"");
    }

    /// The client sends.
    pub(super) fn asks(&mut self, lab: &mut Lab, flags: u8, payload: &[u8]) {
        let acknowledgement = if flags & ACK == 0 { 0 } else { self.received };
        let ports = (self.client.1, self.server.1);
        let mut segment = tcp(ports, (self.sent, acknowledgement), flags, payload);
        segment[14..16].copy_from_slice(&self.window.to_be_bytes());
        lab.hears(&ip(self.client.0, self.server.0, TCP, &segment));
        self.sent = self.sent.wrapping_add(advance(flags, payload));
    }

    /// The server sends.
    pub(super) fn answers(&mut self, lab: &mut Lab, flags: u8, payload: &[u8]) {
        let segment = tcp((self.server.1, self.client.1), (self.received, self.sent), flags, payload);
        lab.says(&ip(self.server.0, self.client.0, TCP, &segment));
        self.received = self.received.wrapping_add(advance(flags, payload));
    }

    /// A request and its answer, acknowledged.
    pub(super) fn exchange(&mut self, lab: &mut Lab, request: &[u8], answer: &[u8]) {
        self.asks(lab, PSH | ACK, request);
        self.answers(lab, PSH | ACK, answer);
        self.asks(lab, ACK, b"");
    }

    pub(super) fn close(&mut self, lab: &mut Lab) {
        self.asks(lab, FIN | ACK, b"");
        self.answers(lab, FIN | ACK, b"");
        self.asks(lab, ACK, b"");
    }

    pub(super) fn reset(&mut self, lab: &mut Lab) {
        self.asks(lab, RST | ACK, b"");
    }
}

fn advance(flags: u8, payload: &[u8]) -> u32 {
    payload.len() as u32 + u32::from(flags & (SYN | FIN) != 0)
}

pub(super) const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: example.net\r\nUser-Agent: curl/8\r\n\r\n";
pub(super) const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A request on a connection of its own.
pub(super) fn browse(lab: &mut Lab, client: IpAddr, client_port: u16) {
    let mut connection = Connection::open(lab, client, client_port, 80);
    connection.exchange(lab, GET, OK);
    connection.close(lab);
}

/// The `index`th of many addresses.
pub(super) fn somebody(index: u32) -> IpAddr {
    IpAddr::V4((0x0b00_0000 + index).into())
}

/// `length` bytes that say nothing.
pub(super) fn noise(length: usize) -> Vec<u8> {
    vec![0xee; length]
}
