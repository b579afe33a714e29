//! What many threads share, and how enforcers are opened.

use std::{
    sync::{Arc, Mutex},
    thread::JoinHandle,
};

use smartfw_config::{EnforcerKind, NodeConfig};
use smartfw_core::{Agent, Alert, enforcement::Enforced, order::EnforcementState};
use smartfw_enforce::{EnforceError, Enforcer, Kind, Options, open, preflight};
use smartfw_learn::Signer;
use tokio::sync::broadcast;

use crate::{
    counters::Counters,
    detector::{Board, Feed},
    driver::Recent,
    enforcement::{Desired, Queue},
    health::Health,
    inbox::{Inbox, Inputs, inbox},
    learning::Ear,
    logs::{Limits, LogPaths, Logs},
    models::Models,
    store::{Backlog, most_rows},
    uplink::Uplink,
    vital::Vital,
};

/// Followers' alerts that may wait: a slower one is told how many it missed.
const FOLLOWED: usize = 256;

/// What every thread may write to.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) counters: Arc<Counters>,
    pub(super) health: Arc<Health>,
    /// Who starts threads that must not end.
    pub(super) vital: Vital,
}

/// The ways from part to part.
#[derive(Clone)]
pub(super) struct Links {
    pub(super) shared: Shared,
    pub(super) inbox: Inbox,
    pub(super) queue: Arc<Queue>,
    pub(super) backlog: Arc<Backlog>,
    pub(super) feed: Arc<Feed>,
    pub(super) models: Arc<Models>,
    pub(super) ear: Arc<Ear>,
    pub(super) board: Arc<Board>,
    pub(super) recent: Arc<Recent>,
    pub(super) alerts: broadcast::Sender<Arc<Alert>>,
    pub(super) logs: Logs,
    /// The way to coordinators.
    pub(super) uplink: Uplink,
    /// Ends when nobody is left who logs.
    pub(super) logs_thread: Arc<Mutex<Option<JoinHandle<()>>>>,
    /// The interfaces watched now.
    pub(super) interfaces: Arc<Mutex<Vec<String>>>,
}

impl Links {
    /// New ways, and the driver's end of its own.
    pub(super) fn new(config: &NodeConfig, vital: Vital) -> std::io::Result<(Self, Inputs)> {
        let shared = Shared { vital, counters: Arc::default(), health: Arc::default() };
        let vital = &shared.vital;
        let (inbox, inputs) = inbox(shared.counters.clone());
        let limits = Limits { max_size: config.logs.max_size, keep: config.logs.keep };
        let paths = LogPaths::new(&config.log_dir, &config.state_dir);
        let (logs, thread) =
            Logs::start(&paths, limits, shared.counters.clone(), shared.health.clone(), vital)?;
        let feed = Arc::new(Feed::new(shared.counters.clone()));
        let models = models(config, &feed, &shared.health);
        let uplink = Uplink::new(&config.state_dir, shared.counters.clone(), shared.health.clone());
        let links = Self {
            feed,
            models,
            ear: Arc::default(),
            shared,
            inbox,
            queue: Arc::default(),
            backlog: Arc::new(Backlog::new(most_rows(&config.policy.limits))),
            board: Arc::default(),
            recent: Arc::default(),
            alerts: broadcast::Sender::new(FOLLOWED),
            logs,
            uplink,
            logs_thread: Arc::new(Mutex::new(Some(thread))),
            interfaces: Arc::default(),
        };
        Ok((links, inputs))
    }

    /// Asks the driver what the kernel shall hold, piece by piece: verdicts come in between, and who compares must look
    /// again at what differs.
    pub(super) fn desired(&self) -> Desired {
        let inbox = self.inbox.clone();
        Arc::new(move || {
            let passing = |agent: &Agent| agent.passing().copied().collect();
            let on = |agent: &Agent| agent.enforcement() == EnforcementState::On;
            let protected = inbox.ask(move |agent, _| on(agent).then(|| passing(agent))).flatten()?;
            let mut desired = Enforced { protected, ..Enforced::default() };
            let mut behind = None;
            loop {
                let ask = move |agent: &Agent, _| agent.entries_after(behind, PIECE).collect::<Vec<_>>();
                let piece = inbox.ask(ask)?;
                let Some((last, _)) = piece.last() else { return Some(desired) };
                behind = Some(*last);
                desired.blocks.extend(piece.into_iter().filter_map(|(target, entry)| Some((target, entry?))));
            }
        })
    }
}

/// The models that are kept, and who of them judges.
fn models(config: &NodeConfig, feed: &Arc<Feed>, health: &Arc<Health>) -> Arc<Models> {
    let signers = trusted(config);
    let built_in = smartfw_learn::builtin().cloned();
    Arc::new(Models::open(&config.state_dir, built_in, signers, feed.clone(), health.clone()))
}

/// Whose models the configuration believes.
pub(super) fn trusted(config: &NodeConfig) -> Vec<Signer> {
    config.trusted_keys.iter().map(|key| Signer(*key)).collect()
}

/// Targets that are read at once: half a millisecond.
const PIECE: usize = 1000;

/// Opens an enforcer, once it is sure that it can be used.
pub(super) fn enforcer(kind: EnforcerKind) -> Result<Box<dyn Enforcer>, EnforceError> {
    let kind = match kind {
        EnforcerKind::Iptables => Kind::Iptables,
        EnforcerKind::Nftables => Kind::Nftables,
        EnforcerKind::Xdp => Kind::Xdp,
        EnforcerKind::DryRun => Kind::DryRun,
    };
    if kind == Kind::Iptables {
        preflight()?;
    }
    open(kind, Options::default())
}
