//! What coordinators are told of the node as a whole: what a person would be told here.

use std::pin::Pin;

use smartfw_core::{Agent, Time};
use smartfw_proto::{convert::Statistics, view::NodeStatus};

use super::{service::Service, status};
use crate::{clock, uplink::Teller};

impl Teller for Service {
    fn status(&self) -> Pin<Box<dyn Future<Output = Option<NodeStatus>> + Send + '_>> {
        Box::pin(async { status::of(self).await.ok() })
    }

    fn statistics(&self) -> Pin<Box<dyn Future<Output = Option<Statistics>> + Send + '_>> {
        Box::pin(self.counted())
    }
}

impl Service {
    async fn counted(&self) -> Option<Statistics> {
        let drops = self.drops.clone();
        let dropped = tokio::task::spawn_blocking(move || drops.total()).await.ok()?;
        let blocks = self.ask(|agent: &Agent, _: Time| agent.block_count() as u64).await.ok()?;
        let (seen, counters) = (self.board.seen(), &self.counters);
        Some(Statistics {
            time: clock::now(),
            packets: seen.packets,
            bytes: seen.bytes,
            lost: counters.lost.get(),
            flows: seen.flows,
            sources: seen.sources,
            alerts: counters.alerts.iter().map(|(_, count)| count).sum(),
            blocks,
            dropped_packets: dropped.packets,
            dropped_bytes: dropped.bytes,
            waiting: 0,
        })
    }
}
