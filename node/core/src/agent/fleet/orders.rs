//! What operators order the whole fleet to do.

use alloc::{boxed::Box, collections::BTreeSet, vec::Vec};
use core::time::Duration;

use ipnet::IpNet;

use crate::{
    Block, BlockId, Class, Detector, Strength, Time, Withheld,
    blocklist::{Held, Said},
    fleet::{COVERED, NodeId, ORDER_TARGETS, OperatorOrder, OrderKind, Version},
    prefix,
    record::{Lesson, Speaker},
};

use super::{
    super::{Agent, TEXT, clip, effects::Key},
    book::Row,
    canaries::Canary,
};

/// No `unblock` holds detection back for longer.
const HOLD: Duration = Duration::from_secs(24 * 3600);

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
                self.fleet.canaries.insert(target, canary);
                self.canary_changed(now, target);
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
                ours && said.is_some_and(|(me, known)| self.covered(target, &me, known.version))
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

    /// A canary is declared, or is none any more. What counts for nothing on its account agrees with nobody, on whatever
    /// lies within it.
    fn canary_changed(&mut self, now: Time, canary: IpNet) {
        let targets: Vec<IpNet> = self.blocks.overlapping(&canary).copied().collect();
        let watched = self.fleet.canaries.overlapping(&canary).is_some();
        for target in targets {
            if watched && self.blocks.get(&target, &self.config.node).is_some_and(Held::automatic) {
                self.end_own(now, target);
            }
            self.rejudge(now, target);
        }
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
