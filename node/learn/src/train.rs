//! From a table to a model, in one call.

mod account;
mod judge;
mod ready;

use serde::{Deserialize, Serialize};
use smartfw_core::model::{BENIGN, Calibration, Forest, IsolationForest, Model, ModelError};

pub use account::{Account, Count, GroupScore, Judged, Strange, Sure, TrainedOn, WEAK, Weak};
pub use judge::{Answers, ask, judge, judge_groups};
pub use ready::admit;

use crate::{
    calibrate::calibrate,
    file::MAX_CARD,
    forest::{self, ForestOptions, Grown},
    isolation::{self, IsolationOptions},
    table::Table,
};
use ready::Ready;

/// How a model is trained.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainOptions {
    /// What all chance comes from.
    pub seed: u64,
    /// Who grows the forest.
    pub trainer: Trainer,
    /// How the forest is grown.
    pub forest: ForestOptions,
    /// How the isolation forest is grown.
    pub isolation: IsolationOptions,
    /// Into how many folds the table is parted to judge the model; fewer than two, and it is not judged.
    pub folds: usize,
    /// Of how many the options are the best that were tried on this table; none where nobody searched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub searched: Option<usize>,
    /// How many threads work; 0 is one for each processor. The model does not depend on it.
    #[serde(skip)]
    pub threads: usize,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            seed: 1,
            trainer: Trainer::default(),
            forest: ForestOptions::default(),
            isolation: IsolationOptions::default(),
            folds: 5,
            searched: None,
            threads: 0,
        }
    }
}

/// Who grows the forest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trainer {
    /// This crate's own.
    #[default]
    Histogram,
    /// Bagged trees of `linfa-trees`.
    #[cfg(feature = "linfa")]
    Linfa,
}

/// A trained model, and what is to be said about it.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The model.
    pub model: Model,
    /// What it was made of and how it was judged.
    pub account: Account,
}

/// How far training is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// How many trees are grown, over all stages.
    pub trees: usize,
    /// How many there will be.
    pub of: usize,
}

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Judging on folds that share every class.
    Stratified,
    /// Judging on captures that were not learned from.
    ByCapture,
    /// Judging on tools that were not learned from.
    ByTool,
    /// Growing the model itself.
    Growing,
}

/// Told how far training is; it may be called on another thread.
pub type Watch<'a> = &'a mut (dyn FnMut(Progress) + Send);

/// Why no model came of a table.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// There are no rows.
    #[error("the table has no rows")]
    NoRows,
    /// There is nothing to tell apart.
    #[error("all rows are of one class, {0:?}: there is nothing to tell apart")]
    OneClass(String),
    /// Nothing is ordinary.
    #[error("no row is of class \"{BENIGN}\": a model must know what is no attack")]
    NoBenign,
    /// The table is none of windows, or has classes that this program does not know.
    #[error("no model of windows comes of it: {0}")]
    Model(#[from] ModelError),
    /// Its names would not fit beside a model.
    #[error(
        "the model's card could have {0} bytes, and {MAX_CARD} is the most: give fewer tools a name of their own, or shorter names"
    )]
    Names(usize),
    /// linfa refuses.
    #[cfg(feature = "linfa")]
    #[error("linfa: {0}")]
    Linfa(String),
    /// No threads can be had.
    #[error("no threads to work with: {0}")]
    Threads(String),
}

/// Trains a model of windows, and judges how it is made.
///
/// # Errors
/// [`TrainError`] says what is wrong with the table.
pub fn train(table: &Table, options: &TrainOptions, watch: Watch<'_>) -> Result<Trained, TrainError> {
    let Ready { table, trained_on, dropped, mut plan } = Ready::new(table, options)?;
    with_threads(options.threads, || {
        let judged = plan.judge(&table, options, watch)?;
        let mut grown = |trees| watch(plan.progress(Stage::Growing, trees));
        let forest = fit(&table, options, options.seed, &mut grown)?;
        let model = Model::new(forest, fit_isolation(&table, options)?)?;
        Ok(Trained { model, account: Account::new(trained_on, dropped, *options, judged) })
    })
}

/// Grows and calibrates a forest on all rows. Any table will do that has rows of two classes; `grown` is told how many
/// trees there are.
///
/// # Errors
/// [`TrainError`] when it has no two classes.
pub fn fit(
    table: &Table,
    options: &TrainOptions,
    seed: u64,
    grown: &mut dyn FnMut(usize),
) -> Result<Forest, TrainError> {
    check(table)?;
    let forest = match options.trainer {
        Trainer::Histogram => forest::grow(table, &options.forest, seed, grown),
        #[cfg(feature = "linfa")]
        Trainer::Linfa => forest::linfa::grow(table, &options.forest, seed, grown)
            .map_err(|error| TrainError::Linfa(error.to_string()))?,
    };
    calibrated(forest, table)
}

fn calibrated(forest: Grown, table: &Table) -> Result<Forest, TrainError> {
    let said = forest.out_of_bag(table);
    let mut parts = forest.parts;
    parts.calibration = if said.rows.is_empty() {
        Calibration::default()
    } else {
        let labels: Vec<u16> = said.rows.iter().map(|row| table.class().of()[*row]).collect();
        let weights: Vec<f32> = said.rows.iter().map(|row| table.weights()[*row]).collect();
        calibrate(&said.probabilities, &labels, &weights, parts.classes.len())
    };
    Ok(Forest::new(parts)?)
}

/// Grows an isolation forest on the benign rows.
///
/// # Errors
/// [`TrainError`] when there are none.
pub fn fit_isolation(table: &Table, options: &TrainOptions) -> Result<IsolationForest, TrainError> {
    let benign: Vec<usize> = (0..table.len()).filter(|row| table.class().name_of(*row) == BENIGN).collect();
    if benign.is_empty() {
        return Err(TrainError::NoBenign);
    }
    Ok(isolation::grow(&table.select(&benign), &options.isolation, options.seed)?)
}

/// Whether there is anything to learn.
pub(crate) fn check(table: &Table) -> Result<(), TrainError> {
    if table.is_empty() {
        return Err(TrainError::NoRows);
    }
    let rows = table.class().counts();
    if rows.iter().filter(|rows| **rows > 0).count() < 2 {
        return Err(TrainError::OneClass(table.class().name_of(0).to_owned()));
    }
    Ok(())
}

/// Runs on threads of its own, which have the caller's priority and end with it.
///
/// # Errors
/// [`TrainError::Threads`] when the system gives none.
pub fn with_threads<T: Send>(
    threads: usize,
    work: impl FnOnce() -> Result<T, TrainError> + Send,
) -> Result<T, TrainError> {
    let pool =
        rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(|_| "train".to_owned()).build();
    pool.map_err(|error| TrainError::Threads(error.to_string()))?.install(work)
}

#[cfg(test)]
mod tests;
