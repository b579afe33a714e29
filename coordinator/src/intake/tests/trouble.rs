//! A history that cannot do what it is asked.

use tokio::time::sleep;

use super::{fakes::events, *};

fn what(fleet: &Fleet) -> Vec<String> {
    fleet.health.list().into_iter().map(|entry| entry.what).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_disk_is_full_nothing_is_acknowledged_and_afterwards_nothing_is_lost() {
    let (cluster, memory) = (Cluster::found("prod"), Arc::new(Memory::default()));
    let fleet = Fleet::start(&cluster, memory.clone()).await;
    let node = FakeNode::new(&cluster, "web-1", Role::Node);
    let mut stream = node.open(&fleet, 1).await.unwrap();
    memory.fails.store(true, Ordering::SeqCst);
    stream.say(batch(1..=10)).await;
    until("it is shown", || what(&fleet).iter().any(|what| what.contains("no space left"))).await;
    assert!(memory.sequences(&node.id()).is_empty() && fleet.counters.kept.get() == 0);
    memory.fails.store(false, Ordering::SeqCst);
    assert_eq!(stream.kept_next().await.sequence, 10);
    assert_eq!(memory.sequences(&node.id()), (1..=10).collect::<Vec<u64>>());
    assert!(what(&fleet).is_empty(), "it is right again");
    // It was written, and only the answer was lost.
    memory.lies.store(true, Ordering::SeqCst);
    stream.say(batch(11..=12)).await;
    assert_eq!(stream.kept_next().await.sequence, 12);
    assert_eq!(memory.sequences(&node.id()).len(), 12);
    assert!(fleet.counters.failures.get() >= 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_opens_while_the_history_fails_is_answered_as_soon_as_it_does_not() {
    let (cluster, memory) = (Cluster::found("prod"), Arc::new(Memory::default()));
    let fleet = Fleet::start(&cluster, memory.clone()).await;
    memory.fails.store(true, Ordering::SeqCst);
    let (node, to) = (FakeNode::new(&cluster, "web-1", Role::Node), fleet.address);
    let opening = tokio::spawn(async move { node.dial(to, 1).await.map(|stream| (node, stream)) });
    until("it is shown", || !what(&fleet).is_empty()).await;
    assert_eq!(fleet.view.totals().connected, 1);
    memory.fails.store(false, Ordering::SeqCst);
    let (_node, stream) = opening.await.unwrap().unwrap();
    assert_eq!(stream.kept, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_too_many_is_refused_and_the_others_are_kept() {
    let (cluster, memory) = (Cluster::found("prod"), Arc::new(Memory::default()));
    let fleet = Fleet::start(&cluster, memory.clone()).await;
    let nodes = ["web-1", "web-2"].map(|name| FakeNode::new(&cluster, name, Role::Node));
    *memory.crowded.lock().unwrap() = Some(nodes[0].id());
    let refused = nodes[0].open(&fleet, 1).await.unwrap();
    let mut kept = nodes[1].open(&fleet, 1).await.unwrap();
    memory.hangs.store(true, Ordering::SeqCst); // so that both come together
    kept.say(batch(1..=1)).await;
    refused.say(batch(1..=3)).await;
    kept.say(batch(2..=5)).await;
    sleep(Duration::from_millis(200)).await;
    memory.hangs.store(false, Ordering::SeqCst);
    assert_eq!(refused.listen().await.unwrap_err().code(), tonic::Code::ResourceExhausted);
    while kept.kept_next().await.sequence < 5 {}
    assert!(what(&fleet).iter().any(|what| what.contains("one more")), "{:?}", what(&fleet));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_that_hangs_holds_the_streams_back_and_memory_is_bounded() {
    let (cluster, memory) = (Cluster::found("prod"), Arc::new(Memory::default()));
    let fleet = Fleet::start(&cluster, memory.clone()).await;
    let mut open = Vec::new();
    for n in 0..24 {
        let node = FakeNode::new(&cluster, &format!("web-{n}"), Role::Node);
        open.push((node.open(&fleet, 1).await.unwrap(), node));
    }
    let ids: Vec<_> = open.iter().map(|(_, node)| node.id()).collect();
    memory.hangs.store(true, Ordering::SeqCst);
    let speak = |(mut stream, node): (fakes::FakeStream, FakeNode)| {
        tokio::spawn(async move {
            let body = format!("{{\"x\":\"{}\"}}", "x".repeat(16_000));
            for first in [1, 121, 241, 361] {
                stream.say(Report::Events(events(first..=first + 119, &body))).await;
            }
            while stream.kept_next().await.sequence < 480 {}
            node
        })
    };
    let tasks: Vec<_> = open.into_iter().map(speak).collect();
    let full = u64::from(ROOMS) * ROOM_UNIT as u64;
    until("the room is taken", || fleet.running.waiting() > full - (3 << 20)).await;
    sleep(Duration::from_millis(500)).await;
    assert!(fleet.running.waiting() <= full);
    assert!(fleet.view.totals().connected == 24 && fleet.counters.kept.get() == 0);
    until("it is shown", || what(&fleet).iter().any(|what| what.contains("more than 10 s"))).await;
    memory.hangs.store(false, Ordering::SeqCst);
    for task in tasks {
        timeout(Duration::from_secs(60), task).await.unwrap().unwrap();
    }
    assert!(ids.iter().all(|id| memory.sequences(id) == (1..=480).collect::<Vec<u64>>()));
    until("the room is free", || fleet.running.waiting() == 0).await;
    assert!(memory.largest.load(Ordering::SeqCst) > 500, "batches are written together");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_end_streams_are_told_so_and_what_hangs_is_left() {
    let (cluster, memory) = (Cluster::found("prod"), Arc::new(Memory::default()));
    let fleet = Fleet::start(&cluster, memory.clone()).await;
    let node = FakeNode::new(&cluster, "web-1", Role::Node);
    let stream = node.open(&fleet, 1).await.unwrap();
    memory.hangs.store(true, Ordering::SeqCst);
    stream.say(batch(1..=10)).await;
    until("it waits", || fleet.running.waiting() > 0).await;
    let (ended, status) = tokio::join!(timeout(ENDING * 2, fleet.end()), stream.listen());
    assert!(ended.is_ok());
    assert_eq!(status.unwrap_err().code(), tonic::Code::Unavailable);
}
