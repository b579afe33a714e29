//! What is reported: one alert per source and class and episode.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::{Class, Detector, Evidence, Features, Reason, Subject, Time, block::BlockId, class::named};

/// A detection and what was done about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Identifies the episode: updates of one episode carry the same id and a higher count.
    pub id: BlockId,
    /// When the deciding packet was seen.
    pub time: Time,
    /// The reporting node's name.
    pub node: String,
    /// About whom.
    pub subject: Subject,
    /// Of what.
    pub class: Class,
    /// How sure, 0 to 1.
    pub confidence: f32,
    /// Who says so.
    pub detector: Detector,
    /// What proves the source's address.
    pub evidence: Option<Evidence>,
    /// How many verdicts this episode has seen so far.
    pub count: u64,
    /// Why.
    pub reason: Reason,
    /// The window at that moment.
    pub features: Features,
    /// What was done.
    pub action: Action,
    /// Why no more was done than `action`: the protected prefix, the veto, the bound of the blast. Empty when the
    /// class's full answer was given.
    pub note: String,
}

named! {
    /// What was done about a verdict.
    Action {
        /// Dropped in the kernel.
        Block = "block",
        /// Slowed down in the kernel.
        RateLimit = "rate_limit",
        /// Shown, and nothing else.
        Report = "report",
        /// Waiting for a person's approval.
        Pending = "pending",
        /// Nothing, because the source can never be blocked.
        Protected = "protected",
    }
}
