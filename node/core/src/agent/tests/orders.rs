//! What people order.

use super::*;

#[test]
fn a_persons_block_is_hard_and_ends_when_asked() {
    let mut node = Node::new();
    let Ok(Done::Blocked { block, reverts }) = node.block("192.0.2.0/24", false) else { panic!("blocked") };
    assert_eq!((block.origin.0.as_str(), block.detector, reverts), ("web-1", Detector::Operator, None));
    assert_eq!(node.dropped("192.0.2.0/24"), Some(Strength::Hard));
    node.pass(3600);
    assert_eq!(node.dropped("192.0.2.0/24"), None);
}

#[test]
fn nobody_blocks_everything_and_wide_prefixes_need_force() {
    let mut node = Node::new();
    for everything in ["0.0.0.0/0", "::/0", "::ffff:0.0.0.0/96"] {
        assert_eq!(node.block(everything, true), Err(Refusal::Everything));
    }
    assert_eq!(node.block("20.0.0.0/15", false), Err(Refusal::TooWide { shortest: 16 }));
    assert_eq!(node.block("2001:db8::/31", false), Err(Refusal::TooWide { shortest: 32 }));
    assert!(node.block("20.0.0.0/16", false).is_ok());
    assert!(node.block("2001:db8::/32", false).is_ok());
    assert!(matches!(node.block("20.0.0.0/15", true), Ok(Done::Blocked { reverts: None, .. })));
}

#[test]
fn unblocking_ends_all_within_the_target_and_holds_detection_back() {
    let mut node = Node::new();
    node.proven("192.0.2.1");
    node.block("192.0.2.2", false).unwrap();
    node.block("198.51.100.1", false).unwrap();
    let Ok(Done::Unblocked(ended)) = node.unblock("192.0.2.0/24") else { panic!("unblocked") };
    assert_eq!(ended.len(), 2);
    assert_eq!(node.kernel.blocks.len(), 1);
    node.pass(599);
    assert_eq!(node.proven("192.0.2.1"), Some(Action::Report));
    assert!(node.reports.last().unwrap().note.contains("operator"));
    node.pass(301);
    assert_eq!(node.proven("192.0.2.1"), Some(Action::Block));
}

#[test]
fn a_part_of_a_wider_block_is_not_unblocked_alone() {
    let mut node = Node::new();
    node.block("192.0.2.0/24", false).unwrap();
    assert_eq!(node.unblock("192.0.2.7"), Err(Refusal::Within { wider: net("192.0.2.0/24") }));
    assert_eq!(node.dropped("192.0.2.0/24"), Some(Strength::Hard));
    assert_eq!(node.unblock("203.0.113.1"), Err(Refusal::NotFound));
}

#[test]
fn the_sensor_is_told_whom_people_acquit_and_of_no_block_that_ends_by_itself() {
    fn acquitted(node: &mut Node) -> Vec<IpNet> {
        let acquitted = |effect| if let Effect::Acquit(target) = effect { Some(target) } else { None };
        node.log.drain(..).filter_map(acquitted).collect()
    }
    let mut node = Node::new();
    node.proven("192.0.2.1");
    node.pass(400);
    assert!(node.kernel.blocks.is_empty() && acquitted(&mut node).is_empty(), "it ended by itself");
    node.proven("192.0.2.1");
    node.unblock("192.0.2.0/24").unwrap();
    assert_eq!(acquitted(&mut node), [net("192.0.2.0/24")]);
    node.allow("192.0.2.1", None).unwrap();
    assert_eq!(acquitted(&mut node), [net("192.0.2.1")]);
    let mut node = Node::with(|config| config.mode = crate::order::Mode::Manual);
    node.proven("192.0.2.2");
    let id = node.agent.pending().next().unwrap().id;
    node.order(Order::Reject(id)).unwrap();
    assert_eq!(acquitted(&mut node), [net("192.0.2.2")]);
}

#[test]
fn a_false_positive_is_a_lesson_and_forgets_the_level() {
    let mut node = Node::new();
    node.proven("192.0.2.1");
    node.order(Order::Unblock { target: net("192.0.2.1"), false_positive: true }).unwrap();
    let lesson = node.agent.lessons().next().unwrap();
    assert_eq!((lesson.class, lesson.features), (Class::BruteForce, Some(Features::default())));
    node.pass(601);
    node.proven("192.0.2.1");
    assert_eq!(node.agent.blocks().next().unwrap().block.level, 1);
}

