//! What comes in from outside.

use super::Visitor;
use crate::{
    ExternalSettings, FeedConfig, NodeConfig,
    kinds::{Address, File, List, MaybeFile, Number, Span, Word},
};

/// The most feeds that are followed.
const FEEDS: usize = 64;

/// A name that can stand in a kernel comment, behind `feed:`.
const NAME: Word = Word {
    expected: "a name of 1 to 48 letters, digits, dots, dashes or underscores",
    longest: 48,
    empty: false,
    accepts: |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'),
};

/// How a feed is written.
const FORMAT: Word = Word {
    expected: "\"plain\", \"csv:COLUMN\" (a name, or a number from 1), \"json\" or \"json:KEY\"",
    longest: 69,
    empty: false,
    accepts: |c| !c.is_control() && c != '"',
};

pub(super) fn feeds(v: &mut impl Visitor, config: &mut NodeConfig) {
    v.rows(
        "feed",
        "Threat feeds: what they list is blocked on this node, but for what is protected. One such table each.",
        FEEDS,
        &mut config.feeds,
        |v, feed| row(v, feed),
    );
}

fn row(v: &mut impl Visitor, feed: &mut FeedConfig) {
    let FeedConfig { name, url, format, every, max_change } = feed;
    v.item("name", "What it goes by: the origin of its blocks is feed:NAME.", NAME, name);
    v.item("url", "Where it is.", Address, url);
    v.item(
        "format",
        "How it is written: an address a line, a table's column, or a JSON array or lines of texts or of objects with a key.",
        FORMAT,
        format,
    );
    v.item("every", "How often it is fetched.", Span(60..=30 * 86_400), every);
    v.item(
        "max_change",
        "An update that adds or drops more of the list than this, per cent, waits for smartfw-cli feed refresh --force.",
        Number(1..=100),
        max_change,
    );
}

/// The most files of other detectors: each costs a look five times a second.
const FILES: usize = 16;

pub(super) fn external(v: &mut impl Visitor, external: &mut ExternalSettings) {
    let ExternalSettings { suricata, events, per_minute } = external;
    v.section(
        "external",
        "Other detectors on this host, whose alerts are verdicts for this node's policy. Changes hold from the next start.",
    );
    v.item(
        "suricata",
        "Files that Suricata writes (eve.json): alerts of severity 1 and 2, and of a category that is an attack.",
        List(File, FILES),
        suricata,
    );
    v.item(
        "events",
        "Files of alerts in the form of this program's events.jsonl, a JSON object a line. Not this node's own.",
        List(File, FILES),
        events,
    );
    v.item(
        "per_minute",
        "So many alerts a minute are heard of each file; what is more is counted and shown.",
        Number(1..=60_000),
        per_minute,
    );
}

pub(super) fn geoip(v: &mut impl Visitor, config: &mut NodeConfig) {
    v.section(
        "geoip",
        "Your own files in MaxMind's format, for feeds like geoip:country:XX and geoip:as:64500. Changes hold from the next start.",
    );
    v.item(
        "country",
        "The file of countries, like GeoLite2-Country.mmdb.",
        MaybeFile,
        &mut config.geoip_country,
    );
    v.item(
        "asn",
        "The file of autonomous systems, like GeoLite2-ASN.mmdb.",
        MaybeFile,
        &mut config.geoip_asn,
    );
}
