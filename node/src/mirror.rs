//! The mirror in a database that clusters share: what is signed here goes there, and what other clusters signed comes back.
//! Where no coordinator does so, what happened here goes there as well.
//!
//! ```text
//! driver --runs on disk--> speaking --> outbox on disk --> database --> hearing --> judging --words--> driver
//! uplink's buffer on disk --> telling -----^                               roots on disk --^
//! ```
//! Nothing waits for it. What comes back is followed only where a run is signed under another cluster's root that a person
//! on this node has added; whatever else stands there is shown, and no more.

mod ahead;
mod hearing;
mod judging;
mod ledger;
mod roots;
mod speaking;
mod telling;

use std::{
    collections::{BTreeMap, btree_map::Entry},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use smartfw_config::{MirrorSettings, MirroredEvents, NodeConfig};
use smartfw_core::{Agent, Time, config::PolicyConfig, fleet::SignedRun};
use smartfw_mirror::{
    Auth, BadFile, Cluster, Database, Limits, List, Outbox, Patience, Sender, State, Watch, chance,
    since_epoch,
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
    uplink::{Tail, Uplink},
};
use hearing::Hearing;
use ledger::Ledger;
pub use roots::{Root, RootRefused, Roots};
pub use speaking::Mouth;
use speaking::Speaking;
use telling::Telling;

/// The folder of what waits for the database, within the state folder.
const FOLDER: &str = "mirror";
/// How long what is signed stays in the database, or as long as what detection here blocks may last, if that is longer: a
/// cluster that begins to follow hears what is there.
const KEPT: Duration = Duration::from_secs(90 * 86_400);
/// How long after one another it is tried to begin.
const AGAIN: Duration = Duration::from_secs(30);
/// How often it is looked which cluster this node is in, and shown how the mirror is.
const LOOK: Duration = Duration::from_secs(2);
/// How often it is looked whether the time has come of what is dated ahead.
const COMES: Duration = Duration::from_secs(10);

/// The mirror, for those who ask. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Mirror {
    /// The roots that are believed.
    pub roots: Arc<Roots>,
    ledger: Arc<Ledger>,
    hearing: Arc<Hearing>,
    sending: Arc<Mutex<Sending>>,
    configured: bool,
}

/// How what is sent is.
#[derive(Debug, Default)]
enum Sending {
    /// Nobody sends: this node is in no cluster.
    #[default]
    Idle,
    /// Nobody can, and why.
    Fails(String),
    Sends(Watch),
}

/// A mirror that is about to begin.
pub struct Begun {
    settings: MirrorSettings,
    folder: PathBuf,
    kept: Duration,
    runs: mpsc::Receiver<SignedRun>,
    /// What this node is called where it is in no cluster.
    node: String,
    /// What happens here, where it is to be sent.
    tail: Option<Tail>,
    mirror: Mirror,
    health: Arc<Health>,
}

/// Where what this node says goes, and whose it is there.
struct Place {
    cluster: String,
    node: String,
    /// Whether it is in this cluster, and not only mirrored under its name.
    joined: bool,
    /// How often it had left one before: who enters the same one again is another member.
    left: u64,
}

/// What is sent by, and from where.
struct Means {
    database: Arc<Database>,
    outbox: Arc<Outbox>,
}

/// Sets up what the configuration asks for: the mirror for those who ask, the driver's way to it, and, where there is a
/// database, what is to be run.
///
/// # Errors
/// When the configuration alone shows that there can be no mirror. Whatever else is wrong must not keep a node from
/// guarding: it is seen to once it runs.
pub fn prepare(
    config: &NodeConfig,
    uplink: &Uplink,
    health: &Arc<Health>,
) -> anyhow::Result<(Mirror, Mouth, Option<Begun>)> {
    let settings = config.mirror.clone();
    let mirror = Mirror {
        roots: Arc::new(Roots::open(&config.state_dir)),
        ledger: Arc::default(),
        hearing: Arc::default(),
        sending: Arc::default(),
        configured: !settings.url.is_empty(),
    };
    if let Some(strange) = mirror.roots.strange() {
        let what = format!("a root of another cluster is not believed: {strange}");
        let remedy = "smartfw-cli trust add --root FILE, or remove the file; then restart the node";
        health.set(Matter::Roots, Level::Error, what, remedy);
    }
    if !mirror.configured {
        return Ok((mirror, Mouth::default(), None));
    }
    Database::check(&settings.url)?;
    if settings.account.is_some() == settings.secret.is_some() {
        return Err(BadFile::Either.into());
    }
    let (mouth, runs) = Mouth::new(settings.runs);
    let (folder, mirror_of) = (config.state_dir.join(FOLDER), mirror.clone());
    let tail = tail(settings.events, uplink);
    let (node, health, kept) = (config.policy.node.clone(), health.clone(), kept(&config.policy));
    let begun = Begun { settings, folder, kept, runs, node, tail, mirror: mirror_of, health };
    Ok((mirror, mouth, Some(begun)))
}

