//! Datagrams that arrive: who says it, to whom, whether it is new, whether it is signed, and only then what it says.

use alloc::{sync::Arc, vec::Vec};

use foca::{Member, Message, State};

use super::{
    Keys, MAX_MEMBERS, Members, MembersEffect, Path,
    datagram::{Addressee, Body, Envelope, News, Opened, Told, named},
    pace::MAX_NEWS,
    peer::{MemberState, Peer},
    record::{Identity, Record},
    stats::Refused,
};
use crate::{Time, fleet::NodeId};

impl<K: Keys> Members<K> {
    pub(super) fn receive(&mut self, now: Time, from: Path, bytes: &[u8]) -> Result<(), Refused> {
        let opened = Opened::parse(bytes).ok_or(Refused::Malformed)?;
        let Opened { envelope, .. } = opened;
        let introduces = matches!(opened.body, Body::Introduction { .. });
        if self.left || envelope.sender == self.me.0.id || !self.is_for_me(envelope.to, introduces) {
            return Err(Refused::Misaddressed);
        }
        if matches!(from, Path::Stream(peer) if peer != envelope.sender) {
            return Err(Refused::Forged);
        }
        let window = self.peers.get(&envelope.sender).map(|peer| peer.window);
        if let Some(window) = window.filter(|window| !window.is_new(envelope.epoch, envelope.sequence)) {
            if envelope.epoch < window.epoch {
                self.remind(now, from, &opened);
            }
            return Err(Refused::Replayed);
        }
        if let Body::Reminder(record) = &opened.body {
            return self.reminded(now, record);
        }
        if let Body::Introduction { record, chain, .. } = &opened.body {
            self.acquaint(now, record, chain, &envelope)?;
        } else if !self.keys.knows(&envelope.sender) {
            return Err(Refused::Stranger);
        }
        self.check(now, from, &opened)?;
        match opened.body {
            Body::Introduction { record, asks, .. } => self.introduced(now, from, &envelope, record, asks),
            Body::News(told) => self.told(now, from, &envelope, told),
            Body::Reminder(_) => Ok(()),
        }
    }

    /// A member speaks out of an earlier life than its last: it has forgotten that one, or somebody repeats old words,
    /// and then it will not care.
    fn remind(&mut self, now: Time, from: Path, opened: &Opened<'_>) {
        if self.check(now, from, opened).is_ok() {
            self.send_reminder(now, opened.envelope.sender);
        }
    }

    /// Our own signature under a later life than this one: it was forgotten, and nobody will hear us before we are
    /// beyond it. Whoever brings it need not be known.
    fn reminded(&mut self, now: Time, record: &Record) -> Result<(), Refused> {
        if record.id != self.me.0.id || record.generation <= self.me.0.generation {
            return Err(Refused::Misaddressed);
        }
        if !self.budget.may_check(now, false) || !record.is_genuine(&self.keys) {
            self.budget.forged();
            return Err(Refused::Forged);
        }
        self.outlive(record.generation);
        Ok(())
    }

    fn outlive(&mut self, generation: u64) {
        let generation = generation.saturating_add(1);
        (self.boot, self.sequence) = (generation, 0);
        self.begin_life(generation, false);
    }

    /// For this life of this node; introductions may also be for whoever listens, and for an earlier life.
    fn is_for_me(&self, to: Addressee, introduces: bool) -> bool {
        to.short == self.me.0.id.short() || (introduces && to == Addressee::ANYBODY)
    }

    /// Learns the certificate of a stranger, or the new one of a member.
    fn acquaint(
        &mut self,
        now: Time,
        record: &Record,
        chain: &[u8],
        envelope: &Envelope,
    ) -> Result<(), Refused> {
        if record.id != envelope.sender {
            return Err(Refused::Forged);
        }
        if !self.budget.read(now) {
            return Err(Refused::Flooded);
        }
        let current =
            self.peers.get(&record.id).is_some_and(|peer| peer.record.card.expires >= record.card.expires);
        if self.keys.knows(&record.id) && (current || chain.is_empty()) {
            return Ok(());
        }
        let known = self.keys.introduce(now, &record.id, chain) || self.keys.knows(&record.id);
        known.then_some(()).ok_or(Refused::Stranger)
    }

