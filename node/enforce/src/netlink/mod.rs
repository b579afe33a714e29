//! The kernel's own interfaces, without a program in between: ipset, connection tracking, sockets, and the
//! notifications of nf_tables. Messages are made and read by hand; nothing here is `unsafe`.

pub(crate) mod conntrack;
pub(crate) mod ipset;
pub(crate) mod nftables;
mod socket;
pub(crate) mod sockets;
pub(crate) mod wire;

pub(crate) use socket::{Failure, Socket};
