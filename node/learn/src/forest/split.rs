//! The best place to split a feature, by Gini's impurity.

use super::tree::{Drawn, Ground};
use crate::bins::MISSING;

const BINS: usize = 256;

/// A split of a feature.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Chosen {
    pub(super) feature: usize,
    pub(super) cut: Cut,
    pub(super) missing_right: bool,
    /// The purity that it leaves: the more, the better.
    purity: f64,
}

/// Where the bins are parted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Cut {
    /// Bins up to the first go left, and there are no rows in the bins between it and the second.
    Between(u8, u8),
    /// What is known goes right, and what is missing left.
    Known,
}

/// The rows of a node by bin and class; empty between two looks.
pub(super) struct Histogram {
    classes: usize,
    weights: Vec<f64>,
    rows: [u32; BINS],
    /// The bins that have rows, rising.
    filled: Vec<u8>,
    left: Vec<f64>,
    right: Vec<f64>,
}

impl Histogram {
    pub(super) fn new(classes: usize) -> Self {
        Self {
            classes,
            weights: vec![0.0; BINS * classes],
            rows: [0; BINS],
            filled: Vec::with_capacity(BINS),
            left: vec![0.0; classes],
            right: vec![0.0; classes],
        }
    }

    /// Looks at a feature, and puts its best split into `best` when it is better. False where the rows do not differ.
    pub(super) fn look(
        &mut self,
        ground: &Ground<'_>,
        feature: usize,
        rows: &[Drawn],
        totals: &[f64],
        best: &mut Option<Chosen>,
    ) -> bool {
        self.fill(ground.bins.column(feature), rows);
        let missing = self.rows[usize::from(MISSING)];
        let known = self.filled.len() - usize::from(missing > 0);
        let differ = self.filled.len() >= 2;
        let count = rows.iter().map(|drawn| drawn.times).sum();
        if known >= 2 {
            self.scan(feature, count, ground.min_leaf, totals, false, best);
        }
        if differ && missing > 0 {
            self.scan(feature, count, ground.min_leaf, totals, true, best);
            self.part_known(feature, count, ground.min_leaf, totals, best);
        }
        self.clear();
        differ
    }

    fn fill(&mut self, column: &[u8], rows: &[Drawn]) {
        for drawn in rows {
            let bin = column[drawn.row as usize];
            self.rows[usize::from(bin)] += drawn.times;
            self.weights[usize::from(bin) * self.classes + usize::from(drawn.class)] += drawn.weight;
        }
        self.filled.extend((0..=MISSING).filter(|bin| self.rows[usize::from(*bin)] > 0));
    }

    fn clear(&mut self) {
        for bin in self.filled.drain(..) {
            let bin = usize::from(bin);
            self.rows[bin] = 0;
            self.weights[bin * self.classes..(bin + 1) * self.classes].fill(0.0);
        }
    }

    /// Tries every cut, what is missing being on the one side or the other. Where nothing is missing, it will go where
    /// most rows went.
    fn scan(
        &mut self,
        feature: usize,
        count: u32,
        min_leaf: u32,
        totals: &[f64],
        missing_left: bool,
        best: &mut Option<Chosen>,
    ) {
        let missing = self.rows[usize::from(MISSING)];
        self.left.fill(0.0);
        self.right.copy_from_slice(totals);
        let mut rows_left = 0;
        if missing_left {
            self.shift(MISSING);
            rows_left = missing;
        }
        for at in 0..self.filled.len() - 1 {
            let [bin, next] = [self.filled[at], self.filled[at + 1]];
            if next == MISSING {
                break;
            }
            self.shift(bin);
            rows_left += self.rows[usize::from(bin)];
            let rows_right = count - rows_left;
            if rows_left.min(rows_right) < min_leaf {
                continue;
            }
            let purity = purity(&self.left) + purity(&self.right);
            if best.is_none_or(|best| purity > best.purity) {
                let missing_right = if missing > 0 { !missing_left } else { rows_right > rows_left };
                *best = Some(Chosen { feature, cut: Cut::Between(bin, next), missing_right, purity });
            }
        }
    }

    /// Tries to part what is missing from what is known, whatever that is.
    fn part_known(
        &mut self,
        feature: usize,
        count: u32,
        min_leaf: u32,
        totals: &[f64],
        best: &mut Option<Chosen>,
    ) {
        let missing = self.rows[usize::from(MISSING)];
        self.left.fill(0.0);
        self.right.copy_from_slice(totals);
        self.shift(MISSING);
        let purity = purity(&self.left) + purity(&self.right);
        if missing.min(count - missing) >= min_leaf && best.is_none_or(|best| purity > best.purity) {
            *best = Some(Chosen { feature, cut: Cut::Known, missing_right: false, purity });
        }
    }

    /// Moves a bin's rows from the right to the left.
    fn shift(&mut self, bin: u8) {
        let first = usize::from(bin) * self.classes;
        let weights = &self.weights[first..first + self.classes];
        for ((weight, left), right) in weights.iter().zip(&mut self.left).zip(&mut self.right) {
            *left += weight;
            *right -= weight;
        }
    }
}

/// The weight of a side, times one minus Gini's impurity.
fn purity(weights: &[f64]) -> f64 {
    let (sum, squares) =
        weights.iter().fold((0.0, 0.0), |(sum, squares), weight| (sum + weight, squares + weight * weight));
    if sum > 0.0 { squares / sum } else { 0.0 }
}
