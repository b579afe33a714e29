//! How trees are walked: several ways at once, since one way is a chain of loads, each of which waits for the one before.

use alloc::{vec, vec::Vec};

use super::node::{MAX_FEATURES, Node};

/// So many ways are walked side by side: of one row through several trees, or of several rows through one.
const ABREAST: usize = 12;
/// The furthest from a node to its left child.
pub(super) const FURTHEST: u32 = (1 << 23) - 1;

/// Trees whose paths all end, as [`super::node::check`] says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Trees {
    roots: Vec<u32>,
    steps: Vec<Step>,
}

/// A node in eight bytes. A leaf is its own left child, so that a walk needs no branch: who has arrived stays.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Step {
    /// A leaf keeps its number here.
    threshold: f32,
    /// The feature, whether a missing value goes right (256), and the distance to the left child (times 512).
    way: u32,
}

impl Step {
    /// A leaf asks for the first value behind those of the features: nothing is as low, so that nobody goes on to the
    /// right, and it lies beside what was asked for before.
    fn new(at: usize, node: &Node, features: usize) -> Self {
        let Some(split) = node.as_split() else {
            return Self { threshold: node.value(), way: features.min(MAX_FEATURES) as u32 };
        };
        let distance = split.left - at as u32;
        let way = u32::from(split.feature) | u32::from(split.missing_right) << 8 | distance << 9;
        Self { threshold: split.threshold, way }
    }

    /// How far it is to the child that a row goes to. Where no value of the row is missing, nobody asks for that.
    #[inline]
    fn distance<const MISSING: bool>(self, row: &Row) -> u32 {
        let value = row[usize::from(self.way as u8)];
        let right = value >= self.threshold || MISSING && value.is_nan() && self.way & 256 != 0;
        (self.way >> 9) + u32::from(right)
    }
}

impl Trees {
    /// The trees of these nodes over rows of so many features.
    pub(super) fn new<'a>(nodes: impl Iterator<Item = &'a Node>, roots: &[u32], features: usize) -> Self {
        let steps = nodes.enumerate().map(|(at, node)| Step::new(at, node, features)).collect();
        Self { roots: roots.to_vec(), steps }
    }

    /// Tells the numbers of the leaves at which a row ends, a few trees' at a time, in the trees' order.
    pub(super) fn leaves(&self, row: &[f32], mut arrived: impl FnMut(&[f32])) {
        let rows = [padded(row)];
        let missing = row.iter().any(|value| value.is_nan());
        for roots in self.roots.chunks(ABREAST) {
            // Where fewer are left, some walk the first tree in vain.
            let mut at = [roots[0]; ABREAST];
            at[..roots.len()].copy_from_slice(roots);
            arrived(&self.walk(at, &rows, missing)[..roots.len()]);
        }
    }

    /// The same for many rows of `width` values: tells each row's index, and the numbers of its leaves in all trees. A
    /// few rows go through one tree after the other, which is in the nearest cache then.
    pub(super) fn leaves_of_many(&self, rows: &[f32], width: usize, mut arrived: impl FnMut(usize, &[f32])) {
        let trees = self.roots.len();
        let (mut numbers, mut values) = (vec![0.0; ABREAST * trees], [padded(&[]); ABREAST]);
        for (group, rows) in rows.chunks(width * ABREAST).enumerate() {
            rows.chunks(width)
                .zip(&mut values)
                .for_each(|(row, values)| values[..width].copy_from_slice(row));
            let missing = rows.iter().any(|value| value.is_nan());
            for (tree, root) in self.roots.iter().enumerate() {
                let leaves = self.walk([*root; ABREAST], &values, missing);
                leaves.iter().enumerate().for_each(|(row, leaf)| numbers[row * trees + tree] = *leaf);
            }
            let of_rows = numbers.chunks_exact(trees).take(rows.len() / width).enumerate();
            of_rows.for_each(|(row, numbers)| arrived(group * ABREAST + row, numbers));
        }
    }

    #[inline]
    fn walk<const ROWS: usize>(
        &self,
        at: [u32; ABREAST],
        rows: &[Row; ROWS],
        missing: bool,
    ) -> [f32; ABREAST] {
        if missing { self.arrive::<ROWS, true>(at, rows) } else { self.arrive::<ROWS, false>(at, rows) }
    }

    /// The numbers of the leaves at which those end who are at these nodes; the n-th has the n-th row, or the only one.
    #[inline]
    fn arrive<const ROWS: usize, const MISSING: bool>(
        &self,
        mut at: [u32; ABREAST],
        rows: &[Row; ROWS],
    ) -> [f32; ABREAST] {
        let mut moved = 1;
        while moved != 0 {
            moved = 0;
            for (n, at) in at.iter_mut().enumerate() {
                let distance = self.steps[*at as usize].distance::<MISSING>(&rows[n % ROWS]);
                *at += distance;
                moved |= distance;
            }
        }
        at.map(|at| self.steps[at as usize].threshold)
    }
}

/// A row with a place for every feature that a node may name, so that no bound is looked at on the way.
type Row = [f32; 256];

fn padded(row: &[f32]) -> Row {
    let mut values = [f32::NEG_INFINITY; 256];
    let width = row.len().min(MAX_FEATURES);
    values[..width].copy_from_slice(&row[..width]);
    values
}
