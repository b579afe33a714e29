//! How the node is.

use smartfw_core::{Health, HealthLevel, Time, members::MemberState};
use smartfw_identity::{Renewal, Role};
use smartfw_proto::view::NodeStatus;
use tonic::Status;

use super::service::Service;
use crate::{
    clock,
    counters::Counters,
    detector::Seen,
    fleet::{FleetRefused, FleetStatus, MemberView},
};

/// The status, with the health list.
pub(super) async fn of(service: &Service) -> Result<NodeStatus, Status> {
    let (seen, facts) = (service.board.seen(), service.facts.clone());
    let mut health = service.health.list();
    health.extend(counted(&service.counters, &seen));
    health.extend(service.uplink.troubles());
    let coordinator = service.uplink.state();
    let lost = service.counters.lost.get();
    let interfaces = facts.interfaces.lock().map_or_else(|_| Vec::new(), |names| names.clone());
    // A driver that has no time for the question does not make this a node without a cluster.
    let cluster = service.fleet.cluster();
    let fleet = service.fleet.status().await.unwrap_or_else(|why| {
        health.extend(cluster.as_ref().map(|_| silent(&why)));
        None
    });
    health.extend(membership(service, fleet.as_ref()).await);
    let (alive, known) = fleet.as_ref().map_or((0, 0), |fleet| (fleet.peers_alive, fleet.peers_known));
    let models = models(service.models.names());
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
            cluster: cluster.or_else(|| fleet.map(|fleet| fleet.cluster)),
            peers_alive: alive as u32,
            peers_known: known as u32,
            coordinator,
            models,
            health,
            reverts: agent.enforcement_detail().rollback.map(|(_, at)| at),
        }
    };
    service.ask(ask).await
}

/// The model in use, and the one that only watches.
fn models((used, shadow): (Option<String>, Option<String>)) -> Vec<String> {
    used.into_iter().chain(shadow.map(|name| format!("{name} (shadow)"))).collect()
}

fn silent(why: &FleetRefused) -> Health {
    Health {
        level: HealthLevel::Warn,
        what: format!("members cannot be counted now: {why}"),
        remedy: "ask again; if it stays, see whether kernel or disk hang".into(),
    }
}

/// What a person should know of our membership.
async fn membership(service: &Service, fleet: Option<&FleetStatus>) -> Vec<Health> {
    let Some(fleet) = fleet else { return Vec::new() };
    let members = service.fleet.members().await.unwrap_or_default();
    judged(fleet, signers(&members), clock::now())
}

/// How many signers are there; `None` while some members' roles are not known.
fn signers(members: &[MemberView]) -> Option<usize> {
    let there = |member: &&MemberView| matches!(member.state, MemberState::Alive | MemberState::Suspect);
    let roles: Option<Vec<Role>> = members.iter().filter(there).map(|member| member.role).collect();
    Some(roles?.into_iter().filter(|role| *role == Role::Signer).count())
}

