//! Reaching out: to seeds, to those who are only heard of, to those who are gone.

use alloc::{sync::Arc, vec::Vec};
use core::{net::SocketAddr, time::Duration};

use super::{
    FORGET_AFTER, Keys, Members, MembersEffect, Path,
    datagram::Addressee,
    pace::{self, Settings},
    peer::MemberState,
    record::{Identity, Record},
};
use crate::{Time, fleet::NodeId};

/// Seeds: a person types them.
pub(super) const MAX_SEEDS: usize = 64;
/// Those who are only heard of, at once: a fleet of a thousand that begins together. Who brings more is not heard.
const MAX_RUMOURS: usize = 1024;
/// How often somebody who is only heard of is asked.
const RUMOUR_TRIES: u8 = 6;
/// Who has heard nobody by UDP for so long asks through streams sooner: two probes and their answers.
const SILENCE: Duration = Duration::from_secs(4);
/// How many who are gone are asked at once by a node that knows nobody alive.
const LONELY: usize = 8;
/// How often one of those who are gone is asked, in a fleet of up to sixteen; more seldom in larger ones, where there
/// are others who ask.
const REACH_EVERY: Duration = Duration::from_secs(5);
/// A new life begins at most so often, whoever says that this one is over.
const REVIVE_EVERY: Duration = Duration::from_secs(1);

/// Somebody whose certificate is not known yet.
#[derive(Clone, Debug)]
pub(super) struct Rumour {
    record: Arc<Record>,
    tries: u8,
    next: Time,
}

/// An address to ask.
#[derive(Clone, Debug)]
pub(super) struct Seed {
    pub(super) address: SocketAddr,
    tries: u32,
    next: Time,
}

impl Seed {
    pub(super) const fn new(address: SocketAddr, now: Time) -> Self {
        Self { address, tries: 0, next: now }
    }

    /// After a second, two, four, and from then on every eight.
    fn asked(&mut self, now: Time) {
        self.next = now.after(Duration::from_secs(1 << self.tries.min(3)));
        self.tries += 1;
    }
}

impl<K: Keys> Members<K> {
    /// Somebody is heard of whom nobody here knows: ask.
    pub(super) fn hear_rumour(&mut self, now: Time, record: &Arc<Record>) {
        if self.rumours.contains_key(&record.id) || self.rumours.len() >= MAX_RUMOURS || record.left {
            return;
        }
        self.rumours.insert(record.id, Rumour { record: record.clone(), tries: 0, next: now });
        self.ask_rumour(now, record.id);
    }

    /// Asks a member to let us in, or to say who it is.
    pub(super) fn contact(&mut self, now: Time, node: NodeId) {
        let Some(peer) = self.peers.get(&node) else {
            return self.send_introduction(Path::Stream(node), Addressee::ANYBODY, true);
        };
        if self.keys.knows(&node) && peer.knows == self.me.0.generation {
            let identity = Identity(peer.record.clone());
            self.with_foca(|foca, runtime| foca.announce(identity, runtime));
        } else {
            self.introduce(now, node, true);
        }
    }

    pub(super) fn tick(&mut self, now: Time) {
        self.see_suspects(now);
        if self.defunct {
            self.revive(now);
        }
        self.forget_old(now);
        self.ask_rumours(now);
        self.reach(now);
        self.grow(now);
        self.adapt();
    }

    /// Others think that this node is dead: under the same life it cannot say that it is not.
    pub(super) fn revive(&mut self, now: Time) {
        if self.revived_at.is_some_and(|at| now.since(at) < REVIVE_EVERY) {
            return;
        }
        (self.revived_at, self.defunct) = (Some(now), false);
        self.begin_life(self.me.0.generation.saturating_add(1), false);
    }

    pub(super) fn forget(&mut self, node: &NodeId) {
        if let Some(peer) = self.peers.remove(node) {
            let gone = foca::Timer::RemoveDown(Identity(peer.record));
            self.with_foca(|foca, runtime| foca.handle_timer(gone, runtime));
            self.effects.push_back(MembersEffect::Forget(*node));
        }
    }

