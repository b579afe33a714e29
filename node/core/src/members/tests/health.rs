use core::time::Duration;

use super::net::*;
use crate::members::*;

fn accusations(net: &Net, at: usize) -> usize {
    let accuses = |event: &MembersEffect| matches!(event, MembersEffect::Suspect(_) | MembersEffect::Down(_));
    net.hosts[at].events.iter().filter(|(_, event)| accuses(event)).count()
}

#[test]
fn a_node_that_was_starved_accuses_nobody() {
    let mut net = Net::formed(5, 40);
    for _ in 0..20 {
        // Long enough for its probes to look unanswered, too short to be given up itself.
        net.pause(1, Duration::from_millis(2700));
        net.run(Duration::from_millis(3500));
    }
    assert_eq!(accusations(&net, 1), 0);
    assert!((0..5).all(|at| net.downs(at) == 0));
}

#[test]
fn a_node_that_slept_for_minutes_accuses_nobody_and_is_back_soon() {
    let mut net = Net::formed(5, 41);
    net.pause(1, Duration::from_secs(300));
    net.run(Duration::from_secs(299));
    assert!([0, 2, 3, 4].into_iter().all(|at| net.state(1, at) == Some(MemberState::Dead)));
    assert!(net.until(15, Net::is_whole).is_some());
    assert_eq!(accusations(&net, 1), 0);
    net.run(Duration::from_secs(30));
    assert!([0, 2, 3, 4].into_iter().all(|at| net.downs(at) == 1));
}

#[test]
fn a_node_in_bad_health_suspects_longer_and_recovers() {
    let mut net = Net::formed(5, 42);
    for _ in 0..4 {
        net.pause(1, Duration::from_secs(2));
        net.run(Duration::from_millis(2500));
    }
    let slow = net.hosts[1].members.slowness();
    assert!(slow > 2, "{slow}");
    net.run(Duration::from_secs(60));
    assert_eq!(net.hosts[1].members.slowness(), 1);
}

#[test]
fn a_node_that_hears_nobody_doubts_itself_first() {
    let mut net = Net::formed(9, 43);
    (1..9).for_each(|other| {
        net.cut.insert((other, 0));
    });
    net.run(Duration::from_secs(14));
    assert!(net.hosts[0].members.slowness() > 4);
    assert_eq!(net.downs(0), 0, "after fourteen seconds others would have given up the first");
}
