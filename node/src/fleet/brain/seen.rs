//! The fleet, for those who ask.

use std::{collections::BTreeMap, time::Duration};

use smartfw_core::{
    Agent, Time,
    agent::OriginListed,
    fleet::NodeId,
    members::{Member, MemberState},
};

use smartfw_identity::Member as Certified;

use super::{
    super::{FleetStatus, MemberView},
    Brain,
};

impl Brain {
    /// What this node takes part in, with so many streams open.
    pub fn status(&self, connected: usize, now: Time) -> FleetStatus {
        let identity = self.current.get();
        let member = identity.member();
        let states = || self.members.members().map(|member| member.state);
        FleetStatus {
            cluster: self.cluster.clone(),
            site: member.name.site.to_string(),
            name: member.name.name.to_string(),
            id: self.me,
            role: member.role,
            address: self.address,
            peers_alive: self.members.alive().count(),
            peers_known: states().filter(|state| *state != MemberState::Left).count(),
            peers_connected: connected,
            certificate_expires: member.not_after,
            renewal: identity.renewal(now),
        }
    }

    /// Every member, ourselves first.
    pub fn members_seen(&self, agent: &Agent) -> Vec<MemberView> {
        let origins = agent.fleet_origins().into_iter().map(|origin| (origin.id, origin));
        let mut origins: BTreeMap<NodeId, OriginListed> = origins.collect();
        let all = std::iter::once(self.members.me()).chain(self.members.members());
        all.map(|member| self.member_seen(&member, origins.remove(&member.id))).collect()
    }

    fn member_seen(&self, member: &Member, origin: Option<OriginListed>) -> MemberView {
        let Member { id, card, state, since: _, round_trip } = member;
        let certified = |member: &Certified| (member.role, member.signer);
        let certified = if *id == self.me {
            Some(certified(self.current.get().member()))
        } else {
            self.members.known_keys().member(id).map(certified)
        };
        let (role, signer) = certified.unzip();
        let label = origin.as_ref().map(|origin| origin.label.clone());
        let site = origin.as_ref().and_then(|origin| origin.site.clone());
        let (blocks, withheld, trust) =
            origin.map_or((0, BTreeMap::new(), 1.0), |origin| (origin.blocks, origin.withheld, origin.trust));
        MemberView {
            id: *id,
            name: label.unwrap_or_else(|| card.name.clone()),
            site: site.unwrap_or_else(|| card.site.clone()),
            role,
            signer,
            address: card.address,
            state: *state,
            version: card.version.clone(),
            blocks,
            withheld,
            trust,
            rtt_ms: round_trip.map(millis),
            certificate_expires: Time::from_secs(card.expires),
        }
    }
}

pub(super) fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
