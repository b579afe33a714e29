//! What people order.

use alloc::{string::String, vec::Vec};
use core::time::Duration;

use ipnet::IpNet;

use crate::{
    Action, Block, BlockId, Detector, Strength, Subject, Time,
    blocklist::Held,
    order::{Allowed, BlockOrder, Done, EnforcementState, Mode, Order, Refusal},
    prefix,
    protect::Protected,
    record::{Lesson, Pending, Sequence},
};

use super::{
    Agent, TEXT, clip,
    effects::{Followup, Key},
};

/// Refusals of an import that are listed one by one.
const LISTED: usize = 100;

impl Agent {
    /// Carries out a person's order. The person is told once [`Agent::handle_persisted`] has reached the number.
    ///
    /// # Errors
    /// Why nothing was changed.
    pub fn handle_order(&mut self, now: Time, order: Order) -> Result<(Done, Sequence), Refusal> {
        self.handle_timeout(now);
        let done = match order {
            Order::Block(order) => self.block(now, order),
            Order::Unblock { target, false_positive } => {
                self.unblock(now, prefix::canonical_net(target), false_positive)
            }
            Order::Allow { target, duration, comment } => {
                self.allow(now, prefix::canonical_net(target), duration, comment)
            }
            Order::Disallow { target } => self.disallow(now, prefix::canonical_net(target)),
            Order::Approve(Some(id)) => self.approve(now, id),
            Order::Approve(None) => Ok(self.approve_all(now)),
            Order::Reject(id) => self.reject(now, id),
            Order::Import(orders) => Ok(self.import(now, orders)),
            Order::Enforcement { state, confirm, resume } => Ok(self.switch(now, state, confirm, resume)),
            Order::Confirm => self.confirm(now),
            Order::Mode { mode, confirm } => Ok(self.set_mode(now, mode, confirm)),
        };
        done.map(|done| (done, self.outbox.last()))
    }

    fn block(&mut self, now: Time, order: BlockOrder) -> Result<Done, Refusal> {
        let target = prefix::canonical_net(order.target);
        self.refuse_order(&target, order.force, self.shield.overlapping(&target))?;
        let lifts = self.shield.observed_overlapping(&target).is_some();
        let full = order.duration.map_or(Time::NEVER, |duration| now.after(duration));
        let block = self.insert_order(now, target, order, lifts)?.to_block(target);
        let reverts = self.unconfirmed.contains_key(&target).then(|| now.after(self.config.forced).min(full));
        Ok(Done::Blocked { block, reverts })
    }

    fn import(&mut self, now: Time, orders: Vec<BlockOrder>) -> Done {
        let (mut accepted, mut refused, mut refused_count) = (0, Vec::new(), 0);
        for order in orders {
            let target = prefix::canonical_net(order.target);
            // A list forces its widths, never its way to a protected address: nobody confirms its single lines.
            let checked = match self.shield.overlapping(&target) {
                Some(protected) => Err(as_refusal(protected)),
                None => self.refuse_order(&target, order.force, None),
            };
            match checked.and_then(|()| self.insert_order(now, target, order, false)) {
                Ok(_) => accepted += 1,
                Err(refusal) => {
                    refused_count += 1;
                    if refused.len() < LISTED {
                        refused.push((target, refusal));
                    }
                }
            }
        }
        Done::Imported { accepted, refused, refused_count }
    }

    /// Why an operator's block is refused.
    fn refuse_order(&self, target: &IpNet, force: bool, protected: Option<Protected>) -> Result<(), Refusal> {
        if target.prefix_len() == 0 {
            return Err(Refusal::Everything);
        }
        let shortest = self.shortest_prefix(target);
        if target.prefix_len() < shortest && !force {
            return Err(Refusal::TooWide { shortest });
        }
        match protected {
            // Not even force drops what is allowed altogether.
            Some(protected) if !force || self.shield.allowed_covering(target).is_some() => {
                Err(as_refusal(protected))
            }
            _ => Ok(()),
        }
    }

    fn insert_order(
        &mut self,
        now: Time,
        target: IpNet,
        order: BlockOrder,
        forced: bool,
    ) -> Result<Held, Refusal> {
        let old = self.blocks.get(&target, &self.config.node);
        if old.is_none() && self.blocks.len() >= self.config.limits.blocks {
            return Err(Refusal::Full { limit: self.config.limits.blocks });
        }
        // A person's block does not shorten detection's.
        let least = old.filter(|old| old.automatic()).map_or(Time::ZERO, |old| old.expires);
        let full = order.duration.map_or(Time::NEVER, |duration| now.after(duration)).max(least);
        let expires = if forced { full.min(now.after(self.config.forced)) } else { full };
        let words = self.blocks.words(&self.config.node, &clip(order.reason, TEXT));
        let id = self.chance.id();
        let held = Held {
            id,
            since: now,
            expires,
            words: words.clone(),
            confidence: 1.0,
            class: order.class,
            strength: Strength::Hard,
            detector: Detector::Operator,
            evidence: None,
            level: 1,
            forced,
            withheld: None,
        };
        self.unconfirmed.remove(&target);
        if forced {
            self.unconfirmed.insert(target, (now, full));
        }
        self.changing(target, |blocks| blocks.insert(target, held.clone()));
        self.outbox.persist(now, Key::Block(target, words));
        Ok(held)
    }

