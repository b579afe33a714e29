//! The mirror in a database that clusters share: what is signed here goes there, and what other clusters signed comes back.
//!
//! ```text
//! driver --runs on disk--> speaking --> outbox on disk --> database --> hearing --> judging --words--> driver
//!                                                                          roots on disk --^
//! ```
//! Nothing waits for it. What comes back is followed only where a run is signed under another cluster's root that a person
//! on this node has added; whatever else stands there is shown, and no more.

mod hearing;
mod judging;
mod ledger;
mod roots;
mod speaking;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use smartfw_config::{MirrorSettings, NodeConfig};
use smartfw_core::{Agent, Time, fleet::SignedRun};
use smartfw_mirror::{
    Auth, Cluster, Database, Limits, Outbox, Patience, Sender, State, Watch, chance, since_epoch,
};
use smartfw_proto::{json::rfc3339, view::MirrorView};
use tokio::{
    sync::{mpsc, oneshot},
    time::{interval, sleep},
};

use crate::{
    fleet::{self, Control},
    health::{Health, Level, Matter},
    inbox::{Inbox, Input},
};
use hearing::Hearing;
use ledger::Ledger;
pub use roots::{Root, RootRefused, Roots};
pub use speaking::Mouth;
use speaking::Speaking;

/// The folder of what waits for the database, within the state folder.
const FOLDER: &str = "mirror";
/// How often it is looked which cluster this node is in, and shown how the mirror is.
const LOOK: Duration = Duration::from_secs(2);

/// The mirror, for those who ask. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Mirror {
    /// The roots that are believed.
    pub roots: Arc<Roots>,
    ledger: Arc<Ledger>,
    hearing: Arc<Hearing>,
    /// How what is sent is, once there is somebody to send it.
    sending: Arc<Mutex<Option<Watch>>>,
    configured: bool,
}

/// A mirror that is about to begin.
pub struct Begun {
    settings: MirrorSettings,
    database: Arc<Database>,
    outbox: Arc<Outbox>,
    runs: mpsc::Receiver<SignedRun>,
    mirror: Mirror,
    health: Arc<Health>,
}

/// Sets up what the configuration asks for: the mirror for those who ask, the driver's way to it, and, where there is a
/// database, what is to be run.
///
/// # Errors
/// When the address or the credentials make no sense, or the outbox cannot be used.
pub fn prepare(config: &NodeConfig, health: &Arc<Health>) -> anyhow::Result<(Mirror, Mouth, Option<Begun>)> {
    let settings = config.mirror.clone();
    let mirror = Mirror {
        roots: Arc::new(Roots::open(&config.state_dir)),
        ledger: Arc::default(),
        hearing: Arc::default(),
        sending: Arc::default(),
        configured: !settings.url.is_empty(),
    };
    if !mirror.configured {
        return Ok((mirror, Mouth::default(), None));
    }
    let database = Arc::new(Database::new(
        &settings.url,
        Auth::from_files(settings.account.as_deref(), settings.secret.as_deref())?,
        Patience::default(),
    )?);
    let opened = Outbox::open(&config.state_dir.join(FOLDER), Limits::default())?;
    if let Some((place, why)) = opened.set_aside {
        tracing::error!(place = %place.display(), why, "the mirror's outbox was damaged; an empty one is begun");
    }
    let outbox = Arc::new(opened.outbox);
    let (mouth, runs) = Mouth::new(settings.runs);
    let begun = Begun { settings, database, outbox, runs, mirror: mirror.clone(), health: health.clone() };
    Ok((mirror, mouth, Some(begun)))
}

impl Begun {
    /// Sends and listens, for ever; nothing while this node is in no cluster.
    pub async fn run(mut self, control: Arc<Control>, inbox: Inbox) {
        loop {
            let Some(cluster) = control.cluster() else {
                let what = "this node is in no cluster: nothing is mirrored, and nothing is heard";
                self.health.set(Matter::Mirror, Level::Warn, what, "smartfw-cli cluster init or join");
                self.health.clear(Matter::Followed);
                sleep(LOOK).await;
                continue;
            };
            tokio::select! {
                () = self.season(&cluster, &inbox) => {}
                () = has_left(&control, &cluster) => {}
            }
        }
    }

