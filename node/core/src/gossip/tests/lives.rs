//! How long entries live.

use super::*;

fn remaining(node: &Node) -> u64 {
    node.last().3.unwrap().as_secs()
}

fn long_ago(ago: Duration, header: RunHeader) -> RunHeader {
    RunHeader { issued: Time::from_secs(at(0).wall.as_secs() - ago.as_secs()), ..header }
}

#[test]
fn age_grows_with_every_holder() {
    let (mut one, mut two) = (Node::new(1), Node::new(2));
    one.meet(at(0), &[2]);
    two.meet(at(0), &[1]);
    let run = seal(header(9, 5, 1), [block(1, Some(HOUR))].into());
    one.take(at(10), 8, run.clone(), Duration::from_secs(100));
    assert_eq!(remaining(&one), 3500);
    one.told();
    let want = Want { tag: hash::tag(&log(9)), span: Span { epoch: 5, from: 1, to: 1 } };
    one.hear(at(60), 2, Message::Pull([want].into()));
    let age = one.told()[0].1.age;
    two.take(at(60), 1, run, age);
    assert_eq!(remaining(&two), 3450);
}

#[test]
fn what_remains_never_rises_for_one_version() {
    let mut node = Node::new(1);
    let age = Duration::from_secs(3000);
    let run = seal(long_ago(age, header(9, 5, 1)), [block(1, Some(HOUR))].into());
    node.take(at(10), 8, run.clone(), age);
    let bytes = node.gossip.bytes();
    node.take(at(11), 7, run, Duration::ZERO);
    assert_eq!((node.applied.len(), remaining(&node)), (1, 600));
    assert_eq!((node.gossip.bytes(), node.gossip.counters().repeated), (bytes, 1));
    node.turn(at(3000));
    assert_eq!(node.gossip.runs(), 0, "and it ends when it would have");
}

#[test]
fn the_higher_version_wins_in_any_order() {
    let runs = [1, 2, 3].map(|n| seal(header(9, 5, n), [block(1, Some(HOUR * n as u32))].into()));
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let mut node = Node::new(1);
        for index in order {
            node.take(at(1), 8, runs[index].clone(), Duration::ZERO);
        }
        assert_eq!(node.last().1.sequence, 3);
        assert_eq!(node.gossip.listed(at(2)).count(), 1);
    }
}

#[test]
fn a_withdrawal_ends_what_was_said_before_and_only_that() {
    let blocks = seal(header(9, 5, 1), [block(1, None), block(2, None)].into());
    let takes = seal(header(9, 5, 3), [withdraw(1)].into());
    let target = block(1, None).target().unwrap();
    let mut node = Node::new(1);
    node.take(at(1), 8, blocks.clone(), Duration::ZERO);
    node.take(at(2), 8, takes.clone(), Duration::ZERO);
    assert_eq!(node.voided, [(target, Version { epoch: 5, sequence: 3 }, Voided::Withdrawn)]);
    let mut late = Node::new(2);
    late.take(at(1), 8, takes, Duration::ZERO);
    late.take(at(2), 8, blocks, Duration::ZERO);
    assert_eq!(late.applied.len(), 1, "the block that was taken back is not applied when it comes after");
    let other = seal(header(8, 5, 1), [withdraw(2)].into());
    node.take(at(3), 8, other, Duration::ZERO);
    assert_eq!(node.voided.len(), 1, "nobody withdraws for others");
}

#[test]
fn a_later_word_that_is_over_still_contradicts_the_earlier_one() {
    let long = seal(header(9, 5, 1), [block(1, None)].into());
    let short = seal(header(9, 5, 2), [block(1, Some(Duration::from_secs(5)))].into());
    let mut node = Node::new(1);
    node.take(at(0), 8, long.clone(), Duration::ZERO);
    node.take(at(1), 8, short.clone(), Duration::ZERO);
    node.turn(at(4000));
    assert_eq!(node.gossip.runs(), 2, "both are kept as long as the first would last");
    let mut late = Node::new(2);
    late.take(at(4000), 1, short, Duration::from_secs(4000));
    late.take(at(4000), 1, long, Duration::from_secs(4000));
    assert_eq!(late.applied.len(), 0);
}

