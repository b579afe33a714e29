//! What is missing is found and fetched, a flight at a time.

use super::*;

/// A member that holds these runs, and one that holds none, in touch.
fn pair(runs: &[VerifiedRun]) -> [(u8, Node); 2] {
    let mut nodes = [(1, Node::new(1)), (2, Node::new(2))];
    for run in runs {
        nodes[0].1.take(at(1), 8, run.clone(), Duration::ZERO);
    }
    nodes[0].1.meet(at(1), &[2]);
    nodes[1].1.meet(at(1), &[1]);
    nodes
}

fn same(nodes: &[(u8, Node)]) -> bool {
    nodes.windows(2).all(|pair| pair[0].1.gossip.digest() == pair[1].1.gossip.digest())
}

#[test]
fn what_one_lacks_it_gets_when_they_meet() {
    let runs: Vec<_> = (0..30).map(|n| seal(header(9, 5, 1 + n), [block(n as u8, None)].into())).collect();
    let mut nodes = pair(&runs);
    let messages = talk(at(1), &mut nodes, &library(&runs));
    assert!(same(&nodes) && nodes[1].1.applied.len() == 30);
    assert!(messages < 20, "{messages} messages");
    nodes.iter_mut().for_each(|(_, node)| node.turn(at(5)));
    let idle = talk(at(5), &mut nodes, &library(&runs));
    assert!(idle <= 8, "then digests alone: {idle}");
}

#[test]
fn gaps_and_many_ranges_are_no_trouble() {
    let runs: Vec<_> =
        (0..300).map(|n| seal(header(9, 5, 1 + 3 * n), [block(n as u8, None)].into())).collect();
    let mut nodes = pair(&runs);
    for second in 2..60 {
        talk(at(second), &mut nodes, &library(&runs));
        nodes.iter_mut().for_each(|(_, node)| node.turn(at(second)));
    }
    assert!(same(&nodes), "{} runs", nodes[1].1.gossip.runs());
}

#[test]
fn no_more_than_a_flight_is_under_way_and_the_next_waits_for_the_disk() {
    let large = |n: u64| Entry::Unknown { kind: 9, lasts: None, bytes: alloc::vec![n as u8; 5_000].into() };
    let runs: Vec<_> = (0..100).map(|n| seal(header(9, 5, 1 + n), [large(n)].into())).collect();
    let mut nodes = pair(&runs);
    nodes[1].1.waits = true;
    talk(at(1), &mut nodes, &library(&runs));
    let held: usize =
        nodes[1].1.gossip.logs.iter().flat_map(|log| log.runs().values()).map(|h| h.signed.bytes.len()).sum();
    assert!(held > 0 && held <= FLIGHT, "{held}");
    nodes[1].1.waits = false;
    nodes[1].1.turn(at(2));
    talk(at(2), &mut nodes, &library(&runs));
    assert!(same(&nodes));
}

#[test]
fn a_member_that_does_not_answer_is_left_for_another() {
    let runs = [seal(header(9, 5, 1), [block(1, None)].into())];
    let mut node = Node::new(1);
    node.meet(at(0), &[2, 3]);
    let row = |digest| Row {
        tag: hash::tag(&log(9)),
        digest,
        floor: Version::default(),
        quarantined: false,
        spans: [Span { epoch: 5, from: 1, to: 1 }].into(),
    };
    node.sent.clear();
    node.hear(at(1), 2, Message::Vectors { rows: [row(1)].into(), answer: false });
    node.hear(at(1), 3, Message::Vectors { rows: [row(1)].into(), answer: false });
    let pulls = |node: &Node| {
        node.sent.iter().filter(|(_, m)| matches!(m, Message::Pull(_))).map(|(to, _)| *to).collect::<Vec<_>>()
    };
    assert_eq!(pulls(&node), [id(2)]);
    node.turn(at(4));
    assert_eq!(pulls(&node), [id(2), id(3)]);
    let answer = Carried { run: runs[0].clone(), age: Duration::ZERO };
    node.hear(at(4), 3, Message::Runs { runs: [answer].into(), answers: Some(More(false)) });
    assert_eq!(node.applied.len(), 1);
}

#[test]
fn what_cannot_be_agreed_on_is_compared_less_and_less() {
    let mut node = Node::new(1);
    node.meet(at(0), &[2]);
    node.sent.clear();
    for second in 1..120 {
        node.hear(at(second), 2, Message::Digest { all: 1, wall: at(second).wall });
        if node.sent.iter().any(|(_, message)| matches!(message, Message::Summary(_))) {
            node.hear(at(second), 2, Message::Vectors { rows: Vec::new(), answer: false });
        }
    }
    assert!(node.gossip.counters().vain < 140);
    let summaries = node.sent.iter().filter(|(_, message)| matches!(message, Message::Summary(_))).count();
    assert!(summaries < 10, "{summaries} in two minutes");
}

#[test]
fn a_push_that_would_queue_is_left_to_repair() {
    let mut node = Node::new(1);
    node.meet(at(0), &[2]);
    node.sent.clear();
    for _ in 0..20 {
        for _ in 0..25 {
            let entry = Entry::Unknown { kind: 9, lasts: None, bytes: [0; 10_000].into() };
            node.gossip.append(at(1), Audience::Cluster, entry).unwrap();
        }
        node.turn(at(1));
    }
    let digests = node.sent.iter().filter(|(_, message)| matches!(message, Message::Digest { .. })).count();
    assert!(digests > 0, "the digest tells that there is more");
    let told = node.told();
    let bytes: usize = told.iter().map(|(_, carried)| carried.run.bytes.len()).sum();
    assert!(told.len() == 1 || bytes <= FLIGHT, "{bytes} bytes in {} runs", told.len());
}

