//! `allow`: who is never dropped.

use smartfw_core::{
    IpNet,
    order::{Allowed, Order, Refusal},
    protect::Protected,
};
use smartfw_proto::{json, view::Answer, wire};

use super::{Reply, fleet::Reach, plural, rescue, submit, submit_if_alive, targets, unexpected};
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
            let target = target.parse()?;
            match Reach::find(global, local)? {
                Reach::Node(why) => add(global, output, target, span, comment, why.as_ref()),
                Reach::Cluster(fleet) => {
                    let members = fleet.allow(global, target, span.0, comment)?;
                    let members = plural(members.into(), "member", "members");
                    everywhere(
                        output,
                        &format!(
                            "{target} is never dropped, {}, in all of cluster {} ({members} alive)",
                            render::span(span.0),
                            fleet.name
                        ),
                    )
                }
            }
        }
        Allow::Remove { target, local } => remove(global, output, target.parse()?, local),
        Allow::List => list(global, output),
        Allow::Check { target } => check(global, output, target.parse()?),
    }
}

fn add(
    global: &Global,
    output: &mut Output,
    target: IpNet,
    span: Span,
    comment: String,
    why: Option<&String>,
) -> Result<(), Failure> {
    let order = Order::Allow { target, duration: span.0, comment: comment.clone() };
    let answer = match submit_if_alive(global, order)? {
        Reply::Answer(answer) => answer,
        Reply::Dead(why) => {
            rescue::need_root("allow add", &why)?;
            return rescue::allow(global, output, target, span.0, &comment);
        }
    };
    let answer = answer.map_err(|why| refused(&format!("{target} is not allowed"), &why))?;
    let Answer::Allowed(ended) = answer else { return Err(unexpected()) };
    Reach::explain(why);
    if output.format != Format::Human {
        return Ok(());
    }
    output.line(&format!("{target} is never dropped, {}", render::span(span.0)))?;
    if ended.total > 0 {
        let names = targets(ended.blocks.iter().map(|block| &block.target));
        output.line(&format!("{} ended: {names}", plural(ended.total, "block", "blocks")))?;
    }
    Ok(())
}

fn everywhere(output: &mut Output, text: &str) -> Result<(), Failure> {
    if output.format == Format::Human { output.line(text) } else { Ok(()) }
}

/// Off the fleet's list and off this node's own.
fn remove(global: &Global, output: &mut Output, target: IpNet, local: bool) -> Result<(), Failure> {
    let what = format!("{target} is not taken off the allow list");
    let (ended, why) = match Reach::find(global, local)? {
        Reach::Node(why) => (0, why),
        Reach::Cluster(fleet) => (fleet.disallow(global, target)?, None),
    };
    let answer = match submit(global, Order::Disallow { target })? {
        Err(Refusal::NotFound) if ended > 0 => {
            return everywhere(output, &format!("{target} is off the allow list of the whole cluster"));
        }
        answer => answer.map_err(|why| refused(&what, &why))?,
    };
    Reach::explain(why.as_ref());
    let place = if ended > 0 { " of the whole cluster" } else { "" };
    match answer {
        Answer::Disallowed => everywhere(output, &format!("{target} is off the allow list{place}")),
        _ => Err(unexpected()),
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
