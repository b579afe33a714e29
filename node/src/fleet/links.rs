//! The open streams, and what waits to be sent over them.
//!
//! The driver's thread puts in and never waits. What a stream does not take within its limit closes it, visibly: the
//! logs are compared when it is open again, and nothing is lost but time.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use smartfw_core::{fleet::NodeId, gossip::Message};
use smartfw_proto::convert::Told;
use tokio::sync::{Notify, Semaphore, mpsc, watch};

use crate::{
    counters::Counters,
    inbox::{Inbox, Input},
};

/// Bytes that may wait for one member: pushes and pulls together stay below a fraction of it as long as it reads.
pub(super) const OUTBOX: usize = 4 << 20;
/// Members without a stream for whom something waits until one is open, and for how long.
const WAITING: usize = 64;
const WAITS: Duration = Duration::from_secs(5);
/// Streams that nobody keeps; beyond that the one that was idle the longest is closed.
const IDLE: usize = 32;
/// A stream that nobody keeps and nothing went over for so long is closed.
const IDLE_FOR: Duration = Duration::from_secs(60);
/// Two members that dial each other at the same moment have two streams: within this time, the longest that an attempt
/// takes, both close the same one.
const SAME_MOMENT: Duration = Duration::from_secs(8);

/// Bytes of one member's messages that wait for the driver; then its streams are not read, and it waits. Whatever is
/// small counts as a 64th of it, so that the driver's queue stays short, too.
pub(super) const UNREAD: usize = 4 << 20;
const LEAST: usize = UNREAD / 64;
/// What permits are counted in, because there are only so many.
const UNIT: usize = 1 << 10;

/// Somebody to dial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dial {
    pub(super) node: NodeId,
    pub(super) address: SocketAddr,
}

/// Somebody to whom a stream is kept, or who is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) address: SocketAddr,
    /// Whether a stream is kept; else it is only seen now and then whether the member is there again.
    pub(super) keep: bool,
}

/// The streams of this member.
pub(super) struct Links {
    me: NodeId,
    table: Mutex<Table>,
    inbox: Inbox,
    counters: Arc<Counters>,
    /// Whom to dial because something waits for them; what does not fit is repaired later.
    wanted: mpsc::Sender<Dial>,
    /// Whom to keep streams to, and whom to look for.
    pub(super) targets: watch::Sender<BTreeMap<NodeId, Target>>,
    /// Wakes whenever a stream has closed.
    pub(super) closed: Notify,
    /// From where members' datagrams come.
    from: RwLock<BTreeSet<SocketAddr>>,
    /// The room in the driver's queue of each member that is heard, whatever streams it opens.
    rooms: Mutex<BTreeMap<NodeId, Weak<Semaphore>>>,
}

#[derive(Default)]
struct Table {
    next: u64,
    links: BTreeMap<NodeId, Link>,
    waiting: BTreeMap<NodeId, Waiting>,
    addresses: BTreeMap<NodeId, SocketAddr>,
}

struct Link {
    number: u64,
    outbox: Outbox,
    /// Whether we dialled it.
    ours: bool,
    opened: Instant,
    used: Instant,
}

struct Waiting {
    since: Instant,
    told: Vec<Told>,
    bytes: usize,
}

/// The way to one member. Cheap to clone.
#[derive(Clone)]
pub(super) struct Outbox {
    sender: mpsc::UnboundedSender<Told>,
    waiting: Arc<AtomicUsize>,
    closed: watch::Sender<bool>,
}

/// The other end of an [`Outbox`].
pub(super) struct Outgoing {
    pub(super) receiver: mpsc::UnboundedReceiver<Told>,
    waiting: Arc<AtomicUsize>,
    pub(super) closed: watch::Receiver<bool>,
}

impl Outbox {
    pub(super) fn new() -> (Self, Outgoing) {
        let ((sender, receiver), (closed, closing)) = (mpsc::unbounded_channel(), watch::channel(false));
        let waiting = Arc::<AtomicUsize>::default();
        (Self { sender, waiting: waiting.clone(), closed }, Outgoing { receiver, waiting, closed: closing })
    }

    /// Puts something in; false, and the stream is closed, when it does not fit.
    pub(super) fn send(&self, told: Told) -> bool {
        let bytes = weight(&told);
        if self.waiting.fetch_add(bytes, Relaxed) + bytes > OUTBOX {
            self.close();
            return false;
        }
        self.sender.send(told).is_ok()
    }

