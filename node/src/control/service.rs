//! The service: each call becomes an order or a question to the driver.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use smartfw_core::{
    Agent, Alert, BlockId, IpNet, Time,
    order::{Done, Order, Refusal},
    protect::Protected,
};
use smartfw_proto::{
    convert, limits,
    view::{AlertEvent, AlertFilter, BlockFilter, Context, Explanation, Pending, Reloaded},
    wire::{self, control_server::Control},
};
use tokio::sync::{broadcast, oneshot};
use tokio_stream::{
    StreamExt as _,
    wrappers::{BroadcastStream, ReceiverStream, errors::BroadcastStreamRecvError},
};
use tonic::{Request, Response, Status, Streaming};

use super::{Drops, import, lists, status, top};
use crate::{
    counters::Counters,
    detector::Board,
    driver::Recent,
    fleet::FleetHandle,
    health::Health,
    inbox::{Inbox, Input, Refused},
    models::Models,
    uplink::Uplink,
};

/// How long an order may wait for kernel and disk before the caller is told that it is carried out but not stored.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a reload does.
pub type Reload = Arc<dyn Fn() -> Result<Reloaded, String> + Send + Sync>;

/// What does not change while the daemon runs.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The node's name.
    pub node: String,
    /// The enforcer's name.
    pub enforcer: String,
    /// When the daemon started.
    pub started: Instant,
    /// The interfaces watched now.
    pub interfaces: Arc<Mutex<Vec<String>>>,
}

/// The control service.
#[derive(Clone)]
pub struct Service {
    /// The way to the driver.
    pub inbox: Inbox,
    /// What the sensor shows.
    pub board: Arc<Board>,
    /// What is counted.
    pub counters: Arc<Counters>,
    /// What is wrong.
    pub health: Arc<Health>,
    /// Where alerts come from as they are made.
    pub alerts: broadcast::Sender<Arc<Alert>>,
    /// The blocks made last.
    pub recent: Arc<Recent>,
    /// What the kernel dropped.
    pub drops: Arc<Drops>,
    /// What does not change.
    pub facts: Facts,
    /// Reads the configuration again.
    pub reload: Reload,
    /// The fleet.
    pub fleet: FleetHandle,
    /// The models.
    pub models: Arc<Models>,
    /// The way to coordinators.
    pub uplink: Uplink,
}

impl Service {
    /// Asks the driver.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Agent, Time) -> T + Send + 'static,
    ) -> Result<T, Status> {
        let (answer, receiver) = oneshot::channel();
        let ask = move |agent: &Agent, now: Time| drop(answer.send(question(agent, now)));
        self.inbox.send(Input::Ask(Box::new(ask)));
        receiver.await.map_err(|_| ending())
    }

    /// Gives the driver an order; the answer comes once kernel and disk have what it decided.
    pub(super) fn order(&self, order: Order) -> oneshot::Receiver<Result<Done, Refused>> {
        let (answer, receiver) = oneshot::channel();
        self.inbox.send(Input::Order(order, Box::new(move |result| drop(answer.send(result)))));
        receiver
    }

    /// Waits for an order's answer.
    pub(super) async fn answer(
        receiver: oneshot::Receiver<Result<Done, Refused>>,
    ) -> Result<wire::OrderAnswer, Status> {
        match tokio::time::timeout(PATIENCE, receiver).await {
            Ok(Ok(Ok(done))) => Ok(Ok::<_, Refusal>(done).into()),
            Ok(Ok(Err(Refused::Order(refusal)))) => Ok(Err::<Done, _>(refusal).into()),
            Ok(Ok(Err(Refused::Kernel(why)))) => Err(Status::failed_precondition(format!(
                "it is decided and stored, but the kernel refused: {why}; it is tried again every two seconds, and smartfw-cli doctor says what is missing"
            ))),
            Ok(Err(_)) => Err(ending()),
            Err(_) | Ok(Ok(Err(Refused::Unstored))) => Err(Status::deadline_exceeded(
                "it is carried out, but not yet stored: a restart may forget it; smartfw-cli status shows why",
            )),
        }
    }

    /// What the kernel dropped, without holding up the runtime.
    pub(super) async fn dropped(&self) -> Result<super::drops::ByTarget, Status> {
        let drops = self.drops.clone();
        tokio::task::spawn_blocking(move || drops.read()).await.map_err(|_| ending())
    }
}

pub(super) fn ending() -> Status {
    Status::unavailable("the daemon is ending")
}

type Stream<T> = ReceiverStream<Result<T, Status>>;

