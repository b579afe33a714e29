//! Whatever arrives, in whatever order, at whatever time: nothing panics, nothing grows.

use alloc::{vec, vec::Vec};
use core::{net::IpAddr, time::Duration};

use proptest::{collection, prelude::*};

use super::lab::*;
use crate::{
    Strength, Time,
    config::{SensorConfig, SensorLimits},
    packet::{Direction, Frame},
    prefix,
    sensor::{Login, LoginOutcome, View},
};

#[derive(Clone, Debug)]
enum Event {
    Packet {
        source: IpAddr,
        destination: IpAddr,
        content: Content,
        out: Option<bool>,
        trusted: bool,
        gso: u16,
        wire: u32,
    },
    Wait(u64),
    Back(u64),
    Timeout,
    Login(IpAddr, bool),
    Block(IpAddr, u8, Option<Strength>),
    View(bool),
}

#[derive(Clone, Debug)]
enum Content {
    Tcp((u16, u16), (u32, u32), u8, u16, Vec<u8>),
    Udp((u16, u16), Vec<u8>),
    Other(u8, Vec<u8>),
}

fn someone() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        3 => Just(SERVER),
        2 => Just(CLIENT),
        2 => Just(ATTACKER),
        1 => any::<[u8; 4]>().prop_map(IpAddr::from),
    ]
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    let said: &[&[u8]] = &[
        b"",
        GET,
        OK,
        b"POST / HTTP/1.1\r\nContent-Length: 18446744073709551616\r\n\r\npassword=a",
        b"POST / HTTP/1.1\r\nContent-Length: 18446744073709551615\r\n\r\n",
        b"530 no\r\n",
        b"230 yes\r\n",
        &[0, 0, 0, 12, 10, 21],
        &[22, 3, 1],
        &[23, 3, 3],
        b"\r\n\r\n",
    ];
    prop_oneof![4 => prop::sample::select(said).prop_map(<[u8]>::to_vec), 1 => collection::vec(any::<u8>(), 0..300)]
}

fn ports() -> impl Strategy<Value = (u16, u16)> {
    const USUAL: [u16; 10] = [20, 21, 22, 25, 53, 80, 443, 3306, 3389, 40_000];
    let port = || prop_oneof![4 => prop::sample::select(&USUAL[..]), 1 => any::<u16>()];
    (port(), port())
}

