//! What can be asked about the fleet's word.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    format,
    string::{String, ToString},
    vec::Vec,
};

use ipnet::IpNet;

use crate::{
    Health, HealthLevel, Time, Withheld,
    blocklist::Held,
    fleet::{NodeId, OperatorOrder, OrderKind, Version},
    order::Allowed,
    protect::{Protected, Why},
    record::Speaker,
};

use super::{
    super::{Agent, queries::health},
    Fleet, book, canaries, trust,
};

/// A member, with what is made of its word here.
#[derive(Clone, Debug, PartialEq)]
pub struct OriginListed {
    /// Who.
    pub id: NodeId,
    /// What it is called; no other has the same label.
    pub label: String,
    /// Its site, where it is known.
    pub site: Option<String>,
    /// Its blocks that are held here; this node's own that detection made, for itself.
    pub blocks: usize,
    /// Those of them that are not enforced on its word, by reason.
    pub withheld: BTreeMap<Withheld, usize>,
    /// How far it is believed, 0 to 1.
    pub trust: f32,
    /// Whether its blocks may be enforced.
    pub believed: bool,
}

/// An operator's order that is not over.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderListed {
    /// The order; of a block's targets the first.
    pub order: OperatorOrder,
    /// How many targets it has.
    pub targets: usize,
    /// Until when it holds, or is remembered; `None` for ever.
    pub expires: Option<Time>,
}

impl Agent {
    /// Every member that is known, or has blocks here, or of which something is known for or against.
    pub fn fleet_origins(&self) -> Vec<OriginListed> {
        let Some(me) = self.fleet.me else { return Vec::new() };
        let mut nodes: BTreeSet<NodeId> = BTreeSet::from([me]);
        nodes.extend(self.fleet.members.keys());
        nodes.extend(self.fleet.origins.iter().filter(|(_, source)| source.blocks > 0).map(|(node, _)| node));
        nodes.extend(self.fleet.trust.nodes());
        let mut withheld: BTreeMap<NodeId, BTreeMap<Withheld, usize>> = BTreeMap::new();
        for held in self.blocks.iter().flat_map(|(_, entries)| entries) {
            let charged = held.words.speaker().and_then(Speaker::charged);
            if let (Some(node), Some(why)) = (charged, held.withheld) {
                *withheld.entry(node).or_default().entry(why).or_default() += 1;
            }
        }
        let mut of = |node: &NodeId| withheld.remove(node).unwrap_or_default();
        nodes.iter().map(|node| self.fleet_origin(node, of(node))).collect()
    }

    fn fleet_origin(&self, node: &NodeId, withheld: BTreeMap<Withheld, usize>) -> OriginListed {
        let site = self.fleet.members.get(node).map(|label| label.site.clone());
        let me = self.fleet.me == Some(*node);
        let blocks = self.fleet.origins.get(node).map_or(0, |source| source.blocks);
        OriginListed {
            id: *node,
            label: self.fleet.label(node),
            site: if me { Some(self.fleet.site.clone()) } else { site },
            blocks: if me { self.blocks.automatic() } else { blocks },
            withheld,
            trust: f32::from(self.fleet.trust.score(node)) / f32::from(trust::FULL),
            believed: self.fleet.trust.believes(node, self.config.fleet.trust),
        }
    }

    /// The orders of operators that are not over, by id.
    pub fn fleet_orders(&self) -> impl Iterator<Item = OrderListed> {
        self.fleet.orders.standing().map(|row| OrderListed {
            order: (*row.order).clone(),
            targets: row.targets,
            expires: (row.until != Time::NEVER).then_some(row.until),
        })
    }

    /// What operators allow the fleet: by which order, and the site that alone it concerns.
    pub fn fleet_allowed(&self) -> impl Iterator<Item = (u128, Option<&str>, Allowed)> {
        let rows = self.fleet.orders.all_allowing();
        rows.filter_map(|row| Some((row.order.id, row.order.site.as_deref(), row.allowed()?)))
    }

    /// How many blocks of the fleet are held and not enforced.
    pub const fn fleet_withheld(&self) -> usize {
        self.blocks.withheld()
    }

