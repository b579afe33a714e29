//! What a fleet's coordinator answers to people, programs and bouncers: REST and WebSocket over TLS.
//!
//! One table ([`routes()`]) says which routes there are, who may use them and what they take; routing, the check of roles,
//! the audit log and the OpenAPI document all follow it. What is known of the fleet, and what changes it, is behind
//! [`Fleet`], which the coordinator's program implements.

mod api;
mod audit;
mod auth;
mod call;
mod decisions;
mod dispatch;
mod file;
mod fleet;
mod form;
mod handle;
mod moment;
mod openapi;
mod problem;
mod query;
mod routes;
mod serve;
#[cfg(any(test, feature = "fixture"))]
mod testing;
#[cfg(test)]
mod tests;

pub use api::{Api, FirstPassword, OpenError, Settings};
pub use auth::Role;
pub use fleet::{
    Allowed, Block, Blocks, Concern, Event, EventQuery, Events, Fleet, Health, Level, Live, Node, Order,
    Ordered, Panic, Rates, Refusal, Refused, Spread, Who,
};
pub use form::LONGEST_PANIC;
pub use moment::{Clock, rfc3339};
pub use openapi::document;
pub use routes::{Access, Route, routes};
pub use serve::{Limits, ServeError, Served, serve, tls};
#[cfg(any(test, feature = "fixture"))]
pub use testing::MemoryFleet;
