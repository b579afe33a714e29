//! The kernel first, then the disk, then everybody else; and only what was reserved.

use super::*;

#[test]
fn nothing_is_told_before_it_is_on_disk() {
    let mut node = Node::new(1);
    node.meet(at(0), &[2, 3]);
    node.told();
    node.waits = true;
    node.say(at(1), block(1, None));
    node.take(at(1), 2, seal(header(2, 5, 1), [block(2, None)].into()), Duration::ZERO);
    assert_eq!(node.applied.len(), 2, "but it is enforced at once");
    let digest = node.gossip.cluster_digest();
    let epoch = node.gossip.next_version().epoch;
    node.hear(
        at(1),
        2,
        Message::Pull([Want { tag: hash::tag(&log(1)), span: Span { epoch, from: 0, to: u64::MAX } }].into()),
    );
    assert_eq!(node.told().len(), 0);
    node.waits = false;
    node.turn(at(2));
    assert_eq!(node.told().iter().map(|(to, _)| *to).collect::<Vec<_>>(), [id(2), id(3)]);
    assert_ne!(node.gossip.cluster_digest(), digest);
}

#[test]
fn sequences_are_reserved_on_disk_before_they_are_used() {
    let mut node = Node::stopped(1, Limits::default());
    node.waits = true;
    node.gossip.start(at(0));
    node.turn(at(0));
    node.say(at(0), block(1, None));
    assert!(matches!(node.kept[..], [Kept::Reserved(Reserved { cluster: 1001, .. })]), "{:?}", node.kept);
    node.waits = false;
    node.turn(at(1));
    assert!(matches!(node.kept[..], [Kept::Reserved(_), Kept::Run { .. }]), "{:?}", node.kept);
}

#[test]
fn what_is_beyond_the_reserved_waits_until_more_is_on_disk() {
    let mut node = Node::new(1);
    for _ in 0..1500 {
        node.gossip.append(at(1), Audience::Cluster, block(1, None)).unwrap();
    }
    node.waits = true;
    node.turn(at(1));
    assert_eq!(node.gossip.next_version().sequence, 1002, "1001 were reserved");
    node.waits = false;
    node.turn(at(1));
    assert_eq!(node.gossip.next_version().sequence, 1501);
}

#[test]
fn a_restart_has_an_epoch_above_that_of_the_store() {
    let mut node = Node::stopped(1, Limits::default());
    let reserved = Reserved { epoch: 77, cluster: 1234, site: 5 };
    node.gossip.restore(at(0), Restored::Reserved(reserved));
    node.gossip.start(at(0));
    node.turn(at(0));
    node.say(at(0), block(1, None));
    assert_eq!(node.last().1, Version { epoch: at(0).wall.as_secs() * 1000 + 1, sequence: 1 });
}

#[test]
fn two_lives_from_one_copy_of_a_disk_use_no_version_twice_whatever_the_clock_shows() {
    let life = |clock: u64, seed| {
        let mut node = Node::stopped(1, Limits::default());
        let config = Config { cluster: CLUSTER.into(), site: SITE.into(), limits: Limits::default() };
        node.gossip = Gossip::new(config, Box::new(Key(1)), seed);
        let now = Now { steady: at(0).steady, wall: Time::from_secs(clock) };
        node.gossip.restore(now, Restored::Reserved(Reserved { epoch: 50_000, cluster: 1234, site: 5 }));
        node.gossip.start(now);
        node.turn(now);
        node.say(now, block(1, None));
        node.last().1.epoch
    };
    assert_eq!((life(60, 1), life(61, 2)), (60_001, 61_001));
    let still: Vec<_> = (0..20).map(|seed| life(1, seed)).collect();
    assert!(still.iter().all(|epoch| *epoch > 50_000));
    let apart: alloc::collections::BTreeSet<_> = still.iter().collect();
    assert_eq!(apart.len(), 20);
}

#[test]
fn a_new_store_has_an_epoch_above_the_clock_and_above_what_others_heard() {
    let mut node = Node::new(1);
    node.say(at(0), block(1, None));
    let epoch = node.last().1.epoch;
    assert_eq!(epoch, at(0).wall.as_secs() * 1000 + 1);
    node.take(at(1), 2, seal(header(1, epoch + 5000, 9), [block(2, None)].into()), Duration::ZERO);
    assert!(
        node.reports.contains(&Report::EpochRaised { from: epoch, to: epoch + 5001 }),
        "{:?}",
        node.reports
    );
    let said: Vec<_> = node.applied.iter().map(|(_, version, ..)| *version).collect();
    assert!(
        said.contains(&Version { epoch: epoch + 5001, sequence: 1 }),
        "what lives is said again: {said:?}"
    );
}

#[test]
fn two_with_one_key_raise_their_epochs_no_faster_than_every_ten_seconds() {
    let mut node = Node::new(1);
    let raises =
        |node: &Node| node.reports.iter().filter(|r| matches!(r, Report::EpochRaised { .. })).count();
    for n in 0..50 {
        let epoch = node.gossip.next_version().epoch + 1;
        node.take(at(1 + n / 10), 2, seal(header(1, epoch, 1), [block(2, None)].into()), Duration::ZERO);
    }
    assert_eq!(raises(&node), 1);
    node.turn(at(20));
    assert_eq!(raises(&node), 2);
}

#[test]
fn when_no_epoch_is_left_it_says_so() {
    let mut node = Node::new(1);
    node.take(at(1), 2, seal(header(1, own::LAST_EPOCH, 1), [block(2, None)].into()), Duration::ZERO);
    assert_eq!(node.reports, [Report::EpochsUsedUp]);
    node.say(at(2), block(3, None));
}

