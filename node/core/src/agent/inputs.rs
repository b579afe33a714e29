//! What is told to the agent beside verdicts and orders: time, the host's protected set, what the disk and the kernel
//! did, a new configuration.

use alloc::{collections::BTreeSet, string::String, vec::Vec};
use core::time::Duration;

use ipnet::IpNet;

use crate::{Class, Strength, Time, config::PolicyConfig, prefix, protect::ProtectedSet, record::Sequence};

use super::{Agent, TEXT, blast::Blast, clip, effects::Key, episodes::Episodes, proxies, rollup::Rollup};

/// A clock that goes back by more was set back. By less, it only orders threads differently.
const STEP: Duration = Duration::from_secs(1);

/// Failed targets that are remembered: enough to see what is wrong.
pub(super) const FAILURES: usize = 64;

impl Agent {
    /// When [`Agent::handle_timeout`] has something to do; [`Time::NEVER`] when nothing waits.
    pub fn poll_timeout(&self) -> Time {
        let due = [
            self.blocks.next_due(),
            self.shield.next_due(),
            self.held_back.next_due(),
            self.pending.next_due(),
            self.offenders.next_due(),
            self.episodes.next_due(),
            self.rollup.next_due(),
            self.switches.next_due(),
            self.fleet.next_due(),
        ];
        due.into_iter().min().unwrap_or(Time::NEVER)
    }

    /// Lets time pass: blocks, allowances and queued decisions end, switches go back, episodes close. Every other
    /// input does so first; it costs nothing when nothing is due.
    pub fn handle_timeout(&mut self, now: Time) {
        if now.after(STEP) < self.seen {
            self.begin_counting_anew();
        }
        self.seen = now;
        if self.poll_timeout() > now {
            return;
        }
        self.switches_due(now);
        while let Some(target) = self.blocks.due(now) {
            self.end(now, target, |blocks| blocks.expire(&target, now));
        }
        while let Some(target) = self.shield.due(now) {
            self.disallowed(now, target);
        }
        while let Some(target) = self.held_back.pop_due(now) {
            self.outbox.persist(now, Key::HeldBack(target));
            self.rejudge_around(now, &target);
        }
        while let Some((_, pending)) = self.pending.pop_due(now) {
            self.outbox.persist(now, Key::Pending(pending.id));
        }
        while let Some(target) = self.offenders.forget(now) {
            self.outbox.persist(now, Key::Offender(target));
        }
        while let Some(last_word) = self.episodes.end(now) {
            last_word.into_iter().for_each(|alert| self.publish(now, alert));
        }
        self.rollup.forget(now);
        self.fleet_due(now);
    }

    /// Takes what the host protects now: its own addresses, gateways, resolvers, authenticated sessions. What every
    /// host protects, and the allow list, are added. Detection's blocks that overlap stop being enforced, and are
    /// enforced again when the protection ends before they do.
    pub fn handle_protected(&mut self, now: Time, protected: ProtectedSet) {
        self.handle_timeout(now);
        let changed = self.shield.difference(&protected);
        self.reshield(&changed, |shield| shield.observe(protected));
    }

    /// The disk has all records up to `upto`.
    pub fn handle_persisted(&mut self, now: Time, upto: Sequence) {
        self.handle_timeout(now);
        self.outbox.persisted(now, upto);
    }

    /// The disk lost what it had: everything is given to it anew.
    pub fn handle_store_lost(&mut self, now: Time) {
        self.handle_timeout(now);
        let blocks = self
            .blocks
            .iter()
            .flat_map(|(target, entries)| entries.iter().map(|held| (*target, held)))
            .filter(|(_, held)| held.words.said.is_none())
            .map(|(target, held)| Key::Block(target, held.words.clone()));
        let mut keys: Vec<Key> = blocks.collect();
        keys.extend(self.shield.operators().map(|allowed| Key::Allowed(allowed.target)));
        keys.extend(self.pending.iter().map(|(_, pending)| Key::Pending(pending.id)));
        keys.extend(self.offenders.iter().map(|offender| Key::Offender(offender.target)));
        keys.extend(self.held_back.targets().map(Key::HeldBack));
        keys.extend([Key::Enforcement, Key::Mode]);
        keys.extend(self.history.iter().map(|alert| Key::Alert(alert.id)));
        keys.extend(self.lessons.iter().map(|lesson| Key::Lesson(lesson.id)));
        keys.extend(self.fleet.keys());
        keys.extend(self.foreign_keys().into_iter().map(|(target, speaker)| Key::Foreign(target, speaker)));
        keys.into_iter().for_each(|key| self.outbox.persist(now, key));
    }

    /// The kernel took, or would not take, what it was asked to do with `target`. The target stays desired either way.
    pub fn handle_enforced(&mut self, now: Time, target: IpNet, result: Result<(), String>) {
        self.handle_timeout(now);
        match result {
            Ok(()) => drop(self.failures.remove(&target)),
            Err(words) if self.failures.len() < FAILURES || self.failures.contains_key(&target) => {
                self.failures.insert(target, clip(words, TEXT));
            }
            Err(_) => {}
        }
    }

    /// Takes how many different clients completed a handshake within the last second; told once a second. When they
    /// collapse right after automatic blocks, those blocks are withdrawn, and their classes only report for ten minutes.
    pub fn handle_handshakes(&mut self, now: Time, clients: u32) {
        self.handle_timeout(now);
        let node = self.config.node.clone();
        for (class, target) in self.blast.clients(now, clients) {
            if class == Class::Feed {
                self.unlist_all(now, target);
                continue;
            }
            let ours = self.blocks.get(&target, &node);
            let ours = ours.filter(|held| held.automatic() && held.class == class);
            let Some((strength, level)) = ours.map(|held| (held.strength, held.level)) else { continue };
            self.end(now, target, |blocks| blocks.remove(&target, &node).into_iter().collect());
            if strength == Strength::Hard && self.offenders.sink(now, &target, level) {
                self.outbox.persist(now, Key::Offender(target));
            }
        }
    }

    /// Takes a changed configuration. Blocks that exist keep their ends; lowered limits bind what comes.
    pub fn set_config(&mut self, now: Time, config: PolicyConfig) {
        self.handle_timeout(now);
        let set = |config: &PolicyConfig| {
            config.allow.iter().copied().map(prefix::canonical_net).collect::<BTreeSet<_>>()
        };
        let changed: Vec<IpNet> = set(&self.config).symmetric_difference(&set(&config)).copied().collect();
        self.reshield(&changed, |shield| shield.configure(now, &config.allow));
        if config.mode != self.switches.configured {
            self.switches.configured = config.mode;
            self.switches.decide(now, config.mode, None);
            self.outbox.persist(now, Key::Mode);
        }
        self.proxies = proxies(&config);
        self.config = config;
        self.rejudge_all(now);
    }

    /// The clock was set back: what counts within a span of time would count for ever, or never end. What is blocked
    /// and what is stored keep their ends, which are the clock's.
    fn begin_counting_anew(&mut self) {
        self.blast = Blast::default();
        self.episodes = Episodes::new();
        self.rollup = Rollup::new();
        self.fleet.begin_counting_anew();
    }

    fn switches_due(&mut self, now: Time) {
        let (enforcement, mode) = self.switches.due(now);
        if enforcement {
            self.outbox.enforcement.push_back(self.switches.enforcement.now.state);
            self.outbox.persist(now, Key::Enforcement);
        }
        if mode {
            self.outbox.persist(now, Key::Mode);
        }
    }
}
