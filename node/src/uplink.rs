//! What this node tells coordinators, and the mirror. It needs none: without any nothing here runs, and one that is away, or
//! a disk that is full, holds up nobody.
//!
//! ```text
//! driver, health, control --Order--> keeper thread: Buffer on disk --Index--> a link for each coordinator --Report-->
//!         (bounded, never waits)            ^                         `--> the mirror's tail     |
//!                                           `----------- what all of them have kept ------------'
//! ```

mod buffer;
mod conversation;
#[cfg(test)]
pub(crate) mod fake;
mod frame;
mod index;
mod keeper;
mod keeping;
mod known;
mod link;
mod reader;
mod shown;
mod tail;
mod telling;

use std::{
    io,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
        mpsc::SyncSender,
    },
    thread::JoinHandle,
    time::Instant,
};

use smartfw_core::{Class, Event, EventKind, IpNet, Time};
use smartfw_proto::{convert::Statistics, limits, view::NodeStatus};
use tokio::sync::watch;

use crate::{
    clock,
    counters::Counters,
    health::{Entry, Health, Level, Matter},
};
use index::Index;
use keeper::Order;
use known::{Known, Remembered};
pub(crate) use link::{Way, follow};
use tail::Mirrored;
pub(crate) use tail::Tail;
use telling::Told;

/// Something to be told of.
#[derive(Clone, Debug, PartialEq)]
pub struct Happened {
    /// When.
    pub time: Time,
    /// What it is about.
    pub kind: EventKind,
    /// Whom it is about.
    pub address: Option<IpNet>,
    /// The class of the attack that it is about.
    pub class: Option<Class>,
    /// One JSON object.
    pub body: String,
}

/// What is told of the node as a whole.
pub trait Teller: Send + Sync {
    /// How it is; `None` while it cannot say.
    fn status(&self) -> Pin<Box<dyn Future<Output = Option<NodeStatus>> + Send + '_>>;

    /// What it counted; how many events wait is not its concern.
    fn statistics(&self) -> Pin<Box<dyn Future<Output = Option<Statistics>> + Send + '_>>;
}

/// The way to coordinators. Cheap to clone.
#[derive(Clone)]
pub struct Uplink(Arc<Inner>);

/// The way to coordinators, for those whom it tells of itself.
#[derive(Clone)]
pub(crate) struct WeakUplink(Weak<Inner>);

struct Inner {
    folder: PathBuf,
    counters: Arc<Counters>,
    health: Arc<Health>,
    keeping: Mutex<Option<Keeping>>,
    /// Whoever begins or ends keeping holds this for all of it: apart from `keeping`, for which whoever tells must not wait
    /// as long as a thread may take to end.
    gate: Mutex<()>,
    /// Whether the program ends.
    ended: AtomicBool,
    /// How often this node left a fleet since the start.
    left: AtomicU64,
    /// Whether there is anybody to tell.
    open: AtomicBool,
    /// Events that had to go before this start.
    dropped_before: AtomicU64,
    index: watch::Sender<Index>,
    known: Mutex<Known>,
    mirrored: Mutex<Mirrored>,
    /// Whether the fleet names a coordinator now.
    named: AtomicBool,
    /// Since when none is connected.
    away: Mutex<Option<Instant>>,
    /// What stands in the way.
    hindered: Mutex<Hindered>,
    /// Rises when blocks changed that no event told of.
    anew: watch::Sender<u64>,
    /// Rises when the node's health changed.
    unwell: watch::Sender<u64>,
    /// What was read of the node as a whole.
    told: watch::Sender<Told>,
    teller: OnceLock<Arc<dyn Teller>>,
}

/// Why coordinators do not hear what they should.
#[derive(Debug, Default)]
struct Hindered {
    /// How the last attempt ended that failed.
    last: Option<String>,
    /// One is there and keeps nothing.
    stuck: bool,
}

struct Keeping {
    orders: SyncSender<Order>,
    thread: JoinHandle<()>,
}

impl std::fmt::Debug for Uplink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Uplink").field("folder", &self.0.folder).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for WeakUplink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WeakUplink")
    }
}

impl WeakUplink {
    /// The way, while there is one.
    pub(crate) fn get(&self) -> Option<Uplink> {
        self.0.upgrade().map(Uplink)
    }
}

impl Uplink {
    /// The way of the node with this state folder. Nothing is made before a coordinator is known.
    pub fn new(state_dir: &Path, counters: Arc<Counters>, health: Arc<Health>) -> Self {
        let uplink = Self(Arc::new(Inner {
            folder: buffer::folder(state_dir),
            counters,
            health,
            keeping: Mutex::default(),
            gate: Mutex::default(),
            ended: AtomicBool::new(false),
            left: AtomicU64::new(0),
            open: AtomicBool::new(false),
            dropped_before: AtomicU64::new(0),
            index: watch::Sender::default(),
            known: Mutex::default(),
            mirrored: Mutex::default(),
            named: AtomicBool::new(false),
            away: Mutex::default(),
            hindered: Mutex::default(),
            anew: watch::Sender::default(),
            unwell: watch::Sender::default(),
            told: watch::Sender::default(),
            teller: OnceLock::new(),
        }));
        uplink.0.health.told_to(WeakUplink(Arc::downgrade(&uplink.0)));
        uplink
    }

