//! `block` and `unblock`.

use smartfw_core::{
    Class, IpNet,
    order::{BlockOrder, Order, Refusal},
};
use smartfw_proto::{json, view::Answer};

use super::{
    Reply,
    fleet::{self, Fleet, Reach},
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
            value["scope"] = "node".into();
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
    fleet::warn_of_end(&fleet.operator, now());
    match output.format {
        Format::Json => {
            let mut value = json::block(block.since, &block, 0, 0);
            value["scope"] = "cluster".into();
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

pub(super) fn unblock(global: &Global, output: &mut Output, args: &Unblock) -> Result<(), Failure> {
    let target = args.target.parse()?;
    let false_positive = args.reason.is_some();
    let (everywhere, why) = match Reach::find(global, args.local)? {
        Reach::Cluster(fleet) => {
            (Some(unblock_everywhere(global, output, &fleet, target, false_positive)?), None)
        }
        Reach::Node(why) => (None, why),
    };
    let answer = match submit_if_alive(global, Order::Unblock { target, false_positive })? {
        Reply::Answer(answer) => answer,
        Reply::Dead(why) => return rescue::unblock(global, output, target, &why),
    };
    let ended = match answer {
        // What the cluster said is over, and this node had nothing besides.
        Err(Refusal::NotFound) if everywhere.is_some_and(|ended| ended > 0) => return Ok(()),
        answer => answer.map_err(|why| refused(&format!("{target} is not unblocked"), &why))?,
    };
    let Answer::Unblocked(ended) = ended else { return Err(unexpected()) };
    Reach::explain(why.as_ref());
    match output.format {
        Format::Json => {
            ended.blocks.iter().try_for_each(|one| output.json(&json::block(one.since, one, 0, 0)))
        }
        Format::Raw => ended.blocks.iter().try_for_each(|one| output.raw(&[one.target.to_string()])),
        Format::Human => {
            let listed = ended.blocks.len() as u64;
            let rest = if ended.total > listed { ", …" } else { "" };
            let names = targets(ended.blocks.iter().map(|block| &block.target));
            let place = if everywhere.is_some() { " on this node" } else { "" };
            output.line(&format!("{} ended{place}: {names}{rest}", plural(ended.total, "block", "blocks")))
        }
    }
}

/// How many targets of the fleet's are unblocked.
fn unblock_everywhere(
    global: &Global,
    output: &mut Output,
    fleet: &Fleet,
    target: IpNet,
    false_positive: bool,
) -> Result<u64, Failure> {
    let found = fleet.unblock(global, target, false_positive)?;
    if found.covers.is_empty() && found.orders.is_empty() {
        return Ok(0);
    }
    let rest = if found.total > found.targets.len() as u64 { ", …" } else { "" };
    match output.format {
        Format::Json => found.targets.iter().try_for_each(|target| {
            let (time, target) = (json::rfc3339(now()), target.to_string());
            output.json(
                &serde_json::json!({"kind": "unblocked", "time": time, "target": target, "scope": "cluster"}),
            )
        })?,
        Format::Raw => found.targets.iter().try_for_each(|target| output.raw(&[target.to_string()]))?,
        Format::Human => output.line(&format!(
            "{} unblocked in all of cluster {}: {}{rest}",
            plural(found.total, "target", "targets"),
            fleet.name,
            targets(found.targets.iter())
        ))?,
    }
    Ok(found.total)
}
