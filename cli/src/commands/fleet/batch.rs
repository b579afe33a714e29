//! Many blocks for the whole cluster in few orders: a signature costs every member a check, so that one for each line
//! of an import would take minutes.

use std::{collections::BTreeMap, time::Duration};

use smartfw_core::{
    Class, IpNet,
    agent::is_private,
    fleet::{ORDER_TARGETS, OrderKind, SignedOrder, TEXT_BYTES},
    order::{BlockOrder, Refusal},
};
use smartfw_proto::limits;

use super::{Fleet, check, give};
use crate::{client::Daemon, failure::Failure};

/// Blocks that become orders together.
pub(in super::super) struct Batch<'a> {
    pub(in super::super) fleet: &'a Fleet,
    /// Why, where the blocks of an order do not agree.
    pub(in super::super) reason: &'a str,
}

impl Batch<'_> {
    /// Blocks targets in the whole cluster, but for those that this node refuses: they are returned.
    pub(in super::super) async fn send(
        &self,
        daemon: &mut Daemon,
        orders: Vec<BlockOrder>,
    ) -> Result<BTreeMap<IpNet, Refusal>, Failure> {
        let mut refused = BTreeMap::new();
        for some in orders.chunks(limits::CHUNK) {
            let targets = some.iter().map(|order| order.target).collect();
            refused.extend(check(daemon, targets, false).await?);
        }
        let good = orders.into_iter().filter(|order| !refused.contains_key(&order.target));
        let mut signed: Vec<SignedOrder> = Vec::new();
        for kind in grouped(good, self.reason) {
            let lasts = if let OrderKind::Block { duration, .. } = &kind { *duration } else { None };
            let site = if super::names_private(&kind) { Some(super::site(daemon).await?) } else { None };
            signed.push(self.fleet.operator.sign_for(site, kind, lasts)?.1);
        }
        give(daemon, signed).await?;
        Ok(refused)
    }
}

/// What the blocks of an order have in common: class, about how long they last, and whether they are for one site.
type Alike = (&'static str, Option<Duration>, bool);

/// Blocks of one class that end at about the same time, in orders of as many targets as fit.
fn grouped(orders: impl Iterator<Item = BlockOrder>, reason: &str) -> Vec<OrderKind> {
    let mut groups: BTreeMap<Alike, (Class, Vec<BlockOrder>)> = BTreeMap::new();
    for order in orders {
        let key = (order.class.as_str(), order.duration.map(rounded), is_private(&order.target));
        groups.entry(key).or_insert_with(|| (order.class, Vec::new())).1.push(order);
    }
    let mut kinds = Vec::new();
    for ((_, duration, _), (class, orders)) in groups {
        for piece in orders.chunks(ORDER_TARGETS) {
            let same = piece.iter().all(|order| order.reason == piece[0].reason);
            let reason = clipped(if same { &piece[0].reason } else { reason });
            let targets = piece.iter().map(|order| order.target).collect();
            kinds.push(OrderKind::Block { targets, duration, class, reason, force: false });
        }
    }
    kinds
}

/// Up to an eighth longer: what is left of exported blocks differs from one to the next.
fn rounded(duration: Duration) -> Duration {
    let seconds = duration.as_secs().max(1);
    let step = (1u64 << seconds.ilog2().saturating_sub(3)).max(1);
    Duration::from_secs(seconds.div_ceil(step).saturating_mul(step))
}

fn clipped(text: &str) -> String {
    let end = (0..=text.len().min(TEXT_BYTES)).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(n: u32, seconds: u64, reason: &str) -> BlockOrder {
        BlockOrder {
            target: IpNet::from(std::net::IpAddr::from(n.to_be_bytes())),
            duration: Some(Duration::from_secs(seconds)),
            reason: reason.into(),
            class: Class::Manual,
            force: false,
        }
    }

    #[test]
    fn a_thousand_lines_are_four_orders_and_not_a_thousand() {
        let kinds = grouped((0..1000).map(|n| order(n, 3600, "list")), "imported");
        let sizes: Vec<usize> = kinds
            .iter()
            .map(|kind| match kind {
                OrderKind::Block { targets, reason, .. } if reason == "list" => targets.len(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(sizes, [256, 256, 256, 232]);
    }

    #[test]
    fn an_export_with_a_reason_and_an_end_of_its_own_for_each_line_is_few_orders_too() {
        let kinds =
            grouped((0..1000).map(|n| order(n, 3600 + u64::from(n) * 60, &format!("{n} ports"))), "imported");
        assert!(kinds.len() < 40, "{}", kinds.len());
        assert!(
            kinds.iter().all(|kind| matches!(kind, OrderKind::Block { reason, .. } if reason == "imported"))
        );
    }

    #[test]
    fn an_end_moves_by_an_eighth_at_most_and_never_to_before() {
        for seconds in [1, 7, 60, 3600, 3601, 86_399, 31_536_000] {
            let longer = rounded(Duration::from_secs(seconds)).as_secs();
            assert!(longer >= seconds && longer - seconds <= seconds / 8, "{seconds}: {longer}");
        }
    }
}
