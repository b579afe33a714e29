//! Open connections of a blocked target: the drop alone leaves the server's sockets open until they time out, and a
//! slow attacker keeps the slots that it holds.

use smartfw_core::{IpNet, prefix};
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::{
    EnforceError,
    netlink::{
        Failure,
        conntrack::{Conntrack, Tracked},
        sockets::{Found, Sockets},
    },
    sets::Family,
};

/// Tracked connections forgotten at once: more than a kernel tracks by default (262,144), 100 bytes each.
const TRACKED: usize = 300_000;
/// The kernel's error number for what it was built without.
const NOT_BUILT: [i32; 2] = [95, 22];

/// What was closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Destroyed {
    /// Sockets of this host.
    pub sockets: usize,
    /// Tracked connections, forwarded ones among them.
    pub tracked: usize,
    /// Whether the kernel cannot destroy sockets (built without `INET_DIAG_DESTROY`): they end by their own time-outs.
    pub sockets_unsupported: bool,
}

/// Closes every TCP socket of this network namespace whose remote end is in `target`, and forgets the tracked
/// connections of `target`; those of addresses in `spared` are left alone.
///
/// # Errors
/// When the kernel cannot be asked, or CAP_NET_ADMIN is missing.
pub fn destroy(target: IpNet, spared: &[IpNet]) -> Result<Destroyed, EnforceError> {
    let target = prefix::canonical_net(target);
    let meant = |end: IpAddr| target.contains(&end) && !spared.iter().any(|net| net.contains(&end));
    let mut destroyed = destroy_sockets(&target, meant)?;
    destroyed.tracked = forget(&target, meant)?;
    Ok(destroyed)
}

/// [`destroy`] for many targets, with one look at sockets and tracked connections: an import of a hundred thousand
/// blocks must not look as often.
///
/// # Errors
/// As [`destroy`].
pub fn destroy_all(targets: &[IpNet], spared: &[IpNet]) -> Result<Destroyed, EnforceError> {
    let targets: Vec<IpNet> = targets.iter().copied().map(prefix::canonical_net).collect();
    let hosts: BTreeSet<IpAddr> =
        targets.iter().filter(|net| net.prefix_len() == net.max_prefix_len()).map(IpNet::addr).collect();
    let nets: Vec<&IpNet> = targets.iter().filter(|net| net.prefix_len() < net.max_prefix_len()).collect();
    let meant = |end: IpAddr| {
        (hosts.contains(&end) || nets.iter().any(|net| net.contains(&end)))
            && !spared.iter().any(|net| net.contains(&end))
    };
    let mut destroyed = Destroyed::default();
    for everybody in everybody() {
        if targets.iter().any(|target| everybody.contains(target)) {
            let Destroyed { sockets, sockets_unsupported, .. } = destroy_sockets(&everybody, meant)?;
            destroyed.sockets += sockets;
            destroyed.sockets_unsupported |= sockets_unsupported;
            destroyed.tracked += forget(&everybody, meant)?;
        }
    }
    Ok(destroyed)
}

/// All of each family.
fn everybody() -> impl Iterator<Item = IpNet> {
    let unspecified: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    unspecified.into_iter().filter_map(|address| IpNet::new(address, 0).ok())
}

fn destroy_sockets(target: &IpNet, meant: impl Fn(IpAddr) -> bool) -> Result<Destroyed, EnforceError> {
    let mut sockets = Sockets::open()?;
    let found: Vec<Found> = sockets.of(target).map_err(failed("looking for sockets"))?;
    let mut destroyed = Destroyed::default();
    for socket in found.iter().filter(|socket| meant(socket.remote)) {
        match sockets.destroy(socket) {
            Ok(done) => destroyed.sockets += usize::from(done),
            Err(failure) if NOT_BUILT.contains(&failure.code()) => {
                return Ok(Destroyed { sockets_unsupported: true, ..destroyed });
            }
            Err(failure) => return Err(failed("destroying a socket")(failure)),
        }
    }
    Ok(destroyed)
}

fn forget(target: &IpNet, meant: impl Fn(IpAddr) -> bool) -> Result<usize, EnforceError> {
    let mut conntrack = Conntrack::open()?;
    let found: Vec<Tracked> = match conntrack.of(Family::of(target), TRACKED, meant) {
        // A kernel without connection tracking has nothing to forget.
        Err(failure) if NOT_BUILT.contains(&failure.code()) => return Ok(0),
        outcome => outcome.map_err(failed("looking for tracked connections"))?,
    };
    let mut forgotten = 0;
    for tracked in &found {
        let gone = conntrack.delete(tracked).map_err(failed("forgetting a tracked connection"))?;
        forgotten += usize::from(gone);
    }
    Ok(forgotten)
}

fn failed(what: &'static str) -> impl FnOnce(Failure) -> EnforceError {
    move |failure| EnforceError::system(what)(nix::Error::from_raw(failure.code()))
}
