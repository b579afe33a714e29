//! A network in memory: one seed, one queue of what happens next.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::{
    hash::Hasher,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};
use std::format;

use siphasher::sip::SipHasher13;

use crate::{Time, chance::Chance, fleet::NodeId, members::*};

pub(super) const START: Time = Time::from_secs(1_800_000_000);

/// Certificates of a cluster: a keyed hash that nobody outside has the key of.
#[derive(Clone, Debug)]
pub(super) struct Notary {
    me: NodeId,
    chain: Vec<u8>,
    known: BTreeSet<NodeId>,
    pub(super) revoked: BTreeSet<NodeId>,
}

pub(super) fn mac(signer: &NodeId, bytes: &[u8]) -> [u8; 64] {
    let mut hasher = SipHasher13::new_with_keys(signer.short() ^ 0x5ec2e7, 7);
    hasher.write(bytes);
    let tag = hasher.finish().to_be_bytes();
    let mut signature = [0; 64];
    signature[..8].copy_from_slice(&tag);
    signature
}

impl Notary {
    pub(super) fn new(me: NodeId) -> Self {
        let mut chain = b"cluster".to_vec();
        chain.resize(800, 0);
        Self { me, chain, known: BTreeSet::new(), revoked: BTreeSet::new() }
    }

    /// With a certificate of another cluster.
    pub(super) fn foreign(me: NodeId) -> Self {
        Self { chain: b"elsewhere".to_vec(), ..Self::new(me) }
    }
}

impl Keys for Notary {
    fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        mac(&self.me, bytes)
    }

    fn verify(&self, signer: &NodeId, bytes: &[u8], signature: &[u8; 64]) -> bool {
        (self.knows(signer) || *signer == self.me) && mac(signer, bytes) == *signature
    }

    fn knows(&self, node: &NodeId) -> bool {
        self.known.contains(node) && !self.revoked.contains(node)
    }

    fn chain(&self) -> &[u8] {
        &self.chain
    }

    fn introduce(&mut self, _: Time, node: &NodeId, chain: &[u8]) -> bool {
        let ours = chain.starts_with(b"cluster") && !self.revoked.contains(node);
        if ours {
            self.known.insert(*node);
        }
        ours
    }
}

pub(super) struct Host {
    pub(super) members: Members<Notary>,
    pub(super) up: bool,
    /// Its process sleeps until then.
    pub(super) paused_until: Time,
    pub(super) disk: BTreeMap<NodeId, Remembered>,
    pub(super) events: Vec<(Time, MembersEffect)>,
    /// By how many seconds its clock is wrong.
    pub(super) clock: i64,
    inbox: Vec<(Path, Vec<u8>)>,
}

pub(super) struct Net {
    pub(super) now: Time,
    pub(super) hosts: Vec<Host>,
    in_flight: BTreeMap<(Time, u64), (usize, Path, Vec<u8>)>,
    sent: u64,
    chance: Chance,
    /// Of a thousand datagrams, so many are lost.
    pub(super) loss: u64,
    /// Pairs that cannot talk, in this direction.
    pub(super) cut: BTreeSet<(usize, usize)>,
    /// Whether UDP gets through.
    pub(super) udp: bool,
    /// Whose UDP is dropped, what it sends and what is sent to it; streams work.
    pub(super) mute: BTreeSet<usize>,
    /// Who gets no UDP, but may send it.
    pub(super) deaf: BTreeSet<usize>,
    /// Pairs with a stream, the lesser first.
    streams: BTreeSet<(usize, usize)>,
    /// Everything that was ever sent, where somebody listens.
    pub(super) tap: Option<Vec<(usize, usize, Vec<u8>)>>,
    by_address: BTreeMap<SocketAddr, usize>,
    by_id: BTreeMap<NodeId, usize>,
    /// Who wants to be woken when.
    wakes: BTreeSet<(Time, usize)>,
    wake_of: Vec<Time>,
    /// Datagrams that went through streams, and by UDP.
    pub(super) ways: Option<(u64, u64)>,
}

