//! The thread that changes the kernel, and the queue in front of it.

mod boot;
mod cutter;
mod queue;
mod worker;

pub use boot::{BootSnapshot, Change as BootChange};
pub use cutter::Cutter;
pub use queue::{Queue, Task, Ticket};
pub use worker::{Desired, Worker};
