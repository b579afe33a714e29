//! `cluster join --operator`: a person gets a key of one's own, without daemon or root.

use std::{net::SocketAddr, path::Path};

use smartfw_identity::{BadToken, Identity, Label, Role, Token, Wish};

use super::{own_passphrase, warn_of_clocks};
use crate::{
    args::{Format, Global},
    client,
    duration::now,
    failure::Failure,
    operator::{Home, Room},
    output::Output,
    secret::Secret,
};

/// Addresses of one host name that are tried.
const TRIED: usize = 8;

pub(super) fn join(
    global: &Global,
    output: &mut Output,
    address: &str,
    token: &Secret,
    name: &Label,
    no_passphrase: bool,
) -> Result<(), Failure> {
    let token: Token = token.text().parse().map_err(|why: BadToken| Failure::failed(why.to_string()))?;
    let home = Home::find()?;
    free_of_others(&home, token.root(), name)?;
    // Whatever can be refused is refused before a token is used up.
    let room = Room::make(&home)?;
    let (address, cluster) = client::block_on(async {
        let found = smartfw_identity::reach(&resolved(address).await?, &token).await;
        let (address, peer) = found.map_err(|why| Failure::failed(why.to_string()))?;
        Ok((address, peer.member.name.cluster))
    })?;
    free_of_namesakes(&home, token.root(), &cluster)?;
    let own = own_passphrase(global, no_passphrase)?;
    let admitted = client::block_on(async {
        let wish = Wish { name, roles: &[Role::Operator], folder: Path::new("/nonexistent") };
        let admitted = smartfw_identity::join(address, &token, wish, now()).await;
        admitted.map_err(|why| Failure::failed(why.to_string()))
    })?;
    let here = now();
    let skew = if admitted.clock > here { admitted.clock.since(here) } else { here.since(admitted.clock) };
    warn_of_clocks(i64::try_from(skew.as_nanos()).unwrap_or(i64::MAX));
    room.keep(&admitted.identity, own.as_ref()).map_err(|why| {
        why.after(&format!(
            "the token is used up: mend that, and get another by `smartfw-cli cluster token --role operator --replace \
             {name}`"
        ))
    })?;
    told(output, &admitted.identity, &home)
}

fn told(output: &mut Output, identity: &Identity, home: &Home) -> Result<(), Failure> {
    let (cluster, name, id) = (identity.trust().cluster(), &identity.member().name.name, identity.id());
    let kept = home.of(cluster.as_str());
    match output.format {
        Format::Json => output.json(&serde_json::json!({
            "cluster": cluster.as_str(), "operator": name.as_str(), "id": format!("{id:#}"),
            "operator_dir": kept.display().to_string(),
        })),
        Format::Raw => output.raw(&[cluster.to_string(), name.to_string(), format!("{id:#}")]),
        Format::Human => output.line(&format!(
            "You are operator {name} ({id:#}) of cluster {cluster}; your key is in {}.",
            kept.display()
        )),
    }
}

/// A key of the token's cluster gives way to a new one of the same name only.
fn free_of_others(home: &Home, root: &[u8; 32], name: &Label) -> Result<(), Failure> {
    for folder in home.all() {
        let Ok((member, trust)) = Identity::certified(&folder) else { continue };
        if trust.root().fingerprint() == *root && member.name.name != *name {
            return Err(Failure::failed(format!(
                "you are operator {} of cluster {} already, and the key in {} would be lost: say --operator {0} to renew \
                 it, or keep the other in a place of its own (SMARTFW_OPERATOR_DIR)",
                member.name.name,
                trust.cluster(),
                folder.display()
            )));
        }
    }
    Ok(())
}

/// Another cluster of the same name has its key where this one would go.
fn free_of_namesakes(home: &Home, root: &[u8; 32], cluster: &Label) -> Result<(), Failure> {
    let folder = home.of(cluster.as_str());
    let same = Identity::certified(&folder).is_ok_and(|(_, trust)| trust.root().fingerprint() == *root);
    if same || !folder.exists() {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "{} holds another key than one of this cluster {cluster}: move it away, or keep the new one elsewhere \
         (SMARTFW_OPERATOR_DIR); the token is not used up",
        folder.display()
    )))
}

async fn resolved(address: &str) -> Result<Vec<SocketAddr>, Failure> {
    let found = tokio::net::lookup_host(address).await;
    let found = found.map_err(|error| {
        Failure::failed(format!("cannot find {address:?}: {error}; write ADDR:PORT, like 10.0.0.11:7470"))
    })?;
    Ok(found.take(TRIED).collect())
}

#[cfg(test)]
mod tests {
    use smartfw_identity::{Founded, Founding};

    use super::*;

    fn label(text: &str) -> Label {
        Label::new(text).unwrap()
    }

    fn founded(folder: &Path) -> Founded {
        let (cluster, site, signer, operator) =
            (label("prod"), label("default"), label("web-1"), label("alice"));
        let founding = Founding { cluster: &cluster, site: &site, signer: &signer, operator: &operator };
        founding.found(folder, now()).unwrap()
    }

    fn root(of: &Founded) -> [u8; 32] {
        of.root.certificate().fingerprint()
    }

    #[test]
    fn a_key_gives_way_only_to_one_of_the_same_name_and_root() {
        let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (one, other) = (founded(ours.path()), founded(theirs.path()));
        let place = tempfile::tempdir().unwrap();
        let home = Home::at(place.path());
        Room::make(&home).unwrap().keep(&one.operator, None).unwrap();
        assert!(free_of_others(&home, &root(&one), &label("alice")).is_ok());
        let refused = free_of_others(&home, &root(&one), &label("bob")).unwrap_err().line().unwrap();
        assert!(refused.contains("you are operator alice of cluster prod already"), "{refused}");
        assert!(free_of_others(&home, &root(&other), &label("bob")).is_ok());
        assert!(free_of_namesakes(&home, &root(&one), &label("prod")).is_ok());
        assert!(free_of_namesakes(&home, &root(&other), &label("prod")).is_err());
        assert!(free_of_namesakes(&home, &root(&other), &label("test")).is_ok());
    }

    #[test]
    fn a_renewed_key_moves_in_whole_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let one = founded(folder.path());
        let place = tempfile::tempdir().unwrap();
        let home = Home::at(place.path());
        for _ in 0..2 {
            Room::make(&home).unwrap().keep(&one.operator, None).unwrap();
        }
        drop(Room::make(&home).unwrap());
        let left: Vec<_> =
            std::fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["prod"]);
        assert_eq!(Identity::load(&home.of("prod"), None).unwrap().id(), one.operator.id());
    }
}
