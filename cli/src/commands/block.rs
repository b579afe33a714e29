//! `block` and `unblock`.

use smartfw_core::{
    Class,
    order::{BlockOrder, Order},
};
use smartfw_proto::{json, view::Answer};

use super::{Reply, plural, rescue, submit, submit_if_alive, targets, unexpected};
use crate::{
    args::{Block, Format, Global, Unblock},
    duration::{date, now, relative},
    failure::{Failure, refused},
    output::Output,
    render,
};

pub(super) fn block(global: &Global, output: &mut Output, args: &Block) -> Result<(), Failure> {
    let target = args.target.parse()?;
    let order = Order::Block(BlockOrder {
        target,
        duration: args.span.0,
        reason: args.reason.clone(),
        class: Class::Manual,
        force: args.force,
    });
    let answer = submit(global, order)?.map_err(|why| refused(&format!("{target} is not blocked"), &why))?;
    let Answer::Blocked { block, reverts } = answer else { return Err(unexpected()) };
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

pub(super) fn unblock(global: &Global, output: &mut Output, args: &Unblock) -> Result<(), Failure> {
    let target = args.target.parse()?;
    let order = Order::Unblock { target, false_positive: args.reason.is_some() };
    let answer = match submit_if_alive(global, order)? {
        Reply::Answer(answer) => answer,
        Reply::Dead(why) => return rescue::unblock(global, output, target, &why),
    };
    let answer = answer.map_err(|why| refused(&format!("{target} is not unblocked"), &why))?;
    let Answer::Unblocked(ended) = answer else { return Err(unexpected()) };
    match output.format {
        Format::Json => {
            ended.blocks.iter().try_for_each(|one| output.json(&json::block(one.since, one, 0, 0)))
        }
        Format::Raw => ended.blocks.iter().try_for_each(|one| output.raw(&[one.target.to_string()])),
        Format::Human => {
            let listed = ended.blocks.len() as u64;
            let rest = if ended.total > listed { ", …" } else { "" };
            let names = targets(ended.blocks.iter().map(|block| &block.target));
            output.line(&format!("{} ended: {names}{rest}", plural(ended.total, "block", "blocks")))
        }
    }
}
