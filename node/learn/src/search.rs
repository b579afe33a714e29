//! Which options grow the best forest: some drawn by chance, each judged by cross-validation (Bergstra and Bengio 2012).

use serde::{Deserialize, Serialize};

use crate::{
    chance::Chance,
    folds::{self, Folds},
    forest::{ClassWeights, ForestOptions},
    table::Table,
    train::{TrainError, TrainOptions, ask, check, judge, with_threads},
};

/// Options that were tried, and how they did.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    /// The options.
    pub options: ForestOptions,
    /// The mean of the classes' F1, on rows that were not learned from.
    pub macro_f1: f64,
}

/// Tries `rounds` options, those given first, and returns all, the best first. The same seed tries the same; `tried` is
/// told each.
///
/// # Errors
/// [`TrainError`] when no forest can be grown on the table.
pub fn search(
    table: &Table,
    options: &TrainOptions,
    rounds: usize,
    tried: &mut (dyn FnMut(Tried) + Send),
) -> Result<Vec<Tried>, TrainError> {
    check(table)?;
    let (table, _) = table.clone().tidy();
    let folds = parted(&table, options);
    let mut chance = Chance::new(options.seed);
    let mut all = Vec::new();
    with_threads(options.threads, || {
        for round in 0..rounds.max(1) {
            let forest =
                if round == 0 { options.forest } else { drawn(&options.forest, &table, &mut chance) };
            let answers = ask(&table, &folds, &TrainOptions { forest, ..*options }, &mut |_| ())?;
            let one = Tried { options: forest, macro_f1: judge(&table, "", &answers).macro_f1 };
            tried(one);
            all.push(one);
        }
        // The sort keeps the order of equals: of two that do as well, the first tried.
        all.sort_by(|a, b| b.macro_f1.total_cmp(&a.macro_f1));
        Ok(all)
    })
}

/// Whole captures are left out where there are enough of them: options that learn runs by heart should not win. The model
/// is judged by fewer folds and another seed, and not by those that chose its options.
fn parted(table: &Table, options: &TrainOptions) -> Folds {
    let (count, seed) = (options.folds.max(2) + 1, !options.seed);
    if table.capture().names().len() >= 2 * count {
        folds::grouped(table.class(), table.capture(), count, seed)
    } else {
        folds::stratified(table.class(), count, seed)
    }
}

/// As many trees as before: more are never worse, only slower.
fn drawn(given: &ForestOptions, table: &Table, chance: &mut Chance) -> ForestOptions {
    let width = table.features().len();
    let least = width.isqrt().div_ceil(2);
    let most = (width / 2).max(least);
    ForestOptions {
        trees: given.trees,
        features_per_split: Some(least + chance.below(most - least + 1)),
        min_leaf: [1, 2, 3, 5, 8][chance.below(5)],
        max_depth: 8 + chance.below(ForestOptions::MAX_DEPTH - 7),
        class_weights: [ClassWeights::Even, ClassWeights::Balanced][chance.below(2)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn a_table_that_teaches_nothing_is_refused_before_anything_is_tried() {
        let search = |table: &Table| search(table, &TrainOptions::default(), 5, &mut |_| ());
        assert!(matches!(search(&Table::windows()), Err(TrainError::NoRows)));
        let one = samples::rows(1, [(vec![1.0], "benign"), (vec![2.0], "benign")]);
        assert!(matches!(search(&one), Err(TrainError::OneClass(class)) if class == "benign"));
    }

    #[test]
    fn the_folds_that_choose_are_not_those_that_judge() {
        let table = samples::windows(600, 0.5, 1);
        // Of whole captures, and of rows where there are too few captures.
        for count in [5, 15] {
            let options = TrainOptions { folds: count, ..TrainOptions::default() };
            let chosen_by = parted(&table, &options);
            let by_row = folds::stratified(table.class(), count, options.seed);
            let by_capture = folds::grouped(table.class(), table.capture(), count, options.seed);
            for judged_by in [by_row, by_capture] {
                let same = |fold| (0..=count).any(|other| chosen_by.part(other) == judged_by.part(fold));
                assert!(!(0..count).any(same), "{count} folds");
            }
        }
    }

    #[test]
    fn the_best_comes_first_and_the_same_seed_tries_the_same() {
        let table = samples::windows(600, 0.5, 1);
        let poor = ForestOptions { trees: 5, max_depth: 1, min_leaf: 100, ..ForestOptions::default() };
        let options = TrainOptions { forest: poor, folds: 3, ..TrainOptions::default() };
        let mut seen = Vec::new();
        let found = search(&table, &options, 5, &mut |tried| seen.push(tried)).unwrap();
        assert_eq!(seen[0].options, poor, "what was given is tried first");
        assert!(found[0].macro_f1 > seen[0].macro_f1 + 0.1, "{found:?}");
        assert!(found.windows(2).all(|two| two[0].macro_f1 >= two[1].macro_f1));
        assert_eq!(found, search(&table, &options, 5, &mut |_| ()).unwrap());
        assert_eq!(seen.len(), 5);
    }
}
