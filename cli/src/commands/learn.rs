//! `train` and `evaluate`: from window tables to a signed model, and how good it is. No daemon.

mod evaluate;
mod report;
mod shown;
mod train;

use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};
use smartfw_learn::{
    forest::ForestOptions,
    table::{ReadOptions, Table, read_files},
    train::{Progress, Stage, TrainOptions},
};

use crate::failure::Failure;

pub(super) use evaluate::run as evaluate;
pub(super) use train::run as train;

fn read(tables: &[PathBuf], options: &ReadOptions) -> Result<Table, Failure> {
    read_files(tables, options).map_err(|why| Failure::failed(why.to_string()))
}

fn options(seed: u64, trees: usize, folds: usize) -> TrainOptions {
    let forest = ForestOptions { trees, ..ForestOptions::default() };
    TrainOptions { seed, forest, folds, ..TrainOptions::default() }
}

/// In trees, on standard error, and only on a terminal.
fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {percent}%  {msg}  {eta} left") {
        bar.set_style(style);
    }
    bar
}

fn advance(bar: &ProgressBar, progress: Progress) {
    bar.set_length(progress.of as u64);
    bar.set_position(progress.trees as u64);
    bar.set_message(match progress.stage {
        Stage::Stratified => "judged, leaving out rows",
        Stage::ByCapture => "judged, leaving out captures",
        Stage::ByTool => "judged, leaving out tools",
        Stage::Growing => "growing",
    });
}
