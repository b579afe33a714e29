//! What logs, membership and sums want done.

use std::{collections::BTreeMap, sync::atomic::Ordering::Relaxed, time::Duration};

use smartfw_core::{
    Agent, Time,
    agent::{FleetMember, Heard},
    fleet::{
        Entry, LogId, NodeId, OrderKind, OrderVerifier as _, SignedOrder, Unverified, VerifiedOrder, Version,
    },
    gossip::{self, Now},
    members::{Member, MemberState, MembersEffect, Path},
    sums::{SumsEffect, SumsMessage},
};
use smartfw_identity::Role;
use smartfw_proto::{convert::Told, limits};

use super::{
    super::{links::Target, rows},
    Brain,
};

/// Those who are gone and looked for: in a small fleet all; in a large one those whose keys follow ours, others by others.
const LOOKED_FOR: usize = 16;

/// What a round brought.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Done {
    pub(super) any: bool,
    /// Whether the agent was told something.
    pub(super) told: bool,
}

impl Brain {
    /// Carries out everything that is wanted now.
    pub(super) fn effects(&mut self, agent: &mut Agent, now: Now) -> Done {
        let mut done = Done::default();
        while let Some(effect) = self.gossip.poll_effect() {
            done.any = true;
            done.told |= self.of_logs(agent, now, effect);
        }
        while let Some(effect) = self.members.poll_effect() {
            done.any = true;
            self.of_members(effect);
        }
        while let Some(effect) = self.sums.poll_effect() {
            done.any = true;
            match effect {
                SumsEffect::Send(to, message) => self.send_sums(to, message),
                SumsEffect::Decide(verdict) => {
                    self.counters.verdicts.of(verdict.class).add(1);
                    agent.handle_verdict(now.wall, verdict);
                    done.told = true;
                }
            }
        }
        self.remember_life();
        self.epoch.store(self.gossip.next_version().epoch, Relaxed);
        done
    }

    /// Whether the agent was told.
    fn of_logs(&mut self, agent: &mut Agent, now: Now, effect: gossip::Effect) -> bool {
        use gossip::Effect;
        match effect {
            Effect::Apply { log, version, entry, remaining } => {
                self.apply(agent, now, &log, version, entry, remaining);
                return true;
            }
            Effect::Void { log, target, upto, why } => {
                agent.handle_fleet_void(now.wall, &log, target, upto, why);
                return true;
            }
            Effect::Persist(ticket, kept) => {
                self.ticket = ticket;
                self.mirror(ticket, &kept);
                self.rows.push(rows::of_kept(&kept, self.boot.stamp(now)));
            }
            Effect::Send(to, message) => self.links.send(to, Told::Gossip(message)),
            Effect::Neighbours(neighbours) => {
                self.neighbours = neighbours.into_iter().collect();
                self.aim();
            }
            Effect::Enforced { member, origin, site, span } => self.heard(now, member, (origin, site), span),
            Effect::Report(report) => self.report(now, &report),
        }
        false
    }

    fn apply(
        &mut self,
        agent: &mut Agent,
        now: Now,
        log: &LogId,
        version: Version,
        entry: Entry,
        remaining: Option<Duration>,
    ) {
        let site = log.site.is_some();
        if log.origin != self.me {
            self.counters.fleet.applied.add(1);
        }
        match entry {
            Entry::Block(block) => {
                if log.origin == self.me {
                    self.spread.said(site, version, block.target, now.steady);
                }
                self.kernel.applied((log.origin, site), version, vec![block.target]);
                agent.handle_fleet_block(now.wall, log, version, block, remaining);
            }
            Entry::Order(order) => {
                self.apply_order(agent, now, (log, version), &order, remaining);
            }
            Entry::Sessions { addresses, .. } if log.origin != self.me => {
                // For ever is for as long as may be.
                let remaining = remaining.unwrap_or(Duration::MAX);
                self.sessions.hear(now.steady, (log.origin, site), addresses, remaining);
            }
            // The logs void what is withdrawn; what a later version says is kept and passed on.
            Entry::Coordinator { id, address, .. } => {
                let remaining = remaining.unwrap_or(Duration::MAX);
                self.coordinators.hear(now.steady, log.origin, (id, address), remaining);
            }
            Entry::Sessions { .. } | Entry::Withdraw { .. } | Entry::Unknown { .. } => {}
        }
    }

