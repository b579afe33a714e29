//! What a forest learns.

use smartfw_core::model::Forest;

use super::*;
use crate::{calibrate::highest, samples};

fn options(trees: usize) -> ForestOptions {
    ForestOptions { trees, ..ForestOptions::default() }
}

fn grown(table: &Table, options: &ForestOptions) -> Forest {
    Forest::new(grow(table, options, 1, &mut |_| ()).parts).unwrap()
}

fn said(forest: &Forest, row: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; forest.classes().len()];
    forest.probabilities(row, &mut out);
    out
}

fn right(forest: &Forest, table: &Table) -> f64 {
    let named = |row: usize| &forest.classes()[highest(&said(forest, table.values_of(row)))];
    let right = (0..table.len()).filter(|row| named(*row) == table.class().name_of(*row));
    right.count() as f64 / table.len() as f64
}

/// Two features of which neither says anything alone, and one of noise.
fn xor(rows: usize, seed: u64) -> Table {
    let mut chance = Chance::new(seed);
    let row = |_| {
        let [x, y, z] = [0; 3].map(|_| chance.share() as f32 - 0.5);
        (vec![x, y, z], if (x > 0.0) == (y > 0.0) { "same" } else { "other" })
    };
    samples::rows(3, (0..rows).map(row))
}

#[test]
fn what_only_two_features_together_tell_is_learned() {
    let forest = grown(&xor(4000, 1), &options(30));
    let right = right(&forest, &xor(2000, 2));
    assert!(right > 0.97, "{right}");
}

#[test]
fn that_a_value_is_missing_is_learned_also_where_it_is_all_there_is_to_learn() {
    for known in [vec![1.0], vec![f32::MIN, -1.0, 7.0, f32::MAX]] {
        let row = |n: usize| {
            let (value, class) =
                if n.is_multiple_of(2) { (known[n / 2 % known.len()], "benign") } else { (f32::NAN, "odd") };
            (vec![value], class)
        };
        let table = samples::rows(1, (0..200).map(row));
        let forest = grown(&table, &options(10));
        assert!((right(&forest, &table) - 1.0).abs() < f64::EPSILON, "{known:?}");
        let said = said(&forest, &[f32::INFINITY]);
        assert!(said[0] > said[1], "what is large is known: {said:?}");
    }
}

#[test]
fn tied_whole_numbers_in_any_order_are_told_apart() {
    let rows = |turn: usize| {
        let row = move |n: usize| {
            let n = (n + turn * 7) % 400;
            (vec![(n % 4) as f32, (n % 3) as f32], if n % 4 == 2 { "two" } else { "other" })
        };
        samples::rows(2, (0..400).map(row))
    };
    for turn in 0..5 {
        let forest = grown(&rows(turn), &options(10));
        assert!((right(&forest, &rows(0)) - 1.0).abs() < f64::EPSILON, "turn {turn}");
    }
}

#[test]
fn a_feature_of_tiny_values_is_cut_like_any_other() {
    let row = |n: usize| (vec![n as f32 * 1e-30], if n < 50 { "low" } else { "high" });
    let table = samples::rows(1, (0..100).map(row));
    assert!(right(&grown(&table, &options(20)), &table) > 0.98);
}

#[test]
fn that_a_value_is_missing_may_be_what_tells() {
    let mut chance = Chance::new(3);
    let row = |n: usize| {
        let value = if n.is_multiple_of(3) { f32::NAN } else { chance.share() as f32 };
        (vec![value, 1.0], if n.is_multiple_of(3) || value > 0.8 { "attack" } else { "benign" })
    };
    let table = samples::rows(2, (0..3000).map(row));
    let forest = grown(&table, &options(20));
    assert!(right(&forest, &table) > 0.99, "{}", right(&forest, &table));
    assert_eq!(highest(&said(&forest, &[f32::NAN, 1.0])), 0);
}