#[test]
fn what_is_over_is_let_go_and_not_asked_for_again() {
    let mut node = Node::new(1);
    node.meet(at(0), &[2]);
    node.take(
        at(1),
        2,
        seal(header(9, 5, 1), [block(1, Some(Duration::from_secs(5)))].into()),
        Duration::ZERO,
    );
    assert_eq!(node.gossip.runs(), 1);
    node.turn(at(700));
    assert_eq!((node.gossip.runs(), node.gossip.bytes()), (0, 0));
    assert!(node.kept.iter().any(|kept| matches!(kept, Kept::Gone { .. })));
    node.sent.clear();
    let (tag, floor) = (hash::tag(&log(9)), Version::default());
    let row =
        Row { tag, digest: 1, floor, quarantined: false, spans: [Span { epoch: 5, from: 1, to: 1 }].into() };
    node.hear(at(701), 2, Message::Vectors { rows: [row].into(), answer: false });
    assert!(!node.sent.iter().any(|(_, message)| matches!(message, Message::Pull(_))));
}

#[test]
fn below_the_floor_nothing_lives_and_nothing_comes_back() {
    let mut node = Node::new(1);
    let old = seal(header(9, 5, 1), [block(1, None), block(2, None)].into());
    let floor = Version { epoch: 5, sequence: 3 };
    let new = seal(RunHeader { floor, ..header(9, 5, 3) }, [block(2, None)].into());
    node.take(at(1), 8, old.clone(), Duration::ZERO);
    node.take(at(2), 8, new, Duration::ZERO);
    assert_eq!(node.voided.len(), 0, "what is said again may still be on its way");
    node.turn(at(40));
    let target = block(1, None).target().unwrap();
    assert_eq!(node.voided, [(target, Version { epoch: 5, sequence: 1 }, Voided::Floor)]);
    assert_eq!((node.gossip.runs(), node.gossip.listed(at(40)).count()), (1, 1));
    node.take(at(50), 8, old, Duration::ZERO);
    assert_eq!((node.applied.len(), node.gossip.runs()), (3, 1));
}

#[test]
fn unknown_kinds_are_kept_and_passed_on_but_not_applied() {
    let mut node = Node::new(1);
    node.meet(at(0), &[2]);
    let unknown = Entry::Unknown { kind: 42, lasts: Some(HOUR), bytes: [1, 2, 3].into() };
    let run = seal(header(9, 5, 1), [unknown].into());
    node.take(at(1), 8, run.clone(), Duration::ZERO);
    assert_eq!((node.applied.len(), node.gossip.runs()), (0, 1));
    node.told();
    let want = Want { tag: hash::tag(&log(9)), span: Span { epoch: 5, from: 1, to: 1 } };
    node.hear(at(2), 2, Message::Pull([want].into()));
    assert_eq!(node.told()[0].1.run, *run.signed(), "byte by byte as it was signed");
}

#[test]
fn a_restart_applies_what_was_stored_for_what_is_left_of_it() {
    let mut node = Node::stopped(1, Limits::default());
    let run = seal(header(9, 5, 1), [block(1, Some(HOUR)), block(2, Some(Duration::from_secs(60)))].into());
    node.gossip.restore(at(0), Restored::Run(Box::new(run), Duration::from_secs(600)));
    node.gossip.start(at(0));
    node.turn(at(0));
    assert_eq!((node.applied.len(), remaining(&node)), (1, 3000));
}

