//! What foca says, made into datagrams.

use alloc::vec::Vec;

use foca::{Message, OwnedNotification, Timer};

use super::{
    Keys, Members, MembersEffect, Path, Probe,
    datagram::{self, Addressee, Envelope, News},
    peer::{MemberState, Peer, Wants},
    record::Identity,
};
use crate::{Time, fleet::NodeId};

/// How often one introduces oneself to a member that does not answer: answers take less than a second.
const INTRODUCE_EVERY: core::time::Duration = core::time::Duration::from_secs(1);

impl<K: Keys> Members<K> {
    /// Takes over what foca wants done.
    pub(super) fn settle(&mut self, now: Time) {
        loop {
            if let Some((to, bytes)) = self.runtime.to_send() {
                self.send_news(now, &to, &bytes);
            } else if let Some((after, timer)) = self.runtime.to_schedule() {
                self.timers.add(now.after(after), timer);
            } else if let Some(notification) = self.runtime.to_notify() {
                self.notified(now, &notification);
            } else {
                return;
            }
        }
    }

    /// Says who we are, and asks for the same where `asks`; at most once a second to a member.
    pub(super) fn introduce(&mut self, now: Time, node: NodeId, asks: bool) {
        let Some(peer) = self.peers.get_mut(&node) else { return };
        if peer.introduced_at.is_some_and(|at| now.since(at) < INTRODUCE_EVERY) || !self.budget.write(now) {
            return;
        }
        peer.introduced_at = Some(now);
        let (to, path) = (
            Addressee::of(&peer.record),
            route(self.asker, peer, if asks { Wants::Answer } else { Wants::Nothing }),
        );
        self.send_introduction(path, to, asks);
    }

    pub(super) fn send_introduction(&mut self, path: Path, to: Addressee, asks: bool) {
        let envelope = self.envelope(to);
        let bytes = datagram::introduction(&self.keys, &envelope, &self.me.0, asks);
        self.send(path, bytes);
    }

    /// Tells a member of a later life of its own, at most once a second.
    pub(super) fn send_reminder(&mut self, now: Time, node: NodeId) {
        let Some(peer) = self.peers.get_mut(&node) else { return };
        if peer.introduced_at.is_some_and(|at| now.since(at) < INTRODUCE_EVERY) {
            return;
        }
        peer.introduced_at = Some(now);
        let (record, path) = (peer.record.clone(), route(self.asker, peer, Wants::Nothing));
        let envelope = self.envelope(Addressee::of(&record));
        let bytes = datagram::reminder(&self.keys, &envelope, &record);
        self.send(path, bytes);
    }

    /// The time of a probe is over. If it was not answered, and nobody else was heard meanwhile, perhaps it is us: then
    /// the suspicion that follows lasts longer.
    pub(super) fn judge_probe(&mut self, timer: &Timer<Identity>) {
        if !matches!(timer, Timer::ProbeRandomMember(_)) {
            return;
        }
        let Some(probe) = self.probe.take() else { return };
        if self.size > 1 && self.heard_at <= probe.sent {
            self.health.deaf();
            self.adapt();
        }
    }

    /// The time of a probe's direct answer is over: while others are asked, it goes by the other way, too, because perhaps
    /// UDP is dropped between us, or between it and everybody.
    pub(super) fn probe_again(&mut self, timer: &Timer<Identity>) {
        let Timer::SendIndirectProbe { probed_id, .. } = timer else { return };
        let Some(probe) = self.probe.as_ref().filter(|probe| probe.header.dst == *probed_id) else { return };
        let Some((.., path)) = self.peers.get(&probe.node).and_then(|peer| peer.pinged) else { return };
        let path = match path {
            Path::Datagram(_) => Path::Stream(probe.node),
            Path::Stream(_) => Path::Datagram(probed_id.0.card.address),
        };
        let news = News { header: probe.header.clone(), updates: None };
        self.write_news(path, &news);
    }

