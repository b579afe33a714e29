//! How the node is.

use smartfw_core::{Health, HealthLevel};
use smartfw_proto::view::{Coordinator, NodeStatus};
use tonic::Status;

use super::service::Service;
use crate::{counters::Counters, detector::Seen};

/// The status, with the health list.
pub(super) async fn of(service: &Service) -> Result<NodeStatus, Status> {
    let (seen, facts) = (service.board.seen(), service.facts.clone());
    let mut health = service.health.list();
    health.extend(counted(&service.counters, &seen));
    let lost = service.counters.lost.get();
    let interfaces = facts.interfaces.lock().map_or_else(|_| Vec::new(), |names| names.clone());
    let fleet = service.fleet.status().await;
    let (alive, known) = fleet.as_ref().map_or((0, 0), |fleet| (fleet.peers_alive, fleet.peers_known));
    let ask = move |agent: &smartfw_core::Agent, now: smartfw_core::Time| {
        health.extend(agent.health(now));
        health.sort_by_key(|entry| std::cmp::Reverse(entry.level));
        NodeStatus {
            node: facts.node,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            enforcement: agent.enforcement(),
            mode: agent.mode(),
            enforcer: facts.enforcer,
            interfaces,
            uptime: facts.started.elapsed(),
            packets: seen.packets,
            lost,
            sources: seen.sources,
            blocked: agent.block_count() as u64,
            alerts: agent.alerts().count() as u64,
            pending: agent.pending().count() as u64,
            cluster: fleet.map(|fleet| fleet.cluster),
            peers_alive: alive as u32,
            peers_known: known as u32,
            coordinator: Coordinator::None,
            models: Vec::new(),
            health,
            reverts: agent.enforcement_detail().rollback.map(|(_, at)| at),
        }
    };
    service.ask(ask).await
}

/// What the counters say that a person should know.
fn counted(counters: &Counters, seen: &Seen) -> Vec<Health> {
    let tell = |count: u64, what: String, remedy: &str| {
        (count > 0).then(|| Health { level: HealthLevel::Warn, what, remedy: remedy.to_owned() })
    };
    let (lost, dropped) = (counters.lost.get(), counters.verdicts_dropped.get());
    let lines = counters.lines_dropped.get();
    let restarts = counters.detector_restarts.get();
    let asymmetric = u64::from(seen.asymmetric);
    [
        tell(
            lost,
            format!("{lost} packets were lost before they were seen"),
            "watch fewer interfaces, or give the host more processor time",
        ),
        tell(
            dropped,
            format!("{dropped} verdicts did not fit into their queue"),
            "nothing, if it was one attack; else report it",
        ),
        tell(
            lines,
            format!("{lines} log lines did not fit into their queue"),
            "put the logs on a faster disk",
        ),
        tell(
            restarts,
            format!("the detector was started again {restarts} times"),
            "look for the reason in the journal, and report it",
        ),
        tell(
            seen.forgotten,
            format!("{} sources or connections were forgotten because a table was full", seen.forgotten),
            "raise [limits] where memory allows",
        ),
        tell(
            asymmetric,
            "most answers of this host leave by another path: rules that need the handshake are off"
                .to_owned(),
            "watch the interface where the answers leave too",
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}
