//! The service itself: each call, answered from the script.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use smartfw_core::order::{EnforcementState, Refusal};
use smartfw_proto::{
    convert::chunk_from_wire,
    limits,
    view::{AlertEvent, Answer, NodeStatus, Reloaded},
    wire::{self, control_server::Control},
};
use tokio::sync::mpsc;
use tokio_stream::{Stream, StreamExt as _, wrappers::ReceiverStream};
use tonic::{Request, Response, Status, Streaming};

use super::{Script, Seen, alert, row, status};

pub(super) struct Service {
    pub(super) script: Script,
    pub(super) seen: Arc<Mutex<Seen>>,
    pub(super) founded: Arc<AtomicBool>,
}

type Answers<T> = std::pin::Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn stream<T: Send + 'static>(messages: impl IntoIterator<Item = T, IntoIter: Send + 'static>) -> Answers<T> {
    Box::pin(tokio_stream::iter(messages.into_iter().map(Ok)))
}

#[tonic::async_trait]
impl Control for Service {
    type ImportStream = Answers<wire::OrderAnswer>;
    type ListBlocksStream = Answers<wire::BlockChunk>;
    type ListAlertsStream = Answers<wire::AlertChunk>;
    type FollowAlertsStream = Answers<wire::AlertEvent>;
    type ListPendingStream = Answers<wire::PendingChunk>;
    type ListAllowedStream = Answers<wire::AllowedChunk>;
    type TopStream = Answers<wire::TopFrame>;

    async fn status(&self, _: Request<wire::StatusRequest>) -> Result<Response<wire::NodeStatus>, Status> {
        if let Some(why) = self.script.silent.clone() {
            return Err(why);
        }
        let cluster = self.script.cluster.clone().filter(|_| self.founded.load(Ordering::SeqCst));
        let enforcement = if self.script.off { EnforcementState::Off } else { EnforcementState::On };
        Ok(Response::new(NodeStatus { cluster, enforcement, ..status() }.into()))
    }

    async fn submit(&self, request: Request<wire::Order>) -> Result<Response<wire::OrderAnswer>, Status> {
        if let Some(code) = self.script.broken {
            return Err(Status::new(code, "the daemon is ending"));
        }
        let order = request.into_inner().try_into()?;
        self.seen.lock().unwrap().orders.push(order);
        let answer = self.script.answer.clone().ok_or_else(|| Status::unimplemented(""))?;
        Ok(Response::new(answer.into()))
    }

    async fn import(
        &self,
        request: Request<Streaming<wire::ImportChunk>>,
    ) -> Result<Response<Self::ImportStream>, Status> {
        let (mut chunks, refuse) = (request.into_inner(), self.script.refuse);
        let seen = Arc::clone(&self.seen);
        let (sender, answers) = mpsc::channel(1);
        tokio::spawn(async move {
            while let Some(Ok(chunk)) = chunks.next().await {
                let orders = chunk_from_wire(chunk).unwrap();
                seen.lock().unwrap().chunks.push(orders.len());
                let refused: Vec<_> = orders
                    .iter()
                    .filter(|order| Some(order.target) == refuse)
                    .map(|order| (order.target, Refusal::Everything))
                    .collect();
                let refused_count = refused.len() as u64;
                let accepted = orders.len() as u64 - refused_count;
                let answer: Result<_, Refusal> = Ok(Answer::Imported { accepted, refused, refused_count });
                if sender.send(Ok(answer.into())).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(answers))))
    }

    async fn list_blocks(
        &self,
        _: Request<wire::ListBlocksRequest>,
    ) -> Result<Response<Self::ListBlocksStream>, Status> {
        if let Some(code) = self.script.broken {
            return Err(Status::new(code, "the daemon is ending"));
        }
        if self.script.hostile {
            let rows = vec![row("203.0.113.7/32").into(); limits::CHUNK + 1];
            return Ok(Response::new(stream([wire::BlockChunk { rows }])));
        }
        let first = (!self.script.rows.is_empty()).then(|| wire::BlockChunk::from(self.script.rows.clone()));
        let made_up =
            (0..self.script.many / limits::CHUNK).map(|_| vec![row("203.0.113.7/32"); limits::CHUNK].into());
        Ok(Response::new(stream(first.into_iter().chain(made_up))))
    }

    async fn list_alerts(
        &self,
        _: Request<wire::ListAlertsRequest>,
    ) -> Result<Response<Self::ListAlertsStream>, Status> {
        Ok(Response::new(stream((0..self.script.alerts).map(|count| vec![alert(count)].into()))))
    }

    async fn follow_alerts(
        &self,
        _: Request<wire::ListAlertsRequest>,
    ) -> Result<Response<Self::FollowAlertsStream>, Status> {
        let alerts = (0..self.script.alerts).map(|count| AlertEvent::Alert(alert(count)).into());
        let events = alerts.chain([AlertEvent::Missed(7).into()]);
        Ok(Response::new(stream(events)))
    }

    async fn list_pending(
        &self,
        _: Request<wire::ListPendingRequest>,
    ) -> Result<Response<Self::ListPendingStream>, Status> {
        Ok(Response::new(stream([])))
    }

    async fn list_allowed(
        &self,
        _: Request<wire::ListAllowedRequest>,
    ) -> Result<Response<Self::ListAllowedStream>, Status> {
        Ok(Response::new(stream([])))
    }

    async fn check_allowed(
        &self,
        _: Request<wire::CheckAllowedRequest>,
    ) -> Result<Response<wire::CheckAllowedAnswer>, Status> {
        Ok(Response::new(wire::CheckAllowedAnswer::default()))
    }

    async fn explain(&self, _: Request<wire::ExplainRequest>) -> Result<Response<wire::Explanation>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn reload(&self, _: Request<wire::ReloadRequest>) -> Result<Response<wire::ReloadAnswer>, Status> {
        let answer = self.script.reload.clone().unwrap_or_else(|| Ok(Reloaded::default()));
        Ok(Response::new(answer.into()))
    }

    async fn top(&self, _: Request<wire::TopRequest>) -> Result<Response<Self::TopStream>, Status> {
        Ok(Response::new(stream([])))
    }
}
