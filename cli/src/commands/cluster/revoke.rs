//! `cluster revoke`: first what it would do, then it is done.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use smartfw_core::{
    IpNet,
    fleet::{NodeId, OrderKind, SignedOrder},
};
use smartfw_identity::{Passphrase, Revocation, Role, Root};
use smartfw_proto::{
    limits,
    view::{ClusterNode, FleetBlockFilter, FleetBlockRow, Given},
    wire,
};

use super::{lists, meant, membership};
use crate::{
    args::{Format, Global, Revoke},
    client::{self, Daemon},
    commands::{fleet, plural, targets},
    duration::now,
    failure::Failure,
    operator::{Found, Operator, yes},
    output::{Output, complain},
};

/// Targets and members that are named before a person decides.
const SHOWN: usize = 20;

/// Who is expelled.
struct Whom {
    id: NodeId,
    name: String,
    /// `None`: no member that is known here.
    member: Option<Member>,
}

/// What is known of a member.
struct Member {
    role: Role,
    /// Those whose certificates it signed, by id: without their signer they are nobody.
    signed: BTreeMap<NodeId, String>,
    /// Whether the node that answers is among them.
    me: bool,
    /// Members of which it is not known who signed them.
    unknown: usize,
}

/// What ends with it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Unblocked {
    /// At most [`limits::ENDED`].
    first: Vec<IpNet>,
    total: u64,
    /// Others say the same of so many.
    stays: u64,
}

pub(super) fn run(global: &Global, output: &mut Output, args: &Revoke) -> Result<(), Failure> {
    let cluster = fleet::cluster(global)?;
    let whom = whom(&super::nodes(global)?, &args.node)?;
    if whom.member.is_none() && args.root.is_none() {
        return Err(Failure::failed(format!(
            "{} is not expelled: it is no member that is known here, and operators are expelled by the root only: say \
             --root FILE",
            whom.name
        )));
    }
    let unblocked = unblocked(global, &whom)?;
    if output.format == Format::Human || !args.yes {
        preview(output, &whom, &unblocked)?;
    }
    alone_or_meant(&whom, args.with_its_members)?;
    if !args.yes {
        match yes(&format!("Expel {}? It needs a new key and a new token to come back.", whom.name)) {
            Some(true) => {}
            Some(false) => return Err(Failure::failed("nothing was done")),
            None => return Err(Failure::failed("nothing was done: there is nobody to ask; say --yes")),
        }
    }
    let (statement, order) = match &args.root {
        Some(path) => by_root(global, &cluster, &whom, path)?,
        None => by_operator(global, &cluster, &whom)?,
    };
    let given = Given { orders: order.into_iter().collect(), revocations: vec![statement] };
    let answer = client::block_on(async {
        let mut daemon = Daemon::connect(&global.socket).await?;
        let asked = wire::RevokeRequest::from(given);
        daemon.ask_cluster(async |mut client| client.revoke(asked).await).await
    })?;
    done(output, &whom, &unblocked, answer.expelled > 0)
}

/// A signer takes everybody with it that it signed: nobody does that by mistake.
fn alone_or_meant(whom: &Whom, meant: bool) -> Result<(), Failure> {
    let Some(Member { signed, me, .. }) = &whom.member else { return Ok(()) };
    if signed.is_empty() || meant {
        return Ok(());
    }
    let this = if *me { ", this node among them" } else { "" };
    Err(Failure::failed(format!(
        "{} is not expelled: with it go {} whose certificates it signed{this}; replace those by another signer first \
         (cluster leave, and cluster join with its token), or say --with-its-members",
        whom.name,
        plural(signed.len() as u64, "member", "members"),
    )))
}

fn done(output: &mut Output, whom: &Whom, unblocked: &Unblocked, new: bool) -> Result<(), Failure> {
    let members: Vec<&String> = whom.member.iter().flat_map(|member| member.signed.values()).collect();
    let id = format!("{:#}", whom.id);
    match output.format {
        Format::Human if !new => output.line(&format!("{} was expelled before.", whom.name)),
        Format::Human if whom.member.is_none() => {
            output.line(&format!("{} is expelled: it orders nothing any more.", whom.name))
        }
        Format::Human => {
            let with = match members.len() as u64 {
                0 => String::new(),
                count => format!(" with {}", plural(count, "member", "members")),
            };
            output.line(&format!("{} is expelled{with}; what it said is void.", whom.name))
        }
        Format::Json => output.json(&serde_json::json!({
            "kind": "revoked",
            "name": whom.name,
            "id": id,
            "unblocked": unblocked.total,
            "new": new,
            "targets": unblocked.first.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "stays": unblocked.stays,
            "members": members,
        })),
        Format::Raw => output.raw(&[whom.name.clone(), id, unblocked.total.to_string()]),
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
            // Operators are never listed.
            let role = role.as_ref().and_then(|role| role.parse().ok()).unwrap_or(Role::Node);
            Ok(Whom { id: *id, name: name.clone(), member: Some(member(nodes, *id, role)) })
        }
        (Ok(_), _) => Err(Failure::failed("this node is in no cluster")),
        (Err(_), Ok(id)) => Ok(Whom { id, name: id.to_string(), member: None }),
        (Err(why), Err(_)) => Err(why),
    }
}

