//! The daemon on every server: it watches, decides, drops, and tells a person what it did.
//!
//! ```text
//! detector thread   frames -> Sensor -> verdicts ─┐
//! guard thread      who must never be locked out ─┤
//! control runtime   orders and questions ─────────┼─▶ inbox ─▶ driver thread (Agent) ─┬─▶ enforcer thread ─▶ kernel
//! store thread      "up to here it is on disk" ───┤                                   ├─▶ store thread ─▶ sled
//! enforcer thread   "the kernel drops it" ────────┘                                   └─▶ logs thread, followers
//! ```
#![deny(unsafe_code)]

pub mod chance;
pub mod clock;
pub mod control;
pub mod counters;
pub mod detector;
pub mod driver;
pub mod enforcement;
pub mod external;
pub mod feeds;
pub mod files;
pub mod flags;
pub mod fleet;
pub mod guard;
pub mod health;
pub mod heartbeat;
pub mod inbox;
pub mod learning;
pub mod logins;
pub mod logs;
mod memory;
pub mod metrics;
pub mod mirror;
pub mod models;
pub mod node;
pub mod notify;
pub mod store;
#[cfg(test)]
mod testing;
pub mod uplink;
pub mod vital;
