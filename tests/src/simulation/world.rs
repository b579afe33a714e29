//! The fleet as a whole: what is done to it, and what it looks like from above.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use smartfw_core::{
    fleet::{Entry, NodeId},
    gossip::{Audience, Limits, Report},
};

use super::{
    audit::Audit,
    chance::Chance,
    events::{Event, Queue},
    keys::Book,
    liar::Lie,
    network::Network,
    node::{Disk, Node},
};

/// The membership finds a start after this,
const JOINED: Duration = Duration::from_millis(500);
/// and a crash after this.
const MISSED: Duration = Duration::from_secs(3);
/// Neighbours without a stream are dialled again.
pub(super) const REDIAL: Duration = Duration::from_secs(1);

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
    pub(super) book: Book,
    pub(super) index: BTreeMap<NodeId, usize>,
    pub(super) limits: Limits,
    /// Who is alive, in which life, as far as the membership knows.
    pub(super) alive: BTreeSet<(usize, u32)>,
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
        self.nodes[node].disk = Disk::default();
        self.audit.unsteady(self.nodes[node].id());
    }

    /// A copy of a member's disk, as a snapshot of its machine is.
    pub fn copy(&self, node: usize) -> Disk {
        self.nodes[node].disk.clone()
    }

    /// A member that is down gets a disk back as it once was.
    pub fn rewind(&mut self, node: usize, disk: Disk) {
        self.nodes[node].disk = disk;
        self.nodes[node].disk.crash();
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
}
