//! A forest in a few sentences: a shallow tree that answers as the forest does, where it can.

use serde::Serialize;
use smartfw_core::model::Forest;

use crate::{
    calibrate::highest,
    forest::{ClassWeights, ForestOptions, linfa},
    rules,
    table::{Row, Table},
    train::TrainError,
};

/// People do not read more conditions than this.
const DEPTH: usize = 5;

/// A shallow tree, and how far it is to be believed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explained {
    /// One for each leaf: what must hold, and what the forest then mostly says.
    pub sentences: Vec<String>,
    /// The share of the table's rows of which the tree says what the forest says.
    pub agreement: f64,
}

/// Grows a tree of five splits' depth on what a forest says of a table's rows. Where it says the same of all, so does the one
/// sentence.
///
/// # Errors
/// [`TrainError`] when the table has no rows, or linfa refuses.
pub fn explain(table: &Table, forest: &Forest, seed: u64) -> Result<Explained, TrainError> {
    let said: Vec<&str> = answers(forest, table);
    let refused = |error: &dyn std::fmt::Display| TrainError::Linfa(error.to_string());
    let mut answered = Table::new(table.features().to_vec()).map_err(|error| refused(&error))?;
    for (row, class) in said.iter().enumerate() {
        answered.push(Row { class, ..table.row(row) }).map_err(|error| refused(&error))?;
    }
    match answered.class().names() {
        [] => return Err(TrainError::NoRows),
        [one] => return Ok(Explained { sentences: vec![format!("always: {one} (100 %)")], agreement: 1.0 }),
        _ => {}
    }
    let options =
        ForestOptions { max_depth: DEPTH, class_weights: ClassWeights::Even, ..ForestOptions::default() };
    let grown = linfa::grow_one(&answered, &options, seed).map_err(|error| refused(&error))?;
    let tree = Forest::new(grown.parts)?;
    let same = answers(&tree, table).iter().zip(&said).filter(|(tree, forest)| tree == forest).count();
    Ok(Explained { sentences: rules::sentences(&tree), agreement: same as f64 / table.len() as f64 })
}

/// The class that a forest names for each row.
fn answers<'a>(forest: &'a Forest, table: &Table) -> Vec<&'a str> {
    let classes = forest.classes();
    let mut said = vec![0.0; table.len() * classes.len()];
    forest.batch(table.values(), &mut said);
    said.chunks_exact(classes.len()).map(|said| classes[highest(said)].as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        samples,
        train::{TrainOptions, fit},
    };

    #[test]
    fn a_forest_that_follows_a_simple_rule_is_explained_by_it() {
        let table = samples::windows(2000, 0.2, 1);
        let forest = ForestOptions { trees: 10, ..ForestOptions::default() };
        let forest =
            fit(&table, &TrainOptions { forest, ..TrainOptions::default() }, 1, &mut |_| ()).unwrap();
        let explained = explain(&table, &forest, 1).unwrap();
        assert!(explained.agreement > 0.97, "{explained:?}");
        assert!(explained.sentences.iter().any(|one| one.contains("distinct_ports")), "{explained:?}");
        assert!(explained.sentences.len() <= 1 << DEPTH);
    }

    #[test]
    fn what_says_always_the_same_is_explained_by_one_sentence() {
        let table = samples::windows(200, 0.2, 1);
        let forest = fit(&table, &TrainOptions::default(), 1, &mut |_| ()).unwrap();
        let one = table.select(&[0]);
        let explained = explain(&one, &forest, 1).unwrap();
        assert_eq!(
            (&explained.sentences[..], explained.agreement),
            (&["always: benign (100 %)".to_owned()][..], 1.0)
        );
        assert!(matches!(explain(&table.select(&[]), &forest, 1), Err(TrainError::NoRows)));
    }
}
