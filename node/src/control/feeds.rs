//! What a person on this host may ask and order of threat feeds.

use std::{net::IpAddr, time::Duration};

use smartfw_inward::{
    feed::{FeedSettings, Source, UnusableFeed, name_of},
    geo::{self, Atlas, GeoFiles},
};
use smartfw_proto::{
    convert::located,
    view::{FeedRow, NewFeed, Place},
    wire::{self, feeds_server::Feeds as Wire},
};
use tonic::{Request, Response, Status};

use super::{
    cluster::{audit::Caller, of_root},
    service::ending,
};
use crate::{
    feeds::{FeedRefused, Feeds},
    uplink::Uplink,
};

/// How often a feed may be asked: more is rude to who gives it.
const OFTEN: u64 = 60;
/// How seldom.
const SELDOM: u64 = 30 * 86_400;

/// The service.
#[derive(Clone, Debug)]
pub struct FeedsService {
    feeds: Feeds,
    geo: GeoFiles,
    uplink: Uplink,
}

impl FeedsService {
    /// For the feeds of this node, and its files of countries and systems; coordinators are told what people do.
    pub const fn new(feeds: Feeds, geo: GeoFiles, uplink: Uplink) -> Self {
        Self { feeds, geo, uplink }
    }
}

#[tonic::async_trait]
impl Wire for FeedsService {
    async fn list_feeds(
        &self,
        _: Request<wire::ListFeedsRequest>,
    ) -> Result<Response<wire::FeedList>, Status> {
        Ok(Response::new(self.feeds.list().into()))
    }

    async fn add_feed(
        &self,
        request: Request<wire::AddFeedRequest>,
    ) -> Result<Response<wire::FeedRow>, Status> {
        // The node reads files that the group may not.
        of_root(&request, "add feeds")?;
        let caller = Caller::of(&request, &self.uplink);
        let new = settings(NewFeed::try_from(request.into_inner())?);
        let added = match new {
            Ok(settings) => self.feeds.add(settings).await,
            Err(why) => Err(why.into()),
        };
        answered(caller, "add_feed", added)
    }

    async fn remove_feed(
        &self,
        request: Request<wire::RemoveFeedRequest>,
    ) -> Result<Response<wire::FeedRow>, Status> {
        let (caller, feed) = (Caller::of(&request, &self.uplink), request.into_inner().feed);
        answered(caller, "remove_feed", self.feeds.remove(feed).await)
    }

    async fn refresh_feeds(
        &self,
        request: Request<wire::RefreshFeedsRequest>,
    ) -> Result<Response<wire::FeedList>, Status> {
        let caller = Caller::of(&request, &self.uplink);
        let wire::RefreshFeedsRequest { feed, force } = request.into_inner();
        let feed = Some(feed).filter(|feed| !feed.is_empty());
        let rows = self.feeds.refresh(feed, force).await.map_err(|why| refused(&why));
        let told = |rows: &Vec<FeedRow>| {
            let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
            format!("{}{}", names.join(", "), if force { ", whatever has changed" } else { "" })
        };
        caller.ended("refresh_feeds", rows, told).map(|rows| Response::new(rows.into()))
    }

    async fn locate(&self, request: Request<wire::LocateRequest>) -> Result<Response<wire::Place>, Status> {
        let address = located(&request.into_inner())?;
        let geo = self.geo.clone();
        // People ask seldom: the files are read each time rather than held in memory.
        let place = tokio::task::spawn_blocking(move || place(&geo, address)).await.map_err(|_| ending())?;
        Ok(Response::new(place.into()))
    }
}

/// What the files say; one that cannot be read says nothing.
fn place(geo: &GeoFiles, address: IpAddr) -> Place {
    let mut place = geo::Place::default();
    for path in [&geo.country, &geo.asn].into_iter().flatten() {
        match Atlas::open(path) {
            Ok(atlas) => atlas.tell(address, &mut place),
            Err(error) => tracing::warn!(%error, "where an address is cannot be told"),
        }
    }
    let geo::Place { country, system, organisation } = place;
    Place { country, system, organisation }
}

fn answered(
    caller: Caller,
    call: &str,
    result: Result<FeedRow, FeedRefused>,
) -> Result<Response<wire::FeedRow>, Status> {
    let row =
        caller.ended(call, result.map_err(|why| refused(&why)), |row| format!("{} {}", row.name, row.url))?;
    Ok(Response::new(row.into()))
}

fn settings(new: NewFeed) -> Result<FeedSettings, UnusableFeed> {
    let NewFeed { url, name, format, every, max_change } = new;
    let name = if name.is_empty() { name_of(&Source::parse(&url)?) } else { name };
    let format = if format.is_empty() { "plain" } else { format.as_str() };
    let every = Duration::from_secs(every.as_secs().clamp(OFTEN, SELDOM));
    FeedSettings::new(&name, &url, format, every, max_change.max(1))
}

/// What was asked for wrongly, and what the host refuses.
fn refused(why: &FeedRefused) -> Status {
    match why {
        FeedRefused::Disk(_) | FeedRefused::Full => Status::failed_precondition(why.to_string()),
        FeedRefused::Busy | FeedRefused::Ending => Status::unavailable(why.to_string()),
        FeedRefused::Unusable(_)
        | FeedRefused::Taken(_)
        | FeedRefused::Unknown
        | FeedRefused::Configured(_) => Status::invalid_argument(why.to_string()),
    }
}
