//! The orders that are remembered.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
    string::String,
};

use core::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::{
    Time,
    fleet::{NodeId, OperatorOrder, OrderKind, Version},
    order::Allowed,
};

/// Orders remembered at once: an import of a million blocks is 3,907 of them.
pub(super) const ORDERS: usize = 20_000;
/// Of these no import takes: what ends blocks, allows and stops must still find room.
const RESERVED: usize = 4000;
/// Versions and orders that all `unblock`s together cover: 60 MB.
pub(super) const COVERS: usize = 200_000;
/// Members known to have carried orders that declare canaries: each order is carried by one, and said again by another
/// where that one is expelled.
const CARRIERS: usize = 4000;

/// The orders that are not over.
#[derive(Clone, Debug)]
pub(super) struct Book {
    pub(super) rows: BTreeMap<u128, Row>,
    ends: BTreeSet<(Time, u128)>,
    /// What `unblock`s name: versions with the target, and by which order.
    versions: BTreeSet<(NodeId, Version, IpNet, u128)>,
    /// The same by target: an earlier version of exactly that target is void too.
    uptos: BTreeSet<(IpNet, NodeId, Version, u128)>,
    /// The operators' orders that they name, with the target, and by which order.
    named: BTreeSet<(u128, IpNet, u128)>,
    /// The orders that allow a target.
    allows: BTreeMap<IpNet, BTreeSet<u128>>,
    /// Who carried an order that declares a canary, and since when that is known.
    carriers: BTreeMap<(u128, NodeId), Time>,
    /// Orders that were ended, with those that ended them.
    disallowed: BTreeSet<(u128, u128)>,
    revoked: BTreeSet<NodeId>,
    covers: usize,
}

/// An order as it is remembered.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// Of the targets of a block only the first is kept here: the block list has them.
    pub(super) order: Box<OperatorOrder>,
    /// Who signed it, and who made the signer's certificate.
    pub(super) signers: (NodeId, NodeId),
    /// How many targets it had.
    pub(super) targets: usize,
    /// When it was signed, by this node's clock.
    pub(super) born: Time,
    pub(super) until: Time,
}

impl Book {
    pub(super) const fn new() -> Self {
        Self {
            rows: BTreeMap::new(),
            ends: BTreeSet::new(),
            versions: BTreeSet::new(),
            uptos: BTreeSet::new(),
            named: BTreeSet::new(),
            allows: BTreeMap::new(),
            carriers: BTreeMap::new(),
            disallowed: BTreeSet::new(),
            revoked: BTreeSet::new(),
            covers: 0,
        }
    }

    pub(super) fn next_due(&self) -> Time {
        self.ends.first().map_or(Time::NEVER, |(until, _)| *until)
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.values()
    }

    /// Those that no other has ended.
    pub(super) fn standing(&self) -> impl Iterator<Item = &Row> {
        let ended =
            |row: &Row| matches!(row.order.kind, OrderKind::Allow { .. }) && self.is_disallowed(row.order.id);
        self.rows.values().filter(move |row| !ended(row))
    }

    /// What operators say of a member outright, as the ledger keeps it.
    pub(super) fn trust_of(&self, node: &NodeId) -> impl Iterator<Item = (Time, u128, bool)> {
        self.rows.values().filter_map(|row| match row.order.kind {
            OrderKind::Trust { node: of, believed } if of == *node => {
                Some((row.order.issued, row.order.id, believed))
            }
            _ => None,
        })
    }

    /// What operators allow.
    pub(super) fn allowed_targets(&self) -> impl Iterator<Item = IpNet> {
        self.allows.keys().copied()
    }

    /// Whether a member was expelled.
    pub(super) fn revoked(&self, node: &NodeId) -> bool {
        self.revoked.contains(node)
    }

    pub(super) fn room(&self, kind: &OrderKind) -> bool {
        let most = if matches!(kind, OrderKind::Block { .. }) { ORDERS - RESERVED } else { ORDERS };
        self.rows.len() < most && self.covers + covers(kind) <= COVERS
    }

    /// Remembers that a member has carried an order: it knows what that says.
    pub(super) fn carry(&mut self, now: Time, id: u128, by: NodeId) {
        let canary = self.rows.get(&id).is_some_and(|row| matches!(row.order.kind, OrderKind::Canary { .. }));
        if canary && self.carriers.len() < CARRIERS {
            self.carriers.entry((id, by)).or_insert(now);
        }
    }

    /// Since when it is known that a member has carried an order that declares a canary.
    pub(super) fn carried(&self, id: u128, by: &NodeId) -> Option<Time> {
        self.carriers.get(&(id, *by)).copied()
    }

    pub(super) fn insert(&mut self, row: Row) {
        let id = row.order.id;
        self.covers += covers(&row.order.kind);
        match &row.order.kind {
            OrderKind::Unblock { target, covers, orders, .. } => {
                let all = || covers.iter().map(|(node, version)| (*node, *version));
                self.versions.extend(all().map(|(node, version)| (node, version, *target, id)));
                self.uptos.extend(all().map(|(node, version)| (*target, node, version, id)));
                self.named.extend(orders.iter().map(|order| (*order, *target, id)));
            }
            OrderKind::Allow { target, .. } => drop(self.allows.entry(*target).or_default().insert(id)),
            OrderKind::Disallow { id: ended } => drop(self.disallowed.insert((*ended, id))),
            OrderKind::Revoke { node } => drop(self.revoked.insert(*node)),
            OrderKind::Canary { .. } | OrderKind::Block { .. } | OrderKind::Trust { .. } => {}
            OrderKind::Panic { .. } | OrderKind::Resume => {}
        }
        self.ends.insert((row.until, id));
        self.rows.insert(id, row);
    }

