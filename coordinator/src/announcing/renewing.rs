//! Our own certificate, renewed by a signer when two thirds of its life are over.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use smartfw_identity::{
    Current, Identity, Renewal, Role, renew,
    tls::{Expected, Net},
};
use tokio::time::interval;

use super::Known;
use crate::{
    clock,
    health::{Health, Level, Matter},
};

/// How often it is looked whether it is time: against ten days this is nothing.
const LOOK: Duration = Duration::from_secs(600);
/// Members of which it is looked in one turn whether they are signers.
const TRIED: usize = 32;

/// Renews.
pub struct Renewing {
    /// The way to members.
    pub net: Arc<Net>,
    /// Who we are.
    pub current: Current,
    /// Whom we know.
    pub known: Arc<Known>,
    /// What is wrong.
    pub health: Arc<Health>,
    /// Where the certificate is kept.
    pub folder: PathBuf,
}

impl Renewing {
    /// Looks for ever.
    pub async fn run(self) {
        let mut turn = interval(LOOK);
        let mut unsaved = false;
        loop {
            turn.tick().await;
            self.once(&mut unsaved).await;
        }
    }

    /// Looks once. `unsaved` is whether a renewed certificate is not on disk yet.
    async fn once(&self, unsaved: &mut bool) {
        if *unsaved {
            *unsaved = !self.save();
        }
        let identity = self.current.get();
        let loud = match identity.renewal(clock::now()) {
            Renewal::NotDue => return,
            Renewal::Due => false,
            Renewal::Late => true,
            Renewal::Expired => {
                let remedy =
                    "let it join again: `smartfw-coordinator leave`, then `join` with a new token and --name";
                self.health.set(Matter::Certificate, Level::Error, "our certificate has ended", remedy);
                return;
            }
        };
        match self.by_a_signer(&identity).await {
            Ok(renewed) => {
                tracing::info!(id = %renewed.id(), "audit: our certificate was renewed");
                self.current.replace(renewed);
                *unsaved = !self.save();
            }
            Err(why) if loud => {
                let what = format!("our certificate ends soon and is not renewed: {why}");
                let remedy = "look whether a signer runs and can be reached: smartfw-cli cluster nodes";
                self.health.set(Matter::Certificate, Level::Error, what, remedy);
            }
            Err(why) => tracing::warn!(why, "our certificate is not renewed yet"),
        }
    }

    /// Keeps the certificate in use, and shows where that fails: a restart would go on with the old one.
    fn save(&self) -> bool {
        match self.current.get().save_certificates(&self.folder) {
            Ok(()) => {
                self.health.clear(Matter::Certificate);
                true
            }
            Err(why) => {
                let what =
                    format!("our renewed certificate cannot be kept, and a restart would forget it: {why}");
                let remedy = "make room on the disk of the state folder: it is tried again";
                self.health.set(Matter::Certificate, Level::Error, what, remedy);
                false
            }
        }
    }

    /// Asks whoever signed the present one, then whoever turns out to be a signer.
    async fn by_a_signer(&self, identity: &Identity) -> Result<Identity, String> {
        let first = self.known.find(&identity.member().signer);
        let others = self.known.next(TRIED).into_iter().filter(|address| Some(*address) != first);
        let mut last = "no signer is known that answers".to_owned();
        for address in first.into_iter().chain(others) {
            match self.ask(address, identity).await {
                Ok(Some(renewed)) => return Ok(renewed),
                Ok(None) => {}
                Err(why) => last = format!("{address}: {why}"),
            }
        }
        Err(last)
    }

