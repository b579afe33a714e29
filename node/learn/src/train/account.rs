//! What is to be said about a model: what it was made of, how it was judged, where it fails.

use std::collections::BTreeSet;

use ring::digest;
use serde::{Deserialize, Serialize};
use smartfw_core::features::SCHEMA;

use super::TrainOptions;
use crate::{
    calibrate::Reliability,
    score::Confusion,
    table::{Names, Table},
};

/// A class or tool of which a smaller share was found is named among what fails.
pub const WEAK: f64 = 0.95;

/// What is to be said about a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// The version of the features.
    pub schema: u32,
    /// What it was trained on.
    pub trained_on: TrainedOn,
    /// Classes that were named and have no rows, and are therefore not known to the model.
    pub dropped: Vec<String>,
    /// How it was trained.
    pub options: TrainOptions,
    /// How models made in the same way did on rows that they were not trained on.
    pub judged: Vec<Judged>,
    /// Where those did badly.
    pub weak: Vec<Weak>,
}

/// What a model was trained on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainedOn {
    /// The hash of features, values, weights and names: the same for the same table, however it was stored.
    pub sha256: String,
    /// The rows.
    pub rows: usize,
    /// The captures.
    pub captures: usize,
    /// The rows of each class.
    pub classes: Vec<Count>,
    /// The rows of each tool.
    pub tools: Vec<Count>,
    /// The rows of each address family.
    pub families: Vec<Count>,
}

/// The rows of one name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// The name.
    pub name: String,
    /// Its rows.
    pub rows: usize,
    /// The captures that they are from.
    pub captures: usize,
}

/// How models did on rows that they were not trained on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// What was left out of training in turn.
    pub left_out: String,
    /// The mean of the classes' F1.
    pub macro_f1: f64,
    /// The mean of the classes' F1, each as often as it has rows.
    pub weighted_f1: f64,
    /// The share of benign rows that were called an attack.
    pub benign_false_positives: f64,
    /// How often each class was taken for each.
    pub confusion: Confusion,
    /// What a node that wants to be sure would have said, for some probabilities that it may want.
    pub sure: Vec<Sure>,
    /// How far the probabilities were off, without calibration.
    pub uncalibrated: Reliability,
    /// How far the probabilities were off.
    pub calibrated: Reliability,
    /// How each group did, where groups were left out one by one.
    pub groups: Vec<GroupScore>,
    /// What the isolation forest called strange, by true class.
    pub strange: Vec<Strange>,
}

/// What is said when only a class of at least some probability is named.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sure {
    /// The probability that is wanted.
    pub confidence: f32,
    /// The share of benign rows for which an attack is named.
    pub benign_false_positives: f64,
    /// The share of attack rows for which their class is named.
    pub found: f64,
}

/// How a group that was left out did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupScore {
    /// The group.
    pub name: String,
    /// The class of most of its rows.
    pub class: String,
    /// Its rows.
    pub rows: u64,
    /// The share whose class was found.
    pub recall: f64,
    /// The share that was called some attack.
    pub called_attack: f64,
}

/// What the isolation forest called strange.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Strange {
    /// The true class.
    pub class: String,
    /// Its rows.
    pub rows: u64,
    /// The share that was called strange.
    pub share: f64,
}

/// Where a model fails.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Weak {
    /// What was left out of training.
    pub left_out: String,
    /// The class or group.
    pub name: String,
    /// Its rows.
    pub rows: u64,
    /// The share of them that was found.
    pub recall: f64,
}

impl Account {
    pub(super) fn new(
        trained_on: TrainedOn,
        dropped: Vec<String>,
        options: TrainOptions,
        judged: Vec<Judged>,
    ) -> Self {
        let weak = judged.iter().flat_map(Judged::weak).collect();
        Self { schema: SCHEMA, trained_on, dropped, options, judged, weak }
    }
}

impl Judged {
    fn weak(&self) -> Vec<Weak> {
        let classes =
            self.confusion.scores().into_iter().map(|score| (score.class, score.rows, score.recall));
        let groups = self.groups.iter().map(|group| (group.name.clone(), group.rows, group.recall));
        let found = if self.groups.is_empty() { classes.collect::<Vec<_>>() } else { groups.collect() };
        let weak = found.into_iter().filter(|(_, rows, recall)| *rows > 0 && *recall < WEAK);
        weak.map(|(name, rows, recall)| Weak { left_out: self.left_out.clone(), name, rows, recall })
            .collect()
    }
}

impl TrainedOn {
    /// What this table is.
    pub fn new(table: &Table) -> Self {
        Self {
            sha256: hash(table),
            rows: table.len(),
            captures: table.capture().counts().iter().filter(|rows| **rows > 0).count(),
            classes: counts(table.class(), table.capture()),
            tools: counts(table.tool(), table.capture()),
            families: counts(table.family(), table.capture()),
        }
    }
}

fn counts(names: &Names, captures: &Names) -> Vec<Count> {
    let mut of = vec![BTreeSet::new(); names.names().len()];
    names.of().iter().zip(captures.of()).for_each(|(name, capture)| {
        of[usize::from(*name)].insert(*capture);
    });
    let counts = names.names().iter().zip(names.counts()).zip(of);
    let mut counts: Vec<Count> = counts
        .filter(|((_, rows), _)| *rows > 0)
        .map(|((name, rows), captures)| Count { name: name.clone(), rows, captures: captures.len() })
        .collect();
    counts.sort_by(|a, b| a.name.cmp(&b.name));
    counts
}

fn hash(table: &Table) -> String {
    let mut hash = digest::Context::new(&digest::SHA256);
    let mut text = |text: &str| {
        hash.update(&(text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    };
    table.features().iter().for_each(|name| text(name));
    for row in (0..table.len()).map(|row| table.row(row)) {
        [row.class, row.capture, row.tool, row.family].into_iter().for_each(&mut text);
    }
    table.values().iter().chain(table.weights()).for_each(|value| hash.update(&value.to_be_bytes()));
    hash.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
