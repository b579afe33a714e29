//! Threat feeds: a thread of their own fetches them and sees to it that the agent holds what they list.

mod held;
mod keeper;
#[cfg(test)]
mod tests;

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::AtomicBool,
        mpsc::{SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
};

use smartfw_config::NodeConfig;
use smartfw_inward::{
    feed::{FeedSettings, KeepError, UnusableFeed},
    geo::GeoFiles,
};
use smartfw_proto::view::FeedRow;
use thiserror::Error;
use tokio::sync::oneshot;

use crate::{health::Health, inbox::Inbox, vital::Vital};
use keeper::Keeper;

/// The most feeds, whoever named them.
pub const FEEDS: usize = smartfw_proto::limits::FEEDS;

/// Calls that may wait while a feed is fetched: people make them.
const CALLS: usize = 16;

/// The way to the feeds. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Feeds {
    calls: SyncSender<Call>,
    rows: Arc<Mutex<Vec<FeedRow>>>,
}

/// What is asked of them.
enum Call {
    Add(FeedSettings, Answer<FeedRow>),
    Remove(String, Answer<FeedRow>),
    Refresh {
        feed: Option<String>,
        force: bool,
        answer: Answer<Vec<FeedRow>>,
    },
    /// What the configuration names now.
    Configured(Vec<FeedSettings>),
}

type Answer<T> = oneshot::Sender<Result<T, FeedRefused>>;

/// Why nothing was changed.
#[derive(Debug, Error)]
pub enum FeedRefused {
    /// It cannot be followed.
    #[error(transparent)]
    Unusable(#[from] UnusableFeed),
    /// The name is taken.
    #[error("a feed called {0} is followed already; give it another name by --name")]
    Taken(String),
    /// There is no such feed.
    #[error("no feed has that name or address; smartfw-cli feed list shows them")]
    Unknown,
    /// The configuration has the last word.
    #[error("the configuration names {0}: take it out there, then smartfw-cli reload")]
    Configured(String),
    /// There are enough.
    #[error("{FEEDS} feeds are followed already, which is all there may be")]
    Full,
    /// It would be forgotten.
    #[error("it cannot be kept: {0}")]
    Disk(#[from] KeepError),
    /// A slow feed keeps others waiting.
    #[error("a feed is being fetched and too many wait for it; try again in a minute")]
    Busy,
    /// The daemon ends.
    #[error("the daemon is ending")]
    Ending,
}

impl Feeds {
    /// The feeds that are followed, by name.
    pub fn list(&self) -> Vec<FeedRow> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Follows a feed; answers once it was fetched.
    ///
    /// # Errors
    /// [`FeedRefused`]: why it is not followed.
    pub async fn add(&self, feed: FeedSettings) -> Result<FeedRow, FeedRefused> {
        self.call(|answer| Call::Add(feed, answer)).await
    }

    /// Follows a feed no more, named by its name or its address.
    ///
    /// # Errors
    /// [`FeedRefused`]: why it is followed still.
    pub async fn remove(&self, feed: String) -> Result<FeedRow, FeedRefused> {
        self.call(|answer| Call::Remove(feed, answer)).await
    }

    /// Fetches a feed now, or all.
    ///
    /// # Errors
    /// [`FeedRefused`]: why none was fetched. Whether what came could be used, the rows say.
    pub async fn refresh(&self, feed: Option<String>, force: bool) -> Result<Vec<FeedRow>, FeedRefused> {
        self.call(|answer| Call::Refresh { feed, force, answer }).await
    }

    /// The configuration names these now.
    pub fn configured(&self, feeds: Vec<FeedSettings>) {
        // Calls that wait are few, and their thread lives as long as the node.
        let _ = self.calls.send(Call::Configured(feeds));
    }

    async fn call<T>(&self, call: impl FnOnce(Answer<T>) -> Call) -> Result<T, FeedRefused> {
        let (answer, receiver) = oneshot::channel();
        match self.calls.try_send(call(answer)) {
            Ok(()) => receiver.await.map_err(|_| FeedRefused::Ending)?,
            Err(TrySendError::Full(_)) => Err(FeedRefused::Busy),
            Err(TrySendError::Disconnected(_)) => Err(FeedRefused::Ending),
        }
    }
}

/// The feeds that the configuration names.
///
/// # Errors
/// Which of them cannot be followed.
pub fn configured(config: &NodeConfig) -> Result<Vec<FeedSettings>, String> {
    let usable = |feed: &smartfw_config::FeedConfig| {
        FeedSettings::new(&feed.name, &feed.url, &feed.format, feed.every, feed.max_change)
            .map_err(|why| format!("the feed {} of the configuration: {why}", feed.name))
    };
    config.feeds.iter().map(usable).collect()
}

/// What the thread needs.
pub struct Setup {
    /// What the configuration names.
    pub configured: Vec<FeedSettings>,
    /// Where countries and systems are looked up.
    pub geo: GeoFiles,
    /// Where lists are kept.
    pub folder: PathBuf,
    /// The way to the agent.
    pub inbox: Inbox,
    /// Where it is told how the feeds are.
    pub health: Arc<Health>,
    /// Set when the node ends.
    pub ending: Arc<AtomicBool>,
}

/// Starts the thread that follows feeds.
///
/// # Errors
/// When it cannot be started.
pub fn start(setup: Setup, vital: &Vital) -> io::Result<(Feeds, JoinHandle<()>)> {
    let (calls, called) = sync_channel(CALLS);
    let feeds = Feeds { calls, rows: Arc::default() };
    let keeper = Keeper::new(setup, called, feeds.rows.clone())?;
    let thread = vital.spawn("feeds", move || keeper.run())?;
    Ok((feeds, thread))
}
