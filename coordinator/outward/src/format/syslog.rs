//! Syslog, RFC 5424.

use std::fmt::Write as _;

use serde::{Deserialize, Deserializer, de::Error as _};
use smartfw_proto::json::rfc3339;

use super::{Facts, Room};
use crate::text;

/// Names with an enterprise's number are for anybody's use (section 6.3.2). 32473 is the one for documentation
/// (RFC 5612): SmartFW has none of its own.
const ELEMENT: &str = "smartfw@32473";

/// The longest HOSTNAME (section 6).
const HOST: usize = 255;

/// The facility of RFC 5424, table 1: 0 to 23.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facility(u8);

impl Facility {
    /// The facility of this number; `None` beyond 23.
    pub const fn new(number: u8) -> Option<Self> {
        if number < 24 { Some(Self(number)) } else { None }
    }
}

/// `local0`: no other program is in its way.
impl Default for Facility {
    fn default() -> Self {
        Self(16)
    }
}

impl<'de> Deserialize<'de> for Facility {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u8::deserialize(deserializer)?;
        Self::new(number)
            .ok_or_else(|| D::Error::custom("a facility is a number from 0 to 23 (RFC 5424, table 1)"))
    }
}

/// `HEADER SP STRUCTURED-DATA SP MSG` (section 6).
pub(super) fn record(facts: &Facts<'_>, facility: Facility, room: Room, message: &str) -> String {
    let mut out = format!(
        "<{}>1 {} {} smartfw - {} [{ELEMENT}",
        facility.0 * 8 + severity(facts.severity()),
        rfc3339(facts.time),
        host_name(facts.node),
        facts.kind,
    );
    for (name, value) in parameters(facts, room) {
        let _ = write!(out, " {name}=\"{}\"", escaped(&value));
    }
    out.push_str("] ");
    if !message.is_ascii() {
        // A message in UTF-8 begins with the BOM (section 6.4); ASCII is MSG-ANY and needs none.
        out.push('\u{feff}');
    }
    out.push_str(message);
    out
}

/// The event as a person would say it.
pub(super) fn sentence(facts: &Facts<'_>, room: Room) -> String {
    let mut out = facts.title();
    if let Some(about) = facts.about() {
        let _ = write!(out, " by {about}");
    }
    let _ = write!(out, " on {} ({})", text::shown(facts.node, room.word), facts.action(room.word));
    let reason = facts.reason(room.reason);
    if !reason.is_empty() {
        let _ = write!(out, ": {reason}");
    }
    out
}

fn parameters(facts: &Facts<'_>, room: Room) -> Vec<(&'static str, String)> {
    let known = [
        ("id", facts.word("id", room.word)),
        ("node", Some(text::shown(facts.node, room.word))),
        ("class", facts.class.map(|class| class.to_string())),
        ("source", facts.source.map(|source| source.to_string())),
        ("target", facts.target.map(|target| target.to_string())),
        ("destination", facts.destination.map(|to| to.to_string())),
        ("action", Some(facts.action(room.word))),
        ("confidence", facts.confidence().map(|confidence| confidence.to_string())),
        ("detector", facts.word("detector", room.word)),
        ("count", facts.count().map(|count| count.to_string())),
    ];
    known.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// `"`, `\` and `]` are escaped in a PARAM-VALUE (section 6.3.3).
fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace(']', r"\]")
}

/// PRINTUSASCII without blanks, or `-` (section 6).
fn host_name(node: &str) -> String {
    let name: String = node.chars().filter(char::is_ascii_graphic).take(HOST).collect();
    if name.is_empty() { "-".to_owned() } else { name }
}

/// Table 2: critical, warning, notice, informational.
const fn severity(of_ten: u8) -> u8 {
    match of_ten {
        8.. => 2,
        5.. => 4,
        3.. => 5,
        _ => 6,
    }
}
