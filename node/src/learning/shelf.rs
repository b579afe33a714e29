//! Candidates among the node's models.

use serde_json::json;
use smartfw_core::{Time, model::Model};
use smartfw_learn::{
    Card,
    online::{Candidate, Exam, Lot},
};

use crate::{
    clock,
    models::{BUILT_IN, Models, ModelsError, Places},
};

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

/// Keeps a candidate, and lets it judge without a say.
pub(super) fn shadow(models: &Models, made: &Made) -> Result<(), ModelsError> {
    free(&models.chosen())?;
    let name = models.put(&models.sign(&made.model, &made.card)?)?;
    let placed = models.arrange(|chosen| {
        free(chosen)?;
        let place = Some(name);
        Ok(Places { shadow: place.clone(), trial: place, ..chosen.clone() })
    });
    // What found no place is forgotten as well.
    models.sweep()?;
    placed
}

/// A shadow that a person chose stays.
fn free(chosen: &Places) -> Result<(), ModelsError> {
    chosen.shadow.clone().map_or(Ok(()), |other| Err(ModelsError::ShadowTaken(other)))
}

/// Puts a candidate in use, and the one before it in the shadow.
pub(super) fn promote(models: &Models, candidate: Candidate) -> Result<(), ModelsError> {
    models.arrange(|chosen| {
        let used = on_trial(chosen, candidate)?;
        Ok(Places { used, shadow: Some(chosen.used.clone()), ..chosen.clone() })
    })
}

/// Ends the comparison, and forgets candidates that have no place.
pub(super) fn confirm(models: &Models, candidate: Candidate) -> Result<(), ModelsError> {
    models.arrange(|chosen| {
        on_trial(chosen, candidate)?;
        Ok(Places { shadow: chosen.persons_shadow(), trial: None, ..chosen.clone() })
    })?;
    models.sweep()
}

/// Ends the trial of whatever candidate there is: out of the shadow, or out of use again.
pub(super) fn end_trial(models: &Models) -> Result<(), ModelsError> {
    let Some(candidate) = models.chosen().trial else { return models.sweep() };
    let back = |before: &str| {
        models.arrange(|chosen| {
            if chosen.trial.as_ref() != Some(&candidate) {
                return Err(ModelsError::Overtaken);
            }
            let used = if chosen.used == candidate { before.to_owned() } else { chosen.used.clone() };
            let shadow = chosen.persons_shadow().filter(|shadow| *shadow != used);
            Ok(Places { used, shadow, trial: None, ..chosen.clone() })
        })
    };
    let before = models.chosen().previous.unwrap_or_else(|| BUILT_IN.to_owned());
    // What was in use before may be lost, or believed no more.
    back(&before).or_else(|why| if before == BUILT_IN { Err(why) } else { back(BUILT_IN) })?;
    models.sweep()
}

/// Whether a candidate is where learning has put it, and is compared with whom it should be.
pub(super) fn is_in_place(
    models: &Models,
    (in_shadow, in_use): (Option<Candidate>, Option<Candidate>),
) -> bool {
    let (chosen, judging) = (models.chosen(), models.names());
    let places = match (in_shadow, in_use) {
        (None, None) => return chosen.trial.is_none(),
        (Some(candidate), _) => (Some(chosen.used.clone()), Some(candidate.to_string())),
        (None, Some(candidate)) => (Some(candidate.to_string()), chosen.previous.clone()),
    };
    let candidate = in_shadow.or(in_use).map(|candidate| candidate.to_string());
    chosen.trial == candidate && judging == places && chosen.shadow == places.1
}