#[test]
fn a_fleet_that_outgrows_streams_to_all_does_not_lean_on_a_few() {
    let fleet: Vec<u8> = (1..=40).collect();
    let mut chosen = alloc::collections::BTreeMap::<NodeId, usize>::new();
    for number in &fleet {
        let config = Config { cluster: CLUSTER.into(), site: SITE.into(), limits: Limits::default() };
        let mut gossip = Gossip::new(config, Box::new(Key(*number)), 7);
        let mut neighbours = Vec::new();
        let sizes: &[usize] = if *number <= 16 { &[16, 40] } else { &[40] };
        for size in sizes.iter().copied() {
            gossip.handle_members(at(0), fleet[..size].iter().map(|n| member(*n, SITE)).collect());
            while let Some(effect) = gossip.poll_effect() {
                if let Effect::Neighbours(now) = effect {
                    neighbours = now;
                }
            }
        }
        neighbours.into_iter().for_each(|id| *chosen.entry(id).or_default() += 1);
    }
    let most = chosen.values().max().unwrap();
    assert!(*most <= 12, "{most} of 40 keep a stream to the same one");
}

#[test]
fn what_is_over_and_gone_nobody_brings_back() {
    let mut node = Node::new(1);
    let run = seal(header(9, 5, 1), [block(1, Some(Duration::from_secs(5)))].into());
    node.take(at(1), 2, run.clone(), Duration::ZERO);
    node.turn(at(700));
    node.take(at(701), 3, run.clone(), Duration::ZERO);
    assert_eq!((node.applied.len(), node.gossip.runs()), (1, 0));
    let over = node.kept.iter().rev().find_map(|kept| match kept {
        Kept::Over { log, spans } => Some((log.clone(), spans.clone())),
        _ => None,
    });
    let (log, spans) = over.unwrap();
    assert_eq!(spans, [Span { epoch: 5, from: 1, to: 1 }]);
    let mut again = Node::stopped(1, Limits::default());
    again.gossip.restore(at(800), Restored::Over(log, spans));
    again.gossip.start(at(800));
    again.take(at(801), 3, run, Duration::ZERO);
    assert_eq!((again.applied.len(), again.gossip.runs()), (0, 0), "nor after a restart");
}

#[test]
fn what_somebody_said_long_ago_does_not_silence_him() {
    let mut node = Node::with(1, Limits { log_bytes: 20_000, ..Limits::default() });
    let old = |n| seal(long_ago(HOUR * 5, header(9, 5, n)), [block(1, Some(HOUR))].into());
    for n in 1..200 {
        node.take(at(1), 2, old(n), HOUR * 5);
    }
    assert!(node.gossip.bytes() <= 20_000);
    node.take(at(2), 9, seal(header(9, 5, 200), [block(2, Some(HOUR))].into()), Duration::ZERO);
    assert_eq!((node.applied.len(), node.reports.len()), (1, 0), "{:?}", node.reports);
    node.take(at(3), 2, old(150), HOUR * 5);
    assert!(node.gossip.bytes() <= 20_000);
}

#[test]
fn the_floor_rises_above_what_is_over() {
    let mut node = Node::stopped(1, Limits::default());
    node.gossip.restore(at(0), Restored::Reserved(Reserved { epoch: 6, cluster: 1000, site: 1000 }));
    node.gossip.start(at(0));
    node.turn(at(0));
    node.say(at(1), block(1, Some(Duration::from_secs(5))));
    node.turn(at(700));
    node.say(at(701), block(2, None));
    let tag = node.gossip.own_tag(Audience::Cluster);
    let floor = |node: &Node| node.gossip.logs.get(tag).unwrap().floor();
    assert_eq!(floor(&node), node.last().1);
    node.say(at(702), block(3, Some(Duration::from_secs(5))));
    node.turn(at(1400));
    node.say(at(1401), block(4, None));
    assert_eq!(floor(&node).sequence, 2, "and never above what lives");
}

