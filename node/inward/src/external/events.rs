//! The alerts of `events.jsonl`, as this program writes them and others may: `{"kind":"alert","time":…,"source":…,
//! "class":…,"confidence":…,"evidence":…,"reason":…}`.

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
    kind: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    time: Cow<'a, str>,
    source: Option<IpAddr>,
    #[serde(borrow)]
    class: Cow<'a, str>,
    confidence: f64,
    #[serde(borrow)]
    evidence: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    reason: Cow<'a, str>,
}

/// Reads a line.
pub(super) fn read(line: &[u8]) -> Result<Verdict, Unheard> {
    let kind: Kind<'_> = serde_json::from_slice(line).map_err(|_| Unheard::Unreadable)?;
    if kind.kind != "alert" {
        return Err(Unheard::Other);
    }
    let event: Event<'_> = serde_json::from_slice(line).map_err(|_| Unheard::Unreadable)?;
    // An alert about a service under attack names nobody.
    let source = event.source.ok_or(Unheard::Other)?;
    let class: Class = event.class.parse().map_err(|_| Unheard::Unreadable)?;
    // A person's word, and a feed's, have other ways.
    if matches!(class, Class::Manual | Class::Feed) {
        return Err(Unheard::Other);
    }
    let evidence = event.evidence.map(|evidence| evidence.parse::<Evidence>()).transpose();
    let confidence = Some(event.confidence).filter(|confidence| (0.0..=1.0).contains(confidence));
    let said = Said {
        at: time::parse(&event.time).ok_or(Unheard::Unreadable)?,
        source,
        class,
        confidence: confidence.ok_or(Unheard::Unreadable)?,
        evidence: evidence.map_err(|_| Unheard::Unreadable)?,
        rule: "external".to_owned(),
        text: &event.reason,
    };
    Ok(said.verdict())
}
