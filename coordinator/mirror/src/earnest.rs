//! The time and the chance of programs that run in earnest.

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    time::{Duration, SystemTime},
};

/// The time since 1970.
pub fn since_epoch() -> Duration {
    SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default()
}

/// Spreads the attempts of several programs; nobody is harmed by guessing it.
pub fn chance() -> u64 {
    RandomState::new().build_hasher().finish()
}
