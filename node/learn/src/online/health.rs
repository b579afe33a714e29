//! What `status` says of learning.

use smartfw_core::{Health, HealthLevel};

use super::{DAYS, Learner, stages::Stage};

/// What is not as it should be; none of what is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Troubles {
    /// Learning stands still.
    pub frozen: Option<Health>,
    /// Corrections contradict the reference set.
    pub contradicted: Option<Health>,
}

impl Learner {
    /// What is not as it should be.
    pub fn troubles(&self) -> Troubles {
        let frozen = self.frozen.as_ref().map(|why| Health {
            level: HealthLevel::Warn,
            what: format!("learning stands still: {why}"),
            remedy:
                "detection goes on with the model in use; if the change is wanted, stop the node and remove \
                     models/learner from its state folder, so that learning begins anew"
                    .into(),
        });
        let contradicted = self.contradicted.then(|| Health {
            level: HealthLevel::Warn,
            what: "corrections of detection contradict the reference set, and are not learned".into(),
            remedy: "see whether an attack was called a false positive: smartfw-cli alerts".into(),
        });
        Troubles { frozen, contradicted }
    }

    /// How far learning is, in one line.
    pub fn progress(&self) -> String {
        let days = self.samples.days.len();
        let stage = match &self.stage {
            Stage::Gathering if self.profile.is_none() => format!("day {} of the first {DAYS}", days + 1),
            Stage::Gathering => "gathering".into(),
            Stage::Training(_) => "training a candidate".into(),
            Stage::Shadow(_) => "a candidate is in the shadow".into(),
            Stage::Probation(_) => "a candidate is in use on probation".into(),
        };
        let note = self.note.iter().map(|note| format!("; {note}")).collect::<String>();
        let (rows, sources) = (self.samples.len(), self.quarantine.sources());
        format!("{stage}; {rows} windows learned, {sources} sources in quarantine{note}")
    }
}
