//! Orders that end others: they name what they end by versions and ids, which nodes know.
//!
//! A node may lie. So what an order names is what most of those say that were asked, or the node itself whose word it is;
//! and trust falls in none of whom only others say that it blocks something. Another cluster is followed by single nodes,
//! which most others need not be: what is signed there, each of them may name. It ends nothing of members. Of what one
//! node says alone no more is named than an honest one holds: what it invents would fill every node's memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use smartfw_api::Refusal;
use smartfw_core::{
    IpNet,
    agent::ABROAD,
    fleet::{COVERED, NodeId, OUTLIVES, OrderKind, Version},
};
use smartfw_proto::{
    convert::{Question, Reply},
    view::Covers,
};

use super::{
    Wanted,
    refusals::{ambiguous, nothing_to_end, too_much, unavailable},
};
use crate::{clock, fleet::Fleet, view::FleetAllowed};

/// For how long detection is held back from what a person unblocked, as `smartfw-cli unblock` has it.
const HOLD: Duration = Duration::from_secs(600);

/// For how long what one node says alone is remembered at most: no node holds such a word longer than its
/// own longest block may last, a week where its configuration does not say otherwise.
const ALONE_LASTS: Duration = Duration::from_secs(30 * 86_400);

/// What somebody said, by its version.
type Cover = (NodeId, Version);

/// The orders that end what the fleet says of a target, and of all within it.
pub(super) async fn unblocking(
    fleet: &Fleet,
    target: IpNet,
    site: Option<&str>,
    false_positive: bool,
) -> Result<Vec<Wanted>, Refusal> {
    let listed = fleet.blocks_within(&target);
    let by_own_word = listed.iter().filter(|block| block.origin.as_ref() == block.name.as_ref());
    let origins: BTreeSet<NodeId> = by_own_word.map(|block| block.node).collect();
    let said = fleet.ask(&Question::Covers(target), site, &origins).await;
    let said = said.into_iter().filter_map(|(node, reply)| match reply {
        Some(Reply::Covers(covers)) => Some((node, covers)),
        _ => None,
    });
    let said: BTreeMap<NodeId, Covers> = said.collect();
    if said.is_empty() {
        return Err(nobody_says());
    }
    let found = Found::of(&target, &said, |id| fleet.may_be_member(id));
    if found.more {
        return Err(too_much(&target));
    }
    if found.covers.is_empty() && found.orders.is_empty() && found.abroad.is_empty() {
        let nodes: BTreeSet<String> = listed.iter().map(|block| block.name.to_string()).collect();
        let nodes: Vec<String> = nodes.into_iter().collect();
        return Err(nothing_to_end("blocks it", &format!("unblock {target}"), &nodes));
    }
    Ok(found.orders_to(target, &origins, false_positive))
}

/// The orders that end every allowance of exactly this target.
pub(super) async fn disallowing(fleet: &Fleet, target: IpNet) -> Result<Vec<Wanted>, Refusal> {
    let fleet = fleet.clone();
    // As it is now: what an order before has allowed may be in no list that was made for others.
    let wanted = tokio::task::spawn_blocking(move || disallowing_of(fleet.allowed().0, &target)).await;
    wanted.map_err(|_| unavailable("the coordinator is ending".into(), "try again"))?
}

pub(super) fn disallowing_of(listed: Vec<FleetAllowed>, target: &IpNet) -> Result<Vec<Wanted>, Refusal> {
    let (allowed, others): (Vec<_>, Vec<_>) =
        listed.into_iter().partition(|known| known.allowed.target == *target);
    let ids: BTreeSet<u128> = allowed.iter().filter_map(|known| known.order).collect();
    let twice = allowed.iter().filter(|known| known.order.is_some()).count() > ids.len();
    if twice || others.iter().filter_map(|known| known.order).any(|id| ids.contains(&id)) {
        return Err(ambiguous(target));
    }
    let now = clock::now();
    let ending = |id, expires: Option<smartfw_core::Time>| {
        let lasts = expires.map(|at| at.since(now).saturating_add(OUTLIVES));
        (OrderKind::Disallow { id }, lasts)
    };
    let orders = allowed.iter().filter_map(|known| Some(ending(known.order?, known.allowed.expires)));
    let orders: Vec<Wanted> = orders.collect();
    if orders.is_empty() {
        let nodes = allowed.iter().flat_map(|known| &known.nodes).map(ToString::to_string);
        let nodes: Vec<String> = nodes.collect();
        return Err(nothing_to_end("allows exactly it", &format!("allow remove {target}"), &nodes));
    }
    Ok(orders)
}

/// What is to be named.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) covers: BTreeSet<Cover>,
    pub(super) orders: BTreeSet<u128>,
    /// How long the longest of it still lasts, as the middle one of those says that were asked, and as those do whose own
    /// word is named: the others may not have heard it yet.
    pub(super) lasts: Option<Duration>,
    /// What is said in other clusters, and how long the longest still lasts where it is followed.
    pub(super) abroad: BTreeSet<Cover>,
    pub(super) abroad_lasts: Duration,
    /// Whether there is more than can be named, as most of them say.
    pub(super) more: bool,
}

