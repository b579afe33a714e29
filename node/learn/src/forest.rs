//! The random forest (Breiman 2001), grown on histograms.

#[cfg(feature = "linfa")]
pub(crate) mod linfa;
mod runs;
mod split;
mod tree;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use smartfw_core::model::{Calibration, ForestParts, Node, Split};

use crate::{bins::Bins, chance::Chance, table::Table};
use tree::{Ground, Tree};

/// How a forest is grown.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ForestOptions {
    /// How many trees.
    pub trees: usize,
    /// How many features, chosen anew, each split looks at; without one the square root of their number.
    pub features_per_split: Option<usize>,
    /// How many rows a leaf has at least.
    pub min_leaf: usize,
    /// The longest path; longer ones than [`ForestOptions::MAX_DEPTH`] are cut to it.
    pub max_depth: usize,
    /// How much the rows of each class count.
    pub class_weights: ClassWeights,
}

/// How much the rows of each class count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassWeights {
    /// Each row as much as every other.
    Even,
    /// Each class as much as every other.
    #[default]
    Balanced,
}

impl ForestOptions {
    /// A hundred trees of this depth stay in a processor's cache.
    pub const MAX_DEPTH: usize = 16;
    /// More trees than this are not grown.
    pub const MAX_TREES: usize = 1000;
}

impl Default for ForestOptions {
    fn default() -> Self {
        Self {
            trees: 100,
            features_per_split: None,
            min_leaf: 1,
            max_depth: Self::MAX_DEPTH,
            class_weights: ClassWeights::Balanced,
        }
    }
}

/// A forest as it was grown, without calibration.
pub struct Grown {
    /// What it is made of.
    pub parts: ForestParts,
    /// For each tree the rows that it was not grown on.
    out_of_bag: Vec<Vec<u32>>,
}

/// What the trees say about rows that they were not grown on.
pub struct OutOfBag {
    /// The rows that at least one tree was not grown on.
    pub rows: Vec<usize>,
    /// The probability of each class for each of these rows.
    pub probabilities: Vec<f32>,
}

/// Grows a forest. The same table, options and seed give the same forest on any number of threads; `grown` is told how
/// many trees there are.
pub fn grow(table: &Table, options: &ForestOptions, seed: u64, grown: &mut dyn FnMut(usize)) -> Grown {
    let weights = weights(table, options.class_weights);
    let bins = Bins::new(table);
    let runs = runs::runs(table);
    let ground = Ground::new(&bins, table.class(), &weights, &runs, options);
    let trees = options.trees.clamp(1, ForestOptions::MAX_TREES);
    let mut all = Vec::with_capacity(trees);
    // A few at once, so that somebody who waits sees it go on.
    let step = 4 * rayon::current_num_threads();
    while all.len() < trees {
        let next = all.len()..trees.min(all.len() + step);
        all.par_extend(next.into_par_iter().map(|n| Tree::grow(&ground, Chance::stream(seed, n))));
        grown(all.len());
    }
    join(table, all)
}

/// Each row's weight, so that the mean is 1.
fn weights(table: &Table, by: ClassWeights) -> Vec<f64> {
    let classes = table.class().of();
    let mut total = vec![0.0; table.class().names().len()];
    for (class, weight) in classes.iter().zip(table.weights()) {
        total[usize::from(*class)] += f64::from(*weight);
    }
    let all: f64 = total.iter().sum();
    let present = total.iter().filter(|total| **total > 0.0).count() as f64;
    let factor = |class: u16| match by {
        ClassWeights::Even => classes.len() as f64 / all,
        ClassWeights::Balanced => classes.len() as f64 / (present * total[usize::from(class)]),
    };
    classes.iter().zip(table.weights()).map(|(class, weight)| f64::from(*weight) * factor(*class)).collect()
}

/// Puts the trees one behind the other.
fn join(table: &Table, trees: Vec<Tree>) -> Grown {
    let mut parts = ForestParts {
        features: table.features().to_vec(),
        classes: table.class().names().to_vec(),
        roots: Vec::new(),
        nodes: Vec::new(),
        shares: Vec::new(),
        calibration: Calibration::default(),
    };
    let mut out_of_bag = Vec::new();
    for tree in trees {
        let first = parts.nodes.len() as u32;
        parts.roots.push(first);
        parts.nodes.extend(tree.nodes.iter().map(|node| moved(node, first)));
        parts.shares.extend(tree.shares);
        out_of_bag.push(tree.out_of_bag);
    }
    Grown { parts, out_of_bag }
}

/// The same node in a table where its tree begins at `first`.
pub(crate) fn moved(node: &Node, first: u32) -> Node {
    node.as_split().map_or(*node, |split| Node::split(Split { left: split.left + first, ..split }))
}

impl Grown {
    /// Asks each row of the trees that were not grown on it.
    pub fn out_of_bag(&self, table: &Table) -> OutOfBag {
        let classes = self.parts.classes.len();
        let empty = || (vec![0_u32; table.len() * classes], vec![0_u32; table.len()]);
        // Sums of whole numbers are the same in every order.
        let one = |(mut sums, mut asked): (Vec<u32>, Vec<u32>), tree: usize| {
            for row in &self.out_of_bag[tree] {
                let row = *row as usize;
                let leaf = self.leaf(self.parts.roots[tree], table.values_of(row));
                let shares = &self.parts.shares[leaf * classes..(leaf + 1) * classes];
                let sums = &mut sums[row * classes..(row + 1) * classes];
                sums.iter_mut().zip(shares).for_each(|(sum, share)| *sum += u32::from(*share));
                asked[row] += 1;
            }
            (sums, asked)
        };
        let both = |(mut sums, mut asked): (Vec<u32>, Vec<u32>), other: (Vec<u32>, Vec<u32>)| {
            sums.iter_mut().zip(other.0).for_each(|(sum, other)| *sum += other);
            asked.iter_mut().zip(other.1).for_each(|(asked, other)| *asked += other);
            (sums, asked)
        };
        let trees = (0..self.out_of_bag.len()).into_par_iter().with_min_len(16);
        let (sums, asked) = trees.fold(empty, one).reduce(empty, both);
        let rows: Vec<usize> = (0..table.len()).filter(|row| asked[*row] > 0).collect();
        let share = |row: &usize| {
            let whole = asked[*row] as f32 * f32::from(u16::MAX);
            sums[row * classes..(row + 1) * classes].iter().map(move |sum| *sum as f32 / whole)
        };
        let probabilities = rows.iter().flat_map(share).collect();
        OutOfBag { rows, probabilities }
    }

    fn leaf(&self, root: u32, row: &[f32]) -> usize {
        let mut at = root as usize;
        while let Some(child) = self.parts.nodes[at].next(row) {
            at = child;
        }
        at
    }
}

/// A class's share of a node, of 65,535.
fn share(weight: f64, of: f64) -> u16 {
    (weight / of * f64::from(u16::MAX)).round() as u16
}

#[cfg(test)]
mod tests;
