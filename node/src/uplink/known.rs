//! Which coordinators were reported to, and what each has kept: what none of them misses any more may go.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use smartfw_core::{
    Time,
    fleet::{NodeId, Version},
};

use crate::files;

/// One that was away for longer holds nothing.
const HOLDS: Duration = Duration::from_secs(3 * 86_400);
/// One that was away for longer is forgotten.
const REMEMBERED: Duration = Duration::from_secs(30 * 86_400);
/// Coordinators that are remembered; of more, the one that was away the longest is forgotten.
const MOST: usize = 16;
/// The longest file: sixteen ids and times.
const LONGEST: u64 = 16 << 10;

/// The coordinators that were reported to.
#[derive(Debug, Default)]
pub(super) struct Known(BTreeMap<NodeId, Holder>);

#[derive(Clone, Copy, Debug)]
struct Holder {
    /// What it has; unknown since a restart until it says so.
    kept: Version,
    seen: Time,
    connected: bool,
}

/// What is kept of it on disk.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Remembered {
    /// Events that had to go, in all lives.
    #[serde(default)]
    pub(super) dropped: u64,
    /// What the mirror has, where it was ever told.
    #[serde(default)]
    pub(super) mirrored: Option<Version>,
    /// When each coordinator was there last, seconds.
    #[serde(default)]
    pub(super) coordinators: BTreeMap<String, u64>,
}

impl Known {
    /// One answers, and has so much.
    pub(super) fn connected(&mut self, now: Time, id: NodeId, kept: Version) {
        self.0.insert(id, Holder { kept, seen: now, connected: true });
        while self.0.len() > MOST {
            let gone = self.0.iter().filter(|(_, holder)| !holder.connected);
            let oldest = gone.min_by_key(|(_, holder)| holder.seen).map(|(id, _)| *id);
            let Some(oldest) = oldest else { return };
            self.0.remove(&oldest);
        }
    }

    /// It has more now.
    pub(super) fn kept(&mut self, now: Time, id: &NodeId, kept: Version) {
        if let Some(holder) = self.0.get_mut(id) {
            (holder.kept, holder.seen) = (kept, now);
        }
    }

    /// Its stream is closed.
    pub(super) fn gone(&mut self, now: Time, id: &NodeId) {
        if let Some(holder) = self.0.get_mut(id) {
            (holder.connected, holder.seen) = (false, now);
        }
    }

    /// It was expelled: nothing waits for it.
    pub(super) fn forget(&mut self, expelled: impl Fn(&NodeId) -> bool) {
        self.0.retain(|id, _| !expelled(id));
    }

    /// What all have of a life of the buffer; `None` where nobody holds anything.
    pub(super) fn lowest(&self, now: Time, epoch: u64) -> Option<u64> {
        let holding = self.0.values().filter(|holder| holder.connected || now.since(holder.seen) < HOLDS);
        holding.map(|holder| if holder.kept.epoch == epoch { holder.kept.sequence } else { 0 }).min()
    }

    /// How many are connected.
    pub(super) fn open(&self) -> usize {
        self.0.values().filter(|holder| holder.connected).count()
    }

    /// Whether there is one for which events are kept, or was within a month.
    pub(super) fn any(&self) -> bool {
        !self.0.is_empty()
    }

    /// What to keep on disk.
    pub(super) fn remembered(&self, dropped: u64) -> Remembered {
        let coordinators = self.0.iter().map(|(id, holder)| (format!("{id:#}"), holder.seen.as_secs()));
        Remembered { dropped, mirrored: None, coordinators: coordinators.collect() }
    }

    /// As it was kept on disk, without those who were away for long.
    pub(super) fn restore(&mut self, now: Time, remembered: &Remembered) {
        for (id, seen) in remembered.coordinators.iter().take(MOST) {
            let seen = Time::from_secs(*seen).min(now);
            if let Some(id) = node(id).filter(|_| now.since(seen) < REMEMBERED) {
                let nothing = Version { epoch: 0, sequence: 0 };
                self.0.entry(id).or_insert(Holder { kept: nothing, seen, connected: false });
            }
        }
    }
}

