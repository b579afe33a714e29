//! Suricata's `eve.json`.
//!
//! Source: docs.suricata.io, "EVE JSON Format". `src_ip` is where the packet came from that raised the alert, which may be
//! the server's answer; `flow.src_ip` is who began, and `direction` says which of both ways the packet went. Rules with
//! the keyword `target` name the attacker in `alert.source`.

use std::{borrow::Cow, net::IpAddr};

use serde::Deserialize;
use smartfw_core::{Class, Evidence, Verdict};

use super::{
    reading::{Said, Unheard},
    time,
};

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow)]
    event_type: Cow<'a, str>,
}

/// What is read of an alert; everything else in it is passed over.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
    src_ip: IpAddr,
    dest_ip: IpAddr,
    #[serde(borrow, default)]
    proto: Cow<'a, str>,
    #[serde(borrow, default)]
    direction: Cow<'a, str>,
    #[serde(borrow, default)]
    app_proto: Cow<'a, str>,
    #[serde(borrow)]
    alert: Alert<'a>,
    #[serde(default)]
    flow: Flow,
}

#[derive(Deserialize)]
struct Alert<'a> {
    #[serde(default)]
    gid: u64,
    signature_id: u64,
    #[serde(borrow, default)]
    signature: Cow<'a, str>,
    #[serde(borrow, default)]
    category: Cow<'a, str>,
    severity: u8,
    source: Option<End>,
}

#[derive(Deserialize)]
struct End {
    ip: IpAddr,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Flow {
    pkts_toserver: u64,
    pkts_toclient: u64,
    src_ip: Option<IpAddr>,
}

/// Reads a line.
pub(super) fn read(line: &[u8]) -> Result<Verdict, Unheard> {
    let kind: Kind<'_> = serde_json::from_slice(line).map_err(|_| Unheard::Unreadable)?;
    if kind.event_type != "alert" {
        return Err(Unheard::Other);
    }
    let event: Event<'_> = serde_json::from_slice(line).map_err(|_| Unheard::Unreadable)?;
    let at = time::parse(&event.timestamp).ok_or(Unheard::Unreadable)?;
    let Some(class) = class_of(&event) else { return Err(Unheard::Other) };
    let confidence = confidence(event.alert.severity).ok_or(Unheard::Other)?;
    let (gid, sid, signature) = (event.alert.gid, event.alert.signature_id, &event.alert.signature);
    let text = format!("suricata: {signature}");
    let said = Said {
        at,
        source: attacker(&event),
        class,
        confidence,
        evidence: Some(evidence(&event)),
        rule: format!("suricata.{gid}:{sid}"),
        text: &text,
    };
    Ok(said.verdict())
}

/// Who is to blame: whom the rule names, else who began, else whom the packet came from.
fn attacker(event: &Event<'_>) -> IpAddr {
    let named = event.alert.source.as_ref().map(|source| source.ip);
    // A rule's word must be about one of both ends.
    let named = named.filter(|ip| [event.src_ip, event.dest_ip].contains(ip));
    let began = event.flow.src_ip.filter(|ip| [event.src_ip, event.dest_ip].contains(ip));
    let by_direction = if event.direction == "to_client" { event.dest_ip } else { event.src_ip };
    named.or(began).unwrap_or(by_direction)
}

/// A TCP flow of which the server's side answered, and the client went on, was no forged packet.
fn evidence(event: &Event<'_>) -> Evidence {
    let Flow { pkts_toserver, pkts_toclient, .. } = event.flow;
    let answered = event.proto.eq_ignore_ascii_case("tcp") && pkts_toclient > 0 && pkts_toserver > 1;
    if answered { Evidence::Handshake } else { Evidence::Spoofable }
}

/// Suricata's severities: 1 is the gravest; from 3 on it is information.
const fn confidence(severity: u8) -> Option<f64> {
    match severity {
        1 => Some(0.95),
        2 => Some(0.85),
        _ => None,
    }
}

/// The classes of Suricata's `classification.config`, by the descriptions that stand in `category`. What is none of them
/// is no attack that this program knows how to answer.
fn class_of(event: &Event<'_>) -> Option<Class> {
    let web = event.app_proto.starts_with("http");
    let category = event.alert.category.to_ascii_lowercase();
    Some(match category.as_str() {
        "attempted information leak" | "detection of a network scan" => Class::PortScan,
        "information leak" | "large scale information leak" if web => Class::WebAttack,
        "information leak" | "large scale information leak" => Class::Infiltration,
        "attempted denial of service" | "denial of service" | "detection of a denial of service attack" => {
            Class::NetFlood
        }
        "web application attack" | "access to a potentially vulnerable web application" => Class::WebAttack,
        "attempt to login by a default username and password"
        | "an attempted login using a suspicious username was detected"
        | "unsuccessful user privilege gain" => Class::BruteForce,
        "attempted administrator privilege gain"
        | "attempted user privilege gain"
        | "executable code was detected"
        | "misc attack"
            if web =>
        {
            Class::WebAttack
        }
        "attempted administrator privilege gain"
        | "successful administrator privilege gain"
        | "attempted user privilege gain"
        | "successful user privilege gain"
        | "executable code was detected"
        | "exploit kit activity detected"
        | "successful credential theft detected" => Class::Infiltration,
        "a network trojan was detected"
        | "malware command and control activity detected"
        | "domain observed used for c2 detected"
        | "targeted malicious activity was detected"
        | "crypto currency mining activity detected" => Class::Botnet,
        _ => return None,
    })
}
