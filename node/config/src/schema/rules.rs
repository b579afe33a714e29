//! The rules' thresholds.

use smartfw_core::config::{BruteForceRule, HttpFloodRule, NetFloodRule, PortScanRule, SlowDosRule};

use super::Visitor;
use crate::kinds::{List, Number, Span};

/// No threshold of a rule makes sense beyond this: it is another word for "off".
const COUNT: u32 = 1_000_000_000;

/// The most ports that can be listed.
const PORTS: usize = 256;

pub(super) fn port_scan(v: &mut impl Visitor, rule: &mut PortScanRule) {
    let PortScanRule { ports, udp_ports, hosts, ports_per_hour, protocols } = rule;
    v.section(
        "detection.rules.port_scan",
        "Asking for ports and hosts that give nothing. Counts are over ten seconds.",
    );
    v.item(
        "ports",
        "Different TCP ports without an answer. A monitoring probe asks five.",
        Number(2..=COUNT),
        ports,
    );
    v.item(
        "udp_ports",
        "Different UDP ports without an answer. Games and SIP spread over a few dozen.",
        Number(2..=COUNT),
        udp_ports,
    );
    v.item("hosts", "Different hosts asked on one port without an answer.", Number(2..=COUNT), hosts);
    v.item(
        "ports_per_hour",
        "Different unanswered ports within an hour: a slow scan asks one in 15 s.",
        Number(2..=COUNT),
        ports_per_hour,
    );
    v.item("protocols", "Different IP protocols tried without an answer.", Number(2..=COUNT), protocols);
}

pub(super) fn brute_force(v: &mut impl Visitor, rule: &mut BruteForceRule) {
    let BruteForceRule { services, failures, passwords, max_duration, max_bytes } = rule;
    v.section("detection.rules.brute_force", "Guessing passwords.");
    v.item(
        "services",
        "The ports of services that ask for a password.",
        List(Number(1..=65_535), PORTS),
        services,
    );
    v.item("failures", "Failed logins within ten minutes. Two typos are two.", Number(2..=COUNT), failures);
    v.item(
        "passwords",
        "Passwords sent to a web form in the open, within ten seconds.",
        Number(2..=COUNT),
        passwords,
    );
    v.item(
        "max_duration",
        "Remote desktop: a longer connection is not counted as a failed login.",
        Span(1..=3600),
        max_duration,
    );
    v.item(
        "max_bytes",
        "SSH: more encrypted bytes from the server than this mean that somebody got in.",
        Number(64..=COUNT),
        max_bytes,
    );
}

pub(super) fn slow_dos(v: &mut impl Visitor, rule: &mut SlowDosRule) {
    let SlowDosRule { connections, min_age, max_rate } = rule;
    v.section("detection.rules.slow_dos", "Keeping connections open to exhaust the server.");
    v.item(
        "connections",
        "Starving connections open at once. A browser has six to a host.",
        Number(2..=COUNT),
        connections,
    );
    v.item("min_age", "A connection is judged only after this long.", Span(1..=100), min_age);
    v.item(
        "max_rate",
        "Bytes per second from the client below which an unfinished request starves.",
        Number(1..=COUNT),
        max_rate,
    );
}

pub(super) fn http_flood(v: &mut impl Visitor, rule: &mut HttpFloodRule) {
    let HttpFloodRule { requests, connections } = rule;
    v.section("detection.rules.http_flood", "Floods of complete requests. Counts are over ten seconds.");
    v.item("requests", "Requests. A client in a loop reaches 720.", Number(10..=COUNT), requests);
    v.item(
        "connections",
        "Connections open or begun at once, at least: one loop is no flood.",
        Number(1..=COUNT),
        connections,
    );
}

pub(super) fn net_flood(v: &mut impl Visitor, rule: &mut NetFloodRule) {
    let NetFloodRule { syn, udp, udp_silent, icmp, stray, service_syn, service_udp, sources } = rule;
    v.section("detection.rules.net_flood", "Floods of packets. Counts are over ten seconds.");
    v.item("syn", "SYNs of one source that completed no handshake.", Number(10..=COUNT), syn);
    v.item(
        "udp",
        "Datagrams of one source without an answer, where this host said that a port is closed.",
        Number(10..=COUNT),
        udp,
    );
    v.item(
        "udp_silent",
        "Datagrams of one source without an answer, where this host said nothing; half of it within one second.",
        Number(10..=COUNT),
        udp_silent,
    );
    v.item("icmp", "Echo requests of one source.", Number(10..=COUNT), icmp);
    v.item("stray", "TCP segments of one source that belong to no connection.", Number(10..=COUNT), stray);
    v.item(
        "service_syn",
        "SYNs to one service without a handshake, over all sources.",
        Number(10..=COUNT),
        service_syn,
    );
    v.item(
        "service_udp",
        "Unasked datagrams to one service, over all sources.",
        Number(10..=COUNT),
        service_udp,
    );
    v.item("sources", "Different sources that make a flood distributed.", Number(2..=COUNT), sources);
}
