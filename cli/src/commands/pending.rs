//! `pending`, `approve`, `reject`: the queue of manual mode.

use smartfw_core::{BlockId, order::Order};
use smartfw_proto::{
    json,
    view::{Answer, Pending},
    wire,
};

use super::{plural, submit, targets, unexpected};
use crate::{
    args::{Format, Global},
    client::{self, Daemon},
    duration::{now, relative},
    failure::{Failure, refused},
    output::{Grid, Output, Tone},
    render,
};

pub(super) fn list(global: &Global, output: &mut Output) -> Result<(), Failure> {
    let pending = client::block_on(async {
        let mut daemon = Daemon::connect(&global.socket).await?;
        let stream =
            daemon.ask(async |mut client| client.list_pending(wire::ListPendingRequest {}).await).await?;
        let mut pending: Vec<Pending> = Vec::new(); // the daemon keeps ten thousand
        let collected = daemon.each(stream, |one| {
            pending.push(one);
            Ok(())
        });
        collected.await.map(|()| pending)
    })?;
    match output.format {
        Format::Json => output.json(&pending.iter().map(json::pending).collect()),
        Format::Raw => pending.iter().try_for_each(|one| output.raw(&raw(one))),
        Format::Human if pending.is_empty() => output.line("Nothing waits for approval."),
        Format::Human => {
            let now = now();
            let mut grid =
                Grid::new(&["ID", "SINCE", "TARGET", "CLASS", "SURE", "STRENGTH", "LAPSES", "REASON"]);
            for one in &pending {
                let plain = |text: String| (text, Tone::Plain);
                grid.toned([
                    plain(one.id.to_string()),
                    plain(relative(one.since, now)),
                    plain(one.target.to_string()),
                    plain(one.class.to_string()),
                    plain(render::percent(one.confidence)),
                    (one.strength.to_string(), render::strength_tone(one.strength)),
                    plain(relative(one.until, now)),
                    plain(one.reason.clone()),
                ]);
            }
            output.table(grid, 0)?;
            output.line("")?;
            output.line("smartfw-cli approve ID, smartfw-cli reject ID, smartfw-cli approve --all")
        }
    }
}

fn raw(one: &Pending) -> Vec<String> {
    vec![
        one.id.to_string(),
        json::rfc3339(one.since),
        one.target.to_string(),
        one.class.to_string(),
        format!("{:.2}", one.confidence),
        one.strength.to_string(),
        json::rfc3339(one.until),
        one.reason.clone(),
    ]
}

/// `None`: all that waits.
pub(super) fn approve(global: &Global, output: &mut Output, id: Option<BlockId>) -> Result<(), Failure> {
    let what = id.map_or_else(|| "nothing is approved".to_owned(), |id| format!("{id} is not approved"));
    let answer = submit(global, Order::Approve(id))?.map_err(|why| refused(&what, &why))?;
    let Answer::Approved(made) = answer else { return Err(unexpected()) };
    match output.format {
        Format::Json => {
            made.blocks.iter().try_for_each(|one| output.json(&json::block(one.since, one, 0, 0)))
        }
        Format::Raw => made.blocks.iter().try_for_each(|one| output.raw(&[one.target.to_string()])),
        Format::Human if made.total == 0 => output.line("Nothing waited for approval."),
        Format::Human => {
            let names = targets(made.blocks.iter().map(|block| &block.target));
            let rest = if made.total > made.blocks.len() as u64 { ", …" } else { "" };
            output.line(&format!("{} made: {names}{rest}", plural(made.total, "block", "blocks")))
        }
    }
}

pub(super) fn reject(global: &Global, output: &mut Output, id: BlockId) -> Result<(), Failure> {
    let answer =
        submit(global, Order::Reject(id))?.map_err(|why| refused(&format!("{id} is not rejected"), &why))?;
    match (answer, output.format) {
        (Answer::Rejected, Format::Human) => output.line(&format!("{id} is rejected: nothing is blocked")),
        (Answer::Rejected, _) => Ok(()),
        _ => Err(unexpected()),
    }
}
