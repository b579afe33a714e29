//! The simulated shell around each core: it carries out effects, and brings what arrives.

use std::{collections::BTreeSet, time::Duration};

use prost::Message as _;
use smartfw_core::{
    Time,
    fleet::{Entry, NodeId, SignedRun},
    gossip::{Effect, Member, Message, Ticket},
};
use smartfw_proto::{convert::Told, wire};

use super::{
    events::Event,
    network::{BROKEN_AFTER, Fate},
    world::{REDIAL, World},
};

/// A group commit.
const FLUSH: Duration = Duration::from_millis(3);

/// Headers of gRPC, HTTP/2, TLS, TCP and IP around a message of up to a segment.
const FRAME: u64 = 5 + 9 + 22 + 52;
/// Payload of a segment, and the headers of each further one.
const SEGMENT: u64 = 1448;
const SEGMENT_HEADERS: u64 = 52;
/// An acknowledgement of its own for each message: none rides on data.
const ACKNOWLEDGEMENT: u64 = 52;

impl World {
    pub(super) fn handle(&mut self, event: Event) {
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

    pub(super) fn broken(&mut self, from: usize, to: usize) {
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

    pub(super) fn members(&mut self) {
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
                    Entry::Withdraw { .. }
                    | Entry::Sessions { .. }
                    | Entry::Coordinator { .. }
                    | Entry::Unknown { .. } => {}
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
