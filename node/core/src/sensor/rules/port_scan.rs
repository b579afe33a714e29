//! `port_scan`: ports and hosts that were asked for and gave nothing.

use alloc::format;

use super::Finding;
use crate::{
    Class, Evidence, Time,
    config::PortScanRule,
    sensor::source::{Probes, Source},
};

/// A scan asks each host for several ports, or each port of several hosts; a talkative peer asks each for its own.
const PAIRS_PER_TARGET: u32 = 3;

/// TCP ports and hosts, in ten seconds and in an hour.
pub(crate) fn port_scan(source: &mut Source, now: Time, rule: &PortScanRule) -> Option<Finding> {
    if !may_scan(source, rule) {
        return None;
    }
    let evidence = proof(source);
    if let Some((measured, limit, what)) = probed(&mut source.tcp, now, rule.ports, rule.hosts) {
        let span = source.window.span().as_secs_f64();
        return Some(Finding {
            class: Class::PortScan,
            rule: if what == "hosts" { "port_scan.hosts" } else { "port_scan.ports" },
            evidence,
            measured: measured.into(),
            limit: limit.into(),
            text: format!("{measured} {what} without an answer in {span:.1} s"),
        });
    }
    let minute = now.as_secs() / 60;
    let ports = source.slow.count(minute);
    let hosts = source.slow.hosts.count(minute).max(1);
    (ports >= rule.ports_per_hour && ports >= hosts * PAIRS_PER_TARGET).then(|| Finding {
        class: Class::PortScan,
        rule: "port_scan.ports_per_hour",
        evidence,
        measured: ports.into(),
        limit: rule.ports_per_hour.into(),
        text: format!("{ports} ports without an answer within an hour"),
    })
}

/// Whether enough was asked at all: two sums that cost nothing, before five sketches are counted.
fn may_scan(source: &Source, rule: &PortScanRule) -> bool {
    let enough = rule.ports.min(rule.hosts);
    source.window.total().packets >= enough || source.slow.fresh >= rule.ports_per_hour
}

/// UDP ports.
pub(crate) fn udp_scan(source: &mut Source, now: Time, rule: &PortScanRule) -> Option<Finding> {
    if source.window.total().udp < rule.udp_ports {
        return None;
    }
    let (measured, limit, what) = probed(&mut source.udp, now, rule.udp_ports, u32::MAX)?;
    let span = source.window.span().as_secs_f64();
    Some(Finding {
        class: Class::PortScan,
        rule: "port_scan.udp_ports",
        evidence: Some(Evidence::Spoofable),
        measured: measured.into(),
        limit: limit.into(),
        text: format!("{measured} UDP {what} without an answer in {span:.1} s"),
    })
}

/// IP protocols.
pub(crate) fn protocol_scan(source: &mut Source, now: Time, rule: &PortScanRule) -> Option<Finding> {
    let protocols = source.protocols.count(now.as_secs());
    (protocols >= rule.protocols).then(|| Finding {
        class: Class::PortScan,
        rule: "port_scan.protocols",
        evidence: Some(Evidence::Spoofable),
        measured: protocols.into(),
        limit: rule.protocols.into(),
        text: format!("{protocols} IP protocols tried within 10 s"),
    })
}

fn probed(probes: &mut Probes, now: Time, ports: u32, hosts: u32) -> Option<(u32, u32, &'static str)> {
    let tick = now.as_secs();
    let (asked_ports, asked_hosts) = (probes.ports.count(tick), probes.hosts.count(tick));
    let pairs = probes.pairs.count(tick);
    if asked_ports >= ports && pairs >= asked_hosts * PAIRS_PER_TARGET {
        Some((asked_ports, ports, "ports"))
    } else if asked_hosts >= hosts && pairs >= asked_ports * PAIRS_PER_TARGET {
        Some((asked_hosts, hosts, "hosts"))
    } else {
        None
    }
}

/// A connect scan proves itself: its handshakes carry nothing, on ports it had not tried before. An old customer's
/// handshakes prove nothing about probes under its address.
fn proof(source: &Source) -> Option<Evidence> {
    Some(if source.window.total().probes > 0 { Evidence::Handshake } else { Evidence::Spoofable })
}
