//! The threads that change the kernel, and the queue in front of them.

mod boot;
mod cutter;
mod queue;
mod repairer;
mod worker;

pub use boot::{BootSnapshot, Change as BootChange, save_for_boot};
pub use cutter::Cutter;
pub use queue::{Queue, Task, Ticket};
pub use repairer::{Agreement, Repairer};
pub use worker::{Desired, Worker};
