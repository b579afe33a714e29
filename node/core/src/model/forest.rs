//! The random forest: the mean of its trees' probabilities, calibrated.

use alloc::{string::String, vec, vec::Vec};

use serde::{Deserialize, Serialize};

use super::{
    ModelError,
    node::{self, MAX_CLASSES, Node},
    trees::{ROWS, Row, Trees},
};

/// A probability of one, in the tables.
const ONE: f32 = u16::MAX as f32;
/// The most points of a calibration's curve.
const MAX_POINTS: usize = 256;

/// A forest that gives every row a probability for each class.
#[derive(Clone, Debug, PartialEq)]
pub struct Forest {
    parts: ForestParts,
    trees: Trees,
    shares: Shares,
}

/// What a forest is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct ForestParts {
    /// The names of the features, in a row's order.
    pub features: Vec<String>,
    /// The names of the classes, in the order of the probabilities.
    pub classes: Vec<String>,
    /// Each tree's first node.
    pub roots: Vec<u32>,
    /// The nodes of all trees.
    pub nodes: Vec<Node>,
    /// For each node, leaf or not, the share of each class among the training rows that came there, of 65,535. Those
    /// of inner nodes serve the explanation only.
    pub shares: Vec<u16>,
    /// What makes probabilities of the trees' mean.
    pub calibration: Calibration,
}

/// A curve for each class; none means that the trees' mean is taken as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calibration {
    /// One curve a class, or none at all.
    pub curves: Vec<Curve>,
}

/// A function that never falls, given by points between which it is straight.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Where: rising strictly, from 0 to 1.
    pub at: Vec<f32>,
    /// The value there: never falling, from 0 to 1.
    pub value: Vec<f32>,
}

impl Curve {
    fn check(&self) -> Result<(), ModelError> {
        let probabilities = self.at.iter().chain(&self.value).all(|p| (0.0..=1.0).contains(p));
        let rising = self.at.windows(2).all(|two| two[0] < two[1]);
        let never_falling = self.value.windows(2).all(|two| two[0] <= two[1]);
        let sized = self.at.len() == self.value.len() && (1..=MAX_POINTS).contains(&self.at.len());
        if probabilities && rising && never_falling && sized { Ok(()) } else { Err(ModelError::Number) }
    }

    fn apply(&self, x: f32) -> f32 {
        let after = self.at.partition_point(|at| *at < x);
        match (after.checked_sub(1), self.at.get(after)) {
            (None, _) => self.value[0],
            (Some(before), None) => self.value[before],
            (Some(before), Some(next)) => {
                let part = (x - self.at[before]) / (next - self.at[before]);
                self.value[before] + part * (self.value[after] - self.value[before])
            }
        }
    }
}

impl Forest {
    /// A forest whose paths all end and whose numbers are probabilities.
    ///
    /// # Errors
    /// [`ModelError`] says what does not fit.
    pub fn new(parts: ForestParts) -> Result<Self, ModelError> {
        let ForestParts { features, classes, roots, nodes, shares, calibration } = &parts;
        node::check(nodes, roots, features.len())?;
        if classes.len() < 2 || classes.len() > MAX_CLASSES || shares.len() != nodes.len() * classes.len() {
            return Err(ModelError::Size);
        }
        let sum = |shares: &[u16]| shares.iter().map(|share| u32::from(*share)).sum::<u32>();
        let whole = u32::from(u16::MAX);
        let slack = classes.len() as u32;
        if shares.chunks_exact(classes.len()).any(|shares| sum(shares).abs_diff(whole) > slack) {
            return Err(ModelError::Number);
        }
        if !calibration.curves.is_empty() && calibration.curves.len() != classes.len() {
            return Err(ModelError::Size);
        }
        calibration.curves.iter().try_for_each(Curve::check)?;
        let trees = Trees::new(nodes, roots, features.len());
        let shares = Shares::new(shares, classes.len());
        Ok(Self { parts, trees, shares })
    }

    /// What it is made of.
    pub fn parts(&self) -> &ForestParts {
        &self.parts
    }

    /// The names of the features, in a row's order.
    pub fn features(&self) -> &[String] {
        &self.parts.features
    }

    /// The names of the classes, in the order of the probabilities.
    pub fn classes(&self) -> &[String] {
        &self.parts.classes
    }

