//! What the kernel does with the fleet's word, and who is told: members, so that each can say where a block is enforced,
//! and operators who wait.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use smartfw_core::{
    Agent, IpNet, Time,
    agent::{FleetStamp, FleetWord},
    fleet::{NodeId, Version},
    gossip::{Now, SPANS, Span, Ticket},
};

use super::{
    super::spread::{Log, Spans},
    Brain,
};
use crate::enforcement;

/// Words that wait for the kernel: those of the largest import twice. Of more, all are found again by comparison.
const WAITING: usize = 200_000;
/// What is told of the kernel is compared with what it drops at most this often: it costs a look at every block.
const COMPARED: Duration = Duration::from_secs(10);
/// It drops nothing of a log.
const NOTHING: Span = Span { epoch: 0, from: 0, to: 0 };

/// What was applied, until the kernel has carried it out.
#[derive(Debug, Default)]
pub(super) struct Kernel {
    /// Since the kernel was given its changes.
    applied: Vec<Applied>,
    waiting: VecDeque<(enforcement::Ticket, Vec<Applied>)>,
    size: usize,
    /// The kernel did nothing of what it was told last.
    in_trouble: bool,
    /// What is told may have become wrong.
    stale: bool,
    /// When it was compared, and as what.
    compared: Time,
    stamp: Option<FleetStamp>,
}

#[derive(Debug)]
struct Applied {
    log: Log,
    version: Version,
    targets: Vec<IpNet>,
}

impl Kernel {
    /// What was said under a version blocks these targets.
    pub(super) fn applied(&mut self, log: Log, version: Version, targets: Vec<IpNet>) {
        self.applied.push(Applied { log, version, targets });
    }

    /// Something was allowed or ended.
    pub(super) const fn doubt(&mut self) {
        self.stale = true;
    }

    /// What was applied so far is among the tasks up to here.
    fn given(&mut self, last: enforcement::Ticket) {
        if self.applied.is_empty() {
            return;
        }
        let applied = std::mem::take(&mut self.applied);
        self.size += applied.len();
        self.waiting.push_back((last, applied));
        while self.size > WAITING
            && let Some((_, applied)) = self.waiting.pop_front()
        {
            self.size -= applied.len();
            self.stale = true;
        }
    }

    fn carried_out(&mut self, done: enforcement::Ticket) -> Vec<Applied> {
        let mut all = Vec::new();
        while self.waiting.front().is_some_and(|(behind, _)| *behind <= done)
            && let Some((_, applied)) = self.waiting.pop_front()
        {
            self.size -= applied.len();
            all.extend(applied);
        }
        all
    }
}

impl Brain {
    /// What the kernel said to its changes up to `upto`: operators whose orders it refused are told.
    pub fn handle_enforced(
        &mut self,
        upto: enforcement::Ticket,
        results: &[(IpNet, Result<(), String>)],
        trouble: Option<&str>,
    ) {
        self.kernel.in_trouble = trouble.is_some();
        let mut refused =
            results.iter().filter_map(|(target, result)| Some((target, result.as_ref().err()?)));
        self.kernel.stale |= trouble.is_some() || refused.next().is_some();
        for order in self.orders.iter_mut().filter(|order| order.refused.is_none() && order.reached(upto)) {
            let of_its_own =
                results.iter().find(|(target, result)| result.is_err() && order.targets.contains(target));
            let of_its_own = of_its_own.and_then(|(_, result)| result.as_ref().err().map(String::as_str));
            order.refused = of_its_own.or(trouble).map(str::to_owned);
        }
    }

    /// What was applied so far is among the kernel's tasks up to `last`, and the kernel has carried out those up to
    /// `done`: members are told, and operators answered. `enforces`: it is a kernel that drops, and no rehearsal.
    pub fn handle_kernel(
        &mut self,
        agent: &Agent,
        now: Now,
        (last, done): (enforcement::Ticket, enforcement::Ticket),
        disk: Ticket,
        enforces: bool,
    ) {
        self.kernel.given(last);
        let carried_out = self.kernel.carried_out(done);
        if enforces {
            self.confirm(agent, carried_out);
            if done >= last {
                self.compare(agent, now);
            }
        }
        self.answer(last, done, disk);
    }

