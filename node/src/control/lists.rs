//! Long lists, in chunks. The block list is read piece by piece, so that a list of a million holds up no verdict.

use std::collections::BTreeMap;

use smartfw_core::{Agent, BlockState, IpNet, Listed};
use smartfw_enforce::Counters;
use smartfw_proto::{
    limits,
    view::{BlockFilter, BlockRow},
    wire,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::{drops::ByTarget, service::Service};

/// Chunks that may wait for a slow reader.
const WAITING: usize = 4;

/// A list that is at hand, in chunks.
pub(super) fn chunks<T, W, C>(
    rows: Vec<T>,
    size: usize,
    chunk: impl Fn(Vec<W>) -> C + Send + 'static,
) -> ReceiverStream<Result<C, Status>>
where
    T: Into<W> + Send + 'static,
    W: Send + 'static,
    C: Send + 'static,
{
    let (sender, stream) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        let mut rows = rows.into_iter().map(Into::into).peekable();
        while rows.peek().is_some() {
            let piece = rows.by_ref().take(size).collect();
            if sender.send(Ok(chunk(piece))).await.is_err() {
                return;
            }
        }
    });
    ReceiverStream::new(stream)
}

/// The blocks that `filter` lets through.
pub(super) fn blocks(
    service: Service,
    filter: BlockFilter,
    dropped: ByTarget,
) -> ReceiverStream<Result<wire::BlockChunk, Status>> {
    let (sender, stream) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        let mut behind = None;
        loop {
            let (wanted, after) = (filter.clone(), behind);
            let piece = match service.ask(move |agent, _| piece(agent, after, &wanted)).await {
                Ok(piece) => piece,
                Err(status) => return drop(sender.send(Err(status)).await),
            };
            let rows: Vec<_> = piece.rows.into_iter().map(|listed| row(listed, &dropped).into()).collect();
            if !rows.is_empty() && sender.send(Ok(wire::BlockChunk { rows })).await.is_err() {
                return;
            }
            let Some(last) = piece.last else { return };
            behind = Some(last);
        }
    });
    ReceiverStream::new(stream)
}

struct Piece {
    rows: Vec<Listed>,
    /// The last target looked at; `None` at the end.
    last: Option<IpNet>,
}

/// The targets behind `after`, whole targets only, at least one.
fn piece(agent: &Agent, after: Option<IpNet>, filter: &BlockFilter) -> Piece {
    let (mut rows, mut looked, mut last): (Vec<Listed>, usize, Option<IpNet>) = (Vec::new(), 0, None);
    for listed in agent.blocks_after(after) {
        let target = listed.block.target;
        if looked >= limits::CHUNK - ORIGINS && last != Some(target) {
            return Piece { rows, last };
        }
        looked += 1;
        last = Some(target);
        if passes(filter, &listed) && rows.len() < limits::CHUNK {
            rows.push(listed);
        }
    }
    Piece { rows, last: None }
}

/// Room for the origins of the last target of a chunk.
const ORIGINS: usize = 100;

fn passes(filter: &BlockFilter, listed: &Listed) -> bool {
    let BlockFilter { all, origin, class } = filter;
    (*all || listed.state != BlockState::Shadowed)
        && origin.as_ref().is_none_or(|origin| listed.block.origin.0 == *origin)
        && class.is_none_or(|class| listed.block.class == class)
}

/// A block with what the kernel dropped because of it.
pub(super) fn row(listed: Listed, dropped: &BTreeMap<IpNet, Counters>) -> BlockRow {
    let in_force = listed.state == BlockState::InForce;
    let count = dropped.get(&listed.block.target).filter(|_| in_force).copied().unwrap_or_default();
    BlockRow::new(listed, count.packets, count.bytes)
}
