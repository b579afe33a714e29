//! That linfa's trees become ours.

use smartfw_core::model::Forest;

use super::*;
use crate::{calibrate::highest, samples};

fn right(grown: Grown, table: &Table) -> f64 {
    let forest = Forest::new(grown.parts).unwrap();
    let mut out = vec![0.0; forest.classes().len()];
    let mut named = |row: usize| {
        forest.probabilities(table.values_of(row), &mut out);
        highest(&out) == usize::from(table.class().of()[row])
    };
    (0..table.len()).filter(|row| named(*row)).count() as f64 / table.len() as f64
}

#[test]
fn bagged_trees_of_linfa_tell_windows_apart() {
    let options = ForestOptions { trees: 20, ..ForestOptions::default() };
    let grown = grow(&samples::windows(2000, 0.3, 1), &options, 1, &mut |_| ()).unwrap();
    let right = right(grown, &samples::windows(2000, 0.3, 2));
    assert!(right > 0.97, "{right}");
}

#[test]
fn a_tree_of_tiny_and_of_missing_values_is_still_a_tree() {
    let row = |n: usize| {
        let value = if n < 100 { f32::NAN } else { n as f32 * 1e-20 };
        (vec![value], if (100..200).contains(&n) { "low" } else { "other" })
    };
    let table = samples::rows(1, (0..400).map(row));
    let right = right(grow_one(&table, &ForestOptions::default(), 1).unwrap(), &table);
    assert!(right > 0.97, "{right}");
}

#[test]
fn no_tree_is_grown_on_more_rows_than_it_may() {
    let table = samples::windows(20_000, 0.3, 1);
    let options = ForestOptions::default();
    let ground = Ground::new(&table, &options);
    let sample = ground.sample(&mut Chance::new(1));
    assert!(sample.len() <= MOST_ROWS + 3 * LEAST_OF_CLASS, "{}", sample.len());
}
