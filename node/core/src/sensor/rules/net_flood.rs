//! `net_flood`: packets that nobody asked for, of one source or of many. All of it can be forged.

use alloc::{format, string::String};

use super::Finding;
use crate::{
    Class, Evidence, Time,
    config::NetFloodRule,
    sensor::{
        service::Flood,
        source::{Probes, Source},
    },
};

/// A flood asks the same again and again; a scan asks everything once or twice.
const REPEATS: u32 = 3;

/// SYNs that completed no handshake.
pub(crate) fn syn_flood(source: &mut Source, now: Time, rule: &NetFloodRule) -> Option<Finding> {
    let total = source.window.total();
    let half_open = total.syn.saturating_sub(total.followed);
    // A busy client's connections in flight are few beside those that went on.
    let many = half_open >= rule.syn && half_open > total.followed;
    let flooded = many && due(source, now) && repeats(half_open, &mut source.tcp, now);
    flooded.then(|| {
        found("net_flood.syn", half_open, rule.syn, in_span(source, half_open, "SYNs without a handshake"))
    })
}

/// Datagrams without an answer: many where we said that the port is closed, very many where we said nothing (a
/// collector of logs or of video never answers).
pub(crate) fn udp_flood(source: &mut Source, now: Time, rule: &NetFloodRule) -> Option<Finding> {
    let (total, second) = (source.window.total(), source.window.second());
    let unanswered = total.udp.saturating_sub(total.udp_answered);
    let burst = second.udp.saturating_sub(second.udp_answered);
    let (measured, limit) = match (total.unreachable > 0, burst >= rule.udp_silent / 2) {
        (true, _) => (unanswered, rule.udp),
        (_, true) => (burst, rule.udp_silent / 2),
        _ => (unanswered, rule.udp_silent),
    };
    let flooded = measured >= limit && due(source, now) && repeats(measured, &mut source.udp, now);
    flooded.then(|| {
        found("net_flood.udp", measured, limit, in_span(source, measured, "datagrams without an answer"))
    })
}

/// Echo requests.
pub(crate) fn echo_flood(source: &mut Source, now: Time, rule: &NetFloodRule) -> Option<Finding> {
    let echo = source.window.total().echo;
    let flooded =
        echo >= rule.icmp && due(source, now) && echo >= source.hosts.count(now.as_secs()) * REPEATS;
    flooded.then(|| found("net_flood.icmp", echo, rule.icmp, in_span(source, echo, "echo requests")))
}

/// TCP segments that belong to no connection.
pub(crate) fn stray_flood(source: &mut Source, now: Time, rule: &NetFloodRule) -> Option<Finding> {
    let stray = source.window.total().stray;
    let flooded = stray >= rule.stray && due(source, now) && repeats(stray, &mut source.tcp, now);
    flooded.then(|| {
        found("net_flood.stray", stray, rule.stray, in_span(source, stray, "segments of no connection"))
    })
}

/// In a flood every packet is beyond the limit: sketches are counted and words are found for one a second.
fn due(source: &Source, now: Time) -> bool {
    source.is_due(now, Class::NetFlood, Some(Evidence::Spoofable))
}

fn repeats(measured: u32, probes: &mut Probes, now: Time) -> bool {
    measured >= probes.pairs.count(now.as_secs()) * REPEATS
}

/// A flood that shows only at the service.
pub(crate) fn distributed(flood: &Flood) -> Finding {
    let Flood { sources, packets, limit, .. } = *flood;
    Finding {
        class: Class::NetFlood,
        rule: "net_flood.service",
        evidence: None,
        measured: packets.into(),
        limit: limit.into(),
        text: format!("{packets} packets from about {sources} sources within 10 s, hardly one went on"),
    }
}

fn found(rule: &'static str, measured: u32, limit: u32, text: String) -> Finding {
    Finding {
        class: Class::NetFlood,
        rule,
        evidence: Some(Evidence::Spoofable),
        measured: measured.into(),
        limit: limit.into(),
        text,
    }
}

fn in_span(source: &Source, measured: u32, what: &str) -> String {
    format!("{measured} {what} in {:.1} s", source.window.span().as_secs_f64())
}
