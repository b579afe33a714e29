//! How models are made and judged.
//!
//! Everything is seeded: the same data and the same seed give the same model, byte for byte, on any number of threads.
#![forbid(unsafe_code)]
