//! The live view, once a second.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use smartfw_core::{Agent, Alert, BlockState, Features, IpNet, Listed, Strength, Time};
use smartfw_enforce::Counters;
use smartfw_proto::{
    limits,
    view::{TopFrame, TopSource},
    wire,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::{lists, service::Service};
use crate::detector::Seen;

/// How often a frame comes.
const FRAME: Duration = Duration::from_secs(1);

/// Frames until the caller hangs up.
pub(super) fn run(service: Service) -> ReceiverStream<Result<wire::TopFrame, Status>> {
    let (sender, stream) = mpsc::channel(2);
    tokio::spawn(async move {
        let mut before = None;
        loop {
            let frame = frame(&service, &mut before).await.map(Into::into);
            let failed = frame.is_err();
            if sender.send(frame).await.is_err() || failed {
                return;
            }
            tokio::time::sleep(FRAME).await;
        }
    });
    ReceiverStream::new(stream)
}

struct Reading {
    at: Instant,
    seen: Seen,
    lost: u64,
    dropped: u64,
}

async fn frame(service: &Service, before: &mut Option<Reading>) -> Result<TopFrame, Status> {
    let by_target = service.dropped().await?;
    let dropped = by_target.values().map(|count: &Counters| count.packets).sum();
    let (seen, lost) = (service.board.seen(), service.counters.lost.get());
    let now = Reading { at: Instant::now(), seen, lost, dropped };
    let last = before.as_ref().unwrap_or(&now);
    let seconds = now.at.duration_since(last.at).as_secs_f64();
    let rate =
        |now: u64, last: u64| if seconds > 0.0 { now.saturating_sub(last) as f64 / seconds } else { 0.0 };
    let busiest = service.board.busiest(crate::clock::now(), limits::TOP);
    let targets = service.recent.targets();
    let (mut top, mut recent) = (Vec::with_capacity(busiest.len()), Vec::new());
    // Piece by piece: verdicts come in between.
    for piece in pieces(busiest) {
        top.extend(service.ask(move |agent, _| sources(agent, piece)).await?);
    }
    for piece in pieces(targets) {
        recent.extend(service.ask(move |agent, _| listed(agent, &piece)).await?);
    }
    recent.truncate(limits::TOP);
    let ask = |agent: &Agent, now| (recent_alerts(agent), agent.block_count(), agent.alerts().count(), now);
    let (alerts, blocked, kept, time) = service.ask(ask).await?;
    let frame = TopFrame {
        time,
        packets_per_second: rate(now.seen.packets, last.seen.packets),
        bits_per_second: rate(now.seen.bytes, last.seen.bytes) * 8.0,
        lost_per_second: rate(now.lost, last.lost),
        dropped_per_second: rate(now.dropped, last.dropped),
        sources: now.seen.sources,
        connections: now.seen.flows,
        blocked: blocked as u64,
        alerts: kept as u64,
        top,
        recent_blocks: recent.into_iter().map(|listed| lists::row(listed, &by_target)).collect(),
        recent_alerts: alerts,
    };
    *before = Some(now);
    Ok(frame)
}

/// Addresses that are looked up at once: a fraction of a millisecond.
const PIECE: usize = 10;

fn pieces<T>(all: Vec<T>) -> impl Iterator<Item = Vec<T>> {
    let mut rest = all.into_iter();
    std::iter::from_fn(move || Some(rest.by_ref().take(PIECE).collect::<Vec<_>>()))
        .take_while(|piece| !piece.is_empty())
}

fn sources(agent: &Agent, piece: Vec<(IpAddr, Features)>) -> Vec<TopSource> {
    let source = |(address, features)| TopSource { address, features, blocked: strength(agent, address) };
    piece.into_iter().map(source).collect()
}

fn strength(agent: &Agent, address: IpAddr) -> Option<Strength> {
    let blocks = agent.explain(address, Time::ZERO).blocks;
    let in_force = blocks.iter().filter(|listed| listed.state == BlockState::InForce);
    in_force.map(|listed| listed.block.strength).max()
}

/// The blocks of the targets that are still blocked.
fn listed(agent: &Agent, targets: &[IpNet]) -> Vec<Listed> {
    let blocks = |target: &IpNet| {
        let of_address = agent.explain(target.addr(), Time::ZERO).blocks.into_iter();
        let target = *target;
        of_address.filter(move |listed| listed.block.target == target && listed.state != BlockState::Shadowed)
    };
    targets.iter().flat_map(blocks).collect()
}

fn recent_alerts(agent: &Agent) -> Vec<Alert> {
    agent.alerts().rev().take(limits::TOP).cloned().collect()
}
