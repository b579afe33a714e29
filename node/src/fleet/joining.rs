//! The signer's desk: lets machines and people in who bring a token, and renews members.
//!
//! Every admission and every refusal of somebody who had a real token is a line in the log, with who it was and where
//! it came from. Who has none is told so and leaves no trace: strangers must not fill the log.

mod renewing;
mod vault;

use std::{
    future::Future,
    io,
    net::SocketAddr,
    path::PathBuf,
    pin::Pin,
    sync::{Arc, OnceLock, Weak},
};

use smartfw_core::{Time, fleet::NodeId, members::MemberState};
use smartfw_identity::{
    Chain, Current, Joined, Joining, Known, Label, LedgerError, Member, Revocations, Role, SignError, Signer,
    Token,
    tls::{JoinStream, PeerInfo, Stranger},
};
use smartfw_proto::{
    convert::{Certificates, Redeemed, Redeeming},
    limits,
    wire::{
        self,
        join_server::{Join, JoinServer},
        renewal_server::{Renewal, RenewalServer},
    },
};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, service::Routes};

use super::{
    Control, FleetHandle, MemberView, Named,
    beside::{Beside, BesideOf, Opened},
};
use crate::{clock, inbox::Inbox};

pub use vault::{ROOT_LASTS, Vault};

/// Calls at once on a stranger's connection: it has one thing to ask.
const CALLS: u32 = 2;
/// Calls at once on all connections: whatever strangers guess, they do not get at more of the disk and of the driver.
/// Those who come later wait for their turn, in order.
const AT_ONCE: usize = 2;

/// The desk as it stands beside the streams of a network of `control`'s, and the renewing of our own certificate.
pub fn beside(inbox: Inbox, control: Weak<Control>, vault: Vault) -> BesideOf {
    Box::new(move |Opened { current, revocations, folder }| {
        let (current, revocations, folder) = (current.clone(), revocations.clone(), folder.clone());
        let (inbox, control, vault) = (inbox.clone(), control.clone(), vault.clone());
        let (signer, turns) = (Arc::default(), Arc::new(Semaphore::new(AT_ONCE)));
        Arc::new(Desk { inbox, control, current, revocations, folder, vault, signer, turns })
    })
}

/// The desk.
#[derive(Clone)]
pub struct Desk {
    /// The way to who knows who has which name.
    pub inbox: Inbox,
    /// What the network that the desk stands in is a part of.
    pub control: Weak<Control>,
    /// Who we are.
    pub current: Current,
    /// Who was expelled.
    pub revocations: Arc<Revocations>,
    /// Where the ledger is.
    pub folder: PathBuf,
    /// The root, while it is here.
    pub vault: Vault,
    /// The right to sign, once it was needed.
    pub signer: Arc<OnceLock<Signer>>,
    /// Whose turn it is.
    pub turns: Arc<Semaphore>,
}

/// What is known of somebody who asks, before the ledger is opened.
struct Asked {
    token: Token,
    name: Label,
    roles: Vec<Role>,
    request: Vec<u8>,
    from: Option<SocketAddr>,
}

#[tonic::async_trait]
impl Join for Desk {
    async fn redeem(
        &self,
        request: Request<wire::RedeemRequest>,
    ) -> Result<Response<wire::RedeemAnswer>, Status> {
        let from = request.extensions().get::<Stranger>().map(|stranger| stranger.address);
        let asked = Arc::new(read(request.into_inner().try_into()?, from)?);
        let _turn = self.turn().await?;
        // Whoever has no token of ours costs no more than a look at the ledger.
        let looked = asked.clone();
        self.blocking(move |desk| desk.look(&looked)).await?;
        let members = self.named().await?;
        let seeds = seeds(&members);
        let (given, now) = self.blocking(move |desk| desk.admit(&asked, &members)).await?;
        let root = self.current.get().trust().root().der().to_vec();
        let seen = from.map_or_else(String::new, |from| from.to_string());
        Ok(Response::new(Redeemed { given, root, now, members: seeds, seen }.into()))
    }
}

