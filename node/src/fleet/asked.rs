//! What operators have to know before they sign: asked by people on this host, and by coordinators.

use std::time::Duration;

use smartfw_core::{Agent, IpNet, Time, fleet::OUTLIVES, order::Refusal};
use smartfw_proto::{
    convert::{Allowance, Question, Reply},
    limits,
    view::{Covers, FleetBlockRow},
};
use tokio::sync::oneshot;

use super::{Brain, FleetBlockView, Input as Asked};
use crate::inbox::{Inbox, Input};

/// Blocks that one question of a coordinator looks at: some milliseconds, in which no packet's verdict is handled. Who asks
/// about more is told that there is more.
const LOOKED_AT: usize = limits::COVERS;

/// What is said to a coordinator's question; `None` when the driver has ended.
pub(crate) async fn reply(inbox: &Inbox, question: Question) -> Option<Reply> {
    ask(inbox, move |agent, brain, now| match question {
        Question::Covers(target) => Reply::Covers(covers(agent, now, target, LOOKED_AT)),
        Question::Check(target, force) => {
            Reply::Check(why_not(agent, &target, force).map(|why| (target, why)))
        }
        Question::Block(target) => {
            Reply::Block(brain.and_then(|brain| block(agent, brain, &target)).map(row))
        }
    })
    .await
}

/// What people allow here, and on whose word; `None` when the driver has ended.
pub(crate) async fn allowances(inbox: &Inbox) -> Option<Vec<Allowance>> {
    ask(inbox, |agent, _, _| {
        let here = agent.allowed_here();
        let here = here.map(|allowed| Allowance { allowed: allowed.clone(), order: None, site: None });
        let ordered = agent.fleet_allowed().map(|(id, site, allowed)| Allowance {
            allowed,
            order: Some(id),
            site: site.map(ToOwned::to_owned),
        });
        here.chain(ordered).collect()
    })
    .await
}

async fn ask<T: Send + 'static>(
    inbox: &Inbox,
    question: impl FnOnce(&Agent, Option<&Brain>, Time) -> T + Send + 'static,
) -> Option<T> {
    let (answer, receiver) = oneshot::channel();
    let ask = move |agent: &Agent, brain: Option<&Brain>, now| drop(answer.send(question(agent, brain, now)));
    inbox.send(Input::Fleet(Asked::Ask(Box::new(ask))));
    receiver.await.ok()
}

