//! The fleet, for those who ask.

use std::{collections::BTreeMap, time::Duration};

use smartfw_core::{
    Agent, BlockState, Detector, IpNet, Listed, Time,
    agent::OriginListed,
    fleet::NodeId,
    members::{Member, MemberState},
};

use super::{
    super::{FleetBlockView, FleetStatus, MemberView},
    Brain,
};

impl Brain {
    /// What this node takes part in, with so many streams open.
    pub fn status(&self, connected: usize) -> FleetStatus {
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
        let role = if *id == self.me {
            Some(self.current.get().member().role)
        } else {
            self.members.known_keys().member(id).map(|certified| certified.role)
        };
        let label = origin.as_ref().map(|origin| origin.label.clone());
        let site = origin.as_ref().and_then(|origin| origin.site.clone());
        let (blocks, withheld, trust) =
            origin.map_or((0, BTreeMap::new(), 1.0), |origin| (origin.blocks, origin.withheld, origin.trust));
        MemberView {
            id: *id,
            name: label.unwrap_or_else(|| card.name.clone()),
            site: site.unwrap_or_else(|| card.site.clone()),
            role,
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

    /// The fleet's blocks behind `after`, in order of target, at most so many.
    pub fn blocks_seen(&self, agent: &Agent, after: Option<IpNet>, most: usize) -> Vec<FleetBlockView> {
        let own = self.own_label(agent);
        let names = self.labels(agent);
        let mut seen = Vec::new();
        let mut entries = agent.blocks_after(after).peekable();
        while let Some(first) = entries.next() {
            let target = first.block.target;
            let mut of_target = vec![first];
            while let Some(more) = entries.next_if(|entry| entry.block.target == target) {
                of_target.push(more);
            }
            let fleets: Vec<&Listed> = of_target.iter().filter(|entry| !is_local(entry, agent)).collect();
            if seen.len() + fleets.len() > most && !seen.is_empty() {
                break;
            }
            seen.extend(fleets.iter().map(|entry| self.block_seen(entry, &fleets, agent, &own, &names)));
        }
        seen
    }

    fn block_seen(
        &self,
        entry: &Listed,
        all: &[&Listed],
        agent: &Agent,
        own: &str,
        names: &BTreeMap<NodeId, String>,
    ) -> FleetBlockView {
        let block = &entry.block;
        let shown = |origin: &str| if origin == agent.node() { own.to_owned() } else { origin.to_owned() };
        let ours = block.origin.0 == agent.node();
        let origin = shown(&block.origin.0);
        let others = all.iter().map(|other| &other.block).filter(|other| other.origin != block.origin);
        let confirmed_by = others.map(|other| shown(&other.origin.0)).collect();
        let mut enforced_on = Vec::new();
        // Which entry of a target the kernel holds makes no difference to who is dropped.
        if all.iter().any(|entry| entry.state == BlockState::InForce) {
            enforced_on.push(own.to_owned());
        }
        let mut propagation_ms = BTreeMap::new();
        if ours {
            for (node, took) in self.spread.of(&block.target) {
                let name = names.get(node).cloned().unwrap_or_else(|| node.to_string());
                enforced_on.push(name.clone());
                propagation_ms.insert(name, millis(took));
            }
        } else if block.detector != Detector::Operator {
            enforced_on.push(origin.clone());
        }
        let withheld = match &entry.state {
            BlockState::Withheld(why) => Some(*why),
            _ => None,
        };
        FleetBlockView {
            target: block.target,
            class: block.class,
            origin,
            confirmed_by,
            enforced_on,
            withheld,
            since: block.since,
            expires: block.expires,
            propagation_ms,
        }
    }

    fn own_label(&self, agent: &Agent) -> String {
        self.labels(agent)
            .remove(&self.me)
            .unwrap_or_else(|| self.current.get().member().name.name.to_string())
    }

    fn labels(&self, agent: &Agent) -> BTreeMap<NodeId, String> {
        agent.fleet_origins().into_iter().map(|origin| (origin.id, origin.label)).collect()
    }
}

/// A person's block on this node alone.
fn is_local(entry: &Listed, agent: &Agent) -> bool {
    entry.block.detector == Detector::Operator && entry.block.origin.0 == agent.node()
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
