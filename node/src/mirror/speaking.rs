//! From the driver to the outbox: signed runs, as they were signed.

use std::sync::Arc;

use smartfw_config::MirroredRuns;
use smartfw_core::{
    Time,
    fleet::{Entry, OrderKind, RunHeader, SignedRun},
    gossip::TOLERANCE,
};
use smartfw_identity::Codec as _;
use smartfw_mirror::{Item, ItemId, Outbox};
use smartfw_proto::convert::run_to_bytes;
use tokio::sync::mpsc;

use crate::{
    clock,
    fleet::PeerCodec,
    health::{Health, Level, Matter},
};

/// Runs that may wait for the outbox's disk: a fleet under attack signs some hundreds a second.
const WAITING: usize = 4096;
/// Runs that are put into the outbox at once.
const BATCH: usize = 256;

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
    /// Runs that are dated ahead, and so are not mirrored.
    ahead: u64,
}

/// Why a run is no item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LeftOut {
    /// It is no business of other clusters, or the database would not take it.
    Unfit,
    /// Rows stand in the order of time, and only the newest are heard: one that is dated ahead would push out what is true.
    Ahead,
}

impl Speaking {
    pub(super) const fn new(cluster: String, outbox: Arc<Outbox>, health: Arc<Health>) -> Self {
        Self { cluster, outbox, health, ahead: 0 }
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
        let items = self.items(runs);
        let outbox = self.outbox.clone();
        let pushed = tokio::task::spawn_blocking(move || outbox.push(&items));
        let why = match pushed.await {
            Ok(Ok(())) => return self.health.clear(Matter::MirrorOutbox),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        let what = format!("what is signed is not mirrored: {why}");
        let remedy = "see to the state directory, then restart the node";
        self.health.set(Matter::MirrorOutbox, Level::Error, what, remedy);
    }

    fn items(&mut self, runs: &[SignedRun]) -> Vec<Item> {
        let (latest, before) = (clock::now().after(TOLERANCE), self.ahead);
        let mut items = Vec::new();
        for run in runs {
            match item(run, &self.cluster, latest) {
                Ok(item) => items.push(item),
                Err(LeftOut::Ahead) => self.ahead += 1,
                Err(LeftOut::Unfit) => {}
            }
        }
        if self.ahead > before {
            let what = format!("{} signed runs are dated ahead of the time and not mirrored", self.ahead);
            let remedy =
                "set this node's clock, or find the member whose clock is wrong: smartfw-cli cluster nodes";
            self.health.set(Matter::MirrorAhead, Level::Warn, what, remedy);
        }
        items
    }
}

/// A run as the database keeps it.
fn item(run: &SignedRun, cluster: &str, latest: Time) -> Result<Item, LeftOut> {
    let (header, entries) = PeerCodec.decode_run(&run.bytes).map_err(|_| LeftOut::Unfit)?;
    if header.cluster != cluster || header.site.is_some() || !entries.iter().all(blocks) {
        return Err(LeftOut::Unfit);
    }
    let RunHeader { origin, epoch, first: sequence, issued, .. } = header;
    if issued > latest {
        return Err(LeftOut::Ahead);
    }
    let id = ItemId { millis: issued.as_nanos() / 1_000_000, epoch, sequence, node: format!("{origin:#}") };
    Item::run(&id, &run_to_bytes(run)).map_err(|why| {
        tracing::warn!(%why, %origin, epoch, sequence, "a run is not mirrored");
        LeftOut::Unfit
    })
}

/// Who is logged in, who is allowed and which addresses are watched stays within the cluster.
fn blocks(entry: &Entry) -> bool {
    match entry {
        Entry::Block(_) | Entry::Withdraw { .. } => true,
        Entry::Order(order) => {
            let order = PeerCodec.decode_order(&order.bytes);
            order.is_ok_and(|order| order.site.is_none() && matches!(order.kind, OrderKind::Block { .. }))
        }
        Entry::Sessions { .. } | Entry::Coordinator { .. } | Entry::Unknown { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use smartfw_core::fleet::{Signer as _, Version};
    use smartfw_identity::{Current, RunSigner};
    use smartfw_mirror::Limits;

    use super::*;
    use crate::testing::Authority;

    /// A run of a member, as it stands in its log.
    fn run(issued: Time, first: u64) -> SignedRun {
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
        let withdrawn = Entry::Withdraw { target: "203.0.113.7/32".parse().unwrap(), lasts: None };
        let mut signer = RunSigner::new(Current::new(identity), PeerCodec);
        signer.seal(header, vec![withdrawn]).unwrap().signed().clone()
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
        let ahead = run(now.after(TOLERANCE + Duration::from_secs(60)), 2);
        speaking.push(&[run(now.after(Duration::from_secs(60)), 1), ahead.clone(), ahead]).await;
        assert_eq!(outbox.counts().waiting, 1);
        assert!(health.list()[0].what.starts_with("2 signed runs are dated ahead"), "{:?}", health.list());
    }
}
