//! Two or three members, wired by hand.

mod hostile;
mod lives;
mod order;
mod repair;

use alloc::{boxed::Box, collections::VecDeque, format, string::String, vec::Vec};
use core::{hash::Hasher, time::Duration};

use ipnet::IpNet;
use siphasher::sip::SipHasher24;

use super::*;
use crate::{
    Class, Detector, Strength,
    fleet::{
        FleetBlock, LogId, NodeId, RunHeader, RunParts, SealError, SignedOrder, SignedRun, Signer,
        VerifiedRun, Version,
    },
};

const SITE: &str = "here";
const CLUSTER: &str = "test";
const HOUR: Duration = Duration::from_secs(3600);

/// Signs with its number.
struct Key(u8);

impl Signer for Key {
    fn id(&self) -> NodeId {
        id(self.0)
    }

    fn seal(&mut self, header: RunHeader, entries: Vec<Entry>) -> Result<VerifiedRun, SealError> {
        Ok(seal(header, entries))
    }

    fn leaves(&self, entry: &Entry) -> bool {
        match entry {
            Entry::Block(_) | Entry::Withdraw { .. } => true,
            Entry::Order(order) => order.bytes.starts_with(b"block"),
            _ => false,
        }
    }
}

/// A run whose bytes stand for its contents.
fn seal(header: RunHeader, entries: Vec<Entry>) -> VerifiedRun {
    let bytes: Vec<u8> = format!("{header:?}{entries:?}").into_bytes();
    let mut signature = [0; 64];
    for (word, part) in (0..).zip(signature.chunks_exact_mut(8)) {
        let mut hasher = SipHasher24::new_with_keys(word, header.origin.short());
        hasher.write(&bytes);
        part.copy_from_slice(&hasher.finish().to_le_bytes());
    }
    let signed = SignedRun { bytes: bytes.into(), signature, certificate: [header.origin.0[0]; 100].into() };
    VerifiedRun::from_verified(RunParts { header, entries, signed })
}

const fn id(number: u8) -> NodeId {
    NodeId([number; 32])
}

fn member(number: u8, site: &str) -> Member {
    Member { id: id(number), site: site.into() }
}

fn at(seconds: u64) -> Now {
    Now { steady: Time::from_secs(1000 + seconds), wall: Time::from_secs(1_800_000_000 + seconds) }
}

fn header(origin: u8, epoch: u64, first: u64) -> RunHeader {
    let floor = Version::default();
    RunHeader {
        cluster: CLUSTER.into(),
        site: None,
        origin: id(origin),
        epoch,
        first,
        issued: at(0).wall,
        floor,
    }
}

fn log(origin: u8) -> LogId {
    LogId { origin: id(origin), site: None }
}

fn block(host: u8, lasts: Option<Duration>) -> Entry {
    Entry::Block(FleetBlock {
        target: IpNet::from(core::net::IpAddr::from([203, 0, 113, host])),
        class: Class::PortScan,
        confidence: 1.0,
        strength: Strength::Hard,
        detector: Detector::Rules,
        evidence: None,
        reason: "because".into(),
        level: 1,
        duration: lasts,
    })
}

fn withdraw(host: u8) -> Entry {
    Entry::Withdraw { target: IpNet::from(core::net::IpAddr::from([203, 0, 113, host])), lasts: None }
}

fn order(text: &str) -> Entry {
    let (bytes, certificate) = (text.as_bytes().into(), [1; 50].into());
    Entry::Order(SignedOrder { bytes, signature: [3; 64], certificate, lasts: Some(HOUR) })
}

/// A member whose disk writes at once unless told to wait.
struct Node {
    gossip: Gossip,
    disk: Option<Ticket>,
    waits: bool,
    sent: VecDeque<(NodeId, Message<SignedRun>)>,
    applied: Vec<(LogId, Version, Entry, Option<Duration>)>,
    voided: Vec<(IpNet, Version, Voided)>,
    kept: Vec<Kept>,
    reports: Vec<Report>,
}

impl Node {
    fn new(number: u8) -> Self {
        Self::with(number, Limits::default())
    }