    /// Nothing, where there is no signer.
    async fn ask(&self, address: SocketAddr, identity: &Identity) -> Result<Option<Identity>, String> {
        let stream = self.net.dial(address, Expected::default()).await.map_err(|why| why.to_string())?;
        if stream.info().peer.member.role != Role::Signer {
            return Ok(None);
        }
        renew(stream, identity, clock::now()).await.map(Some).map_err(|why| why.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use smartfw_core::Time;
    use smartfw_identity::{
        Revocations, Roles, Signer,
        tls::{Accepted, Listening, PeerInfo},
    };
    use smartfw_proto::wire::{
        RenewAnswer, RenewRequest,
        renewal_server::{Renewal as Service, RenewalServer},
    };
    use tonic::{Request, Response, Status};

    use super::*;
    use crate::{place::Kept, testing::Cluster};

    struct Desk {
        signer: Mutex<Signer>,
        revocations: Revocations,
    }

    #[tonic::async_trait]
    impl Service for Desk {
        async fn renew(&self, request: Request<RenewRequest>) -> Result<Response<RenewAnswer>, Status> {
            let peer = request.extensions().get::<PeerInfo>().cloned().unwrap();
            let (csr, now) = (request.into_inner().request, clock::now());
            let signer = self.signer.lock().unwrap();
            let chain = signer.renew(&peer.peer.member, &csr, &self.revocations, now).unwrap();
            Ok(Response::new(RenewAnswer { chain: chain.to_bytes() }))
        }
    }

    /// A signer that renews.
    async fn signer(cluster: Cluster) -> (SocketAddr, Net) {
        let identity = cluster.founded.identity;
        let revocations = || Revocations::in_memory(identity.trust().clone());
        let net = Net::new(Current::new(identity.clone()), Arc::new(revocations()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let Accepted { members, listener, .. } =
            net.listen(listener, Listening { roles: Roles::SERVING, joiners: false });
        let desk = Desk { signer: Mutex::new(cluster.founded.signer), revocations: revocations() };
        let server = tonic::transport::Server::builder().add_service(RenewalServer::new(desk));
        tokio::spawn(async move {
            let (_listener, _ledger) = (listener, cluster.ledger);
            server.serve_with_incoming(members).await
        });
        (address, net)
    }

    /// A coordinator whose certificate was made so many days ago.
    fn renewing(cluster: &Cluster, days: u64, seeds: Vec<SocketAddr>) -> (Renewing, tempfile::TempDir) {
        let made = Time::from_nanos(clock::now().as_nanos() - days * 86_400 * 1_000_000_000);
        let name = format!("memory-{days}");
        let identity = cluster.admit_at(&name, Role::Coordinator, made);
        let state = tempfile::tempdir().unwrap();
        Kept::save(state.path(), &identity, &crate::place::Reach::default()).unwrap();
        let revocations = Arc::new(Revocations::in_memory(identity.trust().clone()));
        let (current, folder) = (Current::new(identity), crate::place::folder(state.path()));
        let renewing = Renewing {
            net: Arc::new(Net::new(current.clone(), revocations)),
            current,
            known: Arc::new(Known::load(&folder, seeds)),
            health: Arc::default(),
            folder,
        };
        (renewing, state)
    }

    #[tokio::test]
    async fn a_certificate_that_is_due_is_renewed_by_a_signer_and_kept() {
        for (days, renews) in [(22, true), (5, false)] {
            let cluster = Cluster::found_at("prod", 25);
            let (mut renewing, state) = renewing(&cluster, days, Vec::new());
            let before = renewing.current.get().member().not_after;
            let (address, _net) = signer(cluster).await;
            renewing.known = Arc::new(Known::load(&renewing.folder, vec![address]));
            renewing.once(&mut false).await;
            assert_eq!(renewing.current.get().member().not_after > before, renews, "{days}");
            let kept = Kept::load(state.path()).unwrap().identity;
            assert_eq!(kept.member().not_after > before, renews);
        }
    }

    #[tokio::test]
    async fn that_nobody_renews_it_is_shown_when_it_ends_soon() {
        let cluster = Cluster::found_at("prod", 40);
        for (days, shown) in [(5, false), (25, true), (31, true)] {
            let (renewing, _state) = renewing(&cluster, days, Vec::new());
            renewing.once(&mut false).await;
            assert_eq!(!renewing.health.list().is_empty(), shown, "{days}");
        }
    }

    #[tokio::test]
    async fn a_renewed_certificate_that_cannot_be_kept_is_shown_until_it_can() {
        let cluster = Cluster::found("prod");
        let (mut renewing, _state) = renewing(&cluster, 0, Vec::new());
        let real = renewing.folder.clone();
        renewing.folder = real.join("key.pem"); // no folder
        let mut unsaved = !renewing.save();
        renewing.once(&mut unsaved).await;
        assert!(unsaved && renewing.health.list()[0].what.contains("cannot be kept"));
        renewing.folder = real;
        renewing.once(&mut unsaved).await;
        assert!(!unsaved && renewing.health.list().is_empty());
    }
}