    /// The probability of each class for one row, which has a value for each feature, into `out`, which has a place
    /// for each class.
    pub fn probabilities(&self, row: &[f32], out: &mut [f32]) {
        let mut sums = NONE;
        self.trees.leaves(row, |leaves| leaves.iter().for_each(|leaf| self.shares.add([(*leaf, &mut sums)])));
        self.finish(&sums, out);
    }

    /// The same for many rows, one after the other in `rows`.
    pub fn batch(&self, rows: &[f32], out: &mut [f32]) {
        let (width, classes) = (self.parts.features.len(), self.parts.classes.len());
        let (mut group, mut sums) = ([Row::of(width, &[]); ROWS], [NONE; ROWS]);
        for (rows, out) in rows.chunks(width * ROWS).zip(out.chunks_mut(classes * ROWS)) {
            group.iter_mut().zip(rows.chunks(width)).for_each(|(row, values)| row.fill(width, values));
            for leaves in self.trees.leaves_of(&group) {
                self.shares.add(leaves.into_iter().zip(&mut sums));
            }
            for (sums, out) in sums.iter_mut().zip(out.chunks_mut(classes)) {
                self.finish(sums, out);
            }
            sums = [NONE; ROWS];
        }
    }

    /// How much each feature moved the trees' mean probability of a class from what it is without looking (the roots'
    /// shares) to what it is for this row: the sum is the difference. Path contributions after Saabas (2014).
    pub fn contributions(&self, row: &[f32], class: usize) -> Vec<f32> {
        let mut moved = vec![0.0; self.parts.features.len()];
        for root in &self.parts.roots {
            let mut at = *root as usize;
            while let Some(split) = self.parts.nodes[at].as_split() {
                let Some(next) = self.parts.nodes[at].next(row) else { break };
                moved[usize::from(split.feature)] += self.share(next, class) - self.share(at, class);
                at = next;
            }
        }
        let trees = self.parts.roots.len() as f32;
        moved.iter_mut().for_each(|moved| *moved /= trees);
        moved
    }

    fn share(&self, node: usize, class: usize) -> f32 {
        f32::from(self.parts.shares[node * self.parts.classes.len() + class]) / ONE
    }

    /// Makes calibrated probabilities of the sums of the trees' shares.
    fn finish(&self, sums: &Sums, out: &mut [f32]) {
        let whole = ONE * self.parts.roots.len() as f32;
        out.iter_mut().zip(sums.as_flattened()).for_each(|(p, sum)| *p = *sum as f32 / whole);
        for (curve, p) in self.parts.calibration.curves.iter().zip(out.iter_mut()) {
            *p = curve.apply(*p);
        }
        let sum: f32 = out.iter().sum();
        if sum > 0.0 {
            out.iter_mut().for_each(|p| *p /= sum);
        } else {
            out.fill(1.0 / out.len() as f32);
        }
    }
}

/// Eight classes are added at once.
const LANES: usize = 8;
/// What some leaves say of each class, added up: of 4,096 trees it fits.
type Sums = [[u32; LANES]; MAX_CLASSES / LANES];
const NONE: Sums = [[0; LANES]; MAX_CLASSES / LANES];

/// What each node says of the classes, in parts of eight.
#[derive(Clone, Debug, PartialEq)]
struct Shares {
    parts: Vec<[u16; LANES]>,
    /// So many parts are one node's.
    width: usize,
}

impl Shares {
    fn new(shares: &[u16], classes: usize) -> Self {
        let padded = |part: &[u16]| core::array::from_fn(|lane| part.get(lane).copied().unwrap_or_default());
        let parts = shares.chunks(classes).flat_map(|of_node| of_node.chunks(LANES)).map(padded).collect();
        Self { parts, width: classes.div_ceil(LANES) }
    }

    /// Adds what each node says to the sums beside it.
    #[inline]
    fn add<'a>(&self, said: impl IntoIterator<Item = (u32, &'a mut Sums)>) {
        // Nearly all forests have so few classes; asked once for all nodes, it makes batches a twentieth faster.
        if self.width == 1 {
            return said.into_iter().for_each(|(node, sums)| add(&mut sums[0], &self.parts[node as usize]));
        }
        for (node, sums) in said {
            let parts = &self.parts[node as usize * self.width..][..self.width];
            sums.iter_mut().zip(parts).for_each(|(sums, part)| add(sums, part));
        }
    }
}

/// Into an array of its own first: so written the eight are one addition to the compiler, always.
#[inline]
fn add(sums: &mut [u32; LANES], shares: &[u16; LANES]) {
    *sums = core::array::from_fn(|lane| sums[lane] + u32::from(shares[lane]));
}