    /// What an `unblock` of `target` has to name: every word of the fleet, and of this node, within it. Of the first so
    /// many targets alone, and only until there are so many words; the last says whether there may be more.
    pub fn fleet_covers(
        &self,
        target: &IpNet,
        (targets, words): (usize, usize),
    ) -> (Vec<(NodeId, Version)>, Vec<u128>, bool) {
        let (mut covers, mut orders) = (Vec::new(), BTreeSet::new());
        for (looked_at, net) in self.blocks.within(&crate::prefix::canonical_net(*target)).enumerate() {
            if looked_at >= targets || covers.len().max(orders.len()) >= words {
                return (covers, orders.into_iter().collect(), true);
            }
            covers.extend(self.fleet.me.zip(self.fleet.own.get(net).map(|known| known.version)));
            for held in self.blocks.of(net) {
                covers.extend(held.version());
                if let Some(Speaker::Order(id)) = held.words.speaker() {
                    orders.insert(*id);
                }
            }
        }
        (covers, orders.into_iter().collect(), false)
    }

    /// Whether an `unblock` of exactly `target` has anything of the fleet's to name: else only people on this node
    /// block it.
    pub fn fleet_speaks_of(&self, target: &IpNet) -> bool {
        let order = |held: &Held| matches!(held.words.speaker(), Some(Speaker::Order(_)));
        self.fleet.me.is_some() && self.fleet.own.contains_key(target)
            || self.blocks.of(target).iter().any(|held| held.version().is_some() || order(held))
    }

    /// On whose word an entry stands, as people know them.
    pub(in super::super) fn origin_of(&self, held: &Held) -> String {
        match held.words.speaker() {
            Some(Speaker::Member { node, .. }) => self.fleet.label(node),
            Some(Speaker::Order(_) | Speaker::Foreign { .. }) | None => held.words.origin.to_string(),
        }
    }

    pub(in super::super) fn fleet_health(&self) -> Vec<Health> {
        let super::Counters { members, says } = self.fleet.counters;
        let (blocks, refused) = (self.fleet.left_out.len() as u64, self.fleet.refused.len() as u64);
        let waiting: usize = self.fleet.origins.values().map(|source| source.waiting.len()).sum();
        let liars =
            self.fleet.trust.nodes().filter(|node| !self.fleet.trust.believes(node, self.config.fleet.trust));
        let liars = liars.count() as u64;
        let shown = [
            (
                blocks,
                "blocks of the fleet have no room here",
                "smartfw-cli cluster blocks; unblock what is not needed, or raise the limit",
            ),
            (refused, "orders of operators wait for room here", "smartfw-cli cluster blocks"),
            (
                members as u64,
                "members are more than are known here: their addresses are not protected",
                "split the cluster",
            ),
            (
                says,
                "blocks were told to the fleet late, because the disk was",
                "look at the state directory: is the disk full or read-only?",
            ),
            (waiting as u64, "blocks wait for the quota of their origins", "smartfw-cli cluster nodes"),
            (liars, "members are not believed", "smartfw-cli cluster nodes; revoke who was taken over"),
        ];
        let full = [
            (self.fleet.orders.len() >= book::ORDERS, "as many orders of operators as there may be"),
            (self.fleet.canaries.len() >= canaries::CANARIES, "as many canaries as there may be"),
            (self.fleet.trust.len() >= trust::TRUSTED, "as much is known of members as may be"),
        ];
        let shown = shown.into_iter().filter(|(count, ..)| *count > 0);
        let shown =
            shown.map(|(count, what, remedy)| health(HealthLevel::Warn, format!("{count} {what}"), remedy));
        let full = full.into_iter().filter(|(full, _)| *full);
        shown
            .chain(full.map(|(_, what)| health(HealthLevel::Warn, what.into(), "end what is not needed")))
            .collect()
    }
}

impl Fleet {
    /// The canary that detection on this node must not block.
    pub(in super::super) fn canary_protecting(&self, target: &IpNet) -> Option<Protected> {
        let (net, _) = self.canaries.overlapping(target)?;
        Some(Protected { net: *net, why: Why::Canary, detail: String::new() })
    }
}

impl OrderListed {
    /// What it does, in a word; to whom, where it is one; and why.
    pub fn summary(&self) -> (&'static str, Option<IpNet>, &str) {
        let (what, target) = book::name(&self.order.kind);
        let first = match &self.order.kind {
            OrderKind::Block { targets, .. } => targets.first().copied(),
            _ => target,
        };
        (what, first, book::words(&self.order.kind).map_or("", String::as_str))
    }
}
