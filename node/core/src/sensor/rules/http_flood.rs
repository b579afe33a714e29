//! `http_flood`: complete requests, over many connections at once.

use alloc::format;

use super::Finding;
use crate::{Class, Evidence, config::HttpFloodRule, sensor::source::Source};

/// Requests over proven connections within ten seconds, while many of these are open.
pub(crate) fn http_flood(source: &Source, rule: &HttpFloodRule) -> Option<Finding> {
    let (requests, open) = (source.window.total().proven_requests, source.open);
    (requests >= rule.requests && open >= rule.connections).then(|| Finding {
        class: Class::HttpFlood,
        rule: "http_flood.requests",
        evidence: Some(Evidence::Handshake),
        measured: requests.into(),
        limit: rule.requests.into(),
        text: format!(
            "{requests} requests over {open} connections at once in {:.1} s",
            source.window.span().as_secs_f64()
        ),
    })
}
