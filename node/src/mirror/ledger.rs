//! What was heard of other clusters: how much was followed, and what was not.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use smartfw_proto::{limits::NOT_FOLLOWED, view::NotFollowed};

use crate::clock;

/// What was heard since the start.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    /// Runs that were followed, and what was not, of each cluster of the configuration.
    counts: BTreeMap<String, (u64, u64)>,
    /// The last that were not.
    refused: VecDeque<NotFollowed>,
}

impl Ledger {
    /// A run was followed.
    pub(super) fn followed(&self, cluster: &str) {
        self.lock().counts.entry(cluster.to_owned()).or_default().0 += 1;
    }

    /// Something was not.
    pub(super) fn not_followed(&self, cluster: &str, key: String, why: String) {
        let mut book = self.lock();
        book.counts.entry(cluster.to_owned()).or_default().1 += 1;
        if book.refused.len() >= NOT_FOLLOWED {
            book.refused.pop_back();
        }
        book.refused.push_front(NotFollowed { time: clock::now(), cluster: cluster.to_owned(), key, why });
    }

    /// How much of a cluster was followed, and how much not.
    pub(super) fn counts(&self, cluster: &str) -> (u64, u64) {
        self.lock().counts.get(cluster).copied().unwrap_or_default()
    }

    /// The last that was not followed, the newest first.
    pub(super) fn refused(&self) -> Vec<NotFollowed> {
        self.lock().refused.iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_followed_is_counted_and_the_last_of_it_is_kept() {
        let ledger = Ledger::default();
        ledger.followed("other");
        for n in 0..=NOT_FOLLOWED {
            ledger.not_followed("other", n.to_string(), "forged".into());
        }
        assert_eq!(ledger.counts("other"), (1, NOT_FOLLOWED as u64 + 1));
        let refused = ledger.refused();
        assert_eq!((refused.len(), refused[0].key.as_str()), (NOT_FOLLOWED, "256"));
    }
}
