use alloc::{collections::BTreeSet, sync::Arc, vec::Vec};
use core::time::Duration;

use foca::{Header, Message, State};

use super::net::*;
use crate::members::{
    datagram::{Addressee, Envelope, News, introduction, news},
    record::{Identity, Record},
    *,
};

/// A stranger, or a member gone bad: it signs what it likes.
struct Liar {
    keys: Notary,
    record: Arc<Record>,
    sequence: u64,
}

impl Liar {
    fn new(index: usize) -> Self {
        let keys = Notary::new(id(index));
        let record = Record::signed(&keys, id(index), 9_000_000_000_000, false, &config(index, 1, &[]).card);
        Self { keys, record, sequence: 0 }
    }

    fn envelope(&mut self, to: &Record) -> Envelope {
        self.sequence += 1;
        let to = Addressee::of(to);
        Envelope { sender: self.record.id, epoch: self.record.generation, sequence: self.sequence, to }
    }

    fn introduction(&mut self, to: &Record) -> Vec<u8> {
        let envelope = self.envelope(to);
        introduction(&self.keys, &envelope, &self.record, false)
    }

    fn says(&mut self, to: &Arc<Record>, updates: Vec<foca::Member<Identity>>) -> Vec<u8> {
        let header = Header {
            src: Identity(self.record.clone()),
            src_incarnation: 0,
            dst: Identity(to.clone()),
            message: Message::Gossip,
        };
        let envelope = self.envelope(to);
        news(&self.keys, &envelope, &News { header, updates: Some(updates) }, true)
    }
}

fn udp(index: usize) -> Path {
    Path::Datagram(address(index))
}

fn known(net: &Net, at: usize) -> BTreeSet<NodeId> {
    net.hosts[at].members.members().map(|member| member.id).collect()
}

#[test]
fn no_datagram_is_taken_twice() {
    let mut net = Net::formed(3, 70);
    net.tap = Some(Vec::new());
    net.run(Duration::from_secs(20));
    let heard = net.tap.take().unwrap();
    let received: Vec<_> = (0..3).map(|at| net.hosts[at].members.stats().received).collect();
    for (from, to, bytes) in &heard {
        net.inject(*to, udp(*from), bytes);
    }
    for (at, before) in received.into_iter().enumerate() {
        assert_eq!(net.hosts[at].members.stats().received, before);
        assert!(net.hosts[at].members.stats().replayed > 10);
    }
}

#[test]
fn a_datagram_for_one_is_worth_nothing_at_another() {
    let mut net = Net::formed(3, 71);
    net.tap = Some(Vec::new());
    net.cut.insert((1, 2));
    net.run(Duration::from_secs(20));
    let heard = net.tap.take().unwrap();
    let before = net.hosts[0].members.stats().received;
    for (from, _, bytes) in heard.iter().filter(|(from, to, _)| (*from, *to) == (1, 2)) {
        net.inject(0, udp(*from), bytes);
    }
    assert_eq!(net.hosts[0].members.stats().received, before);
}

#[test]
fn what_was_recorded_before_a_restart_is_worth_nothing_after_it() {
    let mut net = Net::formed(3, 72);
    net.tap = Some(Vec::new());
    net.run(Duration::from_secs(20));
    let heard = net.tap.take().unwrap();
    net.hosts[1].up = false;
    net.run(Duration::from_secs(60));
    net.hosts[0].up = false;
    net.restart(0, 2);
    net.run(Duration::from_secs(5));
    let (received, state) = (net.hosts[0].members.stats().received, net.state(1, 0));
    assert_eq!(state, Some(MemberState::Dead));
    for (from, _, bytes) in heard.iter().filter(|(from, to, _)| (*from, *to) == (1, 0)) {
        net.inject(0, udp(*from), bytes);
    }
    assert_eq!(net.state(1, 0), state, "the dead do not rise");
    assert!(
        net.hosts[0].members.stats().received - received <= 12,
        "their last words are counted, not believed"
    );
}

#[test]
fn a_forged_or_unsigned_datagram_changes_nothing() {
    let mut net = Net::formed(3, 73);
    let mut stranger = Liar::new(2);
    stranger.keys = Notary::new(id(77));
    let to = net.hosts[0].members.record();
    let (before, members) = (net.hosts[0].members.stats(), known(&net, 0));
    for _ in 0..50 {
        let mut bytes = stranger.says(&to, Vec::new());
        net.inject(0, udp(2), &bytes);
        let length = bytes.len();
        bytes[length - 64..].fill(0);
        net.inject(0, udp(2), &bytes);
    }
    let after = net.hosts[0].members.stats();
    assert_eq!((after.received, after.forged), (before.received, before.forged + 100));
    assert_eq!(known(&net, 0), members);
}

