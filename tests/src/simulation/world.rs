//! The driver: the simulated shell around each core, and the clock that jumps.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use prost::Message as _;
use smartfw_core::{
    Time,
    fleet::{Entry, NodeId, SignedRun},
    gossip::{Audience, Effect, Limits, Member, Message, Report, Ticket},
};
use smartfw_proto::{convert::Told, wire};

use super::{
    audit::Audit,
    chance::Chance,
    events::{Event, Queue},
    keys::Book,
    liar::Lie,
    network::{BROKEN_AFTER, Fate, Network},
    node::Node,
};

/// A group commit.
const FLUSH: Duration = Duration::from_millis(3);
/// Neighbours without a stream are dialled again.
const REDIAL: Duration = Duration::from_secs(1);
/// The membership finds a crash after this,
const MISSED: Duration = Duration::from_secs(3);
/// and a start after this.
const JOINED: Duration = Duration::from_millis(500);

/// Headers of gRPC, HTTP/2, TLS, TCP and IP around a message of up to a segment.
const FRAME: u64 = 5 + 9 + 22 + 52;
/// Payload of a segment, and the headers of each further one.
const SEGMENT: u64 = 1448;
const SEGMENT_HEADERS: u64 = 52;
/// An acknowledgement of its own for each message: none rides on data.
const ACKNOWLEDGEMENT: u64 = 52;

/// A simulated fleet.
pub struct World {
    /// The true time since the beginning.
    pub now: Duration,
    /// The members.
    pub nodes: Vec<Node>,
    /// Between them.
    pub network: Network,
    /// Chance.
    pub chance: Chance,
    /// The truth.
    pub audit: Audit,
    /// What was reported, by whom.
    pub reports: Vec<(usize, Report)>,
    pub(super) queue: Queue,
    book: Book,
    index: BTreeMap<NodeId, usize>,
    limits: Limits,
    /// Who is alive, in which life, as far as the membership knows.
    alive: BTreeSet<(usize, u32)>,
    /// Runs whose signature did not hold.
    pub forged: u64,
    /// Events handled.
    pub events: u64,
}

/// What went over the wire.
#[derive(Clone, Copy, Debug)]
pub struct Traffic {
    /// Bytes that the busiest node sent in a second.
    pub most: u64,
    /// Bytes that a node sent in a second on average.
    pub mean: u64,
}

impl World {
    /// A fleet of so many members over so many sites. Everybody starts at once.
    pub fn new(seed: u64, count: usize, sites: usize) -> Self {
        let nodes: Vec<Node> =
            (0..count).map(|n| Node::new(n, &format!("site-{}", n % sites.max(1)))).collect();
        let index = nodes.iter().enumerate().map(|(n, node)| (node.id(), n)).collect();
        let mut world = Self {
            now: Duration::ZERO,
            nodes,
            network: Network::default(),
            chance: Chance::new(seed),
            audit: Audit::new(),
            reports: Vec::new(),
            queue: Queue::default(),
            book: Book::new(count),
            index,
            limits: Limits::default(),
            alive: BTreeSet::new(),
            forged: 0,
            events: 0,
        };
        for node in 0..count {
            world.start(node);
        }
        world.members();
        world
    }

    /// Runs for so long.
    pub fn run(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some((at, event)) = self.queue.pop(until) {
            self.now = at;
            self.events += 1;
            self.handle(event);
        }
        self.now = until;
    }

    /// Runs until something holds, at most so long; says how long it took.
    pub fn run_until(&mut self, most: Duration, mut holds: impl FnMut(&Self) -> bool) -> Option<Duration> {
        const LOOK: Duration = Duration::from_millis(5);
        let begin = self.now;
        while !holds(self) {
            if self.now >= begin + most {
                return None;
            }
            self.run(LOOK);
        }
        Some(self.now - begin)
    }

    /// A member says something.
    pub fn say(&mut self, node: usize, audience: Audience, entry: Entry) {
        let now = self.now;
        let member = &mut self.nodes[node];
        let at = member.now(now);
        let Some(gossip) = member.gossip.as_mut().filter(|_| member.paused.is_none()) else { return };
        if gossip.append(at, audience, entry.clone()).is_ok() {
            self.audit.says(self.nodes[node].id(), &entry, now);
        }
        self.settle(node);
    }

    /// A member starts from its disk.
    pub fn start(&mut self, node: usize) {
        if self.nodes[node].gossip.is_some() {
            return;
        }
        let seed = self.chance.number();
        self.nodes[node].start(&self.book, seed, self.now, self.limits);
        self.settle(node);
        let life = self.nodes[node].life;
        self.queue.push(self.now + REDIAL, Event::Redial { node, life });
        self.queue.push(self.now + JOINED, Event::Members);
    }

