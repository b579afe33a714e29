//! What of the fleet's word is enforced, and why not the rest.

use alloc::{collections::BTreeSet, vec::Vec};
use core::{
    net::{Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::{
    BlockId, Class, Detector, Evidence, Strength, Time, Withheld,
    blocklist::{Held, Which},
    fleet::{NodeId, OrderKind},
    gossip::TOLERANCE,
    prefix,
    record::Speaker,
};

use super::{super::Agent, quota::MINUTE};

/// A block that lasts longer needs the quorum.
const LONG: Duration = Duration::from_secs(24 * 3600);
/// Origins that must prove the offence of a regular guest.
const REGULAR: usize = 2;

/// Addresses that mean another host at another site: RFC 1918, RFC 6598 (carriers' NAT), RFC 4193 (unique local).
const PRIVATE: [IpNet; 5] = [
    private(Ipv4Addr::new(10, 0, 0, 0), 8),
    private(Ipv4Addr::new(172, 16, 0, 0), 12),
    private(Ipv4Addr::new(192, 168, 0, 0), 16),
    private(Ipv4Addr::new(100, 64, 0, 0), 10),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7)),
];

const fn private(address: Ipv4Addr, length: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(address, length))
}

/// Whether a target has addresses that mean another host at another site.
pub fn is_private(target: &IpNet) -> bool {
    PRIVATE.iter().any(|net| prefix::overlap(net, target))
}

/// Whether it has no others.
pub fn is_all_private(target: &IpNet) -> bool {
    PRIVATE.iter().any(|net| net.contains(target))
}

/// Whether an order names hosts that are others at other sites: then it has to be for one site alone.
pub fn names_private(kind: &OrderKind) -> bool {
    match kind {
        OrderKind::Block { targets, .. } => targets.iter().any(is_private),
        OrderKind::Allow { target, .. }
        | OrderKind::Unblock { target, .. }
        | OrderKind::Canary { target, .. } => is_all_private(target),
        _ => false,
    }
}

impl Agent {
    /// Judges what the fleet says of targets that share an address with `net` anew.
    pub(in super::super) fn rejudge_around(&mut self, now: Time, net: &IpNet) {
        if self.fleet.me.is_none() {
            return;
        }
        let targets: Vec<IpNet> = self.blocks.overlapping(net).copied().collect();
        targets.into_iter().for_each(|target| self.rejudge_exactly(now, target));
    }

    /// Judges everything that the fleet says anew.
    pub(in super::super) fn rejudge_all(&mut self, now: Time) {
        if self.fleet.me.is_none() {
            return;
        }
        let _all = self.rejudge_where(now, |held| held.words.said.is_some());
    }

    /// Judges what a member says anew, and what others say of the same: they may have agreed with it.
    pub(super) fn rejudge_origin(&mut self, now: Time, node: &NodeId) {
        let says = |held: &Held| held.words.speaker().and_then(Speaker::charged) == Some(*node);
        let said = self.rejudge_where(now, says);
        said.into_iter().for_each(|target| self.doubt(target));
    }

    /// Judges what other clusters say anew, also where this node is in no fleet.
    pub(super) fn rejudge_abroad(&mut self, now: Time) {
        let abroad = |held: &Held| matches!(held.words.speaker(), Some(Speaker::Foreign { .. }));
        let _all = self.rejudge_where(now, abroad);
    }

    fn rejudge_where(&mut self, now: Time, which: impl Fn(&Held) -> bool) -> Vec<IpNet> {
        let targets = self.blocks.iter().filter(|(_, entries)| entries.iter().any(&which));
        let targets: Vec<IpNet> = targets.map(|(target, _)| *target).collect();
        targets.iter().for_each(|target| self.rejudge_exactly(now, *target));
        targets
    }

    /// Who agrees upon `target` has changed: what is said of it, and of what lies within it, is judged anew before the
    /// next effect is given, once however many have changed by then. Only where agreement makes a difference.
    pub(in super::super) fn doubt(&mut self, target: IpNet) {
        if self.config.fleet.quorum > 1 || self.fleet.regulars.overlapping(&target).next().is_some() {
            self.fleet.doubtful.insert(target);
        }
    }

    /// Whether a word counts when others are asked whether they agree.
    pub(in super::super) fn counts(&self, target: &IpNet, held: &Held) -> bool {
        let Some(Speaker::Member { node, site }) = held.words.speaker() else { return false };
        self.unfit(target, held, node, *site).is_none()
    }

    /// Does what is done once for however many words of the fleet.
    pub(in super::super) fn settle_fleet(&mut self, now: Time) {
        self.void_named(now);
        while !self.fleet.doubtful.is_empty() {
            self.settle_doubts(now);
        }
    }