    fn apply_order(
        &mut self,
        agent: &mut Agent,
        now: Now,
        (log, version): (&LogId, Version),
        order: &SignedOrder,
        remaining: Option<Duration>,
    ) {
        let verified = match self.judge.verify_order(order) {
            Ok(verified) => verified,
            // Whether its operator was expelled since nobody knows now: what was enforced goes on.
            Err(Unverified::Unjudged(verified, _)) if self.starting => *verified,
            Err(why) => {
                tracing::warn!(%why, "an order that a member carries does not hold, and is not carried out");
                return self.counters.fleet.orders_refused.add(1);
            }
        };
        let VerifiedOrder { order: known, .. } = &verified;
        let age = self.gossip.age_of(now, known.issued, carried(order.lasts, known.lasts(), remaining));
        let heard = Heard { carrier: log.origin, age, stored: self.starting };
        let ours = log.origin == self.me;
        self.carried.apply(agent, known, ours);
        if ours {
            let until = remaining.map_or(Time::NEVER, |left| now.steady.after(left));
            self.said.say(now.steady, known.id, until);
            self.order_said(known.id);
        }
        match &known.kind {
            OrderKind::Block { targets, .. } => {
                let under = (log.origin, log.site.is_some());
                self.spread.carried(known.id, under, version, ours.then_some(now.steady));
                self.kernel.applied(under, version, targets.clone());
            }
            _ => self.kernel.doubt(),
        }
        let id = known.id;
        let expelled = if let OrderKind::Revoke { node } = known.kind { Some(node) } else { None };
        agent.handle_fleet_order(now.wall, verified, heard);
        // What is over, or for another site, expels nobody.
        if let Some(node) = expelled.filter(|_| agent.obeys(id)) {
            self.expel(agent, now, node);
        }
    }

    fn of_members(&mut self, effect: MembersEffect) {
        match effect {
            MembersEffect::Send(Path::Datagram(to), bytes) => {
                if self.udp.send_to(&bytes, to).is_err() {
                    self.counters.fleet.datagrams_unsent.add(1);
                }
            }
            MembersEffect::Send(Path::Stream(to), bytes) => {
                self.links.send_at(to, self.members.address(&to), Told::Datagram(bytes));
            }
            MembersEffect::Up(member) => self.tell("a member is there", &member),
            MembersEffect::Down(member) => {
                let what =
                    if member.state == MemberState::Left { "a member has left" } else { "a member is dead" };
                self.tell(what, &member);
                // Its stream would only wait for a network that is not there; a new one is opened when it is.
                self.links.cut(&member.id);
            }
            MembersEffect::Changed(member) => self.tell("a member has changed", &member),
            MembersEffect::Suspect(node) => tracing::debug!(%node, "a member does not answer"),
            MembersEffect::Remember(remembered) => self.rows.push(rows::of_peer(&remembered)),
            MembersEffect::Forget(node) => {
                self.rows.push(rows::without_peer(&node));
                self.members.keys().forget(&node);
                self.spread.forget(&node);
                self.changed = true;
            }
        }
    }

    fn tell(&mut self, what: &str, member: &Member) {
        let card = &member.card;
        tracing::info!(name = card.name, node = %member.id, address = %card.address, "{what}");
        self.changed = true;
    }

    /// In pieces that fit into a message.
    fn send_sums(&self, to: NodeId, message: SumsMessage) {
        let Ok(bytes) = postcard::to_allocvec(&message) else { return };
        if bytes.len() <= limits::DATAGRAM {
            return self.links.send(to, Told::Contribution(bytes));
        }
        if let SumsMessage::Weak(mut all) = message
            && all.len() > 1
        {
            let rest = all.split_off(all.len() / 2);
            self.send_sums(to, SumsMessage::Weak(all));
            self.send_sums(to, SumsMessage::Weak(rest));
        }
    }

