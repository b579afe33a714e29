//! Liars, floods, and numbers at the end of what there is.

use proptest::prelude::*;

use super::*;

#[test]
fn two_runs_under_one_version_end_belief_in_their_origin() {
    let mut node = Node::new(1);
    node.meet(at(0), &[2, 3]);
    let run = |host| seal(header(9, 5, 1), [block(host, None), order("keep me")].into());
    node.take(at(1), 2, run(1), Duration::ZERO);
    node.sent.clear();
    node.take(at(2), 3, run(2), Duration::ZERO);
    assert_eq!(node.voided.iter().map(|void| void.2).collect::<Vec<_>>(), [Voided::Quarantined]);
    assert_eq!(node.reports, [Report::DoubleSigned(log(9))]);
    let proofs: Vec<_> =
        node.sent.iter().filter(|(_, m)| matches!(m, Message::Proof(_))).map(|(to, _)| *to).collect();
    assert_eq!(proofs, [id(2)], "the proof itself is spread, not to whom it came from");
    node.take(at(3), 2, seal(header(9, 5, 7), [block(3, None)].into()), Duration::ZERO);
    assert_eq!((node.gossip.listed(at(3)).count(), node.gossip.quarantined().len()), (0, 1));
    node.turn(at(20));
    assert!(
        matches!(node.last(), (whose, _, Entry::Order(_), _) if *whose == log(1)),
        "the order is carried on"
    );
}

#[test]
fn runs_that_overlap_are_a_proof_too_and_a_proof_convinces_others() {
    let (one, other) = (
        seal(header(9, 5, 1), [block(1, None), block(2, None)].into()),
        seal(header(9, 5, 2), [block(3, None), block(4, None)].into()),
    );
    let mut node = Node::new(1);
    node.meet(at(0), &[2]);
    node.hear(at(1), 2, Message::Proof(Box::new((one, other.clone()))));
    assert_eq!(node.gossip.quarantined().len(), 1);
    let mut another = Node::new(3);
    another.meet(at(0), &[2]);
    another.hear(at(1), 2, Message::Proof(Box::new((other.clone(), other))));
    assert_eq!(another.gossip.quarantined().len(), 0, "the same run twice proves nothing");
    assert!(matches!(another.reports[..], [Report::Nonsense { .. }]));
}

#[test]
fn who_lies_about_ages_to_one_that_starts_ends_nothing() {
    let mut node = Node::new(1);
    node.meet(at(0), &[2, 3, 4, 5]);
    let run = seal(header(9, 5, 1), [block(1, Some(HOUR))].into());
    node.take(at(10), 2, run, 11 * HOUR);
    assert_eq!(node.last().3.unwrap().as_secs(), 3600 - 10 - TOLERANCE.as_secs(), "nobody told the time yet");
}

#[test]
fn a_proof_survives_a_restart() {
    let run = |host| Box::new(seal(header(9, 5, 1), [block(host, None)].into()));
    let mut node = Node::stopped(1, Limits::default());
    node.gossip.restore(at(0), Restored::Proof(Box::new((*run(1), *run(2)))));
    node.gossip.start(at(0));
    node.turn(at(0));
    node.take(at(1), 2, *run(1), Duration::ZERO);
    assert!(node.applied.is_empty());
}

#[test]
fn the_words_of_the_expelled_are_void_and_the_orders_they_carried_stand() {
    let mut node = Node::new(1);
    node.meet(at(0), &[2]);
    node.take(at(1), 9, seal(header(9, 5, 1), [block(1, None), order("stands")].into()), Duration::ZERO);
    node.gossip.handle_revoked(at(2), id(9));
    node.turn(at(20));
    assert_eq!(node.voided[0].2, Voided::Revoked);
    assert!(matches!(node.last(), (whose, _, Entry::Order(_), _) if *whose == log(1)));
    let count = node.applied.len();
    node.take(at(21), 2, seal(header(9, 5, 3), [block(2, None)].into()), Duration::ZERO);
    node.take(at(21), 9, seal(header(8, 5, 3), [block(2, None)].into()), Duration::ZERO);
    assert_eq!(node.applied.len(), count);
}