#[test]
fn waiting_decisions_that_are_unblocked_as_false_positives_are_lessons() {
    let mut node = Node::with(|config| config.mode = crate::order::Mode::Manual);
    for source in ["192.0.2.1", "192.0.2.2", "198.51.100.1"] {
        node.proven(source);
    }
    let order = Order::Unblock { target: net("192.0.2.0/24"), false_positive: true };
    assert_eq!(node.order(order), Ok(Done::Unblocked(Vec::new())));
    assert_eq!(node.agent.pending().map(|pending| pending.target).collect::<Vec<_>>(), [net("198.51.100.1")]);
    let mut lessons: Vec<_> =
        node.agent.lessons().map(|lesson| (lesson.target, lesson.class, lesson.features)).collect();
    lessons.sort_by_key(|lesson| lesson.0);
    let lesson = |target| (net(target), Class::BruteForce, Some(Features::default()));
    assert_eq!(lessons, [lesson("192.0.2.1"), lesson("192.0.2.2")]);
}

#[test]
fn a_persons_block_does_not_shorten_detections() {
    let mut node = Node::new();
    node.proven("192.0.2.1");
    node.pass(331);
    node.proven("192.0.2.1");
    let left = node.left("192.0.2.1").unwrap();
    let order = BlockOrder { duration: Some(Duration::from_secs(60)), ..block("192.0.2.1", false) };
    node.order(Order::Block(order)).unwrap();
    assert_eq!(node.left("192.0.2.1"), Some(left));
}

#[test]
fn a_person_may_shorten_a_persons_block() {
    let mut node = Node::new();
    node.block("192.0.2.1", false).unwrap();
    let order = BlockOrder { duration: Some(Duration::from_secs(60)), ..block("192.0.2.1", false) };
    node.order(Order::Block(order)).unwrap();
    assert_eq!(node.left("192.0.2.1"), Some(60));
    assert_eq!(node.agent.block_count(), 1);
}

#[test]
fn the_strongest_and_longest_entry_of_a_target_is_enforced() {
    let mut node = Node::new();
    let others = |strength, origin: &str, seconds| {
        Record::Block(crate::record::StoredBlock {
            block: crate::Block {
                id: crate::BlockId(seconds),
                target: net("192.0.2.1"),
                class: Class::Feed,
                origin: crate::Origin(origin.into()),
                confidence: 1.0,
                strength,
                detector: Detector::Feed,
                evidence: None,
                reason: "listed".into(),
                since: Time::from_secs(START),
                expires: Some(Time::from_secs(START + seconds)),
                level: 1,
            },
            forced: false,
            unconfirmed: None,
        })
    };
    node.agent.restore(node.now(), others(Strength::Soft, "web-2", 900));
    node.agent.restore(node.now(), others(Strength::Hard, "web-3", 100));
    node.kernel = node.agent.desired();
    assert_eq!((node.dropped("192.0.2.1"), node.left("192.0.2.1")), (Some(Strength::Hard), Some(100)));
    node.proven("192.0.2.1");
    assert_eq!(node.agent.block_count(), 2, "a source behind anybody's hard block raises nothing");
    node.pass(100);
    assert_eq!((node.dropped("192.0.2.1"), node.left("192.0.2.1")), (Some(Strength::Soft), Some(800)));
    node.block("192.0.2.1", false).unwrap();
    assert_eq!(node.entry("192.0.2.1").unwrap().note.origin, "web-1");
    node.unblock("192.0.2.1").unwrap();
    assert_eq!(node.agent.block_count(), 0);
}