    fn remember_life(&mut self) {
        let life = self.members.generation();
        if life > self.life {
            self.life = life;
            self.rows.push(rows::of_life(life));
        }
    }

    /// Members came, went or changed.
    pub(super) fn tell_members(&mut self, agent: &mut Agent, now: Now) {
        let known: Vec<Member> = self.members.members().collect();
        let addresses = known.iter().map(|member| (member.id, member.card.address)).collect();
        self.links.addresses(addresses);
        let there = |member: &&Member| matches!(member.state, MemberState::Alive | MemberState::Suspect);
        let mut alive = Vec::new();
        let mut detecting = Vec::new();
        for member in known.iter().filter(there) {
            let Some(certified) = self.members.keys().member(&member.id) else { continue };
            alive.push(gossip::Member { id: member.id, site: certified.name.site.to_string() });
            if matches!(certified.role, Role::Node | Role::Signer) {
                detecting.push(member.id);
            }
        }
        self.counters.fleet.alive.set(alive.len() as u64);
        self.gossip.handle_members(now, alive);
        self.sums.set_members(detecting.into_iter());
        let fleet = known.iter().filter(|member| member.state != MemberState::Left);
        let fleet: Vec<FleetMember> = fleet.map(|member| self.fleet_member(member)).collect();
        agent.handle_members(now.wall, fleet);
        self.aim();
    }

    /// As its certificate calls it; until that is known, as it calls itself.
    fn fleet_member(&mut self, member: &Member) -> FleetMember {
        let certified = self.members.keys().member(&member.id);
        let (name, site) = match certified {
            Some(certified) => (certified.name.name.to_string(), certified.name.site.to_string()),
            None => (member.card.name.clone(), member.card.site.clone()),
        };
        let there = matches!(member.state, MemberState::Alive | MemberState::Suspect);
        let there_since = there.then_some(member.since);
        FleetMember { id: member.id, name, site, address: member.card.address.ip(), there_since }
    }

    /// Whom to keep streams to, and whom to look for.
    fn aim(&mut self) {
        let address = |node: &NodeId| self.members.address(node);
        let kept = self.neighbours.iter().filter_map(|node| {
            let address = address(node)?;
            Some((*node, Target { address, keep: true }))
        });
        let mut targets: BTreeMap<NodeId, Target> = kept.collect();
        let gone = self.members.members().filter(|member| member.state == MemberState::Dead);
        let (behind, before): (Vec<_>, Vec<_>) = gone.partition(|member| member.id > self.me);
        for member in behind.into_iter().chain(before).take(LOOKED_FOR) {
            let target = Target { address: member.card.address, keep: false };
            targets.entry(member.id).or_insert(target);
        }
        self.links.targets.send_if_modified(|now| {
            let changed = *now != targets;
            *now = targets;
            changed
        });
    }
}

/// How old its carrier says that an order is: by what is left of what it says, and of what the operator signed, which is
/// more where the order was said again.
fn carried(said: Option<Duration>, signed: Option<Duration>, remaining: Option<Duration>) -> Duration {
    let Some(left) = remaining else { return Duration::ZERO };
    said.max(signed.filter(|_| said.is_some())).map_or(Duration::ZERO, |lasts| lasts.saturating_sub(left))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn an_order_said_again_for_what_was_left_of_it_is_not_young_again() {
        assert_eq!(carried(Some(2 * HOUR), Some(2 * HOUR), Some(HOUR)), HOUR);
        assert_eq!(carried(Some(HOUR), Some(24 * HOUR), Some(HOUR / 2)), 23 * HOUR + HOUR / 2);
        assert_eq!(
            carried(Some(5 * HOUR), Some(HOUR), Some(4 * HOUR)),
            HOUR,
            "who says too much gains nothing"
        );
        assert_eq!(carried(Some(HOUR), None, Some(HOUR / 2)), HOUR / 2);
        assert_eq!(carried(None, Some(HOUR), None), Duration::ZERO);
    }
}
