//! One log: the runs that are held of it, what lives of them, and what is over.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use core::time::Duration;

use ipnet::IpNet;

use super::{
    chains::Chains,
    clock::Point,
    hash,
    held::{Held, Note},
    message::{SPANS, Span},
    ranges::Ranges,
};
use crate::{
    Time,
    fleet::{LogId, SignedRun, Version},
};

/// Ranges remembered to be over, for each epoch; a range forgotten is asked for once more.
const DEAD_RANGES: usize = 256;
/// Epochs of which that is remembered: an honest origin has one, or a few after its store was lost.
const DEAD_EPOCHS: usize = 8;
/// What is over is written so often at the most, of each log: what is lost is asked for once more, and let go again.
const WRITTEN: Duration = Duration::from_secs(60);

/// One log.
#[derive(Clone, Debug)]
pub(super) struct Log {
    pub(super) id: LogId,
    pub(super) tag: u64,
    runs: BTreeMap<Version, Held>,
    targets: BTreeMap<IpNet, Top>,
    /// What is over, and let go: nobody brings it back.
    dead: BTreeMap<u64, Ranges>,
    /// Whether that has changed since it was written, and when it is written again at the earliest.
    buried: bool,
    write_at: Time,
    /// Runs that were over when they came, and make room for others.
    stale: BTreeSet<Version>,
    chains: Chains,
    /// Nothing below it lives; what is enforced of that goes when it is swept.
    floor: Version,
    /// The run that proves the floor: kept as long as the log is.
    head: Option<Version>,
    pub(super) sweep_at: Option<Time>,
    digest: u64,
    bytes: usize,
    /// What of it the sum over all logs counts.
    pub(super) charged: usize,
    pub(super) quarantine: Option<(SignedRun, SignedRun)>,
}

/// What a log says last of a target.
#[derive(Clone, Copy, Debug)]
pub(super) struct Top {
    pub(super) version: Version,
    pub(super) until: Point,
    /// When everything is over that any version said of it: until then the last word is needed.
    pub(super) shadows: Point,
}

/// What a run is to a log.
#[derive(Debug)]
pub(super) enum Fit {
    /// It is new.
    New,
    /// It is held already.
    Held,
    /// It lies below the floor, or is over and was let go.
    Below,
    /// It is not the run that is held under one of its versions.
    Fork(SignedRun),
}

impl Log {
    pub(super) fn new(id: LogId) -> Self {
        Self {
            tag: hash::tag(&id),
            id,
            runs: BTreeMap::new(),
            targets: BTreeMap::new(),
            dead: BTreeMap::new(),
            buried: false,
            write_at: Time::ZERO,
            stale: BTreeSet::new(),
            chains: Chains::default(),
            floor: Version::default(),
            head: None,
            sweep_at: None,
            digest: 0,
            bytes: 0,
            charged: 0,
            quarantine: None,
        }
    }

    /// Its digest: of what is held, on disk, and not below the floor.
    pub(super) fn digest(&self) -> u64 {
        if self.quarantine.is_some() { hash::quarantined(self.tag) } else { self.digest }
    }

    pub(super) const fn floor(&self) -> Version {
        self.floor
    }

