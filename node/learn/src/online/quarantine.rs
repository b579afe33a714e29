//! Where windows wait until their sources have stayed clean for long enough, and who is not clean.

use std::{
    collections::{BTreeMap, VecDeque, btree_map::Entry},
    net::IpAddr,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use smartfw_core::{IpNet, Time};

use super::seen::{Row, holder, neighbourhoods};

/// Sources whose windows wait at once; those beyond are not learned from until there is room. With
/// [`WINDOWS_PER_SOURCE`] windows each it takes 7 MB.
pub const SOURCES: usize = 10_000;
/// Sources of one network among them: a tenth for a /24 (IPv6: /48), a fifth for the /16 (/32) around it. Of IPv6 one
/// person has more than ten thousand /64 and would keep all others out.
const SHARES: [usize; 2] = [SOURCES / 10, SOURCES / 5];
/// Windows of one source that wait at once: what an hour has at one in ten minutes, and the one that is due.
pub const WINDOWS_PER_SOURCE: usize = 7;
/// Accused sources remembered at once. Whoever forges so many accusations stops learning; if the oldest were
/// forgotten instead, he would wash himself clean.
pub const TAINTS: usize = 10_000;

/// Windows that wait. It is not kept over a restart: an hour of windows is no loss, and nobody is clean by default.
#[derive(Clone, Debug, Default)]
pub(super) struct Quarantine {
    waiting: BTreeMap<IpNet, Waiting>,
    /// How many of them each network around them has.
    networks: BTreeMap<IpNet, usize>,
}

#[derive(Clone, Debug)]
struct Waiting {
    taken_at: Time,
    windows: VecDeque<(Time, Row)>,
}

impl Quarantine {
    /// Takes a window in; `false` when its source has had its turn or there is no room for it.
    pub(super) fn offer(&mut self, now: Time, row: Row, spacing: Duration) -> bool {
        let key = holder(row.source);
        let room = self.has_room(row.source);
        match self.waiting.get_mut(&key) {
            Some(waiting) => {
                let due = now.since(waiting.taken_at) >= spacing;
                if !due || waiting.windows.len() >= WINDOWS_PER_SOURCE {
                    return false;
                }
                waiting.taken_at = now;
                waiting.windows.push_back((now, row));
            }
            None if room => {
                self.waiting.insert(key, Waiting { taken_at: now, windows: [(now, row)].into() });
                let networks = neighbourhoods(row.source).into_iter();
                networks.for_each(|network| *self.networks.entry(network).or_default() += 1);
            }
            None => return false,
        }
        true
    }

    fn has_room(&self, source: IpAddr) -> bool {
        let of = |network| self.networks.get(&network).copied().unwrap_or_default();
        let mut networks = neighbourhoods(source).into_iter().zip(SHARES);
        self.waiting.len() < SOURCES && networks.all(|(network, share)| of(network) < share)
    }

    /// Drops what waits of a source.
    pub(super) fn drop_source(&mut self, holder: &IpNet) {
        if self.waiting.remove(holder).is_none() {
            return;
        }
        for network in neighbourhoods(holder.addr()) {
            if let Entry::Occupied(mut sources) = self.networks.entry(network) {
                *sources.get_mut() -= 1;
                if *sources.get() == 0 {
                    sources.remove();
                }
            }
        }
    }

    /// Drops what waits of all sources of a network.
    pub(super) fn drop_within(&mut self, network: &IpNet) {
        let gone: Vec<IpNet> =
            self.waiting.keys().filter(|holder| network.contains(*holder)).copied().collect();
        gone.iter().for_each(|holder| self.drop_source(holder));
    }

    /// The windows that have waited for long enough, in the order of their sources.
    pub(super) fn release(&mut self, now: Time, after: Duration) -> Vec<Row> {
        let mut free = Vec::new();
        for waiting in self.waiting.values_mut() {
            while let Some((at, row)) = waiting.windows.front().copied()
                && now.since(at) >= after
            {
                free.push(row);
                waiting.windows.pop_front();
            }
        }
        let done = self.waiting.iter().filter(|(_, waiting)| waiting.windows.is_empty());
        let done: Vec<IpNet> = done.map(|(holder, _)| *holder).collect();
        done.iter().for_each(|holder| self.drop_source(holder));
        free
    }

    pub(super) fn sources(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
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
