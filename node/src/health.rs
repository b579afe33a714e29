//! What is wrong with the node right now, for the person who asks.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

pub use smartfw_core::{Health as Entry, HealthLevel as Level};

use crate::uplink::WeakUplink;

/// What can be wrong; each matter has at most one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Matter {
    /// Rules and sets in the kernel.
    Enforcement,
    /// Another program keeps changing them.
    Rival,
    /// The cache on disk cannot be written.
    Disk,
    /// The cache was damaged and set aside.
    Cache,
    /// The thread that looks at packets.
    Detector,
    /// The log files.
    Logs,
    /// What the host says about itself.
    Host,
    /// sshd's own word.
    Logins,
    /// What would be loaded at the next boot.
    Boot,
    /// What a person did while the daemon was dead.
    Notes,
    /// The metrics page.
    Metrics,
    /// Tables that are full.
    Tables,
    /// This node's part in its fleet.
    Fleet,
    /// Who was expelled from the fleet.
    Revocations,
    /// This node's renewed certificate.
    Certificate,
    /// It can say nothing more to the fleet.
    FleetLog,
    /// What it says waits for the disk.
    FleetUnsaid,
    /// What it says cannot be signed.
    FleetSigning,
    /// A member says more than is kept of one.
    FleetQuota,
    /// All say more than is kept.
    FleetRoom,
    /// Members signed two things under one number.
    FleetLiars,
    /// The fleet expelled it.
    FleetExpelled,
    /// The model in use.
    Model,
    /// The model that judges without a say.
    ShadowModel,
    /// The node's own key for models.
    ModelKey,
    /// Learning stands still.
    Learning,
    /// What people corrected cannot be learned.
    Corrections,
    /// What was learned was lost, or cannot be kept.
    LearningState,
    /// A model that was learned cannot be placed.
    Candidate,
    /// What coordinators are to be told.
    Uplink,
    /// Other detectors' files.
    External,
    /// The mirror in a database.
    Mirror,
    /// What waits for it.
    MirrorOutbox,
    /// What it will never have.
    MirrorMissed,
    /// What it is not given yet, since it is dated ahead.
    MirrorAhead,
    /// What it is not given, since some of it stays within the cluster.
    MirrorMixed,
    /// Other clusters that are listened to.
    Followed,
    /// Their roots.
    Roots,
    /// Threat feeds.
    Feeds,
    /// What is kept of them.
    FeedShelf,
}

impl Matter {
    /// Whether its words count what is told: were every change of them told as well, that would never end.
    const fn counts(self) -> bool {
        matches!(self, Self::Mirror)
    }
}

/// The health list: threads write to it, `status` reads it, coordinators are told.
#[derive(Debug, Default)]
pub struct Health {
    entries: Mutex<BTreeMap<Matter, Entry>>,
    uplink: OnceLock<WeakUplink>,
}

impl Health {
    /// Notes what is wrong; it stays until cleared or replaced.
    pub fn set(&self, matter: Matter, level: Level, what: impl Into<String>, remedy: impl Into<String>) {
        let entry = Entry { level, what: what.into(), remedy: remedy.into() };
        let before = self.entries().insert(matter, entry.clone());
        if before.as_ref() == Some(&entry) {
            return;
        }
        tracing::warn!(what = entry.what, "do" = entry.remedy, "health");
        if !matter.counts() || before.is_none_or(|before| before.level != level) {
            self.tell(&entry, false);
        }
    }

    /// It is right again.
    pub fn clear(&self, matter: Matter) {
        let right = self.entries().remove(&matter);
        if let Some(entry) = right {
            tracing::info!(what = entry.what, "health: right again");
            self.tell(&entry, true);
        }
    }

    /// Everything that is wrong, the worst first.
    pub fn list(&self) -> Vec<Entry> {
        let mut entries: Vec<Entry> = self.entries().values().cloned().collect();
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.level));
        entries
    }

    /// From now on coordinators are told of every change.
    pub(crate) fn told_to(&self, uplink: WeakUplink) {
        let _ = self.uplink.set(uplink);
    }

    fn tell(&self, entry: &Entry, right: bool) {
        self.uplink
            .get()
            .and_then(WeakUplink::get)
            .into_iter()
            .for_each(|uplink| uplink.health(entry, right));
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<Matter, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::uplink::Uplink;

    #[test]
    fn of_words_that_count_what_is_told_only_the_beginning_and_the_end_are_told() {
        let (folder, health) = (tempfile::tempdir().unwrap(), Arc::<Health>::default());
        let uplink = Uplink::new(folder.path(), Arc::default(), health.clone());
        uplink.begin();
        health.set(Matter::Mirror, Level::Warn, "behind by 1", "");
        health.set(Matter::Mirror, Level::Warn, "behind by 2", "");
        health.clear(Matter::Mirror);
        health.set(Matter::Logs, Level::Warn, "1 lost", "");
        health.set(Matter::Logs, Level::Warn, "2 lost", "");
        uplink.end();
        assert_eq!(uplink.waiting(), 4);
        assert!(health.list().iter().all(|entry| entry.what != "behind by 2"));
    }

    #[test]
    fn a_matter_has_one_entry_and_the_worst_comes_first() {
        let health = Health::default();
        health.set(Matter::Logs, Level::Warn, "a", "");
        health.set(Matter::Disk, Level::Error, "b", "");
        health.set(Matter::Logs, Level::Warn, "c", "");
        let what: Vec<String> = health.list().into_iter().map(|entry| entry.what).collect();
        assert_eq!(what, ["b", "c"]);
        health.clear(Matter::Disk);
        assert_eq!(health.list().len(), 1);
    }
}
