//! ArcSight's Common Event Format ("Implementing ArcSight Common Event Format", version 23).
//!
//! `|` and `\` are escaped in the header, `=` and `\` in values; the header has no lines, values write theirs as `\n`.
//! Values are cut to the lengths of the extension dictionary.

use std::{fmt::Write as _, net::IpAddr};

use super::{Facts, Room};
use crate::{event::Destination, text};

/// The dictionary's lengths of `msg`, `dvchost`, `externalId` and `act`; names and `cs1` could be longer than anybody's.
const MESSAGE: usize = 1023;
const HOST: usize = 100;
const ID: usize = 40;
const ACTION: usize = 63;
const CUSTOM: usize = 255;

pub(super) fn record(facts: &Facts<'_>, room: Room) -> String {
    let class = facts.class.map_or(facts.kind.as_str(), |class| class.as_str());
    let title = facts.title();
    let header = ["CEF:0", "SmartFW", "SmartFW", env!("CARGO_PKG_VERSION"), class, &title];
    let mut out = header.map(in_header).join("|");
    let _ = write!(out, "|{}|rt={}", facts.severity(), facts.time.as_nanos() / 1_000_000);
    let mut put = |key: &str, value: &str| {
        let _ = write!(out, " {key}={}", in_value(value));
    };
    put("cat", facts.kind.as_str());
    put("dvchost", &text::shown(facts.node, HOST.min(room.word)));
    if let Some(source) = facts.source {
        address("src", ("c6a2", "Source IPv6 Address"), source, &mut put);
    }
    if let Some(Destination { address: to, port, protocol }) = facts.destination {
        address("dst", ("c6a3", "Destination IPv6 Address"), to, &mut put);
        if let Some(port) = port {
            put("dpt", &port.to_string());
        }
        put("proto", protocol.as_str());
    }
    details(facts, room, put);
    out
}

/// `src` and `dst` hold IPv4 only.
fn address(v4: &str, (v6, label): (&str, &str), address: IpAddr, put: &mut impl FnMut(&str, &str)) {
    match address {
        IpAddr::V4(_) => put(v4, &address.to_string()),
        IpAddr::V6(_) => {
            put(&format!("{v6}Label"), label);
            put(v6, &address.to_string());
        }
    }
}

fn details(facts: &Facts<'_>, room: Room, mut put: impl FnMut(&str, &str)) {
    put("act", &facts.action(ACTION.min(room.word)));
    if let Some(count) = facts.count() {
        put("cnt", &count.to_string());
    }
    if let Some(id) = facts.word("id", ID.min(room.word)) {
        put("externalId", &id);
    }
    if let Some(confidence) = facts.confidence() {
        put("cfp1Label", "confidence");
        put("cfp1", &confidence.to_string());
    }
    if let Some(detector) = facts.word("detector", CUSTOM.min(room.word)) {
        put("cs1Label", "detector");
        put("cs1", &detector);
    }
    if facts.source.is_none()
        && let Some(target) = facts.target
    {
        put("cs2Label", "target");
        put("cs2", &target.to_string());
    }
    put("msg", &facts.reason(MESSAGE.min(room.reason)));
}

fn in_header(field: &str) -> String {
    text::shown(field, CUSTOM).replace('\\', r"\\").replace('|', r"\|")
}

fn in_value(value: &str) -> String {
    value.replace('\\', r"\\").replace('=', r"\=").replace('\r', r"\r").replace('\n', r"\n")
}