#[test]
fn a_flood_fills_its_own_share_and_no_other() {
    let mut node = Node::with(1, Limits { log_bytes: 50_000, all_bytes: 80_000, logs: 16 });
    let entries = || (0..100).map(|host| block(host, None)).collect::<Vec<_>>();
    for n in 0..50 {
        node.take(at(1), 9, seal(header(9, 5, 1 + 100 * n), entries()), Duration::ZERO);
    }
    assert!(node.gossip.bytes() <= 50_000, "{}", node.gossip.bytes());
    assert_eq!(node.reports, [Report::OverQuota(log(9))], "said once");
    for origin in 20..60 {
        for n in 0..5 {
            node.take(at(1), origin, seal(header(origin, 5, 1 + 100 * n), entries()), Duration::ZERO);
        }
    }
    assert!(node.gossip.bytes() <= 160_000, "{}", node.gossip.bytes());
    assert!(node.reports.contains(&Report::Full));
    let count = node.applied.len();
    node.take(at(2), 21, seal(header(21, 6, 1), [block(7, None)].into()), Duration::ZERO);
    node.say(at(2), block(9, None));
    assert_eq!(node.last().0, log(1), "and our own words have room always");
    assert!(node.applied.len() > count);
}

#[test]
fn numbers_at_the_end_of_what_there_is_are_refused() {
    let mut node = Node::new(1);
    let ends = [0, 1, own::LAST_EPOCH, own::LAST_EPOCH + 1, u64::MAX - 1, u64::MAX];
    for epoch in ends {
        for first in ends {
            for floor in ends {
                let floor = Version { epoch: floor, sequence: floor };
                let entries = [block(1, Some(Duration::MAX)), withdraw(2)].into();
                node.take(
                    at(1),
                    2,
                    seal(RunHeader { floor, ..header(9, epoch, first) }, entries),
                    Duration::MAX,
                );
            }
        }
    }
    assert!(node.gossip.runs() <= 4, "{}", node.gossip.runs());
    assert!(node.reports.iter().any(|report| text(report).contains("beyond all")));
}

#[test]
fn claims_of_everything_bring_nothing_and_do_not_last() {
    let mut node = Node::new(1);
    node.meet(at(0), &[2, 3]);
    let span = |epoch| Span { epoch, from: 0, to: u64::MAX };
    let rows = (0..WANTS as u64).map(|tag| Row {
        tag,
        digest: tag,
        floor: Version { epoch: u64::MAX, sequence: u64::MAX },
        quarantined: tag % 2 == 0,
        spans: (0..SPANS as u64).map(span).collect(),
    });
    node.hear(at(1), 2, Message::Vectors { rows: rows.collect(), answer: true });
    let pull = node.sent.iter().find_map(|(_, message)| match message {
        Message::Pull(wants) => Some(wants.len()),
        _ => None,
    });
    assert!(pull.is_some_and(|wants| wants <= WANTS), "{pull:?}");
    node.turn(at(10));
    assert_eq!(node.gossip.pulls.due(), Time::NEVER);
}

#[test]
fn streams_of_reports_are_held_down() {
    let mut node = Node::new(1);
    for origin in 0..2000_u16 {
        let [a, b] = origin.to_be_bytes();
        let mut header = header(9, 0, 1);
        header.origin.0[..2].copy_from_slice(&[a, b]);
        let from = header.origin;
        let run = Carried { run: seal(header, [block(1, None)].into()), age: Duration::ZERO };
        node.gossip.handle_message(at(1), from, Message::Runs { runs: [run].into(), answers: None });
        node.turn(at(1));
    }
    assert!(node.reports.len() <= 256, "{}", node.reports.len());
}

fn any_run() -> impl Strategy<Value = VerifiedRun> {
    let number = prop_oneof![Just(0), 1..20_u64, Just(own::LAST_EPOCH), Just(u64::MAX), any::<u64>()];
    let entry = prop_oneof![
        (0..5_u8, proptest::option::of(0..5000_u64))
            .prop_map(|(host, lasts)| block(host, lasts.map(Duration::from_secs))),
        (0..5_u8).prop_map(withdraw),
        any::<[u8; 3]>().prop_map(|bytes| order(&text(&bytes))),
    ];
    let entries = proptest::collection::vec(entry, 1..6);
    (0..4_u8, number.clone(), number.clone(), number.clone(), number, entries).prop_map(
        |(origin, epoch, first, floor, issued, entries)| {
            let floor = Version { epoch: if floor > 20 { epoch } else { 0 }, sequence: floor };
            let first = first.min(u64::MAX - entries.len() as u64);
            seal(
                RunHeader { floor, issued: Time::from_nanos(issued), ..header(origin, epoch, first) },
                entries,
            )
        },
    )
}

