//! What is told of the node as a whole: how it is, what it counted, which blocks are its own.
//!
//! It is read beside the streams, once for all: a question that takes long holds up no event. Blocks are read piece by
//! piece, so that a long list holds up no verdict.

use std::{sync::Arc, time::Duration};

use smartfw_core::{Agent, Block, BlockState, IpNet, Time};
use smartfw_proto::{convert::Statistics, limits, view::NodeStatus};
use tokio::{
    sync::oneshot,
    time::{Instant, MissedTickBehavior, interval, sleep_until, timeout},
};

use super::Uplink;
use crate::{
    fleet::{self, Brain},
    inbox::{Inbox, Input},
};

/// How often coordinators are told how the node is, although nothing changed.
const STATUS: Duration = Duration::from_secs(60);
/// What changes the health often is told of so often: the status takes a question to the driver.
const CALM: Duration = Duration::from_secs(1);
/// How often they are told what was counted.
const STATISTICS: Duration = Duration::from_secs(1);
/// How long the node may take to say how it is.
const PATIENCE: Duration = Duration::from_secs(5);

/// Blocks that are looked at at once, of whatever origin, and the rest of the last target's: a message holds twice as many.
const LOOKED: usize = limits::CHUNK / 2;

/// What was read last.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    pub(super) status: Option<Arc<NodeStatus>>,
    pub(super) statistics: Option<Statistics>,
}

/// Reads it for all streams, as long as there are any.
pub(super) async fn watch(uplink: Uplink) {
    let mut statistics = interval(STATISTICS);
    statistics.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut unwell, mut status_at) = (uplink.0.unwell.subscribe(), Instant::now() + STATUS);
    loop {
        tokio::select! {
            _ = statistics.tick() => if uplink.connected() > 0 {
                let Some(teller) = uplink.0.teller.get() else { continue };
                let read = timeout(PATIENCE, teller.statistics()).await.ok().flatten();
                uplink.0.told.send_modify(|told| told.statistics = read.or(told.statistics));
            },
            () = sleep_until(status_at) => {
                status_at = Instant::now() + STATUS;
                if uplink.connected() > 0 && let Some(read) = status(&uplink).await {
                    uplink.0.told.send_modify(|told| told.status = Some(Arc::new(*read)));
                }
            }
            // Its sender lives as long as the node.
            _ = unwell.changed() => status_at = status_at.min(Instant::now() + CALM),
        }
    }
}

/// How the node is now; `None` while it cannot say.
pub(super) async fn status(uplink: &Uplink) -> Option<Box<NodeStatus>> {
    let teller = uplink.0.teller.get()?;
    timeout(PATIENCE, teller.status()).await.ok().flatten().map(Box::new)
}

/// Some of the blocks.
#[derive(Debug, Default)]
pub(super) struct Piece {
    pub(super) blocks: Vec<Block>,
    /// The target behind which the list goes on; `None`: this is its end.
    pub(super) behind: Option<IpNet>,
}

/// Blocks of which this node is the origin, and those of operators' orders that it carries, behind a target; `None` when
/// the driver has ended.
pub(super) async fn blocks(inbox: &Inbox, behind: Option<IpNet>) -> Option<Piece> {
    let (answer, receiver) = oneshot::channel();
    let ask = move |agent: &Agent, brain: Option<&Brain>, _: Time| {
        let carried = |block: &Block| brain.is_some_and(|brain| brain.carries(agent, block));
        drop(answer.send(piece(agent, carried, behind)));
    };
    inbox.send(Input::Fleet(fleet::Input::Ask(Box::new(ask))));
    receiver.await.ok()
}

fn piece(agent: &Agent, carried: impl Fn(&Block) -> bool, behind: Option<IpNet>) -> Piece {
    let (mut piece, mut looked, mut last) = (Piece::default(), 0, None);
    for listed in agent.blocks_after(behind) {
        let target = listed.block.target;
        if looked >= LOOKED && last != Some(target) {
            piece.behind = last;
            return piece;
        }
        looked += 1;
        last = Some(target);
        // One that another of the same target outdoes is in force as well, as long as that is.
        let holds = matches!(listed.state, BlockState::InForce | BlockState::Shadowed);
        if holds && (listed.block.origin.0 == agent.node() || carried(&listed.block)) {
            piece.blocks.push(listed.block);
        }
    }
    piece
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use smartfw_core::{
        Class,
        config::PolicyConfig,
        order::{BlockOrder, Order},
    };

    use super::*;

    #[test]
    fn every_block_is_in_one_piece_and_no_piece_is_longer_than_a_message() {
        let now = Time::from_secs(1_800_000_000);
        let mut agent = Agent::new(PolicyConfig { node: "web-1".into(), ..PolicyConfig::default() }, 1, now);
        for n in 0..2500_u32 {
            let target = smartfw_core::prefix::host(std::net::Ipv4Addr::from(0xc633_6400 + n).into());
            let (duration, class) = (Some(Duration::from_secs(600)), Class::Manual);
            let order = BlockOrder { target, duration, reason: String::new(), class, force: true };
            agent.handle_order(now, Order::Block(order)).unwrap();
        }
        let (mut behind, mut seen, mut pieces) = (None, Vec::new(), 0);
        loop {
            let piece = piece(&agent, |_| false, behind);
            assert!(piece.blocks.len() <= limits::CHUNK);
            seen.extend(piece.blocks.into_iter().map(|block| block.target));
            pieces += 1;
            behind = piece.behind;
            if behind.is_none() {
                break;
            }
        }
        let all: Vec<IpNet> = agent.blocks().map(|listed| listed.block.target).collect();
        assert_eq!((pieces, seen), (5, all));
    }
}
