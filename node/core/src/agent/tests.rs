//! A node without a body: the agent, and a kernel and a store that do what its effects say.

mod blast;
mod decisions;
mod effects;
mod feeds;
mod fleet;
mod fleet_foreign;
mod fleet_foreign_room;
mod fleet_left;
mod fleet_limits;
mod fleet_obeyed;
mod fleet_orders;
mod fleet_own;
mod fleet_random;
mod fleet_signed;
mod fleet_withheld;
mod orders;
mod protection;
mod random;
mod restore;
mod switches;

use alloc::{collections::BTreeMap, string::String, vec::Vec};
use core::{net::IpAddr, time::Duration};

use ipnet::IpNet;

use crate::{
    Action, Alert, Class, Detector, Evidence, Features, Reason, Strength, Subject, Time, Verdict,
    agent::{Agent, Effect},
    config::PolicyConfig,
    enforcement::{Change, Enforced, Entry},
    order::{BlockOrder, Done, EnforcementState, Order, Refusal},
    protect::{Protected, ProtectedSet, Why},
    record::{Record, Sequence, Tree},
    verdict::Standing,
};

/// When the tests begin.
const START: u64 = 1_000_000;

struct Node {
    agent: Agent,
    kernel: Enforced,
    store: BTreeMap<(Tree, Vec<u8>), Record>,
    reports: Vec<Alert>,
    /// What was said to the fleet.
    says: Vec<(crate::gossip::Audience, crate::fleet::Entry)>,
    log: Vec<Effect>,
    second: u64,
    /// Whether the disk works.
    disk: bool,
}

