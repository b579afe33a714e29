//! What is wrong with the coordinator right now, for the person who asks.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

pub use smartfw_core::{Health as Entry, HealthLevel as Level};

/// What can be wrong; each matter has at most one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Matter {
    /// Events cannot be kept.
    History,
    /// What is acknowledged is endangered by how Redis is set.
    Redis,
    /// What is old cannot be let go.
    Retention,
    /// Nodes do not reach it.
    Listening,
    /// There are more nodes than it can serve.
    Nodes,
    /// There are more blocks than it can show.
    Blocks,
    /// More is allowed than it can show.
    Allowed,
    /// No member hears where it is.
    Announcing,
    /// Who was expelled is not known.
    Revocations,
    /// Its own certificate.
    Certificate,
    /// The operator's certificate that it signs orders with.
    Operator,
    /// The metrics page.
    Metrics,
    /// The API for people.
    Web,
    /// What leaves to the outside world.
    Outward,
    /// The mirror in the cloud.
    Mirror,
    /// What is to be mirrored.
    Outbox,
}

/// The health list: tasks write to it, whoever shows the fleet reads it.
#[derive(Debug, Default)]
pub struct Health(Mutex<BTreeMap<Matter, Entry>>);

impl Health {
    /// Notes what is wrong; it stays until cleared or replaced.
    pub fn set(&self, matter: Matter, level: Level, what: impl Into<String>, remedy: impl Into<String>) {
        let entry = Entry { level, what: what.into(), remedy: remedy.into() };
        let before = self.entries().insert(matter, entry.clone());
        // A count that rises every second is not told every second.
        if before.is_none_or(|before| words(&before) != words(&entry)) {
            tracing::warn!(what = entry.what, "do" = entry.remedy, "health");
        }
    }

    /// It is right again.
    pub fn clear(&self, matter: Matter) {
        if let Some(entry) = self.entries().remove(&matter) {
            tracing::info!(what = entry.what, "health: right again");
        }
    }

    /// Everything that is wrong, the worst first.
    pub fn list(&self) -> Vec<Entry> {
        let mut entries: Vec<Entry> = self.entries().values().cloned().collect();
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.level));
        entries
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<Matter, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an entry says, but for its numbers.
fn words(entry: &Entry) -> (Level, Vec<&str>, &str) {
    (
        entry.level,
        entry.what.split(|letter: char| letter.is_ascii_digit()).filter(|part| !part.is_empty()).collect(),
        &entry.remedy,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matter_has_one_entry_and_the_worst_comes_first() {
        let health = Health::default();
        health.set(Matter::Redis, Level::Warn, "a", "");
        health.set(Matter::History, Level::Error, "b", "");
        health.set(Matter::Redis, Level::Warn, "c", "");
        let what: Vec<String> = health.list().into_iter().map(|entry| entry.what).collect();
        assert_eq!(what, ["b", "c"]);
        health.clear(Matter::History);
        assert_eq!(health.list().len(), 1);
    }

    #[test]
    fn entries_that_differ_by_numbers_alone_say_the_same() {
        let entry = |what: &str| Entry { level: Level::Warn, what: what.into(), remedy: String::new() };
        let [one, next, other] = ["behind by 9: away", "behind by 10: away", "behind by 10: busy"].map(entry);
        assert_eq!(words(&one), words(&next));
        assert_ne!(words(&next), words(&other));
    }
}