    fn confirm(&mut self, agent: &Agent, applied: Vec<Applied>) {
        if self.kernel.in_trouble {
            self.kernel.stale |= !applied.is_empty();
            return;
        }
        let mut news: BTreeMap<Log, Spans> = BTreeMap::new();
        for Applied { log, version: Version { epoch, sequence }, targets } in applied {
            if targets.iter().all(|target| agent.drops(target)) {
                news.entry(log).or_default().add(Span { epoch, from: sequence, to: sequence });
            }
        }
        for (log, spans) in news {
            for span in spans.iter() {
                self.spread.heard(self.me, log, span);
                self.gossip.confirm(log.0, log.1, span);
            }
            self.kernel.stale |= self.spread.words_of(self.me).filter(|(of, _)| *of == log).count() >= SPANS;
        }
    }

    /// What members were told of this kernel is what it does: blocks are withheld, allowed, refused and let go after
    /// they were told of.
    fn compare(&mut self, agent: &Agent, now: Now) {
        let stamp = agent.fleet_stamp();
        let before = self.kernel.stamp;
        let switched = before.is_some_and(|before| before.0 != stamp.0);
        let due = now.steady.since(self.kernel.compared) >= COMPARED;
        if self.kernel.in_trouble || !(switched || (due && (self.kernel.stale || before != Some(stamp)))) {
            return;
        }
        (self.kernel.stale, self.kernel.compared, self.kernel.stamp) = (false, now.steady, Some(stamp));
        let words = self.words(agent);
        for ((origin, site), spans) in self.spread.replace(self.me, words) {
            self.gossip.confirm(origin, site, NOTHING);
            spans.iter().for_each(|span| self.gossip.confirm(origin, site, span));
        }
    }

    /// What the kernel drops of each log. Versions under which nothing lives any more make no gap.
    fn words(&self, agent: &Agent) -> BTreeMap<Log, Spans> {
        let mut said: BTreeMap<(Log, Version), bool> = BTreeMap::new();
        for (word, drops) in agent.fleet_words() {
            let under = match word {
                FleetWord::Member { node, site, version } => Some(((node, site), version)),
                FleetWord::Order(id) => self.spread.carrier(id),
            };
            if let Some(under) = under {
                *said.entry(under).or_insert(true) &= drops;
            }
        }
        let mut words: BTreeMap<Log, Spans> = BTreeMap::new();
        let mut before = None;
        for ((log, version), drops) in said {
            if drops && before == Some((log, version.epoch)) {
                words.entry(log).or_default().extend(version);
            } else if drops {
                let Version { epoch, sequence } = version;
                words.entry(log).or_default().add(Span { epoch, from: sequence, to: sequence });
            }
            before = drops.then_some((log, version.epoch));
        }
        words
    }

    /// A member that was not there is told what this kernel drops.
    pub(super) fn tell_words(&mut self, to: NodeId) {
        let words: Vec<(Log, Span)> = self.spread.words_of(self.me).collect();
        let mut last = None;
        for (log, span) in words {
            if last.replace(log) != Some(log) {
                self.gossip.confirm_to(to, log.0, log.1, NOTHING);
            }
            self.gossip.confirm_to(to, log.0, log.1, span);
        }
    }

    /// A member says what its kernel drops.
    pub(super) fn heard(&mut self, now: Now, member: NodeId, log: Log, span: Span) {
        let known = |node: &NodeId| *node == self.me || self.members.member(node).is_some();
        if !known(&member) || !known(&log.0) {
            return;
        }
        if log.0 == self.me {
            let propagation = &self.counters.fleet.propagation;
            self.spread.took(member, log.1, span, now.steady, |took| propagation.record(took));
        }
        self.spread.heard(member, log, span);
    }
}
