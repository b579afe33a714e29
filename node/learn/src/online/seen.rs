//! What is learned from: a source's window, and the row that is left of it.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
pub(super) use smartfw_core::prefix::neighbourhoods;
use smartfw_core::{Features, IpNet, prefix, verdict::Protocol};

/// How many features a window has.
pub const WIDTH: usize = smartfw_core::features::COUNT;

/// A window as the sensor reports it, as far as learning is concerned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    /// The remote address.
    pub source: IpAddr,
    /// Its features.
    pub features: Features,
    /// Whether any stage of detection suspects the source.
    pub suspect: bool,
    /// Whether the source completed a benign handshake within a day.
    pub known: bool,
    /// The local service that it asked last.
    pub service: LocalService,
}

/// A local service: protocol and port.
pub type LocalService = (Protocol, u16);

/// A window that is learned from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) source: IpAddr,
    pub(super) service: LocalService,
    pub(super) values: [f32; WIDTH],
}

impl From<&Seen> for Row {
    fn from(seen: &Seen) -> Self {
        let source = prefix::canonical(seen.source);
        Self { source, service: seen.service, values: seen.features.to_array() }
    }
}

/// Whoever holds an address holds its /64 (IPv6), or the address alone (IPv4).
pub(super) fn holder(source: IpAddr) -> IpNet {
    match prefix::canonical(source) {
        IpAddr::V6(_) => prefix::around(source, 64),
        IpAddr::V4(_) => prefix::host(source),
    }
}

/// What the holder of an address may hold besides: of IPv6 anybody gets a /48. Of IPv4 the neighbours are others.
pub(super) fn estate(source: IpAddr) -> IpNet {
    match prefix::canonical(source) {
        IpAddr::V6(_) => neighbourhoods(source)[0],
        IpAddr::V4(_) => prefix::host(source),
    }
}