#[test]
fn a_log_of_many_lives_is_said_again_in_one() {
    let mut node = Node::stopped(1, Limits::default());
    for epoch in 1..=6 {
        let run = seal(header(1, epoch, 1), [block(epoch as u8, None)].into());
        node.gossip.restore(at(0), Restored::Run(Box::new(run), Duration::ZERO));
    }
    node.gossip.restore(at(0), Restored::Reserved(Reserved { epoch: 6, cluster: 1000, site: 1000 }));
    node.gossip.start(at(0));
    node.turn(at(0));
    assert_eq!(node.gossip.listed(at(0)).count(), 6, "a new life loses nothing of those before");
    node.turn(at(700));
    node.turn(at(800));
    assert_eq!((node.gossip.runs(), node.gossip.listed(at(800)).count()), (1, 6));
}

#[test]
fn who_lost_its_store_voids_nothing_of_what_it_said_before_it_knows_it_again() {
    let floor = |node: &Node| node.gossip.logs.get(node.gossip.own_tag(Audience::Cluster)).unwrap().floor();
    let mut node = Node::new(1);
    node.say(at(1), block(2, Some(Duration::from_secs(5))));
    node.turn(at(700));
    node.say(at(701), block(3, None));
    assert_eq!(floor(&node), Version::default(), "others may hold what an older life said");
    node.meet(at(702), &[2]);
    let agree = |node: &mut Node, second| {
        let all = node.gossip.digest();
        node.hear(at(second), 2, Message::Digest { all, wall: at(second).wall });
    };
    node.hear(at(702), 2, Message::Digest { all: 1, wall: at(702).wall });
    node.turn(at(770));
    node.say(at(771), block(4, None));
    assert_eq!(floor(&node), Version::default());
    agree(&mut node, 772);
    node.turn(at(840));
    node.say(at(841), block(5, None));
    assert!(floor(&node) > Version::default(), "what was over may go once there is nothing else");
}

#[test]
fn what_is_over_leaves_the_disk_with_the_floor_and_is_written_once_a_minute() {
    let overs = |node: &Node| -> Vec<Vec<Span>> {
        let over = |kept: &Kept| match kept {
            Kept::Over { log, spans } if *log == self::log(9) => Some(spans.clone()),
            _ => None,
        };
        node.kept.iter().filter_map(over).collect()
    };
    let mut node = Node::new(1);
    let brief = |n| seal(header(9, 5, 2 * n), [block(n as u8, Some(Duration::from_secs(5)))].into());
    for n in 1..=50 {
        node.take(at(n), 8, brief(n), Duration::ZERO);
    }
    (600..=660).for_each(|second| node.turn(at(second)));
    let written = overs(&node);
    assert!((1..=2).contains(&written.len()), "{}", written.len());
    let floor = Version { epoch: 6, sequence: 1 };
    let above = seal(RunHeader { floor, ..header(9, 6, 1) }, [block(1, None)].into());
    node.take(at(700), 8, above, Duration::ZERO);
    (701..=770).for_each(|second| node.turn(at(second)));
    assert_eq!(overs(&node).last(), Some(&Vec::new()), "below the floor nothing is asked for anyway");
}

#[test]
fn a_log_that_is_forgotten_leaves_the_disk() {
    let mut node = Node::with(1, Limits { logs: 2, ..Limits::default() });
    let brief = |origin| seal(header(origin, 5, 1), [block(1, Some(Duration::from_secs(5)))].into());
    node.take(at(1), 8, brief(9), Duration::ZERO);
    node.take(at(1), 8, brief(8), Duration::ZERO);
    node.turn(at(700));
    node.kept.clear();
    node.take(at(701), 8, brief(7), Duration::ZERO);
    node.turn(at(703));
    let over = |kept: &Kept| matches!(kept, Kept::Over { spans, .. } if spans.is_empty());
    assert_eq!(node.kept.iter().filter(|kept| over(kept)).count(), 1);
}
