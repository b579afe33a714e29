//! What is drawn together: the rows of a run.

use std::collections::{BTreeMap, BTreeSet};

use crate::table::Table;

/// A class of fewer runs is drawn row by row: many trees would not know it otherwise.
const LEAST: usize = 3;

/// The run of each row: what one tool did in one capture. The seconds of a run are alike. Drawn one by one, every tree
/// would know some of each run, the rows that it was not grown on would be no strangers to it, and calibration would learn
/// from them to be surer than the forest may be of what it never met.
pub(super) fn runs(table: &Table) -> Vec<u32> {
    let key = |row: usize| [table.class().of()[row], table.capture().of()[row], table.tool().of()[row]];
    let mut of_class = BTreeMap::<u16, BTreeSet<[u16; 3]>>::new();
    (0..table.len()).for_each(|row| {
        of_class.entry(key(row)[0]).or_default().insert(key(row));
    });
    let mut numbers = BTreeMap::new();
    let mut number = |row: usize| {
        let alone = of_class[&key(row)[0]].len() < LEAST;
        let next = numbers.len() as u32;
        *numbers.entry((key(row), alone.then_some(row))).or_insert(next)
    };
    (0..table.len()).map(&mut number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Row;

    #[test]
    fn rows_of_a_run_are_together_and_those_of_a_class_of_few_runs_alone() {
        let mut table = Table::new(vec!["x".into()]).unwrap();
        for (class, capture) in
            [("a", "1"), ("b", "1"), ("a", "2"), ("a", "3"), ("b", "2"), ("b", "2"), ("a", "1")]
        {
            table.push(Row { values: &[0.0], class, capture, tool: "", family: "", weight: 1.0 }).unwrap();
        }
        assert_eq!(runs(&table), [0, 1, 2, 3, 4, 5, 0]);
    }
}
