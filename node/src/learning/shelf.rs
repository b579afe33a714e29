//! Candidates among the node's models.

use serde_json::json;
use smartfw_core::{Time, model::Model};
use smartfw_learn::{
    Card,
    online::{Candidate, Exam, Lot},
};

use crate::{
    clock,
    models::{BUILT_IN, Models, ModelsError},
};

/// What the name of a candidate begins with.
const LEARNED: &str = "learned-";

/// A candidate that was made.
pub(super) struct Made {
    pub(super) candidate: Candidate,
    pub(super) model: Model,
    pub(super) card: Card,
}

impl Made {
    pub(super) fn new(now: Time, lot: &Lot, model: Model, exam: &Exam) -> Self {
        let card = Card {
            name: lot.candidate.to_string(),
            created: clock::rfc3339(now),
            trained_on: json!({"rows": lot.rows.len(), "corrections": lot.corrections.len(), "reference": true}),
            parameters: json!({"trainer": "forest", "seed": lot.seed, "learned_here": true}),
            figures: json!({"macro_f1": exam.held_out.macro_f1}),
            notes: vec!["Learned by this node from what is usual here; figures are of its twins.".to_owned()],
        };
        Self { candidate: lot.candidate, model, card }
    }
}

/// Whether learning may replace this model: what people chose from elsewhere cannot be made better from here.
pub(super) fn may_replace(name: &str) -> bool {
    name == BUILT_IN || name.starts_with(LEARNED)
}

/// Keeps a candidate, and lets it judge without a say.
pub(super) fn shadow(models: &Models, made: &Made) -> Result<(), ModelsError> {
    if let (_, Some(other)) = models.names() {
        return Err(ModelsError::Judges(other));
    }
    let name = models.put(&models.sign(&made.model, &made.card)?)?;
    models.shadow(Some(&name)).map(|_| ())
}

/// Puts a candidate in use, and the one before it in the shadow.
pub(super) fn promote(models: &Models, candidate: Candidate) -> Result<(), ModelsError> {
    let before = models.names().0;
    models.use_(&candidate.to_string())?;
    models.shadow(before.as_deref()).map(|_| ())
}

/// Ends the comparison, and forgets candidates that have no place.
pub(super) fn confirm(models: &Models) -> Result<(), ModelsError> {
    models.shadow(None)?;
    sweep(models)
}

/// Puts the one before it in use again.
pub(super) fn roll_back(models: &Models) -> Result<(), ModelsError> {
    let (_, before) = models.names();
    models.use_(before.as_deref().unwrap_or(BUILT_IN))?;
    models.shadow(None)?;
    sweep(models)
}

/// Forgets candidates that neither judge nor have judged last.
fn sweep(models: &Models) -> Result<(), ModelsError> {
    let placed = |row: &smartfw_proto::view::ModelRow| row.used || row.shadow || row.previous;
    let mut idle = models.list()?.into_iter().filter(|row| row.name.starts_with(LEARNED) && !placed(row));
    idle.try_for_each(|row| models.remove(&row.name).map(|_| ()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use smartfw_learn::{
        ModelFile, ModelKey,
        fixture::{card, model},
    };

    use super::*;
    use crate::{counters::Counters, detector::Feed, health::Health};

    struct Place {
        models: Models,
        _dir: tempfile::TempDir,
    }

    fn place() -> Place {
        let built_in = ModelFile::write(&model(), &card("shipped"), &ModelKey::generate().unwrap()).unwrap();
        let feed = Arc::new(Feed::new(Arc::<Counters>::default()));
        let (dir, health) = (tempfile::tempdir().unwrap(), Arc::<Health>::default());
        Place { models: Models::open(dir.path(), Some(built_in), Vec::new(), feed, health), _dir: dir }
    }

    fn made(number: u64) -> Made {
        let candidate = Candidate(number);
        Made { candidate, model: model(), card: card(&candidate.to_string()) }
    }

    fn names(models: &Models) -> (Option<String>, Option<String>) {
        models.names()
    }

    fn some(used: &str, shadow: &str) -> (Option<String>, Option<String>) {
        (Some(used.to_owned()), Some(shadow.to_owned()))
    }

    fn kept(models: &Models) -> Vec<String> {
        models.list().unwrap().into_iter().map(|row| row.name).collect()
    }

    #[test]
    fn a_candidate_goes_from_the_shadow_into_use_and_only_the_last_two_are_kept() {
        let Place { models, _dir } = place();
        shadow(&models, &made(1)).unwrap();
        assert_eq!(names(&models), some(BUILT_IN, "learned-1"));
        promote(&models, Candidate(1)).unwrap();
        assert_eq!(names(&models), some("learned-1", BUILT_IN));
        confirm(&models).unwrap();
        for next in 2..5 {
            shadow(&models, &made(next)).unwrap();
            promote(&models, Candidate(next)).unwrap();
            confirm(&models).unwrap();
        }
        assert_eq!(names(&models), (Some("learned-4".to_owned()), None));
        assert_eq!(kept(&models), [BUILT_IN, "learned-3", "learned-4"]);
    }

    #[test]
    fn a_candidate_that_is_rolled_back_or_withdrawn_judges_no_more() {
        let Place { models, _dir } = place();
        shadow(&models, &made(1)).unwrap();
        confirm(&models).unwrap();
        assert_eq!(kept(&models), [BUILT_IN]);
        shadow(&models, &made(2)).unwrap();
        promote(&models, Candidate(2)).unwrap();
        roll_back(&models).unwrap();
        assert_eq!(names(&models), (Some(BUILT_IN.to_owned()), None));
    }

    #[test]
    fn a_shadow_that_a_person_chose_is_left_alone() {
        let Place { models, _dir } = place();
        models.put(&models.sign(&model(), &card("lab")).unwrap()).unwrap();
        models.shadow(Some("lab")).unwrap();
        assert!(shadow(&models, &made(1)).is_err());
        assert_eq!(names(&models), some(BUILT_IN, "lab"));
        assert!(may_replace(BUILT_IN) && may_replace("learned-7") && !may_replace("lab"));
    }
}
