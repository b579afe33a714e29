//! From the driver to the outbox: signed runs, as they were signed.

use std::{sync::Arc, time::Duration};

use smartfw_config::MirroredRuns;
use smartfw_core::{
    Agent, Time,
    fleet::{RunHeader, SignedRun},
    gossip::TOLERANCE,
};
use smartfw_identity::{Codec as _, leaves};
use smartfw_mirror::{Item, ItemId, Outbox, OutboxError};
use smartfw_proto::convert::run_to_bytes;
use tokio::{
    sync::{mpsc, oneshot},
    task::spawn_blocking,
    time::{MissedTickBehavior, interval, sleep},
};

use super::ahead::Ahead;
use crate::{
    clock,
    fleet::{self, Brain, PeerCodec},
    health::{Health, Level, Matter},
    inbox::{Inbox, Input},
};

/// Runs that may wait for the outbox's disk: a fleet under attack signs some hundreds a second.
const WAITING: usize = 4096;
/// Runs that are put into the outbox at once.
const BATCH: usize = 256;
/// Bytes of runs that are dated ahead and wait for their time: some ten thousand short ones.
const AHEAD: usize = 16 << 20;
/// How long after one another it is tried to put them there.
const AGAIN: Duration = Duration::from_secs(1);

/// The driver's way to the mirror; it leads nowhere where there is none. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Mouth {
    whose: MirroredRuns,
    runs: Option<mpsc::Sender<SignedRun>>,
}

impl Mouth {
    /// A way, and its end.
    pub(super) fn new(whose: MirroredRuns) -> (Self, mpsc::Receiver<SignedRun>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self { whose, runs: Some(sender) }, receiver)
    }

    /// Whether runs of this node, or of others, are wanted.
    pub const fn wants(&self, ours: bool) -> bool {
        self.runs.is_some()
            && match self.whose {
                MirroredRuns::All => true,
                MirroredRuns::Own => ours,
                MirroredRuns::None => false,
            }
    }

    /// Hands a run over, which is on disk; says whether there was room.
    pub fn say(&self, run: SignedRun) -> bool {
        self.runs.as_ref().is_none_or(|runs| runs.try_send(run).is_ok())
    }
}

/// Who puts what is signed into the outbox.
pub(super) struct Speaking {
    cluster: String,
    outbox: Arc<Outbox>,
    health: Arc<Health>,
    inbox: Inbox,
    ahead: Ahead<[u8; 64], SignedRun>,
    left_out: LeftOut,
}

/// Runs that are not mirrored, though others might follow them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct LeftOut {
    /// Too many were dated ahead.
    ahead: u64,
    mixed: u64,
}

/// Why a run is no item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unfit {
    /// It is no business of other clusters, or the database would not take it.
    Stays,
    /// Some of it is their business, and some is not.
    Mixed,
    /// It is dated ahead, by this time. Rows stand in the order of time, and only the newest are heard: it would push out
    /// what is true.
    Ahead(Time),
}

impl Speaking {
    pub(super) fn new(cluster: String, outbox: Arc<Outbox>, health: Arc<Health>, inbox: Inbox) -> Self {
        let (ahead, left_out) = (Ahead::new(AHEAD), LeftOut::default());
        Self { cluster, outbox, health, inbox, ahead, left_out }
    }

    /// Puts what was signed before and what is signed from now on into the outbox, for ever. Whether the time has come of
    /// what is dated ahead is looked at so often.
    pub(super) async fn keep(
        mut self,
        held: Vec<SignedRun>,
        runs: &mut mpsc::Receiver<SignedRun>,
        every: Duration,
    ) {
        let mut comes = interval(every);
        comes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for batch in held.chunks(BATCH) {
            self.push(batch).await;
        }
        loop {
            let mut batch = Vec::new();
            tokio::select! {
                count = runs.recv_many(&mut batch, BATCH) => match count {
                    0 => return,
                    _ => self.push(&batch).await,
                },
                _ = comes.tick(), if !self.ahead.is_empty() => self.again().await,
            }
        }
    }

    async fn push(&mut self, runs: &[SignedRun]) {
        let latest = self.latest().await;
        self.put(runs, latest).await;
        self.tell_ahead();
    }

    /// Puts in whose time has come.
    async fn again(&mut self) {
        let latest = self.latest().await;
        loop {
            let runs = self.ahead.take(latest, BATCH);
            if runs.is_empty() {
                return self.tell_ahead();
            }
            self.put(&runs, latest).await;
        }
    }

