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
    sync::{Arc, Weak},
};

use smartfw_core::{Time, fleet::NodeId, members::MemberState};
use smartfw_identity::{
    Current, Joined, Joining, Known, Label, LedgerError, Revocations, Role, SignError, Signer, Token,
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
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, service::Routes};

use super::{
    Control, FleetHandle, MemberView,
    beside::{Beside, BesideOf, Opened},
};
use crate::{clock, inbox::Inbox};

pub use vault::Vault;

/// Calls at once on a stranger's connection: it has one thing to ask.
const CALLS: usize = 2;

/// The desk as it stands beside the streams of a network of `control`'s, and the renewing of our own certificate.
pub fn beside(inbox: Inbox, control: Weak<Control>, vault: Vault) -> BesideOf {
    Box::new(move |Opened { current, revocations, folder }| {
        let (current, revocations, folder) = (current.clone(), revocations.clone(), folder.clone());
        let (inbox, control, vault) = (inbox.clone(), control.clone(), vault.clone());
        Arc::new(Desk { inbox, control, current, revocations, folder, vault })
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
        let asked = read(request.into_inner().try_into()?, from)?;
        let members = self.members().await?;
        let seeds = seeds(&members);
        let desk = self.clone();
        let given = tokio::task::spawn_blocking(move || desk.admit(&asked, &members));
        let (given, now) = given.await.map_err(|_| Status::unavailable("the signer is ending"))??;
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
        let desk = self.clone();
        let renewed = tokio::task::spawn_blocking(move || {
            let now = clock::now();
            let signer = desk.signer(now)?;
            let member = &peer.member;
            let chain = signer.renew(member, &csr, &desk.revocations, now);
            match &chain {
                Ok(_) => tracing::info!(id = %member.id, name = %member.name, "audit: a member was renewed"),
                Err(why) => {
                    tracing::warn!(id = %member.id, name = %member.name, %why, "audit: a member was not renewed");
                }
            }
            chain.map_err(|why| said(&why))
        });
        let chain = renewed.await.map_err(|_| Status::unavailable("the signer is ending"))??;
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
                .concurrency_limit_per_connection(CALLS)
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

    fn admit(&self, asked: &Asked, members: &[MemberView]) -> Result<(Certificates, Time), Status> {
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
                Ok((Certificates::Authority(authority.der().to_vec()), now))
            }
            Err(why) => {
                if had_a_token(&why) {
                    tracing::warn!(name = %asked.name, from, %why, "audit: a token was refused");
                }
                Err(said(&why))
            }
        }
    }

    fn signer(&self, now: Time) -> Result<Signer, Status> {
        Signer::load(&self.folder, &self.current.get(), now).map_err(|why| said(&why))
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
fn holder(members: &[MemberView], name: &Label) -> Option<NodeId> {
    // Two of the same name have the beginning of their keys behind it.
    let named = |member: &&MemberView| {
        let rest = member.name.strip_prefix(name.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(" ("))
    };
    let there = |member: &&MemberView| member.state != MemberState::Left;
    members.iter().filter(there).find(named).map(|member| member.id)
}

/// Where a new member finds others: those who answer first.
fn seeds(members: &[MemberView]) -> Vec<String> {
    let mut alive: Vec<&MemberView> =
        members.iter().filter(|member| member.state == MemberState::Alive).collect();
    alive.truncate(limits::SEEDS);
    alive.iter().map(|member| member.address.to_string()).collect()
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
    use std::collections::BTreeMap;

    use super::*;

    fn member(name: &str, n: u8, state: MemberState) -> MemberView {
        MemberView {
            id: NodeId([n; 32]),
            name: name.into(),
            site: "default".into(),
            role: Some(Role::Node),
            address: SocketAddr::from(([192, 0, 2, n], 7470)),
            state,
            version: "0.1.0".into(),
            blocks: 0,
            withheld: BTreeMap::new(),
            trust: 1.0,
            rtt_ms: None,
            certificate_expires: Time::NEVER,
        }
    }

    #[test]
    fn a_name_is_held_by_whoever_bears_it_and_has_not_left() {
        let members = [
            member("web-1", 1, MemberState::Dead),
            member("web-2", 2, MemberState::Left),
            member("web-3 (0303030303030303)", 3, MemberState::Alive),
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

    #[test]
    fn only_who_has_a_real_token_leaves_a_trace() {
        assert!(!had_a_token(&LedgerError::Unknown.into()));
        let by = NodeId([1; 32]);
        assert!(had_a_token(&LedgerError::Taken { name: Label::new("web-1").unwrap(), by }.into()));
    }
}
