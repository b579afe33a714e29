//! The mirror in Firebase: what is to be kept is put into the mirror's outbox before the history has it and the node is told
//! so. An outage of the cloud or an end of the program loses nothing; a disk that refuses the outbox for long does, and is
//! told.

mod pushing;

use std::{path::Path, sync::Arc, time::Duration};

use smartfw_core::{Time, fleet::NodeId};
use smartfw_history::{Appended, Count, Event, Page, Query, Size};
use smartfw_mirror::{
    Auth, Cluster, Database, Item, ItemId, List, Outbox, Patience, Sender, Watch, chance, since_epoch,
};
use smartfw_proto::json::rfc3339;
use tokio::{sync::watch, time::interval};

use crate::{
    health::{Health, Level, Matter},
    keeper::{Answering, Keeper},
    settings::{Mirror, Retention},
};
use pushing::{OWED, Pushing};

/// The folder of the outbox within the state folder.
const FOLDER: &str = "mirror";
/// The lists that a coordinator writes. Runs are the nodes'.
const LISTS: [List; 2] = [List::Events, List::Blocks];
/// How often it is shown how the mirror is.
const LOOK: Duration = Duration::from_secs(1);

/// A history whose events go into an outbox as well.
pub struct Mirrored {
    inner: Arc<dyn Keeper>,
    pushing: Pushing,
    health: Arc<Health>,
}

/// A mirror that is set up, and the history that feeds it.
pub struct Begun {
    /// To be used in the place of what was given.
    pub history: Arc<dyn Keeper>,
    /// To be run.
    pub sender: Sender,
}

/// Sets the mirror up; `None` where there is none. What is too old for the history is too old for the database.
///
/// # Errors
/// When the address or the credentials make no sense, or the outbox cannot be used.
pub fn begin(
    settings: &Mirror,
    cluster: &str,
    state_dir: &Path,
    history: Arc<dyn Keeper>,
    health: Arc<Health>,
    retention: watch::Receiver<Retention>,
) -> anyhow::Result<Option<Begun>> {
    let Some(url) = &settings.url else { return Ok(None) };
    let database = Arc::new(Database::new(
        url,
        Auth::from_files(settings.account.as_deref(), settings.secret.as_deref())?,
        Patience::default(),
    )?);
    let opened = Outbox::open(&state_dir.join(FOLDER), settings.outbox)?;
    if let Some((place, why)) = opened.set_aside {
        tracing::error!(place = %place.display(), why, "the mirror's outbox was damaged; an empty one is begun");
    }
    let outbox = Arc::new(opened.outbox);
    let sender = Sender::new(database, outbox.clone(), Cluster::new(cluster)?)
        .keeping(&LISTS, move || retention.borrow().age);
    Ok(Some(Begun {
        history: Arc::new(Mirrored { inner: history, pushing: Pushing::into(outbox), health }),
        sender,
    }))
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
            Some(remedy) => {
                let told = state.told(|since| rfc3339(Time::ZERO.after(since)));
                health.set(Matter::Mirror, Level::Warn, format!("the mirror: {told}"), remedy);
            }
            None => health.clear(Matter::Mirror),
        }
    }
}

impl Mirrored {
    /// Puts events into the outbox. When its disk fails the fleet's history goes on without it, loudly: the mirror is
    /// needed for nothing.
    async fn mirror(&self, events: &[Event]) {
        match self.pushing.push(events).await {
            Ok(()) => self.health.clear(Matter::Outbox),
            Err(why) => {
                let what = format!(
                    "events do not reach the mirror: {why}; the newest {OWED} wait in memory, older ones are lost to it"
                );
                let remedy =
                    "make room on the disk of the state folder; it is tried again with the next event";
                self.health.set(Matter::Outbox, Level::Error, what, remedy);
            }
        }
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
    let item = Item::told(&id, *kind, body);
    item.inspect_err(|why| tracing::warn!(%why, node, epoch, sequence, "an event is not mirrored")).ok()
}

impl Keeper for Mirrored {
    fn append(&self, now: Time, events: Vec<Event>) -> Answering<'_, Appended> {
        Box::pin(async move {
            // First: what the history knows is not sent again.
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
    fn warnings(&self) -> Answering<'_, Vec<String>> {
        self.inner.warnings()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::SeqCst;

    use smartfw_core::EventKind;
    use smartfw_history::Embedded;

    use super::*;
    use crate::{settings::Settings, testing::Memory};

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
        let history: Arc<dyn Keeper> = Arc::new(Embedded::open(&folder.path().join("history")).unwrap());
        let begun = mirror(folder.path(), history.clone());
        let now = Time::from_secs(1_700_000_000);
        begun.history.append(now, vec![event(1), event(2)]).await.unwrap();
        assert_eq!(begun.sender.watch().state().counts.waiting, 2);
        assert_eq!(history.size().await.unwrap().events, 2);
    }

    #[tokio::test]
    async fn what_a_history_refuses_again_and_again_waits_once() {
        let folder = tempfile::tempdir().unwrap();
        let history = Arc::new(Memory::default());
        let begun = mirror(folder.path(), history.clone());
        history.fails.store(true, SeqCst);
        let now = Time::from_secs(1_700_000_000);
        for _ in 0..3 {
            assert!(begun.history.append(now, vec![event(1), event(2)]).await.is_err());
        }
        history.fails.store(false, SeqCst);
        begun.history.append(now, vec![event(1), event(2), event(3)]).await.unwrap();
        assert_eq!(begun.sender.watch().state().counts.waiting, 3);
    }

    fn mirror(folder: &Path, history: Arc<dyn Keeper>) -> Begun {
        let secret = folder.join("secret");
        std::fs::write(&secret, "its-secret\n").unwrap();
        let url = Some("https://example.firebaseio.com".to_owned());
        let settings = Mirror { url, secret: Some(secret), ..Mirror::default() };
        let (_, retention) = watch::channel(Settings::default().retention);
        begin(&settings, "prod", folder, history, Arc::default(), retention).unwrap().unwrap()
    }
}