#[test]
fn an_import_takes_what_it_can_and_names_what_it_cannot() {
    let mut node = Node::with(|config| config.limits.blocks = 3);
    node.protect(&[("192.0.2.1", Why::Gateway)]);
    let targets =
        ["192.0.2.1", "0.0.0.0/0", "10.0.0.0/8", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5"];
    let orders = targets.iter().map(|target| block(target, *target == "192.0.2.1")).collect();
    let Ok(Done::Imported { accepted, refused, refused_count }) = node.order(Order::Import(orders)) else {
        panic!("imported")
    };
    assert_eq!((accepted, refused_count), (3, 4));
    assert!(matches!(refused[0], (_, Refusal::Protected { .. })), "not even with force");
    assert!(matches!(refused[1].1, Refusal::Everything | Refusal::Protected { .. }));
    assert_eq!(refused[3].1, Refusal::Full { limit: 3 });
    assert_eq!(node.kernel.blocks.len(), 3);
}

#[test]
fn of_many_refusals_a_hundred_are_named() {
    let mut node = Node::new();
    let orders = alloc::vec![block("0.0.0.0/0", false); 150];
    let Ok(Done::Imported { refused, refused_count, .. }) = node.order(Order::Import(orders)) else {
        panic!("imported")
    };
    assert_eq!((refused.len(), refused_count), (100, 150));
}

#[test]
fn the_allow_list_is_bounded_and_never_holds_everybody() {
    let mut node = Node::with(|config| config.limits.allowed = 2);
    assert_eq!(node.allow("0.0.0.0/0", None), Err(Refusal::Everything));
    node.allow("192.0.2.1", None).unwrap();
    node.allow("192.0.2.2", None).unwrap();
    assert_eq!(node.allow("192.0.2.3", None), Err(Refusal::Full { limit: 2 }));
    assert!(node.allow("192.0.2.2", Some(60)).is_ok(), "an entry can be replaced");
    assert_eq!(node.order(Order::Disallow { target: net("192.0.2.1") }), Ok(Done::Disallowed));
    assert_eq!(node.order(Order::Disallow { target: net("192.0.2.1") }), Err(Refusal::NotFound));
}

#[test]
fn an_explanation_says_what_is_known_and_what_would_help() {
    let mut node = Node::new();
    node.proven("192.0.2.1");
    let known = node.agent.explain("192.0.2.1".parse().unwrap(), node.now());
    assert_eq!(known.outcome, crate::Outcome::Dropped);
    assert!(known.remaining(node.now()).unwrap() >= Duration::from_secs(300));
    assert_eq!((known.offenders[0].level, known.offenders[0].timeline.len()), (1, 1));
    assert_eq!(known.alerts.len(), 1);
    assert_eq!(known.next, Duration::from_secs(3600));
    assert_eq!(known.remedies, ["smartfw-cli unblock 192.0.2.1/32", "smartfw-cli allow add 192.0.2.1"]);
    node.allow("192.0.2.0/24", None).unwrap();
    let known = node.agent.explain("::ffff:192.0.2.1".parse().unwrap(), node.now());
    assert_eq!(known.outcome, crate::Outcome::Passes);
    assert_eq!(known.remedies, ["smartfw-cli allow remove 192.0.2.0/24"]);
}

#[test]
fn a_time_line_keeps_the_last_eight_lines() {
    let mut node = Node::new();
    for _ in 0..20 {
        node.judge("192.0.2.1", Class::Anomaly, None);
        node.pass(3600);
    }
    let known = node.agent.explain("192.0.2.1".parse().unwrap(), node.now());
    assert_eq!(known.offenders[0].timeline.len(), 8);
    assert_eq!(known.alerts.len(), 8);
}

/// Run by hand, optimised: `cargo test --release -p smartfw-core -- --ignored --nocapture a_million`.
#[test]
#[ignore = "takes a minute unoptimised; prints the processor time of an import"]
fn a_million_blocks_are_imported() {
    let mut node = Node::new();
    let host = |n: u32| IpNet::from(IpAddr::from((0x1400_0000 + n * 7).to_be_bytes()));
    let orders: Vec<_> =
        (0..1_000_000).map(|n| BlockOrder { target: host(n), ..block("192.0.2.1", false) }).collect();
    let mut began = processor_time();
    let mut lap = |what: &str| {
        std::println!("{what}: {:?}", processor_time().saturating_sub(began));
        began = processor_time();
    };
    let done = node.agent.handle_order(node.now(), Order::Import(orders));
    lap("imported");
    assert!(matches!(done, Ok((Done::Imported { accepted: 1_000_000, .. }, Sequence(1_000_000)))));
    assert_eq!(core::iter::from_fn(|| node.agent.poll_effect()).count(), 4_000_000);
    lap("four million effects taken");
    (0..1_000_000).for_each(|_| node.agent.handle_timeout(Time::from_secs(START + 1)));
    lap("a million time-outs with nothing due");
    assert_eq!(node.agent.desired().blocks.len(), 1_000_000);
    lap("desired");
}

/// What this thread has had of the processor: the machine's other work does not count.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or_default())
}