    fn with(number: u8, limits: Limits) -> Self {
        let mut node = Self::stopped(number, limits);
        node.gossip.start(at(0));
        node.turn(at(0));
        node
    }

    fn stopped(number: u8, limits: Limits) -> Self {
        let config = Config { cluster: CLUSTER.into(), site: SITE.into(), limits };
        Self {
            gossip: Gossip::new(config, Box::new(Key(number)), 7),
            disk: None,
            waits: false,
            sent: VecDeque::new(),
            applied: Vec::new(),
            voided: Vec::new(),
            kept: Vec::new(),
            reports: Vec::new(),
        }
    }

    /// Carries out everything that is to be done now.
    fn turn(&mut self, now: Now) {
        loop {
            while let Some(effect) = self.gossip.poll_effect() {
                self.effect(effect);
            }
            match self.disk.take_if(|_| !self.waits) {
                Some(ticket) => self.gossip.handle_persisted(now, ticket),
                None if self.gossip.poll_timeout() <= now.steady => self.gossip.handle_timeout(now),
                None => return,
            }
        }
    }

    fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Apply { log, version, entry, remaining } => {
                self.applied.push((log, version, entry, remaining))
            }
            Effect::Void { target, upto, why, .. } => self.voided.push((target, upto, why)),
            Effect::Persist(ticket, kept) => {
                self.disk = Some(ticket);
                self.kept.push(kept);
            }
            Effect::Send(to, message) => self.sent.push_back((to, message)),
            Effect::Report(report) => self.reports.push(report),
            Effect::Neighbours(_) | Effect::Enforced { .. } => {}
        }
    }

    fn say(&mut self, now: Now, entry: Entry) {
        self.gossip.append(now, Audience::Cluster, entry).unwrap();
        self.turn(now);
    }

    fn hear(&mut self, now: Now, from: u8, message: Message<VerifiedRun>) {
        self.gossip.handle_message(now, id(from), message);
        self.turn(now);
    }

    fn take(&mut self, now: Now, from: u8, run: VerifiedRun, age: Duration) {
        self.hear(now, from, Message::Runs { runs: [Carried { run, age }].into(), answers: None });
    }

    fn meet(&mut self, now: Now, others: &[u8]) {
        self.gossip.handle_members(now, others.iter().map(|number| member(*number, SITE)).collect());
        for other in others {
            self.gossip.handle_connected(now, id(*other));
        }
        self.turn(now);
    }

    /// The runs that it has sent so far.
    fn told(&mut self) -> Vec<(NodeId, Carried<SignedRun>)> {
        let runs = self.sent.drain(..).filter_map(|(to, message)| match message {
            Message::Runs { runs, .. } => Some(runs.into_iter().map(move |run| (to, run))),
            _ => None,
        });
        runs.flatten().collect()
    }

    fn last(&self) -> &(LogId, Version, Entry, Option<Duration>) {
        self.applied.last().unwrap()
    }
}

/// Carries messages between members until nobody says anything; `runs` knows the runs behind the bytes.
fn talk(now: Now, nodes: &mut [(u8, Node)], runs: &dyn Fn(&SignedRun) -> VerifiedRun) -> usize {
    let mut count = 0;
    loop {
        let mut said = Vec::new();
        for (number, node) in nodes.iter_mut() {
            said.extend(node.sent.drain(..).map(|(to, message)| (*number, to, message)));
        }
        if said.is_empty() {
            return count;
        }
        for (from, to, message) in said {
            count += 1;
            let message = message.convert(|run| Some(runs(&run))).unwrap();
            let node = nodes.iter_mut().find(|(number, _)| id(*number) == to);
            if let Some((_, node)) = node {
                node.hear(now, from, message);
            }
        }
        assert!(count < 100_000, "they never stop");
    }
}

/// Says what was in bytes that were signed here.
fn library(runs: &[VerifiedRun]) -> impl Fn(&SignedRun) -> VerifiedRun + use<> {
    let known: alloc::collections::BTreeMap<[u8; 64], VerifiedRun> =
        runs.iter().map(|run| (run.signed().signature, run.clone())).collect();
    move |signed| known[&signed.signature].clone()
}

fn text(value: &impl core::fmt::Debug) -> String {
    format!("{value:?}")
}