    async fn put(&mut self, runs: &[SignedRun], latest: Time) {
        let items: Arc<[Item]> = self.items(runs, latest).into();
        if !items.is_empty() {
            let outbox = self.outbox.clone();
            until_taken(&self.health, move || outbox.push(&items)).await;
        }
    }

    fn items(&mut self, runs: &[SignedRun], latest: Time) -> Vec<Item> {
        let before = self.left_out.mixed;
        let mut items = Vec::new();
        for run in runs {
            match item(run, &self.cluster, latest) {
                Ok(item) => items.push(item),
                Err(Unfit::Stays) => {}
                Err(Unfit::Mixed) => self.left_out.mixed += 1,
                Err(Unfit::Ahead(issued)) => {
                    let weight = run.bytes.len() + run.certificate.len();
                    let gone = self.ahead.add(issued, run.signature, weight, run.clone());
                    self.left_out.ahead += gone.len() as u64;
                }
            }
        }
        if self.left_out.mixed > before {
            self.left_out.tell_mixed(&self.health);
        }
        items
    }

    /// What is dated later than this waits. By the cluster's time: this node's own clock may be the wrong one.
    async fn latest(&self) -> Time {
        let (answer, time) = oneshot::channel();
        let ask = move |_: &Agent, brain: Option<&Brain>, now: Time| {
            let _ = answer.send(brain.map_or(now, Brain::time));
        };
        self.inbox.send(Input::Fleet(fleet::Input::Ask(Box::new(ask))));
        time.await.unwrap_or_else(|_| clock::now()).after(TOLERANCE)
    }

    fn tell_ahead(&self) {
        let lost = self.left_out.ahead;
        if self.ahead.is_empty() && lost == 0 {
            return self.health.clear(Matter::MirrorAhead);
        }
        let mut what =
            "signed runs are dated ahead of the time, and are mirrored when that has come".to_owned();
        let mut remedy =
            "set this node's clock, or find the member whose clock is wrong: smartfw-cli cluster nodes"
                .to_owned();
        if lost > 0 {
            what = format!("{what}; {lost} more were too many");
            remedy.push_str("; then restart the node: it mirrors all that holds still");
        }
        self.health.set(Matter::MirrorAhead, Level::Warn, what, remedy);
    }
}

impl LeftOut {
    fn tell_mixed(self, health: &Health) {
        let what = format!(
            "{} signed runs hold blocks beside what stays within the cluster, and are not mirrored",
            self.mixed
        );
        let remedy = "update the members: those of this version sign the two apart; what they block holds in this cluster all the same";
        health.set(Matter::MirrorMixed, Level::Info, what, remedy);
    }
}

/// Does it again until the disk takes it. What comes meanwhile waits in front of it: what is signed in the way to here, whose
/// end counts what finds no room, and what happened in the uplink's buffer.
pub(super) async fn until_taken(
    health: &Health,
    put: impl Fn() -> Result<(), OutboxError> + Clone + Send + 'static,
) {
    loop {
        let why = match spawn_blocking(put.clone()).await {
            Ok(Ok(())) => return health.clear(Matter::MirrorOutbox),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        let what = format!("what is to be mirrored waits, and is not: {why}");
        let remedy = "make room on the disk of the state directory; it is tried again by itself";
        health.set(Matter::MirrorOutbox, Level::Error, what, remedy);
        sleep(AGAIN).await;
    }
}

/// A run as the database keeps it.
fn item(run: &SignedRun, cluster: &str, latest: Time) -> Result<Item, Unfit> {
    let (header, entries) = PeerCodec.decode_run(&run.bytes).map_err(|_| Unfit::Stays)?;
    let leaving = entries.iter().filter(|entry| leaves(entry, &PeerCodec)).count();
    if header.cluster != cluster || header.site.is_some() || leaving == 0 {
        return Err(Unfit::Stays);
    }
    if leaving < entries.len() {
        return Err(Unfit::Mixed);
    }
    let RunHeader { origin, epoch, first: sequence, issued, .. } = header;
    if issued > latest {
        return Err(Unfit::Ahead(issued));
    }
    let id = ItemId { millis: issued.as_nanos() / 1_000_000, epoch, sequence, node: format!("{origin:#}") };
    Item::run(&id, &run_to_bytes(run)).map_err(|why| {
        tracing::warn!(%why, %origin, epoch, sequence, "a run is not mirrored");
        Unfit::Stays
    })
}

#[cfg(test)]
mod tests;
