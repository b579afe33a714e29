//! What leaves to the outside world: events for a SIEM, messages for people.
//!
//! [`Outward`] takes events and never waits for anybody. Behind it each way out has a bounded queue and a worker of its
//! own, so that a receiver that hangs harms itself only.

mod backoff;
mod event;
mod format;
mod notify;
mod outward;
mod queue;
mod settings;
mod state;
#[cfg(test)]
mod testing;
mod text;
mod tls;
mod transport;
mod trouble;

pub use event::NodeEvent;
pub use format::{Facility, Format};
pub use notify::{BadTemplate, Notifier};
pub use outward::Outward;
pub use settings::{
    BadPlace, BadSecret, BadSettings, Bounded, Discreet, Email, Export, HostPort, Limits, Named, Place,
    Rules, Secret, Security, Settings, SetupError, Slack, Span, Webhook,
};
pub use state::State;
pub use tls::BadTls;
pub use transport::Exporter;
pub use trouble::Trouble;