#[test]
fn a_stranger_without_a_certificate_becomes_no_member() {
    let mut net = Net::formed(3, 74);
    let mut stranger = Liar::new(99);
    stranger.keys = Notary::foreign(id(99));
    let (to, members) = (net.hosts[0].members.record(), known(&net, 0));
    let introduction = stranger.introduction(&to);
    net.inject(0, udp(99), &introduction);
    let gossip = stranger.says(&to, Vec::new());
    net.inject(0, udp(99), &gossip);
    net.run(Duration::from_secs(5));
    assert_eq!(known(&net, 0), members);
    assert_eq!(net.hosts[0].members.stats().strangers, 2);
}

#[test]
fn a_member_cannot_invent_others_nor_speak_for_them() {
    let mut net = Net::formed(4, 75);
    let (to, members) = (net.hosts[0].members.record(), known(&net, 0));
    let victim = net.hosts[2].members.record();
    let mut liar = Liar::new(3);
    let invented = |index: usize| {
        let record = Record::signed(&Notary::new(id(3)), id(index), 5, false, &config(index, 1, &[]).card);
        foca::Member::alive(Identity(record))
    };
    let mut moved = (*victim).clone();
    (moved.generation, moved.card.address) = (u64::MAX, address(3));
    let mut gone = (*victim).clone();
    (gone.generation, gone.left) = (victim.generation + 1, true);
    let lies = [
        (500..509).map(invented).collect(),
        alloc::vec![foca::Member::alive(Identity(Arc::new(moved)))],
        alloc::vec![foca::Member::new(Identity(Arc::new(gone)), 3, State::Down)],
    ];
    for lie in lies {
        let bytes = liar.says(&to, lie);
        net.inject(0, udp(3), &bytes);
    }
    net.run(Duration::from_secs(20));
    assert_eq!(known(&net, 0), members);
    let seen = net.hosts[0].members.member(&id(2)).unwrap();
    assert_eq!((seen.state, seen.card.address), (MemberState::Alive, address(2)));
}

#[test]
fn who_is_called_dead_by_a_liar_comes_back_by_itself() {
    let mut net = Net::formed(5, 76);
    let (to, victim) = (net.hosts[0].members.record(), net.hosts[2].members.record());
    let mut liar = Liar::new(4);
    let bytes = liar.says(&to, alloc::vec![foca::Member::down(Identity(victim))]);
    net.inject(0, udp(4), &bytes);
    assert_eq!(net.state(2, 0), Some(MemberState::Dead));
    assert!(
        net.until(10, |net| (0..4).all(|at| at == 2 || net.state(2, at) == Some(MemberState::Alive)))
            .is_some()
    );
}

#[test]
fn a_flood_of_forged_datagrams_is_not_even_checked() {
    let mut net = Net::formed(3, 77);
    let mut stranger = Liar::new(2);
    stranger.keys = Notary::new(id(77));
    let to = net.hosts[0].members.record();
    for _ in 0..5000 {
        let bytes = stranger.says(&to, Vec::new());
        net.inject(0, udp(55), &bytes);
    }
    let stats = net.hosts[0].members.stats();
    assert!((200..=400).contains(&stats.forged), "{}", stats.forged);
    assert!(stats.flooded >= 4600);
    net.run(Duration::from_secs(60));
    assert!(net.is_whole());
}

#[test]
fn a_flood_of_introductions_is_bounded() {
    let mut net = Net::formed(3, 78);
    let to = net.hosts[0].members.record();
    let sent = net.hosts[0].members.stats().sent;
    for index in 0..3000 {
        let mut stranger = Liar::new(1000 + index);
        stranger.keys = Notary::foreign(id(1000 + index));
        let bytes = stranger.introduction(&to);
        net.inject(0, udp(55), &bytes);
    }
    let stats = net.hosts[0].members.stats();
    assert!(stats.strangers <= 200, "{} certificates were looked at", stats.strangers);
    assert_eq!(stats.sent, sent, "and nobody is answered");
}

#[test]
fn the_table_of_members_is_bounded() {
    let mut net = Net::formed(2, 79);
    let to = net.hosts[0].members.record();
    for index in 0..MAX_MEMBERS + 100 {
        let bytes = Liar::new(1000 + index).introduction(&to);
        net.inject(0, udp(55), &bytes);
        if index % 50 == 0 {
            net.now = net.now.after(Duration::from_secs(1));
        }
    }
    assert_eq!(net.hosts[0].members.members().count(), MAX_MEMBERS);
    assert!(net.hosts[0].members.stats().full >= 99);
}

#[test]
fn a_stream_carries_only_its_own_members_datagrams() {
    let mut net = Net::formed(3, 80);
    net.tap = Some(Vec::new());
    net.cut.insert((1, 0));
    net.run(Duration::from_secs(20));
    let heard = net.tap.take().unwrap();
    let (_, _, bytes) = heard.iter().rfind(|(from, to, _)| (*from, *to) == (1, 0)).unwrap();
    let before = net.hosts[0].members.stats();
    net.inject(0, Path::Stream(id(2)), bytes);
    assert_eq!(net.hosts[0].members.stats().forged, before.forged + 1);
    net.inject(0, Path::Stream(id(1)), bytes);
    assert_eq!(net.hosts[0].members.stats().received, before.received + 1);
}
