//! What answers the routes.

pub(crate) mod accounts;
pub(crate) mod audit;
pub(crate) mod bouncers;
pub(crate) mod events;
pub(crate) mod fleet;
pub(crate) mod live;
mod members;
pub(crate) mod orders;
pub(crate) mod sessions;
