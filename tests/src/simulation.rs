//! A whole fleet in one thread: the real core, a simulated network, disks and clocks, and one seed for all of it.
//!
//! Time jumps to the next event, so that a minute of a thousand nodes takes seconds. The same seed gives the same run,
//! which is how a failure is looked at: `SMARTFW_SEED=… cargo test -p smartfw-tests --test simulation`.
//!
//! ```text
//! script ─▶ World ─▶ Node (Gossip, disk, clocks) ─▶ effects ─▶ Network (delays, losses, partitions) ─▶ World
//!                     └▶ Audit: what was really said against what is applied
//! ```

mod audit;
mod chance;
mod events;
mod keys;
mod liar;
mod network;
mod node;
mod script;
mod shell;
mod world;

pub use audit::{Audit, Broken};
pub use chance::Chance;
pub use keys::{Book, Key};
pub use liar::Lie;
pub use network::{Network, Weather};
pub use node::{Applied, Disk, Node};
pub use script::{Plan, Troubles, block};
pub use world::{Traffic, World};