#[tonic::async_trait]
impl Control for Service {
    type ImportStream = Stream<wire::OrderAnswer>;
    type ListBlocksStream = Stream<wire::BlockChunk>;
    type ListAlertsStream = Stream<wire::AlertChunk>;
    type ListPendingStream = Stream<wire::PendingChunk>;
    type ListAllowedStream = Stream<wire::AllowedChunk>;
    type TopStream = Stream<wire::TopFrame>;
    type FollowAlertsStream =
        std::pin::Pin<Box<dyn tokio_stream::Stream<Item = Result<wire::AlertEvent, Status>> + Send>>;

    async fn status(&self, _: Request<wire::StatusRequest>) -> Result<Response<wire::NodeStatus>, Status> {
        Ok(Response::new(status::of(self).await?.into()))
    }

    async fn submit(&self, request: Request<wire::Order>) -> Result<Response<wire::OrderAnswer>, Status> {
        let order = Order::try_from(request.into_inner())?;
        Self::answer(self.order(order)).await.map(Response::new)
    }

    async fn import(
        &self,
        request: Request<Streaming<wire::ImportChunk>>,
    ) -> Result<Response<Self::ImportStream>, Status> {
        Ok(Response::new(import::run(self.clone(), request.into_inner())))
    }

    async fn list_blocks(
        &self,
        request: Request<wire::ListBlocksRequest>,
    ) -> Result<Response<Self::ListBlocksStream>, Status> {
        let filter = BlockFilter::try_from(request.into_inner())?;
        let dropped = self.dropped().await?;
        Ok(Response::new(lists::blocks(self.clone(), filter, dropped)))
    }

    async fn list_alerts(
        &self,
        request: Request<wire::ListAlertsRequest>,
    ) -> Result<Response<Self::ListAlertsStream>, Status> {
        let alerts = self.kept_alerts(AlertFilter::try_from(request.into_inner())?).await?;
        Ok(Response::new(lists::chunks(alerts, limits::ALERTS, |alerts| wire::AlertChunk { alerts })))
    }

    async fn follow_alerts(
        &self,
        request: Request<wire::ListAlertsRequest>,
    ) -> Result<Response<Self::FollowAlertsStream>, Status> {
        let filter = AlertFilter::try_from(request.into_inner())?;
        // Subscribed before the history is read: an alert in between comes twice rather than never.
        let new = BroadcastStream::new(self.alerts.subscribe());
        let kept = self.kept_alerts(filter.clone()).await?;
        let kept = tokio_stream::iter(kept).map(AlertEvent::Alert);
        let new = new.filter_map(move |event| match event {
            Ok(alert) => matches(&filter, &alert).then(|| AlertEvent::Alert((*alert).clone())),
            Err(BroadcastStreamRecvError::Lagged(missed)) => Some(AlertEvent::Missed(missed)),
        });
        Ok(Response::new(Box::pin(kept.chain(new).map(|event| Ok(event.into())))))
    }

    async fn list_pending(
        &self,
        _: Request<wire::ListPendingRequest>,
    ) -> Result<Response<Self::ListPendingStream>, Status> {
        let mut pending = self.ask(|agent, _| agent.pending().cloned().collect::<Vec<_>>()).await?;
        pending.sort_by_key(|pending| (pending.since, pending.id));
        let pending = pending.into_iter().map(Pending::from).collect();
        Ok(Response::new(lists::chunks(pending, limits::CHUNK, |pending| wire::PendingChunk { pending })))
    }

    async fn list_allowed(
        &self,
        _: Request<wire::ListAllowedRequest>,
    ) -> Result<Response<Self::ListAllowedStream>, Status> {
        let allowed = self.ask(|agent, _| agent.allowed().cloned().collect::<Vec<_>>()).await?;
        Ok(Response::new(lists::chunks(allowed, limits::CHUNK, |allowed| wire::AllowedChunk { allowed })))
    }

    async fn check_allowed(
        &self,
        request: Request<wire::CheckAllowedRequest>,
    ) -> Result<Response<wire::CheckAllowedAnswer>, Status> {
        let target = IpNet::try_from(request.into_inner())?;
        let protected: Option<Protected> = self.ask(move |agent, _| agent.why_protected(&target)).await?;
        let protected = protected.into_iter().map(Into::into).collect();
        Ok(Response::new(wire::CheckAllowedAnswer { protected }))
    }

