//! `import`: many blocks out of a file. Bad lines are named, the others are imported.

mod format;
mod input;
mod pieces;

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use smartfw_core::{
    fleet::ORDER_TARGETS,
    order::{BlockOrder, Refusal},
};
use smartfw_proto::{
    convert::{answer_from_wire, import_chunks},
    limits,
    view::Answer,
    wire,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{
    fleet::{Batch, Reach},
    plural, unexpected,
};
use crate::{
    args::{Format, Global, Import},
    client::{self, Daemon},
    duration::now,
    failure::{Failure, remedy},
    output::{Output, complain, grouped},
};
use format::{Defaults, Entries};
use input::Input;

/// Bad lines that are printed; all are counted.
const SHOWN: u64 = 100;
/// Chunks on their way at once: the daemon works on one while the next is read.
const IN_FLIGHT: usize = 16;
/// Lines for a whole cluster that are on their way at once: as many orders as one call carries, because each call waits
/// for the disk and the kernel.
const TOGETHER: usize = limits::ORDERS * ORDER_TARGETS;

/// One order, and the line that it stands on.
type Numbered = (u64, BlockOrder);

pub(super) fn run(global: &Global, output: &mut Output, args: &Import) -> Result<(), Failure> {
    let (reader, size) = open(&args.file)?;
    let bar = bar(size);
    let reader = bar.wrap_read(reader);
    let defaults = Defaults { duration: args.span.0, reason: args.reason.clone(), now: now() };
    let entries = Entries::new(BufReader::new(reader), defaults);
    let reach = Reach::find(global, args.local)?;
    let mut tally = Tally::default();
    let result = client::block_on(async {
        let daemon = Daemon::connect(&global.socket).await?;
        let input = Input::read(entries);
        match &reach {
            Reach::Node(_) => send(daemon, input, &mut tally, &bar).await,
            Reach::Cluster(fleet) => {
                let batch = Batch { fleet, reason: &args.reason };
                send_everywhere(daemon, &batch, input, &mut tally, &bar).await
            }
        }
    });
    bar.finish_and_clear();
    if let Reach::Node(why) = &reach {
        Reach::explain(why.as_ref());
    }
    match result {
        // Nothing was asked for yet, and nothing needs to be told.
        Err(why) if tally == Tally::default() => Err(why),
        Err(why) => {
            report(output, &tally, &reach, false)?;
            Err(why.after("what stands behind that in the file was not asked for, or not answered"))
        }
        Ok(()) => {
            report(output, &tally, &reach, true)?;
            if tally.refused == 0 { Ok(()) } else { Err(Failure::Silent) }
        }
    }
}

/// Signs chunk by chunk, for the whole cluster.
async fn send_everywhere(
    mut daemon: Daemon,
    batch: &Batch<'_>,
    mut input: Input,
    tally: &mut Tally,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    loop {
        let chunk = input.chunk(TOGETHER, tally, bar).await;
        if chunk.is_empty() {
            input.end(tally);
            return Ok(());
        }
        let refused = batch.send(&mut daemon, chunk.iter().map(|(_, order)| order.clone()).collect()).await?;
        for (line, order) in &chunk {
            match refused.get(&order.target) {
                Some(why) => tally.refuse(Some(*line), &format!("{}: {why}", order.target), bar),
                None => tally.accepted += 1,
            }
        }
        bar.set_message(grouped(tally.accepted));
    }
}

fn open(path: &Path) -> Result<(Box<dyn Read + Send>, Option<u64>), Failure> {
    if path == Path::new("-") {
        return Ok((Box::new(io::stdin()), None));
    }
    let cannot = |error: io::Error| Failure::failed(format!("cannot read {}: {error}", path.display()));
    let file = File::open(path).map_err(cannot)?;
    let metadata = file.metadata().map_err(cannot)?;
    if metadata.is_dir() {
        return Err(cannot(io::ErrorKind::IsADirectory.into()));
    }
    Ok((Box::new(file), metadata.is_file().then_some(metadata.len())))
}

/// On standard error, and only on a terminal.
fn bar(size: Option<u64>) -> ProgressBar {
    let (bar, template) = match size {
        Some(size) => (ProgressBar::new(size), "{bar:40} {percent}%  {msg} blocks  {eta} left"),
        None => (ProgressBar::no_length(), "{spinner} {msg} blocks"),
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    accepted: u64,
    refused: u64,
    /// Soft blocks of an export: they rest on evidence that may be forged, and last five minutes. As an operator's
    /// block they would be hard, so they stay with detection.
    soft: u64,
}

impl Tally {
    fn refuse(&mut self, line: Option<u64>, what: &str, bar: &ProgressBar) {
        self.refused += 1;
        if self.refused <= SHOWN {
            let place = line.map_or_else(String::new, |line| format!("line {line}: "));
            bar.suspend(|| complain(&format!("{place}{what}")));
        }
    }
}

/// Sends chunk by chunk, and reads the answers as they come.
async fn send(
    mut daemon: Daemon,
    mut input: Input,
    tally: &mut Tally,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    let (sender, receiver) = mpsc::channel(IN_FLIGHT);
    let mut sender = Some(sender);
    let mut waiting = VecDeque::new();
    // The service may answer the call only once it has read a chunk: the first one goes before the call does.
    post(&mut sender, input.chunk(limits::CHUNK, tally, bar).await, &mut waiting).await?;
    if waiting.is_empty() {
        input.end(tally);
        return Ok(());
    }
    let chunks = ReceiverStream::new(receiver);
    let mut answers = daemon.ask(async |mut client| client.import(chunks).await).await?;
    loop {
        tokio::select! {
            chunk = input.chunk(limits::CHUNK, tally, bar), if sender.is_some() && waiting.len() < IN_FLIGHT => {
                post(&mut sender, chunk, &mut waiting).await?;
            }
            answer = daemon.next(&mut answers), if !waiting.is_empty() => {
                let chunk = waiting.pop_front().unwrap_or_default();
                settle(tally, answer?.ok_or_else(unexpected)?, &chunk, bar)?;
                bar.set_message(grouped(tally.accepted));
            }
            else => break,
        }
    }
    input.end(tally);
    Ok(())
}

/// Hands a chunk on; an empty one is the end.
async fn post(
    sender: &mut Option<mpsc::Sender<wire::ImportChunk>>,
    chunk: Vec<Numbered>,
    waiting: &mut VecDeque<Vec<Numbered>>,
) -> Result<(), Failure> {
    let message = import_chunks(chunk.iter().map(|(_, order)| order.clone()).collect()).next();
    let (Some(message), Some(open)) = (message, sender.as_ref()) else {
        *sender = None;
        return Ok(());
    };
    waiting.push_back(chunk);
    open.send(message).await.map_err(|_| unexpected())
}

/// What became of one chunk. The daemon names refused targets, and the chunk knows their lines.
fn settle(
    tally: &mut Tally,
    answer: wire::OrderAnswer,
    chunk: &[Numbered],
    bar: &ProgressBar,
) -> Result<(), Failure> {
    match answer_from_wire(answer)? {
        Ok(Answer::Imported { accepted, refused, refused_count }) => {
            tally.accepted += accepted;
            let unnamed = refused_count.saturating_sub(refused.len() as u64);
            let mut used = vec![false; chunk.len()];
            for (target, why) in refused {
                let at = (0..chunk.len()).find(|&at| !used[at] && chunk[at].1.target == target);
                if let Some(at) = at {
                    used[at] = true;
                }
                tally.refuse(at.map(|at| chunk[at].0), &format!("{target}: {why}{}", remedy(&why)), bar);
            }
            tally.refused += unnamed;
            Ok(())
        }
        Ok(_) => Err(unexpected()),
        Err(refusal) => {
            let why: Refusal = refusal;
            chunk.iter().for_each(|(line, order)| {
                tally.refuse(Some(*line), &format!("{}: {why}", order.target), bar)
            });
            Ok(())
        }
    }
}

/// `whole`: the file was gone through to its end.
fn report(output: &mut Output, tally: &Tally, reach: &Reach, whole: bool) -> Result<(), Failure> {
    let &Tally { accepted, refused, soft } = tally;
    if refused > SHOWN {
        complain(&format!("{} more lines were refused", grouped(refused - SHOWN)));
    }
    match output.format {
        Format::Json => output.json(&serde_json::json!({
            "imported": accepted, "refused": refused, "scope": reach.scope(), "complete": whole,
        })),
        Format::Raw => output.raw(&[accepted.to_string(), refused.to_string()]),
        Format::Human => {
            let blocks = plural(accepted, "block is", "blocks are");
            let place = match reach {
                Reach::Cluster(fleet) => format!("in all of cluster {}", fleet.name),
                Reach::Node(_) => "on this node".to_owned(),
            };
            let refused = plural(refused, "line", "lines");
            output.line(&format!("{blocks} in force {place}, {refused} refused"))?;
            if soft > 0 {
                let soft = plural(soft, "soft block was", "soft blocks were");
                output.line(&format!("{soft} passed over: they are detection's, and last five minutes"))?;
            }
            Ok(())
        }
    }
}

/// What is left of a block that was exported with its end.
fn remaining(expires: smartfw_core::Time, now: smartfw_core::Time) -> Option<Duration> {
    (expires > now).then(|| expires.since(now))
}