fn member(nodes: &[ClusterNode], id: NodeId, role: Role) -> Member {
    let others = || nodes.iter().filter(move |node| node.id.is_some_and(|other| other != id));
    let signed = others().filter(|node| node.signer == Some(id));
    let unknown =
        if role == Role::Signer { others().filter(|node| node.signer.is_none()).count() } else { 0 };
    Member {
        role,
        me: signed.clone().any(|node| node.me),
        signed: signed.filter_map(|node| Some((node.id?, node.name.clone()))).collect(),
        unknown,
    }
}

fn unblocked(global: &Global, whom: &Whom) -> Result<Unblocked, Failure> {
    let Some(member) = &whom.member else { return Ok(Unblocked::default()) };
    let gone: BTreeSet<NodeId> = member.signed.keys().copied().chain([whom.id]).collect();
    let names: BTreeSet<&str> = member.signed.values().chain([&whom.name]).map(String::as_str).collect();
    let mut found = Unblocked::default();
    lists::each(global, FleetBlockFilter::default(), |row| {
        found.count(&row, row.origin_id.is_some_and(|id| gone.contains(&id)), &names);
        Ok(())
    })?;
    Ok(found)
}

impl Unblocked {
    /// `origin`: whether who said it first is among the `gone`.
    fn count(&mut self, row: &FleetBlockRow, origin: bool, gone: &BTreeSet<&str>) {
        let void = row.confirmed_by.iter().filter(|name| gone.contains(name.as_str())).count();
        if origin && void == row.confirmed_by.len() {
            self.total += 1;
            if self.first.len() < limits::ENDED {
                self.first.push(row.target);
            }
        } else if origin || void > 0 {
            self.stays += 1;
        }
    }
}

/// To people where they look for it; else on standard error, where it disturbs nobody who reads the answer.
fn preview(output: &mut Output, whom: &Whom, unblocked: &Unblocked) -> Result<(), Failure> {
    for line in shown(whom, unblocked) {
        match output.format {
            Format::Human => output.line(&line)?,
            _ => complain(&line),
        }
    }
    output.flush()
}

fn shown(whom: &Whom, unblocked: &Unblocked) -> Vec<String> {
    let Whom { id, name, member } = whom;
    let Some(Member { role, signed, me, unknown }) = member else {
        return vec![
            format!("{id:#} is to be expelled: it orders nothing any more."),
            "What an operator has ordered stands: end what is wrong (cluster blocks --origin NAME, unblock)."
                .into(),
        ];
    };
    let mut lines = vec![format!("{name} ({id}) is to be expelled, and everything it ever said is void.")];
    if !signed.is_empty() {
        let names: Vec<&str> = signed.values().take(SHOWN).map(String::as_str).collect();
        let rest = if signed.len() > SHOWN { ", …" } else { "" };
        lines.push(format!(
            "It signed {}: they are expelled with it, and what they said is void, too: {}{rest}",
            plural(signed.len() as u64, "member", "members"),
            names.join(", ")
        ));
    }
    if *me {
        lines.push("This node is one of them: it would be out of the cluster.".into());
    }
    if *role == Role::Signer {
        lines.push("By the root's word (--root) the operators that it signed go with it as well.".into());
    }
    if *unknown > 0 {
        let unknown = plural(*unknown as u64, "member", "members");
        lines.push(format!("It is not known here who signed {unknown}: they may go with it."));
    }
    let Unblocked { first, total, stays } = unblocked;
    if *total == 0 {
        lines.push("Nothing would be unblocked.".into());
    } else {
        let rest = if *total > SHOWN as u64 { ", …" } else { "" };
        let names = targets(first.iter().take(SHOWN));
        let total = plural(*total, "target", "targets");
        lines.push(format!("{total} would be unblocked: {names}{rest}"));
    }
    if *stays > 0 {
        lines.push(format!("{} would stay: others say the same.", plural(*stays, "target", "targets")));
    }
    lines
}