    /// Judges what is in doubt anew.
    fn settle_doubts(&mut self, now: Time) {
        let mut around: Option<IpNet> = None;
        for net in core::mem::take(&mut self.fleet.doubtful) {
            if around.is_some_and(|around| around.contains(&net)) {
                continue;
            }
            around = Some(net);
            let targets = self.resting_on(&net);
            targets.into_iter().for_each(|target| self.rejudge_exactly(now, target));
        }
    }

    /// The targets within `net` of which it matters who agrees upon `net`: with a quorum all, else regular guests.
    fn resting_on(&self, net: &IpNet) -> BTreeSet<IpNet> {
        if self.config.fleet.quorum > 1 {
            return self.blocks.within(net).copied().collect();
        }
        let regulars = self.fleet.regulars.overlapping(net).map(|(regular, ())| regular);
        let around = regulars.flat_map(|regular| self.blocks.overlapping(regular));
        around.filter(|target| net.contains(*target)).copied().collect()
    }

    /// Judges what the fleet says of exactly `target` anew.
    pub(in super::super) fn rejudge_exactly(&mut self, now: Time, target: IpNet) {
        self.rejudge_entries(now, target, |_| true);
    }

    /// Judges the entries of `target` that `which` picks anew.
    pub(super) fn rejudge_entries(&mut self, now: Time, target: IpNet, which: impl Fn(&Held) -> bool) {
        let judged = |held: &Held| (held.which(), held.withheld, self.judge(&target, held), held.since);
        let said = self.blocks.of(&target).iter().filter(|held| held.words.said.is_some() && which(held));
        let judged: Vec<_> = said.map(judged).collect();
        for (which, before, judged, since) in judged {
            let charged = which.1.as_ref().and_then(Speaker::charged);
            let after = match (judged, charged) {
                (None, Some(node)) if before.is_some() && !self.charge(now, node, target, since) => {
                    Some(Withheld::Quota)
                }
                _ => judged,
            };
            self.withhold(target, which, before, after);
            // Whatever else is wrong with it: nobody honest says it.
            if let Some(node) = charged {
                self.suspect(now, node, &target, (which.0, since));
            }
        }
    }

    fn withhold(&mut self, target: IpNet, which: Which, before: Option<Withheld>, after: Option<Withheld>) {
        if before != after {
            self.changing(target, |blocks| blocks.withhold(&target, which, after));
        }
    }

    /// Why an entry is not enforced, but for the quota.
    pub(super) fn judge(&self, target: &IpNet, held: &Held) -> Option<Withheld> {
        let said = held.words.said.as_ref()?;
        match &said.speaker {
            Speaker::Order(_) if self.too_wide(target, said.force) => Some(Withheld::TooWide),
            Speaker::Order(id) if self.is_of_another_site(target, *id) => Some(Withheld::Private),
            Speaker::Order(_) => self.is_overruled(target, held).then_some(Withheld::Unblocked),
            Speaker::Member { node, site } => {
                self.unfit(target, held, node, *site).or_else(|| self.deferred(target, held))
            }
            Speaker::Foreign { cluster, .. } => {
                self.unfit_abroad(target, held, cluster).or_else(|| self.deferred(target, held))
            }
        }
    }

    /// Why a member's word counts for nothing.
    fn unfit(&self, target: &IpNet, held: &Held, node: &NodeId, site: bool) -> Option<Withheld> {
        let reasons = [
            (self.too_wide(target, false), Withheld::TooWide),
            (held.detector == Detector::Operator, Withheld::NotAnOperator),
            (!site && is_private(target), Withheld::Private),
            (held.class == Class::Botnet, Withheld::Outbound),
            (held.detector == Detector::Isolation, Withheld::Isolation),
            (held.evidence.is_none(), Withheld::NoEvidence),
            (self.fleet.canaries.overlapping(target).is_some(), Withheld::Canary),
            (!self.fleet.trust.believes(node, self.config.fleet.trust), Withheld::Distrusted),
        ];
        first(&reasons)
    }

    /// Why another cluster's word counts for nothing. Its operators speak for it alone, and so does its detection.
    fn unfit_abroad(&self, target: &IpNet, held: &Held, cluster: &NodeId) -> Option<Withheld> {
        let proven = held.detector == Detector::Operator || held.evidence.is_some();
        let reasons = [
            (self.too_wide(target, false), Withheld::TooWide),
            (is_private(target), Withheld::Private),
            (held.class == Class::Botnet, Withheld::Outbound),
            (held.detector == Detector::Isolation, Withheld::Isolation),
            (!proven, Withheld::NoEvidence),
            (self.fleet.canaries.overlapping(target).is_some(), Withheld::Canary),
            (!self.fleet.trust.believes(cluster, self.config.fleet.trust), Withheld::Distrusted),
        ];
        first(&reasons)
    }

