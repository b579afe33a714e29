//! What a model answers, and what it refuses to be.

use alloc::{borrow::ToOwned, format, string::String, vec, vec::Vec};

use proptest::prelude::*;

use super::*;
use crate::Features;

/// One tree: few ports are benign, many are a scan; and one with an opinion of its own.
fn forest() -> ForestParts {
    let split =
        |feature, threshold, left| Node::split(Split { feature, threshold, missing_right: true, left });
    ForestParts {
        features: NAMES.map(str::to_owned).to_vec(),
        classes: vec![BENIGN.into(), "port_scan".into()],
        roots: vec![0, 3],
        nodes: vec![split(6, 10.0, 1), Node::leaf(0.0), Node::leaf(0.0), Node::leaf(0.0)],
        shares: vec![32_768, 32_767, 65_535, 0, 0, 65_535, 49_151, 16_384],
        calibration: Calibration::default(),
    }
}

fn isolation() -> IsolationParts {
    let split = Node::split(Split { feature: 6, threshold: 100.0, missing_right: false, left: 1 });
    IsolationParts {
        features: NAMES.map(str::to_owned).to_vec(),
        roots: vec![0],
        nodes: vec![split, Node::leaf(10.0), Node::leaf(1.0)],
        mean_path: 10.0,
        threshold: 0.6,
        typical: vec![0.0; NAMES.len()],
    }
}

fn model() -> Model {
    Model::new(Forest::new(forest()).unwrap(), IsolationForest::new(isolation()).unwrap()).unwrap()
}

fn row(ports: f32) -> [f32; NAMES.len()] {
    let mut row = [0.0; NAMES.len()];
    row[6] = ports;
    row
}

fn scan(forest: &Forest, row: &[f32]) -> f32 {
    let mut out = [0.0; 2];
    forest.probabilities(row, &mut out);
    out[1]
}

#[test]
fn a_forest_answers_with_the_mean_of_its_trees() {
    let forest = Forest::new(forest()).unwrap();
    assert!((scan(&forest, &row(9.0)) - 0.125).abs() < 1e-3);
    assert!((scan(&forest, &row(10.0)) - 0.625).abs() < 1e-3, "the threshold itself goes right");
    assert!((scan(&forest, &row(f32::NAN)) - 0.625).abs() < 1e-3, "what is missing goes where most went");
    assert!((scan(&forest, &row(f32::INFINITY)) - 0.625).abs() < 1e-3);
}

#[test]
fn what_a_row_lacks_is_missing_and_what_it_has_too_much_is_not_looked_at() {
    let (forest, benign) = (Forest::new(forest()).unwrap(), row(9.0));
    assert!((scan(&forest, &benign[..6]) - scan(&forest, &row(f32::NAN))).abs() < f32::EPSILON);
    for surplus in 1..=NAMES.len() + 3 {
        let long: Vec<f32> = benign.into_iter().chain(core::iter::repeat_n(f32::NAN, surplus)).collect();
        assert!((scan(&forest, &long) - scan(&forest, &benign)).abs() < f32::EPSILON);
    }
}

#[test]
fn a_batch_answers_as_its_rows_do_alone() {
    let forest = Forest::new(forest()).unwrap();
    // Some groups of rows that go side by side, with and without missing values, and a rest.
    for missing in [f32::NAN, 5.0] {
        let rows: Vec<f32> = (0..50).flat_map(|n| row(if n % 7 == 0 { missing } else { n as f32 })).collect();
        let mut out = [0.0; 100];
        forest.batch(&rows, &mut out);
        for (row, out) in rows.chunks_exact(NAMES.len()).zip(out.chunks_exact(2)) {
            assert!((scan(&forest, row) - out[1]).abs() < f32::EPSILON);
        }
    }
}

/// As many features as windows have, as few as there can be, or as many as there is room for.
fn width() -> impl Strategy<Value = usize> {
    prop_oneof![2 => Just(NAMES.len()), 1 => Just(1), 2 => Just(node::MAX_FEATURES)]
}

