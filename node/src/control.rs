//! The control service on the Unix socket: what a person on this host may ask and order.

mod cluster;
mod drops;
mod feeds;
mod import;
mod lists;
mod mirror;
mod models;
mod service;
mod socket;
mod status;
mod told;
mod top;

pub use cluster::ClusterService;
pub use drops::Drops;
pub use feeds::FeedsService;
pub use mirror::MirrorService;
pub use models::ModelsService;
pub use service::{Facts, Reload, Service};
pub use socket::{ControlSocket, SocketError};
pub(crate) use status::counted;