pub(super) fn id(index: usize) -> NodeId {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&(index as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    id[31] = index as u8;
    NodeId(id)
}

pub(super) fn address(index: usize) -> SocketAddr {
    (Ipv4Addr::from(0x0a00_0001 + index as u32), 7470).into()
}

pub(super) fn config(index: usize, boot: u64, seeds: &[usize]) -> MembersConfig {
    let card = Card {
        address: address(index),
        name: format!("web-{index}"),
        site: "default".into(),
        version: "0.1.0".into(),
        expires: START.as_secs() + 30 * 24 * 3600,
    };
    MembersConfig { id: id(index), card, boot, seeds: seeds.iter().map(|seed| address(*seed)).collect() }
}

impl Host {
    /// What its clock shows.
    fn reads(&self, now: Time) -> Time {
        shifted(now, self.clock)
    }

    /// When it wants to be woken.
    fn due(&self) -> Time {
        shifted(self.members.poll_timeout(), -self.clock).max(self.paused_until)
    }
}

fn shifted(time: Time, seconds: i64) -> Time {
    if time == Time::NEVER {
        return time;
    }
    Time::from_nanos(time.as_nanos().saturating_add_signed(seconds * 1_000_000_000))
}

impl Net {
    /// `size` nodes that all know the first one's address, and start within a second.
    pub(super) fn new(size: usize, seed: u64) -> Self {
        let mut net = Self {
            now: START,
            hosts: Vec::new(),
            in_flight: BTreeMap::new(),
            sent: 0,
            chance: Chance::new(seed),
            loss: 0,
            cut: BTreeSet::new(),
            udp: true,
            mute: BTreeSet::new(),
            deaf: BTreeSet::new(),
            streams: BTreeSet::new(),
            tap: None,
            by_address: (0..size).map(|index| (address(index), index)).collect(),
            by_id: (0..size).map(|index| (id(index), index)).collect(),
            wakes: BTreeSet::new(),
            wake_of: alloc::vec![Time::NEVER; size],
            ways: Some((0, 0)),
        };
        for index in 0..size {
            let members = net.start(index, 1, &[0]);
            net.hosts.push(Host {
                members,
                up: true,
                paused_until: Time::ZERO,
                disk: BTreeMap::new(),
                events: Vec::new(),
                clock: 0,
                inbox: Vec::new(),
            });
            net.collect(index);
        }
        net
    }

    /// The same, formed.
    pub(super) fn formed(size: usize, seed: u64) -> Self {
        let mut net = Self::new(size, seed);
        let took = net.until(120, Self::is_whole);
        assert!(took.is_some(), "{size} nodes did not form");
        net.run(Duration::from_secs(5));
        net
    }

    fn start(&mut self, index: usize, boot: u64, seeds: &[usize]) -> Members<Notary> {
        let seed = self.chance.next();
        Members::new(config(index, boot, seeds), Notary::new(id(index)), seed, self.now)
    }

    /// Starts a node that was stopped, with what it kept, and without seeds.
    pub(super) fn restart(&mut self, index: usize, boot: u64) {
        let mut members = self.start(index, boot, &[]);
        let host = &mut self.hosts[index];
        host.disk.values().for_each(|kept| members.restore(self.now, kept));
        (host.members, host.up) = (members, true);
        self.collect(index);
    }

    pub(super) fn run(&mut self, duration: Duration) {
        let end = self.now.after(duration);
        while self.step(end) {}
        self.now = end;
    }

    /// Runs until `done`, at most so many seconds; how long it took.
    pub(super) fn until(&mut self, seconds: u64, done: impl Fn(&Self) -> bool) -> Option<Duration> {
        let begin = self.now;
        for _ in 0..seconds * 10 {
            if done(self) {
                return Some(self.now.since(begin));
            }
            self.run(Duration::from_millis(100));
        }
        done(self).then(|| self.now.since(begin))
    }

    /// Everybody who is up sees exactly everybody else who is up.
    pub(super) fn is_whole(&self) -> bool {
        let up = self.hosts.iter().filter(|host| host.up).count();
        self.hosts.iter().filter(|host| host.up).all(|host| host.members.alive().count() == up - 1)
    }

    pub(super) fn state(&self, of: usize, at: usize) -> Option<MemberState> {
        self.hosts[at].members.member(&id(of)).map(|member| member.state)
    }

    pub(super) fn downs(&self, at: usize) -> usize {
        self.hosts[at].events.iter().filter(|(_, event)| matches!(event, MembersEffect::Down(_))).count()
    }

    /// Delivers bytes to a node, now.
    pub(super) fn inject(&mut self, to: usize, from: Path, bytes: &[u8]) {
        let now = self.hosts[to].reads(self.now);
        self.hosts[to].members.handle_datagram(now, from, bytes);
        self.collect(to);
    }

    /// Does something with a node, now.
    pub(super) fn with<R>(&mut self, index: usize, work: impl FnOnce(&mut Members<Notary>, Time) -> R) -> R {
        let now = self.hosts[index].reads(self.now);
        let result = work(&mut self.hosts[index].members, now);
        self.collect(index);
        result
    }

    /// A node listens somewhere else.
    pub(super) fn readdress(&mut self, index: usize, address: SocketAddr) {
        self.by_address.remove(&self::address(index));
        self.by_address.insert(address, index);
    }

    fn step(&mut self, end: Time) -> bool {
        let arrival = self.in_flight.first_key_value().map_or(Time::NEVER, |((at, _), _)| *at);
        let (due, index) = self.wakes.first().copied().unwrap_or((Time::NEVER, 0));
        if arrival.min(due) > end {
            return false;
        }
        if arrival <= due {
            self.now = self.now.max(arrival);
            if let Some((_, (to, from, bytes))) = self.in_flight.pop_first() {
                self.arrive(to, from, bytes);
            }
            return true;
        }
        self.now = self.now.max(due);
        if !self.hosts[index].up {
            self.wakes.remove(&(due, index));
            return true;
        }
        // Whoever slept finds its timers first, and only then what has arrived meanwhile.
        self.with(index, |members, now| members.handle_timeout(now));
        for (from, bytes) in core::mem::take(&mut self.hosts[index].inbox) {
            let now = self.hosts[index].reads(self.now);
            self.hosts[index].members.handle_datagram(now, from, &bytes);
            self.collect(index);
        }
        true
    }

    fn arrive(&mut self, to: usize, from: Path, bytes: Vec<u8>) {
        let host = &mut self.hosts[to];
        if !host.up {
            return;
        }
        if host.paused_until > self.now {
            host.inbox.push((from, bytes));
            return;
        }
        let now = host.reads(self.now);
        match from {
            // A stream has opened.
            Path::Stream(node) if bytes.is_empty() => host.members.handle_contact(now, node),
            _ => host.members.handle_datagram(now, from, &bytes),
        }
        self.collect(to);
    }

    /// A node dials another: both hear of the stream.
    pub(super) fn dial(&mut self, from: usize, to: usize) {
        if self.streams.insert((from.min(to), from.max(to))) {
            self.fly(to, Path::Stream(id(from)), Vec::new());
            self.fly(from, Path::Stream(id(to)), Vec::new());
        }
    }

    fn collect(&mut self, from: usize) {
        while let Some(effect) = self.hosts[from].members.poll_effect() {
            match effect {
                MembersEffect::Send(path, bytes) => self.carry(from, path, bytes),
                MembersEffect::Remember(kept) => {
                    self.hosts[from].disk.insert(kept.node, kept);
                }
                MembersEffect::Forget(node) => {
                    self.hosts[from].disk.remove(&node);
                }
                event => self.hosts[from].events.push((self.now, event)),
            }
        }
        let host = &self.hosts[from];
        let due = host.due();
        self.wakes.remove(&(self.wake_of[from], from));
        self.wakes.insert((due, from));
        self.wake_of[from] = due;
    }

    /// Stops the process of a node for a while.
    pub(super) fn pause(&mut self, index: usize, duration: Duration) {
        self.hosts[index].paused_until = self.now.after(duration);
        self.collect(index);
    }

    fn carry(&mut self, from: usize, path: Path, bytes: Vec<u8>) {
        assert!(bytes.len() <= MAX_DATAGRAM, "{} bytes", bytes.len());
        let (to, came) = match path {
            Path::Datagram(address) => (self.by_address.get(&address), Path::Datagram(self::address(from))),
            Path::Stream(node) => (self.by_id.get(&node), Path::Stream(id(from))),
        };
        let Some(to) = to.copied() else { return };
        if let Some(tap) = &mut self.tap {
            tap.push((from, to, bytes.clone()));
        }
        let stream = matches!(path, Path::Stream(_));
        if let Some((streams, datagrams)) = &mut self.ways {
            *if stream { streams } else { datagrams } += 1;
        }
        let muted =
            !self.udp || self.mute.contains(&from) || self.mute.contains(&to) || self.deaf.contains(&to);
        let lost = !stream && (muted || self.chance.next() % 1000 < self.loss);
        if self.cut.contains(&(from, to)) || lost {
            return;
        }
        if stream && !self.streams.contains(&(from.min(to), from.max(to))) {
            // Whoever is sent something is dialled, where it is known where it is.
            if self.hosts[from].members.address(&id(to)).is_none() || self.cut.contains(&(to, from)) {
                return;
            }
            self.dial(from, to);
        }
        self.fly(to, came, bytes);
    }

    fn fly(&mut self, to: usize, came: Path, bytes: Vec<u8>) {
        let delay = Duration::from_micros(500 + self.chance.next() % 2500);
        self.sent += 1;
        self.in_flight.insert((self.now.after(delay), self.sent), (to, came, bytes));
    }
}
