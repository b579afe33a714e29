//! What this member says itself: sequences reserved on disk, entries signed in runs, epochs.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, VecDeque},
    vec::Vec,
};
use core::time::Duration;

use super::{
    Audience, Gossip, Now,
    clock::{left, point},
    hash,
    message::{Effect, Kept, Refused, Report, Reserved, Ticket},
    outbox::Then,
};
use crate::{
    Time,
    fleet::{
        ENTRY_BYTES, Entry, LogId, NodeId, RUN_BYTES, RUN_ENTRIES, RunHeader, SealError, Signer, VerifiedRun,
        Version,
    },
};

/// Entries that may wait to be signed and written: the largest import, twice.
pub const PENDING: usize = 200_000;

/// Epochs are milliseconds of a clock, or follow one; no clock of 64-bit nanoseconds reaches this one.
pub(super) const LAST_EPOCH: u64 = 1 << 48;

/// No origin says so much.
pub(super) const LAST_SEQUENCE: u64 = 1 << 48;

/// Sequences reserved at once: one write for as many blocks, and as many lost by a restart.
const RESERVE: u64 = 1000;

/// Runs on their way to the disk at once: what is said meanwhile is written by the next flush, beside its record. Of more,
/// what is said is signed together.
pub(super) const WRITING: usize = 8;

/// Epochs of which a life takes one where the clock stands below that of the store.
const LIVES: usize = 1 << 20;

/// Two members with one key raise their epochs against each other, but not faster than this.
const RAISE: Duration = Duration::from_secs(10);

/// When signing failed it is tried again after this.
const RETRY: Duration = Duration::from_secs(5);

pub(super) struct Own {
    signer: Box<dyn Signer + Send>,
    epoch: u64,
    /// The highest epoch of ours that anybody knew.
    heard: u64,
    lines: BTreeMap<Audience, Line>,
    /// What is on disk.
    reserved: Reserved,
    /// What is being written.
    asked: Option<(Ticket, Reserved)>,
    /// The runs being written.
    writing: VecDeque<Ticket>,
    due: Time,
    raised: Option<Time>,
    raise_at: Time,
    pub(super) compact_at: Time,
}

#[derive(Clone, Debug)]
struct Line {
    next: u64,
    pending: VecDeque<Entry>,
    floor: Version,
    /// Whether what an older life said may be unknown here: a floor would void it at those who hold it.
    forgot: bool,
}

impl Line {
    const fn new(next: u64) -> Self {
        let floor = Version { epoch: 0, sequence: 0 };
        Self { next, pending: VecDeque::new(), floor, forgot: false }
    }
}

impl Own {
    pub(super) fn new(signer: Box<dyn Signer + Send>) -> Self {
        Self {
            signer,
            epoch: 0,
            heard: 0,
            lines: [Audience::Cluster, Audience::Site].map(|audience| (audience, Line::new(1))).into(),
            reserved: Reserved::default(),
            asked: None,
            writing: VecDeque::new(),
            due: Time::NEVER,
            raised: None,
            raise_at: Time::NEVER,
            compact_at: Time::NEVER,
        }
    }

    pub(super) fn restore(&mut self, reserved: Reserved) {
        if reserved.epoch >= self.reserved.epoch {
            self.reserved = reserved;
        }
    }

    pub(super) fn append(&mut self, now: Now, audience: Audience, entry: Entry) -> Result<(), Refused> {
        if entry.weight() > ENTRY_BYTES {
            return Err(Refused::TooLong { limit: ENTRY_BYTES });
        }
        if self.waiting() >= PENDING {
            return Err(Refused::Full { limit: PENDING });
        }
        if let Some(line) = self.lines.get_mut(&audience) {
            line.pending.push_back(entry);
        }
        if self.ready() {
            self.due = self.due.min(now.steady);
        }
        Ok(())
    }

    fn ready(&self) -> bool {
        self.writing.len() < WRITING && self.epoch > 0
    }

    pub(super) fn persisted(&mut self, upto: Ticket) {
        self.writing.retain(|ticket| *ticket > upto);
        self.asked = self.asked.filter(|(ticket, _)| *ticket > upto);
    }

    pub(super) fn reserved(&mut self, reserved: Reserved) {
        if reserved.epoch == self.epoch {
            self.reserved = reserved;
        }
    }

    /// What a store has to hold at least, so that no sequence is used twice.
    pub(super) fn reserved_or_asked(&self) -> Option<Reserved> {
        let reserved = self.asked.map_or(self.reserved, |(_, asked)| asked);
        (reserved.epoch > 0).then_some(reserved)
    }

    pub(super) fn due(&self) -> Time {
        self.due.min(self.raise_at)
    }

