//! The fleet's part of the driver: logs, membership and sums, beside the agent and in its thread. It holds no handle to
//! the disk or the kernel: rows to keep are given back, and the agent is told.

mod begin;
mod effects;
mod named;
mod seen;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    sync::{Arc, atomic::AtomicU64},
};

use smartfw_core::{
    Agent, IpNet, Time,
    fleet::{Entry, NodeId, OrderVerifier as _, SignedOrder, Version},
    gossip::{Audience, Gossip, Now, Ticket},
    members::{Members, Path},
    protect::Protected,
    sums::Sums,
};
use smartfw_identity::{Current, Judge, Revocations};

use super::{
    FleetRefused, Input, Reply,
    codec::PeerCodec,
    keys::MemberKeys,
    links::Links,
    network::Udp,
    rows::{self, Boot},
    sessions::Sessions,
    spread::Spread,
};
use crate::{
    clock,
    counters::Counters,
    enforcement,
    health::{Health, Level, Matter},
    store::{Key, Value},
};

pub use named::Named;

/// Words of members that wait for the kernel: as many logs as there are, in a few batches. The oldest go first: then
/// their origin is told with the next one.
const CONFIRMING: usize = 4096;
/// Orders that wait for the disk: what operators give at once.
const ORDERS: usize = 4096;
/// Rounds in which what one part wants done makes another want something; more would be a circle.
const ROUNDS: usize = 64;

/// Logs, membership and sums of one member.
pub struct Brain {
    me: NodeId,
    cluster: String,
    current: Current,
    revocations: Arc<Revocations>,
    judge: Arc<Judge<PeerCodec>>,
    links: Arc<Links>,
    udp: Udp,
    address: SocketAddr,
    epoch: Arc<AtomicU64>,
    counters: Arc<Counters>,
    health: Arc<Health>,
    boot: Boot,
    gossip: Gossip,
    members: Members<MemberKeys>,
    sums: Sums,
    /// Rows on their way to the disk.
    rows: Vec<(Key, Value)>,
    /// The last of the logs' tickets among the rows.
    ticket: Ticket,
    /// The life that is stored.
    life: u64,
    neighbours: BTreeSet<NodeId>,
    /// Whether members came, went or changed.
    changed: bool,
    /// Who was expelled, as the logs know it.
    expelled: BTreeSet<NodeId>,
    /// What was applied of each log since the kernel was given its changes.
    applied: BTreeMap<(NodeId, bool), Version>,
    confirming: VecDeque<(enforcement::Ticket, NodeId, bool, Version)>,
    spread: Spread,
    sessions: Sessions,
    orders: Vec<WaitingOrder>,
}

/// An order on its way to the disk and the kernel.
struct WaitingOrder {
    /// Once it is among the rows, and what it changes among the tasks: behind which of them.
    behind: Option<(Ticket, enforcement::Ticket)>,
    reply: Reply,
}

impl Brain {
    /// Something of the fleet has come.
    pub fn handle(&mut self, agent: &mut Agent, now: Now, input: Input) {
        self.members.keys().clock(now.wall);
        match input {
            Input::Connected(peer, _permit) => {
                let node = peer.member.id;
                self.members.keys().admit(peer.member);
                self.members.handle_contact(now.wall, node);
                self.gossip.handle_connected(now, node);
            }
            Input::Disconnected(node) => self.gossip.handle_disconnected(now, node),
            Input::Message(from, message, _permit) => self.gossip.handle_message(now, from, *message),
            Input::Datagrams(all) => {
                for one in all {
                    self.members.handle_datagram(now.wall, Path::Datagram(one.from), &one.bytes);
                }
            }
            Input::Passed(from, bytes, _permit) => {
                self.members.handle_datagram(now.wall, Path::Stream(from), &bytes);
            }
            Input::Sums(from, message, _permit) => self.sums.handle_message(now.wall, from, *message),
            Input::Weak(signs) => {
                signs.into_iter().for_each(|sign| self.sums.handle_observation(now.wall, sign));
            }
            Input::Protected(protected) => self.sessions.see(&protected),
            Input::Regulars(regulars) => agent.handle_regulars(now.wall, regulars),
            Input::Renewed => self.renewed(now),
            Input::Revoked => self.revoked(now),
            Input::Order(order, reply) => self.order(now, *order, reply),
            Input::Enter(_, reply) => {
                drop(reply.send(Err(FleetRefused::InCluster(self.cluster.clone()))));
            }
            Input::Leave(reply) => {
                self.members.leave(now.wall);
                drop(reply.send(Ok(())));
            }
            Input::Ask(question) => question(agent, Some(self), now.wall),
        }
    }