    fn send_news(&mut self, now: Time, to: &Identity, bytes: &[u8]) {
        let Some(news) = News::of(bytes) else { return };
        let Some(peer) = self.peers.get_mut(&to.0.id) else { return };
        if peer.knows == 0 {
            self.introduce(now, to.0.id, false);
        }
        let Some(peer) = self.peers.get_mut(&to.0.id) else { return };
        let path = route(self.asker, peer, wants(&news.header.message));
        if let Message::Ping(number) = news.header.message {
            peer.pinged = Some((number, now, path));
            self.probe = Some(Probe { node: to.0.id, number, sent: now, header: news.header.clone() });
        }
        self.write_news(path, &news);
    }

    fn write_news(&mut self, path: Path, news: &News) {
        let to = &news.header.dst.0;
        let whole = self.peers.get(&to.id).is_none_or(|peer| peer.knows != self.me.0.generation);
        let envelope = self.envelope(Addressee::of(to));
        let bytes = datagram::news(&self.keys, &envelope, news, whole);
        self.send(path, bytes);
    }

    fn envelope(&mut self, to: Addressee) -> Envelope {
        self.sequence += 1;
        Envelope { sender: self.me.0.id, epoch: self.boot, sequence: self.sequence, to }
    }

    fn send(&mut self, path: Path, bytes: Vec<u8>) {
        self.stats.sent += 1;
        self.stats.sent_bytes += bytes.len() as u64;
        self.effects.push_back(MembersEffect::Send(path, bytes));
    }

    fn notified(&mut self, now: Time, notification: &OwnedNotification<Identity>) {
        match notification {
            OwnedNotification::MemberUp(identity) => self.set_state(now, &identity.0.id, MemberState::Alive),
            OwnedNotification::MemberDown(identity) => {
                let left = self.peers.get(&identity.0.id).is_some_and(|peer| peer.record.left);
                let state = if left { MemberState::Left } else { MemberState::Dead };
                self.set_state(now, &identity.0.id, state);
            }
            OwnedNotification::Defunct if !self.left => {
                self.defunct = true;
                self.revive(now);
            }
            OwnedNotification::Defunct
            | OwnedNotification::Rename(..)
            | OwnedNotification::Active
            | OwnedNotification::Idle
            | OwnedNotification::Rejoin(_) => {}
        }
    }

    /// A member's state, and whoever has to know of it.
    pub(super) fn set_state(&mut self, now: Time, node: &NodeId, state: MemberState) {
        let Some(peer) = self.peers.get_mut(node) else { return };
        let before = peer.state;
        if before == state {
            return;
        }
        (peer.state, peer.since) = (state, now);
        let was_active = matches!(before, MemberState::Alive | MemberState::Suspect);
        match state {
            MemberState::Suspect => self.effects.push_back(MembersEffect::Suspect(*node)),
            MemberState::Alive if was_active => {}
            MemberState::Alive => self.effects.push_back(MembersEffect::Up(peer.member())),
            MemberState::Dead | MemberState::Left => {
                if was_active {
                    self.effects.push_back(MembersEffect::Down(peer.member()));
                }
            }
        }
        if was_active != peer.is_active() {
            self.effects.push_back(MembersEffect::Remember(peer.remembered()));
        }
    }
}

/// The way to a member: back through its stream, if that is where it speaks to us just now.
fn route(asker: Option<NodeId>, peer: &mut Peer, wants: Wants) -> Path {
    match asker == Some(peer.record.id) || peer.wants_stream(wants) {
        true => Path::Stream(peer.record.id),
        false => Path::Datagram(peer.record.card.address),
    }
}

const fn wants(message: &Message<Identity>) -> Wants {
    match message {
        Message::Ping(_) => Wants::ProbeAnswer,
        Message::Announce => Wants::Answer,
        _ => Wants::Nothing,
    }
}
