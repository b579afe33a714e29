//! How the node is.

use std::time::Duration;

use smartfw_core::{Health, HealthLevel, Time, members::MemberState};
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
    let there = members.iter().filter(|member| member.state != MemberState::Left);
    let signers = there.filter(|member| member.role == Some(Role::Signer)).count();
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

/// What the counters say that a person should know: what went wrong lately, and how often since the start.
pub(crate) fn counted(counters: &Counters, seen: &Seen) -> Vec<Health> {
    let tell = |count: Option<u64>, what: &str, remedy: &str| {
        let what = count?.to_string() + what;
        Some(Health { level: HealthLevel::Warn, what, remedy: remedy.to_owned() })
    };
    let restarts = counters.detector_restarts.lately().map(|restarts| Health {
        level: HealthLevel::Warn,
        what: format!("the detector was started again {restarts} times"),
        remedy: "look for the reason in the journal, and report it".to_owned(),
    });
    let asymmetric = seen.asymmetric.then(|| Health {
        level: HealthLevel::Warn,
        what: "most answers of this host leave by another path: rules that need the handshake are off"
            .to_owned(),
        remedy: "watch the interface where the answers leave too".to_owned(),
    });
    [
        tell(
            counters.lost.lately(),
            " packets were lost before they were seen",
            "watch fewer interfaces, or give the host more processor time",
        ),
        tell(
            counters.verdicts_dropped.lately(),
            " verdicts did not fit into their queue",
            "nothing, if it was one attack; else report it",
        ),
        tell(
            counters.lines_dropped.lately(),
            " log lines did not fit into their queue",
            "put the logs on a faster disk",
        ),
        tell(
            counters.logins_dropped.lately(),
            " logins did not fit into their queue",
            "nothing: they are judged by packets alone",
        ),
        tell(
            counters.cuts_dropped.lately(),
            " blocked sources keep connections open until they time out; their packets are dropped",
            "nothing, if it was one import; else report it",
        ),
        tell(
            counters.enforcement_overflows.lately(),
            " times the queue to the kernel was full, and the kernel was compared as a whole instead",
            "nothing, if it was one import; else report it",
        ),
        tell(
            seen.forgotten_lately,
            " sources or connections were forgotten because a table was full",
            "raise [limits] where memory allows",
        ),
        restarts,
        asymmetric,
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_did_not_fit_is_told_of() {
        let counters = Counters::default();
        assert_eq!(counted(&counters, &Seen::default()), []);
        let Counters { verdicts_dropped, lines_dropped, logins_dropped, cuts_dropped, .. } = &counters;
        let mishaps = [verdicts_dropped, lines_dropped, logins_dropped, cuts_dropped];
        mishaps.iter().for_each(|mishaps| mishaps.add(3));
        [&counters.lost, &counters.enforcement_overflows].iter().for_each(|mishaps| mishaps.add(3));
        let told = counted(&counters, &Seen { forgotten_lately: Some(3), ..Seen::default() });
        assert_eq!(told.iter().filter(|entry| entry.what.starts_with("3 ")).count(), 7);
    }

    const NOW: Time = Time::from_secs(1_800_000_000);

    fn fleet(role: Role, days: u64) -> FleetStatus {
        FleetStatus {
            cluster: "prod".into(),
            site: "default".into(),
            name: "web-1".into(),
            id: smartfw_core::fleet::NodeId([1; 32]),
            role,
            address: ([192, 0, 2, 1], 7470).into(),
            peers_alive: 2,
            peers_known: 2,
            peers_connected: 1,
            certificate_expires: NOW.after(Duration::from_secs(days * 86_400)),
        }
    }

    #[test]
    fn a_certificate_that_was_not_renewed_is_warned_about_ten_days_before_its_end() {
        assert!(judged(&fleet(Role::Node, 11), 2, NOW).is_empty());
        let soon = judged(&fleet(Role::Node, 9), 2, NOW);
        assert_eq!((soon.len(), soon[0].level), (1, HealthLevel::Warn));
        let over = judged(&fleet(Role::Node, 0), 2, NOW);
        assert_eq!((over.len(), over[0].level), (1, HealthLevel::Error));
    }

    #[test]
    fn one_signer_is_warned_about_by_itself_and_by_who_knows_everybody() {
        assert_eq!(judged(&fleet(Role::Signer, 30), 1, NOW).len(), 1);
        assert!(judged(&fleet(Role::Node, 30), 1, NOW).is_empty(), "a role may not be known yet");
        let all = FleetStatus { peers_connected: 2, ..fleet(Role::Node, 30) };
        assert_eq!(judged(&all, 1, NOW).len(), 1);
        assert!(judged(&fleet(Role::Signer, 30), 2, NOW).is_empty());
    }
}