    /// This node says something; what it rests on is on disk.
    pub fn say(&mut self, now: Now, audience: Audience, entry: Entry) {
        if let Err(refused) = self.gossip.append(now, audience, entry) {
            self.health.set(
                Matter::FleetLog,
                Level::Error,
                format!("what this node blocks is not told to the fleet: {refused}"),
                "smartfw-cli status says whether the disk refuses; a key that was copied has to be replaced",
            );
        }
    }

    /// This node decides to drop a target.
    pub fn decided(&mut self, now: Now, target: IpNet) {
        self.spread.decided(target, now.steady);
    }

    /// Does what is due and what follows; whether the agent was told anything.
    pub fn settle(&mut self, agent: &mut Agent, now: Now) -> bool {
        self.members.keys().clock(now.wall);
        if let Some(news) = self.sessions.news(now.steady) {
            self.say(now, Audience::Cluster, news);
        }
        let mut told = false;
        for _ in 0..ROUNDS {
            self.timeouts(now);
            let done = self.effects(agent, now);
            told |= done.told;
            if !done.any {
                break;
            }
        }
        if std::mem::take(&mut self.changed) {
            self.tell_members(agent, now);
            self.effects(agent, now);
            told = true;
        }
        told
    }

    /// Who is logged in at other members, where that has changed.
    pub fn take_protected(&mut self, now: Now) -> Option<Vec<Protected>> {
        let (members, short) = (&self.members, |node: &NodeId| node.to_string());
        let name =
            |node: &NodeId| members.member(node).map_or_else(|| short(node), |member| member.card.name);
        self.sessions.protected(now.steady, name)
    }

    /// The rows to keep, and the last of the tickets among them and before.
    pub fn take_rows(&mut self) -> (Vec<(Key, Value)>, Ticket) {
        (std::mem::take(&mut self.rows), self.ticket)
    }

    /// Whether there are rows to keep.
    pub const fn has_rows(&self) -> bool {
        !self.rows.is_empty()
    }

    /// Everything that a store has to hold: for one that lost what it had.
    pub fn handle_store_lost(&mut self, now: Now) {
        let at = self.boot.stamp(now);
        self.rows.extend(self.gossip.kept(now).map(|kept| rows::of_kept(&kept, at)));
        self.rows.extend(self.members.remembered().map(|peer| rows::of_peer(&peer)));
        self.rows.push(rows::of_life(self.life));
    }

    /// The disk has everything up to here.
    pub fn handle_persisted(&mut self, now: Now, upto: Ticket) {
        self.gossip.handle_persisted(now, upto);
    }

    /// What was applied so far is among the kernel's tasks up to `last`, and the kernel has carried out those up to
    /// `done`: origins are told, and operators answered.
    pub fn handle_kernel(&mut self, last: enforcement::Ticket, done: enforcement::Ticket, disk: Ticket) {
        let applied = std::mem::take(&mut self.applied);
        self.confirming
            .extend(applied.into_iter().map(|((node, site), version)| (last, node, site, version)));
        while self.confirming.len() > CONFIRMING {
            self.confirming.pop_front();
        }
        while let Some(&(_, node, site, version)) =
            self.confirming.front().filter(|(behind, ..)| *behind <= done)
        {
            self.confirming.pop_front();
            self.gossip.confirm(node, site, version);
        }
        let said = self.gossip.waiting() == 0;
        for order in self.orders.iter_mut().filter(|order| said && order.behind.is_none()) {
            order.behind = Some((self.ticket, last));
        }
        let ready = |order: &mut WaitingOrder| {
            order.behind.is_some_and(|(kept, changed)| kept <= disk && changed <= done)
        };
        for order in self.orders.extract_if(.., ready) {
            drop(order.reply.send(Ok(())));
        }
    }

