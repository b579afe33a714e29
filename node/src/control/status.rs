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
            cluster: None,
            peers_alive: 0,
            peers_known: 0,
            coordinator: Coordinator::None,
            models: Vec::new(),
            health,
            reverts: agent.enforcement_detail().rollback.map(|(_, at)| at),
        }
    };
    service.ask(ask).await
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
}
