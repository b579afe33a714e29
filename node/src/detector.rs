//! The thread that looks at packets, and who watches over it.

mod lifeline;

pub use lifeline::{Event, Job, Lifeline, Supervisor};
