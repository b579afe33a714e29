//! Every limit is reached, and holds.

use super::lab::*;
use crate::config::{SensorConfig, SensorLimits};

fn small(change: impl Fn(&mut SensorLimits)) -> Lab {
    let mut config = SensorConfig::default();
    change(&mut config.limits);
    Lab::with(config)
}

#[test]
fn a_million_forged_sources_are_only_counted_and_a_proven_one_keeps_its_window() {
    let mut lab = Lab::new();
    for port in 0..10 {
        lab.refuse(CLIENT, 5000 + port);
    }
    Connection::open(&mut lab, CLIENT, 30_000, 80);
    for number in 0..1_000_000u32 {
        let forged = somebody(number.wrapping_mul(0x9e37_79b1) >> 8);
        let syn = tcp((1024, 80), (number, 0), SYN, b"");
        lab.hears(&ip(forged, SERVER, TCP, &syn));
    }
    let (stats, limits) = (lab.sensor.stats(), SensorLimits::default());
    assert!(stats.sources as usize <= 2 * (5 * limits.sources + limits.proven), "{stats:?}");
    assert_eq!(stats.forgotten_sources, 0, "who came once or twice has no window to lose");
    assert!(stats.forgotten_conversations > 0, "{stats:?}");
    lab.verdicts();
    (10..18).for_each(|port| lab.refuse(CLIENT, 5000 + port));
    assert_eq!(lab.verdicts().len(), 1, "ten ports before the flood and eight behind it are a scan");
}

#[test]
fn a_window_opens_with_the_third_packet() {
    let mut lab = Lab::new();
    for packet in 1..=3 {
        (0..100).for_each(|number| {
            lab.hears(&ip(somebody(number), SERVER, TCP, &tcp((9, 80), (packet, 0), SYN, b"")));
        });
        let windows = if packet < 3 { 0 } else { 100 };
        assert_eq!(lab.sensor.sources.len(), windows, "after packet {packet}");
    }
    assert_eq!(lab.sensor.strangers.len(), 0);
}

#[test]
fn sources_beyond_the_limit_are_forgotten_and_counted() {
    let mut lab = small(|limits| limits.sources = 100);
    for number in 0..1000 {
        (0..3).for_each(|_| lab.datagram(somebody(number), (9, 53)));
    }
    assert!(lab.sensor.sources.len() <= 200);
    assert!(lab.sensor.stats().forgotten_sources >= 800);
}

#[test]
fn proven_sources_beyond_the_limit_are_forgotten_and_counted() {
    let mut lab = small(|limits| limits.proven = 50);
    (0..500).for_each(|number| browse(&mut lab, somebody(number), 30_000));
    assert!(lab.sensor.proven.len() <= 100);
    assert!(lab.sensor.stats().forgotten_sources >= 400);
    assert_eq!(lab.sensor.stats().handshakes, 500);
}

#[test]
fn conversations_beyond_the_limit_are_forgotten_and_counted() {
    let mut lab = small(|limits| limits.connections = 64);
    (0..1000).for_each(|port| lab.datagram(CLIENT, (1000 + port, 53)));
    assert!(lab.sensor.conversations.len() <= 128);
    let stats = lab.sensor.stats();
    assert!(stats.forgotten_conversations >= 872 && stats.flows == 1000, "{stats:?}");
}

#[test]
fn services_beyond_the_limit_are_forgotten_and_counted() {
    let mut lab = small(|limits| limits.services = 10);
    (0..200).for_each(|port| lab.datagram(CLIENT, (9, 1000 + port)));
    assert!(lab.sensor.stats().forgotten_services >= 180);
}

#[test]
fn verdicts_that_nobody_takes_are_dropped_and_counted() {
    let mut lab = small(|limits| limits.verdicts = 3);
    for scanner in 0..5 {
        (0..17).for_each(|port| lab.refuse(somebody(scanner), port));
    }
    assert_eq!(lab.verdicts().len(), 3);
    assert_eq!(lab.sensor.stats().verdicts_dropped, 2);
}

#[test]
fn windows_are_logged_once_in_ten_seconds_and_source() {
    let mut lab = Lab::new();
    for _ in 0..1000 {
        lab.datagram(CLIENT, (9, 53));
        lab.wait(100);
    }
    let reports: alloc::vec::Vec<_> = core::iter::from_fn(|| lab.sensor.poll_window()).collect();
    assert!((9..=10).contains(&reports.len()), "{} reports in 100 s", reports.len());
    let last = reports.last().unwrap();
    assert_eq!(last.source, CLIENT);
    assert!((last.features.packets_per_second - 10.0).abs() < 1.1, "{last:?}");
    assert!((last.features.mean_interarrival - 0.1).abs() < 0.01, "{last:?}");
    assert_eq!((last.features.mean_packet_length, last.features.std_packet_length), (33.0, 0.0));
}

#[test]
fn windows_that_nobody_logs_are_dropped_and_counted() {
    let mut lab = Lab::new();
    for _ in 0..2 {
        for number in 0..3000 {
            (0..3).for_each(|_| lab.datagram(somebody(number), (9, 53)));
        }
        lab.wait(11_000);
    }
    for number in 0..3000 {
        lab.datagram(somebody(number), (9, 53));
    }
    assert_eq!(core::iter::from_fn(|| lab.sensor.poll_window()).count(), super::super::report::MAX_REPORTS);
    assert_eq!(lab.sensor.stats().windows_unlogged, 6000 - super::super::report::MAX_REPORTS as u64);
}

#[test]
fn watched_sources_have_a_limit_too() {
    let mut lab = Lab::new();
    for hoarder in 0..4200 {
        (0..20).for_each(|port| {
            Connection::open(&mut lab, somebody(hoarder), 30_000 + port * 13, 80);
        });
    }
    assert!(lab.sensor.watches.len() <= 4096, "{}", lab.sensor.watches.len());
    assert!(lab.sensor.watches.len() > 3000);
}
