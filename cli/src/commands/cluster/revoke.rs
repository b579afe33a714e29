//! `cluster revoke`: first what it would do, then it is done.

use std::path::Path;

use smartfw_core::{
    IpNet,
    fleet::{NodeId, OrderKind, SignedOrder},
};
use smartfw_identity::{Passphrase, Revocation, Role, Root};
use smartfw_proto::{
    view::{ClusterNode, Given},
    wire,
};

use super::{lists, meant, membership};
use crate::{
    args::{Format, Global},
    client::{self, Daemon},
    commands::{fleet, plural, targets},
    duration::now,
    failure::Failure,
    operator::{Found, Operator, yes},
    output::{Output, complain},
};

/// Targets that are named before a person decides.
const SHOWN: usize = 20;

/// Who is expelled.
struct Whom {
    id: NodeId,
    name: String,
    role: Option<Role>,
}

/// What ends with it.
#[derive(Default)]
struct Unblocked {
    first: Vec<IpNet>,
    total: u64,
    /// Others say the same of so many.
    stays: u64,
}

pub(super) fn run(
    global: &Global,
    output: &mut Output,
    node: &str,
    sure: bool,
    root: Option<&Path>,
) -> Result<(), Failure> {
    let cluster = fleet::cluster(global)?;
    let whom = whom(&super::nodes(global)?, node)?;
    let unblocked = unblocked(global, &whom)?;
    shown(output, &whom, &unblocked)?;
    if !sure {
        match yes(&format!("Expel {}? It needs a new key and a new token to come back.", whom.name)) {
            Some(true) => {}
            Some(false) => return Err(Failure::failed("nothing was done")),
            None => return Err(Failure::failed("nothing was done: there is nobody to ask; say --yes")),
        }
    }
    let unsure = whom.role.is_none() && root.is_none();
    let (statement, order) = match root {
        Some(path) => by_root(global, &cluster, &whom, path)?,
        None => by_operator(global, &cluster, &whom)?,
    };
    let given = Given { orders: order.into_iter().collect(), revocations: vec![statement] };
    let answer = client::block_on(async {
        let mut daemon = Daemon::connect(&global.socket).await?;
        let asked = wire::RevokeRequest::from(given);
        daemon.ask_cluster(async |mut client| client.revoke(asked).await).await
    })?;
    let new = answer.expelled > 0;
    if unsure {
        complain(
            "it is no member that is known here: as a node it is out; an operator is expelled by --root FILE only",
        );
    }
    match output.format {
        Format::Human if new => output.line(&format!("{} is expelled; what it said is void.", whom.name)),
        Format::Human => output.line(&format!("{} was expelled before.", whom.name)),
        Format::Json => output.json(&serde_json::json!({
            "kind": "revoked", "name": whom.name, "id": format!("{:#}", whom.id), "unblocked": unblocked.total, "new": new,
        })),
        Format::Raw => output.raw(&[whom.name, format!("{:#}", whom.id), unblocked.total.to_string()]),
    }
}

/// A member as it is listed; or, of an operator or one long gone, its whole id.
fn whom(nodes: &[ClusterNode], text: &str) -> Result<Whom, Failure> {
    match (meant(nodes, text), text.parse::<NodeId>()) {
        (Ok(ClusterNode { id: Some(id), name, role, me, .. }), _) => {
            if *me {
                return Err(Failure::failed(
                    "this is the node that you ask: expel it from another one, or let it leave (cluster leave)",
                ));
            }
            let role = role.as_ref().and_then(|role| role.parse().ok());
            Ok(Whom { id: *id, name: name.clone(), role })
        }
        (Ok(_), _) => Err(Failure::failed("this node is in no cluster")),
        (Err(_), Ok(id)) => Ok(Whom { id, name: id.to_string(), role: None }),
        (Err(why), Err(_)) => Err(why),
    }
}

fn unblocked(global: &Global, whom: &Whom) -> Result<Unblocked, Failure> {
    let mut found = Unblocked::default();
    client::block_on(async {
        let mut daemon = Daemon::connect(&global.socket).await?;
        let count = lists::each(&mut daemon, Some(whom.name.clone()), |row| {
            if row.confirmed_by.is_empty() {
                found.total += 1;
                if found.first.len() < SHOWN {
                    found.first.push(row.target);
                }
            } else {
                found.stays += 1;
            }
            Ok(())
        });
        count.await
    })?;
    Ok(found)
}

fn shown(output: &mut Output, whom: &Whom, unblocked: &Unblocked) -> Result<(), Failure> {
    if output.format != Format::Human {
        return Ok(());
    }
    let Unblocked { first, total, stays } = unblocked;
    output.line(&format!(
        "{} ({}) is to be expelled, and everything it ever said is void.",
        whom.name, whom.id
    ))?;
    match total {
        0 => output.line("Nothing would be unblocked.")?,
        _ => {
            let rest = if *total > first.len() as u64 { ", …" } else { "" };
            let names = targets(first.iter());
            output.line(&format!(
                "{} would be unblocked: {names}{rest}",
                plural(*total, "target", "targets")
            ))?;
        }
    }
    if *stays > 0 {
        output.line(&format!("{} would stay: others say the same.", plural(*stays, "target", "targets")))?;
    }
    output.flush()
}

type Signed = (Vec<u8>, Option<SignedOrder>);

fn by_operator(global: &Global, cluster: &str, whom: &Whom) -> Result<Signed, Failure> {
    let operator = Operator::need(global, cluster)?;
    let role = whom.role.unwrap_or(Role::Node);
    let statement = Revocation::by_operator(operator.identity(), whom.id, role, now())
        .map_err(|why| Failure::failed(format!("{} is not expelled: {why}", whom.name)))?;
    Ok((statement, Some(operator.sign(OrderKind::Revoke { node: whom.id }, None)?.1)))
}

fn by_root(global: &Global, cluster: &str, whom: &Whom, path: &Path) -> Result<Signed, Failure> {
    let (text, passphrase) = membership::sealed_root(global, path)?;
    let failed = |why: String| Failure::failed(format!("{} is not expelled: {why}", whom.name));
    let passphrase = Passphrase::new(passphrase).map_err(|why| failed(why.to_string()))?;
    let root = Root::import(&text, &passphrase).map_err(|why| failed(why.to_string()))?;
    if root.cluster().as_str() != cluster {
        return Err(failed(format!("this is the root of cluster {}, not of {cluster}", root.cluster())));
    }
    let statement = Revocation::by_root(&root, whom.id, now()).map_err(|why| failed(why.to_string()))?;
    // The statement alone voids what it said; with a key at hand the order says the same in the log.
    let order = match Operator::find(global, cluster) {
        Ok(Found::Open(operator)) if operator.identity().id() != whom.id => {
            operator.sign(OrderKind::Revoke { node: whom.id }, None).ok().map(|(_, order)| order)
        }
        _ => None,
    };
    Ok((statement, order))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::cluster::samples::node;

    #[test]
    fn an_operator_or_one_long_gone_is_named_by_its_whole_id() {
        let nodes = [node("web-1", 1), node("web-2", 2)];
        assert_eq!(whom(&nodes, "web-2").ok().unwrap().id, NodeId([2; 32]));
        let gone = "ab".repeat(32);
        assert_eq!(whom(&nodes, &gone).ok().unwrap().id, NodeId([0xab; 32]));
        assert!(whom(&nodes, &gone[..20]).is_err());
        let own = whom(&nodes, "web-1").err().unwrap();
        assert!(own.line().unwrap().contains("cluster leave"), "{own}");
    }
}
