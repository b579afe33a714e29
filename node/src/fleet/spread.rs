//! How our own blocks spread: who has said that its kernel drops them, and after how long.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound::{Excluded, Included},
    time::Duration,
};

use smartfw_core::{
    IpNet, Time,
    fleet::{NodeId, Version},
};

/// Own blocks whose spreading is remembered: what a person may look at. Older ones are only listed.
const BLOCKS: usize = 4096;
/// Members whose words are remembered of each: beyond a full mesh nobody asks.
const MEMBERS: usize = 64;

/// How our own blocks spread.
#[derive(Debug, Default)]
pub(super) struct Spread {
    /// When targets were decided upon that are not said yet.
    decided: BTreeMap<IpNet, Time>,
    undecided: VecDeque<IpNet>,
    said: BTreeMap<(bool, Version), Said>,
    order: VecDeque<(bool, Version)>,
    of_target: BTreeMap<IpNet, (bool, Version)>,
    /// Up to where a member has said so.
    heard: BTreeMap<(NodeId, bool), Version>,
}

#[derive(Debug)]
struct Said {
    target: IpNet,
    decided: Time,
    took: BTreeMap<NodeId, Duration>,
}

impl Spread {
    /// This node decides to drop a target, by the steady clock.
    pub(super) fn decided(&mut self, target: IpNet, now: Time) {
        if self.decided.insert(target, now).is_none() {
            self.undecided.push_back(target);
        }
        if self.undecided.len() > BLOCKS {
            self.undecided.pop_front().map(|oldest| self.decided.remove(&oldest));
        }
    }

    /// A block has its version.
    pub(super) fn said(&mut self, site: bool, version: Version, target: IpNet, now: Time) {
        let decided = self.decided.remove(&target).unwrap_or(now);
        let key = (site, version);
        if self.said.insert(key, Said { target, decided, took: BTreeMap::new() }).is_none() {
            self.order.push_back(key);
        }
        self.of_target.insert(target, key);
        if self.order.len() > BLOCKS
            && let Some(oldest) = self.order.pop_front()
            && let Some(said) = self.said.remove(&oldest)
            && self.of_target.get(&said.target) == Some(&oldest)
        {
            self.of_target.remove(&said.target);
        }
    }

    /// A member's kernel drops everything up to a version.
    pub(super) fn heard(
        &mut self,
        member: NodeId,
        site: bool,
        version: Version,
        now: Time,
        each: impl Fn(Duration),
    ) {
        let before = self.heard.get(&(member, site)).copied().unwrap_or_default();
        if version <= before {
            return;
        }
        self.heard.insert((member, site), version);
        let range = (Excluded((site, before)), Included((site, version)));
        for (_, said) in self.said.range_mut(range) {
            let took = now.since(said.decided);
            each(took);
            if said.took.len() < MEMBERS {
                said.took.insert(member, took);
            }
        }
    }

    /// A member is gone for good.
    pub(super) fn forget(&mut self, member: &NodeId) {
        self.heard.retain(|(node, _), _| node != member);
    }

    /// Who has said that its kernel drops our block of a target, and after how long.
    pub(super) fn of(&self, target: &IpNet) -> impl Iterator<Item = (&NodeId, Duration)> {
        let said = self.of_target.get(target).and_then(|key| self.said.get(key));
        said.into_iter().flat_map(|said| said.took.iter().map(|(node, took)| (node, *took)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(n: usize) -> IpNet {
        let address = std::net::Ipv4Addr::from(u32::try_from(n).unwrap());
        IpNet::new(address.into(), 32).unwrap()
    }

    fn version(sequence: usize) -> Version {
        Version { epoch: 1, sequence: sequence as u64 }
    }

    fn took(spread: &Spread, n: usize) -> Vec<u64> {
        spread.of(&net(n)).map(|(_, took)| took.as_secs()).collect()
    }

    #[test]
    fn a_members_word_counts_for_everything_before_it_and_once() {
        let mut spread = Spread::default();
        spread.decided(net(1), Time::from_secs(10));
        spread.said(false, version(1), net(1), Time::from_secs(11));
        spread.said(false, version(2), net(2), Time::from_secs(11));
        spread.said(true, version(1), net(3), Time::from_secs(11));
        let heard = std::cell::RefCell::new(Vec::new());
        for at in [12, 20] {
            let each = |took: Duration| heard.borrow_mut().push(took.as_secs());
            spread.heard(NodeId([1; 32]), false, version(2), Time::from_secs(at), each);
        }
        assert_eq!(heard.into_inner(), [2, 1]);
        assert_eq!((took(&spread, 1), took(&spread, 2), took(&spread, 3)), (vec![2], vec![1], vec![]));
    }

    #[test]
    fn what_is_remembered_of_blocks_is_bounded() {
        let mut spread = Spread::default();
        for n in 0..3 * BLOCKS {
            spread.decided(net(n), Time::from_secs(1));
            if n % 2 == 0 {
                spread.said(false, version(n + 1), net(n), Time::from_secs(1));
            }
        }
        assert!(spread.said.len() <= BLOCKS && spread.of_target.len() <= BLOCKS);
        assert!(spread.decided.len() <= BLOCKS && spread.undecided.len() <= BLOCKS);
    }
}
