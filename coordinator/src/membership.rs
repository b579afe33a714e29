//! Entering a cluster, and leaving it.

use std::{net::SocketAddr, path::Path};

use anyhow::{Context as _, bail};
use smartfw_core::fleet::NodeId;
use smartfw_identity::{Admitted, Identity, Label, Role, SKEW, Token, Wish, join, reach};

use crate::{
    clock,
    place::{self, Kept, Lock, Reach, SEEDS},
};

/// Addresses of one host name that are tried.
const TRIED: usize = 8;

/// What a person says who lets the coordinator join. The token is a secret: there is no way to print this.
#[derive(Clone)]
pub struct Entering<'a> {
    /// The signer that printed the token: ADDR:PORT.
    pub address: &'a str,
    /// The token.
    pub token: &'a str,
    /// The name that the coordinator shall have.
    pub name: Option<&'a str>,
    /// Where nodes reach it.
    pub advertise: Option<SocketAddr>,
}

/// Who it became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entered {
    /// The cluster.
    pub cluster: Label,
    /// Its name in it.
    pub name: Label,
    /// Its key.
    pub id: NodeId,
}

/// Enters a cluster; the identity is on disk when this returns.
///
/// # Errors
/// When it is in one, a coordinator runs in the folder, or the signer cannot be reached or refuses.
pub async fn enter(state_dir: &Path, entering: Entering<'_>) -> anyhow::Result<Entered> {
    let _lock = Lock::take(state_dir)?;
    let folder = place::folder(state_dir);
    if place::is_identity(&folder) {
        let whose = Identity::certified(&folder)
            .map_or_else(|_| "an identity".into(), |(who, _)| who.name.to_string());
        bail!(
            "{} holds {whose} already: run `smartfw-coordinator leave` first, or choose another --state-dir",
            folder.display()
        );
    }
    if let Some(address) = entering.advertise.filter(|address| !reachable(address)) {
        bail!("{address} is not where a node can reach this coordinator: name one of its addresses");
    }
    let name = entering.name.map_or_else(host, |name| Ok(Label::new(name)?))?;
    let token: Token = entering.token.parse()?;
    let addresses = resolved(entering.address).await?;
    let (address, _) = reach(&addresses, &token).await?;
    let wish = Wish { name: &name, roles: &[Role::Coordinator], folder: &folder };
    let Admitted { identity, members, clock, .. } = join(address, &token, wish, clock::now()).await?;
    warn_of_skew(clock);
    let mut seeds = vec![address];
    seeds.extend(members.into_iter().filter(|member| *member != address).take(SEEDS - 1));
    Kept::save(state_dir, &identity, &Reach { advertise: entering.advertise, seeds })?;
    let member = identity.member();
    Ok(Entered { cluster: member.name.cluster.clone(), name: member.name.name.clone(), id: member.id })
}

/// Leaves; the cluster's name.
///
/// # Errors
/// When it is in none, or runs.
pub fn leave(state_dir: &Path) -> anyhow::Result<Label> {
    let _lock = Lock::take(state_dir)?;
    // A node's identity in the same place is not ours to destroy.
    let kept = Kept::load(state_dir)?;
    let folder = place::folder(state_dir);
    std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    Ok(kept.identity.member().name.cluster.clone())
}

/// Whether others can reach an address.
pub fn reachable(address: &SocketAddr) -> bool {
    !address.ip().is_unspecified() && !address.ip().is_multicast() && address.port() != 0
}

/// A node of the same host has the host's name.
fn host() -> anyhow::Result<Label> {
    let name = nix::unistd::gethostname().context("this host has no name: give one by --name")?;
    let short: String = name.to_string_lossy().chars().take(50).collect();
    Label::new(&format!("{short}-coordinator")).context("this host's name cannot be ours: give one by --name")
}

async fn resolved(text: &str) -> anyhow::Result<Vec<SocketAddr>> {
    let how = || format!("cannot find {text:?}: write ADDR:PORT, like 10.0.0.11:7470");
    let found: Vec<SocketAddr> = tokio::net::lookup_host(text).await.with_context(how)?.take(TRIED).collect();
    if found.is_empty() { bail!(how()) } else { Ok(found) }
}

