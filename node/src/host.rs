//! The host, as the guard asks it.

use std::io;

use smartfw_core::{
    prefix,
    protect::{Protected, ProtectedSet, Why},
};
use smartfw_host::net;

/// What this host says of itself.
#[derive(Debug, Default)]
pub struct Host;

impl Host {
    /// Who must never be blocked.
    ///
    /// # Errors
    /// What cannot be read.
    pub fn protected(&mut self) -> Result<ProtectedSet, String> {
        observe().map_err(|error| error.to_string())
    }
}

fn observe() -> io::Result<ProtectedSet> {
    let mut set = ProtectedSet::default();
    for address in net::addresses()? {
        let mut push = |net, why| set.push(Protected { net, why, detail: String::new() });
        push(prefix::host(address.net.addr()), Why::Own);
        if let Some(broadcast) = address.broadcast {
            push(prefix::host(broadcast), Why::Broadcast);
        }
    }
    for gateway in net::default_routes()?.into_iter().filter_map(|route| route.gateway) {
        set.push(Protected { net: prefix::host(gateway), why: Why::Gateway, detail: String::new() });
    }
    Ok(set)
}
