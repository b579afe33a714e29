//! Where windows wait until their sources have stayed clean for long enough, and who is not clean.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use smartfw_core::{IpNet, Time};

use super::seen::{Row, holder};

/// Sources whose windows wait at once; those beyond are not learned from until there is room. With
/// [`WINDOWS_PER_SOURCE`] windows each it takes 7 MB.
pub const SOURCES: usize = 10_000;
/// Windows of one source that wait at once: what an hour has at one in ten minutes, and the one that is due.
pub const WINDOWS_PER_SOURCE: usize = 7;
/// Accused sources remembered at once. Whoever forges so many accusations stops learning; if the oldest were
/// forgotten instead, he would wash himself clean.
pub const TAINTS: usize = 10_000;

/// Windows that wait. It is not kept over a restart: an hour of windows is no loss, and nobody is clean by default.
#[derive(Clone, Debug, Default)]
pub(super) struct Quarantine(BTreeMap<IpNet, Waiting>);

#[derive(Clone, Debug)]
struct Waiting {
    taken_at: Time,
    windows: VecDeque<(Time, Row)>,
}

impl Quarantine {
    /// Takes a window in; `false` when its source has had its turn or there is no room.
    pub(super) fn offer(&mut self, now: Time, row: Row, spacing: Duration) -> bool {
        let key = holder(row.source);
        let room = self.0.len() < SOURCES;
        match self.0.get_mut(&key) {
            Some(waiting) => {
                let due = now.since(waiting.taken_at) >= spacing;
                if !due || waiting.windows.len() >= WINDOWS_PER_SOURCE {
                    return false;
                }
                waiting.taken_at = now;
                waiting.windows.push_back((now, row));
            }
            None if room => {
                self.0.insert(key, Waiting { taken_at: now, windows: [(now, row)].into() });
            }
            None => return false,
        }
        true
    }

    /// Drops what waits of a source.
    pub(super) fn drop_source(&mut self, holder: &IpNet) {
        self.0.remove(holder);
    }

    /// The windows that have waited for long enough, in the order of their sources.
    pub(super) fn release(&mut self, now: Time, after: Duration) -> Vec<Row> {
        let mut free = Vec::new();
        for waiting in self.0.values_mut() {
            while let Some((at, row)) = waiting.windows.front().copied()
                && now.since(at) >= after
            {
                free.push(row);
                waiting.windows.pop_front();
            }
        }
        self.0.retain(|_, waiting| !waiting.windows.is_empty());
        free
    }

    pub(super) fn sources(&self) -> usize {
        self.0.len()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Who was accused, until when nothing is learned from them, and whether it was ever proven that it was they.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Taints(BTreeMap<IpNet, (Time, bool)>);

impl Taints {
    /// Remembers an accusation; `false` when there is no room for it.
    pub(super) fn insert(&mut self, holder: IpNet, until: Time, proven: bool) -> bool {
        if self.0.len() >= TAINTS && !self.0.contains_key(&holder) {
            return false;
        }
        let kept = self.0.entry(holder).or_default();
        *kept = (until.max(kept.0), proven || kept.1);
        true
    }

    pub(super) fn contains(&self, holder: &IpNet) -> bool {
        self.0.contains_key(holder)
    }

    pub(super) fn is_proven(&self, holder: &IpNet) -> bool {
        self.0.get(holder).is_some_and(|(_, proven)| *proven)
    }

    pub(super) fn expire(&mut self, now: Time) {
        self.0.retain(|_, (until, _)| *until > now);
    }

    /// Nobody is tainted for longer than until then.
    pub(super) fn set_back(&mut self, latest: Time) {
        self.0.values_mut().for_each(|(until, _)| *until = latest.min(*until));
    }

    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= TAINTS
    }

    pub(super) fn fits(&self) -> bool {
        self.0.len() <= TAINTS
    }
}
