//! The isolation forest: what few random cuts set apart from everything else is strange (Liu, Ting and Zhou 2008).

use alloc::{string::String, vec::Vec};

use super::{
    ModelError,
    node::{self, Node},
    trees::Trees,
};

/// A forest that says how strange a row is.
#[derive(Clone, Debug, PartialEq)]
pub struct IsolationForest {
    parts: IsolationParts,
    trees: Trees,
}

/// What an isolation forest is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct IsolationParts {
    /// The names of the features, in a row's order.
    pub features: Vec<String>,
    /// Each tree's first node.
    pub roots: Vec<u32>,
    /// The nodes of all trees. A leaf's number is the length of the path to it: its depth, plus what the rows left in
    /// it would have needed to be told apart, c(rows).
    pub nodes: Vec<Node>,
    /// c(ψ): the mean path length among ψ rows, ψ being a tree's sample.
    pub mean_path: f32,
    /// From this score on a row is strange; between 0 and 1.
    pub threshold: f32,
    /// A typical value of each feature: the median in training.
    pub typical: Vec<f32>,
}

impl IsolationForest {
    /// A forest whose paths all end.
    ///
    /// # Errors
    /// [`ModelError`] says what does not fit.
    pub fn new(parts: IsolationParts) -> Result<Self, ModelError> {
        let IsolationParts { features, roots, nodes, mean_path, threshold, typical } = &parts;
        node::check(nodes, roots, features.len())?;
        if typical.len() != features.len() {
            return Err(ModelError::Size);
        }
        let leaves = nodes.iter().filter(|node| node.as_split().is_none());
        let lengths = leaves.map(Node::value).all(|length| length >= 0.0);
        let numbers = typical.iter().all(|value| value.is_finite()) && mean_path.is_finite();
        if !lengths || !numbers || *mean_path <= 0.0 || !(0.0..=1.0).contains(threshold) {
            return Err(ModelError::Number);
        }
        let trees = Trees::new(nodes, roots, features.len());
        Ok(Self { parts, trees })
    }

    /// What it is made of.
    pub fn parts(&self) -> &IsolationParts {
        &self.parts
    }

    /// The names of the features, in a row's order.
    pub fn features(&self) -> &[String] {
        &self.parts.features
    }

    /// From this score on a row is strange.
    pub fn threshold(&self) -> f32 {
        self.parts.threshold
    }

    /// How strange a row is: 2^(-mean path length / c(ψ)), near 1 for what stands apart, about one half or less for
    /// what is like the rest.
    pub fn score(&self, row: &[f32]) -> f32 {
        let mut sum = 0.0;
        let length = |leaf: &u32| self.parts.nodes[*leaf as usize].value();
        self.trees.leaves(row, |leaves| sum += leaves.iter().map(length).sum::<f32>());
        libm::exp2f(-sum / self.parts.roots.len() as f32 / self.parts.mean_path)
    }

    /// By how much the score would fall if each feature in turn had its typical value. What a row lacks is missing.
    pub fn contributions(&self, row: &[f32]) -> Vec<f32> {
        let score = self.score(row);
        let mut changed = row.to_vec();
        changed.resize(self.parts.features.len(), f32::NAN);
        let typical = self.parts.typical.iter().enumerate();
        let fall = |(feature, typical): (usize, &f32)| {
            let own = core::mem::replace(&mut changed[feature], *typical);
            let fall = score - self.score(&changed);
            changed[feature] = own;
            fall
        };
        typical.map(fall).collect()
    }
}
