//! One simulated member: the real core, its disk, its clocks, and what it applies.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use smartfw_core::{
    IpNet, Time,
    fleet::{LogId, NodeId, SignedRun, Verifier, Version},
    gossip::{Config, Gossip, Kept, Limits, Now, Reserved, Restored, Span, Ticket, Voided},
};

use super::{
    keys::{Book, Key},
    liar::Lie,
};

/// What a node blocks on whose word, until when on its steady clock.
pub type Applied = BTreeMap<(LogId, IpNet), (Version, Option<Duration>)>;

/// A member.
pub struct Node {
    /// Its key.
    pub(super) key: Key,
    /// Its site.
    pub(super) site: String,
    /// The core; `None` while it is down.
    pub gossip: Option<Gossip>,
    /// Which life it has: a crash begins another.
    pub(super) life: u32,
    /// Its disk.
    pub(super) disk: Disk,
    /// Its wall clock less the true time, seconds.
    pub skew: i64,
    /// Its steady clock less the true time.
    pub(super) booted: Duration,
    /// While it is paused, until when.
    pub paused: Option<Duration>,
    /// When its next timeout is.
    pub(super) wake: Option<Duration>,
    /// What it blocks.
    pub applied: Applied,
    /// When each version was to end, that it may never rise.
    pub(super) ends: BTreeMap<(LogId, Version), Duration>,
    /// Whom it keeps streams to.
    pub(super) neighbours: BTreeSet<usize>,
    /// How it lies, if it does.
    pub lie: Option<Lie>,
    /// Bytes that it has sent, on the wire.
    pub(super) sent: u64,
    /// Orders that were handed to it.
    pub orders: BTreeSet<Vec<u8>>,
}

/// A disk: what is flushed survives a crash, what is not does not.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    reserved: Option<Reserved>,
    runs: BTreeMap<(LogId, Version), (SignedRun, Duration, Duration)>,
    proofs: BTreeMap<LogId, (SignedRun, SignedRun)>,
    over: BTreeMap<LogId, Vec<Span>>,
    /// What is written and not flushed.
    pending: Vec<(Ticket, Kept, Duration)>,
    /// Whether a flush is under way.
    pub(super) flushing: bool,
}

impl Disk {
    /// Takes what is to be written.
    pub(super) fn write(&mut self, ticket: Ticket, kept: Kept, now: Duration) {
        self.pending.push((ticket, kept, now));
    }

    /// The last ticket written, if there is anything to flush.
    pub(super) fn last(&self) -> Option<Ticket> {
        self.pending.last().map(|(ticket, ..)| *ticket)
    }

    /// Everything up to a ticket is flushed; gives what that is.
    pub(super) fn flush(&mut self, upto: Ticket) -> Vec<Kept> {
        let mut flushed = Vec::new();
        let later = self.pending.partition_point(|(ticket, ..)| *ticket <= upto);
        for (_, kept, at) in self.pending.drain(..later) {
            flushed.push(kept.clone());
            match kept {
                Kept::Reserved(reserved) => self.reserved = Some(reserved),
                Kept::Run { log, version, run, age } => {
                    self.runs.insert((log, version), (run, age, at));
                }
                Kept::Gone { log, version } => {
                    self.runs.remove(&(log, version));
                }
                Kept::Over { log, spans } => {
                    self.over.insert(log, spans);
                }
                Kept::Proof { log, runs } => {
                    self.proofs.insert(log, *runs);
                }
            }
        }
        flushed
    }

    /// The machine goes down: what was not flushed is lost.
    pub(super) fn crash(&mut self) {
        self.pending.clear();
        self.flushing = false;
    }

    /// The reserved sequences that are flushed.
    pub(super) const fn reserved(&self) -> Option<Reserved> {
        self.reserved
    }

    /// Whether a run is flushed.
    pub(super) fn holds(&self, log: &LogId, version: Version) -> bool {
        self.runs.contains_key(&(log.clone(), version))
    }
}

impl Node {
    /// Member number `number` of `cluster`.
    pub(super) fn new(number: usize, site: &str) -> Self {
        Self {
            key: Key::new(number),
            site: site.to_owned(),
            gossip: None,
            life: 0,
            disk: Disk::default(),
            skew: 0,
            booted: Duration::from_secs(1000 + 77 * number as u64),
            paused: None,
            wake: None,
            applied: Applied::new(),
            ends: BTreeMap::new(),
            neighbours: BTreeSet::new(),
            lie: None,
            sent: 0,
            orders: BTreeSet::new(),
        }
    }

    /// Who it is.
    pub const fn id(&self) -> NodeId {
        self.key.id()
    }

    /// Its clocks at a true time.
    pub fn now(&self, now: Duration) -> Now {
        let nanos = |time: Duration| Time::from_nanos(time.as_nanos() as u64);
        let wall = BEGINNING.as_secs().saturating_add_signed(self.skew);
        Now { steady: nanos(now + self.booted), wall: nanos(Duration::from_secs(wall) + now) }
    }

    /// Starts from what is on its disk.
    pub(super) fn start(&mut self, book: &Book, seed: u64, now: Duration, limits: Limits) {
        let config = Config { cluster: CLUSTER.to_owned(), site: self.site.clone(), limits };
        let mut gossip = Gossip::new(config, Box::new(self.key.clone()), seed);
        let at = self.now(now);
        self.applied.clear();
        self.ends.clear();
        if let Some(reserved) = self.disk.reserved {
            gossip.restore(at, Restored::Reserved(reserved));
        }
        for (run, age, since) in self.disk.runs.values() {
            if let Ok(run) = book.recall(run) {
                gossip.restore(at, Restored::Run(Box::new(run), *age + now.saturating_sub(*since)));
            }
        }
        for (log, spans) in &self.disk.over {
            gossip.restore(at, Restored::Over(log.clone(), spans.clone()));
        }
        for (one, other) in self.disk.proofs.values() {
            if let (Ok(one), Ok(other)) = (book.recall(one), book.recall(other)) {
                gossip.restore(at, Restored::Proof(Box::new((one, other))));
            }
        }
        gossip.start(at);
        self.gossip = Some(gossip);
    }

    /// Stops without warning.
    pub(super) fn crash(&mut self) {
        self.gossip = None;
        self.life += 1;
        self.wake = None;
        self.paused = None;
        self.neighbours.clear();
        self.disk.crash();
    }

    /// What a log said of a target is void.
    pub(super) fn void(&mut self, log: &LogId, target: IpNet, upto: Version, _why: Voided) {
        let key = (log.clone(), target);
        if self.applied.get(&key).is_some_and(|(version, _)| *version <= upto) {
            self.applied.remove(&key);
        }
    }

    /// What it blocks at a true time, and for how much longer.
    pub fn blocks(&self, now: Duration) -> BTreeMap<(LogId, IpNet), (Version, Option<Duration>)> {
        let steady = now + self.booted;
        let living = self.applied.iter().filter(|(_, (_, end))| end.is_none_or(|end| end > steady));
        living.map(|(key, (version, end))| (key.clone(), (*version, end.map(|end| end - steady)))).collect()
    }
}

/// The cluster's name.
pub(super) const CLUSTER: &str = "sim";

/// When the simulation begins, by honest clocks.
pub(super) const BEGINNING: Duration = Duration::from_secs(1_800_000_000);
