//! Open connections of a blocked target: the drop alone leaves the server's sockets open until they time out, and a
//! slow attacker keeps the slots that it holds.

use smartfw_core::{IpNet, prefix};
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::AddAssign,
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
/// The kernel's error number for what it was built without, and, before Linux 6.0, for a socket of which nothing but a
/// last packet is awaited.
const NOT_SUPPORTED: i32 = 95;
/// The kernel's error numbers where connections are not tracked.
const NOT_TRACKING: [i32; 2] = [NOT_SUPPORTED, 22];

/// What was closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Destroyed {
    /// Sockets of this host.
    pub sockets: usize,
    /// Tracked connections, forwarded ones among them.
    pub tracked: usize,
    /// Whether the kernel cannot destroy sockets (built without `INET_DIAG_DESTROY`): they end by their own time-outs.
    pub sockets_unsupported: bool,
    /// Sockets and tracked connections that the kernel would not let go; they end by their own time-outs.
    pub refused: usize,
}

/// Closes every TCP socket of this network namespace whose remote end is in `target`, and forgets the tracked
/// connections of `target`; those of addresses in `spared` are left alone.
///
/// # Errors
/// When the kernel cannot be asked, or CAP_NET_ADMIN is missing.
pub fn destroy(target: IpNet, spared: &[IpNet]) -> Result<Destroyed, EnforceError> {
    let target = prefix::canonical_net(target);
    let meant = |end: IpAddr| target.contains(&end) && !spared.iter().any(|net| net.contains(&end));
    both(&target, meant)
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
            destroyed += both(&everybody, meant)?;
        }
    }
    Ok(destroyed)
}

impl AddAssign for Destroyed {
    fn add_assign(&mut self, other: Self) {
        self.sockets += other.sockets;
        self.tracked += other.tracked;
        self.sockets_unsupported |= other.sockets_unsupported;
        self.refused += other.refused;
    }
}

/// All of each family.
fn everybody() -> impl Iterator<Item = IpNet> {
    let unspecified: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    unspecified.into_iter().filter_map(|address| IpNet::new(address, 0).ok())
}

/// Sockets and tracked connections. Trouble with the ones keeps nobody from the others.
fn both(target: &IpNet, meant: impl Fn(IpAddr) -> bool) -> Result<Destroyed, EnforceError> {
    let sockets = destroy_sockets(target, &meant);
    let tracked = forget(target, &meant)?;
    let sockets = sockets?;
    Ok(Destroyed {
        sockets: sockets.done,
        tracked: tracked.done,
        sockets_unsupported: sockets.all_unsupported(),
        refused: sockets.refused + sockets.unsupported + tracked.refused + tracked.unsupported,
    })
}

fn destroy_sockets(target: &IpNet, meant: impl Fn(IpAddr) -> bool) -> Result<Tried, EnforceError> {
    let mut sockets = Sockets::open()?;
    let found: Vec<Found> = sockets.of(target).map_err(failed("looking for sockets"))?;
    let meant = found.iter().filter(|socket| meant(socket.remote));
    try_all(meant.map(|socket| sockets.destroy(socket))).map_err(failed("destroying a socket"))
}

fn forget(target: &IpNet, meant: impl Fn(IpAddr) -> bool) -> Result<Tried, EnforceError> {
    let mut conntrack = Conntrack::open()?;
    let found: Vec<Tracked> = match conntrack.of(Family::of(target), TRACKED, meant) {
        // A kernel without connection tracking has nothing to forget.
        Err(failure) if NOT_TRACKING.contains(&failure.code()) => return Ok(Tried::default()),
        outcome => outcome.map_err(failed("looking for tracked connections"))?,
    };
    let outcomes = found.iter().map(|tracked| conntrack.delete(tracked));
    try_all(outcomes).map_err(failed("forgetting a tracked connection"))
}

/// What became of many attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tried {
    done: usize,
    unsupported: usize,
    refused: usize,
}

impl Tried {
    fn all_unsupported(self) -> bool {
        self.unsupported > 0 && self.done + self.refused == 0
    }
}

/// Tries everything: what the kernel refuses of one says nothing about the next, but for missing rights and a broken
/// conversation. `Ok(false)` is what was gone already.
fn try_all(outcomes: impl Iterator<Item = Result<bool, Failure>>) -> Result<Tried, Failure> {
    let mut tried = Tried::default();
    for outcome in outcomes {
        match outcome {
            Ok(done) => tried.done += usize::from(done),
            Err(Failure::Refused { code: NOT_SUPPORTED, .. }) => tried.unsupported += 1,
            Err(failure @ (Failure::Socket(_) | Failure::Refused { code: 1 | 13, .. })) => {
                return Err(failure);
            }
            Err(Failure::Refused { .. }) => tried.refused += 1,
        }
    }
    Ok(tried)
}

fn failed(what: &'static str) -> impl FnOnce(Failure) -> EnforceError {
    move |failure| EnforceError::system(what)(nix::Error::from_raw(failure.code()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: i32) -> Result<bool, Failure> {
        Err(Failure::Refused { code, request: Vec::new() })
    }

    #[test]
    fn what_cannot_be_destroyed_does_not_save_the_others() {
        let outcomes = [refused(NOT_SUPPORTED), Ok(true), refused(16), Ok(false), Ok(true)];
        let tried = try_all(outcomes.into_iter()).unwrap();
        assert_eq!(tried, Tried { done: 2, unsupported: 1, refused: 1 });
        assert!(!tried.all_unsupported());
    }

    #[test]
    fn a_kernel_that_can_destroy_nothing_is_told_from_one_that_refused_some() {
        assert!(
            try_all([refused(NOT_SUPPORTED), refused(NOT_SUPPORTED)].into_iter()).unwrap().all_unsupported()
        );
        assert!(!try_all([refused(NOT_SUPPORTED), refused(16)].into_iter()).unwrap().all_unsupported());
        assert!(!Tried::default().all_unsupported());
    }

    #[test]
    fn without_the_right_to_it_nothing_is_tried_for_long() {
        let mut asked = 0;
        let outcomes = (0..3).map(|_| {
            asked += 1;
            refused(1)
        });
        assert!(try_all(outcomes).is_err());
        assert_eq!(asked, 1);
    }
}