    pub(super) fn remove(&mut self, id: u128) -> Option<Row> {
        let row = self.rows.remove(&id)?;
        self.ends.remove(&(row.until, id));
        self.covers = self.covers.saturating_sub(covers(&row.order.kind));
        match &row.order.kind {
            OrderKind::Unblock { target, covers, orders, .. } => {
                for (node, version) in covers {
                    self.versions.remove(&(*node, *version, *target, id));
                    self.uptos.remove(&(*target, *node, *version, id));
                }
                for order in orders {
                    self.named.remove(&(*order, *target, id));
                }
            }
            OrderKind::Allow { target, .. } => {
                let empty = self.allows.get_mut(target).is_some_and(|ids| ids.remove(&id) && ids.is_empty());
                if empty {
                    self.allows.remove(target);
                }
            }
            OrderKind::Disallow { id: ended } => drop(self.disallowed.remove(&(*ended, id))),
            OrderKind::Revoke { node } => drop(self.revoked.remove(node)),
            OrderKind::Canary { .. } => self.carriers.retain(|(of, _), _| *of != id),
            OrderKind::Block { .. } | OrderKind::Trust { .. } => {}
            OrderKind::Panic { .. } | OrderKind::Resume => {}
        }
        Some(row)
    }

    pub(super) fn due(&self, now: Time) -> Option<u128> {
        self.ends.first().filter(|(until, _)| *until <= now).map(|(_, id)| *id)
    }

    pub(super) fn is_disallowed(&self, id: u128) -> bool {
        self.disallowed.range((id, 0)..=(id, u128::MAX)).next().is_some()
    }

    /// What operators allow of exactly `target`: the longest word of several.
    pub(super) fn allowed(&self, target: &IpNet) -> Option<Allowed> {
        let rows = self.allowing(self.allows.get(target));
        rows.max_by_key(|row| (row.until, row.order.id)).and_then(Row::allowed)
    }

    /// Every order that allows a target.
    pub(super) fn all_allowing(&self) -> impl Iterator<Item = &Row> {
        self.allowing(self.allows.values())
    }

    fn allowing<'a>(
        &'a self,
        ids: impl IntoIterator<Item = &'a BTreeSet<u128>>,
    ) -> impl Iterator<Item = &'a Row> {
        let ids = ids.into_iter().flatten().filter(|id| !self.is_disallowed(**id));
        ids.filter_map(|id| self.rows.get(id))
    }

    /// Whether an `unblock` covers what a member says of a target under a version: it names this version, or a later
    /// one of the same target.
    pub(super) fn covered(&self, target: &IpNet, node: &NodeId, version: Version) -> bool {
        let from = (*target, *node, version, 0);
        let later = self.uptos.range(from..).next();
        if later.is_some_and(|(of, by, ..)| (of, by) == (target, node)) {
            return true;
        }
        let widest = widest(target);
        let named = self.versions.range((*node, version, widest, 0)..);
        let mut named = named.take_while(|(by, under, ..)| (*by, *under) == (*node, version));
        named.any(|(_, _, net, _)| net.contains(target))
    }

    /// Whether an `unblock` names an operator's order, of a target.
    pub(super) fn ended(&self, target: &IpNet, order: u128) -> bool {
        let named = self.named.range((order, widest(target), 0)..).take_while(|(of, ..)| *of == order);
        named.into_iter().any(|(_, net, _)| net.contains(target))
    }

    /// The orders of a key, and those that a certificate's maker stands behind.
    pub(super) fn signed_by(&self, out: impl Fn(&NodeId, &NodeId) -> bool) -> BTreeSet<u128> {
        let rows = self.rows.iter().filter(|(_, row)| out(&row.signers.0, &row.signers.1));
        rows.map(|(id, _)| *id).collect()
    }
}

impl Row {
    /// What it allows, if it does.
    pub(super) fn allowed(&self) -> Option<Allowed> {
        let OrderKind::Allow { target, comment, .. } = &self.order.kind else { return None };
        let expires = (self.until != Time::NEVER).then_some(self.until);
        Some(Allowed { target: *target, since: self.born, expires, comment: comment.clone() })
    }
}

/// Before every other prefix of a target's family.
const fn widest(target: &IpNet) -> IpNet {
    match target {
        IpNet::V4(_) => IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0)),
        IpNet::V6(_) => IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 0)),
    }
}

fn covers(kind: &OrderKind) -> usize {
    if let OrderKind::Unblock { covers, orders, .. } = kind { covers.len() + orders.len() } else { 0 }
}

/// What an order does, in a word.
pub(super) const fn name(kind: &OrderKind) -> (&'static str, Option<IpNet>) {
    match kind {
        OrderKind::Block { .. } => ("block", None),
        OrderKind::Allow { target, .. } => ("allow", Some(*target)),
        OrderKind::Unblock { target, .. } => ("unblock", Some(*target)),
        OrderKind::Disallow { .. } => ("disallow", None),
        OrderKind::Trust { .. } => ("trust", None),
        OrderKind::Revoke { .. } => ("revoke", None),
        OrderKind::Canary { target, .. } => ("canary", Some(*target)),
        OrderKind::Panic { .. } => ("panic", None),
        OrderKind::Resume => ("resume", None),
    }
}

/// The comment or reason of an order.
pub(super) fn words(kind: &OrderKind) -> Option<&String> {
    match kind {
        OrderKind::Block { reason, .. } => Some(reason),
        OrderKind::Allow { comment, .. } => Some(comment),
        _ => None,
    }
}