    pub(super) fn close(&self) {
        self.closed.send_replace(true);
    }
}

impl Outgoing {
    /// Something was handed to the connection.
    pub(super) fn taken(&self, told: &Told) {
        self.waiting.fetch_sub(weight(told), Relaxed);
    }
}

/// How much of a member's room a message takes.
pub(super) fn permits(told: &Told) -> u32 {
    // At most `UNREAD / UNIT`.
    (weight(told).clamp(LEAST, UNREAD) / UNIT) as u32
}

/// Bytes of a message, roughly.
fn weight(told: &Told) -> usize {
    const SMALL: usize = 64;
    SMALL
        + match told {
            Told::Hello(_) => 0,
            Told::Gossip(Message::Runs { runs, .. }) => {
                let each =
                    |run: &smartfw_core::fleet::SignedRun| run.bytes.len() + run.certificate.len() + SMALL;
                runs.iter().map(|carried| each(&carried.run)).sum()
            }
            Told::Gossip(Message::Proof(runs)) => runs.0.bytes.len() + runs.1.bytes.len() + (16 << 10),
            Told::Gossip(Message::Summary(all)) => 16 * all.len(),
            Told::Gossip(Message::Vectors { rows, .. }) => {
                rows.iter().map(|row| SMALL + 24 * row.spans.len()).sum()
            }
            Told::Gossip(Message::Pull(wants)) => 40 * wants.len(),
            Told::Gossip(Message::Digest { .. } | Message::Enforced { .. }) => 0,
            Told::Datagram(bytes) | Told::Contribution(bytes) => bytes.len(),
            Told::Revocations(signed) => signed.iter().map(Vec::len).sum(),
        }
}

impl Links {
    pub(super) fn new(me: NodeId, inbox: Inbox, counters: Arc<Counters>, wanted: mpsc::Sender<Dial>) -> Self {
        Self {
            me,
            table: Mutex::default(),
            inbox,
            counters,
            wanted,
            targets: watch::Sender::new(BTreeMap::new()),
            closed: Notify::new(),
            from: RwLock::default(),
            rooms: Mutex::default(),
        }
    }

    /// Where members are reached.
    pub(super) fn addresses(&self, addresses: BTreeMap<NodeId, SocketAddr>) {
        *self.from.write().unwrap_or_else(PoisonError::into_inner) = addresses.values().copied().collect();
        self.table().addresses = addresses;
    }

    /// Whether a member is reached there.
    pub(super) fn is_address(&self, address: SocketAddr) -> bool {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        self.from.read().unwrap_or_else(PoisonError::into_inner).contains(&address)
    }

    /// The room of a member in the driver's queue, for [`permits`] of it.
    pub(super) fn room(&self, node: NodeId) -> Arc<Semaphore> {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(room) = rooms.get(&node).and_then(Weak::upgrade) {
            return room;
        }
        rooms.retain(|_, room| room.strong_count() > 0);
        let room = Arc::new(Semaphore::new(UNREAD / UNIT));
        rooms.insert(node, Arc::downgrade(&room));
        room
    }

    /// Tells a member, on its stream; one is opened where there is none.
    pub(super) fn send(&self, to: NodeId, told: Told) {
        self.send_at(to, None, told);
    }

    /// The same to somebody who may be known by hearsay alone: who is no member is dialled at `hearsay`, but only while
    /// there is room to wait, so that nobody's word makes us dial the world.
    pub(super) fn send_at(&self, to: NodeId, hearsay: Option<SocketAddr>, told: Told) {
        let mut table = self.table();
        if let Some(link) = table.links.get_mut(&to) {
            if !matches!(told, Told::Gossip(Message::Digest { .. })) {
                link.used = Instant::now();
            }
            if !link.outbox.send(told) {
                self.counters.fleet.outboxes_full.add(1);
            }
            return;
        }
        let waits = table.wait(to, told);
        if let Some(address) = table.addresses.get(&to).copied().or(hearsay.filter(|_| waits)) {
            drop(table);
            let _ = self.wanted.try_send(Dial { node: to, address });
        }
    }

    /// Tells everybody who has a stream, but one.
    pub(super) fn tell_all(&self, but: Option<NodeId>, told: &Told) {
        let table = self.table();
        for (_, link) in table.links.iter().filter(|(id, _)| Some(**id) != but) {
            let _ = link.outbox.send(told.clone());
        }
    }

