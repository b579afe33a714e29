//! The mirror in Firebase: what is to be kept is put into the mirror's outbox before the history has it and the node is told
//! so. An outage of the cloud or an end of the program loses nothing; a disk that refuses the outbox does, and is told.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use serde_json::Value;
use smartfw_core::{EventKind, Time, fleet::NodeId};
use smartfw_history::{Appended, Count, Event, Page, Query, Size};
use smartfw_mirror::{Auth, Cluster, Database, Item, ItemId, Limits, Outbox, Patience, Sender, Watch};
use tokio::time::interval;

use crate::{
    health::{Health, Level, Matter},
    keeper::{Answering, Keeper},
    settings::Mirror,
};

/// The folder of the outbox within the state folder.
const FOLDER: &str = "mirror";
/// How often it is shown how the mirror is.
const LOOK: Duration = Duration::from_secs(5);

/// A history whose events go into an outbox as well.
pub struct Mirrored {
    inner: Arc<dyn Keeper>,
    outbox: Arc<Outbox>,
    health: Arc<Health>,
}

/// A mirror that is set up, and the history that feeds it.
pub struct Begun {
    /// To be used in the place of what was given.
    pub history: Arc<dyn Keeper>,
    /// To be run.
    pub sender: Sender,
}

/// Sets the mirror up; `None` where there is none.
///
/// # Errors
/// When the address or the credentials make no sense, or the outbox cannot be used.
pub fn begin(
    settings: &Mirror,
    cluster: &str,
    state_dir: &Path,
    history: Arc<dyn Keeper>,
    health: Arc<Health>,
) -> anyhow::Result<Option<Begun>> {
    let Some(url) = &settings.url else { return Ok(None) };
    let database = Arc::new(Database::new(url, auth(settings)?, Patience::default())?);
    let opened = Outbox::open(&state_dir.join(FOLDER), Limits::default())?;
    if let Some((place, why)) = opened.set_aside {
        tracing::error!(place = %place.display(), why, "the mirror's outbox was damaged; an empty one is begun");
    }
    let outbox = Arc::new(opened.outbox);
    let sender = Sender::new(database, outbox.clone(), Cluster::new(cluster)?);
    Ok(Some(Begun { history: Arc::new(Mirrored { inner: history, outbox, health }), sender }))
}

fn auth(settings: &Mirror) -> anyhow::Result<Auth> {
    let read =
        |path: &Path| std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()));
    match (&settings.account, &settings.secret) {
        (Some(path), None) => Ok(Auth::account(&read(path)?)?),
        (None, Some(path)) => {
            let secret = String::from_utf8(read(path)?).context("the database's secret is no text")?;
            Ok(Auth::secret(secret.trim())?)
        }
        _ => anyhow::bail!("mirror.url needs mirror.account or mirror.secret, and not both"),
    }
}

/// Brings what waits to the database; for ever.
pub async fn run(sender: Sender, health: Arc<Health>) {
    let watch = sender.watch();
    let sending = sender.run(since_epoch, chance);
    tokio::join!(sending, show(watch, health));
}

async fn show(watch: Watch, health: Arc<Health>) {
    let mut turn = interval(LOOK);
    loop {
        turn.tick().await;
        let state = watch.state();
        match state.remedy() {
            Some(remedy) => health.set(Matter::Mirror, Level::Warn, format!("the mirror: {state}"), remedy),
            None => health.clear(Matter::Mirror),
        }
    }
}

fn since_epoch() -> Duration {
    SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default()
}

/// Spreads the attempts of several coordinators; nobody is harmed by guessing it.
fn chance() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _, RandomState};
    RandomState::new().build_hasher().finish()
}

impl Mirrored {
    /// Puts events into the outbox. When its disk fails the fleet's history goes on without it, loudly: the mirror is
    /// needed for nothing.
    async fn mirror(&self, events: &[Event]) {
        let (items, outbox) = (events.iter().filter_map(item).collect::<Vec<_>>(), self.outbox.clone());
        let pushed = tokio::task::spawn_blocking(move || outbox.push(&items)).await;
        let why = match pushed {
            Ok(Ok(())) => return self.health.clear(Matter::Outbox),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        let what = format!("events are not mirrored: {why}");
        self.health.set(Matter::Outbox, Level::Error, what, "then restart the coordinator");
    }
}

/// The event as the database shows it; what it would not take is in the history alone.
fn item(event: &Event) -> Option<Item> {
    let Event { node, epoch, sequence, time, kind, body, .. } = event;
    let id = ItemId {
        millis: time.as_nanos() / 1_000_000,
        epoch: *epoch,
        sequence: *sequence,
        node: node.clone(),
    };
    let row: Value = serde_json::from_str(body).ok()?;
    let item = match kind {
        EventKind::Block | EventKind::Lift => Item::block(&id, row),
        EventKind::Alert | EventKind::Health | EventKind::Audit => Item::event(&id, row),
    };
    item.inspect_err(|why| tracing::warn!(%why, node, epoch, sequence, "an event is not mirrored")).ok()
}

impl Keeper for Mirrored {
    fn append(&self, now: Time, events: Vec<Event>) -> Answering<'_, Appended> {
        Box::pin(async move {
            // First: what the history knows is not sent again. What is pushed twice has one place in the database.
            self.mirror(&events).await;
            self.inner.append(now, events).await
        })
    }
    fn query(&self, query: Query) -> Answering<'_, Page> {
        self.inner.query(query)
    }
    fn retain(&self, now: Time, age: Duration, bytes: u64) -> Answering<'_, ()> {
        self.inner.retain(now, age, bytes)
    }
    fn last(&self, node: NodeId) -> Answering<'_, Option<Count>> {
        self.inner.last(node)
    }
    fn size(&self) -> Answering<'_, Size> {
        self.inner.size()
    }
}

#[cfg(test)]
mod tests {
    use smartfw_history::Embedded;

    use super::*;

    fn event(sequence: u64) -> Event {
        Event {
            node: "web-1".into(),
            id: NodeId([7; 32]),
            epoch: 1,
            sequence,
            time: Time::from_secs(1_700_000_000),
            kind: EventKind::Alert,
            address: None,
            class: None,
            body: "{\"kind\":\"alert\"}".into(),
        }
    }

    #[tokio::test]
    async fn what_is_kept_waits_for_the_database_too_before_it_is_acknowledged() {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("secret");
        std::fs::write(&secret, "its-secret\n").unwrap();
        let url = Some("https://example.firebaseio.com".to_owned());
        let settings = Mirror { url, account: None, secret: Some(secret) };
        let history: Arc<dyn Keeper> = Arc::new(Embedded::open(&folder.path().join("history")).unwrap());
        let begun =
            begin(&settings, "prod", folder.path(), history.clone(), Arc::default()).unwrap().unwrap();
        let now = Time::from_secs(1_700_000_000);
        begun.history.append(now, vec![event(1), event(2)]).await.unwrap();
        assert_eq!(begun.sender.watch().state().counts.waiting, 2);
        assert_eq!(history.size().await.unwrap().events, 2);
    }

    #[test]
    fn a_mirror_without_credentials_or_with_two_is_refused() {
        let url = Some("https://example.firebaseio.com".to_owned());
        let neither = Mirror { url, account: None, secret: None };
        assert!(auth(&neither).is_err_and(|why| why.to_string().contains("mirror.account")));
        let both = Mirror { account: Some("a".into()), secret: Some("b".into()), ..neither };
        assert!(auth(&both).is_err());
    }
}
