//! How a history does at size: takes in events as fast as it can, a thousand at a time, then asks two hundred times each
//! for the first hundred rows of a range of time and one field.
//!
//! `cargo run -p smartfw-history --example size -- MILLIONS [FOLDER]` works in a folder of its own within FOLDER, which it
//! removes. It fails when an answer is wrong, or when one in a hundred needs more of the processor than the target allows:
//! that time does not depend on what else the machine does.
#![expect(clippy::print_stdout, reason = "a program whose answer is what it prints")]

mod events;
mod measure;
mod questions;

use std::{
    env,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use measure::{Begun, Times};
use nix::sys::statvfs::statvfs;
use smartfw_core::Time;
use smartfw_history::{Embedded, History as _, Page};

use questions::{KINDS, Kind, Question};

/// Events that are appended at once.
const BATCH: u64 = 1_000;

/// Questions of each kind.
const QUESTIONS: u64 = 200;

/// What one answer in a hundred may take at most.
const TARGET: Duration = Duration::from_millis(200);

/// Bytes on disk at most.
const MOST: u64 = 5 << 30;

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (millions, parent) = match arguments.as_slice() {
        [millions] => (millions, env::temp_dir()),
        [millions, parent] => (millions, PathBuf::from(parent)),
        _ => bail!("usage: size MILLIONS [FOLDER]"),
    };
    let count = (millions.parse::<f64>().context("MILLIONS is a number")? * 1e6) as u64 / BATCH * BATCH;
    ensure!(count >= 1_000_000, "below a million events the ranges of an hour are too short to be full");
    let free = statvfs(&parent)?;
    let free = free.blocks_available() * free.fragment_size();
    ensure!(free > 2 * MOST, "{} has less room than twice the {MOST} bytes allowed", parent.display());
    let folder = tempfile::tempdir_in(parent)?;
    tokio::runtime::Runtime::new()?.block_on(measured(folder.path(), count))
}

async fn measured(folder: &Path, count: u64) -> Result<()> {
    println!("load {}", measure::load()?);
    let history = Embedded::open(folder)?;
    fill(&history, count).await?;
    println!("load {}; read from memory, ms:", measure::load()?);
    let warm = ask_all(&history, folder, count, false).await?;
    drop(history);
    let begun = Instant::now();
    let history = Embedded::open(folder)?;
    println!("opened again in {:.2} s", begun.elapsed().as_secs_f64());
    println!("load {}; read from the disk, ms:", measure::load()?);
    let cold = ask_all(&history, folder, count, true).await?;
    println!("load {}; at most {} MB resident", measure::load()?, measure::most_resident()?);
    let longest = warm.max(cold);
    ensure!(
        longest <= TARGET,
        "one answer in a hundred takes {longest:?} of the processor; {TARGET:?} are allowed"
    );
    Ok(())
}

/// Takes in the events; making them is not counted.
async fn fill(history: &Embedded, count: u64) -> Result<()> {
    let mut times = Times::default();
    let mut spent = Duration::ZERO;
    for from in (0..count).step_by(BATCH as usize) {
        let events = (from..from + BATCH).map(events::event).collect();
        let begun = Begun::now()?;
        let began = Instant::now();
        history.append(Time::NEVER, events).await?;
        spent += began.elapsed();
        times.add(&begun)?;
        if from % 1_000_000 == 0 {
            let bytes = history.size().await?.bytes;
            ensure!(bytes <= MOST, "{bytes} bytes on disk, {MOST} are allowed");
        }
    }
    let size = history.size().await?;
    ensure!(size.events == count, "{} events of {count} are there", size.events);
    println!("{count} events, {} MB on disk, {} bytes an event", size.bytes >> 20, size.bytes / count);
    println!(
        "taken in at {:.0} events/s; at most {} MB resident",
        count as f64 / spent.as_secs_f64(),
        measure::most_resident()?
    );
    println!("{HEAD}\n{:16} {}", "a thousand", times.line());
    Ok(())
}

const HEAD: &str = "                      clock p50, p99      processor p50, p99";

/// Asks everything, and tells what one answer in a hundred needed of the processor, of the kind where it was most.
async fn ask_all(history: &Embedded, folder: &Path, count: u64, cold: bool) -> Result<Duration> {
    println!("{HEAD}");
    let mut floor = Times::default();
    for number in 0..QUESTIONS {
        if cold {
            measure::forget(folder)?;
        }
        let begun = Begun::now()?;
        measure::read_one(folder, number)?;
        floor.add(&begun)?;
    }
    println!("{:16} {}", "reading 8 KiB", floor.line());
    let mut longest = Duration::ZERO;
    for kind in &KINDS {
        let (mut times, rows) = ask(history, folder, count, kind, cold).await?;
        println!("{:16} {}   {:4} rows", kind.name, times.line(), rows / QUESTIONS as usize);
        longest = longest.max(times.computed_at_most());
    }
    Ok(longest)
}

async fn ask(
    history: &Embedded,
    folder: &Path,
    count: u64,
    kind: &Kind,
    cold: bool,
) -> Result<(Times, usize)> {
    let (mut times, mut rows) = (Times::default(), 0);
    for number in 0..QUESTIONS {
        let question = kind.question(number, count);
        if cold {
            measure::forget(folder)?;
        }
        let begun = Begun::now()?;
        let page = history.query(question.query.clone()).await?;
        times.add(&begun)?;
        check(&question, &page).with_context(|| format!("{}, question {number}", kind.name))?;
        rows += page.events.len();
    }
    Ok((times, rows))
}

/// The rows are wanted, in order, and as many as there are.
fn check(question: &Question, page: &Page) -> Result<()> {
    let (rows, query) = (&page.events, &question.query);
    ensure!(rows.len() == question.rows, "{} rows, and {} are there", rows.len(), question.rows);
    ensure!(rows.windows(2).all(|pair| pair[0].cursor() > pair[1].cursor()), "they are in no order");
    let wanted =
        rows.iter().all(|row| row.place >= query.from && row.place <= query.to && query.wants(&row.event));
    ensure!(wanted, "not all of them were asked for");
    Ok(())
}