/// How long what is signed here stays in the database. Of events and blocks a coordinator alone lets go: their times are
/// of each node's own clock, and one that is ahead would have everything go.
fn kept(policy: &PolicyConfig) -> Duration {
    let longest = policy.ladder.iter().max().copied().unwrap_or_default();
    KEPT.max(longest.saturating_add(longest / 100 * u32::from(policy.jitter_percent)))
}

fn tail(events: MirroredEvents, uplink: &Uplink) -> Option<Tail> {
    match events {
        MirroredEvents::Auto => Some(uplink.tail(false)),
        MirroredEvents::Always => Some(uplink.tail(true)),
        MirroredEvents::None => None,
    }
}

impl Means {
    fn open(settings: &MirrorSettings, folder: &Path) -> anyhow::Result<Self> {
        let auth = Auth::from_files(settings.account.as_deref(), settings.secret.as_deref())?;
        let database = Database::new(&settings.url, auth, Patience::default())?;
        let limits = Limits { items: settings.outbox_items, bytes: settings.outbox_bytes };
        let opened = Outbox::open(folder, limits)?;
        if let Some((place, why)) = opened.set_aside {
            tracing::error!(place = %place.display(), why, "the mirror's outbox was damaged; an empty one is begun");
        }
        Ok(Self { database: Arc::new(database), outbox: Arc::new(opened.outbox) })
    }
}

impl Begun {
    /// Sends and listens, for ever; nothing while this node is in no cluster and has no name for one.
    pub async fn run(mut self, control: Arc<Control>, inbox: Inbox) {
        // Of each its own: what waits for one cluster's place never goes to another's.
        let mut opened = BTreeMap::<String, Means>::new();
        loop {
            let Some(place) = self.place(&control) else {
                self.mirror.is(Sending::Idle);
                let what = "this node is in no cluster: nothing is mirrored, and nothing is heard";
                let remedy = "smartfw-cli cluster init or join, or give it the name of one by mirror.cluster";
                self.health.set(Matter::Mirror, Level::Warn, what, remedy);
                self.health.clear(Matter::Followed);
                self.health.clear(Matter::MirrorAhead);
                sleep(LOOK).await;
                continue;
            };
            if let Some(tail) = &mut self.tail {
                // It waits on disk for the means.
                tail.enter(place.left);
                tail.begin();
            }
            let means = match opened.entry(place.cluster.clone()) {
                Entry::Occupied(means) => means.into_mut(),
                Entry::Vacant(empty) => tokio::select! {
                    means = self.means(&place.cluster, AGAIN) => empty.insert(means),
                    () = has_moved(&control, &place) => continue,
                },
            };
            tokio::select! {
                () = self.season(means, &place, &inbox) => {}
                () = has_moved(&control, &place) => {}
            }
        }
    }

    fn place(&self, control: &Control) -> Option<Place> {
        // Before all else: who leaves meanwhile has moved.
        let left = control.uplink.left();
        let joined = control.cluster().zip(control.name());
        let joined = joined.map(|(cluster, node)| Place { cluster, node, joined: true, left });
        // Whoever has an identity and takes no part is beginning or ending.
        joined.or_else(|| if control.has_identity() { None } else { self.lone(left) })
    }

    /// Where a node in no cluster mirrors to: what happens on it is all that it has to say.
    fn lone(&self, left: u64) -> Option<Place> {
        let (cluster, node) = (self.settings.cluster.clone(), self.node.clone());
        let says = self.tail.is_some() && !cluster.is_empty();
        says.then_some(Place { cluster, node, joined: false, left })
    }

