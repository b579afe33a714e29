//! What operators order the whole fleet to do.

use alloc::{boxed::Box, collections::BTreeSet, vec::Vec};
use core::time::Duration;

use ipnet::IpNet;

use crate::{
    Block, BlockId, Class, Detector, Strength, Time, Withheld,
    blocklist::{Held, Said, Which},
    fleet::{COVERED, NodeId, ORDER_TARGETS, OperatorOrder, OrderKind, VerifiedOrder, Version},
    prefix,
    record::{Lesson, Speaker},
};

use super::{
    super::{Agent, TEXT, clip, effects::Key},
    accept::{is_all_private, is_private},
    book::Row,
    canaries::Canary,
};

/// No `unblock` holds detection back for longer.
const HOLD: Duration = Duration::from_secs(24 * 3600);
/// Orders without room that are carried out once there is: 4 MB at the most.
const REFUSED: usize = 256;
/// Of these nothing else takes: what ends what another order began must not wait behind what does not fit.
const ENDINGS: usize = 64;

/// How an order came here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// In whose log.
    pub carrier: NodeId,
    /// How long ago it was signed, by the cluster's time: `Gossip::age_of`.
    pub age: Duration,
    /// Whether this node's own store gave it back: then it has been obeyed here before.
    pub stored: bool,
}

impl Agent {
    /// Takes an operator's order, verified. How long it holds is what the operator signed. An order that is known already,
    /// whoever carries it, changes nothing; nor does one that is for another site.
    pub fn handle_fleet_order(&mut self, now: Time, order: VerifiedOrder, heard: Heard) {
        self.handle_timeout(now);
        let VerifiedOrder { order, signer, issuer } = order;
        let order = bounded(order);
        if self.fleet.me.is_none() || self.is_foreign(&order) {
            return;
        }
        if self.fleet.orders.rows.contains_key(&order.id) {
            return self.fleet.orders.carry(now, order.id, heard.carrier);
        }
        let left = order.lasts().map(|lasts| lasts.saturating_sub(heard.age));
        let until = left.map_or(Time::NEVER, |left| now.after(left));
        if until <= now {
            self.counters.orders_over += 1;
            return;
        }
        let age = heard.age.as_nanos().try_into().unwrap_or(u64::MAX);
        let born = Time::from_nanos(now.as_nanos().saturating_sub(age));
        let id = order.id;
        if !may_be_given(&order.kind) {
            self.counters.orders_refused += 1;
            return;
        }
        if !self.fits(&order.kind) {
            return self.keep_refused(VerifiedOrder { order, signer, issuer }, heard, (born, until));
        }
        self.carry_out_order(now, order, (signer, issuer), Span { born, until, stored: heard.stored });
        self.fleet.orders.carry(now, id, heard.carrier);
    }

    /// Whether an order is among those that hold here.
    pub fn obeys(&self, order: u128) -> bool {
        self.fleet.orders.rows.contains_key(&order)
    }

    /// Whether an order is none of this site's business. A block is listed all the same.
    fn is_foreign(&self, order: &OperatorOrder) -> bool {
        let ours = order.site.as_ref().is_some_and(|site| *site == self.fleet.site);
        match &order.kind {
            OrderKind::Block { .. } => false,
            OrderKind::Allow { target, .. }
            | OrderKind::Unblock { target, .. }
            | OrderKind::Canary { target, .. } => !ours && (order.site.is_some() || is_all_private(target)),
            _ => !ours && order.site.is_some(),
        }
    }

    /// Whether an operator's block of a target is for another site: a private address is another host there.
    pub(super) fn is_of_another_site(&self, target: &IpNet, order: u128) -> bool {
        let site = self.fleet.orders.rows.get(&order).and_then(|row| row.order.site.as_ref());
        let ours = site.is_some_and(|site| *site == self.fleet.site);
        !ours && (site.is_some() || is_private(target))
    }

    /// Keeps an order for when there is room.
    fn keep_refused(&mut self, order: VerifiedOrder, heard: Heard, (born, until): (Time, Time)) {
        let (id, kind) = (order.order.id, &order.order.kind);
        let ends = matches!(kind, OrderKind::Resume | OrderKind::Unblock { .. } | OrderKind::Disallow { .. });
        if self.fleet.refused.len() < if ends { REFUSED } else { REFUSED - ENDINGS } {
            self.fleet.refused.insert(id, Box::new((order, heard, born)), until);
        } else {
            self.counters.orders_refused += 1;
        }
    }

