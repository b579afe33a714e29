//! What operators signed, on its way to the fleet; and what they have to know before they sign.

use std::time::Duration;

use smartfw_core::{
    Agent, IpNet, Time,
    fleet::{OUTLIVES, SignedOrder},
    order::Refusal,
};
use smartfw_proto::{limits, view::Covers};
use tokio::task::JoinSet;
use tonic::Status;

use super::{audit::Caller, refusal};
use crate::fleet::FleetHandle;

/// Gives orders to the fleet, all of them at once: each is on disk when this returns.
pub(super) async fn give(
    fleet: &FleetHandle,
    caller: Caller,
    orders: Vec<SignedOrder>,
) -> Result<(), Status> {
    let mut under_way = JoinSet::new();
    for order in orders {
        let (fleet, caller) = (fleet.clone(), caller.clone());
        under_way.spawn(async move {
            let given = fleet.order(order.clone()).await;
            caller.gave(&order, given.as_ref().err().map(ToString::to_string).as_deref());
            given
        });
    }
    let mut result = Ok(());
    while let Some(given) = under_way.join_next().await {
        let given = given.map_err(|_| Status::unavailable("the daemon is ending"))?;
        result = result.and(given.map_err(|why| refusal(&why)));
    }
    result
}

/// What an order to unblock `target` has to name. What only people on this node say is not the fleet's to end.
pub(super) fn covers(agent: &Agent, now: Time, target: IpNet) -> Covers {
    let (covers, orders) = agent.fleet_covers(&target);
    let mut found = Covers { covers, orders, lasts: Some(Duration::ZERO), ..Covers::default() };
    let within =
        agent.blocks_after(before(&target)).take_while(|listed| target.contains(&listed.block.target));
    let mut last = None;
    for block in within.map(|listed| listed.block).filter(|block| agent.fleet_speaks_of(&block.target)) {
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
    let shortest = agent.shortest_prefix(target);
    if target.prefix_len() < shortest {
        return Some(Refusal::TooWide { shortest });
    }
    let protected = agent.why_protected(target)?;
    Some(Refusal::Protected { net: protected.net, why: protected.why, detail: protected.detail })
}

#[cfg(test)]
pub(super) mod tests {
    use smartfw_core::config::PolicyConfig;
    use smartfw_core::order::{BlockOrder, Order};
    use smartfw_core::{
        Class,
        agent::Heard,
        fleet::{NodeId, OperatorOrder, OrderKind, VerifiedOrder},
        protect::Why,
    };

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

    fn ordered(agent: &mut Agent, id: u128, targets: &[&str]) {
        let targets = targets.iter().map(|target| net(target)).collect();
        let (duration, class) = (Some(Duration::from_secs(600)), Class::Manual);
        let kind = OrderKind::Block { targets, duration, class, reason: String::new(), force: false };
        let now = Time::from_secs(1_800_000_000);
        let (signer, issuer) = (NodeId([7; 32]), NodeId([8; 32]));
        let order = VerifiedOrder { order: order(id, now, kind), signer, issuer };
        agent.handle_fleet_order(now, order, Heard { carrier: signer, age: Duration::ZERO, stored: false });
    }

    pub(in super::super) fn order(id: u128, issued: Time, kind: OrderKind) -> OperatorOrder {
        OperatorOrder { id, operator: "alice".into(), issued, lasts: None, site: None, kind }
    }

    #[test]
    fn what_covers_a_target_is_what_lies_within_it_and_outlives_it_by_an_hour() {
        let now = Time::from_secs(1_800_000_000);
        let mut agent = agent(&[]);
        agent.join_fleet(now, NodeId([1; 32]), "web-1".into(), "default".into());
        let blocks = ["203.0.113.0/24", "203.0.113.0/32", "203.0.113.7", "203.0.114.0", "203.0.112.255"];
        ordered(&mut agent, 1, &blocks);
        let found = covers(&agent, now, net("203.0.113.0/24"));
        assert_eq!(found.targets, [net("203.0.113.0/24"), net("203.0.113.0/32"), net("203.0.113.7")]);
        assert_eq!((found.total, found.lasts), (3, Some(Duration::from_secs(4200))));
        assert_eq!(covers(&agent, now, net("203.0.113.0/32")).total, 1);
        assert_eq!(covers(&agent, now, net("198.51.100.1")).total, 0);
    }

    #[test]
    fn what_only_this_node_s_people_block_is_not_the_fleet_s_to_end() {
        let now = Time::from_secs(1_800_000_000);
        let mut agent = agent(&["203.0.113.7", "203.0.113.8"]);
        agent.join_fleet(now, NodeId([1; 32]), "web-1".into(), "default".into());
        assert_eq!(
            covers(&agent, now, net("203.0.113.0/24")),
            Covers { lasts: Some(Duration::ZERO), ..Covers::default() }
        );
        ordered(&mut agent, 7, &["203.0.113.8"]);
        let found = covers(&agent, now, net("203.0.113.0/24"));
        assert_eq!((found.total, found.targets, found.orders), (1, vec![net("203.0.113.8")], vec![7]));
    }

    #[test]
    fn how_wide_a_prefix_may_be_is_what_the_configuration_says() {
        let now = Time::from_secs(1_800_000_000);
        let config = PolicyConfig { shortest_prefix: (24, 48), ..PolicyConfig::default() };
        let agent = Agent::new(config, 1, now);
        let asked = ["203.0.112.0/23", "203.0.113.0/24", "2001:db8::/47"].map(net);
        let refused = refused(&agent, &asked, false);
        let shortest = |prefix| Refusal::TooWide { shortest: prefix };
        assert_eq!(refused, [(asked[0], shortest(24)), (asked[2], shortest(48))]);
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