type Signed = (Vec<u8>, Option<SignedOrder>);

fn by_operator(global: &Global, cluster: &str, whom: &Whom) -> Result<Signed, Failure> {
    let operator = Operator::need(global, cluster)?;
    let role = whom.member.as_ref().map_or(Role::Operator, |member| member.role);
    let statement = Revocation::by_operator(operator.identity(), whom.id, role, now())
        .map_err(|why| Failure::failed(format!("{} is not expelled: {why}", whom.name)))?;
    Ok((statement, Some(operator.sign(OrderKind::Revoke { node: whom.id }, None)?.1)))
}

fn by_root(global: &Global, cluster: &str, whom: &Whom, path: &Path) -> Result<Signed, Failure> {
    let (text, passphrase) = membership::sealed_root(global, path)?;
    let failed = |why: String| Failure::failed(format!("{} is not expelled: {why}", whom.name));
    let passphrase = Passphrase::new(passphrase.text()).map_err(|why| failed(why.to_string()))?;
    let root = Root::import(&text, &passphrase).map_err(|why| failed(why.to_string()))?;
    if root.cluster().as_str() != cluster {
        return Err(failed(format!("this is the root of cluster {}, not of {cluster}", root.cluster())));
    }
    let statement = Revocation::by_root(&root, whom.id, now()).map_err(|why| failed(why.to_string()))?;
    Ok((statement, order_beside(global, cluster, whom)))
}

/// The root's statement alone voids what it said; with a key at hand the order says the same in the log.
fn order_beside(global: &Global, cluster: &str, whom: &Whom) -> Option<SignedOrder> {
    let signed = match Operator::find(global, cluster) {
        Ok(Found::Missing(_)) => return None,
        Ok(Found::Open(operator)) if operator.identity().id() == whom.id => return None,
        Ok(Found::Open(operator)) => operator.sign(OrderKind::Revoke { node: whom.id }, None),
        Ok(Found::Sealed(why)) => Err(Failure::failed(why)),
        Err(why) => Err(why),
    };
    match signed {
        Ok((_, order)) => Some(order),
        Err(why) => {
            complain(&format!("the root says it, and no operator's order beside it: {why}"));
            None
        }
    }
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
        assert!(whom(&nodes, &gone).ok().unwrap().member.is_none());
        let own = whom(&nodes, "web-1").err().unwrap();
        assert!(own.line().unwrap().contains("cluster leave"), "{own}");
    }

    fn signed_by(n: u8, name: &str, own: u8) -> ClusterNode {
        ClusterNode { signer: Some(NodeId([n; 32])), me: own == 3, ..node(name, own) }
    }

    #[test]
    fn a_signer_takes_with_it_whom_it_signed_and_nobody_else() {
        let signer = ClusterNode { role: Some("signer".into()), ..signed_by(1, "web-1", 1) };
        let nodes = [signer, signed_by(1, "web-2", 2), signed_by(1, "web-3", 3), signed_by(5, "web-4", 4)];
        let found = whom(&nodes, "web-1").ok().unwrap();
        let names: Vec<_> = found.member.iter().flat_map(|member| member.signed.values()).collect();
        assert_eq!(names, ["web-2", "web-3"]);
        let refused = alone_or_meant(&found, false).unwrap_err().line().unwrap();
        assert!(refused.contains("2 members") && refused.contains("this node among them"), "{refused}");
        assert!(alone_or_meant(&found, true).is_ok());
        let lines = shown(&found, &Unblocked::default()).join("\n");
        assert!(lines.contains("web-2, web-3") && lines.contains("out of the cluster"), "{lines}");
        let other = whom(&nodes, "web-4").ok().unwrap();
        assert!(alone_or_meant(&other, false).is_ok());
    }

    #[test]
    fn what_only_the_expelled_say_ends_and_what_others_say_stays() {
        let block = |confirmed: &[&str]| FleetBlockRow {
            confirmed_by: confirmed.iter().map(ToString::to_string).collect(),
            ..lists::tests::row()
        };
        let gone = BTreeSet::from(["web-1", "web-2"]);
        let mut found = Unblocked::default();
        for row in [block(&[]), block(&["web-2"]), block(&["web-2", "web-3"])] {
            found.count(&row, true, &gone);
        }
        assert_eq!((found.total, found.stays, found.first.len()), (2, 1, 2));
        found.count(&block(&["web-1"]), false, &gone);
        found.count(&block(&["web-3"]), false, &gone);
        assert_eq!((found.total, found.stays), (2, 2), "others' blocks are none of its business");
    }
}
