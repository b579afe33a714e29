//! The service that members dial.

use std::{pin::Pin, sync::Arc};

use smartfw_identity::{Roles, tls::PeerInfo};
use smartfw_proto::wire::{PeerMessage, peer_server::Peer};
use tokio::sync::mpsc;
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Request, Response, Status, Streaming};

use super::{
    links::Outbox,
    stream::{Shared, listen, speak},
};

/// Messages handed to a connection that it has not written yet: what waits behind them is counted by the outbox.
pub(super) const HANDED: usize = 2;

/// The service.
pub(super) struct PeerService {
    pub(super) shared: Arc<Shared>,
}

#[tonic::async_trait]
impl Peer for PeerService {
    type ExchangeStream = Pin<Box<dyn Stream<Item = Result<PeerMessage, Status>> + Send>>;

    async fn exchange(
        &self,
        request: Request<Streaming<PeerMessage>>,
    ) -> Result<Response<Self::ExchangeStream>, Status> {
        let peer = request.extensions().get::<PeerInfo>().cloned();
        let peer = peer.ok_or_else(|| Status::unauthenticated("only members may exchange"))?;
        if Roles::ORIGINS.admit(&peer.peer.member).is_err() {
            return Err(Status::permission_denied(
                "a coordinator takes no part in what nodes tell each other",
            ));
        }
        if !peer.exchange() {
            return Err(Status::resource_exhausted("a connection carries one exchange: open another"));
        }
        let (outbox, outgoing) = Outbox::new();
        self.shared.greet(&outbox);
        let closed = outgoing.closed.clone();
        let (to, outbound) = mpsc::channel(HANDED);
        tokio::spawn(speak(self.shared.clone(), outgoing, to, Ok));
        tokio::spawn(listen(self.shared.clone(), peer, request.into_inner(), outbox, closed, false));
        Ok(Response::new(Box::pin(ReceiverStream::new(outbound))))
    }
}
