//! What operators signed, on its way to the fleet; and what they have to know before they sign.

use smartfw_core::{Agent, IpNet, fleet::SignedOrder, order::Refusal};
use tokio::task::JoinSet;
use tonic::Status;

use super::{audit::Caller, refusal};
use crate::fleet::{FleetHandle, asked};

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

/// Which targets no order should name here, and why. Forced, only what names everything.
pub(super) fn refused(agent: &Agent, targets: &[IpNet], force: bool) -> Vec<(IpNet, Refusal)> {
    targets.iter().filter_map(|target| Some((*target, asked::why_not(agent, target, force)?))).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use smartfw_core::{
        Time,
        config::PolicyConfig,
        fleet::{OperatorOrder, OrderKind},
        protect::Why,
    };

    use super::*;

    fn net(text: &str) -> IpNet {
        smartfw_core::prefix::parse_target(text).unwrap()
    }

    pub(in super::super) fn order(id: u128, issued: Time, kind: OrderKind) -> OperatorOrder {
        OperatorOrder { id, operator: "alice".into(), issued, lasts: None, site: None, kind }
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
        let agent = Agent::new(PolicyConfig::default(), 1, Time::from_secs(1_800_000_000));
        let asked = ["127.0.0.1", "0.0.0.0/0", "10.0.0.0/8", "2001:db8::/31", "203.0.113.7"].map(net);
        let found = refused(&agent, &asked, false);
        assert!(matches!(&found[0].1, Refusal::Protected { why: Why::Loopback, .. }), "{found:?}");
        assert_eq!(found[1].1, Refusal::Everything);
        assert_eq!(found[2].1, Refusal::TooWide { shortest: 16 });
        assert_eq!((found[3].1.clone(), found.len()), (Refusal::TooWide { shortest: 32 }, 4));
        assert_eq!(refused(&agent, &asked, true), [(asked[1], Refusal::Everything)]);
    }
}