    /// The credentials and the outbox of a cluster, as soon as they can be used.
    async fn means(&self, cluster: &str, again: Duration) -> Means {
        loop {
            let (settings, folder) = (self.settings.clone(), self.folder.join(format!("of-{cluster}")));
            let opened = tokio::task::spawn_blocking(move || Means::open(&settings, &folder)).await;
            let why = match opened {
                Ok(Ok(means)) => return means,
                Ok(Err(why)) => format!("{why:#}"),
                Err(why) => why.to_string(),
            };
            let what = format!("nothing is mirrored, and no other cluster is heard: {why}");
            self.health.set(Matter::Mirror, Level::Error, what, "see to it; it is tried again by itself");
            self.mirror.is(Sending::Fails(why));
            sleep(again).await;
        }
    }

    /// As long as this node is in one cluster, or in none.
    async fn season(&mut self, means: &Means, place: &Place, inbox: &Inbox) {
        let Place { cluster, node, joined, .. } = place;
        let Ok(place) = Cluster::new(cluster) else { return sleep(LOOK).await };
        let Means { database, outbox } = means;
        let kept = self.kept;
        let sender = Sender::new(database.clone(), outbox.clone(), place);
        let sender = sender.keeping(&[List::Runs], move || kept);
        let watch = sender.watch();
        self.mirror.is(Sending::Sends(watch.clone()));
        let ears = hearing::Ears {
            ours: cluster.clone(),
            follow: self.settings.follow.clone(),
            database: database.clone(),
            roots: self.mirror.roots.clone(),
            ledger: self.mirror.ledger.clone(),
            hearing: self.mirror.hearing.clone(),
            inbox: inbox.clone(),
        };
        let telling = async {
            if let Some(tail) = &mut self.tail {
                Telling { tail, node, outbox: outbox.clone(), health: self.health.clone() }.keep().await;
            }
        };
        let speaking = Speaking::new(cluster.clone(), outbox.clone(), self.health.clone(), inbox.clone());
        // Whoever is in no cluster has no runs, and holds nothing of other clusters.
        let signed = async {
            if *joined {
                let held = held_runs(inbox).await;
                tokio::join!(speaking.keep(held, &mut self.runs, COMES), ears.run());
            }
        };
        let (sending, showing) =
            (sender.run(since_epoch, chance), show(&watch, &self.mirror.hearing, &self.health));
        tokio::join!(sending, signed, telling, showing);
    }
}

/// Waits until this node is in another cluster, in none, or in one after it was in none; or in the same as another member.
async fn has_moved(control: &Control, place: &Place) {
    while stays(control, place) {
        sleep(LOOK).await;
    }
}

fn stays(control: &Control, Place { cluster, node, joined, left }: &Place) -> bool {
    let same = |(now, name): (String, String)| *joined && now == *cluster && name == *node;
    let named = control.cluster().zip(control.name());
    control.uplink.left() == *left && named.map_or(!joined, same)
}

/// What the driver has on disk, once it takes part in the cluster: what was signed before this start may have been missed.
async fn held_runs(inbox: &Inbox) -> Vec<SignedRun> {
    loop {
        match asked_runs(inbox).await {
            Some(held) => return held,
            None => sleep(LOOK).await,
        }
    }
}

async fn asked_runs(inbox: &Inbox) -> Option<Vec<SignedRun>> {
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
    state.told(|since| rfc3339(Time::ZERO.after(since)))
}

impl Mirror {
    fn is(&self, sending: Sending) {
        *self.sending.lock().unwrap_or_else(PoisonError::into_inner) = sending;
    }

    /// How it is, but for the roots, of which the driver knows more.
    pub fn view(&self) -> MirrorView {
        let (shown, state) = match &*self.sending.lock().unwrap_or_else(PoisonError::into_inner) {
            Sending::Idle if !self.configured => (String::new(), None),
            Sending::Idle => ("it has not begun: this node is in no cluster".to_owned(), None),
            Sending::Fails(why) => (format!("it has not begun: {why}"), None),
            Sending::Sends(watch) => (watch.state().to_string(), Some(watch.state())),
        };
        MirrorView {
            configured: self.configured,
            state: shown,
            remedy: state.as_ref().and_then(State::remedy).unwrap_or_default().to_owned(),
            since: state
                .as_ref()
                .and_then(|state| state.trouble.as_ref())
                .map(|(_, since)| Time::ZERO.after(*since)),
            sent: state.as_ref().map_or(0, |state| state.sent),
            waiting: state.as_ref().map_or(0, |state| state.counts.waiting),
            followed: self.hearing.view(&self.ledger),
            refused: self.ledger.refused(),
            roots: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