    /// As long as this node is in one cluster.
    async fn season(&mut self, cluster: &str, inbox: &Inbox) {
        let Ok(place) = Cluster::new(cluster) else { return sleep(LOOK).await };
        let sender = Sender::new(self.database.clone(), self.outbox.clone(), place);
        let watch = sender.watch();
        *self.mirror.sending.lock().unwrap_or_else(PoisonError::into_inner) = Some(watch.clone());
        // The driver may not have begun with its part in the cluster.
        let held = loop {
            match held_runs(inbox).await {
                Some(held) => break held,
                None => sleep(LOOK).await,
            }
        };
        let speaking = Speaking::new(cluster.to_owned(), self.outbox.clone(), self.health.clone());
        let ears = hearing::Ears {
            ours: cluster.to_owned(),
            follow: self.settings.follow.clone(),
            database: self.database.clone(),
            roots: self.mirror.roots.clone(),
            ledger: self.mirror.ledger.clone(),
            hearing: self.mirror.hearing.clone(),
            inbox: inbox.clone(),
        };
        let (sending, speaking) = (sender.run(since_epoch, chance), speaking.keep(held, &mut self.runs));
        let showing = show(&watch, &self.mirror.hearing, &self.health);
        tokio::join!(sending, speaking, ears.run(), showing);
    }
}

/// Waits until this node is in another cluster, or in none.
async fn has_left(control: &Control, cluster: &str) {
    while control.cluster().as_deref() == Some(cluster) {
        sleep(LOOK).await;
    }
}

/// What the driver has on disk, once it takes part in a cluster: what was signed before this start may have been missed.
async fn held_runs(inbox: &Inbox) -> Option<Vec<SignedRun>> {
    let (answer, held) = oneshot::channel();
    let ask = move |_: &Agent, brain: Option<&fleet::Brain>, _: Time| {
        drop(answer.send(brain.map(fleet::Brain::mirrored)));
    };
    inbox.send(Input::Fleet(fleet::Input::Ask(Box::new(ask))));
    held.await.ok().flatten()
}

async fn show(watch: &Watch, hearing: &Hearing, health: &Health) {
    let mut turn = interval(LOOK);
    loop {
        turn.tick().await;
        let state = watch.state();
        match state.remedy() {
            Some(remedy) => {
                health.set(Matter::Mirror, Level::Warn, format!("the mirror: {}", told(&state)), remedy);
            }
            None => health.clear(Matter::Mirror),
        }
        match hearing.trouble() {
            Some((what, remedy)) => health.set(Matter::Followed, Level::Warn, what, remedy),
            None => health.clear(Matter::Followed),
        }
    }
}

/// How it is, and since when.
fn told(state: &State) -> String {
    match since(state) {
        Some(since) => format!("{state}, since {}", rfc3339(since)),
        None => state.to_string(),
    }
}

fn since(state: &State) -> Option<Time> {
    state
        .trouble
        .as_ref()
        .map(|(_, since)| Time::from_nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)))
}

impl Mirror {
    /// How it is, but for the roots, of which the driver knows more.
    pub fn view(&self) -> MirrorView {
        let sending = self.sending.lock().unwrap_or_else(PoisonError::into_inner);
        let state = sending.as_ref().map(Watch::state);
        let waits = || "it has not begun: this node is in no cluster".to_owned();
        MirrorView {
            configured: self.configured,
            state: match &state {
                Some(state) => state.to_string(),
                None if self.configured => waits(),
                None => String::new(),
            },
            remedy: state.as_ref().and_then(State::remedy).unwrap_or_default().to_owned(),
            since: state.as_ref().and_then(since),
            sent: state.as_ref().map_or(0, |state| state.sent),
            waiting: state.as_ref().map_or(0, |state| state.counts.waiting),
            followed: self.hearing.view(&self.ledger),
            refused: self.ledger.refused(),
            roots: Vec::new(),
        }
    }
}