#[tonic::async_trait]
impl Renewal for Desk {
    async fn renew(
        &self,
        request: Request<wire::RenewRequest>,
    ) -> Result<Response<wire::RenewAnswer>, Status> {
        let peer = request.extensions().get::<PeerInfo>().cloned();
        let PeerInfo { peer, .. } = peer.ok_or_else(|| Status::permission_denied("only members renew"))?;
        let csr = request.into_inner().request;
        if csr.len() > limits::CERTIFICATE {
            return Err(Status::invalid_argument("the request for a certificate is too long"));
        }
        let _turn = self.turn().await?;
        let chain = self.blocking(move |desk| desk.renewed(&peer.member, &csr)).await?;
        Ok(Response::new(wire::RenewAnswer { chain: chain.to_bytes() }))
    }
}

impl Beside for Desk {
    fn members(&self) -> Routes {
        if self.welcomes() { Routes::new(RenewalServer::new(self.clone())) } else { Routes::default() }
    }

    fn welcomes(&self) -> bool {
        Signer::is_at(&self.folder)
    }

    fn joiners(
        &self,
        strangers: ReceiverStream<io::Result<JoinStream>>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let desk = self.clone();
        Box::pin(async move {
            let renewing = renewing::forever(desk.clone());
            if !desk.welcomes() {
                return renewing.await;
            }
            let server = tonic::transport::Server::builder()
                .concurrency_limit_per_connection(CALLS as usize)
                .max_concurrent_streams(CALLS)
                .add_service(JoinServer::new(desk).max_decoding_message_size(limits::PEER_MESSAGE))
                .serve_with_incoming(strangers);
            let (served, ()) = tokio::join!(server, renewing);
            if let Err(why) = served {
                tracing::error!(%why, "nobody can join any more: restart the node");
            }
        })
    }
}

impl Desk {
    async fn members(&self) -> Result<Vec<MemberView>, Status> {
        let control = self.control.upgrade().ok_or_else(|| Status::unavailable("the signer is ending"))?;
        FleetHandle::new(self.inbox.clone(), control)
            .members()
            .await
            .map_err(|why| Status::unavailable(why.to_string()))
    }

    async fn named(&self) -> Result<Vec<Named>, Status> {
        let control = self.control.upgrade().ok_or_else(|| Status::unavailable("the signer is ending"))?;
        FleetHandle::new(self.inbox.clone(), control)
            .named()
            .await
            .map_err(|why| Status::unavailable(why.to_string()))
    }

