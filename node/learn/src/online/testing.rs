//! A small model and its figures, for tests.

use std::sync::Arc;

use smartfw_core::{
    Class,
    features::NAMES,
    model::{Calibration, Forest, ForestParts, IsolationForest, IsolationParts, Model, Node, Split},
};

use super::{
    Exam,
    scores::{Scores, Share},
};

/// A model of one split: from `flood` packets a second on it is a flood, and strange.
pub(super) fn model(flood: f32) -> Arc<Model> {
    model_of(flood, flood)
}

/// The same, strange from `strange` packets a second on.
pub(super) fn model_of(flood: f32, strange: f32) -> Arc<Model> {
    let features: Vec<String> = NAMES.iter().map(ToString::to_string).collect();
    let split = |threshold| Node::split(Split { feature: 0, threshold, missing_right: false, left: 1 });
    let forest = Forest::new(ForestParts {
        features: features.clone(),
        classes: vec!["benign".into(), "net_flood".into()],
        roots: vec![0],
        nodes: vec![split(flood), Node::leaf(0.0), Node::leaf(0.0)],
        shares: vec![32_768, 32_767, u16::MAX, 0, 0, u16::MAX],
        calibration: Calibration::default(),
    });
    let isolation = IsolationForest::new(IsolationParts {
        typical: vec![0.0; features.len()],
        features,
        roots: vec![0],
        nodes: vec![split(strange), Node::leaf(10.0), Node::leaf(1.0)],
        mean_path: 10.0,
        threshold: 0.6,
    });
    Arc::new(Model::new(forest.unwrap(), isolation.unwrap()).unwrap())
}

/// The figures of a good model.
pub(super) fn scores() -> Scores {
    let of = |share| Share { share, rows: 1_000_000 };
    Scores {
        macro_f1: 0.95,
        recall: [(None, of(0.99)), (Some(Class::NetFlood), of(0.97))].into(),
        threshold: 0.6,
        strange_attacks: of(0.8),
        strange_benign: of(0.001),
    }
}

/// An exam in which the model and its twins have these figures.
pub(super) fn exam(scores: Scores) -> Exam {
    Exam { held_out: scores.clone(), all: scores }
}