fn any_message() -> impl Strategy<Value = Message<VerifiedRun>> {
    let tag = prop_oneof![(0..4_u8).prop_map(|origin| hash::tag(&log(origin))), any::<u64>()];
    let number = prop_oneof![0..20_u64, Just(u64::MAX), any::<u64>()];
    let span = (number.clone(), number.clone(), number.clone()).prop_map(|(epoch, a, b)| Span {
        epoch,
        from: a.min(b),
        to: a.max(b),
    });
    let carried =
        (any_run(), 0..u64::MAX).prop_map(|(run, age)| Carried { run, age: Duration::from_nanos(age) });
    let row = (
        tag.clone(),
        any::<u64>(),
        number.clone(),
        any::<bool>(),
        proptest::collection::vec(span.clone(), 0..5),
    )
        .prop_map(|(tag, digest, floor, quarantined, spans)| {
            let floor = Version { epoch: floor, sequence: floor };
            Row { tag, digest, floor, quarantined, spans }
        });
    prop_oneof![
        (any::<u64>(), any::<u64>())
            .prop_map(|(all, wall)| Message::Digest { all, wall: Time::from_nanos(wall) }),
        proptest::collection::vec((tag.clone(), any::<u64>()), 0..5).prop_map(|all| {
            Message::Summary(all.into_iter().map(|(tag, digest)| Summary { tag, digest }).collect())
        }),
        (proptest::collection::vec(row, 0..4), any::<bool>())
            .prop_map(|(rows, answer)| Message::Vectors { rows, answer }),
        proptest::collection::vec((tag, span), 0..5).prop_map(|wants| Message::Pull(
            wants.into_iter().map(|(tag, span)| Want { tag, span }).collect()
        )),
        (proptest::collection::vec(carried, 0..4), proptest::option::of(any::<bool>()))
            .prop_map(|(runs, more)| Message::Runs { runs, answers: more.map(More) }),
        (any_run(), any_run()).prop_map(|runs| Message::Proof(Box::new(runs))),
    ]
}

proptest! {
    #[test]
    fn nothing_that_is_said_panics_or_leaves_what_is_not_counted(
        said in proptest::collection::vec((0..4_u8, any_message(), 0..400_u64), 1..60),
    ) {
        let mut node = Node::new(1);
        node.meet(at(0), &[0, 2, 3]);
        let mut now = 0;
        for (from, message, wait) in said {
            now += wait;
            node.hear(at(now), from, message);
            let refused = node.gossip.append(at(now), Audience::Cluster, block(200, Some(HOUR)));
            node.turn(at(now));
            prop_assert!(refused.is_ok() || node.gossip.quarantined().contains(&log(1)));
        }
        let held: usize = node.gossip.logs.iter().map(log::Log::bytes).sum();
        prop_assert_eq!(node.gossip.bytes(), held);
        for log in node.gossip.logs.iter().filter(|log| log.quarantine.is_none()) {
            let runs: usize = log.runs().values().map(held::Held::bytes).sum();
            let chains: usize = if log.runs().is_empty() { 0 } else { 100 };
            prop_assert!((runs + chains..=runs + chains + 50).contains(&log.bytes()), "{} of {runs}", log.bytes());
        }
        let digest = |log: &log::Log| log.runs().values().filter(|h| h.counted).fold(0, |all, h| all ^ h.hash);
        for log in node.gossip.logs.iter().filter(|log| log.quarantine.is_none()) {
            prop_assert_eq!(log.digest(), digest(log));
        }
        // Everything ends when it is over, but for what is said for ever or proves a floor.
        node.turn(at(now + 40_000));
        prop_assert!(node.gossip.poll_timeout() > at(now + 40_000).steady);
    }
}

#[test]
fn that_it_drops_all_are_told_in_a_small_fleet_and_in_a_large_one_the_origin_where_a_stream_is_open() {
    for (others, linked, told) in [(15, false, 15), (16, false, 0), (16, true, 1)] {
        let mut node = Node::new(1);
        let members: Vec<Member> = (2..2 + others).map(|number| member(number, SITE)).collect();
        node.gossip.handle_members(at(0), members);
        if linked {
            node.gossip.handle_connected(at(0), id(9));
        }
        node.turn(at(0));
        node.sent.clear();
        node.gossip.confirm(id(9), false, Span { epoch: 5, from: 7, to: 7 });
        node.turn(at(0));
        let words = node.sent.iter().filter(|(_, said)| matches!(said, Message::Enforced { .. })).count();
        assert_eq!(words, told, "{others} {linked}");
    }
}

fn orders(origin: u8, count: u64) -> impl Iterator<Item = VerifiedRun> {
    let order = |n: u64| order(&format!("order {n}"));
    let run = move |first: u64| {
        seal(header(origin, 5, first), (first..(first + 1000).min(count + 1)).map(order).collect())
    };
    (0..count.div_ceil(1000)).map(move |n| run(1 + 1000 * n))
}

