//! The orders that are remembered.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
    string::String,
};

use ipnet::IpNet;

use crate::{
    Time,
    fleet::{NodeId, OperatorOrder, OrderKind},
    nets::Nets,
    order::Allowed,
};

/// Orders remembered at once: an import of a million blocks is 3,907 of them.
pub(super) const ORDERS: usize = 20_000;
/// Versions and orders that all `unblock`s together cover: 10 MB.
pub(super) const COVERS: usize = 200_000;

/// The orders that are not over.
#[derive(Clone, Debug)]
pub(super) struct Book {
    pub(super) rows: BTreeMap<u128, Row>,
    ends: BTreeSet<(Time, u128)>,
    /// The orders that unblock a target, and those that allow it.
    unblocks: Nets<BTreeSet<u128>>,
    allows: BTreeMap<IpNet, BTreeSet<u128>>,
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
            unblocks: Nets::new(),
            allows: BTreeMap::new(),
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

    /// Whether a member was expelled.
    pub(super) fn revoked(&self, node: &NodeId) -> bool {
        self.revoked.contains(node)
    }

    pub(super) fn room(&self, kind: &OrderKind) -> bool {
        self.rows.len() < ORDERS && self.covers + covers(kind) <= COVERS
    }

    pub(super) fn insert(&mut self, row: Row) {
        let id = row.order.id;
        self.covers += covers(&row.order.kind);
        match &row.order.kind {
            OrderKind::Unblock { target, .. } => add(&mut self.unblocks, *target, id),
            OrderKind::Allow { target, .. } => drop(self.allows.entry(*target).or_default().insert(id)),
            OrderKind::Disallow { id: ended } => drop(self.disallowed.insert((*ended, id))),
            OrderKind::Revoke { node } => drop(self.revoked.insert(*node)),
            OrderKind::Block { .. } | OrderKind::Trust { .. } | OrderKind::Canary { .. } => {}
        }
        self.ends.insert((row.until, id));
        self.rows.insert(id, row);
    }

    pub(super) fn remove(&mut self, id: u128) -> Option<Row> {
        let row = self.rows.remove(&id)?;
        self.ends.remove(&(row.until, id));
        self.covers = self.covers.saturating_sub(covers(&row.order.kind));
        match &row.order.kind {
            OrderKind::Unblock { target, .. } => {
                let empty =
                    self.unblocks.get_mut(target).is_some_and(|ids| ids.remove(&id) && ids.is_empty());
                if empty {
                    self.unblocks.remove(target);
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
            OrderKind::Block { .. } | OrderKind::Trust { .. } | OrderKind::Canary { .. } => {}
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
        let rows = self.allows.get(target)?.iter().filter_map(|id| self.rows.get(id));
        let row = rows.max_by_key(|row| (row.until, row.order.id))?;
        let OrderKind::Allow { comment, .. } = &row.order.kind else { return None };
        let expires = (row.until != Time::NEVER).then_some(row.until);
        Some(Allowed { target: *target, since: row.born, expires, comment: comment.clone() })
    }

    /// Whether an `unblock` covers what `which` picks of the things it names, of a target.
    pub(super) fn unblocked(&self, target: &IpNet, which: impl Fn(&OrderKind, bool) -> bool) -> bool {
        let orders =
            self.unblocks.covering(target).flat_map(|(net, ids)| ids.iter().map(move |id| (net, id)));
        let mut rows = orders.filter_map(|(net, id)| Some((net == target, self.rows.get(id)?)));
        rows.any(|(same, row)| which(&row.order.kind, same))
    }
}

fn covers(kind: &OrderKind) -> usize {
    if let OrderKind::Unblock { covers, orders, .. } = kind { covers.len() + orders.len() } else { 0 }
}

fn add(nets: &mut Nets<BTreeSet<u128>>, target: IpNet, id: u128) {
    match nets.get_mut(&target) {
        Some(ids) => drop(ids.insert(id)),
        None => drop(nets.insert(target, BTreeSet::from([id]))),
    }
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
