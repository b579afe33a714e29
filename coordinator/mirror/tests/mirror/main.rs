//! The mirror against a fake of the database, and what the fake promises against the real one.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod access;
mod contract;
mod receiving;
mod sending;
mod support;
mod tidying;
mod tls;
