//! What calibration makes of probabilities.

use smartfw_core::model::{Forest, ForestParts, Node};

use super::*;
use crate::chance::Chance;

/// Rows of which the second class comes true less often than is said: with the square of what is said.
fn boasting(rows: usize) -> (Vec<f32>, Vec<u16>) {
    let mut chance = Chance::new(4);
    let mut labels = Vec::new();
    let said = (0..rows).flat_map(|_| {
        let said = chance.share();
        labels.push(u16::from(chance.share() < said * said));
        [1.0 - said as f32, said as f32]
    });
    (said.collect(), labels)
}

#[test]
fn a_curve_learns_what_comes_true() {
    let (said, labels) = boasting(20_000);
    let calibration = calibrate(&said, &labels, &vec![1.0; labels.len()], 2);
    let curve = &calibration.curves[1];
    assert!(curve.at.len() <= MAX_POINTS);
    for (at, value) in curve.at.iter().zip(&curve.value) {
        assert!((at * at - value).abs() < 0.08, "{at} {value}");
    }
    // The core takes it.
    let parts = ForestParts {
        features: vec!["x".into()],
        classes: vec!["a".into(), "b".into()],
        roots: vec![0],
        nodes: vec![Node::leaf(0.0)],
        shares: vec![32_768, 32_767],
        calibration,
    };
    let mut out = [0.0; 2];
    Forest::new(parts).unwrap().probabilities(&[0.0], &mut out);
    assert!((out[1] - 0.25).abs() < 0.05, "{out:?}");
}

#[test]
fn what_falls_is_pooled_and_ties_are_one_point() {
    let said = [0.1, 0.2, 0.2, 0.3, 0.9].map(|p| [1.0 - p, p]).concat();
    let calibration = calibrate(&said, &[0, 1, 1, 0, 1], &[1.0; 5], 2);
    let Curve { at, value } = &calibration.curves[1];
    assert_eq!(at.len(), 3, "{at:?}");
    assert!((value[1] - 2.0 / 3.0).abs() < 1e-6 && (at[1] - 0.7 / 3.0).abs() < 1e-6, "{at:?} {value:?}");
    assert_eq!((value[0], value[2]), (0.0, 1.0));
}

#[test]
fn reliability_is_what_its_formula_says() {
    // Says .8 twice and is right once; says .6 once and is right.
    let said = [0.8, 0.2, 0.8, 0.2, 0.4, 0.6];
    let Reliability { bins, ece, brier } = reliability(&said, &[0, 1, 1], 2);
    assert_eq!((bins[8].rows, bins[6].rows), (2, 1));
    assert!((bins[8].right - 0.5).abs() < 1e-9 && (bins[8].said - 0.8).abs() < 1e-6);
    assert!((ece - (2.0 * 0.3 + 0.4) / 3.0).abs() < 1e-6, "{ece}");
    assert!((brier - (0.08 + 1.28 + 0.32) / 3.0).abs() < 1e-6, "{brier}");
    assert_eq!(reliability(&[], &[], 2).ece, 0.0);
}
