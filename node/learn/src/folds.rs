//! Which rows are trained on and which are asked.

use std::collections::BTreeMap;

use crate::{chance::Chance, table::Names};

/// A way to part a table's rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folds {
    /// Each row's fold; `None` for rows that are always trained on and never asked.
    pub of: Vec<Option<u16>>,
    /// What each fold leaves out.
    pub names: Vec<String>,
}

/// Parts the rows so that each fold has the same share of every class.
pub fn stratified(class: &Names, folds: usize, seed: u64) -> Folds {
    let folds = folds.max(2);
    let mut of = vec![None; class.of().len()];
    // Each class goes on where the one before it ended, so that folds of rare classes are of a size.
    let mut next = 0;
    for rows in by_name(class.of(), seed) {
        for row in rows {
            of[row] = Some((next % folds) as u16);
            next += 1;
        }
    }
    Folds { of, names: numbered(folds) }
}

/// Parts the rows so that a group, such as a capture, is never on both sides, and each fold has about the same share
/// of every class. A group counts as one of the rarest class in it (in the captures of attacks there are honest clients,
/// too); groups of the rarest classes, and of most rows of them, come first, and go where their class has the fewest rows.
pub fn grouped(class: &Names, group: &Names, folds: usize, seed: u64) -> Folds {
    let folds = folds.max(2);
    let rows = class.counts();
    let class_of = |row: &usize| usize::from(class.of()[*row]);
    let rarest =
        |group: &[usize]| group.iter().map(class_of).min_by_key(|class| (rows[*class], *class)).unwrap_or(0);
    let mut groups: Vec<(usize, Vec<usize>)> =
        by_name(group.of(), seed).into_iter().map(|group| (rarest(&group), group)).collect();
    groups.sort_by_key(|(rarest, group)| {
        let own = group.iter().filter(|row| class_of(row) == *rarest).count();
        (rows[*rarest], *rarest, std::cmp::Reverse(own))
    });
    let mut of = vec![None; class.of().len()];
    let mut filled = vec![vec![0_usize; class.names().len()]; folds];
    for (rarest, group) in groups {
        let size = |fold: &usize| (filled[*fold][rarest], filled[*fold].iter().sum::<usize>());
        let fold = (0..folds).min_by_key(size).unwrap_or_default();
        for row in group {
            of[row] = Some(fold as u16);
            filled[fold][class_of(&row)] += 1;
        }
    }
    Folds { of, names: numbered(folds) }
}

/// Leaves out each group in turn whose absence still leaves rows of all its classes to learn from.
pub fn leave_one_out(class: &Names, group: &Names) -> Folds {
    let rows = class.counts();
    let mut names = Vec::new();
    let mut of = vec![None; class.of().len()];
    let mut members = BTreeMap::<u16, Vec<usize>>::new();
    group.of().iter().enumerate().for_each(|(row, group)| members.entry(*group).or_default().push(row));
    for (group_number, members) in members {
        let mut left = rows.clone();
        members.iter().for_each(|row| left[usize::from(class.of()[*row])] -= 1);
        if members.iter().any(|row| left[usize::from(class.of()[*row])] == 0) {
            continue;
        }
        members.iter().for_each(|row| of[*row] = Some(names.len() as u16));
        names.push(group.names()[usize::from(group_number)].clone());
    }
    Folds { of, names }
}

impl Folds {
    /// The rows that are trained on and those that are asked, when a fold is left out.
    pub fn part(&self, fold: usize) -> (Vec<usize>, Vec<usize>) {
        (0..self.of.len()).partition(|row| self.of[*row].map(usize::from) != Some(fold))
    }
}

/// The rows of each number, those of the lowest first, in an order chosen evenly.
fn by_name(of: &[u16], seed: u64) -> Vec<Vec<usize>> {
    let mut rows = BTreeMap::<u16, Vec<usize>>::new();
    of.iter().enumerate().for_each(|(row, name)| rows.entry(*name).or_default().push(row));
    let mut chance = Chance::new(seed);
    let mut rows: Vec<Vec<usize>> = rows.into_values().collect();
    rows.iter_mut().for_each(|rows| chance.shuffle(rows));
    rows
}

fn numbered(folds: usize) -> Vec<String> {
    (1..=folds).map(|fold| fold.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Row, Table};

    /// Two classes, a rare one in two captures and a common one in eight.
    fn table() -> Table {
        let mut table = Table::new(vec!["x".into()]).unwrap();
        for row in 0..1000 {
            let class = if row % 10 == 0 { "port_scan" } else { "benign" };
            let capture = format!("{class}{}", if class == "benign" { row % 8 } else { row / 10 % 2 });
            table
                .push(Row {
                    values: &[0.0],
                    class,
                    capture: &capture,
                    tool: class,
                    family: "ipv4",
                    weight: 1.0,
                })
                .unwrap();
        }
        table
    }

    #[test]
    fn stratified_folds_share_every_class() {
        let table = table();
        let folds = stratified(table.class(), 5, 1);
        for fold in 0..5 {
            let (train, test) = folds.part(fold);
            assert_eq!((train.len(), test.len()), (800, 200));
            assert_eq!(table.select(&test).class().counts(), [20, 180]);
        }
        assert_eq!(folds, stratified(table.class(), 5, 1));
        assert_ne!(folds, stratified(table.class(), 5, 2));
    }

    #[test]
    fn a_group_is_never_on_both_sides() {
        let table = table();
        let folds = grouped(table.class(), table.capture(), 2, 1);
        for fold in 0..2 {
            let (train, test) = folds.part(fold);
            let names = |rows: &[usize]| -> std::collections::BTreeSet<String> {
                rows.iter().map(|row| table.capture().name_of(*row).to_owned()).collect()
            };
            assert!(names(&train).is_disjoint(&names(&test)));
            let counts = table.select(&test).class().counts();
            assert!(counts[0] == 50 && counts[1] > 300, "{counts:?}");
        }
    }

    #[test]
    fn captures_of_attacks_among_honest_clients_are_spread_by_their_attacks() {
        // Six captures of each attack, in which three rows of four are benign, and four of benign traffic alone.
        let mut table = Table::new(vec!["x".into()]).unwrap();
        for capture in 0..16 {
            for row in 0..40 {
                let attack = ["port_scan", "slow_dos", "benign"][(capture / 6).min(2)];
                let class = if row % 4 == 0 { attack } else { "benign" };
                let name = format!("run-{capture}");
                let (values, weight) = (&[0.0_f32][..], 1.0);
                table.push(Row { values, class, capture: &name, tool: "", family: "", weight }).unwrap();
            }
        }
        for seed in 0..20 {
            let folds = grouped(table.class(), table.capture(), 3, seed);
            for fold in 0..3 {
                let (_, test) = folds.part(fold);
                let counts = table.select(&test).class().counts();
                let of = |name| counts[usize::from(table.class().find(name).unwrap())];
                assert_eq!([of("port_scan"), of("slow_dos")], [20, 20], "seed {seed}");
                assert!((120..=200).contains(&of("benign")), "{counts:?}, seed {seed}");
            }
        }
    }

    #[test]
    fn a_tool_is_only_left_out_where_others_teach_its_class() {
        let table = table();
        assert!(leave_one_out(table.class(), table.tool()).names.is_empty(), "each is its class's only one");
        let folds = leave_one_out(table.class(), table.capture());
        assert_eq!(folds.names.len(), 10);
        let (train, test) = folds.part(1);
        assert_eq!(train.len() + test.len(), 1000);
        assert!(test.iter().all(|row| table.capture().name_of(*row) == folds.names[1]));
    }
}
