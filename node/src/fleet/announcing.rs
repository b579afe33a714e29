//! The service that coordinators call: they say where they are, hear who is in the fleet, and pass on who is expelled.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use smartfw_core::fleet::NodeId;
use smartfw_identity::{Role, Standing, tls::PeerInfo};
use smartfw_proto::{
    convert::{Announced, Told},
    limits,
    wire::{self, announcement_server::Announcement},
};
use tokio::{
    sync::{Semaphore, oneshot},
    time::{sleep, timeout},
};
use tonic::{Request, Response, Status};

use super::{
    Input as FleetInput,
    coordinators::LASTS,
    stream::{IN_VAIN, Shared},
};
use crate::inbox::Input;

/// How long the driver may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of revocations in one answer: leaves room for the members.
const STATEMENTS: usize = limits::MESSAGE / 2;

/// The service.
pub(super) struct AnnouncementService {
    pub(super) shared: Arc<Shared>,
    /// One statement of a coordinator is checked at a time.
    pub(super) checking: Arc<Semaphore>,
}

#[tonic::async_trait]
impl Announcement for AnnouncementService {
    async fn announce(
        &self,
        request: Request<wire::AnnounceRequest>,
    ) -> Result<Response<wire::AnnounceAnswer>, Status> {
        let coordinator = caller(&request)?;
        let address = reachable(&request.into_inner().address)?;
        let (reply, answer) = oneshot::channel();
        let announced = FleetInput::Announced(coordinator, address, reply);
        self.shared.inbox.send(Input::Fleet(announced));
        let members = match timeout(PATIENCE, answer).await {
            Ok(Ok(members)) => members.map_err(Status::failed_precondition)?,
            Ok(Err(_)) => return Err(Status::unavailable("the node is ending")),
            Err(_) => return Err(Status::deadline_exceeded("the node has no time: try another")),
        };
        Ok(Response::new(Announced { lasts: LASTS, members, revocations: self.revocations()? }.into()))
    }

    async fn expel(
        &self,
        request: Request<wire::ExpelRequest>,
    ) -> Result<Response<wire::ExpelAnswer>, Status> {
        let coordinator = caller(&request)?;
        let revocation = request.into_inner().revocation;
        if revocation.len() > limits::REVOCATION {
            return Err(Status::invalid_argument("no revocation is so long"));
        }
        let permit = self.checking.clone().try_acquire_owned();
        let permit = permit.map_err(|_| Status::resource_exhausted("another statement is being checked"))?;
        let shared = self.shared.clone();
        // Whoever hangs up ends neither the check nor the wait after one in vain.
        let judging = tokio::spawn(async move {
            let judged = shared.judge(vec![revocation]).await;
            sleep(IN_VAIN * judged.as_ref().map_or(0, |judged| judged.in_vain)).await;
            drop(permit);
            judged
        });
        let judged = judging.await.ok().flatten();
        let judged = judged.ok_or_else(|| Status::unavailable("the node is ending"))?;
        if !judged.new.is_empty() {
            tracing::info!(%coordinator, "a coordinator passed on that somebody is expelled");
            self.shared.links.tell_all(None, &Told::Revocations(judged.new));
        }
        match judged.lie.or(judged.trouble) {
            Some(why) => Err(Status::failed_precondition(why.to_string())),
            None => Ok(Response::new(wire::ExpelAnswer {})),
        }
    }
}

/// The coordinator that calls.
fn caller<T>(request: &Request<T>) -> Result<NodeId, Status> {
    let peer = request.extensions().get::<PeerInfo>();
    let peer = &peer.ok_or_else(|| Status::unauthenticated("only coordinators announce themselves"))?.peer;
    if peer.member.role != Role::Coordinator {
        let who = format!("only coordinators announce themselves, and you are a {}", peer.member.role);
        return Err(Status::permission_denied(who));
    }
    if peer.standing != Standing::Valid {
        return Err(Status::permission_denied("your certificate has expired: join again"));
    }
    Ok(peer.member.id)
}

impl AnnouncementService {
    /// As many as fit: more than two hundred of the longest were never seen in one fleet.
    fn revocations(&self) -> Result<Vec<Vec<u8>>, Status> {
        let set = self.shared.revocations.get();
        let set = set.map_err(|why| Status::failed_precondition(why.to_string()))?;
        let mut room = STATEMENTS;
        let fits = |bytes: &&[u8]| {
            let before = room;
            room = room.saturating_sub(bytes.len());
            before > bytes.len()
        };
        let all = set.iter().map(|revocation| revocation.bytes()).take(limits::REVOCATIONS);
        Ok(all.take_while(fits).map(<[u8]>::to_vec).collect())
    }
}

/// An address that others can dial.
fn reachable(text: &str) -> Result<SocketAddr, Status> {
    let wrong =
        || Status::invalid_argument("name the ADDR:PORT at which nodes reach you, like 10.0.0.5:7480");
    if text.len() > limits::ADDRESS {
        return Err(wrong());
    }
    let address: SocketAddr = text.parse().map_err(|_| wrong())?;
    let ip = address.ip();
    if ip.is_unspecified() || ip.is_multicast() || address.port() == 0 { Err(wrong()) } else { Ok(address) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_dialled_is_announced() {
        for good in ["192.0.2.1:7480", "[2001:db8::1]:1", "127.0.0.1:7480"] {
            assert_eq!(reachable(good).unwrap(), good.parse().unwrap());
        }
        let long = "1".repeat(limits::ADDRESS + 1);
        for bad in ["", "0.0.0.0:7480", "[::]:7480", "224.0.0.1:7480", "192.0.2.1:0", "host:7480", &long] {
            assert!(reachable(bad).is_err(), "{bad}");
        }
    }
}