    async fn turn(&self) -> Result<SemaphorePermit<'_>, Status> {
        self.turns.acquire().await.map_err(|_| Status::unavailable("the signer is ending"))
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, Status> + Send + 'static,
    ) -> Result<T, Status> {
        let desk = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&desk)).await;
        done.map_err(|_| Status::unavailable("the signer is ending"))?
    }

    fn look(&self, asked: &Asked) -> Result<(), Status> {
        let now = clock::now();
        match self.signer(now)?.look(&asked.token, now) {
            Ok(_) => Ok(()),
            Err(why) => Err(asked.refused(&why)),
        }
    }

    fn renewed(&self, member: &Member, csr: &[u8]) -> Result<Chain, Status> {
        let now = clock::now();
        let chain = self.signer(now)?.renew(member, csr, &self.revocations, now);
        match &chain {
            Ok(_) => tracing::info!(id = %member.id, name = %member.name, "audit: a member was renewed"),
            Err(why) => {
                tracing::warn!(id = %member.id, name = %member.name, %why, "audit: a member was not renewed");
            }
        }
        chain.map_err(|why| said(&why))
    }

    fn admit(&self, asked: &Asked, members: &[Named]) -> Result<(Certificates, Time), Status> {
        let now = clock::now();
        let signer = self.signer(now)?;
        let root = self.vault.get(now);
        let holder = |name: &Label| holder(members, name);
        let known = Known { holder: &holder, revocations: &self.revocations, root: root.as_deref() };
        let joining = Joining { name: &asked.name, request: &asked.request, roles: &asked.roles };
        let joined = signer.redeem(&asked.token, &joining, known, now);
        let from = asked.from.map(tracing::field::display);
        match joined {
            Ok(Joined::Member(chain)) => {
                let subject = &chain.leaf().subject;
                tracing::info!(%subject, id = %chain.leaf().id(), from, "audit: a token was redeemed");
                Ok((Certificates::Chain(chain.to_bytes()), now))
            }
            Ok(Joined::Signer(authority)) => {
                let subject = &authority.subject;
                tracing::info!(%subject, id = %authority.id(), from, "audit: a token was redeemed for a signer");
                // No other is on its way: the root has done its work.
                if !signer.expects(Role::Signer, now).unwrap_or(true) {
                    self.vault.clear();
                }
                Ok((Certificates::Authority(authority.der().to_vec()), now))
            }
            Err(why) => Err(asked.refused(&why)),
        }
    }

    fn signer(&self, now: Time) -> Result<&Signer, Status> {
        if let Some(signer) = self.signer.get() {
            return Ok(signer);
        }
        let signer = Signer::load(&self.folder, &self.current.get(), now).map_err(|why| said(&why))?;
        Ok(self.signer.get_or_init(|| signer))
    }
}

impl Asked {
    /// What is said to who is refused; it is written down where there was a token of ours.
    fn refused(&self, why: &SignError) -> Status {
        if had_a_token(why) {
            let from = self.from.map(tracing::field::display);
            tracing::warn!(name = %self.name, from, %why, "audit: a token was refused");
        }
        said(why)
    }
}

fn read(redeeming: Redeeming, from: Option<SocketAddr>) -> Result<Asked, Status> {
    let Redeeming { token, name, request, roles } = redeeming;
    let wrong = |why: String| Status::invalid_argument(why);
    Ok(Asked {
        token: token.parse().map_err(|why: smartfw_identity::BadToken| wrong(why.to_string()))?,
        name: Label::new(&name).map_err(|why| wrong(why.to_string()))?,
        // A role that this version does not know is none that it gives.
        roles: roles.iter().filter_map(|role| role.parse().ok()).collect(),
        request,
        from,
    })
}

/// Who has a name. Of those who left the ledger knows for how long it stays theirs.
fn holder(members: &[Named], name: &Label) -> Option<NodeId> {
    let there = |member: &&Named| member.state != MemberState::Left;
    members.iter().filter(there).find(|member| member.name == name.as_str()).map(|member| member.id)
}

/// Where a new member finds others: those who answer first.
fn seeds(members: &[Named]) -> Vec<String> {
    let alive = members.iter().filter(|member| member.state == MemberState::Alive);
    alive.take(limits::SEEDS).map(|member| member.address.to_string()).collect()
}

/// Whether whoever was refused brought a token of this signer's.
const fn had_a_token(why: &SignError) -> bool {
    !matches!(
        why,
        SignError::Ledger(LedgerError::Unknown) | SignError::WrongSigner { .. } | SignError::WrongCluster
    )
}

