//! What comes in from outside: threat feeds, and other detectors' words.

use std::{
    sync::{Arc, atomic::AtomicBool},
    thread::JoinHandle,
};

use smartfw_config::NodeConfig;
use smartfw_inward::{feed::FeedSettings, geo::GeoFiles};

use super::parts::Links;
use crate::{
    external::{self, Ledger},
    feeds::{self, Feeds},
};

/// The feeds that the configuration names, once everything of this kind in it can be used.
pub(super) fn check(config: &NodeConfig) -> anyhow::Result<Vec<FeedSettings>> {
    external::check(config).map_err(anyhow::Error::msg)?;
    feeds::configured(config).map_err(anyhow::Error::msg)
}

/// Where countries and systems are looked up.
pub(super) fn geo(config: &NodeConfig) -> GeoFiles {
    GeoFiles { country: config.geoip_country.clone(), asn: config.geoip_asn.clone() }
}

/// Who fetches and listens, at work.
pub(super) struct Inward {
    pub(super) feeds: Feeds,
    pub(super) ledger: Ledger,
    pub(super) threads: Vec<JoinHandle<()>>,
}

/// Starts who fetches and who listens.
pub(super) fn start(
    config: &NodeConfig,
    configured: Vec<FeedSettings>,
    links: &Links,
    ending: &Arc<AtomicBool>,
) -> anyhow::Result<Inward> {
    let (health, vital) = (&links.shared.health, &links.shared.vital);
    let setup = feeds::Setup {
        configured,
        geo: geo(config),
        folder: config.state_dir.join("feeds"),
        inbox: links.inbox.clone(),
        health: health.clone(),
        ending: ending.clone(),
    };
    let (feeds, fetching) = feeds::start(setup, vital)?;
    let setup = external::Setup {
        settings: config.external.clone(),
        note: config.state_dir.join("external.json"),
        feed: links.feed.clone(),
        health: health.clone(),
        ending: ending.clone(),
    };
    let (ledger, listening) = external::start(setup, vital)?;
    let threads = listening.into_iter().chain([fetching]).collect();
    Ok(Inward { feeds, ledger, threads })
}