/// Trees of any shape: each number makes a split of some leaf.
fn trees(width: usize) -> impl Strategy<Value = (Vec<u32>, Vec<Node>)> {
    // The last feature is packed most tightly.
    let feature = prop_oneof![3 => 0..width as u8, 1 => Just(width as u8 - 1)];
    let split = (any::<prop::sample::Index>(), feature, -3..4_i8, any::<bool>());
    prop::collection::vec(prop::collection::vec(split, 0..12), 1..30).prop_map(|trees| {
        let (mut roots, mut nodes) = (Vec::new(), Vec::new());
        for splits in trees {
            roots.push(nodes.len() as u32);
            let mut leaves = vec![nodes.len()];
            nodes.push(Node::leaf(1.0));
            for (which, feature, threshold, missing_right) in splits {
                let at = leaves.swap_remove(which.index(leaves.len()));
                let left = nodes.len();
                let threshold = threshold.into();
                nodes[at] = Node::split(Split { feature, threshold, missing_right, left: left as u32 });
                nodes.extend([Node::leaf(left as f32), Node::leaf(left as f32 + 1.0)]);
                leaves.extend([left, left + 1]);
            }
        }
        (roots, nodes)
    })
}

fn rows(width: usize) -> impl Strategy<Value = Vec<f32>> {
    let value = prop_oneof![
        6 => (-3..4_i8).prop_map(f32::from),
        1 => Just(f32::NAN),
        1 => Just(f32::INFINITY),
        1 => Just(f32::NEG_INFINITY),
    ];
    (1..40_usize).prop_flat_map(move |rows| prop::collection::vec(value.clone(), rows * width))
}

fn leaf(nodes: &[Node], root: u32, row: &[f32]) -> usize {
    let mut at = root as usize;
    while let Some(next) = nodes[at].next(row) {
        at = next;
    }
    at
}

proptest! {
    #[test]
    fn whoever_walks_abreast_arrives_where_he_would_alone(
        (width, (roots, nodes), rows) in width().prop_flat_map(|width| (Just(width), trees(width), rows(width))),
        classes in 2..20_usize,
    ) {
        let features: Vec<String> = (0..width).map(|feature| format!("feature {feature}")).collect();
        // Each leaf is sure of a class of its own, as far as there are classes.
        let shares = (0..nodes.len()).flat_map(|node| (0..classes).map(move |class| if node % classes == class { u16::MAX } else { 0 }));
        let parts = ForestParts {
            features: features.clone(),
            classes: (0..classes).map(|class| format!("class {class}")).collect(),
            roots: roots.clone(),
            nodes: nodes.clone(),
            shares: shares.collect(),
            ..forest()
        };
        let forest = Forest::new(parts).unwrap();
        let parts = IsolationParts { features, roots: roots.clone(), nodes: nodes.clone(), typical: vec![0.0; width], ..isolation() };
        let isolation = IsolationForest::new(parts).unwrap();
        let mut batch = vec![0.0; rows.len() / width * classes];
        forest.batch(&rows, &mut batch);
        for (row, batch) in rows.chunks_exact(width).zip(batch.chunks_exact(classes)) {
            let leaves: Vec<usize> = roots.iter().map(|root| leaf(&nodes, *root, row)).collect();
            let (mut alone, mut mean) = (vec![0.0; classes], vec![0.0; classes]);
            forest.probabilities(row, &mut alone);
            leaves.iter().for_each(|leaf| mean[leaf % classes] += 1.0 / roots.len() as f32);
            for (alone, (batch, mean)) in alone.iter().zip(batch.iter().zip(&mean)) {
                prop_assert!((alone - mean).abs() < 1e-4 && (batch - mean).abs() < 1e-4);
            }
            let length = leaves.iter().map(|leaf| nodes[*leaf].value()).sum::<f32>() / roots.len() as f32;
            prop_assert!((isolation.score(row) - libm::exp2f(-length / 10.0)).abs() < 1e-4);
        }
    }
}

#[test]
fn contributions_add_up_to_what_was_learned_by_looking() {
    let forest = Forest::new(forest()).unwrap();
    let moved = forest.contributions(&row(50.0), 1);
    assert!((moved[6] - 0.25).abs() < 1e-3, "half of the first of two trees: {moved:?}");
    assert!(moved.iter().enumerate().all(|(feature, moved)| feature == 6 || *moved == 0.0));
}