#[test]
fn what_was_never_missing_goes_where_most_rows_went() {
    let row = |n: usize| (vec![n as f32], if n < 90 { "often" } else { "rarely" });
    let forest = grown(&samples::rows(1, (0..100).map(row)), &options(50));
    let often = said(&forest, &[f32::NAN])[0];
    assert!(often > 0.9, "{often}");
    assert!(said(&forest, &[f32::INFINITY])[1] > 0.9);
    assert!(said(&forest, &[f32::NEG_INFINITY])[0] > 0.9);
}

#[test]
fn leaves_and_paths_keep_their_bounds() {
    let table = samples::windows(2000, 1.5, 1);
    let small = ForestOptions { min_leaf: 50, max_depth: 3, ..options(5) };
    let parts = grow(&table, &small, 1, &mut |_| ()).parts;
    assert!(parts.nodes.len() <= 5 * 15, "{}", parts.nodes.len());
    let deep = ForestOptions { max_depth: usize::MAX, trees: 0, ..options(0) };
    let parts = grow(&table, &deep, 1, &mut |_| ()).parts;
    assert_eq!(parts.roots.len(), 1, "no forest is without a tree");
    assert!(depth(&parts, 0) <= ForestOptions::MAX_DEPTH, "{}", depth(&parts, 0));
}

fn depth(parts: &ForestParts, node: usize) -> usize {
    parts.nodes[node].as_split().map_or(0, |split| {
        let left = split.left as usize;
        1 + depth(parts, left).max(depth(parts, left + 1))
    })
}

#[test]
fn a_rare_class_counts_as_much_as_a_common_one_when_asked_to() {
    let mut chance = Chance::new(1);
    // Among the rows above .5 every fifth is rare.
    let row = |n: usize| {
        let x = chance.share() as f32;
        (vec![x], if x > 0.5 && n.is_multiple_of(5) { "rare" } else { "common" })
    };
    let table = samples::rows(1, (0..5000).map(row));
    let rare = table.class().find("rare").map(usize::from).unwrap();
    let of = |class_weights| {
        let options = ForestOptions { class_weights, min_leaf: 200, ..options(30) };
        said(&grown(&table, &options), &[0.75])[rare]
    };
    let (even, balanced) = (of(ClassWeights::Even), of(ClassWeights::Balanced));
    assert!((0.1..0.3).contains(&even), "{even}");
    assert!(balanced > 0.5, "{balanced}");
}

#[test]
fn weights_of_rows_count_like_rows() {
    let row = |n: usize| (vec![0.0, n as f32], if n.is_multiple_of(2) { "a" } else { "b" });
    let mut table = samples::rows(2, (0..200).map(row));
    let first = table.clone();
    let heavy = crate::table::Row { weight: 800.0, ..first.row(0) };
    table.push(heavy).unwrap();
    let even = ForestOptions { class_weights: ClassWeights::Even, max_depth: 0, ..options(200) };
    let share = said(&grown(&table, &even), &[0.0, 0.0])[0];
    assert!(share > 0.6, "{share}");
}

#[test]
fn rows_are_only_asked_of_trees_that_did_not_see_them() {
    // Labels without any reason: whoever saw a row knows it, others cannot.
    let mut chance = Chance::new(9);
    let row = |_| {
        let values = [0; 5].map(|_| chance.share() as f32).to_vec();
        (values, if chance.below(2) == 0 { "heads" } else { "tails" })
    };
    let table = samples::rows(5, (0..1000).map(row));
    let grown = grow(&table, &options(60), 1, &mut |_| ());
    let said = grown.out_of_bag(&table);
    assert_eq!(said.rows.len(), 1000);
    let right = said.rows.iter().zip(said.probabilities.chunks_exact(2));
    let right = right.filter(|(row, said)| highest(said) == usize::from(table.class().of()[**row])).count();
    assert!((420..580).contains(&right), "{right}");
}
