//! The fleet's blocks, for those who ask: one row for each target.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use smartfw_core::{
    Agent, BlockState, Detector, IpNet, Listed, Time,
    agent::FleetWord,
    fleet::{NodeId, Version},
    members::MemberState,
};

use super::{
    super::{FleetBlockView, FleetBlocks, spread::Log},
    Brain,
    seen::millis,
};

/// Entries that one question looks at: some milliseconds, in which no packet's verdict is handled. The next question goes
/// on behind them.
const LOOKED_AT: usize = 4096;

/// What members are called, and who is called so: no two have the same name here.
struct Names {
    own: String,
    of: BTreeMap<NodeId, String>,
    ids: BTreeMap<String, NodeId>,
    /// Those who are there, without this node.
    there: BTreeSet<NodeId>,
}

impl Brain {
    /// The fleet's blocks behind `after`, in order of target, at most so many, and where the list goes on.
    pub fn blocks_seen(&self, agent: &Agent, after: Option<IpNet>, most: usize) -> FleetBlocks {
        let names = self.names(agent);
        let (mut blocks, mut looked_at, mut behind) = (Vec::new(), 0, None);
        let mut entries = agent.blocks_after(after).peekable();
        while let Some(first) = entries.next() {
            let target = first.block.target;
            let mut of_target = vec![first];
            while let Some(more) = entries.next_if(|entry| entry.block.target == target) {
                of_target.push(more);
            }
            looked_at += of_target.len();
            of_target.retain(|entry| !is_local(entry, agent));
            blocks.extend(self.block_seen(&of_target, agent, &names));
            if entries.peek().is_some() && (blocks.len() >= most || looked_at >= LOOKED_AT) {
                behind = Some(target);
                break;
            }
        }
        FleetBlocks { blocks, behind }
    }

    /// The fleet's blocks that drop an address, in order of target.
    pub fn blocks_covering(&self, agent: &Agent, address: IpAddr, now: Time) -> Vec<FleetBlockView> {
        let names = self.names(agent);
        let mut known = agent.explain(address, now).blocks;
        known.retain(|entry| !is_local(entry, agent));
        known.sort_by_key(|entry| entry.block.target);
        let of_target = known.chunk_by(|one, other| one.block.target == other.block.target);
        of_target.filter_map(|of_target| self.block_seen(of_target, agent, &names)).collect()
    }

    /// What is said of a target: as the first says it whose word is followed, or else the first of all.
    fn block_seen(&self, of_target: &[Listed], agent: &Agent, names: &Names) -> Option<FleetBlockView> {
        let counts = |entry: &&Listed| !matches!(entry.state, BlockState::Withheld(_));
        let oldest = |entry: &&Listed| (entry.block.since, entry.block.id);
        let first = of_target.iter().filter(counts).min_by_key(oldest);
        let first = first.or_else(|| of_target.iter().min_by_key(oldest))?;
        let shown = |entry: &Listed| names.shown(&entry.block.origin.0, agent);
        let origin = shown(first);
        let others = of_target.iter().filter(counts).filter(|entry| entry.block.id != first.block.id);
        let confirmed_by: BTreeSet<String> = others.map(shown).filter(|other| *other != origin).collect();
        let words = of_target.iter().filter_map(|entry| self.under(agent, entry));
        let (enforced_on, propagation_ms) = self.spread_seen(agent, &first.block.target, words, names);
        let withheld = match &first.state {
            BlockState::Withheld(why) => Some(*why),
            _ => None,
        };
        // An operator may bear a member's name.
        let origin_id =
            names.ids.get(&origin).filter(|_| first.block.detector != Detector::Operator).copied();
        Some(FleetBlockView {
            target: first.block.target,
            class: first.block.class,
            origin,
            origin_id,
            confirmed_by: confirmed_by.into_iter().collect(),
            enforced_on,
            withheld,
            since: first.block.since,
            expires: first.block.expires,
            propagation_ms,
        })
    }

    /// Where a target is dropped, on whoever's word, and how long that took where it was this node that said so.
    fn spread_seen(
        &self,
        agent: &Agent,
        target: &IpNet,
        words: impl Iterator<Item = (Log, Version)>,
        names: &Names,
    ) -> (Vec<String>, BTreeMap<String, f64>) {
        let (mut on, mut took) = (BTreeSet::new(), BTreeMap::new());
        for ((origin, site), version) in words {
            let drops = |node: &&NodeId| self.spread.drops(**node, (origin, site), version);
            on.extend(names.there.iter().filter(drops).map(|node| names.of(node)));
            if origin == self.me {
                let measured = self.spread.of(site, version);
                took.extend(measured.map(|(node, took)| (names.of(node), millis(took))));
            }
        }
        on.remove(&names.own);
        let here = agent.drops(target).then(|| names.own.clone());
        (here.into_iter().chain(on).collect(), took)
    }

    /// Under which version the fleet knows what an entry says.
    fn under(&self, agent: &Agent, entry: &Listed) -> Option<(Log, Version)> {
        match agent.fleet_word(&entry.block)? {
            FleetWord::Member { node, site, version } => Some(((node, site), version)),
            FleetWord::Order(id) => self.spread.carrier(id),
        }
    }

    fn names(&self, agent: &Agent) -> Names {
        let of: BTreeMap<NodeId, String> = agent.fleet_labels().into_iter().collect();
        let own = of.get(&self.me).cloned();
        let own = own.unwrap_or_else(|| self.current.get().member().name.name.to_string());
        let ids = of.iter().map(|(node, name)| (name.clone(), *node)).collect();
        let there = self.members.members();
        let there = there.filter(|member| matches!(member.state, MemberState::Alive | MemberState::Suspect));
        Names { own, ids, there: there.map(|member| member.id).collect(), of }
    }
}

impl Names {
    fn of(&self, node: &NodeId) -> String {
        self.of.get(node).cloned().unwrap_or_else(|| node.to_string())
    }

    fn shown(&self, origin: &str, agent: &Agent) -> String {
        if origin == agent.node() { self.own.clone() } else { origin.to_owned() }
    }
}

/// A person's block on this node alone.
fn is_local(entry: &Listed, agent: &Agent) -> bool {
    entry.block.detector == Detector::Operator && agent.fleet_word(&entry.block).is_none()
}
