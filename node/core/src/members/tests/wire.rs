use alloc::{string::String, vec::Vec};
use core::{net::Ipv6Addr, time::Duration};

use super::net::*;
use crate::members::{
    bytes::Reader,
    datagram::{Addressee, Envelope, Opened, introduction},
    record::Record,
    *,
};

fn longest() -> Card {
    Card {
        address: (Ipv6Addr::LOCALHOST, 7470).into(),
        name: "ü".repeat(100),
        site: "s\n".repeat(100),
        version: "1".repeat(100),
        expires: u64::MAX,
    }
}

struct LongChain(Vec<u8>);

impl Keys for LongChain {
    fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        mac(&id(0), bytes)
    }
    fn verify(&self, signer: &NodeId, bytes: &[u8], signature: &[u8; 64]) -> bool {
        mac(signer, bytes) == *signature
    }
    fn knows(&self, _: &NodeId) -> bool {
        true
    }
    fn chain(&self) -> &[u8] {
        &self.0
    }
    fn introduce(&mut self, _: Time, _: &NodeId, _: &[u8]) -> bool {
        true
    }
}

#[test]
fn labels_are_cut_to_what_can_be_shown_and_sent() {
    let keys = LongChain(Vec::new());
    let record = Record::signed(&keys, id(0), 1, false, &longest());
    assert_eq!(record.card.name, "ü".repeat(31));
    assert_eq!(record.card.site, "s".repeat(63));
    let mut bytes = Vec::new();
    record.put(&mut bytes);
    let read = Record::read(&mut Reader(&bytes)).unwrap();
    assert_eq!(read, *record);
    assert!(read.is_genuine(&keys));
}

#[test]
fn the_longest_introduction_fits_into_a_datagram() {
    let keys = LongChain(alloc::vec![0; MAX_CHAIN]);
    let record = Record::signed(&keys, id(0), 1, false, &longest());
    let envelope = Envelope { sender: id(0), epoch: 1, sequence: 1, to: Addressee::ANYBODY };
    let bytes = introduction(&keys, &envelope, &record, true);
    assert!((1200..=MAX_DATAGRAM).contains(&bytes.len()), "{} bytes", bytes.len());
    assert!(Opened::parse(&bytes).is_some());
}

#[test]
fn a_datagram_is_for_whom_it_names_or_for_whoever_listens() {
    let keys = LongChain(Vec::new());
    let record = Record::signed(&keys, id(0), 1, false, &longest());
    let to = |to| introduction(&keys, &Envelope { sender: id(0), epoch: 1, sequence: 1, to }, &record, true);
    let named = to(Addressee { short: id(1).short(), generation: 1 });
    assert!(is_for(&id(1), &named) && !is_for(&id(2), &named));
    let open = to(Addressee::ANYBODY);
    assert!(is_for(&id(1), &open) && is_for(&id(2), &open) && !is_for(&id(0), &open), "not to its sender");
    assert!(!is_for(&id(1), &named[1..]) && !is_for(&id(1), b"rubbish"));
}

#[test]
fn members_with_the_longest_labels_form_a_fleet() {
    let mut net = Net::new(12, 60);
    for index in 0..12 {
        let card = Card { address: address(index), name: String::from("n").repeat(63), ..longest() };
        net.with(index, |members, now| members.handle_card(now, card));
    }
    assert!(net.until(10, Net::is_whole).is_some());
}

#[test]
fn a_label_that_would_write_on_a_terminal_is_refused() {
    let keys = LongChain(Vec::new());
    let record = Record::signed(&keys, id(0), 1, false, &config(0, 1, &[]).card);
    let mut bytes = Vec::new();
    record.put(&mut bytes);
    let at = bytes.windows(5).position(|five| five == b"web-0").unwrap();
    bytes[at] = 0x1b;
    assert!(Record::read(&mut Reader(&bytes)).is_none());
}

#[test]
fn truncated_and_random_datagrams_are_refused_without_a_panic() {
    let mut net = Net::formed(3, 61);
    net.tap = Some(Vec::new());
    net.run(Duration::from_secs(20));
    let heard = net.tap.take().unwrap();
    let before = net.hosts[0].members.stats();
    let mut chance = Chance::new(1);
    for (_, _, bytes) in heard.iter().take(40) {
        for length in 0..bytes.len() {
            net.inject(0, Path::Datagram(address(1)), &bytes[..length]);
        }
        for _ in 0..200 {
            let mut bytes = bytes.clone();
            let at = chance.below(bytes.len());
            bytes[at] ^= 1 << chance.below(8);
            net.inject(0, Path::Datagram(address(1)), &bytes);
        }
    }
    let after = net.hosts[0].members.stats();
    assert!(after.malformed > before.malformed + 1000);
    assert_eq!(after.received, before.received, "none of them was taken");
    assert!(net.is_whole());
}
