//! The targets blocked last.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use smartfw_core::IpNet;
use smartfw_proto::limits;

/// The targets blocked last, at most [`limits::TOP`]: the live view shows no more.
#[derive(Debug, Default)]
pub struct Recent(Mutex<VecDeque<IpNet>>);

impl Recent {
    /// A target was blocked, or its block changed.
    pub(super) fn push(&self, target: IpNet) {
        let mut targets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        targets.retain(|known| *known != target);
        targets.push_front(target);
        targets.truncate(limits::TOP);
    }

    /// The targets, newest first.
    pub fn targets(&self) -> Vec<IpNet> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_come_first_and_each_once() {
        let recent = Recent::default();
        let net = |n: u32| IpNet::new(std::net::Ipv4Addr::from(n).into(), 32).unwrap();
        (0..limits::TOP as u32 + 5).for_each(|n| recent.push(net(n)));
        recent.push(net(50));
        let targets = recent.targets();
        assert_eq!((targets.len(), targets[0]), (limits::TOP, net(50)));
        assert_eq!(targets.iter().filter(|target| **target == net(50)).count(), 1);
    }
}
