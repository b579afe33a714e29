//! Each feature's values in at most 255 bins, cut where training rows are dense.

use rayon::prelude::*;

use crate::table::Table;

/// The bin of what is missing; the others come before it.
pub(crate) const MISSING: u8 = u8::MAX;
const MOST: usize = MISSING as usize;

/// The cuts of each feature, and the bin of each row's value.
pub(crate) struct Bins {
    /// For each feature its cuts, rising; a value is in the bin of as many cuts as are not above it.
    cuts: Vec<Vec<f32>>,
    /// For each feature the rows' bins: a tree looks at one feature of many rows.
    columns: Vec<Vec<u8>>,
}

impl Bins {
    pub(crate) fn new(table: &Table) -> Self {
        let width = table.features().len();
        let column = |feature: usize| {
            let values = table.values().iter().skip(feature).step_by(width).copied();
            let cuts = cuts(values.clone().filter(|value| !value.is_nan()).collect());
            let bins = values.map(|value| bin(&cuts, value)).collect();
            (cuts, bins)
        };
        let (cuts, columns) = (0..width).into_par_iter().map(column).unzip();
        Self { cuts, columns }
    }

    pub(crate) fn features(&self) -> usize {
        self.cuts.len()
    }

    pub(crate) fn column(&self, feature: usize) -> &[u8] {
        &self.columns[feature]
    }

    /// The cut behind a bin; behind the last one everything is below.
    #[cfg(feature = "linfa")]
    pub(crate) fn cut(&self, feature: usize, bin: usize) -> f32 {
        self.cuts[feature].get(bin).copied().unwrap_or(f32::MAX)
    }

    /// Where to cut between two bins of which none between them has rows: in the middle of the emptiness.
    pub(crate) fn between(&self, feature: usize, left: u8, right: u8) -> f32 {
        self.cuts[feature][(usize::from(left) + usize::from(right)) / 2]
    }
}

fn bin(cuts: &[f32], value: f32) -> u8 {
    if value.is_nan() { MISSING } else { cuts.partition_point(|cut| *cut <= value) as u8 }
}

/// Cuts that make at most 255 bins of about as many rows each; a value that many rows have gets a bin of its own.
fn cuts(mut values: Vec<f32>) -> Vec<f32> {
    values.sort_unstable_by(f32::total_cmp);
    let mut distinct = Vec::<(f32, usize)>::new();
    for value in values.iter().copied() {
        match distinct.last_mut() {
            Some((last, rows)) if *last == value => *rows += 1,
            _ => distinct.push((value, 1)),
        }
    }
    let (mut cuts, mut rows_left, mut inside) = (Vec::new(), values.len(), 0);
    for (at, two) in distinct.windows(2).enumerate() {
        inside += two[0].1;
        let bins_left = MOST - cuts.len();
        let values_left = distinct.len() - at;
        let full = inside * bins_left >= rows_left || two[1].1 * bins_left >= rows_left;
        if bins_left > 1 && (full || values_left <= bins_left) {
            cuts.push(middle(two[0].0, two[1].0));
            rows_left -= inside;
            inside = 0;
        }
    }
    cuts
}

/// A number above `low` and not above `high`, in the middle where there is one.
pub(crate) fn middle(low: f32, high: f32) -> f32 {
    let middle = f64::midpoint(f64::from(low), f64::from(high)) as f32;
    if middle > low { middle } else { high }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_have_a_bin_each() {
        let cuts = cuts(vec![3.0, 1.0, 2.0, 1.0, 3.0]);
        assert_eq!(cuts, [1.5, 2.5]);
        assert_eq!([1.0, 1.5, 2.0, 9.0].map(|value| bin(&cuts, value)), [0, 1, 1, 2]);
        assert_eq!(bin(&cuts, f32::NAN), MISSING);
    }

    #[test]
    fn many_values_have_bins_of_as_many_rows() {
        let values: Vec<f32> = (0..10_000).map(|n| (n as f32).powi(3)).collect();
        let cuts = cuts(values.clone());
        assert_eq!(cuts.len(), 254);
        let mut rows = [0; 255];
        values.iter().for_each(|value| rows[usize::from(bin(&cuts, *value))] += 1);
        assert!(rows.iter().all(|rows| (30..=60).contains(rows)), "{rows:?}");
    }

    #[test]
    fn a_value_of_most_rows_does_not_use_up_the_bins_of_the_others() {
        let mut values = vec![0.0; 100_000];
        values.extend((1..=1000).map(|n| n as f32));
        assert!(cuts(values).len() > 240);
    }

    #[test]
    fn neighbours_are_told_apart_and_extremes_do_not_overflow() {
        let next = f32::from_bits(1.0_f32.to_bits() + 1);
        assert_eq!(cuts(vec![1.0, next]), [next]);
        assert_eq!(cuts(vec![f32::MIN, f32::MAX]), [0.0]);
        assert!(cuts(vec![-0.0, 0.0]).is_empty());
    }
}
