//! The reference set: rows whose class is known, by which every candidate is judged.

use std::{collections::BTreeMap, sync::OnceLock};

use flate2::bufread::GzDecoder;
use smartfw_core::model::BENIGN;

use crate::{
    chance::Chance,
    table::{self, ReadOptions, Table, TableError},
};

/// Rows of a reference set, at most.
pub const REFERENCE_ROWS: usize = 6000;

/// A reference set in two halves, so that a model can be judged by rows that it was not trained on.
#[derive(Clone, Debug)]
pub struct Reference {
    table: Table,
    halves: [Vec<usize>; 2],
}

impl Reference {
    /// The reference set that ships with the program.
    ///
    /// # Errors
    /// [`TableError`] when it was built with a damaged one.
    pub fn builtin() -> Result<&'static Self, &'static TableError> {
        static READ: OnceLock<Result<Reference, TableError>> = OnceLock::new();
        let bytes = include_bytes!("../../data/reference.csv.gz").as_slice();
        let read = || table::read(std::io::BufReader::new(GzDecoder::new(bytes)), &ReadOptions::default());
        READ.get_or_init(|| read().map(Self::new)).as_ref()
    }

    /// A reference set of these rows. Each class and tool is parted by capture where it has several, so that neighbouring
    /// seconds of a run are never trained on and asked about, and row by row elsewhere.
    pub fn new(table: Table) -> Self {
        let (table, _) = table.tidy();
        let mut runs: BTreeMap<(&str, &str), Vec<Vec<usize>>> = BTreeMap::new();
        for ((class, tool, _), rows) in strata(&table) {
            runs.entry((class, tool)).or_default().push(rows);
        }
        let mut halves = [Vec::new(), Vec::new()];
        // Of each class both halves have about as many rows.
        let mut sizes: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
        for ((class, _), mut parts) in runs {
            if let [run] = parts.as_mut_slice() {
                parts = run.iter().map(|row| vec![*row]).collect();
            }
            parts.sort_by_key(|part| std::cmp::Reverse(part.len()));
            let (of_class, mut of_tool) = (sizes.entry(class).or_default(), [0, 0]);
            for part in parts {
                let half = usize::from((of_tool[0], of_class[0]) > (of_tool[1], of_class[1]));
                of_class[half] += part.len();
                of_tool[half] += part.len();
                halves[half].extend(part);
            }
        }
        Self { table, halves }
    }

    /// All rows.
    pub const fn table(&self) -> &Table {
        &self.table
    }

    /// One half, and the other.
    pub(super) fn halves(&self) -> [(&[usize], &[usize]); 2] {
        let [one, other] = &self.halves;
        [(one, other), (other, one)]
    }
}

/// At most `most` rows of a table for a reference set: of each class as many, and within a class of each capture and
/// tool, as far as there are. The same table and seed give the same rows.
pub fn sample(table: &Table, most: usize, seed: u64) -> Table {
    let mut chance = Chance::new(seed);
    let mut classes: BTreeMap<&str, Vec<Vec<usize>>> = BTreeMap::new();
    for ((class, _, _), mut rows) in strata(table) {
        chance.shuffle(&mut rows);
        classes.entry(class).or_default().push(rows);
    }
    // Benign traffic has as many rows as all attacks together: it is what there is most of, and of most kinds.
    let attacks = classes.len().saturating_sub(1).max(1);
    let mut chosen: Vec<usize> = Vec::new();
    for (class, strata) in classes {
        let share = if class == BENIGN { most / 2 } else { most / 2 / attacks };
        chosen.extend(deal(strata, share));
    }
    chosen.sort_unstable();
    table.select(&chosen)
}

/// Takes rows of the strata in turn until there are `most`.
fn deal(mut strata: Vec<Vec<usize>>, most: usize) -> Vec<usize> {
    let mut dealt = Vec::new();
    while dealt.len() < most && strata.iter().any(|rows| !rows.is_empty()) {
        dealt.extend(strata.iter_mut().filter_map(Vec::pop));
    }
    dealt.truncate(most);
    dealt
}

/// The rows of each class, tool and capture.
fn strata(table: &Table) -> BTreeMap<(&str, &str, &str), Vec<usize>> {
    let mut strata: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for at in 0..table.len() {
        let row = table.row(at);
        strata.entry((row.class, row.tool, row.capture)).or_default().push(at);
    }
    strata
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Row;

    fn table(classes: &[(&str, usize)]) -> Table {
        captured(classes, |_| "c".into())
    }

    fn captured(classes: &[(&str, usize)], capture: impl Fn(usize) -> String) -> Table {
        let mut table = Table::windows();
        for (class, rows) in classes {
            for row in 0..*rows {
                let values = [row as f32; smartfw_core::features::COUNT];
                let tool = if row % 3 == 0 { "one" } else { "other" };
                let capture = &capture(row);
                let row = Row { values: &values, class, capture, tool, family: "ipv4", weight: 1.0 };
                table.push(row).unwrap();
            }
        }
        table
    }

    #[test]
    fn a_sample_has_its_share_of_every_class_and_tool_and_repeats() {
        let all = table(&[("benign", 1000), ("port_scan", 1000), ("slow_dos", 20)]);
        let few = sample(&all, 400, 7);
        let (few, _) = few.tidy();
        assert_eq!(few.class().names(), ["benign", "port_scan", "slow_dos"]);
        assert_eq!(few.class().counts(), [200, 100, 20]);
        assert!(few.tool().counts().iter().all(|rows| *rows > 100));
        assert_eq!(sample(&all, 400, 7), sample(&all, 400, 7));
        assert_ne!(sample(&all, 400, 7), sample(&all, 400, 8));
    }

    #[test]
    fn the_halves_are_apart_and_each_has_every_class() {
        let reference = Reference::new(table(&[("benign", 100), ("port_scan", 11)]));
        let [(one, other), _] = reference.halves();
        assert_eq!(one.len() + other.len(), 111);
        assert!(one.iter().all(|row| !other.contains(row)));
        for half in [one, other] {
            let counts = reference.table().select(half).class().counts();
            assert!(counts.iter().all(|rows| *rows >= 5), "{counts:?}");
        }
    }

    #[test]
    fn no_capture_of_a_tool_is_in_both_halves_where_there_are_several() {
        let reference = Reference::new(captured(&[("benign", 400), ("slow_dos", 50)], |row| {
            format!("c{}", row * row % 7)
        }));
        let [one, other] = reference.halves.each_ref().map(|half| reference.table().select(half));
        let runs = |half: &Table| -> std::collections::BTreeSet<(String, String, String)> {
            let key = |row: Row<'_>| (row.class.to_owned(), row.tool.to_owned(), row.capture.to_owned());
            (0..half.len()).map(|row| key(half.row(row))).collect()
        };
        assert!(runs(&one).is_disjoint(&runs(&other)));
        for half in [one, other] {
            let counts = half.class().counts();
            assert!((150..=250).contains(&counts[0]) && (15..=35).contains(&counts[1]), "{counts:?}");
            assert!(half.tool().counts().iter().all(|rows| *rows > 30), "{:?}", half.tool().counts());
        }
    }

    #[test]
    fn the_one_that_ships_can_be_read_and_is_small() {
        let reference = Reference::builtin().unwrap();
        assert!(reference.table().len() <= REFERENCE_ROWS);
        assert_eq!(reference.table().class().names()[0], BENIGN);
        assert!(reference.table().class().names().len() >= 6);
    }
}