fn warn_of_skew(theirs: smartfw_core::Time) {
    let ours = clock::now();
    let apart = ours.since(theirs).max(theirs.since(ours));
    if apart > SKEW {
        let seconds = apart.as_secs();
        tracing::warn!(
            seconds,
            "this machine's clock and the signer's differ: compare both with a time server"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use smartfw_identity::{
        Current, Invitation, Joined, Joining, Known, Revocations, Roles,
        tls::{Accepted, Listening, Net},
    };
    use smartfw_proto::{
        convert::{Certificates, Redeemed, Redeeming},
        wire::{
            RedeemAnswer, RedeemRequest,
            join_server::{Join, JoinServer},
        },
    };
    use tonic::{Request, Response, Status};

    use super::*;
    use crate::testing::Cluster;

    /// A signer to whom tokens are brought.
    struct Desk(Arc<Cluster>);

    #[tonic::async_trait]
    impl Join for Desk {
        async fn redeem(&self, request: Request<RedeemRequest>) -> Result<Response<RedeemAnswer>, Status> {
            let Redeeming { token, name, request, roles } = request.into_inner().try_into()?;
            let (founded, now) = (&self.0.founded, clock::now());
            let roles: Vec<Role> = roles.iter().map(|role| role.parse().unwrap()).collect();
            let (name, token) = (Label::new(&name).unwrap(), token.parse().unwrap());
            let joining = Joining { name: &name, request: &request, roles: &roles };
            let revocations = Revocations::in_memory(founded.identity.trust().clone());
            let known = Known { holder: &|_| None, revocations: &revocations, root: None };
            let joined = founded.signer.redeem(&token, &joining, known, now);
            let Joined::Member(chain) = joined.map_err(|why| Status::failed_precondition(why.to_string()))?
            else {
                return Err(Status::internal("no signer was invited"));
            };
            let root = founded.identity.trust().root().der().to_vec();
            let members = vec!["192.0.2.7:7470".to_owned()];
            let given = Certificates::Chain(chain.to_bytes());
            Ok(Response::new(Redeemed { given, root, now, members, seen: String::new() }.into()))
        }
    }

    async fn signer(cluster: &Arc<Cluster>) -> (SocketAddr, Net) {
        let identity = cluster.founded.identity.clone();
        let revocations = Arc::new(Revocations::in_memory(identity.trust().clone()));
        let net = Net::new(Current::new(identity), revocations);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let who = Listening { roles: Roles::SERVING, joiners: true };
        let Accepted { joiners, listener, .. } = net.listen(listener, who);
        let server = tonic::transport::Server::builder().add_service(JoinServer::new(Desk(cluster.clone())));
        tokio::spawn(async move {
            let _listener = listener;
            server.serve_with_incoming(joiners).await
        });
        (address, net)
    }

    fn token(cluster: &Cluster, role: Role) -> String {
        let expires = clock::now().after(Duration::from_secs(60));
        let invitation = Invitation { role, site: Label::default_site(), replace: None, expires };
        cluster.founded.signer.invite(invitation, clock::now()).unwrap().to_string()
    }

    #[tokio::test]
    async fn a_coordinator_enters_with_a_token_once_and_leaves() {
        let (cluster, state) = (Arc::new(Cluster::found("prod")), tempfile::tempdir().unwrap());
        let (address, _net) = signer(&cluster).await;
        let (at, token) = (address.to_string(), token(&cluster, Role::Coordinator));
        let advertise = Some("192.0.2.1:7471".parse().unwrap());
        let entering = Entering { address: &at, token: &token, name: Some("memory"), advertise };
        let entered = enter(state.path(), entering.clone()).await.unwrap();
        assert_eq!((entered.cluster.as_str(), entered.name.as_str()), ("prod", "memory"));
        let kept = Kept::load(state.path()).unwrap();
        assert_eq!((kept.identity.id(), kept.identity.member().role), (entered.id, Role::Coordinator));
        let seeds = vec![address, "192.0.2.7:7470".parse().unwrap()];
        assert_eq!(kept.reach, Reach { advertise, seeds });
        let again = enter(state.path(), entering.clone()).await.unwrap_err().to_string();
        assert!(again.contains("leave"), "{again}");
        assert_eq!(leave(state.path()).unwrap().as_str(), "prod");
        assert!(leave(state.path()).is_err());
        let used = format!("{:#}", enter(state.path(), entering).await.unwrap_err());
        assert!(used.contains("refuses") && !used.contains(&token), "{used}");
    }

    #[tokio::test]
    async fn what_cannot_be_is_refused_before_a_token_is_used() {
        let (cluster, state) = (Arc::new(Cluster::found("prod")), tempfile::tempdir().unwrap());
        let (address, _net) = signer(&cluster).await;
        let (at, token) = (address.to_string(), token(&cluster, Role::Node));
        let entering = Entering { address: &at, token: &token, name: Some("memory"), advertise: None };
        let nowhere = Entering { advertise: Some("0.0.0.0:7471".parse().unwrap()), ..entering.clone() };
        let foul = Entering { name: Some("a b"), ..entering.clone() };
        let lost = Entering { address: "nonsense", ..entering.clone() };
        let mistyped = Entering { token: &token[..20], ..entering.clone() };
        for (n, wrong) in [nowhere, foul, lost, mistyped, entering].into_iter().enumerate() {
            assert!(enter(state.path(), wrong).await.is_err(), "{n}");
        }
        assert!(!place::folder(state.path()).exists());
        let running = Lock::take(state.path()).unwrap();
        assert!(leave(state.path()).unwrap_err().to_string().contains("stop it first"));
        drop(running);
    }
}
