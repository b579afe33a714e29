//! From the driver to the outbox: signed runs, as they were signed.

use std::{sync::Arc, time::Duration};

use smartfw_config::MirroredRuns;
use smartfw_core::{
    Time,
    fleet::{RunHeader, SignedRun},
    gossip::TOLERANCE,
};
use smartfw_identity::{Codec as _, leaves};
use smartfw_mirror::{Item, ItemId, Outbox, OutboxError};
use smartfw_proto::convert::run_to_bytes;
use tokio::{sync::mpsc, task::spawn_blocking, time::sleep};

use crate::{
    clock,
    fleet::PeerCodec,
    health::{Health, Level, Matter},
};

/// Runs that may wait for the outbox's disk: a fleet under attack signs some hundreds a second.
const WAITING: usize = 4096;
/// Runs that are put into the outbox at once.
const BATCH: usize = 256;
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
    left_out: LeftOut,
}

/// Runs that are not mirrored, though others might follow them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct LeftOut {
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
    /// Rows stand in the order of time, and only the newest are heard: one that is dated ahead would push out what is true.
    Ahead,
}

impl Speaking {
    pub(super) fn new(cluster: String, outbox: Arc<Outbox>, health: Arc<Health>) -> Self {
        Self { cluster, outbox, health, left_out: LeftOut::default() }
    }

    /// Puts what was signed before and what is signed from now on into the outbox, for ever.
    pub(super) async fn keep(mut self, held: Vec<SignedRun>, runs: &mut mpsc::Receiver<SignedRun>) {
        for batch in held.chunks(BATCH) {
            self.push(batch).await;
        }
        loop {
            let mut batch = Vec::new();
            if runs.recv_many(&mut batch, BATCH).await == 0 {
                return;
            }
            self.push(&batch).await;
        }
    }

    async fn push(&mut self, runs: &[SignedRun]) {
        let items: Arc<[Item]> = self.items(runs).into();
        if !items.is_empty() {
            let outbox = self.outbox.clone();
            until_taken(&self.health, move || outbox.push(&items)).await;
        }
    }

    fn items(&mut self, runs: &[SignedRun]) -> Vec<Item> {
        let (latest, before) = (clock::now().after(TOLERANCE), self.left_out);
        let mut items = Vec::new();
        for run in runs {
            match item(run, &self.cluster, latest) {
                Ok(item) => items.push(item),
                Err(Unfit::Stays) => {}
                Err(Unfit::Mixed) => self.left_out.mixed += 1,
                Err(Unfit::Ahead) => self.left_out.ahead += 1,
            }
        }
        self.left_out.tell(before, &self.health);
        items
    }
}

impl LeftOut {
    /// Tells what has become more.
    fn tell(self, before: Self, health: &Health) {
        let Self { ahead, mixed } = self;
        if ahead > before.ahead {
            let what = format!("{ahead} signed runs are dated ahead of the time and not mirrored");
            let remedy =
                "set this node's clock, or find the member whose clock is wrong: smartfw-cli cluster nodes";
            health.set(Matter::MirrorAhead, Level::Warn, what, remedy);
        }
        if mixed > before.mixed {
            let what = format!(
                "{mixed} signed runs hold blocks beside what stays within the cluster, and are not mirrored"
            );
            let remedy = "nothing: what a member says again in one run it said in others before";
            health.set(Matter::MirrorMixed, Level::Info, what, remedy);
        }
    }
}

