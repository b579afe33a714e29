//! `block` and `unblock`.

use smartfw_core::{
    Class, IpNet,
    order::{BlockOrder, Order, Refusal},
};
use smartfw_proto::{
    json,
    view::{Answer, Changes, Covers},
};

use super::{
    Reply,
    fleet::{self, Attempt, Fleet, Reach},
    plural, rescue, submit, submit_if_alive, targets, unexpected,
};
use crate::{
    args::{Block, Format, Global, Unblock},
    duration::{date, now, relative},
    failure::{Failure, refused},
    output::Output,
    render,
};

pub(super) fn block(global: &Global, output: &mut Output, args: &Block) -> Result<(), Failure> {
    let target = args.target.parse()?;
    let order = BlockOrder {
        target,
        duration: args.span.0,
        reason: args.reason.clone(),
        class: Class::Manual,
        force: args.force,
    };
    let why = match Reach::find(global, args.local)? {
        Reach::Cluster(fleet) => return block_everywhere(global, output, &fleet, order),
        Reach::Node(why) => why,
    };
    let answer = submit(global, Order::Block(order))?
        .map_err(|why| refused(&format!("{target} is not blocked"), &why))?;
    let Answer::Blocked { block, reverts } = answer else { return Err(unexpected()) };
    Reach::explain(why.as_ref());
    let now = now();
    match output.format {
        Format::Json => {
            let mut value = json::block(block.since, &block, 0, 0);
            value["scope"] = fleet::NODE.into();
            output.json(&value)
        }
        Format::Raw => output.raw(&[block.target.to_string(), block.id.to_string()]),
        Format::Human => {
            output.line(&format!("{}, on this node", render::blocked(&block)))?;
            match reverts {
                Some(at) => output.line(&format!(
                    "The target is protected: the block ends {} ({} UTC) unless you type: smartfw-cli confirm",
                    relative(at, now),
                    date(at)
                )),
                None => Ok(()),
            }
        }
    }
}

fn block_everywhere(
    global: &Global,
    output: &mut Output,
    fleet: &Fleet,
    order: BlockOrder,
) -> Result<(), Failure> {
    let fleet::FleetBlocked { block, members } = fleet.block(global, order)?;
    match output.format {
        Format::Json => {
            let mut value = json::block(block.since, &block, 0, 0);
            value["scope"] = fleet::CLUSTER.into();
            output.json(&value)
        }
        Format::Raw => output.raw(&[block.target.to_string(), block.id.to_string()]),
        Format::Human => output.line(&format!(
            "{}, in all of cluster {} ({} alive)",
            render::blocked(&block),
            fleet.name,
            plural(members.into(), "member", "members")
        )),
    }
}

/// Whatever is wrong with the cluster, this node does its part: with the daemon, or as root straight in the kernel.
pub(super) fn unblock(global: &Global, output: &mut Output, args: &Unblock) -> Result<(), Failure> {
    let target = args.target.parse()?;
    let false_positive = args.reason.is_some();
    let attempt = Attempt::make(global, args.local, |fleet| fleet.unblock(global, target, false_positive));
    let (mut ended, mut whole) = (0, Ok(()));
    if let Attempt::Done(fleet, found) = &attempt {
        ended = found.total;
        if found.more {
            whole = Err(in_part(&target, fleet));
        } else {
            ended_everywhere(output, fleet, found)?;
        }
    }
    let (rescued, here) = unblock_here(global, output, target, false_positive, ended > 0);
    let settled = attempt.settled(rescued);
    here.and(settled).and(whole)
}

fn in_part(target: &IpNet, fleet: &Fleet) -> Failure {
    Failure::Failed(format!(
        "{target} is unblocked in part: cluster {} says more of it than is ended at once; run it again for the rest",
        fleet.name
    ))
}

/// Whether it went straight to the kernel, and what became of it. `done`: something was unblocked elsewhere.
fn unblock_here(
    global: &Global,
    output: &mut Output,
    target: IpNet,
    false_positive: bool,
    done: bool,
) -> (bool, Result<(), Failure>) {
    let here = match submit_if_alive(global, Order::Unblock { target, false_positive }) {
        Err(why) => Err(why),
        Ok(Reply::Dead(why)) => return (true, rescue::unblock(global, output, target, false_positive, &why)),
        // What the cluster said is over, and this node had nothing besides.
        Ok(Reply::Answer(Err(Refusal::NotFound))) if done => Ok(()),
        Ok(Reply::Answer(Err(why))) => Err(refused(&format!("{target} is not unblocked"), &why)),
        Ok(Reply::Answer(Ok(Answer::Unblocked(ended)))) => ended_here(output, &ended),
        Ok(Reply::Answer(Ok(_))) => Err(unexpected()),
    };
    (false, here)
}

fn ended_here(output: &mut Output, ended: &Changes) -> Result<(), Failure> {
    match output.format {
        Format::Json => ended.blocks.iter().try_for_each(|one| {
            let mut value = json::block(one.since, one, 0, 0);
            value["scope"] = fleet::NODE.into();
            output.json(&value)
        }),
        Format::Raw => ended.blocks.iter().try_for_each(|one| output.raw(&[one.target.to_string()])),
        Format::Human => {
            let rest = if ended.total > ended.blocks.len() as u64 { ", …" } else { "" };
            let names = targets(ended.blocks.iter().map(|block| &block.target));
            let count = plural(ended.total, "block", "blocks");
            output.line(&format!("{count} ended on this node: {names}{rest}"))
        }
    }
}

/// The fleet's targets that are unblocked.
fn ended_everywhere(output: &mut Output, fleet: &Fleet, found: &Covers) -> Result<(), Failure> {
    if found.covers.is_empty() && found.orders.is_empty() {
        return Ok(());
    }
    match output.format {
        Format::Json => found.targets.iter().try_for_each(|target| {
            let (time, target) = (json::rfc3339(now()), target.to_string());
            output.json(&serde_json::json!({
                "kind": "unblocked", "time": time, "target": target, "scope": fleet::CLUSTER,
            }))
        }),
        Format::Raw => found.targets.iter().try_for_each(|target| output.raw(&[target.to_string()])),
        Format::Human => {
            let rest = if found.total > found.targets.len() as u64 { ", …" } else { "" };
            output.line(&format!(
                "{} unblocked in all of cluster {}: {}{rest}",
                plural(found.total, "target", "targets"),
                fleet.name,
                targets(found.targets.iter())
            ))
        }
    }
}