    fn check(&mut self, now: Time, from: Path, opened: &Opened<'_>) -> Result<(), Refused> {
        let sender = &opened.envelope.sender;
        let from_member = match from {
            Path::Stream(_) => true,
            Path::Datagram(address) => {
                self.peers.get(sender).is_some_and(|peer| peer.record.card.address == address)
            }
        };
        if !self.budget.may_check(now, from_member) {
            return Err(Refused::Flooded);
        }
        if !opened.is_genuine(&self.keys) {
            self.budget.forged();
            return Err(Refused::Forged);
        }
        Ok(())
    }

    /// A genuine datagram of a member has arrived.
    fn heard(&mut self, from: Path, envelope: &Envelope) {
        self.stats.received += 1;
        self.heard_at = self.now;
        if from.stream().is_none() {
            self.udp_at = self.now;
        }
        let mine = self.me.0.generation;
        let Some(peer) = self.peers.get_mut(&envelope.sender) else { return };
        let known_before = peer.window.epoch != 0;
        let restarted = peer.window.accept(envelope.epoch, envelope.sequence);
        if restarted && known_before {
            // It may have lost what it knew of us.
            (peer.knows, peer.introduced_at) = (0, None);
        }
        if envelope.to.generation != 0 && envelope.to.generation <= mine {
            peer.knows = peer.knows.max(envelope.to.generation);
        }
        if from.stream().is_none() {
            peer.unanswered = 0;
        }
        if restarted {
            self.effects.push_back(MembersEffect::Remember(peer.remembered()));
        }
    }

    fn introduced(
        &mut self,
        now: Time,
        from: Path,
        envelope: &Envelope,
        record: Record,
        asks: bool,
    ) -> Result<(), Refused> {
        let node = record.id;
        if !self.note(now, Arc::new(record)) {
            return Err(if self.peers.contains_key(&node) { Refused::Forged } else { Refused::Full });
        }
        self.heard(from, envelope);
        self.rumours.remove(&node);
        if asks {
            if let Some(peer) = self.peers.get_mut(&node) {
                peer.introduced_at = None;
            }
            self.introduce(now, node, false);
        }
        let alone = self.foca.num_members() == 0;
        let was_gone = !self.is_active(&node);
        if let Some(peer) = self.peers.get_mut(&node)
            && was_gone
            && from.stream().is_some()
        {
            peer.came_by_stream();
        }
        self.is_there(&node);
        if !asks && was_gone && (alone || !self.is_active(&node)) {
            self.contact(now, node);
        }
        Ok(())
    }

    /// Tells foca that a member whose own word has just been heard is alive; it knows better where it was given up.
    fn is_there(&mut self, node: &NodeId) {
        let Some(peer) = self.peers.get(node) else { return };
        let state = if peer.record.left { State::Down } else { State::Alive };
        let member = Member::new(Identity(peer.record.clone()), 0, state);
        self.with_foca(|foca, runtime| foca.apply_many(core::iter::once(member), true, runtime));
        self.settle(self.now);
    }

    fn told(
        &mut self,
        now: Time,
        from: Path,
        envelope: &Envelope,
        mut told: Told<'_>,
    ) -> Result<(), Refused> {
        let node = envelope.sender;
        if let Some(record) = told.record.take() {
            if record.id != node {
                return Err(Refused::Forged);
            }
            if !self.note(now, Arc::new(record)) && !self.peers.contains_key(&node) {
                return Err(Refused::Full);
            }
        }
        let peer = self.peers.get(&node).ok_or(Refused::Stranger)?;
        let source = named(&peer.record, told.generation).ok_or(Refused::Stranger)?;
        self.heard(from, envelope);
        if envelope.to.generation != self.me.0.generation {
            // It speaks to an earlier life of ours: it shall know of this one.
            self.introduce(now, node, false);
            return Err(Refused::Misaddressed);
        }
        let news = told
            .read(&source, &self.me, |id, generation| self.find(id, generation))
            .ok_or(Refused::Malformed)?;
        self.answered(now, from, &news);
        let left = source.0.left;
        let news = self.sieve(now, news);
        if self.me.0.generation != envelope.to.generation {
            return Ok(());
        }
        let bytes = news.bytes(MAX_NEWS);
        self.with_foca(|foca, runtime| foca.handle_data(&bytes, runtime));
        if left {
            self.settle(now);
            self.is_there(&node);
        }
        Ok(())
    }

