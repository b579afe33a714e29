//! `allow`: who is never dropped.

use smartfw_core::{
    IpNet,
    order::{Allowed, Order, Refusal},
    protect::Protected,
};
use smartfw_proto::{
    json,
    view::{Answer, Changes},
    wire,
};

use super::{
    Reply,
    fleet::{self, Attempt, Reach},
    plural, rescue, submit, submit_if_alive, targets, unexpected,
};
use crate::{
    args::{Allow, Format, Global},
    client::{self, Daemon},
    duration::{Span, now, relative},
    failure::{Failure, refused},
    output::{Grid, Output},
    render,
};

pub(super) fn run(global: &Global, output: &mut Output, command: Allow) -> Result<(), Failure> {
    match command {
        Allow::Add { target, span, comment, local } => {
            add(global, output, target.parse()?, span, comment, local)
        }
        Allow::Remove { target, local } => remove(global, output, target.parse()?, local),
        Allow::List => list(global, output),
        Allow::Check { target } => check(global, output, target.parse()?),
    }
}

/// Whatever is wrong with the cluster, this node does its part: with the daemon, or as root straight in the kernel.
fn add(
    global: &Global,
    output: &mut Output,
    target: IpNet,
    span: Span,
    comment: String,
    local: bool,
) -> Result<(), Failure> {
    let attempt = Attempt::make(global, local, |fleet| fleet.allow(global, target, span.0, comment.clone()));
    if let Attempt::Done(fleet, members) = &attempt {
        let members = plural((*members).into(), "member", "members");
        let place = format!("in all of cluster {} ({members} alive)", fleet.name);
        return added(output, target, span, fleet::CLUSTER, &place);
    }
    let (rescued, here) = add_here(global, output, target, span, comment);
    let settled = attempt.settled(rescued);
    here.and(settled)
}

/// Whether it went straight to the kernel, and what became of it.
fn add_here(
    global: &Global,
    output: &mut Output,
    target: IpNet,
    span: Span,
    comment: String,
) -> (bool, Result<(), Failure>) {
    let order = Order::Allow { target, duration: span.0, comment: comment.clone() };
    let here = match submit_if_alive(global, order) {
        Err(why) => Err(why),
        Ok(Reply::Dead(why)) => {
            let done = rescue::need_root("allow add", &why)
                .and_then(|()| rescue::allow(global, output, target, span.0, &comment));
            return (true, done);
        }
        Ok(Reply::Answer(Err(why))) => Err(refused(&format!("{target} is not allowed"), &why)),
        Ok(Reply::Answer(Ok(Answer::Allowed(ended)))) => {
            added(output, target, span, fleet::NODE, "on this node")
                .and_then(|()| ended_by_it(output, &ended))
        }
        Ok(Reply::Answer(Ok(_))) => Err(unexpected()),
    };
    (false, here)
}

fn added(output: &mut Output, target: IpNet, span: Span, scope: &str, place: &str) -> Result<(), Failure> {
    match output.format {
        Format::Json => output.json(&changed("allowed", target, scope)),
        Format::Raw => Ok(()),
        Format::Human => {
            output.line(&format!("{target} is never dropped, {}, {place}", render::span(span.0)))
        }
    }
}

fn ended_by_it(output: &mut Output, ended: &Changes) -> Result<(), Failure> {
    if output.format != Format::Human || ended.total == 0 {
        return Ok(());
    }
    let names = targets(ended.blocks.iter().map(|block| &block.target));
    output.line(&format!("{} ended: {names}", plural(ended.total, "block", "blocks")))
}

fn changed(kind: &str, target: IpNet, scope: &str) -> serde_json::Value {
    serde_json::json!({
        "kind": kind, "time": json::rfc3339(now()), "target": target.to_string(), "scope": scope,
    })
}

/// Off the fleet's list and off this node's own.
fn remove(global: &Global, output: &mut Output, target: IpNet, local: bool) -> Result<(), Failure> {
    let what = format!("{target} is not taken off the allow list");
    let reach = Reach::find(global, local)?;
    let ended = match &reach {
        Reach::Node(_) => 0,
        Reach::Cluster(fleet) => fleet.disallow(global, target)?,
    };
    match submit(global, Order::Disallow { target })? {
        Ok(Answer::Disallowed) => {}
        Ok(_) => return Err(unexpected()),
        Err(Refusal::NotFound) if ended > 0 => {}
        Err(why) => return Err(refused(&what, &why)),
    }
    if let Reach::Node(why) = &reach {
        Reach::explain(why.as_ref());
    }
    let (scope, place) = match ended {
        0 => (fleet::NODE, "of this node"),
        _ => (fleet::CLUSTER, "of the whole cluster"),
    };
    match output.format {
        Format::Json => output.json(&changed("disallowed", target, scope)),
        Format::Raw => Ok(()),
        Format::Human => output.line(&format!("{target} is off the allow list {place}")),
    }
}

fn list(global: &Global, output: &mut Output) -> Result<(), Failure> {
    let allowed = client::block_on(async {
        let mut daemon = Daemon::connect(&global.socket).await?;
        let stream =
            daemon.ask(async |mut client| client.list_allowed(wire::ListAllowedRequest {}).await).await?;
        let mut allowed: Vec<Allowed> = Vec::new(); // the daemon keeps ten thousand
        let collected = daemon.each(stream, |one| {
            allowed.push(one);
            Ok(())
        });
        collected.await.map(|()| allowed)
    })?;
    match output.format {
        Format::Json => output.json(&allowed.iter().map(json::allowed).collect()),
        Format::Raw => allowed.iter().try_for_each(|one| {
            let ends = one.expires.map_or_else(|| "never".to_owned(), json::rfc3339);
            output.raw(&[one.target.to_string(), json::rfc3339(one.since), ends, one.comment.clone()])
        }),
        Format::Human if allowed.is_empty() => output.line("The allow list is empty."),
        Format::Human => {
            let now = now();
            let mut grid = Grid::new(&["TARGET", "SINCE", "ENDS", "COMMENT"]);
            for one in allowed {
                let (since, ends) = (relative(one.since, now), render::until(one.expires, now));
                grid.row([one.target.to_string(), since, ends, one.comment]);
            }
            output.table(grid, 0)
        }
    }
}

fn check(global: &Global, output: &mut Output, target: IpNet) -> Result<(), Failure> {
    let answer = client::block_on(async {
        let mut daemon = Daemon::connect(&global.socket).await?;
        daemon
            .ask(async |mut client| client.check_allowed(wire::CheckAllowedRequest::from(target)).await)
            .await
    })?;
    let protected: Vec<Protected> = answer.try_into()?;
    match output.format {
        Format::Json => output.json(&serde_json::json!({
            "target": target.to_string(),
            "protected": !protected.is_empty(),
            "by": protected.iter().map(json::protected).collect::<Vec<_>>(),
        })),
        Format::Raw => protected
            .iter()
            .try_for_each(|one| output.raw(&[one.net.to_string(), one.why.to_string(), one.detail.clone()])),
        Format::Human if protected.is_empty() => {
            output.line(&format!("Nothing protects {target}: it can be blocked."))
        }
        Format::Human => protected.iter().try_for_each(|one| {
            let detail = if one.detail.is_empty() { String::new() } else { format!(" ({})", one.detail) };
            output.line(&format!("{target} is never blocked: {} is protected, {}{detail}", one.net, one.why))
        }),
    }
}
