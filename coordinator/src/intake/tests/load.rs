//! A fleet under attack: ten nodes, a thousand events a second each, for as long as `SMARTFW_SECONDS` says.

use std::time::Instant;

use super::{fakes::events, *};

const NODES: u64 = 10;
/// Events of a node in a second, in ten batches.
const EACH: u64 = 1_000;
/// What the process may need more than at its begin: what may wait, and what the history holds of what is in no segment yet.
const MORE_BYTES: u64 = 192 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute, and the machine: tests/run.sh runs it"]
async fn ten_thousand_events_a_second_are_kept_once_each_in_bounded_memory() {
    let seconds = std::env::var("SMARTFW_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let (cluster, folder) = (Cluster::found("prod"), tempfile::tempdir().unwrap());
    let history = Arc::new(Embedded::open(&folder.path().join("history")).unwrap());
    let fleet = Fleet::start(&cluster, history.clone()).await;
    let (before, begun) = (resident(), Instant::now());
    let mut nodes = Vec::new();
    for n in 0..NODES {
        let (node, to) = (FakeNode::new(&cluster, &format!("web-{n}"), Role::Node), fleet.address);
        nodes.push(tokio::spawn(async move { tell(node.insist(to).await, seconds).await }));
    }
    let (mut slowest, mut most) = (Duration::ZERO, before);
    for node in nodes {
        while !node.is_finished() {
            most = most.max(resident());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        slowest = slowest.max(node.await.unwrap());
    }
    let (taken, size) = (begun.elapsed(), smartfw_history::History::size(&*history).await.unwrap());
    println!(
        "{} events in {taken:.1?}, acknowledged within {slowest:.0?}, {} MB more in memory, {} bytes an event",
        size.events,
        most.saturating_sub(before) >> 20,
        size.bytes / size.events.max(1)
    );
    assert_eq!(size.events, NODES * EACH * seconds);
    assert!(most.saturating_sub(before) < MORE_BYTES, "{before} bytes at the begin, {most} at the most");
    fleet.end().await;
}

/// Tells a node's events at their pace, not more than four batches ahead of what is kept, as nodes do; how long a batch
/// waited at most for its acknowledgement.
async fn tell(mut stream: fakes::FakeStream, seconds: u64) -> Duration {
    let body = format!("{{\"kind\":\"alert\",\"reason\":\"{}\"}}", "x".repeat(240));
    let (begun, batch) = (Instant::now(), EACH / 10);
    let (mut sent, mut slowest) = (Vec::new(), Duration::ZERO);
    for n in 0..seconds * 10 {
        tokio::time::sleep_until((begun + Duration::from_millis(100 * n)).into()).await;
        let first = n * batch + 1;
        stream.say(Report::Events(events(first..=n * batch + batch, &body))).await;
        sent.push((first + batch - 1, Instant::now()));
        while sent.len() >= 4 || (n + 1 == seconds * 10 && !sent.is_empty()) {
            let kept = stream.kept_next().await.sequence;
            let waited = sent.extract_if(.., |(last, _)| *last <= kept).map(|(_, at)| at.elapsed()).max();
            slowest = slowest.max(waited.unwrap_or_default());
        }
    }
    slowest
}

/// Bytes of this process in memory.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap() * 4096
}
