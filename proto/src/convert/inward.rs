//! Threat feeds.

use std::{net::IpAddr, time::Duration};

use smartfw_core::Time;

use super::{
    ConvertError, Problem,
    scalar::{Result, address, address_bytes, clip, clipped, list, text},
};
use crate::{
    limits,
    view::{FeedRow, NewFeed, Place},
    wire,
};

impl From<FeedRow> for wire::FeedRow {
    fn from(row: FeedRow) -> Self {
        Self {
            name: clip(limits::NAME, row.name),
            url: clip(limits::URL, row.url),
            format: clip(limits::NAME, row.format),
            every: row.every.as_secs(),
            max_change: row.max_change.into(),
            configured: row.configured,
            entries: row.entries,
            held: row.held,
            resting: row.resting,
            unreadable: row.unreadable,
            special: row.special,
            wide: row.wide,
            refused: row.refused,
            updated: row.updated.map(Time::as_nanos),
            next: row.next.as_nanos(),
            trouble: clip(limits::TEXT, row.trouble),
            remedy: clip(limits::TEXT, row.remedy),
        }
    }
}

impl TryFrom<wire::FeedRow> for FeedRow {
    type Error = ConvertError;
    fn try_from(row: wire::FeedRow) -> Result<Self> {
        Ok(Self {
            name: text("feed.name", limits::NAME, row.name)?,
            url: text("feed.url", limits::URL, row.url)?,
            format: text("feed.format", limits::NAME, row.format)?,
            every: Duration::from_secs(row.every),
            max_change: share("feed.max_change", row.max_change)?,
            configured: row.configured,
            entries: row.entries,
            held: row.held,
            resting: row.resting,
            unreadable: row.unreadable,
            special: row.special,
            wide: row.wide,
            refused: row.refused,
            updated: row.updated.map(Time::from_nanos),
            next: Time::from_nanos(row.next),
            trouble: text("feed.trouble", limits::TEXT, row.trouble)?,
            remedy: text("feed.remedy", limits::TEXT, row.remedy)?,
        })
    }
}

impl From<Vec<FeedRow>> for wire::FeedList {
    fn from(feeds: Vec<FeedRow>) -> Self {
        Self { feeds: clipped(limits::FEEDS, feeds) }
    }
}

impl TryFrom<wire::FeedList> for Vec<FeedRow> {
    type Error = ConvertError;
    fn try_from(answer: wire::FeedList) -> Result<Self> {
        list("feeds", limits::FEEDS, answer.feeds)
    }
}

impl From<NewFeed> for wire::AddFeedRequest {
    fn from(feed: NewFeed) -> Self {
        let NewFeed { url, name, format, every, max_change } = feed;
        Self { url, name, format, every: every.as_secs(), max_change: max_change.into() }
    }
}

impl TryFrom<wire::AddFeedRequest> for NewFeed {
    type Error = ConvertError;
    fn try_from(request: wire::AddFeedRequest) -> Result<Self> {
        Ok(Self {
            url: text("add_feed.url", limits::URL, request.url)?,
            name: text("add_feed.name", limits::NAME, request.name)?,
            format: text("add_feed.format", limits::NAME, request.format)?,
            every: Duration::from_secs(request.every),
            max_change: share("add_feed.max_change", request.max_change)?,
        })
    }
}

/// The address that is to be located.
///
/// # Errors
/// When it is none.
pub fn located(request: &wire::LocateRequest) -> Result<IpAddr> {
    address("locate.address", &request.address)
}

impl From<IpAddr> for wire::LocateRequest {
    fn from(address: IpAddr) -> Self {
        Self { address: address_bytes(address) }
    }
}

impl From<Place> for wire::Place {
    fn from(Place { country, system, organisation }: Place) -> Self {
        let clipped = |text: Option<String>| text.map(|text| clip(limits::NAME, text));
        Self { country: clipped(country), system, organisation: clipped(organisation) }
    }
}

impl TryFrom<wire::Place> for Place {
    type Error = ConvertError;
    fn try_from(wire::Place { country, system, organisation }: wire::Place) -> Result<Self> {
        let read =
            |field, value: Option<String>| value.map(|value| text(field, limits::NAME, value)).transpose();
        let (country, organisation) =
            (read("place.country", country)?, read("place.organisation", organisation)?);
        Ok(Self { country, system, organisation })
    }
}

fn share(field: &'static str, value: u32) -> Result<u8> {
    let share = u8::try_from(value).ok().filter(|share| *share <= 100);
    share.ok_or(ConvertError::new(field, Problem::OutOfRange))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> FeedRow {
        FeedRow {
            name: "drop".into(),
            url: "https://example.org/drop.txt".into(),
            format: "plain".into(),
            every: Duration::from_secs(3600),
            max_change: 50,
            configured: true,
            entries: 1,
            held: 2,
            resting: 3,
            unreadable: 4,
            special: 5,
            wide: 6,
            refused: 7,
            updated: Some(Time::from_secs(8)),
            next: Time::from_secs(9),
            trouble: "a".into(),
            remedy: "b".into(),
        }
    }

    #[test]
    fn a_feed_comes_over_as_it_is_and_too_many_do_not() {
        assert_eq!(FeedRow::try_from(wire::FeedRow::from(row())), Ok(row()));
        let rows = vec![row(); limits::FEEDS + 1];
        let sent = wire::FeedList::from(rows.clone());
        assert_eq!(Vec::<FeedRow>::try_from(sent).unwrap().len(), limits::FEEDS);
        let sent = wire::FeedList { feeds: rows.into_iter().map(Into::into).collect() };
        assert!(Vec::<FeedRow>::try_from(sent).is_err());
    }

    #[test]
    fn a_place_comes_over_as_it_is() {
        let place = Place { country: Some("XA".into()), system: Some(64_500), organisation: None };
        assert_eq!(Place::try_from(wire::Place::from(place.clone())), Ok(place));
        let long = wire::Place { country: Some("x".repeat(limits::NAME + 1)), ..wire::Place::default() };
        assert!(Place::try_from(long).is_err());
        let address: IpAddr = [192, 0, 2, 1].into();
        assert_eq!(located(&address.into()), Ok(address));
        assert!(located(&wire::LocateRequest { address: vec![1] }).is_err());
    }

    #[test]
    fn what_is_to_be_added_comes_over_and_a_share_beyond_all_does_not() {
        let (url, name, format) = ("file:///x".to_owned(), String::new(), String::new());
        let new = NewFeed { url, name, format, every: Duration::from_secs(60), max_change: 100 };
        assert_eq!(NewFeed::try_from(wire::AddFeedRequest::from(new.clone())), Ok(new.clone()));
        let request = wire::AddFeedRequest { max_change: 101, ..new.clone().into() };
        assert!(NewFeed::try_from(request).is_err());
        let request = wire::AddFeedRequest { url: "x".repeat(limits::URL + 1), ..new.into() };
        assert!(NewFeed::try_from(request).is_err());
    }
}