/// The candidate's name, where nobody chose otherwise meanwhile.
fn on_trial(chosen: &Places, candidate: Candidate) -> Result<String, ModelsError> {
    chosen.trial.clone().filter(|name| *name == candidate.to_string()).ok_or(ModelsError::Overtaken)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use smartfw_learn::{
        ModelFile, ModelKey,
        fixture::{card, model},
    };
    use smartfw_proto::view::ModelHead;

    use super::{super::testing, *};

    struct Place {
        models: Models,
        _dir: tempfile::TempDir,
    }

    fn place() -> Place {
        let dir = tempfile::tempdir().unwrap();
        Place { models: testing::models(dir.path(), Arc::default()), _dir: dir }
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
        confirm(&models, Candidate(1)).unwrap();
        for next in 2..5 {
            shadow(&models, &made(next)).unwrap();
            promote(&models, Candidate(next)).unwrap();
            confirm(&models, Candidate(next)).unwrap();
        }
        assert_eq!(names(&models), (Some("learned-4".to_owned()), None));
        assert_eq!(kept(&models), [BUILT_IN, "learned-3", "learned-4"]);
    }

    #[test]
    fn a_candidate_that_is_rolled_back_or_withdrawn_judges_no_more() {
        let Place { models, _dir } = place();
        shadow(&models, &made(1)).unwrap();
        end_trial(&models).unwrap();
        assert_eq!((names(&models), kept(&models)), ((Some(BUILT_IN.into()), None), vec![BUILT_IN.into()]));
        shadow(&models, &made(2)).unwrap();
        promote(&models, Candidate(2)).unwrap();
        end_trial(&models).unwrap();
        assert_eq!(names(&models), (Some(BUILT_IN.to_owned()), None));
    }

    #[test]
    fn a_shadow_that_a_person_chose_is_left_alone() {
        let Place { models, _dir } = place();
        models.put(&models.sign(&model(), &card("lab")).unwrap()).unwrap();
        models.shadow(Some("lab")).unwrap();
        assert!(matches!(shadow(&models, &made(1)), Err(ModelsError::ShadowTaken(lab)) if lab == "lab"));
        assert_eq!(names(&models), some(BUILT_IN, "lab"));

        models.shadow(None).unwrap();
        shadow(&models, &made(1)).unwrap();
        models.shadow(Some("lab")).unwrap();
        end_trial(&models).unwrap();
        assert_eq!(names(&models), some(BUILT_IN, "lab"), "a withdrawal does not take it");
        models.shadow(None).unwrap();

        for end in [end_trial, |models: &Models| confirm(models, Candidate(2))] {
            models.use_(BUILT_IN).unwrap();
            models.shadow(None).unwrap();
            shadow(&models, &made(2)).unwrap();
            promote(&models, Candidate(2)).unwrap();
            models.shadow(Some("lab")).unwrap();
            end(&models).unwrap();
            assert_eq!(names(&models).1.as_deref(), Some("lab"));
            assert_ne!(names(&models).0.as_deref(), Some("lab"), "it never gets a say by itself");
        }
    }

    #[test]
    fn a_choice_that_a_person_makes_during_a_training_stands() {
        let Place { models, _dir } = place();
        models.put(&models.sign(&model(), &card("lab")).unwrap()).unwrap();
        models.use_("lab").unwrap();
        assert!(matches!(shadow(&models, &made(1)), Err(ModelsError::Overtaken)));
        assert_eq!((names(&models), kept(&models).len()), ((Some("lab".into()), None), 2));

        models.use_(BUILT_IN).unwrap();
        shadow(&models, &made(1)).unwrap();
        models.use_("lab").unwrap();
        assert!(matches!(promote(&models, Candidate(1)), Err(ModelsError::Overtaken)));
        assert_eq!(names(&models), (Some("lab".into()), None));
    }

    #[test]
    fn a_stranger_s_model_is_a_person_s_whatever_its_name() {
        let Place { models, _dir } = place();
        let file = ModelFile::write(&model(), &card("learned-0"), &ModelKey::generate().unwrap()).unwrap();
        models.import(&file, ModelHead { name: None, trust: Some(file.signer().0) }).unwrap();
        shadow(&models, &made(1)).unwrap();
        end_trial(&models).unwrap();
        assert_eq!(kept(&models), [BUILT_IN, "learned-0"], "it is not forgotten");
        assert!(models.may_replace());
        models.use_("learned-0").unwrap();
        assert!(!models.may_replace());
        models.put(&models.sign(&model(), &card("lab")).unwrap()).unwrap();
        models.use_("lab").unwrap();
        assert!(!models.may_replace(), "what a person named is theirs, too");
    }

    #[test]
    fn where_a_choice_cannot_be_stored_neither_place_changes() {
        let Place { models, _dir: dir } = place();
        shadow(&models, &made(1)).unwrap();
        std::fs::create_dir(dir.path().join("models/state.json.new")).unwrap();
        assert!(matches!(promote(&models, Candidate(1)), Err(ModelsError::Io { .. })));
        assert_eq!(names(&models), some(BUILT_IN, "learned-1"));
        std::fs::remove_dir(dir.path().join("models/state.json.new")).unwrap();
        promote(&models, Candidate(1)).unwrap();
        assert_eq!(names(&models), some("learned-1", BUILT_IN));
    }
}
