//! What operators signed, on its way to the fleet; and what they have to know before they sign.

use std::time::Duration;

use smartfw_core::{Agent, IpNet, Time, fleet::SignedOrder, order::Refusal};
use smartfw_proto::{limits, view::Covers};
use tokio::task::JoinSet;
use tonic::Status;

use super::refusal;
use crate::fleet::FleetHandle;

/// What voids something outlives it by an hour.
const OUTLIVES: Duration = Duration::from_secs(3600);

/// Gives orders to the fleet, all of them at once: each is on disk when this returns.
pub(super) async fn give(fleet: &FleetHandle, orders: Vec<SignedOrder>) -> Result<(), Status> {
    let mut under_way = JoinSet::new();
    for order in orders {
        let fleet = fleet.clone();
        under_way.spawn(async move { fleet.order(order).await });
    }
    let mut result = Ok(());
    while let Some(given) = under_way.join_next().await {
        let given = given.map_err(|_| Status::unavailable("the daemon is ending"))?;
        result = result.and(given.map_err(|why| refusal(&why)));
    }
    result
}

/// What an order to unblock `target` has to name.
pub(super) fn covers(agent: &Agent, now: Time, target: IpNet) -> Covers {
    let (covers, orders) = agent.fleet_covers(&target);
    let mut found = Covers { covers, orders, lasts: Some(Duration::ZERO), ..Covers::default() };
    let mut last = None;
    for listed in agent.blocks_after(before(&target)) {
        let block = listed.block;
        if !target.contains(&block.target) {
            break;
        }
        let left = block.expires.map(|expires| expires.since(now).saturating_add(OUTLIVES));
        found.lasts = found.lasts.zip(left).map(|(longest, left)| longest.max(left));
        if last != Some(block.target) {
            last = Some(block.target);
            found.total += 1;
            if found.targets.len() < limits::ENDED {
                found.targets.push(block.target);
            }
        }
    }
    found
}

/// Behind which targets those within `target` begin: prefixes are in order of address, then of length.
fn before(target: &IpNet) -> Option<IpNet> {
    let shorter = target.prefix_len().checked_sub(1)?;
    IpNet::new(target.network(), shorter).ok()
}

/// Which targets no order should name here, and why. Forced, only what names everything.
pub(super) fn refused(agent: &Agent, targets: &[IpNet], force: bool) -> Vec<(IpNet, Refusal)> {
    targets.iter().filter_map(|target| Some((*target, why(agent, target, force)?))).collect()
}

fn why(agent: &Agent, target: &IpNet, force: bool) -> Option<Refusal> {
    if target.prefix_len() == 0 {
        return Some(Refusal::Everything);
    }
    if force {
        return None;
    }
    let shortest = if target.addr().is_ipv4() { WIDEST_V4 } else { WIDEST_V6 };
    if target.prefix_len() < shortest {
        return Some(Refusal::TooWide { shortest });
    }
    let protected = agent.why_protected(target)?;
    Some(Refusal::Protected { net: protected.net, why: protected.why, detail: protected.detail })
}

/// Wider prefixes are blocked only where somebody insists.
const WIDEST_V4: u8 = 16;
const WIDEST_V6: u8 = 32;

#[cfg(test)]
mod tests {
    use smartfw_core::config::PolicyConfig;
    use smartfw_core::order::{BlockOrder, Order};
    use smartfw_core::{Class, protect::Why};

    use super::*;

    fn net(text: &str) -> IpNet {
        smartfw_core::prefix::parse_target(text).unwrap()
    }

    fn agent(blocks: &[&str]) -> Agent {
        let now = Time::from_secs(1_800_000_000);
        let mut agent = Agent::new(PolicyConfig::default(), 1, now);
        for target in blocks {
            let order = BlockOrder {
                target: net(target),
                duration: Some(Duration::from_secs(600)),
                reason: String::new(),
                class: Class::Manual,
                force: true,
            };
            agent.handle_order(now, Order::Block(order)).unwrap();
        }
        agent
    }

    #[test]
    fn what_covers_a_target_is_what_lies_within_it_and_outlives_it_by_an_hour() {
        let blocks = ["203.0.113.0/24", "203.0.113.0/32", "203.0.113.7", "203.0.114.0", "203.0.112.255"];
        let agent = agent(&blocks);
        let now = Time::from_secs(1_800_000_000);
        let found = covers(&agent, now, net("203.0.113.0/24"));
        assert_eq!(found.targets, [net("203.0.113.0/24"), net("203.0.113.0/32"), net("203.0.113.7")]);
        assert_eq!((found.total, found.lasts), (3, Some(Duration::from_secs(4200))));
        assert_eq!(covers(&agent, now, net("203.0.113.0/32")).total, 1);
        assert_eq!(covers(&agent, now, net("198.51.100.1")).total, 0);
    }

    #[test]
    fn what_would_lock_out_or_is_too_wide_is_told_before_it_is_signed() {
        let agent = agent(&[]);
        let asked = ["127.0.0.1", "0.0.0.0/0", "10.0.0.0/8", "2001:db8::/31", "203.0.113.7"].map(net);
        let found = refused(&agent, &asked, false);
        assert!(matches!(&found[0].1, Refusal::Protected { why: Why::Loopback, .. }), "{found:?}");
        assert_eq!(found[1].1, Refusal::Everything);
        assert_eq!(found[2].1, Refusal::TooWide { shortest: 16 });
        assert_eq!((found[3].1.clone(), found.len()), (Refusal::TooWide { shortest: 32 }, 4));
        assert_eq!(refused(&agent, &asked, true), [(asked[1], Refusal::Everything)]);
    }
}
