//! What leaves to the outside world: events for a SIEM, messages for people.

mod event;
mod format;
mod text;

pub use event::NodeEvent;
pub use format::{Facility, Format};