    /// When [`settle`](Self::settle) is due, by the wall clock.
    pub fn poll_timeout(&self, now: Now) -> Time {
        let steady = self.gossip.poll_timeout().min(self.sessions.due());
        let steady = now.wall.after(steady.since(now.steady));
        steady.min(self.members.poll_timeout()).min(self.sums.poll_timeout())
    }

    /// Ends this part: rows that are not needed any more.
    pub fn end(&mut self, now: Now) -> Vec<(Key, Value)> {
        self.counters.fleet.takes_part.set(false);
        let at = self.boot.stamp(now);
        let gone = self.gossip.kept(now).map(|kept| (rows::of_kept(&kept, at).0, None));
        let peers = self.members.remembered().map(|peer| rows::without_peer(&peer.node));
        gone.chain(peers).chain(rows::without_self()).collect()
    }

    fn timeouts(&mut self, now: Now) {
        if self.gossip.poll_timeout() <= now.steady {
            self.gossip.handle_timeout(now);
        }
        if self.members.poll_timeout() <= now.wall {
            self.members.handle_timeout(now.wall);
        }
        if self.sums.poll_timeout() <= now.wall {
            self.sums.handle_timeout(now.wall);
        }
    }

    fn order(&mut self, now: Now, order: SignedOrder, reply: Reply) {
        let refused = match self.judge.verify_order(&order) {
            Err(why) => Some(FleetRefused::Order(why.to_string())),
            Ok(_) if self.orders.len() >= ORDERS => {
                Some(FleetRefused::Order(format!("{ORDERS} wait for the disk already")))
            }
            Ok(_) => {
                let said = self.gossip.append(now, Audience::Cluster, Entry::Order(order));
                said.err().map(|why| FleetRefused::Order(why.to_string()))
            }
        };
        match refused {
            Some(refused) => drop(reply.send(Err(refused))),
            None => self.orders.push(WaitingOrder { behind: None, reply }),
        }
    }

    fn renewed(&mut self, now: Now) {
        self.members.keys().refresh();
        let card = self.card();
        self.members.handle_card(now.wall, card);
    }

    /// Somebody was expelled, or whoever signed somebody's certificate was.
    fn revoked(&mut self, now: Now) {
        let Ok(set) = self.revocations.get() else { return };
        let revocations = &self.revocations;
        let known = self.members.keys().members().filter(|member| revocations.check(member).is_err());
        let mut gone: BTreeSet<NodeId> = known.map(|member| member.id).collect();
        gone.extend(
            set.iter()
                .map(|revocation| revocation.node)
                .filter(|node| set.is_revoked(node, smartfw_identity::Role::Node)),
        );
        for node in gone {
            self.expel(now, node);
        }
    }

    fn expel(&mut self, now: Now, node: NodeId) {
        if node != self.me && self.expelled.insert(node) {
            tracing::warn!(%node, "a member was expelled");
            self.gossip.handle_revoked(now, node);
            self.members.handle_expelled(now.wall, &node);
            self.members.keys().forget(&node);
            self.sessions.forget(&node);
            self.links.cut(&node);
            self.changed = true;
        }
    }

    fn card(&self) -> smartfw_core::members::Card {
        begin::card(&self.current, self.address)
    }

    /// The clocks.
    pub fn now() -> Now {
        Now { steady: clock::steady(), wall: clock::now() }
    }
}
