//! `replay`: captures through the same detection and policy in virtual time. No daemon, no root, and nothing of the
//! replaying host has a part in it.

mod driver;
mod model;
mod report;

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    time::Instant,
};

use indicatif::{ProgressBar, ProgressStyle};
use smartfw_capture::{CaptureError, FileSource};
use smartfw_config::NodeConfig;
use smartfw_core::sensor::View;
use smartfw_proto::json::Summary;

use crate::{
    args::Replay,
    failure::Failure,
    output::{self, Output},
};
use driver::Driver;
use report::Report;

pub(crate) fn run(state_dir: &Path, output: &mut Output, args: &Replay) -> Result<(), Failure> {
    let config = config(args.config.as_deref())?;
    let model = model::read(state_dir, &args.model)?;
    let view = if args.local.is_empty() { View::Initiator } else { View::Host(args.local.clone()) };
    let bar = bar(&args.files);
    let several = args.files.len() > 1;
    let mut total = Summary::default();
    let mut whole = true;
    for path in &args.files {
        let mut report = Report::new(output, path, several);
        let driver = Driver::new(&config, view.clone(), model.clone());
        match one(path, driver, &bar, &mut report)? {
            Some(summary) => {
                whole &= !summary.truncated;
                bar.suspend(|| report.summary(&summary))?;
                add(&mut total, &summary);
            }
            None => whole = false,
        }
    }
    bar.finish_and_clear();
    if several {
        report::total(output, &total)?;
    }
    if whole { Ok(()) } else { Err(Failure::Silent) }
}

/// One file from its beginning to its end, `None` when it is no capture at all. What was read before some damage
/// counts; the damage is told, and the file is as good as truncated.
fn one(
    path: &Path,
    mut driver: Driver,
    bar: &ProgressBar,
    report: &mut Report<'_>,
) -> Result<Option<Summary>, Failure> {
    let begun = Instant::now();
    let mut source = match open(path, bar) {
        Ok(source) => source,
        Err(error) => {
            complain(bar, &error);
            return Ok(None);
        }
    };
    let damaged = driver.run(&mut source, |event| bar.suspend(|| report.event(&event)))?;
    if let Some(error) = &damaged {
        complain(bar, error);
    }
    let mut summary = driver.summary(&mut source);
    summary.file = Some(report::name(path));
    if source.truncated() && damaged.is_none() {
        let file = path.display();
        let text = format!(
            "{file} ends in the middle of a packet: what stands before it counts; for the rest, capture it again"
        );
        bar.suspend(|| output::complain(&text));
    }
    summary.truncated = source.truncated() || damaged.is_some();
    summary.elapsed = begun.elapsed();
    Ok(Some(summary))
}

fn open(path: &Path, bar: &ProgressBar) -> Result<FileSource, CaptureError> {
    if path == Path::new("-") {
        return FileSource::from_reader(Path::new("standard input"), bar.wrap_read(io::stdin()));
    }
    let cannot = |source| CaptureError::Open { path: path.into(), source };
    let file = File::open(path).map_err(cannot)?;
    if file.metadata().map_err(cannot)?.is_dir() {
        return Err(cannot(io::ErrorKind::IsADirectory.into()));
    }
    let reader: Box<dyn Read + Send> = Box::new(bar.wrap_read(file));
    FileSource::from_reader(path, reader)
}

fn config(path: Option<&Path>) -> Result<NodeConfig, Failure> {
    let mut config = match path {
        None => NodeConfig::default(),
        Some(path) => smartfw_config::load_file(path).map_err(|error| Failure::failed(error.to_string()))?,
    };
    if config.policy.node.is_empty() {
        config.policy.node = "replay".to_owned();
    }
    Ok(config)
}

/// Over the bytes of all files, on standard error, and only on a terminal.
fn bar(files: &[PathBuf]) -> ProgressBar {
    let sizes = files.iter().map(|path| path.metadata().map_or(0, |metadata| metadata.len()));
    let bar = ProgressBar::new(sizes.sum());
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {percent}%  {bytes_per_sec}  {eta} left") {
        bar.set_style(style);
    }
    bar
}

fn complain(bar: &ProgressBar, error: &CaptureError) {
    bar.suspend(|| output::complain(&error.to_string()));
}

fn add(total: &mut Summary, one: &Summary) {
    total.suppressed += one.suppressed;
    total.truncated |= one.truncated;
    total.packets += one.packets;
    total.bytes += one.bytes;
    total.malformed += one.malformed;
    total.sources += one.sources;
    total.flows += one.flows;
    total.elapsed += one.elapsed;
}

#[cfg(test)]
mod tests;
