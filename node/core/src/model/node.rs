//! The node that all trees are made of.

use serde::{Deserialize, Serialize};

use super::ModelError;

/// The feature index that marks a leaf.
const LEAF: u8 = u8::MAX;
/// More trees, features or classes than this are refused.
pub(super) const MAX_TREES: usize = 4096;
pub(super) const MAX_FEATURES: usize = 127;
/// The way to a child has 24 bits.
const MAX_NODES: usize = 1 << 24;
pub(super) const MAX_CLASSES: usize = 64;
/// No path is longer than this.
pub(super) const MAX_DEPTH: u32 = 64;

/// A split, or a leaf. Children stand behind their parent, side by side, so that no path can run in a circle.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    feature: u8,
    missing_right: bool,
    threshold: f32,
    left: u32,
}

/// What a node asks: `row[feature] < threshold` goes left, everything else goes right, and what is missing (NaN) goes
/// where most rows went in training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Split {
    /// The feature's index.
    pub feature: u8,
    /// The threshold; a leaf of an isolation forest keeps its path length here.
    pub threshold: f32,
    /// Where a missing value goes.
    pub missing_right: bool,
    /// The left child's index; the right child is the next.
    pub left: u32,
}

impl Node {
    /// A leaf, with a number of its own.
    pub const fn leaf(value: f32) -> Self {
        Self { feature: LEAF, missing_right: false, threshold: value, left: 0 }
    }

    /// A split.
    pub const fn split(split: Split) -> Self {
        let Split { feature, threshold, missing_right, left } = split;
        Self { feature, missing_right, threshold, left }
    }

    /// The split; `None` for a leaf.
    pub fn as_split(&self) -> Option<Split> {
        let &Self { feature, missing_right, threshold, left } = self;
        (feature != LEAF).then_some(Split { feature, threshold, missing_right, left })
    }

    /// The leaf's own number.
    pub(super) fn value(&self) -> f32 {
        self.threshold
    }

    /// The child that a row goes to; `None` for a leaf.
    pub fn next(&self, row: &[f32]) -> Option<usize> {
        let value = *row.get(usize::from(self.feature))?;
        let right = if value.is_nan() { self.missing_right } else { value >= self.threshold };
        Some(self.left as usize + usize::from(right))
    }
}

/// Checks that every path of every tree ends: children come after their parent, within the table, at a bounded depth.
pub(super) fn check(nodes: &[Node], roots: &[u32], features: usize) -> Result<(), ModelError> {
    if roots.is_empty() || roots.len() > MAX_TREES || features == 0 || features > MAX_FEATURES {
        return Err(ModelError::Size);
    }
    if nodes.len() > MAX_NODES {
        return Err(ModelError::Size);
    }
    let mut depths = alloc::vec![0_u32; nodes.len()];
    for (at, node) in nodes.iter().enumerate() {
        if !node.threshold.is_finite() {
            return Err(ModelError::Number);
        }
        let Some(split) = node.as_split() else { continue };
        let left = split.left as usize;
        let inside = left > at && left.checked_add(1).is_some_and(|right| right < nodes.len());
        if !inside || usize::from(split.feature) >= features {
            return Err(ModelError::Node);
        }
        let depth = depths[at] + 1;
        if depth > MAX_DEPTH {
            return Err(ModelError::Size);
        }
        depths[left] = depths[left].max(depth);
        depths[left + 1] = depths[left + 1].max(depth);
    }
    if roots.iter().any(|root| *root as usize >= nodes.len()) {
        return Err(ModelError::Node);
    }
    Ok(())
}
