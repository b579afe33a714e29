//! How models are made and judged.
//!
//! Everything is seeded: the same data and the same seed give the same model, byte for byte, on any number of threads;
//! but for the trainer `linfa` (a feature of this crate), whose trees depend on a map's random order.
//!
//! ```no_run
//! use smartfw_learn::{table::{read_files, ReadOptions}, train::{train, TrainOptions}};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let table = read_files(&["windows.csv.gz"], &ReadOptions::default())?;
//! let trained = train(&table, &TrainOptions::default(), &mut |progress| {
//!     let _ = (progress.trees, progress.of);
//! })?;
//! std::fs::write("model", trained.model.encode())?;
//! for weak in &trained.account.weak {
//!     assert!(weak.recall < 1.0);
//! }
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod bins;
mod builtin;
pub mod calibrate;
pub mod card;
mod chance;
#[cfg(feature = "linfa")]
pub mod explain;
pub mod file;
#[cfg(any(test, feature = "fixture"))]
pub mod fixture;
pub mod folds;
pub mod forest;
pub mod isolation;
pub mod key;
pub mod online;
pub mod report;
pub mod rules;
#[cfg(test)]
mod samples;
pub mod score;
pub mod search;
pub mod table;
pub mod train;

pub use builtin::builtin;
pub use card::Card;
pub use file::{FileError, ModelFile};
pub use key::{KeyError, ModelKey, Signer};
