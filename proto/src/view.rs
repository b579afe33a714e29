//! What the daemon answers, where the core has no type for it.

mod cluster;
mod inward;
mod mirror;
mod models;

use std::{net::IpAddr, time::Duration};

use smartfw_core::{
    Alert, Block, BlockId, BlockState, Class, Detector, Evidence, Features, Health, IpNet, Listed, Outcome,
    Strength, Time,
    order::{Allowed, Done, EnforcementState, Mode, Refusal},
    protect::Protected,
    record::{self, Offender},
};

pub use cluster::{
    ClusterNode, Covers, Entered, Entering, FleetBlockFilter, FleetBlockRow, Founded, Founding, Given,
    Invite, Invited, OperatorKey, StandingOrder,
};
pub use inward::{FeedRow, NewFeed, Place};
pub use mirror::{FollowedCluster, ForeignRoot, MirrorView, NotFollowed};
pub use models::{ImportModelPiece, ModelHead, ModelImported, ModelPlaces, ModelRow, Voucher};

/// A block, and what the kernel makes of it.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockRow {
    /// The block.
    pub block: Block,
    /// Packets dropped because of it, as far as the kernel's counters tell.
    pub packets: u64,
    /// Bytes dropped because of it.
    pub bytes: u64,
    /// Whether it is enforced.
    pub state: BlockState,
    /// A person insisted, although the target is wide or protected.
    pub forced: bool,
    /// When it ends unless confirmed.
    pub reverts: Option<Time>,
}

impl BlockRow {
    /// A row for a block, with the packets and bytes that the kernel dropped because of it.
    pub fn new(listed: Listed, packets: u64, bytes: u64) -> Self {
        let Listed { block, state, forced, reverts } = listed;
        Self { block, packets, bytes, state, forced, reverts }
    }
}

/// A decision that waits for approval.
#[derive(Clone, Debug, PartialEq)]
pub struct Pending {
    /// Identifies it in `approve` and `reject`.
    pub id: BlockId,
    /// Since when it waits.
    pub since: Time,
    /// Until when it can be approved.
    pub until: Time,
    /// Who would be dropped.
    pub target: IpNet,
    /// What for.
    pub class: Class,
    /// How sure, 0 to 1.
    pub confidence: f32,
    /// How much would be dropped.
    pub strength: Strength,
    /// Who found it.
    pub detector: Detector,
    /// What proves that the address is real.
    pub evidence: Option<Evidence>,
    /// Why, for a human being.
    pub reason: String,
}

impl From<record::Pending> for Pending {
    fn from(record::Pending { id, since, until, target, strength, verdict }: record::Pending) -> Self {
        Self {
            id,
            since,
            until,
            target,
            class: verdict.class,
            confidence: verdict.confidence,
            strength,
            detector: verdict.detector,
            evidence: verdict.evidence,
            reason: verdict.reason.text,
        }
    }
}

/// What an order did, as told to the person: [`Done`] with long lists cut.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The target is dropped.
    Blocked {
        /// The block in force.
        block: Block,
        /// When a forced one ends by itself unless confirmed.
        reverts: Option<Time>,
    },
    /// These blocks ended.
    Unblocked(Changes),
    /// The allow list changed; these blocks ended.
    Allowed(Changes),
    /// The allow list changed.
    Disallowed,
    /// These decisions were carried out.
    Approved(Changes),
    /// The decision was dropped.
    Rejected,
    /// So many were imported, and these were refused.
    Imported {
        /// How many are now in force.
        accepted: u64,
        /// What was refused, and why: the first of them.
        refused: Vec<(IpNet, Refusal)>,
        /// How many were refused.
        refused_count: u64,
    },
    /// Enforcement or mode changed.
    Changed {
        /// When it rolls back unless confirmed.
        reverts: Option<Time>,
    },
    /// What was pending is now permanent.
    Confirmed,
}

