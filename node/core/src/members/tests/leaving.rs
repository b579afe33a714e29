use core::time::Duration;

use super::net::*;
use crate::members::*;

#[test]
fn who_leaves_has_left_and_is_not_dead() {
    let mut net = Net::formed(8, 20);
    net.with(3, Members::leave);
    net.run(Duration::from_millis(50));
    net.hosts[3].up = false;
    net.run(Duration::from_secs(5));
    for at in (0..8).filter(|at| *at != 3) {
        assert_eq!(net.state(3, at), Some(MemberState::Left), "at {at}");
    }
    assert!(net.is_whole());
}

#[test]
fn who_dies_is_suspected_and_then_dead() {
    let mut net = Net::formed(5, 21);
    net.hosts[2].up = false;
    let suspected =
        net.until(10, |net| (0..5).any(|at| at != 2 && net.state(2, at) == Some(MemberState::Suspect)));
    assert!(suspected.is_some());
    let dead = net.until(20, |net| (0..5).all(|at| at == 2 || net.state(2, at) == Some(MemberState::Dead)));
    std::println!("dead everywhere {dead:?} after it was suspected");
    assert!(dead.is_some());
    let events = &net.hosts[0].events;
    assert!(events.iter().any(|(_, event)| matches!(event, MembersEffect::Suspect(node) if *node == id(2))));
    assert!(net.until(1, Net::is_whole).is_some(), "nobody else is");
}

#[test]
fn the_dead_are_forgotten_after_three_days_and_not_before() {
    let mut net = Net::formed(2, 22);
    net.hosts[1].up = false;
    net.run(Duration::from_secs(3 * 24 * 3600 - 60));
    assert_eq!(net.state(1, 0), Some(MemberState::Dead));
    assert!(net.hosts[0].disk.contains_key(&id(1)));
    net.run(Duration::from_secs(180));
    assert_eq!(net.state(1, 0), None);
    assert!(net.hosts[0].disk.is_empty());
}

#[test]
fn who_left_says_nothing_more_and_comes_back_by_starting_anew() {
    let mut net = Net::formed(4, 23);
    net.with(1, Members::leave);
    let sent = net.hosts[1].members.stats().sent;
    net.run(Duration::from_secs(30));
    assert_eq!(net.hosts[1].members.stats().sent, sent);
    let boot = net.hosts[1].members.generation() + 1;
    net.restart(1, boot);
    assert!(net.until(10, Net::is_whole).is_some());
    assert_eq!(net.state(1, 3), Some(MemberState::Alive));
}

#[test]
fn an_expelled_member_is_gone_and_not_heard_again() {
    let mut net = Net::formed(4, 24);
    for at in 0..3 {
        net.with(at, |members, now| {
            members.keys().revoked.insert(id(3));
            members.handle_expelled(now, &id(3));
        });
    }
    net.run(Duration::from_secs(60));
    for at in 0..3 {
        assert_eq!(net.state(3, at), None);
        assert!(!net.hosts[at].disk.contains_key(&id(3)));
        assert_eq!(net.hosts[at].members.alive().count(), 2);
        assert!(net.hosts[at].members.stats().strangers > 0, "it goes on talking");
    }
}