#[test]
fn a_calibration_is_straight_between_its_points_and_flat_outside() {
    let curve = |at: &[f32], value: &[f32]| Curve { at: at.to_vec(), value: value.to_vec() };
    let calibration =
        Calibration { curves: vec![curve(&[0.0, 1.0], &[0.0, 1.0]), curve(&[0.2, 0.6], &[0.0, 0.2])] };
    let forest = Forest::new(ForestParts { calibration, ..forest() }).unwrap();
    // Means of .375 and .625: the second is beyond its curve's end, .2; together .575.
    assert!((scan(&forest, &row(50.0)) - 0.2 / 0.575).abs() < 1e-3);
    // Means of .875 and .125: the second is before its curve's beginning.
    assert!(scan(&forest, &row(0.0)).abs() < f32::EPSILON);
}

#[test]
fn what_stands_apart_is_strange_and_the_reason_is_named() {
    let isolation = IsolationForest::new(isolation()).unwrap();
    assert!((isolation.score(&row(5.0)) - 0.5).abs() < 1e-6, "the mean path");
    assert!((isolation.score(&row(500.0)) - 0.933).abs() < 1e-3, "2^-0.1");
    let falls = isolation.contributions(&row(500.0));
    assert!((falls[6] - 0.433).abs() < 1e-3 && falls[0] == 0.0, "{falls:?}");
}

#[test]
fn a_row_that_is_too_short_is_strange_for_what_it_lacks() {
    let split = Node::split(Split { feature: 6, threshold: 100.0, missing_right: true, left: 1 });
    let nodes = vec![split, Node::leaf(10.0), Node::leaf(1.0)];
    let isolation = IsolationForest::new(IsolationParts { nodes, ..isolation() }).unwrap();
    let falls = isolation.contributions(&row(5.0)[..6]);
    assert_eq!(falls.len(), NAMES.len());
    assert!((falls[6] - 0.433).abs() < 1e-3 && falls[0] == 0.0, "{falls:?}");
    let long: Vec<f32> = row(500.0).into_iter().chain([1.0, 2.0]).collect();
    assert_eq!(isolation.contributions(&long), isolation.contributions(&row(500.0)));
}

#[test]
fn an_opinion_is_the_most_probable_class_and_how_strange_the_window_is() {
    let opinion = model().judge(&Features::from_array(row(500.0)));
    assert_eq!(opinion.class, Some(Class::PortScan));
    assert!(
        (opinion.probability - 0.625).abs() < 1e-3 && (opinion.anomaly - 0.933).abs() < 1e-3,
        "{opinion:?}"
    );
    assert!(model().is_strange(&opinion));
    let opinion = model().judge(&Features::from_array(row(1.0)));
    assert_eq!((opinion.class, model().is_strange(&opinion)), (None, false));
    assert!((opinion.probability - 0.875).abs() < 1e-3, "{opinion:?}");
}

#[test]
fn a_model_outlives_its_encoding() {
    let bytes = model().encode();
    assert_eq!(Model::decode(&bytes), Ok(model()));
    assert_eq!(Model::decode(&bytes).unwrap().classes(), [None, Some(Class::PortScan)]);
}

/// What makes a forest of another.
type Change<'a> = &'a dyn Fn(&mut ForestParts);

