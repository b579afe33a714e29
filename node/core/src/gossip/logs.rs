//! All logs, within their limits.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use super::{
    LOGS,
    clock::{Now, Point, point},
    hash,
    held::Held,
    log::Log,
    message::Kept,
};
use crate::{
    Time,
    fleet::{LogId, NodeId, SignedRun, Version},
};

/// How much is kept of what others say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one log, with what is held of its entries beside what was signed.
    pub log_bytes: usize,
    /// Bytes of all logs; beyond that each may only use an equal share of it.
    pub all_bytes: usize,
    /// Logs.
    pub logs: usize,
}

impl Default for Limits {
    /// 600,000 blocks of one origin, or the orders that it carries of an import of a million; twice as much of all.
    fn default() -> Self {
        Self { log_bytes: 64 << 20, all_bytes: 128 << 20, logs: LOGS }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Logs {
    limits: Limits,
    logs: BTreeMap<u64, Log>,
    /// When runs may be over.
    ends: BTreeSet<(Point, u64, Version)>,
    /// Where the run of a signature is, by its first eight bytes.
    signatures: BTreeMap<u64, (u64, Version)>,
    bytes: usize,
    revoked: BTreeSet<NodeId>,
    /// Logs that are forgotten, of which the disk still says what is over.
    evicted: Vec<LogId>,
    /// When the first of the logs is to be swept.
    sweep_at: Time,
}

/// Why there is no room for a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoRoom {
    Log,
    All,
}

impl Logs {
    pub(super) const fn new(limits: Limits) -> Self {
        Self {
            limits,
            logs: BTreeMap::new(),
            ends: BTreeSet::new(),
            signatures: BTreeMap::new(),
            bytes: 0,
            revoked: BTreeSet::new(),
            evicted: Vec::new(),
            sweep_at: Time::NEVER,
        }
    }

    pub(super) fn get(&self, tag: u64) -> Option<&Log> {
        self.logs.get(&tag)
    }