    pub(super) const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The version that the next entry gets.
    pub(super) fn next(&self, audience: Audience) -> Version {
        Version { epoch: self.epoch, sequence: self.lines.get(&audience).map_or(1, |line| line.next) }
    }

    pub(super) fn floor(&self, audience: Audience) -> Version {
        self.lines.get(&audience).map_or_else(Version::default, |line| line.floor)
    }

    pub(super) fn leaves(&self, entry: &Entry) -> bool {
        self.signer.leaves(entry)
    }

    pub(super) fn set_floor(&mut self, audience: Audience, floor: Version) {
        if let Some(line) = self.lines.get_mut(&audience) {
            line.floor = line.floor.max(floor);
        }
    }

    /// A member that hears what we say for this audience holds nothing of ours that is not held here.
    pub(super) fn agreed(&mut self, audience: Audience) {
        if let Some(line) = self.lines.get_mut(&audience) {
            line.forgot = false;
        }
    }

    /// Whether everything that we said in older lives is known.
    pub(super) fn knows_itself(&self, audience: Audience) -> bool {
        self.lines.get(&audience).is_some_and(|line| !line.forgot)
    }

    pub(super) fn waiting(&self) -> usize {
        self.lines.values().map(|line| line.pending.len()).sum()
    }

    /// How many sequences may be used at once.
    pub(super) fn available(&self, audience: Audience) -> usize {
        if self.reserved.epoch != self.epoch {
            return 0;
        }
        let upto = match audience {
            Audience::Cluster => self.reserved.cluster,
            Audience::Site => self.reserved.site,
        };
        let next = self.next(audience).sequence;
        usize::try_from((upto + 1).saturating_sub(next)).unwrap_or(usize::MAX)
    }

    /// The entries of the next run.
    fn batch(&mut self, audience: Audience) -> Vec<Entry> {
        let most = self.available(audience).min(RUN_ENTRIES);
        let Some(line) = self.lines.get_mut(&audience) else { return Vec::new() };
        let mut batch: Vec<Entry> = Vec::new();
        let mut weight = 0;
        let mut first = None;
        while batch.len() < most {
            let Some(next) = line.pending.front() else { break };
            let leaves = self.signer.leaves(next);
            let apart = *first.get_or_insert(leaves) != leaves;
            if apart || weight + next.weight() > RUN_BYTES - ENTRY_BYTES {
                break;
            }
            weight += next.weight();
            batch.extend(line.pending.pop_front());
        }
        batch
    }

    fn put_back(&mut self, audience: Audience, batch: Vec<Entry>) {
        if let Some(line) = self.lines.get_mut(&audience) {
            batch.into_iter().rev().for_each(|entry| line.pending.push_front(entry));
        }
    }

    /// What has to be reserved so that everything pending can be said, and what is said next at once.
    fn needed(&self) -> Option<Reserved> {
        let pending = |audience| self.lines.get(&audience).map_or(0, |line| line.pending.len()) as u64;
        let want =
            |audience| (self.available(audience) as u64) < pending(audience).saturating_add(RESERVE / 2);
        if self.asked.is_some() || !(want(Audience::Cluster) || want(Audience::Site)) {
            return None;
        }
        let upto = |audience| {
            let next = self.next(audience).sequence;
            next.saturating_add(pending(audience)).saturating_add(RESERVE).min(LAST_SEQUENCE)
        };
        let reserved =
            Reserved { epoch: self.epoch, cluster: upto(Audience::Cluster), site: upto(Audience::Site) };
        Some(reserved).filter(|reserved| *reserved != self.reserved)
    }
}

impl Gossip {
    pub(super) fn own_log(&self, audience: Audience) -> LogId {
        let site = (audience == Audience::Site).then(|| self.config.site.clone());
        LogId { origin: self.me, site }
    }

    pub(super) fn own_tag(&self, audience: Audience) -> u64 {
        hash::tag(&self.own_log(audience))
    }

    /// Begins a new epoch, above that of the store: whoever goes on from the copy of a disk uses no version that was used
    /// after the copy was made.
    pub(super) fn start_epoch(&mut self, now: Now) {
        let stored = self.own.reserved.epoch;
        self.own.heard = self.own.heard.max(stored);
        self.own.lines.values_mut().for_each(|line| line.forgot = stored == 0);
        if stored > 0 && stored >= now.wall.as_nanos() / 1_000_000 {
            // No clock tells two lives from the same copy apart: chance does.
            self.own.heard = self.own.heard.saturating_add(self.chance.below(LIVES) as u64);
        }
        self.new_epoch(now);
        self.own.compact_at = now.steady.after(super::compact::FIRST);
    }