    fn unblock(&mut self, now: Time, target: IpNet, false_positive: bool) -> Result<Done, Refusal> {
        if let Some(wider) = self.blocks.covering(&target).find(|wider| **wider != target) {
            return Err(Refusal::Within { wider: *wider });
        }
        let waiting = self.dequeue_within(now, target);
        let mut ended = self.end_within(now, target);
        ended.extend(self.overrule(now, target));
        if ended.is_empty() && waiting.is_empty() {
            return Err(Refusal::NotFound);
        }
        if false_positive {
            waiting.into_iter().for_each(|pending| self.unlearn(now, pending));
        }
        for block in ended.iter().filter(|block| false_positive && block.detector != Detector::Operator) {
            let features = self.history.get(block.id).map(|alert| alert.features);
            let Block { id, target, class, detector, .. } = *block;
            self.learn(now, Lesson { id, at: now, target, class, detector, features });
        }
        self.hold_back(now, target);
        Ok(Done::Unblocked(ended))
    }

    fn allow(
        &mut self,
        now: Time,
        target: IpNet,
        duration: Option<Duration>,
        comment: String,
    ) -> Result<Done, Refusal> {
        if target.prefix_len() == 0 {
            return Err(Refusal::Everything);
        }
        let limit = self.config.limits.allowed;
        if self.shield.allowed(&target).is_none() && self.shield.allowed_len() >= limit {
            return Err(Refusal::Full { limit });
        }
        self.dequeue_within(now, target);
        let ended = self.end_within(now, target);
        let expires = duration.map(|duration| now.after(duration));
        let allowed = Allowed { target, since: now, expires, comment: clip(comment, TEXT) };
        self.reshield(&[target], |shield| shield.allow(allowed));
        self.outbox.persist(now, Key::Allowed(target));
        self.acquit(target);
        Ok(Done::Allowed(ended))
    }

    fn disallow(&mut self, now: Time, target: IpNet) -> Result<Done, Refusal> {
        if self.shield.allowed(&target).is_none() {
            // What the configuration file allows is taken back there.
            return Err(self.shield.configured(&target).map_or(Refusal::NotFound, as_refusal));
        }
        self.disallowed(now, target);
        Ok(Done::Disallowed)
    }

    /// Takes an operator's entry off the allow list.
    pub(super) fn disallowed(&mut self, now: Time, target: IpNet) {
        self.reshield(&[target], |shield| drop(shield.disallow(&target)));
        self.outbox.persist(now, Key::Allowed(target));
    }

    fn approve(&mut self, now: Time, id: BlockId) -> Result<Done, Refusal> {
        let target = self.waiting(id)?.target;
        match self.shield.overlapping(&target) {
            Some(protected) => Err(as_refusal(protected)),
            None if self.blocks.len() >= self.config.limits.blocks => {
                Err(Refusal::Full { limit: self.config.limits.blocks })
            }
            None => Ok(Done::Approved(self.approved(now, target).into_iter().collect())),
        }
    }

    /// Carries out what can be: what became protected meanwhile is dropped from the queue.
    fn approve_all(&mut self, now: Time) -> Done {
        let targets: Vec<IpNet> = self.pending.iter().map(|(target, _)| *target).collect();
        Done::Approved(targets.into_iter().filter_map(|target| self.approved(now, target)).collect())
    }

    fn approved(&mut self, now: Time, target: IpNet) -> Option<Block> {
        let pending = self.dequeue(now, &target)?;
        let full = self.blocks.len() >= self.config.limits.blocks;
        if full || self.shield.overlapping(&target).is_some() || self.held_hard(&target) {
            return None;
        }
        let block = self.carry_out(now, pending.id, target, pending.strength, &pending.verdict);
        if let Some(alert) = self.history.get(pending.id).cloned() {
            self.publish(now, crate::Alert { action: Action::Block, note: String::new(), ..alert });
        }
        Some(block)
    }

    fn reject(&mut self, now: Time, id: BlockId) -> Result<Done, Refusal> {
        let target = self.waiting(id)?.target;
        if let Some(pending) = self.dequeue(now, &target) {
            self.unlearn(now, pending);
            self.hold_back(now, target);
        }
        Ok(Done::Rejected)
    }

    /// A waiting decision was wrong: it is a lesson.
    fn unlearn(&mut self, now: Time, pending: Pending) {
        let Pending { id, target, verdict, .. } = pending;
        let (class, detector, features) = (verdict.class, verdict.detector, Some(verdict.features));
        self.learn(now, Lesson { id, at: now, target, class, detector, features });
    }