/// Blocks that were made or ended: the first of them, and how many.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// The first [`crate::limits::ENDED`].
    pub blocks: Vec<Block>,
    /// How many.
    pub total: u64,
}

impl From<Vec<Block>> for Changes {
    fn from(mut blocks: Vec<Block>) -> Self {
        let total = blocks.len() as u64;
        blocks.truncate(crate::limits::ENDED);
        Self { blocks, total }
    }
}

impl From<Done> for Answer {
    fn from(done: Done) -> Self {
        match done {
            Done::Blocked { block, reverts } => Self::Blocked { block, reverts },
            Done::Unblocked(blocks) => Self::Unblocked(blocks.into()),
            Done::Allowed(blocks) => Self::Allowed(blocks.into()),
            Done::Disallowed => Self::Disallowed,
            Done::Approved(blocks) => Self::Approved(blocks.into()),
            Done::Rejected => Self::Rejected,
            Done::Imported { accepted, mut refused, refused_count } => {
                refused.truncate(crate::limits::REFUSED);
                let (accepted, refused_count) = (accepted as u64, refused_count as u64);
                Self::Imported { accepted, refused, refused_count }
            }
            Done::Changed { reverts } => Self::Changed { reverts },
            Done::Confirmed => Self::Confirmed,
        }
    }
}

/// How a node is.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeStatus {
    /// Its name.
    pub node: String,
    /// Its version.
    pub version: String,
    /// Whether the kernel drops what is blocked.
    pub enforcement: EnforcementState,
    /// Who decides.
    pub mode: Mode,
    /// What enforces: `iptables`, `dry-run`.
    pub enforcer: String,
    /// What is watched.
    pub interfaces: Vec<String>,
    /// Since the daemon's start.
    pub uptime: Duration,
    /// Packets seen.
    pub packets: u64,
    /// Packets that the kernel could not hand over.
    pub lost: u64,
    /// Remote addresses tracked now.
    pub sources: u64,
    /// Targets blocked now.
    pub blocked: u64,
    /// Alerts kept.
    pub alerts: u64,
    /// Decisions that wait for approval.
    pub pending: u64,
    /// The cluster's name, in one.
    pub cluster: Option<String>,
    /// Peers that answer.
    pub peers_alive: u32,
    /// Peers that there are.
    pub peers_known: u32,
    /// The coordinator's state.
    pub coordinator: Coordinator,
    /// The models in use.
    pub models: Vec<String>,
    /// What is not as it should be, and what is worth knowing.
    pub health: Vec<Health>,
    /// When the pending change of enforcement or mode rolls back unless confirmed.
    pub reverts: Option<Time>,
}

/// The coordinator, as a node sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coordinator {
    /// There is none.
    None,
    /// It answers.
    Connected,
    /// It does not.
    Away,
}

impl Coordinator {
    /// The stable, lower-case name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Connected => "connected",
            Self::Away => "away",
        }
    }
}

/// What [`crate::wire::ListBlocksRequest`] asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockFilter {
    /// Every origin's block, also those that do not decide; else one row a target: the block that decides.
    pub all: bool,
    /// Only this origin's.
    pub origin: Option<String>,
    /// Only of this class.
    pub class: Option<Class>,
}

/// What [`crate::wire::ListAlertsRequest`] asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertFilter {
    /// Only of this time or later.
    pub since: Option<Time>,
    /// Only of this class.
    pub class: Option<Class>,
}

/// What a follower of alerts gets.
#[expect(clippy::large_enum_variant, reason = "there is one at a time, and hardly ever a small one")]
#[derive(Clone, Debug, PartialEq)]
pub enum AlertEvent {
    /// An alert, or an update of an episode.
    Alert(Alert),
    /// So many were left out because the follower was too slow.
    Missed(u64),
}