    /// Why a member's word, good as it is, is not followed now.
    fn deferred(&self, target: &IpNet, held: &Held) -> Option<Withheld> {
        let reasons = [
            (self.is_overruled(target, held), Withheld::Unblocked),
            (self.held_back.until(target).is_some_and(|until| until > self.seen), Withheld::HeldBack),
            (self.proxies.overlapping(target).next().is_some(), Withheld::Proxy),
            (self.vetoed(target), Withheld::Regular),
            (self.short_of_quorum(target, held), Withheld::Quorum),
        ];
        first(&reasons)
    }

    fn too_wide(&self, target: &IpNet, force: bool) -> bool {
        let (v4, v6) = self.config.shortest_prefix;
        let shortest = if matches!(target, IpNet::V4(_)) { v4 } else { v6 };
        target.prefix_len() == 0 || (target.prefix_len() < shortest && !force)
    }

    /// Whether the target holds a regular guest, and fewer than two origins prove its offence. What anybody could have
    /// sent proves nothing against one.
    fn vetoed(&self, target: &IpNet) -> bool {
        let proves = |held: &Held| held.evidence == Some(Evidence::Handshake);
        self.fleet.regulars.overlapping(target).next().is_some()
            && self.agreeing(target, REGULAR, proves) < REGULAR
    }

    fn short_of_quorum(&self, target: &IpNet, held: &Held) -> bool {
        let quorum = usize::from(self.config.fleet.quorum);
        let wide = target.prefix_len() < target.max_prefix_len();
        let long = held.expires.since(held.since) > LONG;
        quorum > 1
            && (wide || long || held.strength == Strength::Soft)
            && self.agreeing(target, quorum, |_| true) < quorum
    }

    /// How many origins whose word counts say so of all of `target`; counted up to `enough`.
    fn agreeing(&self, target: &IpNet, enough: usize, which: impl Fn(&Held) -> bool) -> usize {
        let mut origins: BTreeSet<NodeId> = BTreeSet::new();
        for net in self.blocks.covering(target) {
            for held in self.blocks.of(net).iter().filter(|held| which(held)) {
                let Some(Speaker::Member { node, site }) = held.words.speaker() else { continue };
                if !origins.contains(node) && self.unfit(net, held, node, *site).is_none() {
                    origins.insert(*node);
                }
                if origins.len() >= enough {
                    return enough;
                }
            }
        }
        origins.len()
    }

    /// Takes from an origin's quota; what finds no room waits.
    fn charge(&mut self, now: Time, node: NodeId, target: IpNet, since: Time) -> bool {
        let source = self.fleet.origins.entry(node).or_default();
        let taken = source.quota.take(now, now.since(since) >= MINUTE, &self.config.fleet);
        if !taken {
            source.waiting.insert(target);
            self.fleet.retry_at = self.fleet.retry_at.min(source.quota.again().max(now));
        }
        taken
    }

    /// Those who waited for their quota come again.
    pub(super) fn retry(&mut self, now: Time) {
        if self.fleet.retry_at > now {
            return;
        }
        self.fleet.retry_at = Time::NEVER;
        let most =
            self.config.fleet.blocks_per_minute.saturating_add(self.config.fleet.backlog_per_hour) as usize;
        let mut due = Vec::new();
        let mut rest = false;
        for source in self.fleet.origins.values_mut() {
            let first: Vec<IpNet> = source.waiting.iter().take(most).copied().collect();
            source.waiting.retain(|target| first.binary_search(target).is_err());
            rest |= !source.waiting.is_empty();
            due.extend(first);
        }
        due.into_iter().for_each(|target| self.rejudge_exactly(now, target));
        if rest {
            self.fleet.retry_at = self.fleet.retry_at.min(now.after(MINUTE));
        }
    }

    /// A member blocks a canary, and did so well after the canary was declared: until then honest members may have been
    /// deceived by forged packets. It lies where it knew of the canary; one that was away, or has just joined, did not, and
    /// no other cluster does.
    fn suspect(&mut self, now: Time, node: NodeId, target: &IpNet, (id, since): (BlockId, Time)) {
        let Some((declared, order)) = self.fleet.canaries.declared(target) else { return };
        if since <= declared.after(TOLERANCE) {
            return;
        }
        let there = self.fleet.members.get(&node).and_then(|label| label.there_since);
        let told = there.map(|there| there.after(TOLERANCE));
        let knew = [told, self.fleet.orders.carried(order, &node)].into_iter().flatten().any(|at| since > at);
        self.weigh_trust(now, node, |trust| {
            if knew { trust.prove(node, since) } else { trust.blame(node, since, id.0.into()) }
        });
    }
}

fn first(reasons: &[(bool, Withheld)]) -> Option<Withheld> {
    reasons.iter().find(|(applies, _)| *applies).map(|(_, why)| *why)
}