impl Remembered {
    /// What the folder says; nothing where it says nothing that makes sense.
    pub(super) fn load(folder: &Path) -> Self {
        let path = place(folder);
        let short = std::fs::metadata(&path).is_ok_and(|about| about.len() <= LONGEST);
        let text = if short { std::fs::read(&path).unwrap_or_default() } else { Vec::new() };
        serde_json::from_slice(&text).unwrap_or_default()
    }

    pub(super) fn save(&self, folder: &Path) -> std::io::Result<()> {
        files::replace(&place(folder), &serde_json::to_vec(self)?)
    }
}

fn place(folder: &Path) -> PathBuf {
    folder.join("known.json")
}

fn node(text: &str) -> Option<NodeId> {
    let digit = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..64).step_by(2).map(digit).collect();
    Some(NodeId(bytes?.try_into().ok()?)).filter(|_| text.len() == 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: u64 = 7;

    fn at(seconds: u64) -> Time {
        Time::from_secs(1_800_000_000 + seconds)
    }

    fn id(n: u8) -> NodeId {
        NodeId([n; 32])
    }

    fn upto(sequence: u64) -> Version {
        Version { epoch: EPOCH, sequence }
    }

    #[test]
    fn what_all_have_may_go_and_whoever_was_away_for_three_days_holds_nothing() {
        let mut known = Known::default();
        assert_eq!((known.lowest(at(0), EPOCH), known.any()), (None, false));
        known.connected(at(0), id(1), upto(5));
        known.connected(at(0), id(2), Version { epoch: EPOCH - 1, sequence: 90 });
        assert_eq!(known.lowest(at(0), EPOCH), Some(0), "of an earlier life it has nothing of this one");
        known.kept(at(1), &id(2), upto(8));
        assert_eq!((known.lowest(at(1), EPOCH), known.open()), (Some(5), 2));
        known.gone(at(2), &id(1));
        assert_eq!(known.lowest(at(2 + 3 * 86_400 - 1), EPOCH), Some(5));
        assert_eq!(known.lowest(at(2 + 3 * 86_400), EPOCH), Some(8));
        known.forget(|node| *node == id(2));
        assert_eq!((known.lowest(at(3), EPOCH), known.open(), known.any()), (Some(5), 0, true));
    }

    #[test]
    fn who_was_there_is_known_after_a_restart_and_forgotten_after_a_month() {
        let folder = tempfile::tempdir().unwrap();
        let mut known = Known::default();
        known.connected(at(0), id(1), upto(5));
        known.remembered(3).save(folder.path()).unwrap();
        let remembered = Remembered::load(folder.path());
        assert_eq!((remembered.dropped, remembered.coordinators.len()), (3, 1));
        let mut again = Known::default();
        again.restore(at(10), &remembered);
        assert_eq!(again.lowest(at(10), EPOCH), Some(0), "what it has it has to say");
        let mut late = Known::default();
        late.restore(at(31 * 86_400), &remembered);
        assert!(!late.any());
        for rubbish in ["", "{\"coordinators\":{\"é\":1,\"00\":2}}", "[1]"] {
            std::fs::write(place(folder.path()), rubbish).unwrap();
            let mut known = Known::default();
            known.restore(at(0), &Remembered::load(folder.path()));
            assert!(!known.any(), "{rubbish}");
        }
    }

    #[test]
    fn no_more_are_remembered_than_may_be() {
        let mut known = Known::default();
        for n in 0..100 {
            known.connected(at(n), id(n as u8), upto(1));
            known.gone(at(n), &id(n as u8));
        }
        assert_eq!(known.0.len(), MOST);
        assert!(known.0.contains_key(&id(99)) && !known.0.contains_key(&id(0)));
    }
}
