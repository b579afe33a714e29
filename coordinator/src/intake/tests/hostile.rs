//! Those who are no nodes of ours, and nodes that say what they should not.

use smartfw_core::Event as Told;
use smartfw_proto::{
    convert::Opening,
    wire::{EventBatch, NodeEvent, node_report},
};
use tonic::Code::{FailedPrecondition, InvalidArgument, OutOfRange};

use super::{
    fakes::{events, opening},
    *,
};

async fn fleet() -> (Cluster, Arc<Memory>, Fleet) {
    let (cluster, memory) = (Cluster::found("prod"), Arc::new(Memory::default()));
    let fleet = Fleet::start(&cluster, memory.clone()).await;
    (cluster, memory, fleet)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_nodes_and_signers_of_the_own_cluster_may_report() {
    let (cluster, _, fleet) = fleet().await;
    for (name, role) in [("memory", Role::Coordinator), ("alice", Role::Operator)] {
        let other = FakeNode::new(&cluster, name, role);
        assert!(other.open(&fleet, 1).await.is_err(), "{role}");
    }
    // Of the same name, under another root.
    let foreign = FakeNode::new(&Cluster::found("prod"), "web-1", Role::Node);
    assert!(foreign.open(&fleet, 1).await.is_err());
    assert!(FakeNode::new(&cluster, "web-1", Role::Node).open(&fleet, 1).await.is_ok());
    until("they are counted", || fleet.counters.refused.get() >= 2).await;
    assert_eq!(fleet.view.nodes().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_revoked_is_cut_off_and_does_not_come_back() {
    let (cluster, _, fleet) = fleet().await;
    let node = FakeNode::new(&cluster, "web-1", Role::Node);
    let stream = node.open(&fleet, 1).await.unwrap();
    fleet.revocations.insert([cluster.revoke(node.identity()).as_slice()]).unwrap();
    assert!(timeout(Duration::from_secs(10), stream.listen()).await.unwrap().is_err());
    assert!(node.open(&fleet, 1).await.is_err());
    until("it is away", || fleet.view.totals().connected == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_does_not_begin_as_it_should_is_closed_with_the_reason() {
    let (cluster, _, fleet) = fleet().await;
    let node = FakeNode::new(&cluster, "web-1", Role::Node);
    let later = Opening { protocol: (3, 9), ..opening(1) };
    for (first, code) in [
        (NodeReport::from(batch(1..=1)), InvalidArgument),
        (NodeReport { report: None }, InvalidArgument),
        (Report::Opening(later).into(), FailedPrecondition),
    ] {
        let stream = node.connect(fleet.address).await.unwrap();
        stream.say(first).await;
        assert_eq!(stream.listen().await.unwrap_err().code(), code);
    }
    assert!(fleet.view.nodes().is_empty());
}

/// What a node should not say, and what it is told.
fn wrong() -> Vec<(&'static str, NodeReport, tonic::Code)> {
    let bodies = |body: &str| Report::Events(events(1..=1, body)).into();
    let order = |sequences: [u64; 2]| {
        let events = sequences.map(|sequence| events(sequence..=sequence, "{}").remove(0));
        Report::Events(events.into()).into()
    };
    let one = || events(1..=1, "{}").remove(0);
    let unknown = NodeEvent { kind: 99, ..one().into() };
    let large = Told { body: format!("{{{}", "x".repeat(5 << 20)), ..one() };
    vec![
        ("a second opening", Report::Opening(opening(1)).into(), InvalidArgument),
        ("no JSON", bodies("{"), InvalidArgument),
        ("no object", bodies("[]"), InvalidArgument),
        ("falling numbers", order([2, 1]), InvalidArgument),
        ("the same number", order([1, 1]), InvalidArgument),
        ("number 0", order([0, 1]), InvalidArgument),
        ("too many events", wire(many(501)), InvalidArgument),
        ("an unknown kind", wire(vec![unknown]), InvalidArgument),
        ("a message beyond the limit", wire(vec![large.into()]), OutOfRange),
    ]
}

fn many(count: u64) -> Vec<NodeEvent> {
    events(1..=count, "{}").into_iter().map(NodeEvent::from).collect()
}

fn wire(events: Vec<NodeEvent>) -> NodeReport {
    NodeReport { report: Some(node_report::Report::Events(EventBatch { events })) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_should_not_say_ends_its_stream_with_the_reason_and_is_not_kept() {
    let (cluster, memory, fleet) = fleet().await;
    let node = FakeNode::new(&cluster, "web-1", Role::Node);
    for (what, said, code) in wrong() {
        let stream = node.open(&fleet, 1).await.unwrap();
        stream.say(said).await;
        let status = timeout(Duration::from_secs(20), stream.listen()).await.unwrap().unwrap_err();
        assert_eq!(status.code(), code, "{what}: {status}");
    }
    assert!(memory.sequences(&node.id()).is_empty());
    let mut stream = node.open(&fleet, 1).await.unwrap();
    stream.say(wire(many(500))).await;
    assert_eq!(stream.kept_next().await.sequence, 500, "what is right is heard afterwards");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_life_of_a_buffer_that_is_over_does_not_come_back_and_a_new_one_goes_on() {
    let (cluster, memory, fleet) = fleet().await;
    let node = FakeNode::new(&cluster, "web-1", Role::Node);
    let mut stream = node.open(&fleet, 5).await.unwrap();
    stream.say(batch(1..=3)).await;
    assert_eq!(stream.kept_next().await, Version { epoch: 5, sequence: 3 });
    let earlier = node.open(&fleet, 4).await.unwrap();
    assert_eq!(earlier.kept, Some(Version { epoch: 5, sequence: 3 }));
    earlier.say(batch(1..=9)).await;
    assert_eq!(earlier.listen().await.unwrap_err().code(), FailedPrecondition);
    let mut later = node.open(&fleet, 6).await.unwrap();
    later.say(batch(3..=4)).await;
    assert_eq!(later.kept_next().await, Version { epoch: 6, sequence: 4 });
    assert_eq!(memory.sequences(&node.id()), [1, 2, 3, 3, 4]);
    assert_eq!(fleet.view.node(&node.id()).unwrap().missed, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_no_tls_and_no_grpc_harm_nobody() {
    use tokio::io::AsyncWriteExt as _;
    let (cluster, _, fleet) = fleet().await;
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 512], &[22, 3, 1, 255, 255]] {
        let mut stream = tokio::net::TcpStream::connect(fleet.address).await.unwrap();
        let _ = stream.write_all(bytes).await;
        let _ = stream.shutdown().await;
    }
    until("they are counted", || fleet.counters.refused.get() >= 2).await;
    assert!(FakeNode::new(&cluster, "web-1", Role::Node).open(&fleet, 1).await.is_ok());
}