/// Does it again until the disk takes it. What is signed meanwhile waits in front of it, and the driver counts what finds no
/// room there.
async fn until_taken(health: &Health, put: impl Fn() -> Result<(), OutboxError> + Clone + Send + 'static) {
    loop {
        let why = match spawn_blocking(put.clone()).await {
            Ok(Ok(())) => return health.clear(Matter::MirrorOutbox),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        let what = format!("what is signed waits and is not mirrored: {why}");
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
        return Err(Unfit::Ahead);
    }
    let id = ItemId { millis: issued.as_nanos() / 1_000_000, epoch, sequence, node: format!("{origin:#}") };
    Item::run(&id, &run_to_bytes(run)).map_err(|why| {
        tracing::warn!(%why, %origin, epoch, sequence, "a run is not mirrored");
        Unfit::Stays
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use smartfw_core::fleet::{Entry, Signer as _, Version};
    use smartfw_identity::{Current, RunSigner};
    use smartfw_mirror::Limits;

    use super::*;
    use crate::testing::Authority;

    /// A run of a member, as it stands in its log.
    fn run(issued: Time, first: u64, entries: Vec<Entry>) -> SignedRun {
        let identity = Authority::found().member("web-1");
        let header = RunHeader {
            cluster: "prod".into(),
            site: None,
            origin: identity.id(),
            epoch: 1,
            first,
            issued,
            floor: Version::default(),
        };
        let mut signer = RunSigner::new(Current::new(identity), PeerCodec);
        signer.seal(header, entries).unwrap().signed().clone()
    }

    fn withdrawn() -> Entry {
        Entry::Withdraw { target: "203.0.113.7/32".parse().unwrap(), lasts: None }
    }

    fn sessions() -> Entry {
        Entry::Sessions { addresses: Vec::new(), lasts: None }
    }

    fn speaking(folder: &tempfile::TempDir) -> (Speaking, Arc<Outbox>, Arc<Health>) {
        let opened = Outbox::open(&folder.path().join("mirror"), Limits::default()).unwrap();
        let (outbox, health) = (Arc::new(opened.outbox), Arc::<Health>::default());
        (Speaking::new("prod".into(), outbox.clone(), health.clone()), outbox, health)
    }

    #[tokio::test]
    async fn a_run_that_is_dated_ahead_is_left_out_counted_and_told() {
        let folder = tempfile::tempdir().unwrap();
        let (mut speaking, outbox, health) = speaking(&folder);
        let now = clock::now();
        let ahead = run(now.after(TOLERANCE + Duration::from_secs(60)), 2, vec![withdrawn()]);
        let a_little = run(now.after(Duration::from_secs(60)), 1, vec![withdrawn()]);
        speaking.push(&[a_little, ahead.clone(), ahead]).await;
        assert_eq!(outbox.counts().waiting, 1);
        assert!(health.list()[0].what.starts_with("2 signed runs are dated ahead"), "{:?}", health.list());
    }

    #[tokio::test]
    async fn a_run_of_which_some_stays_within_the_cluster_is_left_out_counted_and_told() {
        let folder = tempfile::tempdir().unwrap();
        let (mut speaking, outbox, health) = speaking(&folder);
        let now = clock::now();
        speaking.push(&[run(now, 1, vec![sessions()])]).await;
        assert!(health.list().is_empty(), "that it stays is as it should be");
        let mixed = run(now, 2, vec![withdrawn(), sessions()]);
        speaking.push(&[mixed, run(now, 4, vec![withdrawn()])]).await;
        assert_eq!(outbox.counts().waiting, 1);
        assert!(health.list()[0].what.starts_with("1 signed runs hold blocks beside"), "{:?}", health.list());
    }

    #[tokio::test]
    async fn what_the_outbox_s_disk_refuses_is_told_and_put_there_once_it_takes_it() {
        let (health, tried) = (Arc::<Health>::default(), Arc::new(AtomicUsize::new(0)));
        let (told, tries) = (health.clone(), tried.clone());
        let put = move || match tries.fetch_add(1, SeqCst) {
            0 => Err(OutboxError::Unavailable { path: "mirror".into(), why: "no room".into() }),
            _ => {
                assert!(told.list()[0].what.contains("no room"), "{:?}", told.list());
                Ok(())
            }
        };
        until_taken(&health, put).await;
        assert_eq!(tried.load(SeqCst), 2);
        assert!(health.list().is_empty());
    }
}
