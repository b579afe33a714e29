//! What an isolation forest calls strange.

use super::*;
use crate::samples;

fn ordinary(rows: usize, seed: u64) -> Table {
    let mut chance = Chance::new(seed);
    let row = |_| ((0..4).map(|_| samples::normal(&mut chance) * 10.0 + 50.0).collect(), "benign");
    samples::rows(4, (0..rows).map(row))
}

#[test]
fn what_stands_apart_is_strange_and_the_rest_is_not() {
    let forest = grow(&ordinary(4000, 1), &IsolationOptions::default(), 1).unwrap();
    let fresh = ordinary(4000, 2);
    let strange = (0..4000).filter(|row| forest.score(fresh.values_of(*row)) >= forest.threshold()).count();
    assert!(strange < 40, "{strange}");
    assert!(forest.score(&[500.0, 500.0, -300.0, 500.0]) >= forest.threshold());
    let reasons = forest.contributions(&[50.0, 50.0, 5000.0, 50.0]);
    assert!(reasons[2] > reasons[0] && reasons[2] > 0.05, "{reasons:?}");
}

#[test]
fn as_many_training_rows_as_told_are_ordinary() {
    let table = ordinary(2000, 1);
    for share in [0.9, 0.99, 1.0] {
        let options = IsolationOptions { ordinary: share, ..IsolationOptions::default() };
        let forest = grow(&table, &options, 1).unwrap();
        let below = (0..2000).filter(|row| forest.score(table.values_of(*row)) < forest.threshold()).count();
        assert!(below.abs_diff((2000.0 * share) as usize) <= 4, "{share}: {below}");
    }
}

#[test]
fn scores_are_about_one_half_for_what_is_like_the_rest() {
    let forest = grow(&ordinary(4000, 1), &IsolationOptions::default(), 1).unwrap();
    let score = forest.score(&[50.0; 4]);
    assert!((0.3..0.5).contains(&score), "{score}");
}

#[test]
fn missing_equal_and_extreme_values_are_no_trouble() {
    let values = [vec![f32::NAN, 1.0, f32::MAX], vec![2.0, 1.0, f32::MIN], vec![f32::NAN, 1.0, 0.0]];
    let table = samples::rows(3, values.into_iter().cycle().take(90).map(|values| (values, "benign")));
    let forest = grow(&table, &IsolationOptions::default(), 1).unwrap();
    assert!(forest.score(&[f32::NAN; 3]).is_finite());
    assert_eq!(forest.parts().typical[1], 1.0);
    let one = samples::rows(1, [(vec![1.0], "benign")]);
    assert!(grow(&one, &IsolationOptions::default(), 1).unwrap().score(&[7.0]).is_finite());
    let none = grow(&one.select(&[]), &IsolationOptions::default(), 1).unwrap();
    assert!(none.score(&[1.0]) >= none.threshold());
    assert!(grow(&Table::default(), &IsolationOptions::default(), 1).is_err());
}

#[test]
fn the_mean_path_is_the_papers() {
    assert_eq!([0, 1, 2].map(mean_path), [0.0, 0.0, 1.0]);
    assert!((mean_path(256) - 10.244).abs() < 1e-3, "{}", mean_path(256));
}
