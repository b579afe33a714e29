//! One tree: a bootstrap sample, split until it is pure, too small or too deep.

use std::ops::Range;

use smartfw_core::model::{Node, Split};

use super::{
    ForestOptions,
    split::{Chosen, Cut, Histogram},
};
use crate::{
    bins::{Bins, MISSING},
    chance::Chance,
    table::Names,
};

/// What all trees are grown on.
pub(super) struct Ground<'a> {
    pub(super) bins: &'a Bins,
    pub(super) labels: &'a [u16],
    pub(super) classes: usize,
    /// The run of each row: rows of a run are drawn together.
    run: &'a [u32],
    runs: usize,
    weights: &'a [f64],
    features_per_split: usize,
    pub(super) min_leaf: u32,
    max_depth: usize,
}

impl<'a> Ground<'a> {
    pub(super) fn new(
        bins: &'a Bins,
        class: &'a Names,
        weights: &'a [f64],
        run: &'a [u32],
        options: &ForestOptions,
    ) -> Self {
        let features = bins.features();
        Self {
            bins,
            labels: class.of(),
            classes: class.names().len(),
            weights,
            run,
            runs: run.iter().max().map_or(0, |last| *last as usize + 1),
            features_per_split: options.features_per_split.unwrap_or(features.isqrt()).clamp(1, features),
            min_leaf: options.min_leaf.clamp(1, 1 << 20) as u32,
            max_depth: options.max_depth.min(ForestOptions::MAX_DEPTH),
        }
    }
}

/// A tree whose nodes are counted from its own first.
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
    pub(super) shares: Vec<u16>,
    pub(super) out_of_bag: Vec<u32>,
}

/// A row of the sample.
#[derive(Clone, Copy)]
pub(super) struct Drawn {
    pub(super) row: u32,
    pub(super) class: u16,
    /// How often it was drawn.
    pub(super) times: u32,
    /// Its weight, times that.
    pub(super) weight: f64,
}

/// A node whose rows are still to be split.
struct Task {
    node: usize,
    rows: Range<usize>,
    depth: usize,
}

struct Growth<'a> {
    ground: &'a Ground<'a>,
    chance: Chance,
    sample: Vec<Drawn>,
    aside: Vec<Drawn>,
    features: Vec<usize>,
    histogram: Histogram,
    nodes: Vec<Node>,
    shares: Vec<u16>,
}

impl Tree {
    pub(super) fn grow(ground: &Ground<'_>, mut chance: Chance) -> Self {
        let (sample, out_of_bag) = bootstrap(ground, &mut chance);
        let mut growth = Growth {
            ground,
            chance,
            aside: Vec::with_capacity(sample.len()),
            sample,
            features: (0..ground.bins.features()).collect(),
            histogram: Histogram::new(ground.classes),
            nodes: vec![Node::leaf(0.0)],
            shares: vec![0; ground.classes],
        };
        let mut tasks = vec![Task { node: 0, rows: 0..growth.sample.len(), depth: 0 }];
        while let Some(task) = tasks.pop() {
            growth.split(task, &mut tasks);
        }
        Self { nodes: growth.nodes, shares: growth.shares, out_of_bag }
    }
}

/// As many runs as there are, drawn evenly with replacement, and the rows that were not drawn.
fn bootstrap(ground: &Ground<'_>, chance: &mut Chance) -> (Vec<Drawn>, Vec<u32>) {
    let mut drawn = vec![0_u32; ground.runs];
    (0..ground.runs).for_each(|_| drawn[chance.below(ground.runs)] += 1);
    let times = ground.run.iter().map(|run| drawn[*run as usize]);
    let (mut sample, mut out_of_bag) = (Vec::with_capacity(ground.labels.len() * 2 / 3), Vec::new());
    for (row, times) in times.enumerate() {
        if times == 0 {
            out_of_bag.push(row as u32);
        } else {
            let weight = ground.weights[row] * f64::from(times);
            sample.push(Drawn { row: row as u32, class: ground.labels[row], times, weight });
        }
    }
    (sample, out_of_bag)
}

impl Growth<'_> {
    fn split(&mut self, task: Task, tasks: &mut Vec<Task>) {
        let Task { node, rows, depth } = task;
        let totals = self.describe(node, rows.clone());
        let pure = totals.iter().filter(|weight| **weight > 0.0).count() < 2;
        if pure || depth >= self.ground.max_depth {
            return;
        }
        let Some(chosen) = self.choose(rows.clone(), &totals) else { return };
        let middle = rows.start + self.part(rows.clone(), &chosen);
        let left = self.nodes.len();
        self.nodes.extend([Node::leaf(0.0); 2]);
        self.shares.resize(self.nodes.len() * self.ground.classes, 0);
        let threshold = match chosen.cut {
            Cut::Between(left, right) => self.ground.bins.between(chosen.feature, left, right),
            // No number is below it.
            Cut::Known => f32::MIN,
        };
        self.nodes[node] = Node::split(Split {
            feature: chosen.feature as u8,
            threshold,
            missing_right: chosen.missing_right,
            left: left as u32,
        });
        tasks.push(Task { node: left + 1, rows: middle..rows.end, depth: depth + 1 });
        tasks.push(Task { node: left, rows: rows.start..middle, depth: depth + 1 });
    }

    /// Writes down the classes' shares, and returns their weights.
    fn describe(&mut self, node: usize, rows: Range<usize>) -> Vec<f64> {
        let classes = self.ground.classes;
        let mut totals = vec![0.0; classes];
        for drawn in &self.sample[rows] {
            totals[usize::from(drawn.class)] += drawn.weight;
        }
        let all: f64 = totals.iter().sum();
        let shares = &mut self.shares[node * classes..(node + 1) * classes];
        for (share, weight) in shares.iter_mut().zip(&totals) {
            *share = super::share(*weight, all);
        }
        totals
    }

    /// The best split of some features chosen evenly. Features that do not differ within the node do not count, as in
    /// scikit-learn, so that a node is only left alone when none differs.
    fn choose(&mut self, rows: Range<usize>, totals: &[f64]) -> Option<Chosen> {
        let (mut looked, mut best) = (0, None);
        for at in 0..self.features.len() {
            if looked >= self.ground.features_per_split {
                break;
            }
            let other = at + self.chance.below(self.features.len() - at);
            self.features.swap(at, other);
            let rows = &self.sample[rows.clone()];
            if self.histogram.look(self.ground, self.features[at], rows, totals, &mut best) {
                looked += 1;
            }
        }
        best
    }

    /// Puts the rows that go left before the others, each side in its order, and returns how many go left.
    fn part(&mut self, rows: Range<usize>, chosen: &Chosen) -> usize {
        let column = self.ground.bins.column(chosen.feature);
        self.aside.clear();
        let mut to = rows.start;
        for at in rows.clone() {
            let drawn = self.sample[at];
            let bin = column[drawn.row as usize];
            let right = match chosen.cut {
                _ if bin == MISSING => chosen.missing_right,
                Cut::Between(left, _) => bin > left,
                Cut::Known => true,
            };
            if right {
                self.aside.push(drawn);
            } else {
                self.sample[to] = drawn;
                to += 1;
            }
        }
        self.sample[to..rows.end].copy_from_slice(&self.aside);
        to - rows.start
    }
}
