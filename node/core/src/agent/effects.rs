//! What the agent wants done, in the order in which it is to be done: the kernel first, then the disk, then
//! everybody else.

use alloc::{collections::VecDeque, sync::Arc};

use ipnet::IpNet;

use crate::{
    Alert, BlockId, Service, Strength, Time,
    blocklist::Words,
    enforcement::Change,
    fleet::{Entry, NodeId},
    gossip::Audience,
    order::EnforcementState,
    record::Speaker,
    record::{Record, Sequence},
};

/// Something to do. The driver takes effects until there are none, after each input.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Change what the kernel enforces, at once.
    Enforce(Change),
    /// Install all rules and sets and load [`Agent::desired`](crate::Agent::desired) (`On`), or remove them all.
    Enforcement(EnforcementState),
    /// Keep a record. Report the number to [`Agent::handle_persisted`](crate::Agent::handle_persisted) once it is on
    /// the disk.
    Persist(Sequence, Record),
    /// Tell everybody else. The alert's records are on the disk.
    Report(Alert),
    /// Destroy the target's open connections.
    Destroy(IpNet),
    /// Tell the sensor what is dropped of the target now: `Sensor::handle_block`.
    Forget(IpNet, Option<Strength>),
    /// Tell the sensor that a person found nothing wrong with the target: `Sensor::handle_acquittal`.
    Acquit(IpNet),
    /// Say this to the fleet: `Gossip::append`. The record that it rests on was given before; nothing is sent before both
    /// are on the disk, which the logs see to when what they keep is written behind the records.
    Say(Audience, Entry),
    /// A flood of forged sources on this service: see to it that `tcp_syncookies` is on.
    ProtectService(Service),
}

/// The name of a record that is to be written; what it says is looked up when the driver takes it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Key {
    Block(IpNet, Arc<Words>),
    Allowed(IpNet),
    Pending(BlockId),
    Offender(IpNet),
    HeldBack(IpNet),
    Enforcement,
    Mode,
    Alert(BlockId),
    Lesson(BlockId),
    Trust(NodeId),
    Overruled(IpNet, Speaker),
    Foreign(IpNet, Speaker),
}

/// Words to the fleet that wait to be taken: as many as detection may have blocks.
pub(super) const SAYS: usize = 100_000;

/// What follows from a change that was taken: small, because an import of a million brings two million.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Followup {
    Forget(IpNet, Option<Strength>),
    Acquit(IpNet),
    Destroy(IpNet),
    ProtectService(Service),
}

impl From<Followup> for Effect {
    fn from(followup: Followup) -> Self {
        match followup {
            Followup::Forget(target, strength) => Self::Forget(target, strength),
            Followup::Acquit(target) => Self::Acquit(target),
            Followup::Destroy(target) => Self::Destroy(target),
            Followup::ProtectService(service) => Self::ProtectService(service),
        }
    }
}

/// The effects that wait to be taken. One input makes a few for each block that it touches, so the queues are bounded
/// by the block list as long as the driver takes them after each input; only reports wait for the disk, and they are
/// bounded here.
#[derive(Clone, Debug)]
pub(super) struct Outbox {
    pub(super) enforcement: VecDeque<EnforcementState>,
    /// Protected prefixes that changed.
    pub(super) passes: VecDeque<IpNet>,
    /// Targets that changed, with what was dropped of them before.
    pub(super) targets: VecDeque<(IpNet, Option<Strength>)>,
    /// What follows from the targets that were taken.
    pub(super) followups: VecDeque<Followup>,
    records: VecDeque<(Sequence, Key)>,
    reports: VecDeque<(Sequence, Alert)>,
    /// Targets of which the fleet is to be told, and until when what is taken back would have lasted.
    says: VecDeque<(IpNet, Time)>,
    /// The last number given to a record.
    last: Sequence,
    /// The disk has all records up to this one.
    persisted: Sequence,
    /// Since when the disk owes us a record.
    owed_since: Option<Time>,
    dropped_reports: u64,
}

impl Outbox {
    pub(super) const fn new() -> Self {
        Self {
            enforcement: VecDeque::new(),
            passes: VecDeque::new(),
            targets: VecDeque::new(),
            followups: VecDeque::new(),
            records: VecDeque::new(),
            reports: VecDeque::new(),
            says: VecDeque::new(),
            last: Sequence(0),
            persisted: Sequence(0),
            owed_since: None,
            dropped_reports: 0,
        }
    }

    pub(super) fn persist(&mut self, now: Time, key: Key) {
        if self.records.back().is_some_and(|(_, last)| *last == key) {
            return;
        }
        self.last = Sequence(self.last.0 + 1);
        self.owed_since.get_or_insert(now);
        self.records.push_back((self.last, key));
    }

    /// Queues a report behind the records made so far; beyond `limit` the oldest is dropped, and counted.
    pub(super) fn report(&mut self, alert: Alert, limit: usize) {
        if self.reports.len() >= limit && self.reports.pop_front().is_some() {
            self.dropped_reports += 1;
        }
        self.reports.push_back((self.last, alert));
    }

    /// Queues a word to the fleet; `false` when the oldest had to go for it.
    pub(super) fn say(&mut self, target: IpNet, until: Time) -> bool {
        self.says.push_back((target, until));
        self.says.len() <= SAYS || self.says.pop_front().is_none()
    }

    pub(super) fn persisted(&mut self, now: Time, upto: Sequence) {
        self.persisted = self.persisted.max(upto.min(self.last));
        self.owed_since = (self.persisted < self.last).then_some(now);
    }

    pub(super) fn next_record(&mut self) -> Option<(Sequence, Key)> {
        self.records.pop_front()
    }

    pub(super) fn next_report(&mut self) -> Option<Alert> {
        let (sequence, _) = self.reports.front()?;
        if *sequence > self.persisted {
            return None;
        }
        self.reports.pop_front().map(|(_, alert)| alert)
    }

    /// The next word to the fleet: it does not wait for its records, which are written together with it.
    pub(super) fn next_say(&mut self) -> Option<(IpNet, Time)> {
        self.says.pop_front()
    }

    pub(super) fn forget_says(&mut self) {
        self.says.clear();
    }

    pub(super) const fn last(&self) -> Sequence {
        self.last
    }

    /// Since when the disk has kept nothing although it should have.
    pub(super) const fn owed_since(&self) -> Option<Time> {
        self.owed_since
    }

    pub(super) const fn dropped_reports(&self) -> u64 {
        self.dropped_reports
    }
}