    fn new_epoch(&mut self, now: Now) {
        let clock = now.wall.as_nanos() / 1_000_000;
        let epoch = clock.max(self.own.heard).max(self.own.epoch).saturating_add(1);
        if epoch > LAST_EPOCH {
            self.outbox.report(now.steady, 0, Report::EpochsUsedUp);
            return;
        }
        self.own.epoch = epoch;
        self.own.asked = None;
        for line in self.own.lines.values_mut() {
            line.next = 1;
        }
        self.reserve();
    }

    fn reserve(&mut self) {
        if let Some(reserved) = self.own.needed() {
            let ticket = self.outbox.persist(Kept::Reserved(reserved), Then::Use(reserved));
            self.own.asked = Some((ticket, reserved));
        }
    }

    /// Somebody holds a run of ours: when we have not said it, our epoch is too low.
    pub(super) fn hear_own(&mut self, now: Now, audience: Audience, last: Version) {
        self.own.heard = self.own.heard.max(last.epoch);
        if self.own.epoch > 0 && last >= self.own.next(audience) {
            let soonest = self.own.raised.map_or(Time::ZERO, |at| at.after(RAISE));
            self.own.raise_at = soonest.max(now.steady);
            self.raise(now);
        }
    }

    fn raise(&mut self, now: Now) {
        if now.steady < self.own.raise_at {
            return;
        }
        self.own.raise_at = Time::NEVER;
        self.own.raised = Some(now.steady);
        let from = self.own.epoch;
        for audience in [Audience::Cluster, Audience::Site] {
            let again = self.said_in(now, audience, from);
            if let Some(line) = self.own.lines.get_mut(&audience) {
                line.pending.extend(again);
            }
        }
        self.new_epoch(now);
        if self.own.epoch > from {
            self.outbox.push(Effect::Report(Report::EpochRaised { from, to: self.own.epoch }));
        }
    }

    /// What we said in an epoch and is not over, in order, to be said again: what an older life of ours said under a
    /// higher version may have hidden it.
    fn said_in(&self, now: Now, audience: Audience, epoch: u64) -> Vec<Entry> {
        let Some(log) = self.logs.get(self.own_tag(audience)) else { return Vec::new() };
        let runs = log.runs().range(Version { epoch, sequence: 0 }..).filter(|(key, _)| key.epoch == epoch);
        let entries =
            runs.flat_map(|(_, held)| held.entries.iter().map(move |(_, entry)| (entry, held.born)));
        let untils = entries.map(|(entry, born)| (entry, super::clock::end(born, entry.lasts())));
        let living = untils.filter(|(_, until)| *until > point(now.steady));
        living.map(|(entry, until)| entry.lasting(left(until, now))).take(PENDING).collect()
    }

    /// Signs what is pending, unless the disk is still busy with the run before.
    pub(super) fn seal(&mut self, now: Now) {
        if now.steady >= self.own.raise_at {
            self.raise(now);
        }
        if self.own.due != Time::NEVER && now.steady < self.own.due {
            return;
        }
        self.own.due = Time::NEVER;
        if !self.own.ready() {
            return;
        }
        for audience in [Audience::Cluster, Audience::Site] {
            loop {
                let batch = self.own.batch(audience);
                if batch.is_empty() || !self.seal_batch(now, audience, batch) {
                    break;
                }
            }
        }
        self.reserve();
    }

    fn seal_batch(&mut self, now: Now, audience: Audience, batch: Vec<Entry>) -> bool {
        match self.sign(now, audience, batch.clone(), self.own.floor(audience)) {
            Ok(run) => {
                self.say(now, audience, run);
                true
            }
            Err(error) => {
                self.own.put_back(audience, batch);
                self.own.due = now.steady.after(RETRY);
                self.outbox.report(now.steady, 0, Report::CannotSign(alloc::format!("{error}")));
                false
            }
        }
    }

    pub(super) fn sign(
        &mut self,
        now: Now,
        audience: Audience,
        entries: Vec<Entry>,
        floor: Version,
    ) -> Result<VerifiedRun, SealError> {
        let LogId { origin, site } = self.own_log(audience);
        let Version { epoch, sequence: first } = self.own.next(audience);
        let cluster = self.config.cluster.clone();
        let issued = self.clocks.issue(now);
        self.own.signer.seal(RunHeader { cluster, site, origin, epoch, first, issued, floor }, entries)
    }

    /// Takes a run of ours into our own log.
    pub(super) fn say(&mut self, now: Now, audience: Audience, run: VerifiedRun) {
        if let Some(line) = self.own.lines.get_mut(&audience) {
            line.next = run.last().saturating_add(1);
        }
        self.take_own(now, run);
        self.own.writing.push_back(self.outbox.ticket());
    }

    /// Who this is.
    pub const fn id(&self) -> NodeId {
        self.me
    }
}
