//! Episodes: however many verdicts an offence brings, there is one alert, and an update of it at most once a minute.

use core::time::Duration;

use crate::{Action, Alert, BlockId, Class, Evidence, Subject, Time, nets::ExpiringMap, verdict::Service};

/// An episode ends after this long without a verdict: as long as the shortest block.
pub(super) const SILENCE: Duration = Duration::from_secs(300);
/// Updates of an alert come no faster.
const UPDATE: Duration = Duration::from_secs(60);

/// Whom and what an episode is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EpisodeKey {
    who: Who,
    class: Class,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Source(core::net::IpAddr),
    Destination(Service),
}

impl EpisodeKey {
    pub(super) const fn new(subject: &Subject, class: Class) -> Self {
        let who = match *subject {
            Subject::Source(address) => Who::Source(address),
            Subject::Destination { service, .. } => Who::Destination(service),
        };
        Self { who, class }
    }
}

/// An offence that goes on.
#[derive(Clone, Debug)]
struct Episode {
    alert: Alert,
    told_at: Time,
    told_count: u64,
    worst: Severity,
}

/// The episodes that go on.
#[derive(Clone, Debug)]
pub(super) struct Episodes(ExpiringMap<EpisodeKey, Episode>);

impl Episodes {
    pub(super) const fn new() -> Self {
        Self(ExpiringMap::new())
    }

    /// The id of the episode that goes on.
    pub(super) fn id(&self, key: &EpisodeKey) -> Option<BlockId> {
        self.0.get(key).map(|episode| episode.alert.id)
    }

    /// Takes a verdict's alert; gives the alert to send, when one is due: the first of the episode, one that does
    /// more or proves more than any before, or the update of a minute. Of more than `limit` episodes the longest silent is
    /// forgotten: it will be reported anew.
    pub(super) fn tell(&mut self, now: Time, key: EpisodeKey, alert: Alert, limit: usize) -> Option<Alert> {
        let Some(episode) = self.0.get_mut(&key) else {
            let alert = Alert { count: 1, ..alert };
            let worst = severity(&alert);
            let episode = Episode { alert: alert.clone(), told_at: now, told_count: 1, worst };
            if self.0.len() >= limit {
                self.0.pop_first();
            }
            self.0.insert(key, episode, now.after(SILENCE));
            return Some(alert);
        };
        let count = episode.alert.count + 1;
        let severity = severity(&alert);
        episode.alert = Alert { id: episode.alert.id, count, ..alert };
        let rises = severity > episode.worst;
        let due = rises || now.since(episode.told_at) >= UPDATE;
        if rises {
            episode.worst = severity;
        }
        if due {
            (episode.told_at, episode.told_count) = (now, count);
        }
        let told = due.then(|| episode.alert.clone());
        self.0.postpone(&key, now.after(SILENCE));
        told
    }

    /// Counts a verdict that changes nothing: the source is dropped already.
    pub(super) fn count(&mut self, key: &EpisodeKey) {
        if let Some(episode) = self.0.get_mut(key) {
            episode.alert.count += 1;
        }
    }

    /// Ends the episodes that fell silent; gives the last update of those that had more to say.
    pub(super) fn end(&mut self, now: Time) -> Option<Option<Alert>> {
        let (_, episode) = self.0.pop_due(now)?;
        Some((episode.alert.count > episode.told_count).then_some(episode.alert))
    }

    pub(super) fn next_due(&self) -> Time {
        self.0.next_due()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// How much an alert does, and on what evidence: a soft block that becomes hard is news.
type Severity = (u8, Option<Evidence>);

const fn severity(alert: &Alert) -> Severity {
    let weight = match alert.action {
        Action::Protected | Action::Report => 0,
        Action::Pending => 1,
        Action::RateLimit => 2,
        Action::Block => 3,
    };
    (weight, alert.evidence)
}
