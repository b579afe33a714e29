//! How trees are walked: several ways at once, since one way is a chain of loads, each of which waits for the one before.

use alloc::vec::Vec;

use super::node::{MAX_FEATURES, Node};

/// So many trees are walked side by side by one row.
const TREES: usize = 12;
/// So many rows walk one tree side by side: what is known of so many ways fits the processor's registers.
pub(super) const ROWS: usize = 10;
/// After so many levels it is asked whether anybody still moves: half the questions cost less than a level in vain.
const LEVELS: usize = 2;

/// Trees whose paths all end, as [`super::node::check`] says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Trees {
    roots: Vec<u32>,
    steps: Vec<Step>,
    features: usize,
}

/// A node in eight bytes. A leaf is its own left child, so that a walk needs no branch: who has arrived stays.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Step {
    /// In [`order`].
    threshold: u32,
    /// The place in a [`Row`] of what is asked for, and the left child (times 256): where it is, not how far, so that
    /// each way's place is written and never added to.
    way: u32,
}

impl Step {
    /// A leaf asks for what lies behind the features: it is the lowest of all, so that nobody goes on to the right.
    fn new(at: usize, node: &Node, features: usize) -> Self {
        let Some(split) = node.as_split() else {
            return Self { threshold: u32::MAX, way: (2 * features as u32) | (at as u32) << 8 };
        };
        let half = if split.missing_right { features } else { 0 };
        let place = u32::from(split.feature) + half as u32;
        Self { threshold: order(split.threshold), way: place | split.left << 8 }
    }

    /// The child that a row goes to.
    #[inline]
    fn next(self, row: &Row) -> u32 {
        let right = row.0[usize::from(self.way as u8)] >= self.threshold;
        (self.way >> 8) + u32::from(right)
    }
}

impl Trees {
    /// The trees of these nodes over rows of so many features.
    pub(super) fn new(nodes: &[Node], roots: &[u32], features: usize) -> Self {
        let steps = nodes.iter().enumerate().map(|(at, node)| Step::new(at, node, features)).collect();
        Self { roots: roots.to_vec(), steps, features }
    }

    /// Tells the leaves at which a row ends, as their places among the nodes: a few trees' at a time, in the trees' order.
    pub(super) fn leaves(&self, row: &[f32], mut arrived: impl FnMut(&[u32])) {
        let row = Row::of(self.features, row);
        for roots in self.roots.chunks(TREES) {
            // Where fewer are left, some walk the first tree in vain.
            let mut at = [roots[0]; TREES];
            at[..roots.len()].copy_from_slice(roots);
            arrived(&self.arrive(at, |_| &row)[..roots.len()]);
        }
    }

    /// The leaves at which some rows end: those of all rows in the first tree, which is in the nearest cache then, those
    /// in the second, and so on.
    pub(super) fn leaves_of(&self, rows: &[Row; ROWS]) -> impl Iterator<Item = [u32; ROWS]> {
        self.roots.iter().map(|root| self.arrive([*root; ROWS], |n| &rows[n]))
    }

    /// The leaves at which those end who are at these nodes.
    #[inline]
    fn arrive<'a, const WAYS: usize>(
        &self,
        mut at: [u32; WAYS],
        row_of: impl Fn(usize) -> &'a Row,
    ) -> [u32; WAYS] {
        let mut moved = 1;
        // Written out twice: as a function of its own a level keeps all ways in memory, and takes half as long again.
        while moved != 0 {
            for _ in 1..LEVELS {
                for (n, at) in at.iter_mut().enumerate() {
                    *at = self.steps[*at as usize].next(row_of(n));
                }
            }
            moved = 0;
            for (n, at) in at.iter_mut().enumerate() {
                let next = self.steps[*at as usize].next(row_of(n));
                moved |= *at ^ next;
                *at = next;
            }
        }
        at
    }
}

/// A row's values in [`order`], with a place for all that a node may ask for, so that no bound is looked at on the way.
/// They are there twice: what is missing is the lowest of all in the first half, and goes left, and the highest in the
/// second.
#[derive(Clone, Copy)]
pub(super) struct Row([u32; 2 * MAX_FEATURES + 2]);

impl Row {
    /// A row of so many values; those that are not there are missing.
    pub(super) fn of(features: usize, values: &[f32]) -> Self {
        let mut row = Self([0; 2 * MAX_FEATURES + 2]);
        row.0[features..2 * features].fill(u32::MAX);
        row.fill(features, values);
        row
    }

    /// Takes other values, as many.
    #[inline]
    pub(super) fn fill(&mut self, features: usize, values: &[f32]) {
        let (left, right) = self.0.split_at_mut(features);
        for ((left, right), value) in left.iter_mut().zip(right).zip(values) {
            (*left, *right) = if value.is_nan() { (0, u32::MAX) } else { (order(*value), order(*value)) };
        }
    }
}

/// The number that is less than another where the value is less than the other's. Whole numbers are compared in a step
/// less than what has a point. A value is never 0 nor `u32::MAX` then, if it is a number.
#[inline]
fn order(value: f32) -> u32 {
    // Both zeros are one.
    let bits = (value + 0.0).to_bits();
    let negative = bits.cast_signed() >> 31;
    bits ^ (negative.cast_unsigned() | 1 << 31)
}
