//! The files that others read: `traffic.log`, `alerts.log`, `events.jsonl`. One thread writes them, so that neither
//! the sensor nor the agent ever waits for a disk.

mod rotating;
mod writer;

pub use rotating::{Limits, RotatingFile};
pub use writer::{Line, LogPaths, Logs};
