//! From the trees' shares to probabilities that hold: isotonic regression, and how far off a probability is.

use serde::{Deserialize, Serialize};
use smartfw_core::model::{Calibration, Curve};

/// A curve of more points than this says no more, and is slower to read.
pub const MAX_POINTS: usize = 32;

/// What was said and what was true: one curve for each class, by isotonic regression (pool adjacent violators, Ayer et
/// al. 1955) of "is of this class" on the probability. `probabilities` has one for each class and row.
pub fn calibrate(probabilities: &[f32], labels: &[u16], weights: &[f32], classes: usize) -> Calibration {
    let curve = |class: usize| {
        let said = probabilities.iter().skip(class).step_by(classes).copied();
        let truth = labels.iter().map(|label| usize::from(*label) == class);
        let points = said.zip(truth).zip(weights).map(|((said, truth), weight)| Block {
            weight: f64::from(*weight),
            said: f64::from(said),
            truth: f64::from(u8::from(truth)),
        });
        isotonic(points.collect())
    };
    Calibration { curves: (0..classes).map(curve).collect() }
}

/// Rows that are treated alike: their weight, the mean of what was said, and the share that was true.
#[derive(Clone, Copy, Debug)]
struct Block {
    weight: f64,
    said: f64,
    truth: f64,
}

impl Block {
    fn join(self, other: Self) -> Self {
        let weight = self.weight + other.weight;
        let mean = |a: f64, b: f64| (a * self.weight + b * other.weight) / weight;
        Self { weight, said: mean(self.said, other.said), truth: mean(self.truth, other.truth) }
    }

    /// How much worse one block describes both than two do.
    fn loss(self, other: Self) -> f64 {
        let apart = self.truth - other.truth;
        self.weight * other.weight / (self.weight + other.weight) * apart * apart
    }
}

fn isotonic(mut rows: Vec<Block>) -> Curve {
    rows.sort_by(|a, b| a.said.total_cmp(&b.said));
    let mut blocks = Vec::<Block>::new();
    for said in rows.chunk_by(|a, b| a.said == b.said) {
        let (first, rest) = (said[0], &said[1..]);
        let mut block = rest.iter().fold(first, |block, row| block.join(*row));
        // What was said once is not changed by summing it up.
        block.said = first.said;
        while let Some(before) = blocks.pop_if(|before| before.truth >= block.truth) {
            block = before.join(block);
        }
        blocks.push(block);
    }
    thin(&mut blocks);
    let mut curve = Curve::default();
    for block in blocks {
        let at = (block.said as f32).clamp(0.0, 1.0);
        if curve.at.last().is_none_or(|last| *last < at) {
            curve.at.push(at);
            curve.value.push((block.truth as f32).clamp(0.0, 1.0));
        }
    }
    curve
}

/// Joins neighbours that differ least until few enough are left.
fn thin(blocks: &mut Vec<Block>) {
    while blocks.len() > MAX_POINTS {
        let losses = blocks.windows(2).map(|two| two[0].loss(two[1])).enumerate();
        let Some((at, _)) = losses.min_by(|a, b| a.1.total_cmp(&b.1)) else { return };
        let after = blocks.remove(at + 1);
        blocks[at] = blocks[at].join(after);
    }
}

/// How far probabilities are from what comes true.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reliability {
    /// Ten bins of the highest probability of a row, from 0 to 1.
    pub bins: Vec<ReliabilityBin>,
    /// The expected calibration error: the mean distance between what was said and what came true (Naeini et al. 2015).
    pub ece: f64,
    /// Brier's score: the mean squared distance of all classes' probabilities from the truth, from 0 to 2.
    pub brier: f64,
}

/// The rows whose highest probability is within one tenth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// How many.
    pub rows: u64,
    /// The mean of what was said.
    pub said: f64,
    /// The share for which the class named was the true one.
    pub right: f64,
}

/// Compares probabilities, one for each class and row, with the truth.
pub fn reliability(probabilities: &[f32], labels: &[u16], classes: usize) -> Reliability {
    let mut bins = vec![ReliabilityBin::default(); 10];
    let mut squares = 0.0;
    for (row, label) in probabilities.chunks_exact(classes).zip(labels) {
        let named = highest(row);
        let bin = &mut bins[((row[named] * 10.0) as usize).min(9)];
        bin.rows += 1;
        bin.said += f64::from(row[named]);
        bin.right += f64::from(u8::from(named == usize::from(*label)));
        squares +=
            row.iter().enumerate().map(|(class, p)| distance(*p, class == usize::from(*label))).sum::<f64>();
    }
    for bin in bins.iter_mut().filter(|bin| bin.rows > 0) {
        bin.said /= bin.rows as f64;
        bin.right /= bin.rows as f64;
    }
    let rows = labels.len().max(1) as f64;
    let ece = bins.iter().map(|bin| bin.rows as f64 / rows * (bin.said - bin.right).abs()).sum();
    Reliability { bins, ece, brier: squares / rows }
}

fn distance(said: f32, is: bool) -> f64 {
    let apart = f64::from(said) - f64::from(u8::from(is));
    apart * apart
}

/// The class of the highest probability, the first of equals.
pub fn highest(row: &[f32]) -> usize {
    let better = |best: usize, class: usize| if row[class] > row[best] { class } else { best };
    (0..row.len()).fold(0, better)
}

#[cfg(test)]
mod tests;
