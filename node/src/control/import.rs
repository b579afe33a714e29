//! Imports: chunk by chunk, several under way at once, answered in their order.

use smartfw_proto::wire;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::service::{Service, chunk_of};

/// Chunks under way at once: enough to keep the kernel busy while the disk brings the ones before to safety, and with a
/// thousand orders each no more than a few megabytes.
const UNDER_WAY: usize = 16;

/// Carries out an import; the answers come one for each chunk.
pub(super) fn run(
    service: Service,
    mut chunks: Streaming<wire::ImportChunk>,
) -> ReceiverStream<Result<wire::OrderAnswer, Status>> {
    let (ordered, mut under_way) = mpsc::channel(UNDER_WAY);
    let (answers, stream) = mpsc::channel(UNDER_WAY);
    tokio::spawn(async move {
        while let Some(chunk) = chunks.message().await.transpose() {
            let order = chunk.and_then(chunk_of).map(|order| service.order(order));
            let failed = order.is_err();
            if ordered.send(order).await.is_err() || failed {
                return;
            }
        }
    });
    tokio::spawn(async move {
        while let Some(order) = under_way.recv().await {
            let answer = match order {
                Ok(receiver) => Service::answer(receiver).await,
                Err(status) => Err(status),
            };
            let failed = answer.is_err();
            if answers.send(answer).await.is_err() || failed {
                return;
            }
        }
    });
    ReceiverStream::new(stream)
}
