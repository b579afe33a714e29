//! A second trainer: bagged trees of `linfa-trees`.
//!
//! It serves to compare, and to grow the shallow tree that explains. It needs quadratic time, and breaks ties in the order
//! of a randomly seeded map: the same seed gives like trees, not the same ones. Trees are grown on the numbers of bins and
//! not on values, because linfa takes values closer than 1e-5 for equal.

use ::linfa::{Dataset, error::Error, traits::Fit as _};
use linfa_trees::{DecisionTree, TreeNode};
use ndarray::{Array1, Array2};
use rayon::prelude::*;
use smartfw_core::model::{Node, Split};

use super::{ForestOptions, Grown, join, tree::Tree, weights};
use crate::{bins::Bins, chance::Chance, table::Table};

/// A tree of more rows takes seconds.
const MOST_ROWS: usize = 4096;
/// So many rows of a class are in every tree, as far as it has them.
const LEAST_OF_CLASS: usize = 16;

/// Grows a forest. `linfa-trees` chooses no features anew for each split, so that each tree gets two thirds of them.
///
/// # Errors
/// What linfa says.
pub(crate) fn grow(
    table: &Table,
    options: &ForestOptions,
    seed: u64,
    grown: &mut dyn FnMut(usize),
) -> Result<Grown, Error> {
    let ground = Ground::new(table, options);
    let trees = options.trees.clamp(1, ForestOptions::MAX_TREES);
    let width = table.features().len();
    let one = |n| {
        let mut chance = Chance::stream(seed, n);
        let mut features: Vec<usize> = (0..width).collect();
        let features = chance.choose(&mut features, (2 * width).div_ceil(3)).to_vec();
        let sample = ground.sample(&mut chance);
        ground.grow(&features, &sample)
    };
    let all = (0..trees).into_par_iter().map(one).collect::<Result<Vec<_>, _>>()?;
    grown(trees);
    Ok(join(table, all))
}

/// Grows one tree on all features.
///
/// # Errors
/// What linfa says.
pub(crate) fn grow_one(table: &Table, options: &ForestOptions, seed: u64) -> Result<Grown, Error> {
    let ground = Ground::new(table, options);
    let features: Vec<usize> = (0..table.features().len()).collect();
    let sample = ground.sample(&mut Chance::new(seed));
    Ok(join(table, vec![ground.grow(&features, &sample)?]))
}

struct Ground<'a> {
    table: &'a Table,
    bins: Bins,
    weights: Vec<f64>,
    by_class: Vec<Vec<usize>>,
    options: &'a ForestOptions,
    has_missing: bool,
}

impl<'a> Ground<'a> {
    fn new(table: &'a Table, options: &'a ForestOptions) -> Self {
        let mut by_class = vec![Vec::new(); table.class().names().len()];
        table
            .class()
            .of()
            .iter()
            .enumerate()
            .for_each(|(row, class)| by_class[usize::from(*class)].push(row));
        Self {
            table,
            bins: Bins::new(table),
            weights: weights(table, options.class_weights),
            by_class,
            options,
            has_missing: table.values().iter().any(|value| value.is_nan()),
        }
    }

    /// Rows drawn with replacement, from each class its share.
    fn sample(&self, chance: &mut Chance) -> Vec<usize> {
        let rows = self.table.len();
        let drawn = self.by_class.iter().flat_map(|of_class| {
            let share = of_class.len() * rows.min(MOST_ROWS) / rows;
            let count = share.max(of_class.len().min(LEAST_OF_CLASS));
            (0..count).map(|_| of_class[chance.below(of_class.len())]).collect::<Vec<_>>()
        });
        drawn.collect()
    }

    fn grow(&self, features: &[usize], sample: &[usize]) -> Result<Tree, Error> {
        let bin =
            |(row, feature): (usize, usize)| f32::from(self.bins.column(features[feature])[sample[row]]);
        let records = Array2::from_shape_fn((sample.len(), features.len()), bin);
        let labels = sample.iter().map(|row| usize::from(self.table.class().of()[*row]));
        let weights = sample.iter().map(|row| self.weights[*row] as f32);
        let data = Dataset::new(records, Array1::from_iter(labels)).with_weights(Array1::from_iter(weights));
        let grown = DecisionTree::params()
            .max_depth(Some(self.options.max_depth.min(ForestOptions::MAX_DEPTH)))
            .min_weight_leaf(self.options.min_leaf.max(1) as f32)
            .fit(&data)?;
        let mut tree = self.flatten(grown.root_node(), features);
        self.fill(&mut tree, sample);
        Ok(tree)
    }

    /// linfa predicts with `<`, like our nodes, and cuts between numbers of bins; what is missing is in the last bin.
    fn flatten(&self, root: &TreeNode<f32, usize>, features: &[usize]) -> Tree {
        let mut nodes = vec![Node::leaf(0.0)];
        let mut tasks = vec![(0, root)];
        while let Some((at, node)) = tasks.pop() {
            let [Some(left), Some(right)] = node.children()[..] else { continue };
            let (feature, cut, _) = node.split();
            let feature = features[feature];
            let threshold = self.bins.cut(feature, cut.ceil() as usize - 1);
            let first = nodes.len();
            nodes.extend([Node::leaf(0.0); 2]);
            nodes[at] = Node::split(Split {
                feature: feature as u8,
                threshold,
                missing_right: true,
                left: first as u32,
            });
            tasks.extend([(first, &**left), (first + 1, &**right)]);
        }
        Tree { nodes, shares: Vec::new(), out_of_bag: Vec::new() }
    }

    /// linfa keeps only the commonest class of a leaf: the rows of the sample are sent down once more to be counted.
    fn fill(&self, tree: &mut Tree, sample: &[usize]) {
        let classes = self.by_class.len();
        let mut totals = vec![0.0; tree.nodes.len() * classes];
        for row in sample {
            let class = usize::from(self.table.class().of()[*row]);
            let mut at = Some(0);
            while let Some(node) = at {
                totals[node * classes + class] += self.weights[*row];
                at = tree.nodes[node].next(self.table.values_of(*row));
            }
        }
        let sum = |node: usize| totals[node * classes..(node + 1) * classes].iter().sum::<f64>();
        for at in 0..tree.nodes.len() {
            let (all, parent) = (sum(at), &totals[at * classes..(at + 1) * classes]);
            tree.shares.extend(parent.iter().map(|weight| super::share(*weight, all)));
            if let (Some(split), false) = (tree.nodes[at].as_split(), self.has_missing) {
                let left = split.left as usize;
                tree.nodes[at] = Node::split(Split { missing_right: sum(left + 1) > sum(left), ..split });
            }
        }
        let mut drawn = vec![false; self.table.len()];
        sample.iter().for_each(|row| drawn[*row] = true);
        tree.out_of_bag = (0..drawn.len()).filter(|row| !drawn[*row]).map(|row| row as u32).collect();
    }
}

#[cfg(test)]
mod tests;
