//! Founding, inviting, entering, leaving: what changes `<state>/identity`.
//!
//! A new identity is made in a folder beside and put in place whole: a crash leaves a member or none.

use std::{
    fs::{self, DirBuilder},
    io,
    net::SocketAddr,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use smartfw_core::{Time, members::MemberState};
use smartfw_identity::{
    Admitted, FoundError, Founding as Found, Identity, Invitation, Label, Passphrase, Revocations, Role,
    Root, Signer, Token, Wish, join, reach,
};
use smartfw_proto::view::{Entered, Entering, Founded, Founding, Invite, Invited, OperatorKey};
use tonic::Status;

use super::refusal;
use crate::{
    clock,
    fleet::{
        FleetHandle, FleetRefused, FleetStatus, Reach, is_identity,
        joining::{ROOT_LASTS, Vault},
    },
};

/// The set of who was expelled, within the identity's folder.
const REVOCATIONS: &str = "revocations";
/// Addresses of one host name that are tried.
const TRIED: usize = 8;

/// Makes a cluster with this node as its first signer.
pub(super) async fn found(fleet: &FleetHandle, node: &str, founding: Founding) -> Result<Founded, Status> {
    outside(fleet).await?;
    let advertise = reachable(&founding.advertise)?;
    let (folder, signer) = (fleet.folder(), label(node)?);
    let made = blocking(move || make(&folder, &signer, &founding)).await?;
    let reach = Reach { advertise: Some(advertise), seeds: Vec::new() };
    if let Err(why) = fleet.enter(reach).await {
        // Nobody knows this cluster yet: nothing is lost with it.
        let _ = fs::remove_dir_all(fleet.folder());
        return Err(refusal(&why));
    }
    Ok(made)
}

fn make(folder: &Path, signer: &Label, founding: &Founding) -> Result<Founded, Status> {
    let passphrase = Passphrase::new(founding.passphrase.clone()).map_err(wrong)?;
    let (cluster, site) = (label(&founding.cluster)?, label(&founding.site)?);
    let operator = label(&founding.operator)?;
    if operator == *signer {
        return Err(wrong(format!(
            "the operator and this node cannot both be called {signer}: choose another by --operator"
        )));
    }
    let new = fresh(folder)?;
    let found = Found { cluster: &cluster, site: &site, signer, operator: &operator };
    let founded = found.found(&new, clock::now()).map_err(|why: FoundError| failed(&why))?;
    keep(&new, &founded.identity, Some(&founded.signer))?;
    let root = founded.root.export(&passphrase).map_err(|why| failed(&why))?;
    put(&new, folder)?;
    let certificate = founded.root.certificate();
    let operator = OperatorKey {
        key: founded.operator.key().pkcs8().to_vec(),
        chain: founded.operator.chain().to_bytes(),
        root: certificate.der().to_vec(),
    };
    Ok(Founded {
        cluster: cluster.to_string(),
        node: founded.identity.id(),
        name: signer.to_string(),
        root,
        fingerprint: certificate.fingerprint(),
        operator,
    })
}

/// A token that lets somebody in.
pub(super) async fn invite(fleet: &FleetHandle, vault: &Vault, invite: Invite) -> Result<Invited, Status> {
    let status = inside(fleet).await?;
    if status.role != Role::Signer {
        return Err(wrong(format!("{} is no signer: {}", status.name, signers(fleet).await)));
    }
    let (folder, vault) = (fleet.folder(), vault.clone());
    let address = status.address.to_string();
    blocking(move || {
        let now = clock::now();
        let identity = Identity::load(&folder, None).map_err(|why| failed(&why))?;
        let role: Role = invite.role.parse().map_err(wrong)?;
        // The root stays as long as its token, and not for long.
        let lasts = if invite.root.is_some() { invite.lasts.min(ROOT_LASTS) } else { invite.lasts };
        let expires = now.after(lasts);
        let root = invite.root.map(|(text, passphrase)| root(&text, passphrase, &identity)).transpose()?;
        if role == Role::Signer && root.is_none() && vault.get(now).is_none() {
            return Err(wrong(
                "only the root makes signers: say --root FILE with the root as `cluster init` exported it",
            ));
        }
        let invitation = Invitation {
            role,
            site: invite.site.as_deref().map_or_else(|| Ok(identity.member().name.site.clone()), label)?,
            replace: invite.replace.as_deref().map(label).transpose()?,
            expires,
        };
        let signer = Signer::load(&folder, &identity, now).map_err(|why| failed(&why))?;
        let token = signer.invite(invitation, now).map_err(wrong)?;
        if let Some(root) = root {
            vault.put(root, now, lasts);
        }
        Ok(Invited { token: token.to_string(), expires: token.expires(), address })
    })
    .await
}

fn root(text: &str, passphrase: String, identity: &Identity) -> Result<Root, Status> {
    let root = Root::import(text, &Passphrase::new(passphrase).map_err(wrong)?).map_err(wrong)?;
    if root.certificate() == identity.trust().root() {
        return Ok(root);
    }
    Err(wrong(format!("this is the root of another cluster ({})", root.cluster())))
}

/// Joins a cluster.
pub(super) async fn enter(fleet: &FleetHandle, node: &str, entering: Entering) -> Result<Entered, Status> {
    outside(fleet).await?;
    let token: Token = entering.token.parse().map_err(wrong)?;
    let advertise = entering.advertise.as_deref().map(reachable).transpose()?;
    let name = label(entering.name.as_deref().unwrap_or(node))?;
    let addresses = resolved(&entering.address).await?;
    let folder = fleet.folder();
    let new = blocking(move || fresh(&folder)).await?;
    let begun = clock::now();
    let (admitted, signer) = ask(&addresses, &token, &name, &new).await?;
    let Admitted { identity, signer: authority, mut members, clock, .. } = admitted;
    let ahead = ahead(clock, begun, clock::now());
    members.insert(0, signer);
    let (member, folder) = (identity.member().clone(), fleet.folder());
    blocking(move || {
        keep(&new, &identity, authority.as_ref())?;
        put(&new, &folder)
    })
    .await?;
    fleet.enter(Reach { advertise, seeds: members }).await.map_err(|why| {
        // The token is used up, and what it gave is kept.
        wrong(format!(
            "the certificate is here, but the node cannot take part: {why}; mend that and restart it"
        ))
    })?;
    let known = fleet.members().await.map_or(1, |members| members.len());
    Ok(Entered {
        cluster: member.name.cluster.to_string(),
        site: member.name.site.to_string(),
        name: member.name.name.to_string(),
        role: member.role.to_string(),
        node: member.id,
        members: known.try_into().unwrap_or(u32::MAX),
        ahead,
    })
}

async fn ask(
    addresses: &[SocketAddr],
    token: &Token,
    name: &Label,
    folder: &Path,
) -> Result<(Admitted, SocketAddr), Status> {
    let (address, _) = reach(addresses, token).await.map_err(wrong)?;
    let wish = Wish { name, roles: &[Role::Node, Role::Signer], folder };
    let admitted = join(address, token, wish, clock::now()).await.map_err(wrong)?;
    Ok((admitted, address))
}

/// How far the signer's clock is ahead, nanoseconds: beside the middle of our question.
fn ahead(clock: Time, begun: Time, ended: Time) -> i64 {
    let middle = begun.after(ended.since(begun) / 2);
    let signed = |span: std::time::Duration| i64::try_from(span.as_nanos()).unwrap_or(i64::MAX);
    if clock >= middle { signed(clock.since(middle)) } else { -signed(middle.since(clock)) }
}

/// Leaves; the cluster's name.
pub(super) async fn leave(fleet: &FleetHandle, force: bool) -> Result<String, Status> {
    let status = inside(fleet).await?;
    let others = fleet.members().await.map_err(|why| refusal(&why))?;
    let others = others.iter().filter(|member| member.id != status.id && member.state != MemberState::Left);
    let (mut any, mut signer) = (false, false);
    others.for_each(|member| (any, signer) = (true, signer || member.role == Some(Role::Signer)));
    if status.role == Role::Signer && any && !signer && !force {
        return Err(wrong(
            "this is the only signer that is known here: without one nobody joins, and certificates end within 30 \
             days; make another first (cluster token --role signer), or say --force",
        ));
    }
    fleet.leave().await.map_err(|why| refusal(&why))?;
    Ok(status.cluster)
}

async fn signers(fleet: &FleetHandle) -> String {
    let members = fleet.members().await.unwrap_or_default();
    let signers = members.iter().filter(|member| member.role == Some(Role::Signer));
    let names: Vec<&str> = signers.map(|member| member.name.as_str()).collect();
    match names.is_empty() {
        true => "ask where `cluster init` was run".into(),
        false => format!("ask {}", names.join(" or ")),
    }
}

async fn inside(fleet: &FleetHandle) -> Result<FleetStatus, Status> {
    let status = fleet.status().await.map_err(|why| refusal(&why))?;
    status.ok_or_else(|| refusal(&FleetRefused::NoCluster))
}

async fn outside(fleet: &FleetHandle) -> Result<(), Status> {
    match fleet.status().await.map_err(|why| refusal(&why))? {
        Some(status) => Err(refusal(&FleetRefused::InCluster(status.cluster))),
        None if is_identity(&fleet.folder()) => Err(wrong(format!(
            "{} holds an identity that is not in use: smartfw-cli status says why; to give it up, move it away",
            fleet.folder().display()
        ))),
        None => Ok(()),
    }
}

/// A folder for a new identity, beside its place.
fn fresh(folder: &Path) -> Result<PathBuf, Status> {
    let new = folder.with_extension("new");
    let cannot = |error: io::Error| wrong(format!("cannot make {}: {error}", new.display()));
    match fs::remove_dir_all(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(cannot(error)),
        _ => {}
    }
    DirBuilder::new().recursive(true).mode(0o700).create(&new).map_err(cannot)?;
    Ok(new)
}

fn keep(new: &Path, identity: &Identity, signer: Option<&Signer>) -> Result<(), Status> {
    identity.save(new, None).map_err(|why| failed(&why))?;
    if let Some(signer) = signer {
        signer.save(new).map_err(|why| failed(&why))?;
    }
    Revocations::create(&new.join(REVOCATIONS), identity.trust().clone()).map_err(|why| failed(&why))?;
    Ok(())
}

/// Puts a new identity in its place: an empty folder gives way, anything else is somebody's.
fn put(new: &Path, folder: &Path) -> Result<(), Status> {
    fs::rename(new, folder).map_err(|error| {
        wrong(format!("cannot put the identity at {}: {error}; move what is there away", folder.display()))
    })
}

fn label(text: &str) -> Result<Label, Status> {
    Label::new(text).map_err(wrong)
}

/// Where peers reach this node: an address of its own, not all of them.
fn reachable(text: &str) -> Result<SocketAddr, Status> {
    let address: SocketAddr =
        text.parse().map_err(|_| wrong(format!("{text:?} is no ADDR:PORT, like 10.0.0.11:7470")))?;
    if address.ip().is_unspecified() || address.ip().is_multicast() || address.port() == 0 {
        return Err(wrong(format!(
            "{address} is not where a peer can reach this node: name one of its addresses"
        )));
    }
    Ok(address)
}

async fn resolved(text: &str) -> Result<Vec<SocketAddr>, Status> {
    let cannot =
        |why: String| wrong(format!("cannot find {text:?}: {why}; write ADDR:PORT, like 10.0.0.11:7470"));
    let found = tokio::net::lookup_host(text).await.map_err(|error| cannot(error.to_string()))?;
    let found: Vec<SocketAddr> = found.take(TRIED).collect();
    if found.is_empty() { Err(cannot("it has no address".into())) } else { Ok(found) }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Status> + Send + 'static,
) -> Result<T, Status> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Status::unavailable("the daemon is ending"))?
}