    /// The waiting decision of that id, or the one about the source of the alert of that id.
    fn waiting(&self, id: BlockId) -> Result<&Pending, Refusal> {
        let by_id = || self.pending.iter().map(|(_, pending)| pending).find(|pending| pending.id == id);
        let by_alert = || match self.history.get(id)?.subject {
            Subject::Source(address) => self.pending.get(&prefix::host(address)),
            Subject::Destination { .. } => None,
        };
        by_id().or_else(by_alert).ok_or(Refusal::NotFound)
    }

    fn dequeue(&mut self, now: Time, target: &IpNet) -> Option<Pending> {
        let pending = self.pending.remove(target)?;
        self.outbox.persist(now, Key::Pending(pending.id));
        Some(pending)
    }

    fn switch(
        &mut self,
        now: Time,
        state: EnforcementState,
        confirm: Option<Duration>,
        resume: Option<Duration>,
    ) -> Done {
        let reverts = self.switches.enforce(now, state, confirm, resume);
        self.outbox.enforcement.push_back(state);
        self.outbox.persist(now, Key::Enforcement);
        Done::Changed { reverts }
    }

    fn set_mode(&mut self, now: Time, mode: Mode, confirm: Option<Duration>) -> Done {
        let reverts = self.switches.decide(now, mode, confirm);
        self.outbox.persist(now, Key::Mode);
        Done::Changed { reverts }
    }

    /// Keeps what would roll back: enforcement, mode, and the forced block that was ordered last.
    fn confirm(&mut self, now: Time) -> Result<Done, Refusal> {
        let (enforcement, mode) = self.switches.confirm();
        let forced = self.unconfirmed.iter().max_by_key(|(_, (at, _))| *at).map(|(target, _)| *target);
        if enforcement {
            self.outbox.persist(now, Key::Enforcement);
        }
        if mode {
            self.outbox.persist(now, Key::Mode);
        }
        match forced {
            Some(target) => self.keep_forced(now, target),
            None if !enforcement && !mode => return Err(Refusal::NothingToConfirm),
            None => {}
        }
        Ok(Done::Confirmed)
    }

    fn keep_forced(&mut self, now: Time, target: IpNet) {
        let node = self.config.node.clone();
        let Some((_, full)) = self.unconfirmed.remove(&target) else { return };
        self.changing(target, |blocks| blocks.extend(&target, &node, full));
        let words = self.blocks.get(&target, &node).map(|held| held.words.clone());
        words.into_iter().for_each(|words| self.outbox.persist(now, Key::Block(target, words)));
    }

    /// Drops every waiting decision within `target`, and gives them.
    fn dequeue_within(&mut self, now: Time, target: IpNet) -> Vec<Pending> {
        let waiting: Vec<IpNet> =
            self.pending.iter().map(|(net, _)| *net).filter(|net| target.contains(net)).collect();
        waiting.iter().filter_map(|net| self.dequeue(now, net)).collect()
    }

    /// Ends every block within `target` that this node decided upon.
    fn end_within(&mut self, now: Time, target: IpNet) -> Vec<Block> {
        let targets: Vec<IpNet> = self.blocks.within(&target).copied().collect();
        let mut ended = Vec::new();
        for target in targets {
            let gone = self.end(now, target, |blocks| blocks.remove_local(&target));
            ended.extend(gone.iter().map(|held| held.to_block(target)));
        }
        ended
    }

    pub(super) fn learn(&mut self, now: Time, lesson: Lesson) {
        let (id, target) = (lesson.id, lesson.target);
        if self.offenders.pardon(&target) {
            self.outbox.persist(now, Key::Offender(target));
        }
        let gone = self.lessons.push(lesson);
        for id in gone.into_iter().chain([id]) {
            self.outbox.persist(now, Key::Lesson(id));
        }
    }

    fn hold_back(&mut self, now: Time, target: IpNet) {
        self.hold_back_until(now, target, now.after(self.config.holdback));
    }

    pub(super) fn hold_back_until(&mut self, now: Time, target: IpNet, until: Time) {
        self.acquit(target);
        // As many as the allow list: both are made by hand.
        let gone = self.held_back.insert(target, until, self.config.limits.allowed);
        for target in gone.into_iter().chain([target]) {
            self.outbox.persist(now, Key::HeldBack(target));
            self.rejudge_around(now, &target);
        }
    }

    /// Whom a person unblocked, allowed or spared, detection holds guilty no longer.
    pub(super) fn acquit(&mut self, target: IpNet) {
        self.outbox.followups.push_back(Followup::Acquit(target));
    }
}

fn as_refusal(protected: Protected) -> Refusal {
    let Protected { net, why, detail } = protected;
    Refusal::Protected { net, why, detail }
}