#[test]
fn little_that_is_said_while_the_disk_writes_goes_with_the_next_flush_and_much_is_signed_together() {
    let mut node = Node::new(1);
    node.waits = true;
    for host in 0..200 {
        node.say(at(1), block(host, None));
    }
    assert_eq!(node.applied.len(), own::WRITING, "these are among what the disk is given next");
    node.waits = false;
    node.turn(at(1));
    let runs = node.kept.iter().filter(|kept| matches!(kept, Kept::Run { .. })).count();
    assert_eq!((runs, node.applied.len()), (own::WRITING + 1, 200));
}

#[test]
fn what_may_leave_the_cluster_is_signed_apart_from_what_may_not() {
    let mut node = Node::new(1);
    let sessions = || Entry::Sessions { addresses: [[192, 0, 2, 1].into()].into(), lasts: Some(HOUR) };
    let said = [block(1, None), order("block"), order("allow"), sessions(), order("block"), withdraw(1)];
    for entry in said {
        node.gossip.append(at(1), Audience::Cluster, entry).unwrap();
    }
    node.turn(at(1));
    let runs: Vec<_> =
        node.gossip.logs.iter().flat_map(|log| log.runs().values()).map(|held| held.notes.len()).collect();
    assert_eq!(runs, [2, 2, 2]);
}

#[test]
fn it_is_signed_apart_also_when_a_log_says_its_oldest_again() {
    let mut node = Node::stopped(1, Limits::default());
    let sessions = || Entry::Sessions { addresses: [[192, 0, 2, 1].into()].into(), lasts: Some(HOUR) };
    let said = [block(1, None), sessions(), order("block"), order("allow"), block(2, None), sessions()];
    for (epoch, entry) in (1..).zip(said) {
        let run = seal(header(1, epoch, 1), [entry].into());
        node.gossip.restore(at(0), Restored::Run(Box::new(run), Duration::ZERO));
    }
    node.gossip.restore(at(0), Restored::Reserved(Reserved { epoch: 6, cluster: 1000, site: 1000 }));
    node.gossip.start(at(0));
    node.turn(at(0));
    node.turn(at(700));
    node.turn(at(800));
    let held = node.gossip.logs.iter().flat_map(|log| log.runs().values());
    let leaving = held.map(|held| held.entries.iter().map(|(_, entry)| Key(1).leaves(entry)).collect());
    assert_eq!(leaving.collect::<Vec<Vec<bool>>>(), [[true; 3], [false; 3]], "and nothing is lost");
    assert_eq!(node.gossip.counters().compacted, 1);
}

#[test]
fn a_run_holds_no_more_than_it_may() {
    let mut node = Node::new(1);
    for _ in 0..2500 {
        node.gossip.append(at(1), Audience::Cluster, block(1, None)).unwrap();
    }
    let large = || Entry::Unknown { kind: 9, lasts: None, bytes: [0; 10_000].into() };
    for _ in 0..60 {
        node.gossip.append(at(1), Audience::Cluster, large()).unwrap();
    }
    node.turn(at(1));
    let runs: Vec<_> =
        node.gossip.logs.iter().flat_map(|log| log.runs().values()).map(|held| held.notes.len()).collect();
    assert_eq!(runs.iter().sum::<usize>(), 2560);
    assert!(runs.iter().all(|count| *count <= crate::fleet::RUN_ENTRIES), "{runs:?}");
    assert!(runs.len() >= 5, "large entries are spread over runs by their bytes: {runs:?}");
}

#[test]
fn what_waits_for_a_disk_that_fails_is_bounded() {
    let mut node = Node::new(1);
    node.waits = true;
    node.say(at(1), block(1, None));
    for _ in 0..PENDING {
        node.gossip.append(at(1), Audience::Cluster, block(1, None)).unwrap();
    }
    let refused = node.gossip.append(at(1), Audience::Cluster, block(1, None));
    assert_eq!(refused, Err(Refused::Full { limit: PENDING }));
}

#[test]
fn an_entry_that_is_too_long_is_refused() {
    let mut node = Node::new(1);
    let entry = Entry::Unknown { kind: 9, lasts: None, bytes: [0; crate::fleet::ENTRY_BYTES].into() };
    let refused = node.gossip.append(at(1), Audience::Cluster, entry);
    assert_eq!(refused, Err(Refused::TooLong { limit: crate::fleet::ENTRY_BYTES }));
}

#[test]
fn the_site_s_log_is_for_the_site_alone() {
    let mut node = Node::new(1);
    let members = [member(2, SITE), member(3, "elsewhere")];
    node.gossip.handle_members(at(0), members.into());
    for other in [2, 3] {
        node.gossip.handle_connected(at(0), id(other));
    }
    node.turn(at(0));
    node.told();
    node.gossip.append(at(1), Audience::Site, block(1, None)).unwrap();
    node.turn(at(1));
    assert!(node.told().iter().all(|(to, _)| *to == id(2)));
    let own = LogId { origin: id(1), site: Some(SITE.into()) };
    let (epoch, tag) = (node.gossip.next_version().epoch, hash::tag(&own));
    let want = Want { tag, span: Span { epoch, from: 0, to: u64::MAX } };
    node.hear(at(2), 3, Message::Pull([want].into()));
    assert_eq!(node.told().len(), 0, "nor when another asks for it");
    node.hear(at(2), 2, Message::Pull([want].into()));
    assert_eq!(node.told().len(), 1);
    let theirs = RunHeader { site: Some("elsewhere".into()), ..header(3, 5, 1) };
    node.take(at(2), 3, seal(theirs, [block(2, None)].into()), Duration::ZERO);
    assert_eq!(node.applied.len(), 1, "and another site's is none of ours");
}