    /// A member stops without warning.
    pub fn crash(&mut self, node: usize) {
        self.nodes[node].crash();
        for (other, _) in self.network.of(node) {
            self.broken(node, other);
        }
        self.queue.push(self.now + MISSED, Event::Members);
    }

    /// A member's disk is gone.
    pub fn wipe(&mut self, node: usize) {
        self.nodes[node].disk = super::node::Disk::default();
        self.audit.unsteady(self.nodes[node].id());
    }

    /// A member does nothing for a while.
    pub fn pause(&mut self, node: usize, time: Duration) {
        if self.nodes[node].gossip.is_some() && self.nodes[node].paused.is_none() {
            self.nodes[node].paused = Some(self.now + time);
            self.queue.push(self.now + time, Event::Resume(node));
        }
    }

    /// A member becomes a liar.
    pub fn corrupt(&mut self, node: usize, lie: Lie) {
        self.nodes[node].lie = Some(lie);
        self.audit.unsteady(self.nodes[node].id());
        if matches!(lie, Lie::Fork | Lie::Giant) {
            self.audit.forkers.insert(self.nodes[node].id());
        }
    }

    /// Cuts or mends the way from one to another.
    pub fn cut(&mut self, from: usize, to: usize, cut: bool) {
        self.network.cut(from, to, cut);
    }

    /// Mends all ways: what waited on them to be sent again is.
    pub fn mend(&mut self) {
        self.network.mend();
        for (from, to, connection, at, bytes) in self.network.unstall(&mut self.chance, self.now) {
            self.queue.push(at, Event::Arrive { from, to, connection, bytes });
        }
    }

    /// Those who are up and honest.
    pub fn honest(&self) -> Vec<&Node> {
        self.nodes.iter().filter(|node| node.gossip.is_some() && node.lie.is_none()).collect()
    }

    /// Whether all who are up and honest hold the same, and nothing waits.
    pub fn converged(&self) -> bool {
        let mut digests = BTreeSet::new();
        let mut sites = BTreeMap::new();
        for node in self.honest() {
            let Some(gossip) = &node.gossip else { continue };
            digests.insert(gossip.cluster_digest());
            let site = sites.entry(&node.site).or_insert_with(|| gossip.digest());
            if *site != gossip.digest() || gossip.waiting() > 0 {
                return false;
            }
        }
        digests.len() <= 1
    }

    /// The logs that those who are up and honest hold differently, and who lies how.
    pub fn differing(&self) -> String {
        let mut views: BTreeMap<String, BTreeMap<(u64, bool), Vec<usize>>> = BTreeMap::new();
        for (number, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.lie.is_none()) {
            for (log, digest, quarantined) in node.gossip.iter().flat_map(smartfw_core::gossip::Gossip::logs)
            {
                let name = format!("log of {} for {:?}", self.index[&log.origin], log.site);
                views.entry(name).or_default().entry((digest, quarantined)).or_default().push(number);
            }
        }
        views.retain(|_, held| {
            held.len() > 1 || held.values().map(Vec::len).sum::<usize>() < self.nodes.len()
        });
        let liars: Vec<_> =
            self.nodes.iter().enumerate().filter_map(|(n, node)| Some((n, node.lie?))).collect();
        format!("{views:?}, liars {liars:?}")
    }