fn row(origin: u8, to: u64) -> Row {
    let (tag, floor) = (hash::tag(&log(origin)), Version::default());
    Row { tag, digest: 1, floor, quarantined: false, spans: [Span { epoch: 5, from: 1, to }].into() }
}

fn pulls(node: &Node) -> Vec<NodeId> {
    node.sent.iter().filter(|(_, m)| matches!(m, Message::Pull(_))).map(|(to, _)| *to).collect()
}

fn answer(node: &mut Node, from: u8, origin: u8, first: u64, more: bool) {
    let run = Carried { run: seal(header(origin, 5, first), [block(1, None)].into()), age: Duration::ZERO };
    node.hear(at(1), from, Message::Runs { runs: [run].into(), answers: Some(More(more)) });
}

#[test]
fn an_answer_without_anything_that_was_asked_for_ends_the_pull() {
    for (origin, first) in [(2, 1), (9, 700)] {
        let mut node = Node::new(1);
        node.meet(at(0), &[2, 3]);
        node.sent.clear();
        node.hear(at(1), 2, Message::Vectors { rows: [row(9, 500)].into(), answer: false });
        node.hear(at(1), 3, Message::Vectors { rows: [row(9, 500)].into(), answer: false });
        assert_eq!(pulls(&node), [id(2)]);
        answer(&mut node, 2, origin, first, true);
        assert_eq!(pulls(&node), [id(2), id(3)], "its own fresh run was not asked for");
        answer(&mut node, 3, 9, 1, false);
        assert_eq!(pulls(&node), [id(2), id(3)]);
        assert_eq!(node.gossip.counters().vain, 1);
    }
}

#[test]
fn after_each_answer_the_others_have_their_turn() {
    let mut node = Node::new(1);
    node.meet(at(0), &[2, 3]);
    node.sent.clear();
    node.hear(at(1), 2, Message::Vectors { rows: [row(9, u64::MAX)].into(), answer: false });
    node.hear(at(1), 3, Message::Vectors { rows: [row(8, 500)].into(), answer: false });
    for n in 1..=4 {
        answer(&mut node, 2, 9, n, true);
        answer(&mut node, 3, 8, n, true);
    }
    assert_eq!(pulls(&node)[..5], [2, 3, 2, 3, 2].map(id));
    answer(&mut node, 2, 9, 5, true);
    answer(&mut node, 3, 8, 5, false);
    for n in 6..200 {
        answer(&mut node, 2, 9, n, true);
    }
    let asked = pulls(&node).iter().filter(|to| **to == id(2)).count();
    assert_eq!(asked, 64, "then what it holds is compared anew");
}

#[test]
fn a_log_that_is_pulled_again_is_heard_to_its_end() {
    let large = |n: u64, mark| Entry::Unknown {
        kind: 9,
        lasts: None,
        bytes: alloc::vec![mark; 50_000 + n as usize].into(),
    };
    let run = |n, mark| seal(header(9, 5, n), [large(n, mark)].into());
    let mut runs: Vec<_> = (1..=20).map(|n| run(n, 0)).collect();
    let mut nodes = pair(&runs);
    for fine in &runs[..19] {
        nodes[1].1.take(at(1), 8, fine.clone(), Duration::ZERO);
    }
    nodes[1].1.take(at(1), 8, run(20, 1), Duration::ZERO);
    runs.push(run(20, 1));
    for second in 2..6 {
        talk(at(second), &mut nodes, &library(&runs));
        nodes.iter_mut().for_each(|(_, node)| node.turn(at(second)));
    }
    assert!(nodes.iter().all(|(_, node)| node.gossip.quarantined().len() == 1), "the last one is a fork");
}

#[test]
fn nobody_has_us_look_through_our_logs_all_the_time() {
    let mut node = Node::new(1);
    node.take(at(0), 2, seal(header(9, 5, 1), [block(1, None)].into()), Duration::ZERO);
    node.meet(at(0), &[2, 3]);
    let looks = |node: &Node, who| {
        node.sent.iter().filter(|(to, m)| *to == id(who) && matches!(m, Message::Vectors { .. })).count()
    };
    node.sent.clear();
    for _ in 0..100 {
        node.hear(at(1), 2, Message::Summary(Vec::new()));
        node.hear(at(1), 2, Message::Vectors { rows: [row(9, 1)].into(), answer: true });
    }
    assert_eq!(looks(&node, 2), 16);
    node.hear(at(1), 3, Message::Summary(Vec::new()));
    node.hear(at(2), 2, Message::Summary(Vec::new()));
    assert_eq!((looks(&node, 3), looks(&node, 2)), (1, 17));
}

#[test]
fn what_is_missing_is_what_is_neither_held_nor_over() {
    let mut log = log::Log::new(log(9));
    log.bury(Version { epoch: 5, sequence: 3 }, 5);
    for first in [8, 20] {
        let run = seal(header(9, 5, first), [block(1, None), block(2, None)].into());
        let (held, _) = held::Held::new(log.tag, run, 0, at(0), false);
        log.take(Version { epoch: 5, sequence: first }, held, false);
    }
    let missing = |from, to| {
        log.missing(Span { epoch: 5, from, to }).iter().map(|span| (span.from, span.to)).collect::<Vec<_>>()
    };
    assert_eq!(missing(1, 30), [(1, 2), (6, 7), (10, 19), (22, 30)]);
    assert_eq!(missing(4, 9), [(6, 7)]);
    assert_eq!(missing(9, 9), []);
    assert_eq!(missing(21, u64::MAX), [(22, u64::MAX)]);
}
