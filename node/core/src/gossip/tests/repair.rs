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