    /// What each node sent in a second since the last call, over `time`.
    pub fn traffic(&mut self, time: Duration) -> Traffic {
        let sent: Vec<u64> = self.nodes.iter_mut().map(|node| std::mem::take(&mut node.sent)).collect();
        let seconds = time.as_secs().max(1);
        let most = sent.iter().max().copied().unwrap_or(0) / seconds;
        Traffic { most, mean: sent.iter().sum::<u64>() / seconds / sent.len().max(1) as u64 }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Arrive { from, to, connection, bytes } => self.arrive(from, to, connection, bytes),
            Event::Open { from, to, connection } => self.open(from, to, connection),
            Event::Break { from, to, connection, stalled } => {
                if self.network.holds(from, to, connection) && (!stalled || self.network.stalled(from, to)) {
                    self.broken(from, to);
                }
            }
            Event::Flushed { node, life, upto } => self.flushed(node, life, upto),
            Event::Timeout { node, life } if self.nodes[node].life == life => {
                self.nodes[node].wake = None;
                self.settle(node);
            }
            Event::Redial { node, life } if self.nodes[node].life == life => {
                self.dial_neighbours(node);
                self.queue.push(self.now + REDIAL, Event::Redial { node, life });
            }
            Event::Resume(node) => {
                self.nodes[node].paused = None;
                self.settle(node);
            }
            Event::Members => self.members(),
            Event::Timeout { .. } | Event::Redial { .. } => {}
        }
    }

    fn arrive(&mut self, from: usize, to: usize, connection: u64, bytes: Vec<u8>) {
        if !self.network.holds(from, to, connection) || self.nodes[to].gossip.is_none() {
            return;
        }
        if let Some(until) = self.nodes[to].paused {
            return self.queue.push(until, Event::Arrive { from, to, connection, bytes });
        }
        let told =
            wire::PeerMessage::decode(bytes.as_slice()).ok().and_then(|message| Told::try_from(message).ok());
        let Some(Told::Gossip(message)) = told else { return };
        let now = self.nodes[to].now(self.now);
        let sender = self.nodes[from].id();
        let Some(gossip) = &mut self.nodes[to].gossip else { return };
        let (verified, refused) = gossip.verify(&self.book, message);
        self.forged += refused.len() as u64;
        if let Some(message) = verified {
            gossip.handle_message(now, sender, message);
        }
        self.settle(to);
    }

    fn open(&mut self, from: usize, to: usize, connection: u64) {
        if !self.network.holds(from, to, connection) {
            return;
        }
        if self.nodes[from].gossip.is_none() || self.nodes[to].gossip.is_none() {
            return self.broken(from, to);
        }
        let Some(stream) = self.network.stream(from, to) else { return };
        stream.open = true;
        let waiting = std::mem::take(&mut stream.waiting);
        for (one, other) in [(from, to), (to, from)] {
            let (now, id) = (self.nodes[one].now(self.now), self.nodes[other].id());
            if let Some(gossip) = &mut self.nodes[one].gossip {
                gossip.handle_connected(now, id);
            }
            self.settle(one);
        }
        for (sender, bytes) in waiting {
            self.transmit(sender, if sender == from { to } else { from }, bytes);
        }
    }

    fn broken(&mut self, from: usize, to: usize) {
        let Some(stream) = self.network.close(from, to) else { return };
        for (one, other) in [(from, to), (to, from)] {
            let (now, id) = (self.nodes[one].now(self.now), self.nodes[other].id());
            if let Some(gossip) = self.nodes[one].gossip.as_mut().filter(|_| stream.open) {
                gossip.handle_disconnected(now, id);
                self.settle(one);
            }
        }
    }

    fn flushed(&mut self, node: usize, life: u32, upto: Ticket) {
        let now = self.now;
        let member = &mut self.nodes[node];
        if member.life != life {
            return;
        }
        if let Some(until) = member.paused {
            return self.queue.push(until, Event::Flushed { node, life, upto });
        }
        member.disk.flushing = false;
        let id = member.id();
        for kept in member.disk.flush(upto) {
            self.audit.durable(id, &kept, now);
        }
        let at = member.now(now);
        if let Some(gossip) = &mut member.gossip {
            gossip.handle_persisted(at, upto);
        }
        self.settle(node);
    }

    fn members(&mut self) {
        let up = self.nodes.iter().enumerate().filter(|(_, node)| node.gossip.is_some());
        let alive: BTreeSet<(usize, u32)> = up.map(|(number, node)| (number, node.life)).collect();
        if alive == self.alive {
            return;
        }
        let member = |(node, _): &(usize, u32)| Member {
            id: self.nodes[*node].id(),
            site: self.nodes[*node].site.clone(),
        };
        let members: Vec<Member> = alive.iter().map(member).collect();
        for (node, _) in &alive {
            let now = self.nodes[*node].now(self.now);
            if let Some(gossip) = &mut self.nodes[*node].gossip {
                gossip.handle_members(now, members.clone());
            }
            self.settle(*node);
        }
        self.alive = alive;
    }

    /// Carries out what a core wants, until it wants nothing more now.
    pub(super) fn settle(&mut self, node: usize) {
        loop {
            let now = self.now;
            let member = &mut self.nodes[node];
            if member.paused.is_some() {
                return;
            }
            let at = member.now(now);
            let Some(gossip) = &mut member.gossip else { return };
            if let Some(effect) = gossip.poll_effect() {
                self.effect(node, effect);
            } else if gossip.poll_timeout() <= at.steady {
                gossip.handle_timeout(at);
            } else {
                break;
            }
        }
        self.wake(node);
        let member = &mut self.nodes[node];
        if let Some(upto) = member.disk.last().filter(|_| !member.disk.flushing) {
            member.disk.flushing = true;
            let life = member.life;
            self.queue.push(self.now + FLUSH, Event::Flushed { node, life, upto });
        }
    }

    fn wake(&mut self, node: usize) {
        let member = &mut self.nodes[node];
        let Some(due) = member.gossip.as_ref().map(smartfw_core::gossip::Gossip::poll_timeout) else {
            return;
        };
        if due == Time::NEVER {
            return;
        }
        let at = Duration::from_nanos(due.as_nanos()).saturating_sub(member.booted).max(self.now);
        if member.wake.is_none_or(|wake| wake > at) {
            member.wake = Some(at);
            let life = member.life;
            self.queue.push(at, Event::Timeout { node, life });
        }
    }

    fn effect(&mut self, node: usize, effect: Effect) {
        let now = self.now;
        match effect {
            Effect::Apply { log, version, entry, remaining } => {
                let member = &mut self.nodes[node];
                self.audit.applies(member, &log, &entry, remaining, now);
                let end = remaining.map(|remaining| now + member.booted + remaining);
                self.audit.ends(member, &log, version, end.unwrap_or(Duration::MAX / 2));
                match entry {
                    Entry::Block(block) => {
                        member.applied.insert((log, block.target), (version, end));
                    }
                    Entry::Order(order) => {
                        member.orders.insert(order.bytes.to_vec());
                    }
                    Entry::Withdraw { .. } | Entry::Unknown { .. } => {}
                }
            }
            Effect::Void { log, target, upto, why } => self.nodes[node].void(&log, target, upto, why),
            Effect::Persist(ticket, kept) => self.nodes[node].disk.write(ticket, kept, now),
            Effect::Send(to, message) => self.send(node, to, message),
            Effect::Neighbours(neighbours) => {
                let numbers = neighbours.iter().filter_map(|id| self.index.get(id)).copied();
                self.nodes[node].neighbours = numbers.collect();
                self.dial_neighbours(node);
            }
            Effect::Enforced { .. } => {}
            Effect::Report(report) => {
                if self.reports.len() < 1000 {
                    self.reports.push((node, report));
                }
            }
        }
    }

    fn send(&mut self, node: usize, to: NodeId, message: Message<SignedRun>) {
        let Some(&to) = self.index.get(&to) else { return };
        let member = &self.nodes[node];
        let messages = match member.lie {
            None => {
                self.audit.sends(member, &message);
                vec![message]
            }
            Some(lie) => lie.instead(&mut self.chance, &member.key, to, message),
        };
        for message in messages {
            let bytes = wire::PeerMessage::from(Told::Gossip(message)).encode_to_vec();
            self.transmit(node, to, bytes);
        }
    }

    fn transmit(&mut self, from: usize, to: usize, bytes: Vec<u8>) {
        let Some(stream) = self.network.stream(from, to) else {
            self.dial(from, to);
            return if let Some(stream) = self.network.stream(from, to) {
                stream.waiting.push((from, bytes));
            };
        };
        if !stream.open {
            return stream.waiting.push((from, bytes));
        }
        let connection = stream.connection;
        let size = bytes.len() as u64;
        self.nodes[from].sent += size + FRAME + size / SEGMENT * SEGMENT_HEADERS;
        self.nodes[to].sent += ACKNOWLEDGEMENT;
        match self.network.send(&mut self.chance, self.now, from, to) {
            Fate::Breaks(at) => self.queue.push(at, Event::Break { from, to, connection, stalled: false }),
            Fate::Stalls => {
                self.network.stall(self.now, from, to, bytes);
                let at = self.now + BROKEN_AFTER;
                self.queue.push(at, Event::Break { from, to, connection, stalled: true });
            }
            Fate::Arrives(at) => {
                if self.chance.percent(self.network.weather.repeats) {
                    let later = at + self.chance.between(Duration::ZERO, Duration::from_secs(2));
                    self.queue.push(later, Event::Arrive { from, to, connection, bytes: bytes.clone() });
                }
                self.queue.push(at, Event::Arrive { from, to, connection, bytes });
            }
        }
    }

    fn dial_neighbours(&mut self, node: usize) {
        if self.nodes[node].paused.is_some() {
            return;
        }
        let missing: Vec<usize> =
            self.nodes[node].neighbours.iter().copied().filter(|to| !self.network.has(node, *to)).collect();
        for to in missing {
            self.dial(node, to);
        }
    }

    fn dial(&mut self, from: usize, to: usize) {
        let (connection, fate) = self.network.dial(&mut self.chance, self.now, from, to);
        match fate {
            Fate::Arrives(at) => self.queue.push(at, Event::Open { from, to, connection }),
            Fate::Breaks(at) => self.queue.push(at, Event::Break { from, to, connection, stalled: false }),
            Fate::Stalls => {}
        }
    }
}
