//! Nodes over real connections, and a history that fails when it is told to.

mod fakes;
mod hostile;
mod load;
mod trouble;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use smartfw_core::{
    fleet::{SignedOrder, Version},
    order::Allowed,
};
use smartfw_history::{Embedded, EventKind, Query};
use smartfw_identity::Role;
use smartfw_proto::convert::{Allowance, Answer, Opening, Question, Reply, Report, Statistics};

use super::*;
use crate::{
    clock,
    testing::{Cluster, Memory},
    view::Link,
};
use fakes::{FakeNode, Fleet, batch, blocks, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_tells_is_kept_and_then_acknowledged_and_goes_on_after_a_restart() {
    let cluster = Cluster::found("prod");
    let folder = tempfile::tempdir().unwrap();
    let node = FakeNode::new(&cluster, "web-1", Role::Node);
    for round in 0..3_u64 {
        let fleet = Fleet::start(&cluster, Arc::new(reopened(folder.path()).await)).await;
        let mut stream = node.open(&fleet, 7).await.unwrap();
        let before = (round > 0).then_some(Version { epoch: 7, sequence: round * 20 });
        assert_eq!(stream.kept, before);
        stream.say(batch(round * 20 + 1..=round * 20 + 20)).await;
        assert_eq!(stream.kept_next().await, Version { epoch: 7, sequence: round * 20 + 20 });
        fleet.end().await;
    }
    let history = reopened(folder.path()).await;
    let page =
        smartfw_history::History::query(&history, Query { limit: 1_000, ..Query::default() }).await.unwrap();
    let sequences: Vec<u64> = page.events.iter().rev().map(|row| row.event.sequence).collect();
    assert_eq!(sequences, (1..=60).collect::<Vec<u64>>());
    let first = &page.events[0].event;
    assert_eq!((first.node.as_str(), first.id, first.kind), ("web-1", node.id(), EventKind::Alert));
}

/// The history, as soon as the connections of the coordinator before are gone.
async fn reopened(folder: &std::path::Path) -> Embedded {
    for _ in 0..600 {
        match Embedded::open(folder) {
            Ok(history) => return history,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    panic!("it is still in use")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_is_kept_once_and_in_order_although_streams_break_come_twice_and_overlap() {
    let (cluster, memory) = (Cluster::found("prod"), Arc::new(Memory::default()));
    let fleet = Fleet::start(&cluster, memory.clone()).await;
    let mut tasks = Vec::new();
    for n in 0..5_u64 {
        let (node, to) = (FakeNode::new(&cluster, &format!("web-{n}"), Role::Node), fleet.address);
        tasks.push(tokio::spawn(async move {
            let (mut chance, mut overlap) = (n + 1, 0);
            let mut stream = node.dial(to, 3).await.unwrap();
            loop {
                let kept = stream.kept.map_or(0, |kept| kept.sequence);
                if kept >= 500 {
                    return node;
                }
                chance =
                    chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                stream.say(batch((kept + 1).saturating_sub(overlap).max(1)..=(kept + 60).min(500))).await;
                overlap = 0;
                let older = (chance >> 32) % 3;
                if older == 0 {
                    stream.kept = Some(stream.kept_next().await);
                    continue;
                }
                // What was said is kept or lost with the stream; on the new one some that are kept come again.
                let newer = node.dial(to, 3).await.unwrap();
                let before = std::mem::replace(&mut stream, newer);
                if older == 1 {
                    drop(before)
                } else {
                    drop(tokio::spawn(before.listen()))
                }
                overlap = chance >> 60;
            }
        }));
    }
    for task in tasks {
        let node = timeout(Duration::from_secs(60), task).await.unwrap().unwrap();
        assert_eq!(memory.sequences(&node.id()), (1..=500).collect::<Vec<u64>>());
        let row = fleet.view.node(&node.id()).unwrap();
        assert_eq!((row.events, row.missed), (500, 0), "each was news once");
    }
    assert!(fleet.counters.known.get() > 0, "some came again");
    assert_eq!(fleet.counters.kept.get(), 2_500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_stream_takes_the_place_of_the_older_and_the_node_stays_connected() {
    let (cluster, memory) = (Cluster::found("prod"), Arc::new(Memory::default()));
    let (fleet, node) = (Fleet::start(&cluster, memory).await, FakeNode::new(&cluster, "web-1", Role::Node));
    let older = node.open(&fleet, 1).await.unwrap();
    let newer = node.open(&fleet, 1).await.unwrap();
    assert_eq!(older.listen().await.unwrap_err().code(), tonic::Code::Aborted);
    let link = || fleet.view.node(&node.id()).unwrap().link;
    assert!(matches!(link(), Link::Connected(_)));
    drop(newer);
    until("it is away", || matches!(link(), Link::Away(_))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_view_shows_what_a_node_tells_and_its_name_is_its_certificates() {
    let (cluster, memory) = (Cluster::found("prod"), Arc::new(Memory::default()));
    let (fleet, node) =
        (Fleet::start(&cluster, memory).await, FakeNode::of(cluster.founded.identity.clone()));
    let stream = node.open(&fleet, 1).await.unwrap();
    stream.say(Report::Status(Box::new(crate::testing::status("somebody-else")))).await;
    stream
        .say(Report::Statistics(Statistics {
            time: clock::now(),
            packets: 5,
            waiting: 2,
            ..Statistics::default()
        }))
        .await;
    stream.say(Report::Blocks(blocks(&["192.0.2.1", "192.0.2.2"]), true)).await;
    until("the blocks are there", || fleet.view.blocked() == 2).await;
    let row = fleet.view.node(&node.id()).unwrap();
    assert_eq!((&*row.name, &*row.status.unwrap().node), ("signer", "signer"));
    assert_eq!((row.version.as_str(), row.dropped, row.role), ("0.1.0", 9, Some(Role::Signer)));
    assert_eq!(fleet.view.totals().waiting, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_nodes_come_at_once_and_all_are_heard() {
    let (cluster, memory) = (Cluster::found("prod"), Arc::new(Memory::default()));
    let fleet = Fleet::start(&cluster, memory.clone()).await;
    let nodes: Vec<FakeNode> =
        (0..200).map(|n| FakeNode::new(&cluster, &format!("web-{n}"), Role::Node)).collect();
    let opened = Arc::new(tokio::sync::Barrier::new(nodes.len() + 1));
    let (ids, to): (Vec<_>, _) = (nodes.iter().map(FakeNode::id).collect(), fleet.address);
    let tasks: Vec<_> = nodes
        .into_iter()
        .map(|node| {
            let opened = opened.clone();
            tokio::spawn(async move {
                let mut stream = node.insist(to).await;
                opened.wait().await; // all of them are there
                opened.wait().await; // and the history is slow
                stream.say(batch(1..=30)).await;
                assert_eq!(stream.kept_next().await.sequence, 30);
                stream
            })
        })
        .collect();
    timeout(Duration::from_secs(120), opened.wait()).await.unwrap();
    memory.hangs.store(true, Ordering::SeqCst);
    opened.wait().await;
    until("much waits", || fleet.running.waiting() > 1 << 20).await;
    memory.hangs.store(false, Ordering::SeqCst);
    let mut open = Vec::new();
    for task in tasks {
        open.push(timeout(Duration::from_secs(120), task).await.unwrap().unwrap());
    }
    assert_eq!((fleet.view.totals().connected, fleet.counters.kept.get()), (200, 6_000));
    assert!(ids.iter().all(|id| memory.sequences(id).len() == 30));
    assert!(fleet.counters.appends.get() < 100, "several nodes' events are written together");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_carried_and_what_became_of_it_is_told() {
    let (cluster, memory) = (Cluster::found("prod"), Arc::new(Memory::default()));
    let (fleet, node) = (Fleet::start(&cluster, memory).await, FakeNode::new(&cluster, "web-1", Role::Node));
    let carrier = fleet.running.carrier();
    assert!(matches!(carrier.carry(order(1)).await, Err(NotCarried::Nobody)));
    let mut nonsense = order(1);
    nonsense.bytes = [9, 9].as_slice().into();
    assert!(matches!(carrier.carry(nonsense).await, Err(NotCarried::Unreadable(_))));
    let mut stream = node.open(&fleet, 1).await.unwrap();
    for (id, refused) in [(2_u128, None), (3, Some("a canary".to_owned()))] {
        let (given, carrier) = (order(id), carrier.clone());
        let carried = tokio::spawn(async move { carrier.carry(given).await });
        let Answer::Order(passed) = stream.next().await.unwrap() else { panic!("no order") };
        assert_eq!(passed.bytes, order_bytes(id));
        stream.say(Report::Outcome { id: id.to_be_bytes(), refused: refused.clone() }).await;
        match (carried.await.unwrap(), refused) {
            (Ok(by), None) => assert_eq!(by, node.id()),
            (Err(NotCarried::Refused { why, .. }), Some(said)) => assert_eq!(why, said),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_waits_for_a_node_that_opens_its_stream_again() {
    let (cluster, memory) = (Cluster::found("prod"), Arc::new(Memory::default()));
    let (fleet, node) = (Fleet::start(&cluster, memory).await, FakeNode::new(&cluster, "web-1", Role::Node));
    drop(node.open(&fleet, 1).await.unwrap());
    until("it is away", || fleet.view.totals().connected == 0).await;
    let carrier = fleet.running.carrier();
    let carried = tokio::spawn(async move { carrier.carry(order(4)).await });
    tokio::time::sleep(Duration::from_millis(600)).await;
    let mut stream = node.open(&fleet, 1).await.unwrap();
    assert!(matches!(stream.next().await, Ok(Answer::Order(_))));
    // It ends before it has said what became of it; and the next before it has heard of it.
    drop(stream);
    until("it is away", || fleet.view.totals().connected == 0).await;
    drop(node.open(&fleet, 1).await.unwrap());
    until("it is away", || fleet.view.totals().connected == 0).await;
    let mut stream = node.open(&fleet, 1).await.unwrap();
    assert!(matches!(timeout(Duration::from_secs(5), stream.next()).await, Ok(Ok(Answer::Order(_)))));
    stream.say(Report::Outcome { id: 4_u128.to_be_bytes(), refused: None }).await;
    assert_eq!(carried.await.unwrap().unwrap(), node.id());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_node_is_given_more_orders_at_once_than_it_sees_to_whoever_asks_for_them() {
    let (cluster, memory) = (Cluster::found("prod"), Arc::new(Memory::default()));
    let (fleet, node) = (Fleet::start(&cluster, memory).await, FakeNode::new(&cluster, "web-1", Role::Node));
    let (mut stream, mut carried) = (node.open(&fleet, 1).await.unwrap(), tokio::task::JoinSet::new());
    for id in 1..=40 {
        let carrier = fleet.running.carrier();
        carried.spawn(async move { carrier.carry(order(id)).await.is_ok() });
    }
    let mut given = Vec::new();
    while let Ok(answer) = timeout(Duration::from_millis(500), stream.next()).await {
        let Ok(Answer::Order(order)) = answer else { panic!("{answer:?}") };
        given.push(smartfw_proto::convert::decode_order(&order.bytes).unwrap().id.to_be_bytes());
    }
    assert!((8..32).contains(&given.len()), "a node sees to 32: {}", given.len());
    for n in 0..40 {
        if n >= given.len() {
            let Ok(Answer::Order(order)) = stream.next().await else { panic!("no order") };
            given.push(smartfw_proto::convert::decode_order(&order.bytes).unwrap().id.to_be_bytes());
        }
        stream.say(Report::Outcome { id: given[n], refused: None }).await;
    }
    assert!(carried.join_all().await.into_iter().all(|given| given));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_single_node_can_keep_an_order_from_the_fleet() {
    let (cluster, memory) = (Cluster::found("prod"), Arc::new(Memory::default()));
    let fleet = Fleet::start(&cluster, memory).await;
    let nodes = ["web-1", "web-2", "web-3"].map(|name| FakeNode::new(&cluster, name, Role::Node));
    let mut streams = Vec::new();
    for node in &nodes {
        streams.push(node.insist(fleet.address).await);
    }
    let carrier = fleet.running.carrier();
    let carried = tokio::spawn(async move { carrier.carry(order(2)).await });
    for (n, stream) in streams.iter_mut().enumerate() {
        assert!(matches!(stream.next().await.unwrap(), Answer::Order(_)), "all three are asked");
        let refused = (n < 2).then(|| "no".to_owned());
        stream.say(Report::Outcome { id: 2_u128.to_be_bytes(), refused }).await;
    }
    assert_eq!(carried.await.unwrap().unwrap(), nodes[2].id());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_for_one_site_is_given_there_and_nowhere_else() {
    let (cluster, memory) = (Cluster::found("prod"), Arc::new(Memory::default()));
    let (fleet, node) = (Fleet::start(&cluster, memory).await, FakeNode::new(&cluster, "web-1", Role::Node));
    let (mut stream, carrier) = (node.open(&fleet, 1).await.unwrap(), fleet.running.carrier());
    let of = |site: &str| {
        let mut known = smartfw_proto::convert::decode_order(&order_bytes(5)).unwrap();
        known.site = Some(site.to_owned());
        SignedOrder { bytes: smartfw_proto::convert::encode_order(&known).unwrap().into(), ..order(5) }
    };
    assert!(matches!(carrier.carry(of("east")).await, Err(NotCarried::Nobody)));
    let carried = tokio::spawn(async move { carrier.carry(of("default")).await });
    assert!(matches!(stream.next().await, Ok(Answer::Order(_))));
    stream.say(Report::Outcome { id: 5_u128.to_be_bytes(), refused: None }).await;
    assert_eq!(carried.await.unwrap().unwrap(), node.id());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn some_are_asked_the_first_among_them_and_nobody_who_would_not_understand() {
    let (cluster, memory) = (Cluster::found("prod"), Arc::new(Memory::default()));
    let fleet = Fleet::start(&cluster, memory).await;
    let older = FakeNode::new(&cluster, "older", Role::Node);
    let first = Opening { protocol: (1, 1), ..fakes::opening(1) };
    let (spoken, mut old) = older.speak(fleet.address, first).await.unwrap();
    assert_eq!(spoken, 1);
    let question = Question::Block("203.0.113.7/32".parse().unwrap());
    let carrier = fleet.running.carrier();
    assert!(carrier.ask(&question, None, &BTreeSet::new()).await.is_empty(), "nobody can answer");

    let nodes: Vec<FakeNode> =
        (0..6).map(|n| FakeNode::new(&cluster, &format!("web-{n}"), Role::Node)).collect();
    let (origin, mut listening) = (nodes[4].id(), Vec::new());
    for node in &nodes {
        let mut stream = node.insist(fleet.address).await;
        listening.push(tokio::spawn(async move {
            let Ok(Answer::Question(number, _)) = stream.next().await else { panic!("no question") };
            stream.say(Report::Reply(number + 1_000, Reply::Block(None))).await;
            stream.say(Report::Reply(number, Reply::Block(None))).await;
            stream
        }));
    }
    let said = carrier.ask(&question, None, &[origin].into()).await;
    assert_eq!((said.len(), said.contains_key(&origin)), (4, true), "the first, and three of the others");
    assert!(carrier.ask(&question, Some("east"), &BTreeSet::new()).await.is_empty(), "nobody is there");
    listening.iter().for_each(JoinHandle::abort);
    assert!(timeout(Duration::from_millis(200), old.next()).await.is_err(), "it was not asked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_allowed_is_shown_once_a_node_has_told_all_of_it() {
    let (cluster, memory) = (Cluster::found("prod"), Arc::new(Memory::default()));
    let (fleet, node) = (Fleet::start(&cluster, memory).await, FakeNode::new(&cluster, "web-1", Role::Node));
    let stream = node.open(&fleet, 1).await.unwrap();
    let entry = |target: &str| {
        let target = smartfw_core::prefix::parse_target(target).unwrap();
        let allowed = Allowed { target, since: clock::now(), expires: None, comment: "the office".into() };
        Allowance { allowed, order: None, site: None }
    };
    stream.say(Report::Allowed(vec![entry("198.51.100.7")], false)).await;
    stream.say(Report::Allowed(vec![entry("198.51.100.8")], true)).await;
    until("both are there", || fleet.view.allowed(clock::now()).0.len() == 2).await;
    assert_eq!(&*fleet.view.allowed(clock::now()).0[0].nodes[0], "web-1");
}

fn order_bytes(id: u128) -> Arc<[u8]> {
    use smartfw_core::fleet::{OperatorOrder, OrderKind};
    let order = OperatorOrder {
        id,
        operator: "operator".into(),
        issued: smartfw_core::Time::from_secs(1_800_000_000),
        lasts: None,
        site: None,
        kind: OrderKind::Disallow { id: 5 },
    };
    smartfw_proto::convert::encode_order(&order).unwrap().into()
}

/// The coordinator looks at no signature: the node that gives the order does.
fn order(id: u128) -> SignedOrder {
    SignedOrder {
        bytes: order_bytes(id),
        signature: [1; 64],
        certificate: [2].as_slice().into(),
        lasts: None,
    }
}
