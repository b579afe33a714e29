//! The fleet's blocks as the API shows them, and which of them bouncers ban.

use std::{collections::BTreeSet, sync::Arc};

use smartfw_api::Block;
use smartfw_core::{IpNet, Strength, prefix};

use super::forms::instant;
use crate::view::FleetBlock;

/// Wider prefixes nobody blocks without insisting, and no bouncer of ours bans.
const WIDE_V4: u8 = 16;
const WIDE_V6: u8 = 32;

/// Each target once: who said it first, and who says the same. `never` is what bouncers do not ban.
pub(super) fn by_target(blocks: &[Arc<FleetBlock>], never: &[IpNet]) -> Vec<Arc<Block>> {
    let same = |a: &Arc<FleetBlock>, b: &Arc<FleetBlock>| a.target == b.target;
    blocks.chunk_by(same).filter_map(|said| one(said, never)).map(Arc::new).collect()
}

fn one(said: &[Arc<FleetBlock>], never: &[IpNet]) -> Option<Block> {
    let first = said.iter().min_by_key(|block| block.since)?;
    let nodes: BTreeSet<String> = said.iter().map(|block| block.name.to_string()).collect();
    let longest = if said.iter().any(|block| block.expires.is_none()) {
        None
    } else {
        said.iter().filter_map(|block| block.expires).max()
    };
    let hard = said.iter().any(|block| block.strength == Strength::Hard);
    let strength = if hard { Strength::Hard } else { Strength::Soft };
    Some(Block {
        target: first.target,
        class: first.class.to_string(),
        origin: first.origin.to_string(),
        confirmed_by: nodes.into_iter().filter(|name| **name != *first.origin).collect(),
        reason: first.reason.to_string(),
        since: instant(first.since),
        expires: longest.map(instant),
        strength: strength.to_string(),
        ban: hard && is_bannable(first.target, never),
    })
}

/// A block that a single node says must not make every bouncer drop what a node itself would never block.
fn is_bannable(target: IpNet, never: &[IpNet]) -> bool {
    let narrowest = if target.addr().is_ipv4() { WIDE_V4 } else { WIDE_V6 };
    target.prefix_len() >= narrowest && !never.iter().any(|net| prefix::overlap(net, &target))
}

#[cfg(test)]
mod tests {
    use smartfw_core::{Time, fleet::NodeId};

    use super::*;

    fn said(target: &str, strength: Strength) -> Arc<FleetBlock> {
        Arc::new(FleetBlock {
            node: NodeId([1; 32]),
            name: "web-1".into(),
            id: smartfw_core::BlockId(1),
            target: prefix::parse_target(target).unwrap(),
            class: smartfw_core::Class::PortScan,
            origin: "web-1".into(),
            confidence: 1.0,
            strength,
            since: Time::from_secs(1_700_000_000),
            expires: None,
            level: 1,
            reason: "why".into(),
        })
    }

    #[test]
    fn a_bouncer_bans_nothing_that_is_soft_wide_or_must_never_be_blocked() {
        let never = ["127.0.0.0/8", "10.0.0.7/32"].map(|text| text.parse().unwrap());
        let banned = |target: &str, strength| by_target(&[said(target, strength)], &never)[0].ban;
        assert!(banned("203.0.113.7", Strength::Hard) && banned("203.0.0.0/16", Strength::Hard));
        assert!(!banned("203.0.113.7", Strength::Soft));
        assert!(!banned("0.0.0.0/0", Strength::Hard) && !banned("2001:d00::/24", Strength::Hard));
        assert!(!banned("127.0.0.1", Strength::Hard) && !banned("10.0.0.0/24", Strength::Hard));
    }

    #[test]
    fn a_target_is_there_once_as_hard_and_as_long_as_anybody_says() {
        let all = [said("203.0.113.7", Strength::Soft), said("203.0.113.7", Strength::Hard)];
        let list = by_target(&all, &[]);
        assert_eq!((list.len(), list[0].strength.as_str(), list[0].ban), (1, "hard", true));
    }
}