    /// Those for which there was no room come again.
    pub(super) fn take_refused(&mut self, now: Time) {
        let mut again = Vec::new();
        while let Some((_, refused)) = self.fleet.refused.pop_first() {
            again.push(refused);
        }
        for refused in again {
            let (order, heard, born) = *refused;
            self.handle_fleet_order(now, order, Heard { age: now.since(born), ..heard });
        }
    }

    fn fits(&self, kind: &OrderKind) -> bool {
        let canary = if let OrderKind::Canary { target, .. } = kind { Some(target) } else { None };
        self.fleet.orders.room(kind) && canary.is_none_or(|target| self.fleet.canaries.room(target))
    }

    fn carry_out_order(
        &mut self,
        now: Time,
        order: OperatorOrder,
        signers: (NodeId, NodeId),
        Span { born, until, stored }: Span,
    ) {
        let targets = if let OrderKind::Block { targets, .. } = &order.kind { targets.len() } else { 1 };
        let mut kept = order.clone();
        if let OrderKind::Block { targets, .. } = &mut kept.kind {
            targets.truncate(1);
            targets.shrink_to_fit();
        }
        self.fleet.orders.insert(Row { order: Box::new(kept), signers, targets, born, until });
        let OperatorOrder { id, operator, issued, kind, .. } = order;
        match kind {
            OrderKind::Block { targets, class, reason, force, .. } => {
                let said = Said { speaker: Speaker::Order(id), epoch: 0, force };
                let words = self.blocks.words_said(&said.into(), &operator, &reason);
                let first = BlockId((id ^ (id >> 64)) as u64);
                let held = ordered(first, words, class, born, until);
                targets.into_iter().zip(0..).for_each(|(target, n)| self.block_ordered(target, n, &held));
            }
            OrderKind::Allow { target, .. } => {
                self.refresh_allowed(target);
                self.acquit(target);
            }
            OrderKind::Disallow { id } => self.refresh_allow(id),
            OrderKind::Unblock { target, covers, hold, false_positive, .. } => {
                *self.fleet.unblocked.entry(target).or_default() |= false_positive;
                let until = born.after(hold.min(HOLD));
                if until > now && self.held_back.get(&target).is_none_or(|old| old < until) {
                    self.hold_back_until(now, target, until);
                }
                let blamed = if false_positive { self.blamed(&target, covers) } else { BTreeSet::new() };
                for node in blamed {
                    self.weigh_trust(now, node, |trust| trust.blame(node, issued, id));
                }
            }
            OrderKind::Trust { node, believed } => {
                self.weigh_trust(now, node, |trust| trust.order(node, issued, id, believed));
            }
            OrderKind::Revoke { node } => self.expel(now, node),
            OrderKind::Panic { .. } if !stored => self.panic_ordered(now, (issued, id), until),
            OrderKind::Resume if !stored => self.resume_ordered(now, (issued, id)),
            OrderKind::Panic { .. } | OrderKind::Resume => {}
            OrderKind::Canary { target, watched } => {
                let canary = Canary { word: (issued, id), watched, born };
                self.fleet.canaries.insert(target, canary);
                self.canary_changed(now, target);
            }
        }
    }

    /// Whose trust falls for what an `unblock` names.
    fn blamed(&self, target: &IpNet, covers: Vec<(NodeId, Version)>) -> BTreeSet<NodeId> {
        let abroad = self.clusters_of(target);
        let member = |node: &NodeId| self.fleet.members.contains_key(node);
        let charged = |node| *abroad.get(&node).filter(|_| !member(&node)).unwrap_or(&node);
        covers.into_iter().map(|(node, _)| charged(node)).collect()
    }

    /// Ends the orders that are over.
    pub(super) fn orders_due(&mut self, now: Time) {
        let mut room = false;
        while let Some(row) = self.fleet.orders.due(now).and_then(|id| self.fleet.orders.remove(id)) {
            self.order_ended(now, &row);
            room = true;
        }
        while self.fleet.refused.pop_due(now).is_some() {}
        if room {
            self.take_refused(now);
        }
    }

