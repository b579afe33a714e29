//! What operators order the whole fleet to do.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
    string::String,
    vec::Vec,
};
use core::time::Duration;

use ipnet::IpNet;

use crate::{
    Block, BlockId, Class, Detector, Strength, Time, Withheld,
    blocklist::{Held, Said},
    fleet::{COVERED, NodeId, ORDER_TARGETS, OperatorOrder, OrderKind, Version},
    nets::Nets,
    order::Allowed,
    prefix,
    record::{Lesson, Speaker},
};

use super::{
    super::{Agent, TEXT, clip, effects::Key},
    canaries::Canary,
};

/// Orders remembered at once: an import of a million blocks is 3,907 of them.
pub(super) const ORDERS: usize = 20_000;
/// Versions and orders that all `unblock`s together cover: 10 MB.
pub(super) const COVERS: usize = 200_000;
/// No `unblock` holds detection back for longer.
const HOLD: Duration = Duration::from_secs(24 * 3600);

/// The orders that are not over.
#[derive(Clone, Debug)]
pub(super) struct Book {
    rows: BTreeMap<u128, Row>,
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

    fn room(&self, kind: &OrderKind) -> bool {
        self.rows.len() < ORDERS && self.covers + covers(kind) <= COVERS
    }

    fn insert(&mut self, row: Row) {
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

    fn remove(&mut self, id: u128) -> Option<Row> {
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

    fn due(&self, now: Time) -> Option<u128> {
        self.ends.first().filter(|(until, _)| *until <= now).map(|(_, id)| *id)
    }

    fn is_disallowed(&self, id: u128) -> bool {
        self.disallowed.range((id, 0)..=(id, u128::MAX)).next().is_some()
    }

    /// What operators allow of exactly `target`: the longest word of several.
    fn allowed(&self, target: &IpNet) -> Option<Allowed> {
        let rows = self.allows.get(target)?.iter().filter_map(|id| self.rows.get(id));
        let row = rows.max_by_key(|row| (row.until, row.order.id))?;
        let OrderKind::Allow { comment, .. } = &row.order.kind else { return None };
        let expires = (row.until != Time::NEVER).then_some(row.until);
        Some(Allowed { target: *target, since: row.born, expires, comment: comment.clone() })
    }

    /// Whether an `unblock` covers what `which` picks of the things it names, of a target.
    fn unblocked(&self, target: &IpNet, which: impl Fn(&OrderKind, bool) -> bool) -> bool {
        let orders =
            self.unblocks.covering(target).flat_map(|(net, ids)| ids.iter().map(move |id| (net, id)));
        let mut rows = orders.filter_map(|(net, id)| Some((net == target, self.rows.get(id)?)));
        rows.any(|(same, row)| which(&row.order.kind, same))
    }
}

impl Agent {
    /// Takes an operator's order, verified. `age` is how long ago it was signed, at least: by the age of the entry that
    /// carried it, and by the cluster's time; `remaining` is how long that entry is still to be remembered, `None` for
    /// ever. An order that is known already, whoever carries it, changes nothing.
    pub fn handle_fleet_order(
        &mut self,
        now: Time,
        order: OperatorOrder,
        age: Duration,
        remaining: Option<Duration>,
    ) {
        self.handle_timeout(now);
        let order = bounded(order);
        let until = match &order.kind {
            OrderKind::Block { duration, .. } | OrderKind::Allow { duration, .. } => {
                duration.map_or(Time::NEVER, |duration| now.after(duration.saturating_sub(age)))
            }
            _ => remaining.map_or(Time::NEVER, |remaining| now.after(remaining)),
        };
        if self.fleet.me.is_none() || until <= now || self.fleet.orders.rows.contains_key(&order.id) {
            return;
        }
        if !self.fleet.orders.room(&order.kind) || !self.may_be_given(&order.kind) {
            self.fleet.counters.orders += 1;
            return;
        }
        let born =
            Time::from_nanos(now.as_nanos().saturating_sub(age.as_nanos().try_into().unwrap_or(u64::MAX)));
        self.carry_out_order(now, order, born, until);
    }

    /// Whether the order is one that not even an operator gives by mistake, and there is room for it.
    fn may_be_given(&self, kind: &OrderKind) -> bool {
        match kind {
            OrderKind::Allow { target, .. } => target.prefix_len() > 0,
            OrderKind::Canary { target, .. } => {
                target.prefix_len() >= target.max_prefix_len() / 2 && self.fleet.canaries.room(target)
            }
            _ => true,
        }
    }

    fn carry_out_order(&mut self, now: Time, order: OperatorOrder, born: Time, until: Time) {
        let targets = if let OrderKind::Block { targets, .. } = &order.kind { targets.len() } else { 1 };
        let mut kept = order.clone();
        if let OrderKind::Block { targets, .. } = &mut kept.kind {
            targets.truncate(1);
            targets.shrink_to_fit();
        }
        self.fleet.orders.insert(Row { order: Box::new(kept), targets, born, until });
        let OperatorOrder { id, operator, issued, kind } = order;
        match kind {
            OrderKind::Block { targets, class, reason, force, .. } => {
                let said = Said { speaker: Speaker::Order(id), epoch: 0, force };
                let words = self.blocks.words_said(&said.into(), &operator, &reason);
                let first = BlockId((id ^ (id >> 64)) as u64);
                let held = ordered(first, words, class, born, until);
                targets.into_iter().zip(0..).for_each(|(target, n)| self.block_ordered(target, n, &held));
            }
            OrderKind::Allow { .. } if self.fleet.orders.is_disallowed(id) => self.end_allow(id),
            OrderKind::Allow { target, .. } => self.refresh_allowed(target),
            OrderKind::Disallow { id } => self.end_allow(id),
            OrderKind::Unblock { target, covers, hold, false_positive, .. } => {
                self.void_covered(now, target, false_positive);
                let until = born.after(hold.min(HOLD));
                if until > now && self.held_back.get(&target).is_none_or(|old| old < until) {
                    self.hold_back_until(now, target, until);
                }
                let blamed: BTreeSet<NodeId> = covers.into_iter().map(|(node, _)| node).collect();
                blamed
                    .into_iter()
                    .filter(|_| false_positive)
                    .for_each(|node| self.blame(now, node, issued, id));
            }
            OrderKind::Trust { node, believed } => {
                if self.fleet.trust.order(node, issued, id, believed) {
                    self.trust_changed(now, node);
                }
            }
            OrderKind::Revoke { node } => self.expel(now, node),
            OrderKind::Canary { target, watched } => {
                let canary = Canary { word: (issued, id), watched, born };
                if self.fleet.canaries.insert(target, canary) {
                    self.canary_changed(now, target);
                }
            }
        }
    }

    /// Ends the orders that are over.
    pub(super) fn orders_due(&mut self, now: Time) {
        while let Some(row) = self.fleet.orders.due(now).and_then(|id| self.fleet.orders.remove(id)) {
            match row.order.kind {
                OrderKind::Allow { target, .. } => self.refresh_allowed(target),
                OrderKind::Canary { target, .. } => {
                    self.fleet.canaries.remove(&target);
                    self.recall_canary(target);
                    self.canary_changed(now, target);
                }
                _ => {}
            }
        }
    }

    fn block_ordered(&mut self, target: IpNet, n: u64, held: &Held) {
        let Some(Speaker::Order(id)) = held.words.speaker() else { return };
        let covered =
            |kind: &OrderKind, _| matches!(kind, OrderKind::Unblock { orders, .. } if orders.contains(id));
        if self.fleet.orders.unblocked(&target, covered) {
            return;
        }
        if self.blocks.len() >= self.config.limits.blocks {
            self.fleet.counters.blocks += 1;
            return;
        }
        let mut held = Held { id: BlockId(held.id.0.wrapping_add(n)), ..held.clone() };
        held.withheld = self.judge(&target, &held);
        self.changing(target, |blocks| blocks.insert(target, held));
    }

    /// Whether an `unblock` covers what a member says of a target under a version: it names this version, or a later
    /// one of the same target.
    pub(super) fn covered(&self, target: &IpNet, node: &NodeId, version: Version) -> bool {
        let names = |same: bool, (of, upto): &(NodeId, Version)| {
            of == node && (version == *upto || (same && version < *upto))
        };
        self.fleet.orders.unblocked(target, |kind, same| {
            matches!(kind, OrderKind::Unblock { covers, .. } if covers.iter().any(|cover| names(same, cover)))
        })
    }

    fn void_covered(&mut self, now: Time, target: IpNet, false_positive: bool) {
        let targets: Vec<IpNet> = self.blocks.within(&target).copied().collect();
        for target in targets {
            let void = |held: &&Held| self.is_void(&target, held);
            let void: Vec<BlockId> =
                self.blocks.of(&target).iter().filter(void).map(|held| held.id).collect();
            if void.is_empty() {
                continue;
            }
            let ended = self.end(now, target, |blocks| blocks.remove_ids(&target, &void));
            let ours = ended.iter().filter(|held| false_positive && held.words.said.is_none());
            for held in ours {
                let features = self.history.get(held.id).map(|alert| alert.features);
                let Block { id, target, class, detector, .. } = held.to_block(target);
                self.learn(now, Lesson { id, at: now, target, class, detector, features });
            }
        }
    }

    fn is_void(&self, target: &IpNet, held: &Held) -> bool {
        match (held.version(), held.words.speaker()) {
            (Some((node, version)), _) => self.covered(target, &node, version),
            (None, Some(Speaker::Order(id))) => self.fleet.orders.unblocked(
                target,
                |kind, _| matches!(kind, OrderKind::Unblock { orders, .. } if orders.contains(id)),
            ),
            (None, _) => {
                let ours = held.automatic() && *held.words.origin == *self.config.node;
                let said = self.fleet.me.zip(self.fleet.own.get(target));
                ours && said.is_some_and(|(me, version)| self.covered(target, &me, *version))
            }
        }
    }

    fn end_allow(&mut self, id: u128) {
        let allow = self
            .fleet
            .orders
            .rows
            .get(&id)
            .is_some_and(|row| matches!(row.order.kind, OrderKind::Allow { .. }));
        if let Some(row) = allow.then(|| self.fleet.orders.remove(id)).flatten()
            && let OrderKind::Allow { target, .. } = row.order.kind
        {
            self.refresh_allowed(target);
        }
    }

    fn refresh_allowed(&mut self, target: IpNet) {
        let allowed = self.fleet.orders.allowed(&target);
        self.reshield(&[target], |shield| shield.order(target, allowed));
    }

    fn blame(&mut self, now: Time, node: NodeId, issued: Time, order: u128) {
        if self.fleet.trust.blame(node, issued, order) {
            self.trust_changed(now, node);
        }
    }

    pub(super) fn trust_changed(&mut self, now: Time, node: NodeId) {
        self.outbox.persist(now, Key::Trust(node));
        self.rejudge_origin(now, &node);
    }

    /// Forgets a member, and ends what it said. What operators signed and it only carried stands.
    fn expel(&mut self, now: Time, node: NodeId) {
        if self.fleet.me == Some(node) {
            return;
        }
        let of = |held: &Held| held.version().is_some_and(|(origin, _)| origin == node);
        let said =
            self.blocks.iter().flat_map(|(target, entries)| entries.iter().map(move |held| (*target, held)));
        let said: Vec<(IpNet, BlockId)> =
            said.filter(|(_, held)| of(held)).map(|(target, held)| (target, held.id)).collect();
        for (target, id) in said {
            self.end(now, target, |blocks| blocks.remove_ids(&target, &[id]));
        }
        self.fleet.origins.remove(&node);
        if self.fleet.trust.forget(&node) {
            self.outbox.persist(now, Key::Trust(node));
        }
    }

    /// A canary is declared, or is none any more.
    fn canary_changed(&mut self, now: Time, target: IpNet) {
        if self.fleet.canaries.overlapping(&target).is_some() {
            let ours: Vec<IpNet> = self.blocks.overlapping(&target).copied().collect();
            for target in ours {
                if self.blocks.get(&target, &self.config.node).is_some_and(Held::automatic) {
                    self.end_own(now, target);
                }
            }
        }
        self.rejudge_around(now, &target);
    }

    /// The last of the words on a canary that are not over.
    fn recall_canary(&mut self, target: IpNet) {
        let words: Vec<Canary> = self
            .fleet
            .orders
            .rows()
            .filter_map(|row| match row.order.kind {
                OrderKind::Canary { target: of, watched } if of == target => {
                    Some(Canary { word: (row.order.issued, row.order.id), watched, born: row.born })
                }
                _ => None,
            })
            .collect();
        for canary in words {
            self.fleet.canaries.insert(target, canary);
        }
    }
}

fn ordered(
    id: BlockId,
    words: alloc::sync::Arc<crate::blocklist::Words>,
    class: Class,
    since: Time,
    expires: Time,
) -> Held {
    Held {
        id,
        since,
        expires,
        words,
        confidence: 1.0,
        class,
        strength: Strength::Hard,
        detector: Detector::Operator,
        evidence: None,
        level: 1,
        // No order lifts what another node protects.
        forced: false,
        withheld: None::<Withheld>,
    }
}

/// The order with its targets in canonical form, and its lists and texts within bounds.
fn bounded(order: OperatorOrder) -> OperatorOrder {
    let OperatorOrder { id, operator, issued, mut kind } = order;
    match &mut kind {
        OrderKind::Block { targets, reason, .. } => {
            targets.truncate(ORDER_TARGETS);
            targets.iter_mut().for_each(|target| *target = prefix::canonical_net(*target));
            *reason = clip(core::mem::take(reason), TEXT);
        }
        OrderKind::Allow { target, comment, .. } => {
            *target = prefix::canonical_net(*target);
            *comment = clip(core::mem::take(comment), TEXT);
        }
        OrderKind::Unblock { target, covers, orders, .. } => {
            *target = prefix::canonical_net(*target);
            covers.truncate(COVERED);
            orders.truncate(COVERED);
        }
        OrderKind::Canary { target, .. } => *target = prefix::canonical_net(*target),
        OrderKind::Disallow { .. } | OrderKind::Trust { .. } | OrderKind::Revoke { .. } => {}
    }
    OperatorOrder { id, operator: clip(operator, TEXT), issued, kind }
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
