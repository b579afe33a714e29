//! How the node is.

use std::time::Duration;

use smartfw_core::{Health, HealthLevel, Time};
use smartfw_identity::Role;
use smartfw_proto::view::{Coordinator, NodeStatus};
use tonic::Status;

use super::service::Service;
use crate::{clock, counters::Counters, detector::Seen, fleet::FleetStatus};

/// The status, with the health list.
pub(super) async fn of(service: &Service) -> Result<NodeStatus, Status> {
    let (seen, facts) = (service.board.seen(), service.facts.clone());
    let mut health = service.health.list();
    health.extend(counted(&service.counters, &seen));
    let lost = service.counters.lost.get();
    let interfaces = facts.interfaces.lock().map_or_else(|_| Vec::new(), |names| names.clone());
    let fleet = service.fleet.status().await;
    health.extend(membership(service, fleet.as_ref()).await);
    let (alive, known) = fleet.as_ref().map_or((0, 0), |fleet| (fleet.peers_alive, fleet.peers_known));
    let ask = move |agent: &smartfw_core::Agent, now: Time| {
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

/// A certificate with less left is warned about: its renewal has failed since two thirds of its life.
const ENDS_SOON: Duration = Duration::from_secs(10 * 24 * 3600);

/// What a person should know of our membership.
async fn membership(service: &Service, fleet: Option<&FleetStatus>) -> Vec<Health> {
    let Some(fleet) = fleet else { return Vec::new() };
    let members = service.fleet.members().await.unwrap_or_default();
    let signers = members.iter().filter(|member| member.role == Some(Role::Signer)).count();
    judged(fleet, signers, clock::now())
}

fn judged(fleet: &FleetStatus, signers: usize, now: Time) -> Vec<Health> {
    let mut list = Vec::new();
    let mut tell = |level, what: String, remedy: &str| {
        list.push(Health { level, what, remedy: remedy.to_owned() });
    };
    let left = fleet.certificate_expires.since(now);
    let again = "join again: smartfw-cli cluster token --replace NAME on a signer, then cluster leave and cluster join";
    if fleet.certificate_expires <= now {
        tell(HealthLevel::Error, "this node's certificate has expired".into(), again);
    } else if left < ENDS_SOON {
        let days = left.as_secs() / 86_400;
        let what = format!("this node's certificate ends in {days} days and was not renewed");
        tell(HealthLevel::Warn, what, "see that a signer is alive: smartfw-cli cluster nodes");
    }
    // Of others than ourselves the role is known once a stream was open.
    if signers == 1 && (fleet.role == Role::Signer || fleet.peers_connected >= fleet.peers_known) {
        let remedy = "make a second one: smartfw-cli cluster token --role signer --root FILE";
        tell(
            HealthLevel::Warn,
            "the cluster has only one signer: when it is lost, certificates end".into(),
            remedy,
        );
    }
    list
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