    fn forget_old(&mut self, now: Time) {
        let old = |peer: &super::Peer| !peer.is_active() && now.since(peer.since) > FORGET_AFTER;
        let old: Vec<_> = self.peers.iter().filter(|(_, peer)| old(peer)).map(|(id, _)| *id).collect();
        old.iter().for_each(|node| self.forget(node));
    }

    fn ask_rumours(&mut self, now: Time) {
        let due: Vec<_> =
            self.rumours.iter().filter(|(_, rumour)| rumour.next <= now).map(|(id, _)| *id).collect();
        due.into_iter().for_each(|node| self.ask_rumour(now, node));
    }

    fn ask_rumour(&mut self, now: Time, node: NodeId) {
        let Some(rumour) = self.rumours.get_mut(&node) else { return };
        if rumour.tries >= RUMOUR_TRIES {
            self.rumours.remove(&node);
        } else if self.budget.write(now) {
            rumour.tries += 1;
            rumour.next = now.after(Duration::from_millis(500 << rumour.tries));
            // Perhaps UDP does not get through.
            let silent = now.since(self.udp_at) > SILENCE;
            let stream = rumour.tries % if silent { 2 } else { 3 } == 0;
            let path = if stream { Path::Stream(node) } else { Path::Datagram(rumour.record.card.address) };
            let to = Addressee::of(&rumour.record);
            self.send_introduction(path, to, true);
        }
    }

    /// Asks those who are gone, one at a time; more of them, and the seeds, where nobody else is there.
    fn reach(&mut self, now: Time) {
        let alone = self.foca.num_members() == 0;
        if alone {
            self.ask_seeds(now);
        } else if now < self.reach_at {
            return;
        }
        let crowd = (self.foca.num_members() / 16).max(1) as u32;
        self.reach_at = now.after((REACH_EVERY * crowd).min(Duration::from_secs(60)));
        let mut gone: Vec<_> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.state == MemberState::Dead)
            .map(|(id, _)| *id)
            .collect();
        for _ in 0..if alone { LONELY } else { 1 } {
            if gone.is_empty() {
                return;
            }
            let node = gone.swap_remove(self.chance.below(gone.len()));
            self.contact(now, node);
        }
    }

    fn ask_seeds(&mut self, now: Time) {
        let own = self.me.0.card.address;
        let mut due = Vec::new();
        for seed in self.seeds.iter_mut().filter(|seed| seed.next <= now && seed.address != own) {
            seed.asked(now);
            due.push(seed.address);
        }
        for address in due {
            self.send_introduction(Path::Datagram(address), Addressee::ANYBODY, true);
        }
    }

    /// While many come at once: asks one of them for those of whom we have not heard.
    fn grow(&mut self, now: Time) {
        let active = self.foca.num_members();
        if active > self.size {
            let any = self.chance.below(active);
            let identity = self.foca.iter_members().nth(any).map(|member| member.id().0.id);
            if let Some(node) = identity {
                self.contact(now, node);
            }
        }
        self.size = active;
    }

    /// foca's settings follow the fleet's size, our health, and how much there is to pass on.
    pub(super) fn adapt(&mut self) {
        let busy = pace::is_busy(self.foca.updates_backlog());
        let settings = Settings { size: self.size + 1, health: self.health, busy };
        if settings != self.settings {
            self.settings = settings;
            self.with_foca(|foca, _| foca.set_config(pace::config(settings)));
        }
    }
}

impl<K: Keys> Members<K> {
    /// This node's own address and life, as others see them.
    pub fn me(&self) -> super::Member {
        super::Member {
            id: self.me.0.id,
            card: self.record().card.clone(),
            state: if self.left { MemberState::Left } else { MemberState::Alive },
            since: self.revived_at.unwrap_or(Time::ZERO),
            round_trip: Some(Duration::ZERO),
        }
    }

    /// Where `node` is, as it said when it was last heard of; of somebody who is not known yet, as others say.
    pub fn address(&self, node: &NodeId) -> Option<SocketAddr> {
        let rumoured = || self.rumours.get(node).map(|rumour| &rumour.record);
        let record = self.peers.get(node).map(|peer| &peer.record).or_else(rumoured);
        record.map(|record| record.card.address)
    }
}
