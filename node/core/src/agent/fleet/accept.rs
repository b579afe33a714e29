//! What of the fleet's word is enforced, and why not the rest.

use alloc::{collections::BTreeSet, vec::Vec};
use core::time::Duration;

use ipnet::IpNet;

use crate::{
    BlockId, Class, Detector, Evidence, Strength, Time, Withheld, blocklist::Held, fleet::NodeId,
    gossip::TOLERANCE, prefix, record::Speaker,
};

use super::{super::Agent, quota::MINUTE};

/// A block that lasts longer needs the quorum.
const LONG: Duration = Duration::from_secs(24 * 3600);
/// Origins that must prove the offence of a regular guest.
const REGULAR: usize = 2;

/// Addresses that mean another host at another site: RFC 1918, RFC 6598 (carriers' NAT), RFC 4193 (unique local).
pub fn is_private(target: &IpNet) -> bool {
    const PRIVATE: [&str; 5] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"];
    PRIVATE.iter().filter_map(|net| net.parse().ok()).any(|net| prefix::overlap(&net, target))
}

impl Agent {
    /// Judges what the fleet says of `target`, and of what lies within it, anew.
    pub(in super::super) fn rejudge(&mut self, now: Time, target: IpNet) {
        let targets: Vec<IpNet> = self.blocks.within(&target).copied().collect();
        targets.into_iter().for_each(|target| self.rejudge_exactly(now, target));
    }

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
        self.rejudge_where(now, |held| held.words.said.is_some());
    }

    /// Judges what a member says anew, and what others say of the same: they may have agreed with it.
    pub(super) fn rejudge_origin(&mut self, now: Time, node: &NodeId) {
        let says = |held: &Held| matches!(held.words.speaker(), Some(Speaker::Member { node: of, .. }) if of == node);
        self.rejudge_where(now, says);
    }

    fn rejudge_where(&mut self, now: Time, which: impl Fn(&Held) -> bool) {
        let targets = self.blocks.iter().filter(|(_, entries)| entries.iter().any(&which));
        let targets: Vec<IpNet> = targets.map(|(target, _)| *target).collect();
        targets.into_iter().for_each(|target| self.rejudge(now, target));
    }

    fn rejudge_exactly(&mut self, now: Time, target: IpNet) {
        let judged =
            |held: &Held| (held.id, held.withheld, self.judge(&target, held), member(held), held.since);
        let said = self.blocks.of(&target).iter().filter(|held| held.words.said.is_some());
        let judged: Vec<_> = said.map(judged).collect();
        for (id, before, judged, member, since) in judged {
            let after = match (judged, member) {
                (None, Some(node)) if before.is_some() && !self.charge(now, node, target, since) => {
                    Some(Withheld::Quota)
                }
                _ => judged,
            };
            self.withhold(target, id, before, after);
            // Whatever else is wrong with it: nobody honest says it.
            if let Some(node) = member {
                self.suspect(now, node, &target, since);
            }
        }
    }

    fn withhold(&mut self, target: IpNet, id: BlockId, before: Option<Withheld>, after: Option<Withheld>) {
        if before != after {
            self.changing(target, |blocks| blocks.withhold(&target, id, after));
        }
    }

    /// Why an entry is not enforced, but for the quota.
    pub(super) fn judge(&self, target: &IpNet, held: &Held) -> Option<Withheld> {
        let said = held.words.said.as_ref()?;
        match &said.speaker {
            Speaker::Order(_) if self.too_wide(target, said.force) => Some(Withheld::TooWide),
            Speaker::Order(_) => self.is_overruled(target, held).then_some(Withheld::Unblocked),
            Speaker::Member { node, site } => {
                self.unfit(target, held, node, *site).or_else(|| self.deferred(target, held))
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

    /// A member blocks a canary. It lies when it did so after the canary was declared: until then honest members may
    /// have been deceived by forged packets.
    fn suspect(&mut self, now: Time, node: NodeId, target: &IpNet, since: Time) {
        let declared = self.fleet.canaries.declared(target);
        let lies = declared.is_some_and(|born| since > born.after(TOLERANCE));
        if lies && self.fleet.trust.prove(node, since) {
            self.trust_changed(now, node);
        }
    }
}

fn member(held: &Held) -> Option<NodeId> {
    match held.words.speaker()? {
        Speaker::Member { node, .. } => Some(*node),
        Speaker::Order(_) => None,
    }
}

fn first(reasons: &[(bool, Withheld)]) -> Option<Withheld> {
    reasons.iter().find(|(applies, _)| *applies).map(|(_, why)| *why)
}