    pub(super) fn get_mut(&mut self, tag: u64) -> Option<&mut Log> {
        self.logs.get_mut(&tag)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Log> {
        self.logs.values()
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn revoked(&self, member: &NodeId) -> bool {
        self.revoked.contains(member)
    }

    pub(super) fn revoke(&mut self, member: NodeId) {
        self.revoked.insert(member);
    }

    /// The log, made where there is none; `None` when there are too many, or another has the same tag.
    pub(super) fn open(&mut self, id: &LogId, keep: impl Fn(&NodeId) -> bool) -> Option<&mut Log> {
        let tag = hash::tag(id);
        if !self.logs.contains_key(&tag) {
            if self.logs.len() >= self.limits.logs && !self.make_room(keep) {
                return None;
            }
            self.logs.insert(tag, Log::new(id.clone()));
        }
        self.logs.get_mut(&tag).filter(|log| log.id == *id)
    }

    /// Forgets a log without runs, of an origin that is no member.
    fn make_room(&mut self, keep: impl Fn(&NodeId) -> bool) -> bool {
        let spare = self.logs.iter().find(|(_, log)| log.is_empty() && !keep(&log.id.origin));
        let spare = spare.map(|(tag, _)| *tag);
        let Some(log) = spare.and_then(|tag| self.logs.remove(&tag)) else { return false };
        if log.has_dead() {
            self.evicted.push(log.id);
        }
        true
    }

    /// Whether so many bytes more fit into a log.
    pub(super) fn room(&self, tag: u64, bytes: usize) -> Result<(), NoRoom> {
        let log = self.logs.get(&tag).map_or(0, Log::bytes).saturating_add(bytes);
        let share = self.limits.all_bytes / self.logs.len().max(1);
        if log > self.limits.log_bytes {
            Err(NoRoom::Log)
        } else if self.bytes.saturating_add(bytes) > self.limits.all_bytes && log > share {
            Err(NoRoom::All)
        } else {
            Ok(())
        }
    }

    /// Counts what a log is charged with by now.
    pub(super) fn recharge(&mut self, tag: u64) {
        let Some(log) = self.logs.get_mut(&tag) else { return };
        let bytes = log.bytes();
        self.bytes =
            self.bytes.saturating_sub(core::mem::replace(&mut log.charged, bytes)).saturating_add(bytes);
    }

    /// Counts a run that its log has taken.
    pub(super) fn taken(&mut self, tag: u64, key: Version) {
        self.recharge(tag);
        let Some(log) = self.logs.get(&tag) else { return };
        let Some(held) = log.runs().get(&key) else { return };
        self.signatures.insert(prefix(&held.signed), (tag, key));
        if held.spare() != Point::MAX {
            self.ends.insert((held.spare(), tag, key));
        }
    }

    /// Whether exactly this run is held.
    pub(super) fn holds(&self, run: &SignedRun) -> bool {
        let held = self.signatures.get(&prefix(run));
        let held = held.and_then(|(tag, key)| self.logs.get(tag)?.runs().get(key));
        held.is_some_and(|held| held.signed.signature == run.signature && held.signed.bytes == run.bytes)
    }

    /// Lets a run go.
    pub(super) fn forget(&mut self, tag: u64, key: Version) -> Option<Held> {
        let held = self.logs.get_mut(&tag)?.forget(key)?;
        self.uncount(tag, key, &held);
        Some(held)
    }

    /// Counts a run no more that its log has let go.
    fn uncount(&mut self, tag: u64, key: Version, held: &Held) {
        self.recharge(tag);
        self.ends.remove(&(held.spare(), tag, key));
        let signature = prefix(&held.signed);
        if self.signatures.get(&signature) == Some(&(tag, key)) {
            self.signatures.remove(&signature);
        }
    }

    /// What is over and gone of each log where that has changed.
    pub(super) fn buried(&mut self, now: Time) -> Vec<Kept> {
        let evicted = core::mem::take(&mut self.evicted).into_iter();
        let evicted = evicted.map(|log| Kept::Over { log, spans: Vec::new() });
        let each = |log: &mut Log| Some(Kept::Over { spans: log.buried(now)?, log: log.id.clone() });
        evicted.chain(self.logs.values_mut().filter_map(each)).collect()
    }

    /// Lets go, one at a time, what is over.
    pub(super) fn expire(&mut self, now: Now) -> Option<(u64, Version, Held)> {
        let now = point(now.steady);
        while let Some(&(until, tag, key)) = self.ends.first().filter(|(until, ..)| *until <= now) {
            self.ends.remove(&(until, tag, key));
            match self.logs.get(&tag).and_then(|log| log.over(key)) {
                None => {}
                Some(Point::MAX) => {}
                Some(later) if later > now => {
                    self.ends.insert((later, tag, key));
                }
                Some(_) => return self.forget(tag, key).map(|held| (tag, key, held)),
            }
        }
        None
    }

    /// Another run proves a log's floor now: whether the one that did may go is asked again.
    pub(super) fn ask_again(&mut self, tag: u64, key: Version) {
        self.ends.insert((Point::MIN, tag, key));
    }

    /// The logs that are to be swept.
    pub(super) fn unswept(&mut self, now: Time) -> Vec<u64> {
        if now < self.sweep_at {
            return Vec::new();
        }
        let due = |log: &&Log| log.sweep_at.is_some_and(|at| at <= now);
        let tags = self.logs.values().filter(due).map(|log| log.tag).collect();
        let later = self.logs.values().filter_map(|log| log.sweep_at).filter(|at| *at > now);
        self.sweep_at = later.min().unwrap_or(Time::NEVER);
        tags
    }

    pub(super) fn sweep_at(&mut self, tag: u64, at: Time) {
        let Some(log) = self.logs.get_mut(&tag) else { return };
        let at = log.sweep_at.unwrap_or(at);
        log.sweep_at = Some(at);
        self.sweep_at = self.sweep_at.min(at);
    }

    /// When something may be over.
    pub(super) fn due(&self) -> Time {
        let first = self.ends.first().map_or(Point::MAX, |(until, ..)| *until);
        let first =
            if first == Point::MAX { Time::NEVER } else { Time::from_nanos(first.max(0).unsigned_abs()) };
        first.min(self.sweep_at)
    }

    /// The digest over all logs that a member may see.
    pub(super) fn digest(&self, sees: impl Fn(&LogId) -> bool) -> u64 {
        let seen = self.logs.values().filter(|log| sees(&log.id));
        seen.fold(0, |all, log| all ^ hash::log(log.tag, log.digest()))
    }
}

fn prefix(run: &SignedRun) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = run.signature;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}
