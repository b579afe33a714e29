//! From the driver to the outbox: signed runs, as they were signed.

use std::sync::Arc;

use smartfw_config::MirroredRuns;
use smartfw_core::fleet::{Entry, OrderKind, RunHeader, SignedRun};
use smartfw_identity::Codec as _;
use smartfw_mirror::{Item, ItemId, Outbox};
use smartfw_proto::convert::run_to_bytes;
use tokio::sync::mpsc;

use crate::{
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

/// Puts what was signed before and what is signed from now on into the outbox, for ever.
pub(super) async fn keep(
    held: Vec<SignedRun>,
    runs: &mut mpsc::Receiver<SignedRun>,
    (cluster, outbox, health): &(String, Arc<Outbox>, Arc<Health>),
) {
    for batch in held.chunks(BATCH) {
        push(batch.to_vec(), cluster, outbox, health).await;
    }
    loop {
        let mut batch = Vec::new();
        if runs.recv_many(&mut batch, BATCH).await == 0 {
            return;
        }
        push(batch, cluster, outbox, health).await;
    }
}

async fn push(runs: Vec<SignedRun>, cluster: &str, outbox: &Arc<Outbox>, health: &Health) {
    let (cluster, outbox) = (cluster.to_owned(), outbox.clone());
    let pushed = tokio::task::spawn_blocking(move || {
        outbox.push(&runs.iter().filter_map(|run| item(run, &cluster)).collect::<Vec<_>>())
    });
    let why = match pushed.await {
        Ok(Ok(())) => return health.clear(Matter::MirrorOutbox),
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    let what = format!("what is signed is not mirrored: {why}");
    health.set(Matter::MirrorOutbox, Level::Error, what, "see to the state directory, then restart the node");
}

/// A run as the database keeps it; `None` for what is no business of other clusters.
fn item(run: &SignedRun, cluster: &str) -> Option<Item> {
    let (header, entries) = PeerCodec.decode_run(&run.bytes).ok()?;
    if header.cluster != cluster || header.site.is_some() || !entries.iter().all(blocks) {
        return None;
    }
    let RunHeader { origin, epoch, first: sequence, issued, .. } = header;
    let id = ItemId { millis: issued.as_nanos() / 1_000_000, epoch, sequence, node: format!("{origin:#}") };
    let item = Item::run(&id, &run_to_bytes(run));
    item.inspect_err(|why| tracing::warn!(%why, %origin, epoch, sequence, "a run is not mirrored")).ok()
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