    /// Whether there is anybody to tell: else nothing need be put into words.
    pub fn wants(&self) -> bool {
        self.0.open.load(Relaxed)
    }

    /// Tells what happened, soon and in order. This never waits: what does not fit is counted.
    pub fn tell(&self, Happened { time, kind, address, class, body }: Happened) {
        if !self.wants() {
            return;
        }
        let event = Event { sequence: 0, time, kind, address, class, body };
        let told = event.body.len() <= limits::EVENT && self.order(Order::Event(event));
        if !told {
            self.dropped(1);
            if matches!(kind, EventKind::Block | EventKind::Lift) {
                self.anew();
            }
        }
    }

    /// Tells that a person did something, in these words.
    pub fn audit(&self, what: impl FnOnce() -> serde_json::Value) {
        if self.wants() {
            let (time, mut body) = (clock::now(), what());
            body["time"] = clock::rfc3339(time).into();
            let body = smartfw_proto::json::text(&body);
            self.tell(Happened { time, kind: EventKind::Audit, address: None, class: None, body });
        }
    }

    /// Tells that something is wrong, or is right again.
    pub(crate) fn health(&self, entry: &Entry, right: bool) {
        self.0.unwell.send_modify(|changes| *changes += 1);
        if self.wants() {
            let time = clock::now();
            let mut body = smartfw_proto::json::health(entry);
            body["kind"] = "health".into();
            body["time"] = clock::rfc3339(time).into();
            body["right"] = right.into();
            let body = smartfw_proto::json::text(&body);
            self.tell(Happened { time, kind: EventKind::Health, address: None, class: None, body });
        }
    }

    /// More blocks changed at once than are told of one by one: they are told of as a whole.
    pub fn anew(&self) {
        self.0.anew.send_modify(|changes| *changes += 1);
    }

    /// So many actions at once are told to coordinators as a whole, and never to the mirror.
    pub fn as_a_whole(&self, actions: usize) {
        self.anew();
        if self.mirrored().wants {
            self.missed(actions as u64);
        }
    }

    /// From now on the node as a whole is told of by this.
    pub fn told_by(&self, teller: Arc<dyn Teller>) {
        let _ = self.0.teller.set(teller);
    }

    /// Whether all blocks are to be told anew, each time since the last.
    #[cfg(test)]
    pub(crate) fn anew_seen(&self) -> impl FnMut() -> bool + use<> {
        let mut anew = self.0.anew.subscribe();
        move || {
            let changed = anew.has_changed().unwrap_or_default();
            anew.mark_unchanged();
            changed
        }
    }

    fn order(&self, order: Order) -> bool {
        self.keeping().as_ref().is_some_and(|keeping| keeping.orders.try_send(order).is_ok())
    }

    fn folder(&self) -> &Path {
        &self.0.folder
    }

    fn dropped(&self, events: u64) {
        self.0.counters.uplink.dropped.add(events);
    }

    /// So many events the mirror alone never hears of: that is no loss of which coordinators are to be told.
    fn missed(&self, events: u64) {
        self.0.counters.uplink.missed.add(events);
    }

    fn all_dropped(&self) -> u64 {
        self.0.dropped_before.load(Relaxed) + self.0.counters.uplink.dropped.get()
    }

    fn remembered(&self) -> Remembered {
        let mirrored = self.mirrored().remembered();
        Remembered { mirrored, ..self.known().remembered(self.all_dropped()) }
    }

    fn publish(&self, index: Index) {
        self.0.index.send_if_modified(|now| {
            let changed = *now != index;
            *now = index;
            changed
        });
    }

    fn lowest(&self, epoch: u64) -> Option<u64> {
        let known = self.known();
        let coordinators = known.lowest(clock::now(), epoch);
        // They are only away, and have none of it, whatever the mirror has.
        if coordinators.is_none() && known.any() {
            return None;
        }
        coordinators.into_iter().chain(self.mirrored().lowest(epoch)).min()
    }

    /// What coordinators have of a life of the buffer: everything, where there is none who could miss something. Nothing is
    /// told apart where no mirror waits.
    fn reached(&self, epoch: u64) -> u64 {
        if !self.mirrored().wants {
            return 0;
        }
        let known = self.known();
        let somebody = known.any() || self.0.named.load(Relaxed);
        known.lowest(clock::now(), epoch).unwrap_or(if somebody { 0 } else { u64::MAX })
    }

    /// The disk refuses events, or takes them again.
    fn refused(&self, why: Option<&io::Error>) {
        let Some(why) = why else { return self.0.health.clear(Matter::Uplink) };
        self.0.health.set(
            Matter::Uplink,
            Level::Warn,
            format!(
                "events for the coordinator or the mirror cannot be written to the disk: {why}; the newest {} wait in memory, older ones are lost",
                keeper::HELD
            ),
            "make room on the disk of the state folder, or repair its permissions; the node guards all the same",
        );
    }

    fn keeping(&self) -> MutexGuard<'_, Option<Keeping>> {
        self.0.keeping.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gate(&self) -> MutexGuard<'_, ()> {
        self.0.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hindered(&self) -> MutexGuard<'_, Hindered> {
        self.0.hindered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn away(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.away.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
