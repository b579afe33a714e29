//! The metrics page: Prometheus' text over HTTP.

mod page;
mod server;
mod text;

pub use page::Shown;
pub use server::{MetricsError, serve};