    /// A stream is open: its number, unless there is a better one.
    pub(super) fn open(
        &self,
        node: NodeId,
        outbox: Outbox,
        ours: bool,
        told: impl FnOnce() -> super::Input,
    ) -> Option<u64> {
        if node == self.me {
            return None;
        }
        let mut table = self.table();
        if let Some(old) = table.links.get(&node) {
            // Of two that both dialled at the same moment stays what the lesser key dialled; else the newer, because
            // who has a stream dials none.
            let same_moment = old.ours != ours && old.opened.elapsed() < SAME_MOMENT;
            if same_moment && ours != (self.me < node) {
                return None;
            }
        }
        table.next += 1;
        let number = table.next;
        let waiting = table.waiting.remove(&node);
        let now = Instant::now();
        let link = Link { number, outbox: outbox.clone(), ours, opened: now, used: now };
        if let Some(old) = table.links.insert(node, link) {
            old.outbox.close();
            self.inbox.send(Input::Fleet(super::Input::Disconnected(node)));
        }
        self.counters.fleet.streams.set(table.links.len() as u64);
        // Within the lock: nobody hears of a later stream of the same member first.
        self.inbox.send(Input::Fleet(told()));
        for told in
            waiting.into_iter().filter(|waiting| waiting.since.elapsed() < WAITS).flat_map(|it| it.told)
        {
            let _ = outbox.send(told);
        }
        Some(number)
    }

    /// A stream has closed.
    pub(super) fn close(&self, node: NodeId, number: u64) {
        let mut table = self.table();
        if table.links.get(&node).is_some_and(|link| link.number == number) {
            table.links.remove(&node);
            self.counters.fleet.streams.set(table.links.len() as u64);
            self.inbox.send(Input::Fleet(super::Input::Disconnected(node)));
        }
        drop(table);
        self.closed.notify_waiters();
    }

    /// Closes the stream to a member that is gone.
    pub(super) fn cut(&self, node: &NodeId) {
        if let Some(link) = self.table().links.get(node) {
            link.outbox.close();
        }
    }

    /// Something came from a member. A digest says only that it keeps a stream with us: no reason to close the one that
    /// it dialled, and none to hold on to one of ours, or two that have nothing to say to each other never part.
    pub(super) fn used(&self, node: &NodeId, digest: bool) {
        if let Some(link) = self.table().links.get_mut(node)
            && !(digest && link.ours)
        {
            link.used = Instant::now();
        }
    }

    pub(super) fn is_open(&self, node: &NodeId) -> bool {
        self.table().links.contains_key(node)
    }

    pub(super) fn count(&self) -> usize {
        self.table().links.len()
    }

    /// Closes streams that nobody keeps: those that are idle, and the most idle of too many.
    pub(super) fn tidy(&self) {
        let targets = self.targets.borrow().clone();
        let table = self.table();
        let spare = table.links.iter().filter(|(id, _)| !targets.get(*id).is_some_and(|target| target.keep));
        let mut spare: Vec<&Link> = spare.map(|(_, link)| link).collect();
        spare.sort_by_key(|link| std::cmp::Reverse(link.used));
        for (index, link) in spare.into_iter().enumerate() {
            if index >= IDLE || link.used.elapsed() > IDLE_FOR {
                link.outbox.close();
            }
        }
    }

    /// Closes every stream.
    pub(super) fn close_all(&self) {
        self.table().links.values().for_each(|link| link.outbox.close());
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Keeps something for a member until there is a stream; false, and it is repaired later, where there is no room.
    fn wait(&mut self, to: NodeId, told: Told) -> bool {
        self.waiting.retain(|_, waiting| waiting.since.elapsed() < WAITS);
        if self.waiting.len() >= WAITING && !self.waiting.contains_key(&to) {
            return false;
        }
        let new = || Waiting { since: Instant::now(), told: Vec::new(), bytes: 0 };
        let waiting = self.waiting.entry(to).or_insert_with(new);
        let bytes = weight(&told);
        let fits = waiting.bytes + bytes <= OUTBOX / 4;
        if fits {
            waiting.bytes += bytes;
            waiting.told.push(told);
        }
        fits
    }
}

#[cfg(test)]
mod tests;
