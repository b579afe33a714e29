//! The isolation forest (Liu, Ting and Zhou 2008).

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use smartfw_core::model::{IsolationForest, IsolationParts, ModelError, Node, Split};

use crate::{bins, chance::Chance, forest::moved, table::Table};

/// How an isolation forest is grown.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct IsolationOptions {
    /// How many trees.
    pub trees: usize,
    /// How many rows each tree is grown on.
    pub sample: usize,
    /// The share of the training rows that is to score below the threshold.
    pub ordinary: f64,
}

impl Default for IsolationOptions {
    fn default() -> Self {
        Self { trees: 100, sample: 256, ordinary: 0.999 }
    }
}

/// More trees than this are not grown.
const MAX_TREES: usize = 1000;
/// A tree's sample is no larger than this; the paper finds 256 enough.
const MAX_SAMPLE: usize = 4096;

/// Grows an isolation forest on all rows of a table, whatever their class. The same table, options and seed give the
/// same forest on any number of threads.
///
/// # Errors
/// [`ModelError`] when the table has no features. To a forest of no rows everything is strange.
pub fn grow(table: &Table, options: &IsolationOptions, seed: u64) -> Result<IsolationForest, ModelError> {
    let sample = options.sample.clamp(2, MAX_SAMPLE).min(table.len());
    let trees = (0..options.trees.clamp(1, MAX_TREES)).into_par_iter();
    let trees: Vec<_> = trees.map(|n| grow_tree(table, sample, Chance::stream(seed, n))).collect();
    let mut parts = IsolationParts {
        features: table.features().to_vec(),
        roots: Vec::new(),
        nodes: Vec::new(),
        // A table of one row has trees of one leaf; every score is then the same.
        mean_path: mean_path(sample).max(1.0),
        threshold: 1.0,
        typical: (0..table.features().len()).map(|feature| median(table, feature)).collect(),
    };
    for tree in trees {
        let first = parts.nodes.len() as u32;
        parts.roots.push(first);
        parts.nodes.extend(tree.iter().map(|node| moved(node, first)));
    }
    let forest = IsolationForest::new(parts.clone())?;
    parts.threshold = threshold(&forest, table, options.ordinary);
    IsolationForest::new(parts)
}

/// The score that a share of the rows does not reach.
fn threshold(forest: &IsolationForest, table: &Table, ordinary: f64) -> f32 {
    let mut scores: Vec<f32> =
        table.values().par_chunks_exact(table.features().len()).map(|row| forest.score(row)).collect();
    scores.sort_unstable_by(f32::total_cmp);
    let at = (scores.len() as f64 * ordinary.clamp(0.0, 1.0)).ceil() as usize;
    let last = scores.last().copied().unwrap_or(1.0);
    // Above the highest score that is still ordinary.
    let from = scores.get(at.saturating_sub(1)).copied().unwrap_or(last);
    from.next_up().clamp(0.0, 1.0)
}

/// c(n): the mean length of an unsuccessful search in a binary tree of n rows.
fn mean_path(rows: usize) -> f32 {
    let n = rows as f64;
    let harmonic = |n: f64| libm::log(n) + 0.577_215_664_901_532_9;
    match rows {
        0 | 1 => 0.0,
        2 => 1.0,
        _ => (2.0 * harmonic(n - 1.0) - 2.0 * (n - 1.0) / n) as f32,
    }
}

fn median(table: &Table, feature: usize) -> f32 {
    let values = table.values().iter().skip(feature).step_by(table.features().len());
    let mut values: Vec<f32> = values.copied().filter(|value| !value.is_nan()).collect();
    values.sort_unstable_by(f32::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn grow_tree(table: &Table, sample: usize, mut chance: Chance) -> Vec<Node> {
    let mut rows: Vec<usize> = (0..table.len()).collect();
    let rows = chance.choose(&mut rows, sample).to_vec();
    let most = sample.next_power_of_two().ilog2();
    let mut nodes = vec![Node::leaf(0.0)];
    let mut tasks = vec![(0, rows, 0)];
    while let Some((node, rows, depth)) = tasks.pop() {
        let cut = if depth < most { cut(table, &rows, &mut chance) } else { None };
        let Some((feature, threshold)) = cut else {
            nodes[node] = Node::leaf(depth as f32 + mean_path(rows.len()));
            continue;
        };
        let value = |row: &usize| table.values_of(*row)[feature];
        let lower = rows.iter().filter(|row| value(row) < threshold).count();
        let missing = rows.iter().filter(|row| value(row).is_nan()).count();
        let missing_right = 2 * lower < rows.len() - missing;
        let goes_right =
            |row: &usize| if value(row).is_nan() { missing_right } else { value(row) >= threshold };
        let (right, left): (Vec<usize>, Vec<usize>) = rows.iter().partition(|row| goes_right(row));
        let first = nodes.len();
        nodes.extend([Node::leaf(0.0); 2]);
        nodes[node] =
            Node::split(Split { feature: feature as u8, threshold, missing_right, left: first as u32 });
        tasks.push((first + 1, right, depth + 1));
        tasks.push((first, left, depth + 1));
    }
    nodes
}

/// A feature that differs among the rows, and a number above the least and not above the greatest of its values, drawn
/// evenly as in the paper. On a logarithmic scale floods and scans are no longer apart: on the laboratory's windows a tenth
/// of the scans were then called strange, and no flood; so more than half, and every sixth.
fn cut(table: &Table, rows: &[usize], chance: &mut Chance) -> Option<(usize, f32)> {
    let mut features: Vec<usize> = (0..table.features().len()).collect();
    for at in 0..features.len() {
        let other = at + chance.below(features.len() - at);
        features.swap(at, other);
        let feature = features[at];
        let values = rows.iter().map(|row| table.values_of(*row)[feature]).filter(|value| !value.is_nan());
        let (low, high) = values.fold((f32::MAX, f32::MIN), |(low, high), v| (low.min(v), high.max(v)));
        if low < high {
            let [from, to] = [low, high].map(f64::from);
            let drawn = (from + chance.share() * (to - from)) as f32;
            let least = bins::middle(low, low.next_up());
            return Some((feature, drawn.clamp(least, high)));
        }
    }
    None
}

#[cfg(test)]
mod tests;