/// Everything known of an address.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The address.
    pub address: IpAddr,
    /// By the daemon's clock.
    pub now: Time,
    /// The node that explains.
    pub node: String,
    /// Whether the kernel drops what is blocked.
    pub enforcement: EnforcementState,
    /// Who decides.
    pub mode: Mode,
    /// Every block that covers the address, of every origin.
    pub blocks: Vec<BlockRow>,
    /// Decisions about it that wait.
    pub pending: Vec<Pending>,
    /// Why it can never be blocked, the allow list among it.
    pub protected: Vec<Protected>,
    /// The entries of the allow list that cover it.
    pub allowed: Vec<Allowed>,
    /// What was reported about it, oldest first.
    pub alerts: Vec<Alert>,
    /// Its last window, where there is one.
    pub window: Option<Features>,
    /// What is remembered of it, and of its /64.
    pub offenders: Vec<Offender>,
    /// Automatic blocks of it are held back until then, because a person unblocked it.
    pub held_back: Option<Time>,
    /// What becomes of its packets.
    pub outcome: Outcome,
    /// How long the next hard block by detection would last, at least.
    pub next: Duration,
    /// Commands that would change the outcome, most to the point first.
    pub remedies: Vec<String>,
}

/// Who explains, and what only the daemon knows of an address.
#[derive(Clone, Debug, PartialEq)]
pub struct Context {
    /// By the daemon's clock.
    pub now: Time,
    /// The node that explains.
    pub node: String,
    /// Whether the kernel drops what is blocked.
    pub enforcement: EnforcementState,
    /// Who decides.
    pub mode: Mode,
    /// The address's last window, where there is one.
    pub window: Option<Features>,
}

impl Explanation {
    /// What the agent knows of an address, with what the kernel dropped of each target (packets, bytes).
    pub fn new(
        known: smartfw_core::Explanation,
        context: Context,
        mut dropped: impl FnMut(&IpNet) -> (u64, u64),
    ) -> Self {
        let Context { now, node, enforcement, mode, window } = context;
        let row = |listed: Listed| {
            let (packets, bytes) = dropped(&listed.block.target);
            BlockRow::new(listed, packets, bytes)
        };
        Self {
            address: known.address,
            now,
            node,
            enforcement,
            mode,
            blocks: known.blocks.into_iter().map(row).collect(),
            pending: known.pending.into_iter().map(Pending::from).collect(),
            protected: known.protected.into_iter().collect(),
            allowed: known.allowed.into_iter().collect(),
            alerts: known.alerts,
            window,
            offenders: known.offenders,
            held_back: known.held_back,
            outcome: known.outcome,
            next: known.next,
            remedies: known.remedies,
        }
    }
}

/// What a reload did: the keys that changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// In use now.
    pub applied: Vec<String>,
    /// In use after a restart.
    pub restart: Vec<String>,
}

/// A frame of the live view.
#[derive(Clone, Debug, PartialEq)]
pub struct TopFrame {
    /// By the daemon's clock.
    pub time: Time,
    /// Packets seen per second.
    pub packets_per_second: f64,
    /// Bits seen per second.
    pub bits_per_second: f64,
    /// Packets lost before we saw them, per second.
    pub lost_per_second: f64,
    /// Packets that the kernel dropped because of a block, per second.
    pub dropped_per_second: f64,
    /// Remote addresses tracked.
    pub sources: u64,
    /// Connections followed.
    pub connections: u64,
    /// Targets blocked.
    pub blocked: u64,
    /// Alerts kept.
    pub alerts: u64,
    /// The busiest sources first.
    pub top: Vec<TopSource>,
    /// The newest first.
    pub recent_blocks: Vec<BlockRow>,
    /// The newest first.
    pub recent_alerts: Vec<Alert>,
}

/// A busy source.
#[derive(Clone, Debug, PartialEq)]
pub struct TopSource {
    /// Who.
    pub address: IpAddr,
    /// Its last window.
    pub features: Features,
    /// How much of it is dropped, when it is blocked.
    pub blocked: Option<Strength>,
}
