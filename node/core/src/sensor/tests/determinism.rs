use alloc::vec::Vec;

use super::lab::*;
use crate::{
    Time, Verdict,
    config::SensorConfig,
    packet::{Direction, Frame},
};

/// Some of everything, in a fixed order.
fn mixture(seed: u64) -> (Vec<Verdict>, crate::sensor::SensorStats) {
    let mut lab = Lab::seeing(SensorConfig::default(), &["198.51.100.0/24"], seed);
    for number in 0..600u16 {
        lab.refuse(ATTACKER, number);
        lab.datagram(somebody(number.into()), (9, 53));
        browse(&mut lab, CLIENT, 20_000 + number);
        Connection::open(&mut lab, somebody(7), 20_000 + number, 80);
        lab.hears(&ip(somebody(9), SERVER, ICMP, &[8, 0, 0, 0, 0, 0, 0, 0]));
        lab.wait(3);
    }
    (lab.verdicts(), lab.sensor.stats())
}

#[test]
fn the_same_seed_and_packets_give_the_same_verdicts() {
    let first = mixture(7);
    assert!(first.0.len() >= 3, "{:#?}", first.0);
    assert_eq!(first, mixture(7));
}

#[test]
fn another_seed_finds_the_same_offenders() {
    let offenders = |seed| {
        let mut found: Vec<_> =
            mixture(seed).0.into_iter().map(|verdict| (verdict.subject, verdict.class)).collect();
        found.sort();
        found.dedup();
        found
    };
    assert_eq!(offenders(1), offenders(2));
}

#[test]
fn time_that_steps_back_neither_panics_nor_rewinds() {
    let mut lab = Lab::new();
    (0..10).for_each(|port| lab.refuse(ATTACKER, port));
    let now = lab.now;
    for earlier in [Time::ZERO, Time::from_secs(1), Time::from_secs(999_995)] {
        lab.now = earlier;
        lab.sensor.handle_timeout(earlier);
        (0..3).for_each(|port| lab.refuse(CLIENT, port));
    }
    (10..20).for_each(|port| lab.refuse(ATTACKER, port));
    let verdict = lab.verdicts().pop().expect("a scan, although the clock was set back in its middle");
    assert_eq!(verdict.at, now);
}

#[test]
fn the_end_of_time_is_a_time_like_any_other() {
    let mut lab = Lab::new();
    lab.now = Time::NEVER;
    (0..30).for_each(|port| {
        Connection::open(&mut lab, ATTACKER, 30_000 + port, 80);
    });
    lab.sensor.handle_timeout(Time::NEVER);
    lab.wait(1);
}

#[test]
fn verdicts_do_not_depend_on_offload() {
    let flood = |payload: usize, gso_size: u16, frames: u32| {
        let mut lab = Lab::new();
        for number in 0..frames {
            let datagram = udp((9, 514), &noise(payload));
            let packet = ip(ATTACKER, SERVER, UDP, &datagram);
            let frame = Frame { gso_size, ..raw(&packet, Direction::In) };
            lab.sensor.observe(lab.now, &frame).unwrap();
            let sent = u64::from(number + 1) * payload as u64;
            lab.now = Time::from_secs(1_000_000).after(core::time::Duration::from_micros(sent / 14));
        }
        (lab.verdicts().first().map(|verdict| verdict.reason.rule.clone()), lab.sensor.stats().packets)
    };
    let (rule, packets) = flood(1400, 0, 13_500);
    assert_eq!(rule.as_deref(), Some("net_flood.udp"));
    assert_eq!(flood(45 * 1400, 1400, 300), (rule, packets));
}

#[test]
fn a_stream_is_the_same_in_segments_or_merged() {
    let upload = |size: usize, frames: usize| {
        let mut lab = Lab::new();
        (0..2).for_each(|port| lab.refuse(CLIENT, port));
        let mut connection = Connection::open(&mut lab, CLIENT, 30_000, 80);
        lab.wait(500);
        for _ in 0..frames {
            connection.asks(&mut lab, ACK, &noise(size));
        }
        lab.wait(11_000);
        for _ in 0..frames {
            connection.asks(&mut lab, ACK, &noise(size));
        }
        let report = core::iter::from_fn(|| lab.sensor.poll_window()).last().unwrap();
        (lab.sensor.stats().packets, lab.sensor.stats().bytes, report.source)
    };
    assert_eq!(upload(1448, 900), upload(45 * 1448, 20));
}
