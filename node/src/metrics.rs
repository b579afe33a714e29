//! The metrics page: Prometheus' text over HTTP.

mod server;
mod text;

pub use server::{MetricsError, serve};
pub use text::Page;
