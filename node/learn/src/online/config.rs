//! What a person may set of learning, and the reason for each default.

use std::time::Duration;

/// How a node learns. The limits that keep an attacker from teaching are constants beside what they limit; these are
/// what depends on the site.
#[derive(Clone, Debug, PartialEq)]
pub struct LearningConfig {
    /// How long a window waits before it is learned from, and is dropped when its source is accused meanwhile: an
    /// hour, the memory of the slowest rule.
    pub quarantine: Duration,
    /// The least time between two windows of one source that are learned from: ten minutes, so that a client in a
    /// hurry and one at leisure weigh the same.
    pub spacing: Duration,
    /// How long nothing is learned from a source that was accused.
    pub taint: Duration,
    /// How long windows are gathered before they are looked at together: a day, so that every sample has a night.
    pub day: Duration,
    /// How long a candidate is compared with the model in use before it may replace it, and how long the model that
    /// it replaced is compared with it afterwards: a day, for the same reason.
    pub shadow: Duration,
    /// From this population stability index on a day is not like the node's first week, and is not learned: 0.25 is
    /// the usual limit of "a major shift" (Siddiqi 2006).
    pub drift: f32,
}

impl Default for LearningConfig {
    fn default() -> Self {
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        Self {
            quarantine: hours(1),
            spacing: Duration::from_secs(600),
            taint: hours(24),
            day: hours(24),
            shadow: hours(24),
            drift: 0.25,
        }
    }
}
