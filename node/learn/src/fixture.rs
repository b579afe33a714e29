//! A model for tests, made by hand.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use serde_json::json;
use smartfw_core::{
    features::NAMES,
    model::{Calibration, Forest, ForestParts, IsolationForest, IsolationParts, Model, Node, Split},
};

use crate::Card;

/// A model of one question: does the source ask for ten ports or more?
pub fn model() -> Model {
    let features: Vec<String> = NAMES.map(str::to_owned).to_vec();
    let split = Node::split(Split { feature: 6, threshold: 10.0, missing_right: false, left: 1 });
    let forest = ForestParts {
        features: features.clone(),
        classes: vec!["benign".into(), "port_scan".into()],
        roots: vec![0],
        nodes: vec![split, Node::leaf(0.0), Node::leaf(0.0)],
        shares: vec![32_768, 32_767, 65_535, 0, 0, 65_535],
        calibration: Calibration::default(),
    };
    let isolation = IsolationParts {
        features,
        roots: vec![0],
        nodes: vec![split, Node::leaf(10.0), Node::leaf(1.0)],
        mean_path: 10.0,
        threshold: 0.6,
        typical: vec![0.0; NAMES.len()],
    };
    Model::new(Forest::new(forest).unwrap(), IsolationForest::new(isolation).unwrap()).unwrap()
}

/// A card of this name.
pub fn card(name: &str) -> Card {
    let parameters = json!({"trainer": "forest", "seed": 1});
    Card { name: name.into(), parameters, trained_on: json!({"rows": 2}), ..Card::default() }
}
