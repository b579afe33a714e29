//! A few nodes that tell each other at once.

use alloc::{collections::BTreeSet, vec::Vec};
use core::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use crate::{Class, Evidence, Subject, Time, Verdict, fleet::NodeId, sensor::*, sums::*};

pub(super) const ATTACKER: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 66));
pub(super) const SSH: Sign = Sign::LoginFailed(LoginKind::Ssh);

pub(super) struct Fleet {
    pub(super) now: Time,
    pub(super) nodes: Vec<Sums>,
    pub(super) verdicts: Vec<(usize, Verdict)>,
    /// What a node says is not heard.
    pub(super) down: BTreeSet<usize>,
    pub(super) messages: usize,
}

pub(super) fn id(index: usize) -> NodeId {
    NodeId([index as u8 + 1; 32])
}

pub(super) fn host(index: usize) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, index as u8 + 1).into()
}

pub(super) fn probe(node: usize, port: u16, proven: bool) -> Sign {
    Sign::Probed { host: host(node), port, proven }
}

impl Fleet {
    pub(super) fn new(size: usize) -> Self {
        let now = Time::from_secs(1_800_000_000);
        let nodes = (0..size).map(|index| Sums::new(id(index), "prod", now)).collect();
        let mut fleet = Self { now, nodes, verdicts: Vec::new(), down: BTreeSet::new(), messages: 0 };
        fleet.settle_members();
        fleet
    }

    /// Everybody sees who is up.
    pub(super) fn settle_members(&mut self) {
        let up: Vec<_> = (0..self.nodes.len()).filter(|index| !self.down.contains(index)).map(id).collect();
        self.nodes.iter_mut().for_each(|node| node.set_members(up.iter().copied()));
    }

    pub(super) fn sees(&mut self, node: usize, source: IpAddr, sign: Sign) {
        let weak = Weak { at: self.now, source, sign, known: false };
        self.nodes[node].handle_observation(self.now, weak);
        self.carry();
    }

    /// So many seconds pass.
    pub(super) fn wait(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now = self.now.after(Duration::from_secs(1));
            for node in 0..self.nodes.len() {
                if self.nodes[node].poll_timeout() <= self.now {
                    self.nodes[node].handle_timeout(self.now);
                }
            }
            self.carry();
        }
    }

    pub(super) fn carry(&mut self) {
        loop {
            let mut idle = true;
            for from in 0..self.nodes.len() {
                while let Some(effect) = self.nodes[from].poll_effect() {
                    idle = false;
                    if self.down.contains(&from) {
                        continue;
                    }
                    match effect {
                        SumsEffect::Decide(verdict) => self.verdicts.push((from, verdict)),
                        SumsEffect::Send(to, message) => {
                            self.messages += 1;
                            let to = usize::from(to.0[0]) - 1;
                            self.nodes[to].handle_message(self.now, id(from), message);
                        }
                    }
                }
            }
            if idle {
                return;
            }
        }
    }

    pub(super) fn silent(&self) {
        assert!(self.verdicts.is_empty(), "{:#?}", self.verdicts);
    }

    /// Everybody who was accused, with the class, the rule and the evidence.
    pub(super) fn accused(&self) -> BTreeSet<(IpAddr, Class, Option<Evidence>)> {
        let of = |verdict: &Verdict| match verdict.subject {
            Subject::Source(source) => (source, verdict.class, verdict.evidence),
            Subject::Destination { .. } => panic!("{verdict:?}"),
        };
        self.verdicts.iter().map(|(_, verdict)| of(verdict)).collect()
    }

    pub(super) fn owners(&self, source: IpAddr) -> Vec<usize> {
        let owners = self.nodes[0].ring.owners_of(source);
        owners.iter().map(|owner| usize::from(owner.0[0]) - 1).collect()
    }
}

pub(super) fn guesser(index: usize) -> IpAddr {
    Ipv4Addr::new(198, 51, (index / 200) as u8, (index % 200) as u8 + 1).into()
}