impl Found {
    pub(super) fn of(
        target: &IpNet,
        said: &BTreeMap<NodeId, Covers>,
        may_be_member: impl Fn(&NodeId) -> bool,
    ) -> Self {
        let most = |count: usize| count * 2 > said.len();
        let counts = counted(said.values().map(|known| &*known.covers));
        let by_most = counts.iter().filter(|(_, count)| most(**count)).map(|(cover, _)| *cover);
        let (mut covers, mut abroad): (BTreeSet<_>, BTreeSet<_>) =
            by_most.partition(|(node, _)| may_be_member(node));
        let (mut longest, mut abroad_lasts) = (OUTLIVES, Duration::ZERO);
        for (teller, known) in said {
            let (own, others): (BTreeSet<_>, BTreeSet<_>) =
                known.covers.iter().partition(|(node, _)| node == teller);
            let mut theirs = others.into_iter().filter(|(node, _)| !may_be_member(node)).peekable();
            if !own.is_empty() {
                longest = longest.max(alone(known.lasts));
            }
            if theirs.peek().is_some() {
                abroad_lasts = abroad_lasts.max(alone(known.lasts));
            }
            let few = |cover: &Cover| counts.get(cover).is_some_and(|count| !most(*count));
            covers.extend(own.into_iter().filter(few).take(within(target, 1)));
            abroad.extend(theirs.filter(few).take(within(target, ABROAD)));
        }
        let orders = counted(said.values().map(|known| &*known.orders)).into_iter();
        let lasts = middle(said).max(longest);
        Self {
            covers,
            orders: orders.filter(|(_, count)| most(*count)).map(|(id, _)| id).collect(),
            lasts: Some(lasts).filter(|lasts| *lasts < Duration::MAX),
            abroad,
            abroad_lasts,
            more: most(said.values().filter(|covers| covers.more).count()),
        }
    }

    /// As few orders as hold it; the blame is on those alone that say so themselves.
    pub(super) fn orders_to(
        self,
        target: IpNet,
        origins: &BTreeSet<NodeId>,
        false_positive: bool,
    ) -> Vec<Wanted> {
        let (blamed, others): (Vec<_>, Vec<_>) =
            self.covers.into_iter().partition(|(node, _)| false_positive && origins.contains(node));
        let orders: Vec<u128> = self.orders.into_iter().collect();
        let abroad: Vec<Cover> = self.abroad.into_iter().collect();
        let mut wanted = Vec::new();
        for (covers, orders, false_positive, lasts) in [
            (blamed, Vec::new(), true, self.lasts),
            (others, orders, false, self.lasts),
            (abroad, Vec::new(), false, Some(self.abroad_lasts)),
        ] {
            for (covers, orders) in pieces(&covers, &orders) {
                let kind = OrderKind::Unblock { target, covers, orders, hold: HOLD, false_positive };
                wanted.push((kind, lasts));
            }
        }
        wanted
    }
}

/// By how many each is said: whoever says something twice says it once.
fn counted<'a, T: Ord + Copy + 'a>(said: impl Iterator<Item = &'a [T]>) -> BTreeMap<T, usize> {
    let mut counts = BTreeMap::new();
    for one in said.flat_map(|of_one| of_one.iter().collect::<BTreeSet<_>>()) {
        *counts.entry(*one).or_default() += 1;
    }
    counts
}

/// How many words a node is believed alone, where it has so many of one target: every prefix within is one, a host no other.
fn within(target: &IpNet, of_one: usize) -> usize {
    let bits = u32::from(target.max_prefix_len() - target.prefix_len());
    let targets = 1_usize.checked_shl(bits + 1).map_or(usize::MAX, |above| above - 1);
    targets.saturating_mul(of_one).min(COVERED)
}

/// How long what they know lasts, as the middle one of them says: at the end of time, where that is for ever.
fn middle(said: &BTreeMap<NodeId, Covers>) -> Duration {
    let mut lasts: Vec<Duration> = said.values().map(|known| known.lasts.unwrap_or(Duration::MAX)).collect();
    lasts.sort_unstable();
    lasts.get(lasts.len() / 2).copied().unwrap_or(Duration::MAX)
}

/// How long what a node alone says lasts.
fn alone(lasts: Option<Duration>) -> Duration {
    lasts.unwrap_or(ALONE_LASTS).clamp(OUTLIVES, ALONE_LASTS)
}

fn pieces(covers: &[Cover], orders: &[u128]) -> Vec<(Vec<Cover>, Vec<u128>)> {
    let count = covers.len().max(orders.len()).div_ceil(COVERED);
    let (mut covers, mut orders) = (covers.chunks(COVERED), orders.chunks(COVERED));
    let mut next =
        || (covers.next().unwrap_or_default().to_vec(), orders.next().unwrap_or_default().to_vec());
    (0..count).map(|_| next()).collect()
}

fn nobody_says() -> Refusal {
    unavailable(
        "no node that reports says what such an order has to name".into(),
        "see at GET /api/v1/nodes whether nodes report, and try again in a moment",
    )
}