fn judged(fleet: &FleetStatus, signers: Option<usize>, now: Time) -> Vec<Health> {
    let mut list = Vec::new();
    let mut tell = |level, what: String, remedy: &str| {
        list.push(Health { level, what, remedy: remedy.to_owned() });
    };
    let left = fleet.certificate_expires.since(now);
    let again = "join again: smartfw-cli cluster token --replace NAME on a signer, then cluster leave and cluster join";
    if fleet.renewal == Renewal::Expired {
        tell(HealthLevel::Error, "this node's certificate has expired".into(), again);
    } else if fleet.renewal == Renewal::Late {
        let days = left.as_secs() / 86_400;
        let what = format!("this node's certificate ends in {days} days and was not renewed");
        tell(HealthLevel::Warn, what, "see that a signer is alive: smartfw-cli cluster nodes");
    }
    let make = "make another: smartfw-cli cluster token --role signer --root FILE";
    match signers {
        Some(0) => {
            let what = "no signer is alive: nobody joins, and certificates end within 30 days".into();
            let remedy = "bring one back, or make one with the root: docs/cluster.md, lost signers";
            tell(HealthLevel::Error, what, remedy);
        }
        Some(1) => {
            let what = "the cluster has only one living signer: when it is lost, certificates end".into();
            tell(HealthLevel::Warn, what, make);
        }
        _ => {}
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
            counters.uplink.dropped.lately(),
            " events for the coordinator or the mirror were dropped: it never hears of them",
            "see that smartfw-coordinator or the mirror's database is reached, and the disk of the state folder not full",
        ),
        tell(
            counters.uplink.missed.lately(),
            " events were dropped before the mirror alone had them: it never hears of them",
            "nothing, if it was one import; else see `smartfw-cli mirror`, and that the disk of the state folder is not full",
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
    use std::{collections::BTreeMap, time::Duration};

    use super::*;
    use crate::counters::UplinkCounters;

    #[test]
    fn everything_that_did_not_fit_is_told_of() {
        let counters = Counters::default();
        assert_eq!(counted(&counters, &Seen::default()), []);
        let Counters { verdicts_dropped, lines_dropped, logins_dropped, cuts_dropped, .. } = &counters;
        let mishaps = [verdicts_dropped, lines_dropped, logins_dropped, cuts_dropped];
        mishaps.iter().for_each(|mishaps| mishaps.add(3));
        let UplinkCounters { dropped, missed, .. } = &counters.uplink;
        let others = [&counters.lost, &counters.enforcement_overflows, dropped, missed];
        others.iter().for_each(|mishaps| mishaps.add(3));
        let told = counted(&counters, &Seen { forgotten_lately: Some(3), ..Seen::default() });
        assert_eq!(told.iter().filter(|entry| entry.what.starts_with("3 ")).count(), 9);
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
            renewal: match days {
                0 => Renewal::Expired,
                1..10 => Renewal::Late,
                _ => Renewal::NotDue,
            },
        }
    }

    #[test]
    fn a_certificate_that_was_not_renewed_is_warned_about_ten_days_before_its_end() {
        assert!(judged(&fleet(Role::Node, 11), Some(2), NOW).is_empty());
        let soon = judged(&fleet(Role::Node, 9), Some(2), NOW);
        assert_eq!((soon.len(), soon[0].level), (1, HealthLevel::Warn));
        let over = judged(&fleet(Role::Node, 0), Some(2), NOW);
        assert_eq!((over.len(), over[0].level), (1, HealthLevel::Error));
        assert!(over[0].remedy.contains("cluster token --replace"), "{}", over[0].remedy);
    }

    fn member(role: Option<Role>, state: MemberState) -> MemberView {
        MemberView {
            id: smartfw_core::fleet::NodeId([2; 32]),
            name: "web-2".into(),
            site: "default".into(),
            role,
            signer: None,
            address: ([192, 0, 2, 2], 7470).into(),
            state,
            version: "0.1.0".into(),
            blocks: 0,
            withheld: BTreeMap::new(),
            trust: 1.0,
            rtt_ms: None,
            certificate_expires: Time::NEVER,
        }
    }

    #[test]
    fn few_living_signers_are_warned_about_once_every_role_is_known() {
        let (alive, dead) = (MemberState::Alive, MemberState::Dead);
        let mut members = vec![member(Some(Role::Node), alive), member(Some(Role::Signer), alive)];
        let levels = |members: &[MemberView]| {
            let told = judged(&fleet(Role::Node, 30), signers(members), NOW);
            told.into_iter().map(|entry| entry.level).collect::<Vec<_>>()
        };
        assert_eq!(levels(&members), [HealthLevel::Warn]);
        members.push(member(Some(Role::Signer), dead));
        assert_eq!(levels(&members), [HealthLevel::Warn], "the dead sign nothing");
        members.push(member(Some(Role::Signer), MemberState::Suspect));
        assert_eq!(levels(&members), []);
        members.truncate(1);
        assert_eq!(levels(&members), [HealthLevel::Error]);
        members.push(member(None, alive));
        assert_eq!(levels(&members), [], "it may be one");
    }
}