/// What an order to unblock `target` has to name, of so many blocks within it at most. What only people on this node say
/// is not the fleet's to end.
pub(crate) fn covers(agent: &Agent, now: Time, target: IpNet, looked_at: usize) -> Covers {
    let (covers, orders, more) = agent.fleet_covers(&target, (looked_at, limits::COVERS));
    let mut found = Covers { covers, orders, lasts: Some(Duration::ZERO), more, ..Covers::default() };
    let within =
        agent.blocks_after(before(&target)).take_while(|listed| target.contains(&listed.block.target));
    let mut last = None;
    for (number, block) in within.map(|listed| listed.block).enumerate() {
        // Of one target there may be several.
        if number >= looked_at {
            found.more = true;
            break;
        }
        if !agent.fleet_speaks_of(&block.target) {
            continue;
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

/// The fleet's block of exactly this target.
fn block(agent: &Agent, brain: &Brain, target: &IpNet) -> Option<FleetBlockView> {
    let next = brain.blocks_seen(agent, before(target), 1).blocks.into_iter().next();
    next.filter(|view| view.target == *target)
}

/// Why no order should name a target here. Forced, only what names everything.
pub(crate) fn why_not(agent: &Agent, target: &IpNet, force: bool) -> Option<Refusal> {
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

/// A block as it travels.
pub(crate) fn row(view: FleetBlockView) -> FleetBlockRow {
    let took = |millis: f64| Duration::from_secs_f64(millis.clamp(0.0, 3.6e9) / 1e3);
    FleetBlockRow {
        target: view.target,
        class: view.class,
        origin: view.origin,
        confirmed_by: view.confirmed_by,
        enforced_on: view.enforced_on,
        since: view.since,
        expires: view.expires,
        propagation: view.propagation_ms.into_iter().map(|(node, millis)| (node, took(millis))).collect(),
        withheld: view.withheld,
        origin_id: view.origin_id,
    }
}

#[cfg(test)]
mod tests {
    use smartfw_core::{
        Class,
        agent::Heard,
        config::PolicyConfig,
        fleet::{NodeId, ORDER_TARGETS, OperatorOrder, OrderKind, VerifiedOrder},
        order::{BlockOrder, Order},
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
        let order =
            OperatorOrder { id, operator: "alice".into(), issued: now, lasts: None, site: None, kind };
        let order = VerifiedOrder { order, signer, issuer };
        agent.handle_fleet_order(now, order, Heard { carrier: signer, age: Duration::ZERO, stored: false });
    }

    #[test]
    fn what_covers_a_target_is_what_lies_within_it_and_outlives_it_by_an_hour() {
        let now = Time::from_secs(1_800_000_000);
        let mut agent = agent(&[]);
        agent.join_fleet(now, NodeId([1; 32]), "web-1".into(), "default".into());
        let blocks = ["203.0.113.0/24", "203.0.113.0/32", "203.0.113.7", "203.0.114.0", "203.0.112.255"];
        ordered(&mut agent, 1, &blocks);
        let found = covers(&agent, now, net("203.0.113.0/24"), 9);
        assert_eq!(found.targets, [net("203.0.113.0/24"), net("203.0.113.0/32"), net("203.0.113.7")]);
        assert_eq!((found.total, found.lasts), (3, Some(Duration::from_secs(4200))));
        assert_eq!(covers(&agent, now, net("203.0.113.0/32"), 9).total, 1);
        assert_eq!(covers(&agent, now, net("198.51.100.1"), 9).total, 0);
        let all = covers(&agent, now, net("203.0.112.0/22"), 5);
        let some = covers(&agent, now, net("203.0.112.0/22"), 4);
        assert_eq!(((all.total, all.more), (some.total, some.more)), ((5, false), (4, true)));
        ordered(&mut agent, 2, &["203.0.113.7"]);
        let twice = |looked_at| covers(&agent, now, net("203.0.113.7"), looked_at);
        assert_eq!((twice(2).orders, twice(2).more, twice(1).more), (vec![1, 2], false, true));
    }

    #[test]
    fn who_asks_about_too_much_hears_that_there_is_more() {
        let now = Time::from_secs(1_800_000_000);
        let mut agent = agent(&[]);
        agent.join_fleet(now, NodeId([1; 32]), "web-1".into(), "default".into());
        let address = |n: usize| std::net::Ipv4Addr::from(0xc633_6400 + n as u32).to_string();
        let all: Vec<String> = (0..=limits::COVERS).map(address).collect();
        for (id, some) in (0..).zip(all.chunks(ORDER_TARGETS)) {
            let some: Vec<&str> = some.iter().map(String::as_str).collect();
            ordered(&mut agent, id, &some);
        }
        let reply = |target| covers(&agent, now, net(target), LOOKED_AT);
        assert!(reply("198.51.0.0/16").more && !reply("198.51.100.0/24").more);
        assert!(!covers(&agent, now, net("198.51.0.0/16"), usize::MAX).more, "people here hear of all");
    }

    #[test]
    fn what_only_this_node_s_people_block_is_not_the_fleet_s_to_end() {
        let now = Time::from_secs(1_800_000_000);
        let mut agent = agent(&["203.0.113.7", "203.0.113.8"]);
        agent.join_fleet(now, NodeId([1; 32]), "web-1".into(), "default".into());
        assert_eq!(
            covers(&agent, now, net("203.0.113.0/24"), 9),
            Covers { lasts: Some(Duration::ZERO), ..Covers::default() }
        );
        ordered(&mut agent, 7, &["203.0.113.8"]);
        let found = covers(&agent, now, net("203.0.113.0/24"), 9);
        assert_eq!((found.total, found.targets, found.orders), (1, vec![net("203.0.113.8")], vec![7]));
    }
}
