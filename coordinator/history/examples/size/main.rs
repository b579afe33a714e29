//! How a history does at size: takes in events as fast as it can, a thousand at a time, then asks for the first hundred
//! rows of a range of time and one field, two hundred times.
//!
//! `cargo run -p smartfw-history --example size -- MILLIONS [FOLDER]`; the folder is deleted at the end.
#![expect(clippy::print_stdout, reason = "a program whose answer is what it prints")]

mod events;

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use smartfw_core::{Class, Time};
use smartfw_history::{Embedded, Event, History as _, Query};

/// Events that are appended at once.
const BATCH: u64 = 1_000;

/// Questions of each kind.
const QUESTIONS: u64 = 200;

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (millions, folder) = match arguments.as_slice() {
        [millions] => (millions, env::temp_dir().join("smartfw-history-size")),
        [millions, folder] => (millions, PathBuf::from(folder)),
        _ => bail!("usage: size MILLIONS [FOLDER]"),
    };
    let events = (millions.parse::<f64>().context("MILLIONS is a number")? * 1e6) as u64;
    fs::create_dir(&folder).with_context(|| format!("{} must not be there yet", folder.display()))?;
    let result = tokio::runtime::Runtime::new()?.block_on(embedded(&folder, events));
    fs::remove_dir_all(&folder)?;
    result
}

async fn embedded(folder: &Path, count: u64) -> Result<()> {
    let history = Embedded::open(folder)?;
    let mut pace = Pace::default();
    for from in (0..count).step_by(BATCH as usize) {
        let events = batch(from);
        let begin = Instant::now();
        history.append(Time::NEVER, events).await?;
        pace.add(from, begin.elapsed())?;
    }
    pace.report(count);
    for (name, questions) in questions(count) {
        let mut times = Times::default();
        for query in questions {
            let begin = Instant::now();
            let page = history.query(query).await?;
            times.add(begin.elapsed(), page.events.len());
        }
        times.report(name);
    }
    report(history.size().await?.bytes, count)?;
    drop(history);
    let begin = Instant::now();
    let history = Embedded::open(folder)?;
    println!(
        "opened again in {:.2} s: {} events",
        begin.elapsed().as_secs_f64(),
        history.size().await?.events
    );
    Ok(())
}

fn batch(from: u64) -> Vec<Event> {
    (from..from + BATCH).map(events::event).collect()
}

/// By each field: values drawn as the events' are, ranges of an hour up to everything; and addresses that never came.
fn questions(count: u64) -> Vec<(&'static str, Vec<Query>)> {
    let ranged = |number: u64| {
        let chance = events::mix(number ^ 0xabcd);
        let length = match number % 3 {
            0 => count / 24,
            1 => count / 4,
            _ => count,
        };
        let from = if length < count { chance % (count - length) } else { 0 };
        Query { from: events::time(from), to: events::time(from + length), limit: 100, ..Query::default() }
    };
    let each = |change: &dyn Fn(u64, Query) -> Query| {
        (0..QUESTIONS).map(|n| change(events::mix(n), ranged(n))).collect()
    };
    vec![
        ("address", each(&|chance, query| Query { address: Some(events::attacker(chance)), ..query })),
        (
            "rare address",
            each(&|chance, query| Query {
                address: Some(events::attacker(900_000 + chance % 100_000)),
                ..query
            }),
        ),
        (
            "class",
            each(&|chance, query| Query {
                class: Some(Class::ALL[chance as usize % Class::ALL.len()]),
                ..query
            }),
        ),
        ("node", each(&|chance, query| Query { node: Some(events::node(chance % events::NODES)), ..query })),
    ]
}

/// How fast events were taken in.
#[derive(Default)]
struct Pace {
    spent: Duration,
    worst: Duration,
    peak: u64,
}

impl Pace {
    fn add(&mut self, from: u64, took: Duration) -> Result<()> {
        self.spent += took;
        self.worst = self.worst.max(took);
        if from.is_multiple_of(500_000) {
            self.peak = self.peak.max(resident()?);
            println!(
                "{:>10} events, {:6.1} s, {} MB resident",
                from,
                self.spent.as_secs_f64(),
                resident()? >> 20
            );
        }
        Ok(())
    }

    fn report(&self, count: u64) {
        let rate = count as f64 / self.spent.as_secs_f64();
        let worst = self.worst.as_secs_f64() * 1e3;
        println!(
            "taken in: {rate:.0} events/s; longest append of {BATCH}: {worst:.0} ms; at most {} MB resident",
            self.peak >> 20
        );
    }
}

/// How long questions took.
#[derive(Default)]
struct Times {
    times: Vec<Duration>,
    rows: usize,
}

impl Times {
    fn add(&mut self, took: Duration, rows: usize) {
        self.times.push(took);
        self.rows += rows;
    }

    fn report(mut self, name: &str) {
        self.times.sort_unstable();
        let at = |part: f64| self.times[((self.times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
        println!("by {name}: p50 {:.2} ms, p99 {:.2} ms, {} rows", at(0.5), at(0.99), self.rows);
    }
}

fn report(bytes: u64, count: u64) -> Result<()> {
    println!(
        "{} MB on disk, {} bytes an event; {} MB resident",
        bytes >> 20,
        bytes / count,
        resident()? >> 20
    );
    Ok(())
}

/// Bytes of memory that this process holds.
fn resident() -> Result<u64> {
    let pages = fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = pages.split(' ').nth(1).context("statm has a second number")?.parse()?;
    Ok(pages * 4096)
}