    /// Bytes that it is charged with: runs, chains, and the proof against its origin.
    pub(super) fn bytes(&self) -> usize {
        let proof = self.quarantine.iter().flat_map(|(one, other)| [one, other]);
        let proof: usize = proof.map(|run| run.bytes.len() + run.certificate.len()).sum();
        self.bytes + self.chains.bytes() + proof
    }

    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.quarantine.is_none()
    }

    pub(super) const fn runs(&self) -> &BTreeMap<Version, Held> {
        &self.runs
    }

    pub(super) fn top(&self, target: &IpNet) -> Option<&Top> {
        self.targets.get(target)
    }

    pub(super) fn tops(&self) -> impl Iterator<Item = (&IpNet, &Top)> {
        self.targets.iter()
    }

    pub(super) fn fit(&self, first: Version, last: u64, signed: &SignedRun) -> Fit {
        if (Version { sequence: last, ..first }) < self.floor {
            return Fit::Below;
        }
        if self.dead.get(&first.epoch).is_some_and(|dead| dead.missing(first.sequence, last).is_empty()) {
            return Fit::Below;
        }
        let upto = Version { sequence: last, ..first };
        let before = self.runs.range(..=upto).next_back();
        match before.filter(|(key, held)| key.epoch == first.epoch && held.last >= first.sequence) {
            None => Fit::New,
            Some((_, held)) if held.signed.bytes == signed.bytes => Fit::Held,
            Some((_, held)) => Fit::Fork(held.signed.clone()),
        }
    }

    /// Takes a run that fits. Says what is now the last word on its targets, in order, and whether the floor rose.
    pub(super) fn take(&mut self, first: Version, mut held: Held, stale: bool) -> (Vec<Outcome>, bool) {
        held.chains().for_each(|chain| self.chains.share(chain));
        if stale {
            self.stale.insert(first);
        }
        let told = held.numbered(first).map(|(version, note)| self.tell(version, note)).collect();
        let floor = held.floor;
        self.bytes = self.bytes.saturating_add(held.bytes());
        self.runs.insert(first, held);
        let rises = floor > self.floor;
        if rises || (floor == self.floor && self.head.is_none_or(|head| head < first)) {
            self.head = Some(first);
        }
        if rises {
            self.raise(floor);
        }
        (told, rises)
    }

    fn tell(&mut self, version: Version, note: Note) -> Outcome {
        let Some(target) = note.target else {
            return Outcome { version, last: version >= self.floor, replaced: None };
        };
        let before = self.targets.get(&target).copied();
        let shadows = before.map_or(note.until, |top| top.shadows.max(note.until));
        let last = version >= self.floor && before.is_none_or(|top| top.version < version);
        let top = match before {
            Some(top) if !last => Top { shadows, ..top },
            _ => Top { version, until: note.until, shadows },
        };
        self.targets.insert(target, top);
        Outcome { version, last, replaced: before.filter(|_| last) }
    }

    fn raise(&mut self, floor: Version) {
        let before = core::mem::replace(&mut self.floor, floor);
        // What lay below the floor before is not counted any more.
        let first = self.runs.range(..before).next_back().map_or(before, |(key, _)| *key);
        let below: Vec<Version> = self.runs.range(first..floor).map(|(key, _)| *key).collect();
        for key in below {
            self.recount(key);
        }
        self.buried |= !self.dead.is_empty();
        self.dead.retain(|epoch, ranges| {
            if *epoch == floor.epoch {
                ranges.raise(floor.sequence);
            }
            *epoch >= floor.epoch && !ranges.is_empty()
        });
    }

    /// The run is on disk.
    pub(super) fn persisted(&mut self, key: Version) {
        if let Some(held) = self.runs.get_mut(&key) {
            held.persisted = true;
        }
        self.recount(key);
    }

    fn recount(&mut self, key: Version) {
        let floor = self.floor;
        let Some(held) = self.runs.get_mut(&key) else { return };
        let counts = held.persisted && Version { sequence: held.last, ..key } >= floor;
        if held.counted != counts {
            held.counted = counts;
            self.digest ^= held.hash;
        }
    }

    /// When the run may go: all that it says is over, and no earlier word needs to be contradicted. Never as long as it
    /// proves the floor; `None` where it is not held.
    pub(super) fn over(&self, key: Version) -> Option<Point> {
        let held = self.runs.get(&key)?;
        if self.head == Some(key) && self.floor > Version::default() {
            return Some(Point::MAX);
        }
        let targets = held.notes.iter().filter_map(|note| note.target);
        let shadows = targets.filter_map(|target| self.targets.get(&target)).map(|top| top.shadows).max();
        Some(held.spare().max(shadows.unwrap_or(Point::MIN)))
    }

    /// Lets a run go, and remembers that it is over.
    pub(super) fn forget(&mut self, key: Version) -> Option<Held> {
        let mut held = self.runs.remove(&key)?;
        if held.counted {
            self.digest ^= held.hash;
        }
        held.chains().for_each(|chain| self.chains.release(chain));
        self.stale.remove(&key);
        self.bytes = self.bytes.saturating_sub(held.bytes());
        for (version, note) in held.numbered(key) {
            let Some(target) = note.target else { continue };
            if self.targets.get(&target).is_some_and(|top| top.version == version) {
                self.targets.remove(&target);
            }
        }
        if (Version { sequence: held.last, ..key }) >= self.floor {
            self.bury(key, held.last);
        }
        Some(held)
    }

    /// Remembers that a range is over: nobody needs to send it.
    pub(super) fn bury(&mut self, first: Version, last: u64) {
        let ranges = self.dead.entry(first.epoch).or_default();
        ranges.insert(first.sequence, last);
        ranges.trim(DEAD_RANGES);
        self.buried = true;
        while self.dead.len() > DEAD_EPOCHS {
            self.dead.pop_first();
        }
    }

    /// Takes back what was written of what is over.
    pub(super) fn restore_dead(&mut self, spans: &[Span]) {
        for Span { epoch, from, to } in spans {
            self.bury(Version { epoch: *epoch, sequence: *from }, *to);
        }
        self.buried = false;
    }

    /// What is over and was let go, to be written where it has changed.
    pub(super) fn buried(&mut self, now: Time) -> Option<Vec<Span>> {
        if !self.buried || now < self.write_at {
            return None;
        }
        (self.buried, self.write_at) = (false, now.after(WRITTEN));
        Some(self.dead_spans())
    }

    /// Whether it has something on the disk that says what is over, or is to have.
    pub(super) fn has_dead(&self) -> bool {
        self.buried || !self.dead.is_empty()
    }

    pub(super) fn dead_spans(&self) -> Vec<Span> {
        let spans = |(epoch, ranges): (&u64, &Ranges)| {
            let epoch = *epoch;
            ranges.iter().map(move |(from, to)| Span { epoch, from, to }).collect::<Vec<_>>()
        };
        self.dead.iter().flat_map(spans).collect()
    }

    /// The first of the runs that were over when they came, but for the one that proves the floor.
    pub(super) fn stale(&self) -> Option<Version> {
        self.stale.iter().find(|key| self.head != Some(**key)).copied()
    }

    /// How many lives of the origin the runs are of.
    pub(super) fn lives(&self) -> usize {
        self.runs.keys().map(|key| key.epoch).collect::<BTreeSet<_>>().len()
    }

    /// The run that proves the floor.
    pub(super) const fn head(&self) -> Option<Version> {
        self.head
    }

    /// Takes out the last words on targets that lie below the floor.
    pub(super) fn fall(&mut self) -> Vec<(IpNet, Top)> {
        let floor = self.floor;
        let mut fallen = Vec::new();
        self.targets.retain(|target, top| {
            if top.version < floor {
                fallen.push((*target, *top));
            }
            top.version >= floor
        });
        fallen
    }

    /// The runs that lie wholly below the floor.
    pub(super) fn below(&self) -> Vec<Version> {
        let floor = self.floor;
        let below = |(key, held): &(&Version, &Held)| Version { sequence: held.last, ..**key } < floor;
        self.runs.range(..floor).filter(below).map(|(key, _)| *key).collect()
    }

    /// What of `span` is neither held, nor over, nor below the floor.
    pub(super) fn missing(&self, span: Span) -> Vec<Span> {
        let Span { epoch, from, to } = span;
        if (Version { epoch, sequence: to }) < self.floor {
            return Vec::new();
        }
        let mut from = if epoch == self.floor.epoch { from.max(self.floor.sequence) } else { from };
        let dead = self.dead.get(&epoch);
        let mut missing = Vec::new();
        let mut lacks = |from, to| match dead {
            Some(dead) => missing.extend(dead.missing(from, to)),
            None => missing.push((from, to)),
        };
        for (key, held) in self.overlapping(Span { epoch, from, to }) {
            if key.sequence > from {
                lacks(from, key.sequence - 1);
            }
            from = held.last.saturating_add(1);
        }
        if from <= to {
            lacks(from, to);
        }
        missing.into_iter().map(|(from, to)| Span { epoch, from, to }).collect()
    }

    /// The runs that share a sequence with `span`, in order.
    pub(super) fn overlapping(&self, span: Span) -> impl Iterator<Item = (Version, &Held)> {
        let Span { epoch, from, to } = span;
        let start = Version { epoch, sequence: from };
        let before = self.runs.range(..start).next_back();
        let before = before.filter(|(key, held)| key.epoch == epoch && held.last >= from);
        let end = Version { epoch, sequence: to.max(from) };
        before.into_iter().chain(self.runs.range(start..=end)).map(|(key, held)| (*key, held))
    }

    /// What others may ask for, as ranges: at most [`SPANS`] of them, from the one at `start` of all on, around the end.
    pub(super) fn spans(&self, start: impl FnOnce(usize) -> usize) -> Vec<Span> {
        let mut spans: Vec<Span> = Vec::new();
        for (key, held) in self.runs.iter().filter(|(_, held)| held.counted) {
            let (epoch, from, to) = (key.epoch, key.sequence, held.last);
            match spans.last_mut().filter(|span| span.epoch == epoch && span.to.checked_add(1) == Some(from))
            {
                Some(span) => span.to = to,
                None => spans.push(Span { epoch, from, to }),
            }
        }
        if spans.len() > SPANS {
            let begin = start(spans.len()).min(spans.len() - 1);
            spans.rotate_left(begin);
            spans.truncate(SPANS);
            spans.sort_unstable();
        }
        spans
    }

    /// Takes nothing more: of all that is held only the proof is kept.
    pub(super) fn quarantine(&mut self, proof: (SignedRun, SignedRun)) {
        let buried = self.has_dead();
        *self = Self { quarantine: Some(proof), charged: self.charged, buried, ..Self::new(self.id.clone()) };
    }
}

/// What became of an entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    pub(super) version: Version,
    /// Whether it is the last word.
    pub(super) last: bool,
    /// The word that it replaces.
    pub(super) replaced: Option<Top>,
}
