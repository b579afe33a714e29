//! `blocks` and `export`: a million rows pass in bounded memory, but for the table, which has to be measured.

use smartfw_core::order::EnforcementState;
use smartfw_proto::{
    json,
    view::{BlockFilter, BlockRow},
    wire,
};

use super::status;
use crate::{
    args::{Blocks, Format, Global},
    client::{self, Daemon},
    duration::now,
    failure::Failure,
    output::{Output, Tone},
    render::{self, BlockTable},
};

/// The rows of a table that are laid out together: a screenful of screens. What follows begins a table of its own.
const TABLE: usize = 5000;

pub(super) fn run(global: &Global, output: &mut Output, args: Blocks) -> Result<(), Failure> {
    let Blocks { all, origin, class } = args;
    let filter = BlockFilter { all, origin, class };
    client::block_on(async {
        let mut daemon = Daemon::connect(&global.socket).await?;
        match output.format {
            Format::Human => table(&mut daemon, output, filter).await,
            Format::Json => array(&mut daemon, output, filter).await,
            Format::Raw => each(&mut daemon, filter, |row| output.raw(&render::raw_block(&row))).await,
        }
    })
}

/// JSON lines by default: `import` takes them.
pub(super) fn export(global: &Global, output: &mut Output) -> Result<(), Failure> {
    client::block_on(async {
        let mut daemon = Daemon::connect(&global.socket).await?;
        let filter = BlockFilter::default();
        match output.format {
            Format::Json => array(&mut daemon, output, filter).await,
            Format::Human => each(&mut daemon, filter, |row| output.json(&json::block_row(&row))).await,
            Format::Raw => each(&mut daemon, filter, |row| output.raw(&[row.block.target.to_string()])).await,
        }
    })
}

async fn array(daemon: &mut Daemon, output: &mut Output, filter: BlockFilter) -> Result<(), Failure> {
    let all = filter.all;
    let mut first = true;
    let rows = rows(daemon, filter).await?;
    output.bytes(b"[")?;
    let printed = daemon.each(rows, |row: BlockRow| {
        let separator: &[u8] = if first { b"\n" } else { b",\n" };
        first = false;
        output.bytes(separator)?;
        let value = if all { json::block_row_in_full(&row) } else { json::block_row(&row) };
        output.bytes(json::text(&value).as_bytes())
    });
    printed.await?;
    output.bytes(if first { b"]\n" } else { b"\n]\n" })
}

async fn table(daemon: &mut Daemon, output: &mut Output, filter: BlockFilter) -> Result<(), Failure> {
    let (all, now) = (filter.all, now());
    let mut table = BlockTable::new(all, now);
    let (mut rows, mut total) = (0, 0_u64);
    each(daemon, filter, |row| {
        table.add(&row);
        (rows, total) = (rows + 1, total + 1);
        if rows == TABLE {
            rows = 0;
            let full = std::mem::replace(&mut table, BlockTable::new(all, now));
            output.table(full.finish(), 0)?;
        }
        Ok(())
    })
    .await?;
    if total == 0 {
        return output.line("Nothing is blocked.");
    }
    if rows > 0 {
        output.table(table.finish(), 0)?;
    }
    if status::ask(daemon).await?.enforcement != EnforcementState::On {
        output.line("")?;
        output.headline("Enforcement is off: none of this is dropped (smartfw-cli enable).", Tone::Warn)?;
    }
    Ok(())
}

async fn each(
    daemon: &mut Daemon,
    filter: BlockFilter,
    each: impl FnMut(BlockRow) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let rows = rows(daemon, filter).await?;
    daemon.each(rows, each).await
}

async fn rows(
    daemon: &mut Daemon,
    filter: BlockFilter,
) -> Result<tonic::Streaming<wire::BlockChunk>, Failure> {
    let request = wire::ListBlocksRequest::from(filter);
    daemon.ask(async |mut client| client.list_blocks(request).await).await
}