impl Node {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut PolicyConfig)) -> Self {
        let mut config = PolicyConfig { node: "web-1".into(), ..PolicyConfig::default() };
        change(&mut config);
        let agent = Agent::new(config, 42, Time::from_secs(START));
        let kernel = agent.desired();
        let (store, reports, says, log) = Default::default();
        Self { agent, kernel, store, reports, says, log, second: 0, disk: true }
    }

    fn now(&self) -> Time {
        Time::from_secs(START + self.second)
    }

    /// Lets `seconds` pass, with every deadline met on its own.
    fn pass(&mut self, seconds: u64) {
        let end = self.second + seconds;
        while self.agent.poll_timeout() <= Time::from_secs(START + end) {
            let due = self.agent.poll_timeout();
            self.second = self.second.max(due.as_secs().saturating_sub(START));
            self.agent.handle_timeout(due.max(self.now()));
            self.take();
        }
        self.second = end;
        self.agent.handle_timeout(self.now());
        self.take();
    }

    /// Takes effects until there are none, and does what they say.
    fn take(&mut self) {
        let mut last = Sequence(0);
        loop {
            while let Some(effect) = self.agent.poll_effect() {
                self.log.push(effect.clone());
                match effect {
                    Effect::Enforce(change) => self.enforce(change),
                    Effect::Enforcement(_) => self.kernel = self.agent.desired(),
                    Effect::Persist(sequence, record) => {
                        last = sequence;
                        self.keep(record);
                    }
                    Effect::Report(alert) => self.reports.push(alert),
                    Effect::Say(audience, entry) => self.says.push((audience, entry)),
                    Effect::Destroy(_)
                    | Effect::Forget(..)
                    | Effect::Acquit(_)
                    | Effect::ProtectService(_) => {}
                }
            }
            if !self.disk || last == Sequence(0) {
                return;
            }
            self.agent.handle_persisted(self.now(), last);
            last = Sequence(0);
        }
    }

    fn enforce(&mut self, change: Change) {
        match change {
            Change::Block(entry) => drop(self.kernel.blocks.insert(entry.target, entry)),
            Change::Unblock(target) => drop(self.kernel.blocks.remove(&target)),
            Change::Protect(net) => {
                self.kernel.protected.push(net);
                self.kernel.protected.sort();
                self.kernel.protected.dedup();
            }
            Change::Unprotect(net) => self.kernel.protected.retain(|other| *other != net),
        }
    }

    fn keep(&mut self, record: Record) {
        let key = (record.tree(), record.key());
        if record.removes() {
            self.store.remove(&key)
        } else {
            self.store.insert(key, record)
        };
    }

    fn verdict(&mut self, verdict: Verdict) {
        self.agent.handle_verdict(self.now(), verdict);
        self.take();
    }

    /// A verdict of brute force with proof; gives the answer, when there was one.
    fn proven(&mut self, source: &str) -> Option<Action> {
        self.judge(source, Class::BruteForce, Some(Evidence::Handshake))
    }

    /// A verdict of a port scan that anybody could have sent.
    fn forged(&mut self, source: &str) -> Option<Action> {
        self.judge(source, Class::PortScan, Some(Evidence::Spoofable))
    }

    fn judge(&mut self, source: &str, class: Class, evidence: Option<Evidence>) -> Option<Action> {
        let before = self.reports.len();
        self.verdict(Verdict { at: self.now(), ..verdict(source, class, evidence) });
        self.reports[before..].last().map(|alert| alert.action)
    }

    fn order(&mut self, order: Order) -> Result<Done, Refusal> {
        let done = self.agent.handle_order(self.now(), order);
        self.take();
        done.map(|(done, _)| done)
    }

    fn block(&mut self, target: &str, force: bool) -> Result<Done, Refusal> {
        self.order(Order::Block(block(target, force)))
    }

    fn unblock(&mut self, target: &str) -> Result<Done, Refusal> {
        self.order(Order::Unblock { target: net(target), false_positive: false })
    }

    fn allow(&mut self, target: &str, duration: Option<u64>) -> Result<Done, Refusal> {
        let duration = duration.map(Duration::from_secs);
        self.order(Order::Allow { target: net(target), duration, comment: "office".into() })
    }

    fn switch(&mut self, state: EnforcementState, confirm: Option<u64>) -> Result<Done, Refusal> {
        let confirm = confirm.map(Duration::from_secs);
        self.order(Order::Enforcement { state, confirm, resume: None })
    }

    fn protect(&mut self, nets: &[(&str, Why)]) {
        self.agent.handle_protected(self.now(), protected(nets));
        self.take();
    }

    /// What the kernel drops of exactly this target.
    fn dropped(&self, target: &str) -> Option<Strength> {
        self.entry(target).map(|entry| entry.strength)
    }

    fn entry(&self, target: &str) -> Option<&Entry> {
        self.kernel.blocks.get(&net(target))
    }

    /// Seconds until the kernel's entry ends.
    fn left(&self, target: &str) -> Option<u64> {
        self.entry(target)?.expires.map(|at| at.since(self.now()).as_secs())
    }

    fn passes(&self, target: &str) -> bool {
        self.kernel.protected.contains(&net(target))
    }

    /// The node after a restart: what the store kept, and nothing else.
    fn restarted(&self) -> Self {
        let mut agent = Agent::new(self.agent.config.clone(), 43, self.now());
        // Any order will do: the last first.
        self.store.values().rev().for_each(|record| agent.restore(self.now(), record.clone()));
        let kernel = agent.desired();
        let (store, second) = (self.store.clone(), self.second);
        let (reports, says, log) = Default::default();
        Self { agent, kernel, store, reports, says, log, second, disk: true }
    }
}

fn net(text: &str) -> IpNet {
    crate::prefix::parse_target(text).unwrap()
}

pub(super) fn verdict(source: &str, class: Class, evidence: Option<Evidence>) -> Verdict {
    Verdict {
        at: Time::from_secs(START),
        subject: Subject::Source(source.parse::<IpAddr>().unwrap()),
        class,
        confidence: 0.9,
        detector: Detector::Rules,
        evidence,
        reason: Reason { rule: "r".into(), measured: 2.0, limit: 1.0, text: String::from("two of one") },
        features: Features::default(),
        standing: Standing::default(),
    }
}

fn block(target: &str, force: bool) -> BlockOrder {
    BlockOrder {
        target: net(target),
        duration: Some(Duration::from_secs(3600)),
        reason: "by hand".into(),
        class: Class::Manual,
        force,
    }
}

fn protected(nets: &[(&str, Why)]) -> ProtectedSet {
    let entry = |(text, why): &(&str, Why)| Protected { net: net(text), why: *why, detail: "eth0".into() };
    ProtectedSet::new(nets.iter().map(entry).collect())
}
