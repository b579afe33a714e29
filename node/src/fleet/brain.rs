//! The fleet's part of the driver: logs, membership and sums, beside the agent and in its thread. It holds no handle to
//! the disk or the kernel: rows to keep are given back, and the agent is told.

mod announced;
mod begin;
mod carried;
mod effects;
mod kernel;
mod listed;
mod mirrored;
mod named;
mod orders;
mod said;
mod seen;
mod troubles;

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{Arc, atomic::AtomicU64},
};

use smartfw_core::{
    Agent, IpNet, Time,
    fleet::{Entry, NodeId},
    gossip::{Audience, Gossip, Now, Refused, Ticket},
    members::{Members, Path},
    protect::Protected,
    sums::Sums,
};
use smartfw_identity::{Current, Judge, Revocations, Role};
use tokio::sync::watch;

use super::{
    FleetRefused, Input,
    codec::PeerCodec,
    coordinators::{Coordinators, News, Places},
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
    health::Health,
    store::{Key, Value},
};

pub use named::Named;

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
    kernel: kernel::Kernel,
    spread: Spread,
    sessions: Sessions,
    coordinators: Coordinators,
    /// Whom to report to.
    places: watch::Sender<Places>,
    /// Who is logged in at other members, and where coordinators are.
    elsewhere: (Vec<Protected>, Vec<Protected>),
    orders: Vec<orders::WaitingOrder>,
    said: said::Said,
    carried: carried::Carried,
    troubles: troubles::Troubles,
    mirrored: mirrored::Mirrored,
    /// Whether what is applied comes from this node's own store.
    starting: bool,
    /// When it is looked again at what is wrong.
    checked: Time,
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
                self.tell_words(node);
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
            Input::Revoked => self.revoked(agent, now),
            Input::Order(order, reply) => self.order(agent, now, *order, reply),
            Input::Announced(id, address, reply) => self.announced(now, id, address, reply),
            Input::Enter(_, reply) => {
                drop(reply.send(Err(FleetRefused::InCluster(self.cluster.clone()))));
            }
            Input::Leave(reply) => {
                self.members.leave(now.wall);
                drop(reply.send(Ok(())));
            }
            Input::Foreigners(clusters) => agent.handle_foreign_clusters(now.wall, clusters),
            Input::Foreign(words, ahead) => drop(ahead.send(self.foreign(agent, now, words))),
            Input::Ask(question) => question(agent, Some(self), now.wall),
        }
    }

    /// This node says something, and what it rests on goes to the disk together with it. What there is no room for now is
    /// given back, to be said again.
    #[must_use]
    pub fn say(&mut self, now: Now, audience: Audience, entry: Entry) -> Option<Entry> {
        // A key that is no longer believed says nothing more; and what is too long never gets shorter.
        let again = entry.clone();
        match self.gossip.append(now, audience, entry) {
            Ok(()) => None,
            Err(Refused::Full { .. }) => {
                self.unsaid();
                Some(again)
            }
            Err(Refused::Quarantined | Refused::TooLong { .. }) => None,
        }
    }

    /// This node decides to drop a target.
    pub fn decided(&mut self, now: Now, target: IpNet) {
        self.spread.decided(target, now.steady);
    }

    /// Does what is due and what follows; whether the agent was told anything.
    pub fn settle(&mut self, agent: &mut Agent, now: Now) -> bool {
        self.members.keys().clock(now.wall);
        for (audience, news) in self.sessions.news(now.steady) {
            let unsaid = self.say(now, audience, news);
            unsaid.into_iter().for_each(|_| self.sessions.unsaid());
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
        self.check(now);
        told
    }

    /// Who is logged in at other members, and where coordinators are, where that has changed.
    pub fn take_protected(&mut self, now: Now) -> Option<Vec<Protected>> {
        let (members, me) = (&self.members, self.me);
        let member = |node: &NodeId| if *node == me { Some(members.me()) } else { members.member(node) };
        let name = |node: &NodeId| member(node).map_or_else(|| node.to_string(), |member| member.card.name);
        let sessions = self.sessions.protected(now.steady, name);
        let coordinators = self.coordinators.news(now.steady, name);
        if sessions.is_none() && coordinators.is_none() {
            return None;
        }
        sessions.into_iter().for_each(|all| self.elsewhere.0 = all);
        if let Some(News { places, protected }) = coordinators {
            self.places.send_replace(places);
            self.elsewhere.1 = protected;
        }
        let (sessions, coordinators) = &self.elsewhere;
        Some(sessions.iter().chain(coordinators).cloned().collect())
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
        self.mirror_persisted(upto);
    }

    /// When [`settle`](Self::settle) is due, by the wall clock.
    pub fn poll_timeout(&self, now: Now) -> Time {
        let steady = self.gossip.poll_timeout().min(self.sessions.due()).min(self.coordinators.due());
        let steady = now.wall.after(steady.since(now.steady));
        steady.min(self.members.poll_timeout()).min(self.sums.poll_timeout())
    }

    /// Ends this part: rows that are not needed any more.
    pub fn end(&mut self, now: Now) -> Vec<(Key, Value)> {
        self.counters.fleet.takes_part.set(false);
        self.clear_troubles();
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

    fn renewed(&mut self, now: Now) {
        self.members.keys().refresh();
        let card = self.card();
        self.members.handle_card(now.wall, card);
    }

    /// Somebody was expelled, or whoever signed somebody's certificate was.
    fn revoked(&mut self, agent: &mut Agent, now: Now) {
        let Ok(set) = self.revocations.get() else { return };
        let revocations = &self.revocations;
        let known = self.members.keys().members().filter(|member| revocations.check(member).is_err());
        let mut gone: BTreeSet<NodeId> = known.map(|member| member.id).collect();
        gone.extend(
            set.iter().map(|revocation| revocation.node).filter(|node| set.is_revoked(node, Role::Node)),
        );
        for node in gone {
            self.expel(agent, now, node);
        }
        let out = |node: &NodeId| set.is_revoked(node, Role::Operator);
        agent.handle_operators_expelled(now.wall, |operator, signer| out(operator) || out(signer));
    }

    fn expel(&mut self, agent: &mut Agent, now: Now, node: NodeId) {
        if self.expelled.insert(node) && node != self.me {
            tracing::warn!(%node, "a member was expelled");
            self.gossip.handle_revoked(now, node);
            agent.handle_expelled(now.wall, node);
            self.members.handle_expelled(now.wall, &node);
            self.members.keys().forget(&node);
            self.sessions.forget(&node);
            self.coordinators.forget(&node);
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
