//! A student in a folder, and a learner that has learned for a week, for tests.

use std::{path::Path, sync::Arc, time::Duration};

use smartfw_config::LearningSettings;
use smartfw_core::{Features, Time, verdict::Protocol};
use smartfw_learn::{
    ModelFile, ModelKey,
    fixture::{card, model},
    online::{Candidate, Effect, Exam, Learner, LearningConfig, Scores, Seen, Share, Shipped},
};

use super::Student;
use crate::{
    counters::Counters,
    detector::Feed,
    health::Health,
    inbox::{self, Inputs},
    models::Models,
};

/// An hour of this learner.
pub(super) const HOUR: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60);

/// The models of a folder. What comes with the program is signed by nobody that the node knows besides.
pub(super) fn models(dir: &Path, health: Arc<Health>) -> Models {
    let built_in = ModelFile::write(&model(), &card("shipped"), &ModelKey::generate().unwrap()).unwrap();
    let feed = Arc::new(Feed::new(Arc::<Counters>::default()));
    Models::open(dir, Some(built_in), Vec::new(), feed, health)
}

/// A student in a folder, and the driver's end of its inbox, which nobody reads.
pub(super) fn student(dir: &Path) -> (Student, Inputs) {
    let health = Arc::<Health>::default();
    let (inbox, inputs) = inbox::inbox(Arc::default());
    let student = Student {
        ear: Arc::default(),
        models: Arc::new(models(dir, health.clone())),
        board: Arc::default(),
        inbox,
        health,
        settings: LearningSettings::default(),
        path: dir.join("models").join("learner"),
    };
    (student, inputs)
}

/// What is wrong.
pub(super) fn wrong(health: &Health) -> Vec<String> {
    health.list().into_iter().map(|entry| entry.what).collect()
}

/// A benign window of a source of its own network.
pub(super) fn seen(source: u8) -> Seen {
    let features = Features { packets_per_second: 5.0, ..Features::default() };
    let service = (Protocol::Tcp, 80);
    Seen { source: [source, 1, 1, 1].into(), features, suspect: false, known: true, service }
}

pub(super) fn config() -> LearningConfig {
    LearningConfig { quarantine: HOUR, spacing: HOUR, day: DAY, shadow: DAY, ..LearningConfig::default() }
}

pub(super) fn shipped() -> Shipped {
    Shipped { model: Arc::new(model()), exam: exam() }
}

/// The figures of a good model.
pub(super) fn exam() -> Exam {
    let of = |share| Share { share, rows: 1000 };
    let scores = Scores {
        macro_f1: 0.95,
        recall: [(None, of(0.99))].into(),
        threshold: 0.6,
        strange_attacks: of(0.8),
        strange_benign: of(0.001),
    };
    Exam { held_out: scores.clone(), all: scores }
}

/// A learner after its first week, and the candidate that it wants trained.
pub(super) fn settled(mut now: Time) -> (Learner, Candidate, Time) {
    let mut learner = Learner::new(config(), shipped(), 7);
    let candidate = settle(&mut learner, &mut now);
    (learner, candidate, now)
}

/// Lets a learner learn for a week of its own, at most a real one, and gives the candidate that it wants trained.
pub(super) fn settle(learner: &mut Learner, now: &mut Time) -> Candidate {
    for _ in 0..8 * 24 * 60 {
        (1..=10).for_each(|source| learner.handle_window(*now, &seen(source)));
        *now = now.after(HOUR);
        learner.handle_timeout(*now);
        if let Some(Effect::Train(lot)) = learner.poll_effect() {
            return lot.candidate;
        }
    }
    panic!("nothing is trained after a week: {}", learner.progress());
}