fn said_again(node: &Node) -> usize {
    node.applied
        .iter()
        .filter(|(log, _, entry, _)| *log == self::log(1) && matches!(entry, Entry::Order(_)))
        .count()
}

#[test]
fn every_order_of_an_import_outlives_its_carrier() {
    let mut node = Node::new(1);
    orders(9, 4000).for_each(|run| node.take(at(1), 9, run, Duration::ZERO));
    node.gossip.handle_revoked(at(2), id(9));
    node.turn(at(2));
    let gone = |node: &Node| node.kept.iter().filter(|kept| matches!(kept, Kept::Gone { .. })).count();
    (3..30).for_each(|second| node.turn(at(second)));
    assert!((500..3500).contains(&said_again(&node)), "they take their time: {}", said_again(&node));
    assert_eq!(gone(&node), 0, "and stay on disk until then");
    (30..200).for_each(|second| node.turn(at(second)));
    assert_eq!((said_again(&node), gone(&node)), (4000, 4));
}

#[test]
fn a_restart_before_they_are_said_again_loses_no_order() {
    let mut node = Node::stopped(1, Limits::default());
    node.gossip.handle_revoked(at(0), id(9));
    let proof = |host| seal(header(8, 5, 1), [block(host, None)].into());
    node.gossip.restore(at(0), Restored::Proof(Box::new((proof(1), proof(2)))));
    for (carrier, text) in [(9, "one"), (8, "two")] {
        let run = seal(header(carrier, 5, 7), [order(text)].into());
        node.gossip.restore(at(0), Restored::Run(Box::new(run), Duration::ZERO));
    }
    node.gossip.start(at(0));
    (0..30).for_each(|second| node.turn(at(second)));
    assert_eq!(said_again(&node), 2);
}

#[test]
fn orders_beyond_the_book_are_counted_and_told() {
    let mut node = Node::new(1);
    orders(9, 20_001).for_each(|run| node.take(at(1), 9, run, Duration::ZERO));
    node.gossip.handle_revoked(at(2), id(9));
    node.turn(at(2));
    assert_eq!(node.gossip.counters().orders_lost, 1);
    assert_eq!(node.reports, [Report::OrdersLost { limit: 20_000 }]);
}

#[test]
fn all_that_is_held_is_charged_and_chains_once() {
    let mut node = Node::new(1);
    let chain = |n| {
        let Entry::Order(order) = order(&format!("order {n}")) else { panic!() };
        Entry::Order(SignedOrder { certificate: [7; 8000].into(), ..order })
    };
    let runs: Vec<_> = (1..=50).map(|n| seal(header(9, 5, n), [chain(n)].into())).collect();
    let signed: usize = runs.iter().map(|run| run.signed().bytes.len()).sum();
    runs.iter().for_each(|run| node.take(at(1), 9, run.clone(), Duration::ZERO));
    let beside = node.gossip.bytes() - signed;
    assert!((8000 + 50 * 120..8000 + 50 * 400).contains(&beside), "{beside}");
    let fork = seal(header(9, 5, 50), [block(1, None)].into());
    let proof = runs[49].signed().bytes.len() + fork.signed().bytes.len() + 200;
    node.take(at(2), 9, fork, Duration::ZERO);
    let own = node.gossip.logs.get(hash::tag(&log(1))).map_or(0, log::Log::bytes);
    assert_eq!(node.gossip.bytes() - own, proof, "the proof is held, and charged");
}

#[test]
fn whoever_may_say_nothing_keeps_the_orders_that_it_would_say_again() {
    let mut node = Node::new(1);
    let own = |host| seal(header(1, 5, 1), [block(host, None)].into());
    let carried = seal(header(9, 5, 7), [order("keep me")].into());
    node.take(at(1), 9, carried.clone(), Duration::ZERO);
    node.hear(at(2), 9, Message::Proof(Box::new((own(1), own(2)))));
    node.gossip.handle_revoked(at(2), id(9));
    (2..60).for_each(|second| node.turn(at(second)));
    let gone = |node: &Node| {
        let key = carried.header().version(0);
        node.kept.iter().any(|kept| matches!(kept, Kept::Gone { version, .. } if *version == key))
    };
    assert!(!gone(&node), "nobody else has said it yet");
    node.take(at(60), 8, seal(header(8, 5, 3), [order("keep me")].into()), Duration::ZERO);
    (60..120).for_each(|second| node.turn(at(second)));
    assert!(gone(&node));
}
