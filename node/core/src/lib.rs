//! SmartFW's pure core.
//!
//! It reads no clock, opens no socket, draws no chance and iterates no randomly seeded map: time, seed and
//! configuration are arguments, and what it wants done leaves as data. Two state machines share one type, [`Verdict`]:
//!
//! ```text
//! data plane     frame -> packet -> Observation -> windows -> features -> rules -> Verdict      (Sensor)
//! control plane  Verdict | Order -> policy -> Decision -> block list -> Effect                   (Agent)
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod agent;
pub mod alert;
pub mod block;
mod blocklist;
mod chance;
pub mod class;
pub mod config;
pub mod enforcement;
pub mod event;
pub mod explain;
pub mod features;
pub mod fleet;
pub mod gossip;
pub mod health;
pub mod members;
pub mod model;
mod nets;
pub mod order;
pub mod packet;
pub mod policy;
pub mod prefix;
pub mod protect;
pub mod record;
pub mod sensor;
pub mod sums;
pub mod time;
pub mod verdict;

pub use agent::{Agent, Counters, Effect};
pub use alert::{Action, Alert};
pub use block::{Block, BlockId, Origin};
pub use class::{Class, Detector, Evidence, Strength};
pub use event::{Event, EventKind};
pub use explain::{BlockState, Explanation, Listed, Outcome, Withheld};
pub use features::Features;
pub use health::{Health, HealthLevel};
pub use ipnet::IpNet;
pub use policy::Veto;
pub use record::{Record, Sequence};
pub use time::Time;
pub use verdict::{Reason, Service, Subject, Verdict};
