//! What may be typed about models.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use smartfw_core::Time;
use smartfw_learn::Signer;

#[derive(Debug, Subcommand)]
pub(crate) enum Model {
    /// The models that are kept, who signed them, and which judges
    List,
    /// Judge by another model from now on
    Use {
        /// As `model list` shows it: a name, or builtin; previous: the one before
        #[arg(value_name = "NAME|builtin|previous")]
        name: String,
    },
    /// Let a model judge beside the one in use, without a say
    Shadow {
        /// As `model list` shows it: a name, builtin, or none
        #[arg(value_name = "NAME|builtin|none")]
        name: String,
    },
    /// Keep a model file; nothing judges by it until it is used
    Import {
        /// A model file
        file: PathBuf,
        /// What it shall go by [default: the name on its card]
        #[arg(long)]
        name: Option<String>,
        /// Believe the models of this public key from now on
        #[arg(long, value_name = "KEY")]
        trust: Option<Signer>,
    },
    /// Write a model into a file
    Export {
        /// As `model list` shows it: a name, or builtin
        name: String,
        /// Where to; it must not be there yet
        file: PathBuf,
    },
    /// Look at a model file: its form, its signature, its card; needs no daemon
    Verify {
        /// A model file
        file: PathBuf,
    },
    /// Forget a model that has no place
    Remove {
        /// As `model list` shows it
        name: String,
    },
    /// Believe the models of a key no more that was named by `import --trust`
    Distrust {
        /// The public key, as `model list -o json` shows it
        key: Signer,
    },
    /// What people corrected (`reject`, `unblock --reason false-positive`)
    Lessons {
        /// As rows of a window table, so that `train` takes them
        #[arg(long)]
        csv: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Train {
    /// Window tables: CSV, plain or packed with gzip
    #[arg(required = true, value_name = "TABLE")]
    pub(crate) tables: Vec<PathBuf>,
    /// Where the model goes; it must not be there yet [default: NAME.sfwm]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// What the model shall go by
    #[arg(long, default_value = "trained")]
    pub(crate) name: String,
    /// What all chance comes from: the same tables and the same seed give the same model
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// How many trees grow
    #[arg(long, default_value_t = 100, value_parser = trees)]
    pub(crate) trees: usize,
    /// Who grows them
    #[arg(long, value_enum, default_value = "forest")]
    pub(crate) trainer: Trainer,
    /// Try so many sets of options first, and take the best
    #[arg(long, value_name = "N", value_parser = rounds)]
    pub(crate) search: Option<usize>,
    /// Into how many folds the tables are parted to judge the model
    #[arg(long, default_value_t = 5, value_parser = folds)]
    pub(crate) folds: usize,
    /// Whose key signs it; made where there is none [default: model.key in ~/.config/smartfw]
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Write what the model was made of, how it was judged and where it fails into this folder: report.md, report.json,
    /// reliability.svg
    #[arg(long, value_name = "DIR")]
    pub(crate) report: Option<PathBuf>,
    /// When the model says that it was made, in seconds since 1970; without it nothing is said, and the same tables, seed
    /// and key give the same file, byte for byte
    #[arg(long, env = "SOURCE_DATE_EPOCH", value_name = "SECONDS", value_parser = moment)]
    pub(crate) created: Option<Time>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Trainer {
    /// This program's own
    Forest,
    /// Bagged trees of linfa-trees: slow, and not the same at each run
    Linfa,
}

#[derive(Debug, Args)]
pub(crate) struct Evaluate {
    /// Window tables: CSV, plain or packed with gzip
    #[arg(required = true, value_name = "TABLE")]
    pub(crate) tables: Vec<PathBuf>,
    /// A model file, builtin, or the name of a model kept under --state-dir; without it models are trained and judged
    /// in turn
    #[arg(long, value_name = "FILE|NAME|builtin")]
    pub(crate) model: Option<PathBuf>,
    /// Into how many folds the tables are parted
    #[arg(long, default_value_t = 5, value_parser = folds, conflicts_with = "model")]
    pub(crate) folds: usize,
    /// What is left out of training in turn; of a model that is there: by what the answer is parted
    #[arg(long, value_enum, default_value = "stratified")]
    pub(crate) by: By,
    /// What all chance comes from
    #[arg(long, default_value_t = 1, conflicts_with = "model")]
    pub(crate) seed: u64,
    /// How many trees grow
    #[arg(long, default_value_t = 100, value_parser = trees, conflicts_with = "model")]
    pub(crate) trees: usize,
    #[command(flatten)]
    pub(crate) columns: Columns,
    /// Write the whole judgement into this folder: report.md, report.json, reliability.svg
    #[arg(long, value_name = "DIR")]
    pub(crate) report: Option<PathBuf>,
}

/// The columns of tables that are none of windows.
#[derive(Debug, Args)]
pub(crate) struct Columns {
    /// The tables have other features than windows (such as CICIDS2017): the column of the class; all columns that are not
    /// named here are features
    #[arg(long, value_name = "COLUMN", conflicts_with = "model")]
    pub(crate) label: Option<String>,
    /// The column of the capture
    #[arg(long, value_name = "COLUMN", requires = "label")]
    pub(crate) capture: Option<String>,
    /// The column of the tool
    #[arg(long, value_name = "COLUMN", requires = "label")]
    pub(crate) tool: Option<String>,
    /// A column that is no feature; may be given several times
    #[arg(long, value_name = "COLUMN", requires = "label")]
    pub(crate) leave_out: Vec<String>,
    /// Take rows with missing and infinite values
    #[arg(long, requires = "label")]
    pub(crate) keep_missing: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    /// Rows, with the same share of every class in each fold
    Stratified,
    /// Whole captures
    Capture,
    /// One tool after the other
    Tool,
}

fn moment(text: &str) -> Result<Time, String> {
    let time = text.parse().ok().map(Time::from_secs).filter(|time| *time < Time::NEVER);
    time.ok_or_else(|| "seconds since 1970, as `date +%s` prints them".to_owned())
}

fn trees(text: &str) -> Result<usize, String> {
    let most = smartfw_learn::forest::ForestOptions::MAX_TREES;
    text.parse().ok().filter(|trees| (1..=most).contains(trees)).ok_or_else(|| format!("from 1 to {most}"))
}

fn rounds(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|rounds| (1..=1000).contains(rounds)).ok_or_else(|| "from 1 to 1000".to_owned())
}

fn folds(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|folds| (2..=100).contains(folds)).ok_or_else(|| "from 2 to 100".to_owned())
}
