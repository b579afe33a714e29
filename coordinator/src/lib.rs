//! The fleet's memory and its window: it sees everything and is needed for nothing. What nodes tell is kept in the
//! history before it is acknowledged; what the fleet is right now is a view in memory that nodes fill anew whenever they
//! connect.
#![forbid(unsafe_code)]

pub mod announcing;
pub mod clock;
pub mod flags;
pub mod fleet;
pub mod health;
pub mod intake;
pub mod keeper;
pub mod membership;
pub mod metrics;
pub mod mirroring;
pub mod place;
pub mod program;
pub mod retention;
pub mod settings;
pub mod telling;
#[cfg(test)]
mod testing;
pub mod view;
pub mod web;