#[test]
fn what_does_not_fit_is_refused_with_its_reason() {
    let bytes = model().encode();
    assert_eq!(Model::decode(&[]), Err(ModelError::Truncated));
    for length in 0..bytes.len() {
        assert!(Model::decode(&bytes[..length]).is_err(), "{length} bytes");
    }
    assert_eq!(Model::decode(&[bytes.as_slice(), &[0]].concat()), Err(ModelError::Surplus));
    assert_eq!(Model::decode(&[&[2], &bytes[1..]].concat()), Err(ModelError::Format(2)));
    assert_eq!(Model::decode(&[&bytes[..1], &[9], &bytes[2..]].concat()), Err(ModelError::Schema(9)));
    assert_eq!(Model::decode(&vec![0; MAX_BYTES + 1]), Err(ModelError::TooLarge));
    let other = |change: Change<'_>| {
        let mut parts = forest();
        change(&mut parts);
        let isolation = IsolationForest::new(isolation()).unwrap();
        Forest::new(parts).and_then(|forest| Model::new(forest, isolation)).map(|_| ())
    };
    let point = |feature, left| Node::split(Split { feature, threshold: 1.0, missing_right: false, left });
    let refused: [(&str, Change<'_>, ModelError); 13] = [
        ("features in another order", &|p| p.features.swap(0, 1), ModelError::Features),
        ("no benign", &|p| p.classes[0] = "slow_dos".into(), ModelError::Class),
        ("a class that is no attack", &|p| p.classes[1] = "manual".into(), ModelError::Class),
        ("an unknown class", &|p| p.classes[1] = "weather".into(), ModelError::Class),
        ("a class twice", &|p| p.classes[1] = BENIGN.into(), ModelError::Class),
        ("no tree", &|p| p.roots.clear(), ModelError::Size),
        ("shares are missing", &|p| p.shares.truncate(6), ModelError::Size),
        ("a circle", &|p| p.nodes[0] = point(6, 0), ModelError::Node),
        ("a child outside", &|p| p.nodes[0] = point(6, 3), ModelError::Node),
        ("a feature that is none", &|p| p.nodes[0] = point(NAMES.len() as u8, 1), ModelError::Node),
        ("a root outside", &|p| p.roots[0] = 4, ModelError::Node),
        ("a threshold that is none", &|p| p.nodes[1] = Node::leaf(f32::NAN), ModelError::Number),
        ("shares of more than all", &|p| p.shares[0] = 65_535, ModelError::Number),
    ];
    for (what, change, error) in refused {
        assert_eq!(other(change), Err(error), "{what}");
    }
    let falling = Curve { at: vec![0.0, 1.0], value: vec![1.0, 0.0] };
    let calibration = Calibration { curves: vec![falling.clone(), falling] };
    assert_eq!(other(&|p| p.calibration = calibration.clone()), Err(ModelError::Number));
}

/// What every model begins with.
fn beginning() -> Vec<u8> {
    postcard::to_allocvec(&(FORMAT, SCHEMA)).unwrap()
}

#[test]
fn millions_of_empty_names_or_curves_are_refused_before_they_take_memory() {
    const MILLIONS: u32 = 10_000_000;
    let empty = vec![0; 2 * MILLIONS as usize];
    let ForestParts { features, classes, roots, nodes, shares, .. } = forest();
    let many: [&[u8]; 3] = [
        &postcard::to_allocvec(&MILLIONS).unwrap(),
        &postcard::to_allocvec(&(&features, MILLIONS)).unwrap(),
        &postcard::to_allocvec(&(&features, &classes, roots, nodes, shares, MILLIONS)).unwrap(),
    ];
    for before in many {
        let bytes = [beginning().as_slice(), before, &empty].concat();
        assert_eq!(Model::decode(&bytes), Err(ModelError::Size));
    }
}

proptest! {
    #[test]
    fn hostile_bytes_make_no_model_that_panics(mut bytes in proptest::collection::vec(any::<u8>(), 0..2048), at in any::<usize>(), to in any::<u8>()) {
        let _ = Model::decode(&bytes);
        let _ = Model::decode(&[beginning().as_slice(), &bytes].concat());
        bytes = model().encode();
        let at = at % bytes.len();
        bytes[at] = to;
        if let Ok(model) = Model::decode(&bytes) {
            let mut out = vec![0.0; model.forest().classes().len()];
            for row in [row(0.0), row(f32::NAN), [f32::INFINITY; NAMES.len()]] {
                model.forest().probabilities(&row, &mut out);
                prop_assert!(out.iter().all(|p| (0.0..=1.0).contains(p)));
                prop_assert!(model.isolation().score(&row).is_finite());
            }
        }
    }
}

#[test]
fn names_are_text() {
    // A name that is not UTF-8 ends the reading like every other damage.
    let mut bytes = model().encode();
    let at = bytes.windows(7).position(|seven| seven == b"packets").unwrap();
    bytes[at] = 0xff;
    assert_eq!(Model::decode(&bytes), Err(ModelError::Truncated));
    assert_eq!(String::from_utf8_lossy(&bytes[at + 1..at + 7]), "ackets");
}