    async fn explain(
        &self,
        request: Request<wire::ExplainRequest>,
    ) -> Result<Response<wire::Explanation>, Status> {
        let address = IpAddr::try_from(request.into_inner())?;
        let dropped = self.dropped().await?;
        let (node, window) = (self.facts.node.clone(), self.board.window_of(address));
        let known = self.ask(move |agent, now| {
            let (enforcement, mode) = (agent.enforcement(), agent.mode());
            (agent.explain(address, now), Context { now, node, enforcement, mode, window })
        });
        let (known, context) = known.await?;
        let count = |target: &IpNet| dropped.get(target).map_or((0, 0), |count| (count.packets, count.bytes));
        Ok(Response::new(Explanation::new(known, context, count).into()))
    }

    async fn reload(&self, _: Request<wire::ReloadRequest>) -> Result<Response<wire::ReloadAnswer>, Status> {
        let reload = self.reload.clone();
        let result = tokio::task::spawn_blocking(move || reload()).await.map_err(|_| ending())?;
        Ok(Response::new(result.into()))
    }

    async fn top(&self, _: Request<wire::TopRequest>) -> Result<Response<Self::TopStream>, Status> {
        Ok(Response::new(top::run(self.clone())))
    }
}

impl Service {
    /// The kept alerts that `filter` lets through, oldest first, read piece by piece: verdicts come in between.
    async fn kept_alerts(&self, filter: AlertFilter) -> Result<Vec<Alert>, Status> {
        // An alert that is told of again meanwhile comes again, later: its last state counts.
        let (mut kept, mut behind) = (BTreeMap::new(), None);
        loop {
            let wanted = filter.clone();
            let piece = self.ask(move |agent, _| alerts_after(agent, behind, &wanted)).await?;
            let Some(last) = piece.last() else { break };
            behind = Some((last.time, last.id));
            kept.extend(piece.into_iter().map(|alert| (alert.id, alert)));
        }
        let mut kept: Vec<Alert> = kept.into_values().collect();
        kept.sort_by_key(|alert| (alert.time, alert.id));
        Ok(kept)
    }
}

/// Alerts that are copied at once: less than a millisecond.
const PIECE: usize = 500;

fn alerts_after(agent: &Agent, behind: Option<(Time, BlockId)>, filter: &AlertFilter) -> Vec<Alert> {
    let new = |alert: &&Alert| behind.is_none_or(|behind| (alert.time, alert.id) > behind);
    agent.alerts().filter(new).filter(|alert| matches(filter, alert)).take(PIECE).cloned().collect()
}

fn matches(filter: &AlertFilter, alert: &Alert) -> bool {
    filter.since.is_none_or(|since| alert.time >= since)
        && filter.class.is_none_or(|class| alert.class == class)
}

/// Imported orders of one chunk.
pub(super) fn chunk_of(chunk: wire::ImportChunk) -> Result<Order, Status> {
    Ok(Order::Import(convert::chunk_from_wire(chunk)?))
}

#[cfg(test)]
mod tests {
    use smartfw_core::{Action, Class, Detector, Features, Reason, Record, Subject, config::PolicyConfig};

    use super::*;

    fn alert(id: u64, class: Class) -> Alert {
        Alert {
            id: BlockId(id),
            time: Time::from_secs(1_000_000 - id / 2),
            node: String::new(),
            subject: Subject::Source([192, 0, 2, 1].into()),
            class,
            confidence: 1.0,
            detector: Detector::Rules,
            evidence: None,
            count: 1,
            reason: Reason { rule: String::new(), measured: 0.0, limit: 0.0, text: String::new() },
            features: Features::default(),
            action: Action::Report,
            note: String::new(),
        }
    }

    #[test]
    fn alerts_are_read_in_pieces_and_each_comes_once() {
        let now = Time::from_secs(1_000_000);
        let mut agent = Agent::new(PolicyConfig::default(), 1, now);
        for id in 0..2 * PIECE as u64 + 10 {
            agent.restore(now, Record::Alert(alert(id, Class::PortScan)));
            agent.restore(now, Record::Alert(alert(1_000_000 + id, Class::NetFlood)));
        }
        let filter = AlertFilter { since: None, class: Some(Class::PortScan) };
        let (mut ids, mut lengths, mut behind) = (std::collections::BTreeSet::new(), Vec::new(), None);
        loop {
            let piece = alerts_after(&agent, behind, &filter);
            let Some(last) = piece.last() else { break };
            behind = Some((last.time, last.id));
            lengths.push(piece.len());
            ids.extend(piece.iter().map(|alert| alert.id));
        }
        assert_eq!((lengths, ids.len()), (vec![PIECE, PIECE, 10], 2 * PIECE + 10));
    }
}