    /// What an order allowed or declared stands no longer, but for what others say of the same.
    pub(super) fn order_ended(&mut self, now: Time, row: &Row) {
        match row.order.kind {
            OrderKind::Allow { target, .. } => self.refresh_allowed(target),
            OrderKind::Disallow { id } => self.refresh_allow(id),
            OrderKind::Canary { target, .. } => {
                self.fleet.canaries.remove(&target);
                self.recall_canary(target);
                self.canary_changed(now, target);
            }
            _ => {}
        }
    }

    fn block_ordered(&mut self, target: IpNet, n: u64, held: &Held) {
        let Some(speaker @ Speaker::Order(id)) = held.words.speaker() else { return };
        if self.fleet.orders.ended(&target, *id) {
            return;
        }
        if self.blocks.len() >= self.config.limits.blocks {
            return self.no_room(target, *speaker, held.expires);
        }
        let mut held = Held { id: BlockId(held.id.0.wrapping_add(n)), ..held.clone() };
        held.withheld = self.judge(&target, &held);
        self.changing(target, |blocks| blocks.insert(target, held));
    }

    /// Whether an `unblock` covers what a member says of a target under a version: it names this version, or a later
    /// one of the same target.
    pub(super) fn covered(&self, target: &IpNet, node: &NodeId, version: Version) -> bool {
        self.fleet.orders.covered(target, node, version)
    }

    /// Ends what orders to unblock name, in one pass however many orders it took to name it all.
    pub(super) fn void_named(&mut self, now: Time) {
        for (target, false_positive) in core::mem::take(&mut self.fleet.unblocked) {
            self.void_covered(now, target, false_positive);
        }
    }

    fn void_covered(&mut self, now: Time, target: IpNet, false_positive: bool) {
        let targets: Vec<IpNet> = self.blocks.within(&target).copied().collect();
        for target in targets {
            let void = |held: &&Held| self.is_void(&target, held);
            let void: Vec<Which> = self.blocks.of(&target).iter().filter(void).map(Held::which).collect();
            if void.is_empty() {
                continue;
            }
            let void = |held: &Held| void.contains(&held.which());
            let ended = self.end(now, target, |blocks| blocks.remove_where(&target, void));
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
            (None, Some(Speaker::Order(id))) => self.fleet.orders.ended(target, *id),
            (None, _) => {
                let ours = held.automatic() && *held.words.origin == *self.config.node;
                let said = self.fleet.me.zip(self.fleet.own.get(target));
                ours && said.is_some_and(|(me, known)| self.covered(target, &me, known.version))
            }
        }
    }

    fn refresh_allow(&mut self, id: u128) {
        let row = self.fleet.orders.rows.get(&id);
        if let Some(OrderKind::Allow { target, .. }) = row.map(|row| &row.order.kind) {
            self.refresh_allowed(*target);
        }
    }

    pub(super) fn refresh_allowed(&mut self, target: IpNet) {
        let allowed = self.fleet.orders.allowed(&target);
        self.reshield(&[target], |shield| shield.order(target, allowed));
    }

    /// Changes how far a member is believed; what it says is judged anew where that makes a difference.
    pub(super) fn weigh_trust(
        &mut self,
        now: Time,
        node: NodeId,
        change: impl FnOnce(&mut super::trust::Ledger) -> bool,
    ) {
        let limit = self.config.fleet.trust;
        let before = self.fleet.trust.believes(&node, limit);
        if !change(&mut self.fleet.trust) {
            return;
        }
        self.outbox.persist(now, Key::Trust(node));
        if self.fleet.trust.believes(&node, limit) != before {
            self.rejudge_origin(now, &node);
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
            self.rejudge_exactly(now, target);
            self.doubt(target);
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

/// When an order was signed and until when it holds, by this node's clock.
struct Span {
    born: Time,
    until: Time,
    /// Whether it was obeyed before.
    stored: bool,
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

/// Whether not even an operator gives the order by mistake.
fn may_be_given(kind: &OrderKind) -> bool {
    match kind {
        OrderKind::Allow { target, .. } => target.prefix_len() > 0,
        OrderKind::Canary { target, .. } => target.prefix_len() >= target.max_prefix_len() / 2,
        _ => true,
    }
}

/// The order with its targets in canonical form, and its lists and texts within bounds.
fn bounded(order: OperatorOrder) -> OperatorOrder {
    let OperatorOrder { id, operator, issued, lasts, site, mut kind } = order;
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
        OrderKind::Panic { .. } | OrderKind::Resume => {}
    }
    OperatorOrder { id, operator: clip(operator, TEXT), issued, lasts, site, kind }
}