/// What the person can mend.
fn wrong(why: impl ToString) -> Status {
    Status::invalid_argument(why.to_string())
}

fn failed(why: &impl ToString) -> Status {
    Status::failed_precondition(why.to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_address_that_no_peer_can_reach_is_refused() {
        for bad in ["0.0.0.0:7470", "[::]:7470", "10.0.0.11", "10.0.0.11:0", "224.0.0.1:7470", "web-1:7470"] {
            assert!(reachable(bad).is_err(), "{bad}");
        }
        assert!(reachable("[2001:db8::1]:7470").is_ok());
    }

    #[test]
    fn a_clock_is_compared_with_the_middle_of_the_question() {
        let at = |seconds: u64| Time::from_secs(1000 + seconds);
        assert_eq!(ahead(at(1), at(0), at(2)), 0);
        assert_eq!(ahead(at(61), at(0), at(2)), Duration::from_secs(60).as_nanos() as i64);
        assert_eq!(ahead(at(0), at(0), at(2)), -(Duration::from_secs(1).as_nanos() as i64));
    }

    #[test]
    fn an_identity_is_put_in_place_whole_and_over_nobody_s() {
        let state = tempfile::tempdir().unwrap();
        let folder = state.path().join("identity");
        let founding = Founding {
            cluster: "prod".into(),
            site: "default".into(),
            operator: "alice".into(),
            advertise: String::new(),
            passphrase: "four random words".into(),
        };
        let signer = Label::new("web-1").unwrap();
        let made = make(&folder, &signer, &founding).unwrap();
        let identity = Identity::load(&folder, None).unwrap();
        assert_eq!((identity.id(), identity.member().role), (made.node, Role::Signer));
        assert!(Signer::load(&folder, &identity, clock::now()).is_ok());
        assert!(
            Revocations::open(&folder.join(REVOCATIONS), identity.trust().clone()).unreadable().is_none()
        );
        assert!(Root::import(&made.root, &Passphrase::new("four random words").unwrap()).is_ok());
        let again = make(&folder, &signer, &founding).unwrap_err();
        assert!(again.message().contains("move what is there away"), "{again}");
        assert_eq!(Identity::load(&folder, None).unwrap().id(), made.node);
    }

    #[test]
    fn an_operator_is_not_called_as_the_node_is_and_a_passphrase_is_no_word() {
        let state = tempfile::tempdir().unwrap();
        let founding = Founding {
            cluster: "prod".into(),
            site: "default".into(),
            operator: "web-1".into(),
            advertise: String::new(),
            passphrase: "four random words".into(),
        };
        let signer = Label::new("web-1").unwrap();
        let refused = make(&state.path().join("identity"), &signer, &founding).unwrap_err();
        assert!(refused.message().contains("--operator"), "{refused}");
        let short = Founding { operator: "alice".into(), passphrase: "short".into(), ..founding };
        let refused = make(&state.path().join("identity"), &signer, &short).unwrap_err();
        assert!(refused.message().contains("too short"), "{refused}");
    }
}
