//! What leaves to the outside world: events for a SIEM, messages for people.

mod backoff;
mod event;
mod format;
mod queue;
mod state;
#[cfg(test)]
mod testing;
mod text;
mod tls;
mod trouble;

pub use event::NodeEvent;
pub use format::{Facility, Format};
pub use state::State;
pub use tls::BadTls;
pub use trouble::Trouble;