fn said(why: &SignError) -> Status {
    let text = why.to_string();
    match why {
        SignError::Ledger(LedgerError::File(_)) | SignError::Identity(_) => Status::internal(text),
        SignError::Ledger(LedgerError::Taken { .. }) => Status::already_exists(text),
        SignError::Ledger(LedgerError::Unknown) => Status::not_found(text),
        _ => Status::failed_precondition(text),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use smartfw_identity::{Founding, Invitation};

    use super::*;

    fn member(name: &str, n: u8, state: MemberState) -> Named {
        let address = SocketAddr::from(([192, 0, 2, n], 7470));
        Named { id: NodeId([n; 32]), name: name.into(), address, state }
    }

    #[test]
    fn a_name_is_held_by_whoever_bears_it_and_has_not_left() {
        let members = [
            member("web-1", 1, MemberState::Dead),
            member("web-2", 2, MemberState::Left),
            member("web-3", 3, MemberState::Suspect),
            member("web-30", 4, MemberState::Alive),
        ];
        let of = |name: &str| holder(&members, &Label::new(name).unwrap());
        assert_eq!(of("web-1"), Some(NodeId([1; 32])), "the dead may come back");
        assert_eq!(of("web-2"), None);
        assert_eq!(of("web-3"), Some(NodeId([3; 32])));
        assert_eq!(of("web"), None);
    }

    #[test]
    fn a_new_member_is_told_who_answers_and_not_too_many() {
        let mut members = vec![member("dead", 1, MemberState::Dead)];
        members.extend((0..200).map(|n| member(&format!("web-{n}"), n, MemberState::Alive)));
        let told = seeds(&members);
        assert_eq!((told.len(), told[0].as_str()), (limits::SEEDS, "192.0.2.0:7470"));
    }

    #[tokio::test]
    async fn who_guesses_tokens_gets_at_neither_driver_nor_disk() {
        let (ledger, now) = (tempfile::tempdir().unwrap(), clock::now());
        let label = |text| Label::new(text).unwrap();
        let (cluster, site, signer, operator) =
            (label("prod"), Label::default_site(), label("signer"), label("alice"));
        let founding = Founding { cluster: &cluster, site: &site, signer: &signer, operator: &operator };
        let founded = founding.found(ledger.path(), now).unwrap();
        founded.signer.save(ledger.path()).unwrap();
        let trust = founded.identity.trust().clone();
        let invitation =
            Invitation { role: Role::Node, site, replace: None, expires: now.after(Duration::from_secs(60)) };
        let real = founded.signer.invite(invitation.clone(), now).unwrap();
        let (counters, folder) = (Arc::default(), ledger.path().to_owned());
        let (inbox, inputs) = crate::inbox::inbox(counters);
        let desk = Desk {
            inbox,
            // Nobody is there who knows the members.
            control: Weak::new(),
            current: Current::new(founded.identity.clone()),
            revocations: Arc::new(Revocations::in_memory(trust)),
            folder,
            vault: Vault::default(),
            signer: Arc::default(),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        };
        let ask = async |token: String| {
            let roles = vec!["node".to_owned()];
            let name = "web-1".to_owned();
            let request = wire::RedeemRequest { token, name, request: vec![1], roles };
            desk.redeem(Request::new(request)).await.unwrap_err().code()
        };
        let before = std::fs::read(ledger.path().join("ledger")).unwrap();
        // Another ledger's: well formed, by the same signer, and unknown.
        std::fs::remove_file(ledger.path().join("ledger")).unwrap();
        let guessed = founded.signer.invite(invitation, now).unwrap();
        std::fs::write(ledger.path().join("ledger"), &before).unwrap();
        std::fs::set_permissions(
            ledger.path().join("ledger"),
            std::os::unix::fs::PermissionsExt::from_mode(0o600),
        )
        .unwrap();
        assert_eq!(ask(guessed.to_string()).await, tonic::Code::NotFound);
        assert!(inputs.wait(Time::ZERO).is_none(), "the driver heard nothing");
        assert_eq!(std::fs::read(ledger.path().join("ledger")).unwrap(), before);
        assert_eq!(
            ask(real.to_string()).await,
            tonic::Code::Unavailable,
            "only now the members are asked for"
        );
    }

    #[test]
    fn only_who_has_a_real_token_leaves_a_trace() {
        assert!(!had_a_token(&LedgerError::Unknown.into()));
        let by = NodeId([1; 32]);
        assert!(had_a_token(&LedgerError::Taken { name: Label::new("web-1").unwrap(), by }.into()));
    }
}
