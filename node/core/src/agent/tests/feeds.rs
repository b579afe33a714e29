//! What threat feeds list.

use super::*;
use crate::{
    agent::{FeedChange, FeedDone},
    order::Mode,
};

impl Node {
    fn feed(&mut self, listed: &[&str], delisted: &[&str]) -> FeedDone {
        self.feed_for(86_400, listed, delisted)
    }

    fn feed_for(&mut self, seconds: u64, listed: &[&str], delisted: &[&str]) -> FeedDone {
        let nets = |texts: &[&str]| texts.iter().map(|text| net(text)).collect();
        let until = self.now().after(Duration::from_secs(seconds));
        let change =
            FeedChange { feed: "drop".into(), listed: nets(listed), delisted: nets(delisted), until };
        let (done, _) = self.agent.handle_feed(self.now(), change);
        self.take();
        done
    }

    fn listed(&self) -> Vec<String> {
        let entries = self.agent.feeds_after(None, usize::MAX).1;
        entries.into_iter().map(|entry| alloc::format!("{}", entry.target)).collect()
    }
}

#[test]
fn what_a_feed_lists_is_dropped_until_it_lists_it_no_more() {
    let mut node = Node::new();
    assert_eq!(node.feed(&["192.0.2.1", "198.51.100.0/24"], &[]).held, 2);
    assert_eq!(node.dropped("192.0.2.1"), Some(Strength::Hard));
    let entry = node.entry("198.51.100.0/24").unwrap();
    assert_eq!((entry.note.class, entry.note.origin.as_str()), (Class::Feed, "feed:drop"));
    node.feed(&[], &["192.0.2.1"]);
    assert_eq!(node.dropped("192.0.2.1"), None);
    assert_eq!(node.listed(), ["198.51.100.0/24"]);
}

#[test]
fn what_is_renewed_stays_and_what_is_not_ends() {
    let mut node = Node::new();
    node.feed_for(100, &["192.0.2.1", "192.0.2.2"], &[]);
    node.feed_for(500, &["192.0.2.1"], &[]);
    node.pass(200);
    assert_eq!((node.dropped("192.0.2.1"), node.dropped("192.0.2.2")), (Some(Strength::Hard), None));
    node.feed_for(10, &["192.0.2.1"], &[]);
    assert_eq!(node.left("192.0.2.1"), Some(300), "an end never comes nearer");
}

#[test]
fn a_restart_keeps_what_is_listed_and_a_lost_store_gets_it_again() {
    let mut node = Node::new();
    node.feed(&["192.0.2.1"], &[]);
    let mut again = node.restarted();
    assert_eq!((again.dropped("192.0.2.1"), again.listed().len()), (Some(Strength::Hard), 1));
    again.store.clear();
    again.agent.handle_store_lost(again.now());
    again.take();
    assert_eq!(again.restarted().listed().len(), 1);
}

#[test]
fn a_listed_protected_address_rests_and_no_neighbour_of_it_does() {
    let mut node = Node::new();
    node.protect(&[("192.0.2.1", Why::Gateway)]);
    node.allow("203.0.113.9", None).unwrap();
    let done = node.feed(&["192.0.2.1", "192.0.2.2", "203.0.113.0/24"], &[]);
    assert_eq!((done.held, done.resting), (3, 2));
    assert_eq!((node.dropped("192.0.2.1"), node.dropped("203.0.113.0/24")), (None, None));
    assert_eq!(node.agent.feeds_after(None, 9).1.iter().filter(|entry| entry.resting).count(), 2);
    assert_eq!(node.dropped("192.0.2.2"), Some(Strength::Hard));
    node.protect(&[("192.0.2.2", Why::Gateway)]);
    assert_eq!((node.dropped("192.0.2.1"), node.dropped("192.0.2.2")), (Some(Strength::Hard), None));
}

#[test]
fn proxies_wide_prefixes_and_what_a_person_unblocked_are_left_out() {
    let mut node = Node::with(|config| config.proxies = [net("192.0.2.1")].into());
    let wide = ["198.0.0.0/15", "2001:db8::/31", "0.0.0.0/0"];
    assert_eq!((node.feed(&wide, &[]).wide, node.feed(&["192.0.2.0/24"], &[]).excused), (3, 1));
    node.feed(&["198.51.100.1"], &[]);
    node.unblock("198.51.100.1").unwrap();
    assert_eq!((node.feed(&["198.51.100.1"], &[]).held_back, node.listed().len()), (1, 0));
    node.pass(600);
    assert_eq!(node.feed(&["198.51.100.1"], &[]).held, 1);
}

#[test]
fn a_feed_has_a_limit_of_its_own_and_takes_no_room_from_detection() {
    let mut node = Node::with(|config| {
        config.limits.feed_blocks = 2;
        config.limits.automatic_blocks = 1;
    });
    let done = node.feed(&["192.0.2.1", "192.0.2.2", "192.0.2.3"], &[]);
    assert_eq!((done.held, done.full), (2, 1));
    assert!(node.agent.health(node.now()).iter().any(|entry| entry.what.contains("blocks of feeds")));
    assert_eq!(node.proven("192.0.2.4"), Some(Action::Block));
    assert_eq!(node.feed(&["192.0.2.3"], &["192.0.2.1"]).held, 1, "what left makes room");
}

#[test]
fn a_feed_waits_for_no_approval_and_for_enforcement() {
    let mut node = Node::new();
    node.order(Order::Mode { mode: Mode::Manual, confirm: None }).unwrap();
    node.switch(EnforcementState::Off, None).unwrap();
    node.feed(&["192.0.2.1"], &[]);
    assert_eq!(node.dropped("192.0.2.1"), None);
    node.switch(EnforcementState::On, None).unwrap();
    assert_eq!(node.dropped("192.0.2.1"), Some(Strength::Hard));
}

#[test]
fn the_fleet_hears_nothing_of_a_feed() {
    let mut node = Node::in_fleet();
    node.feed(&["192.0.2.1"], &[]);
    node.feed(&[], &["192.0.2.1"]);
    assert_eq!(node.says, []);
}

#[test]
fn two_feeds_and_detection_each_have_their_own_word_of_a_target() {
    let mut node = Node::new();
    node.proven("192.0.2.1");
    node.feed(&["192.0.2.1"], &[]);
    let other =
        FeedChange { feed: "other".into(), listed: [net("192.0.2.1")].into(), ..FeedChange::default() };
    node.agent.handle_feed(node.now(), FeedChange { until: Time::NEVER, ..other });
    node.take();
    assert_eq!(node.listed().len(), 2);
    node.feed(&[], &["192.0.2.1"]);
    assert_eq!((node.listed().len(), node.dropped("192.0.2.1")), (1, Some(Strength::Hard)));
    assert_eq!(node.agent.blocks().count(), 2);
}

#[test]
fn when_the_clients_vanish_after_a_feed_its_new_blocks_are_withdrawn() {
    let mut node = Node::new();
    let second = |node: &mut Node, clients| {
        node.pass(1);
        node.agent.handle_handshakes(node.now(), clients);
        node.take();
    };
    node.feed(&["198.51.100.1"], &[]);
    (0..90).for_each(|_| second(&mut node, 20));
    node.feed(&["192.0.2.0/24"], &[]);
    (0..5).for_each(|_| second(&mut node, 0));
    assert_eq!(node.listed(), ["198.51.100.1/32"], "what was there before is not to blame");
    assert_eq!(node.feed(&["192.0.2.0/24"], &[]).collapsed, 1);
    node.pass(600);
    assert_eq!(node.feed(&["192.0.2.0/24"], &[]).held, 1);
}