    fn find(&self, id: NodeId, generation: u64) -> Option<Identity> {
        if id == self.me.0.id {
            return named(&self.me.0, generation);
        }
        self.peers.get(&id).and_then(|peer| named(&peer.record, generation))
    }

    /// An answer to a probe: how long it took, and that we are well.
    fn answered(&mut self, now: Time, from: Path, news: &News) {
        let node = news.header.src.0.id;
        match news.header.message {
            Message::Ack(number) => {
                let Some(peer) = self.peers.get_mut(&node) else { return };
                if let Some((_, sent, path)) = peer.pinged.take_if(|(pinged, ..)| *pinged == number) {
                    self.health.answered();
                    self.probe.take_if(|probe| probe.node == node);
                    match (path, from) {
                        (Path::Datagram(_), Path::Stream(_)) => peer.needs_stream(),
                        // It was sent again: how long that took is not known.
                        (Path::Stream(_), Path::Datagram(_)) => {}
                        _ => peer.measured(now.since(sent)),
                    }
                }
            }
            Message::ForwardedAck { probe_number, .. } => {
                self.probe.take_if(|probe| probe.number == probe_number);
            }
            _ => {}
        }
    }

    /// Only news about members of this cluster, under their own signature.
    fn sieve(&mut self, now: Time, news: News) -> News {
        let News { header, updates } = news;
        let updates = updates.map(|updates| {
            updates.into_iter().filter_map(|update| self.believed(now, &update)).collect::<Vec<_>>()
        });
        News { header, updates }
    }

    fn believed(&mut self, now: Time, update: &Member<Identity>) -> Option<Member<Identity>> {
        let record = &update.id().0;
        if record.id == self.me.0.id {
            return self.about_me(now, update);
        }
        let known = self.peers.get(&record.id).map(|peer| peer.record.generation);
        match known {
            None if !self.keys.knows(&record.id) => {
                self.hear_rumour(now, record);
                return None;
            }
            // Who was never seen needs no obituary.
            None if update.state() == State::Down => return None,
            Some(known) if record.generation < known => return None,
            Some(known) if record.generation == known => {}
            None | Some(_) => {
                if !self.note(now, record.clone()) {
                    return None;
                }
            }
        }
        let peer = self.peers.get_mut(&record.id)?;
        let state = if peer.record.left { State::Down } else { update.state() };
        peer.is_news(update.incarnation(), state)
            .then(|| Member::new(Identity(peer.record.clone()), update.incarnation(), state))
    }

    /// What is said of this node: a later life than ours is one that we have forgotten.
    fn about_me(&mut self, now: Time, update: &Member<Identity>) -> Option<Member<Identity>> {
        let record = &update.id().0;
        if record.generation == self.me.0.generation {
            return Some(Member::new(self.me.clone(), update.incarnation(), update.state()));
        }
        if record.generation > self.me.0.generation && record.is_genuine(&self.keys) {
            self.outlive(record.generation);
            self.settle(now);
        }
        None
    }

    /// Remembers a member's newest record; whether it is the one known or a genuine later one.
    fn note(&mut self, now: Time, record: Arc<Record>) -> bool {
        let node = record.id;
        let full = self.peers.len() >= MAX_MEMBERS;
        match self.peers.get_mut(&node) {
            Some(peer) if peer.record.generation == record.generation => true,
            Some(peer) if peer.record.generation > record.generation => false,
            _ if !record.is_genuine(&self.keys) => false,
            Some(peer) => {
                let changed = peer.is_active() && peer.record.card != record.card;
                peer.renew(record);
                if changed {
                    self.effects.push_back(MembersEffect::Changed(peer.member()));
                }
                self.effects.push_back(MembersEffect::Remember(peer.remembered()));
                true
            }
            None if full => false,
            None => {
                self.peers.insert(node, Peer::new(now, record));
                true
            }
        }
    }

    pub(super) fn is_active(&self, node: &NodeId) -> bool {
        self.peers.get(node).is_some_and(Peer::is_active)
    }

    /// Whether foca suspects whom.
    pub(super) fn see_suspects(&mut self, now: Time) {
        let seen: Vec<_> =
            self.foca.iter_members().map(|member| (member.id().0.id, member.state())).collect();
        for (node, state) in seen {
            let state = if state == State::Suspect { MemberState::Suspect } else { MemberState::Alive };
            self.set_state(now, &node, state);
        }
    }
}
