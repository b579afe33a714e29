//! Threat feeds and places.

use serde_json::{Value, json};

use super::rfc3339;
use crate::view::{FeedRow, Place};

/// A feed that is followed. `updated` is null before it was fetched for the first time, `trouble` and `do` while all is
/// well.
pub fn feed(row: &FeedRow) -> Value {
    let said = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    json!({
        "kind": "feed",
        "name": row.name,
        "url": row.url,
        "format": row.format,
        "every": row.every.as_secs(),
        "max_change": row.max_change,
        "configured": row.configured,
        "entries": row.entries,
        "held": row.held,
        "resting": row.resting,
        "unreadable": row.unreadable,
        "special": row.special,
        "wide": row.wide,
        "refused": row.refused,
        "updated": row.updated.map(rfc3339),
        "next": rfc3339(row.next),
        "trouble": said(&row.trouble),
        "do": said(&row.remedy),
    })
}

/// Where an address is; null where no file says so.
pub fn place(place: &Place) -> Value {
    json!({
        "country": place.country,
        "as": place.system,
        "organisation": place.organisation,
    })
}