fn content() -> impl Strategy<Value = Content> {
    let numbers = || prop_oneof![0..4u32, any::<u32>(), Just(u32::MAX)];
    let flags =
        prop_oneof![prop::sample::select(&[SYN, SYN | ACK, ACK, PSH | ACK, FIN | ACK, RST][..]), any::<u8>()];
    prop_oneof![
        6 => (ports(), (numbers(), numbers()), flags, prop_oneof![Just(0), any::<u16>()], payload())
            .prop_map(|(ports, numbers, flags, window, payload)| Content::Tcp(ports, numbers, flags, window, payload)),
        2 => (ports(), payload()).prop_map(|(ports, payload)| Content::Udp(ports, payload)),
        1 => (any::<u8>(), collection::vec(any::<u8>(), 0..60)).prop_map(|(protocol, bytes)| Content::Other(protocol, bytes)),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let packet = (
        someone(),
        someone(),
        content(),
        any::<Option<bool>>(),
        any::<bool>(),
        prop_oneof![3 => Just(0), 1 => any::<u16>()],
        prop_oneof![3 => Just(0), 1 => any::<u32>()],
    );
    let packet = packet.prop_map(|(source, destination, content, out, trusted, gso, wire)| Event::Packet {
        source,
        destination,
        content,
        out,
        trusted,
        gso,
        wire,
    });
    prop_oneof![
        20 => packet,
        2 => prop_oneof![0..2_000_000_000u64, 0..1_000_000_000_000_000u64, Just(u64::MAX)].prop_map(Event::Wait),
        1 => any::<u64>().prop_map(Event::Back),
        1 => Just(Event::Timeout),
        1 => (someone(), any::<bool>()).prop_map(|(source, failed)| Event::Login(source, failed)),
        1 => (someone(), 0..=32u8, any::<Option<bool>>()).prop_map(|(target, length, strength)| {
            Event::Block(target, length, strength.map(|hard| if hard { Strength::Hard } else { Strength::Soft }))
        }),
        1 => any::<bool>().prop_map(Event::View),
    ]
}

fn bytes(source: IpAddr, destination: IpAddr, content: &Content) -> Vec<u8> {
    match content {
        Content::Tcp(ports, numbers, flags, window, payload) => {
            let mut segment = tcp(*ports, *numbers, *flags, payload);
            segment[14..16].copy_from_slice(&window.to_be_bytes());
            ip(source, destination, TCP, &segment)
        }
        Content::Udp(ports, payload) => ip(source, destination, UDP, &udp(*ports, payload)),
        Content::Other(protocol, bytes) => ip(source, destination, *protocol, bytes),
    }
}

fn happens(lab: &mut Lab, event: &Event) {
    match event {
        Event::Packet { source, destination, content, out, trusted, gso, wire } => {
            let mut bytes = bytes(*source, *destination, content);
            if *wire > u32::MAX / 2 {
                bytes[2..4].fill(0);
            }
            let direction = out.map(|out| if out { Direction::Out } else { Direction::In });
            let wire_len = (*wire).max(bytes.len() as u32);
            let frame = Frame {
                direction,
                trusted: *trusted,
                gso_size: *gso,
                wire_len,
                ..raw(&bytes, Direction::In)
            };
            let _ = lab.sensor.observe(lab.now, &frame);
        }
        Event::Wait(nanos) => lab.now = lab.now.after(Duration::from_nanos(*nanos)),
        Event::Back(nanos) => lab.now = Time::from_nanos(lab.now.as_nanos().saturating_sub(*nanos)),
        Event::Timeout => lab.sensor.handle_timeout(lab.now),
        Event::Login(source, failed) => {
            let outcome = if *failed { LoginOutcome::Failed } else { LoginOutcome::Accepted };
            lab.sensor.handle_login(lab.now, Login { source: *source, port: 1, outcome });
        }
        Event::Block(target, length, strength) => {
            let target = crate::IpNet::new(*target, *length).unwrap().trunc();
            lab.sensor.handle_block(target, *strength);
        }
        Event::View(initiator) => lab.sensor.set_view(match initiator {
            true => View::Initiator,
            false => View::Host(vec![prefix::host(SERVER)]),
        }),
    }
}

proptest! {
    #[test]
    fn any_mixture_of_packets_orders_and_times_is_survived(events in collection::vec(event(), 1..200)) {
        let limits = SensorLimits { sources: 4, proven: 4, connections: 8, services: 2, verdicts: 8 };
        let mut lab = Lab::with(SensorConfig { limits, ..SensorConfig::default() });
        for event in &events {
            happens(&mut lab, event);
            let stats = lab.sensor.stats();
            prop_assert!(stats.sources <= 2 * (4 * 4 + 4 + 4), "{stats:?}");
            let timeout = lab.sensor.poll_timeout();
            prop_assert!(timeout == Time::NEVER || timeout >= Time::from_secs(0));
        }
        for verdict in lab.verdicts() {
            prop_assert!((0.0..=1.0).contains(&verdict.confidence), "{verdict:?}");
            prop_assert!(verdict.reason.measured >= verdict.reason.limit, "{verdict:?}");
            prop_assert!(verdict.features.to_array().iter().all(|value| value.is_finite()), "{verdict:?}");
        }
    }
}

#[test]
fn a_capture_that_claims_gigabytes_overflows_nothing() {
    let mut lab = Lab::new();
    let mut packet = ip(CLIENT, SERVER, UDP, &udp((9, 9), b""));
    packet[2..4].fill(0);
    packet[24..26].fill(0);
    for gso_size in [0, 1] {
        let frame = Frame { wire_len: u32::MAX, gso_size, ..raw(&packet, Direction::In) };
        (0..10_000).for_each(|_| lab.sensor.observe(lab.now, &frame).unwrap());
    }
    lab.wait(60_000);
    lab.hears(&packet);
}

#[test]
fn what_cannot_be_read_is_counted_by_its_name() {
    let mut lab = Lab::new();
    let cut = ip(CLIENT, SERVER, TCP, &[0; 7]);
    (0..3).for_each(|_| assert!(lab.sensor.observe(lab.now, &raw(&cut, Direction::In)).is_err()));
    let stats = lab.sensor.stats();
    assert_eq!((stats.frames, stats.packets, stats.malformed, stats.sources), (3, 0, 3, 0));
    let named: Vec<_> = stats.malformed_by().filter(|(_, count)| *count > 0).collect();
    assert_eq!(named, [(crate::packet::Malformed::TcpHeader, 3)]);
}
