//! How models that are made in the same way do on rows that they were not trained on.

use smartfw_core::model::{BENIGN, Calibration, Forest};

use super::{
    GroupScore, Judged, Progress, Stage, Strange, Sure, TrainError, TrainOptions, Watch, fit, fit_isolation,
};
use crate::{
    calibrate::{highest, reliability},
    folds::{self, Folds},
    score::Confusion,
    table::Table,
};

/// What a node may want before it believes.
const CONFIDENCES: [f32; 4] = [0.5, 0.8, 0.9, 0.95];

/// What models said about rows that they were not trained on.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// The rows that were asked.
    pub rows: Vec<usize>,
    /// For each the probability of each class.
    pub probabilities: Vec<f32>,
    /// The same without calibration.
    pub uncalibrated: Vec<f32>,
    /// For each whether the isolation forest calls it strange.
    pub strange: Vec<bool>,
}

/// What is judged before the model is grown, and how many trees that takes.
pub(super) struct Plan {
    ways: Vec<(Stage, String, Folds)>,
    trees: usize,
    done: usize,
}

impl Plan {
    pub(super) fn new(table: &Table, options: &TrainOptions) -> Self {
        let (class, seed, count) = (table.class(), options.seed, options.folds);
        let mut ways = Vec::new();
        if count >= 2 {
            ways.push((
                Stage::Stratified,
                format!("rows, {count} folds"),
                folds::stratified(class, count, seed),
            ));
            if table.capture().names().len() >= count {
                let by_capture = folds::grouped(class, table.capture(), count, seed);
                ways.push((Stage::ByCapture, format!("captures, {count} folds"), by_capture));
            }
            let by_tool = folds::leave_one_out(class, table.tool());
            if !by_tool.names.is_empty() {
                ways.push((Stage::ByTool, "one tool".to_owned(), by_tool));
            }
        }
        Self { ways, trees: options.forest.trees, done: 0 }
    }

    /// The groups that are left out one by one.
    pub(super) fn groups(&self) -> impl Iterator<Item = &String> {
        let by_tool = self.ways.iter().filter(|(stage, _, _)| *stage == Stage::ByTool);
        by_tool.flat_map(|(_, _, folds)| &folds.names)
    }

    pub(super) fn progress(&self, stage: Stage, trees: usize) -> Progress {
        let forests: usize = self.ways.iter().map(|(_, _, folds)| folds.names.len()).sum();
        Progress { stage, trees: self.done + trees, of: (forests + 1) * self.trees }
    }

    pub(super) fn judge(
        &mut self,
        table: &Table,
        options: &TrainOptions,
        watch: Watch<'_>,
    ) -> Result<Vec<Judged>, TrainError> {
        let mut judged = Vec::new();
        for way in 0..self.ways.len() {
            let (stage, left_out, folds) = self.ways[way].clone();
            let answers = ask(table, &folds, options, &mut |trees| watch(self.progress(stage, trees)))?;
            self.done += folds.names.len() * self.trees;
            let mut one = judge(table, &left_out, &answers);
            if stage == Stage::ByTool {
                one.groups = judge_groups(table, &folds, &answers);
            }
            judged.push(one);
        }
        Ok(judged)
    }
}

/// Trains a model without each fold in turn, and asks it about that fold; `grown` is told how many trees there are. Folds
/// without which there are no two classes are passed over.
///
/// # Errors
/// [`TrainError`] when a forest cannot be grown.
pub fn ask(
    table: &Table,
    folds: &Folds,
    options: &TrainOptions,
    grown: &mut dyn FnMut(usize),
) -> Result<Answers, TrainError> {
    let mut answers = Answers::default();
    for fold in 0..folds.names.len() {
        let (train, test) = folds.part(fold);
        let (train, test_table) = (table.select(&train), table.select(&test));
        let before = fold * options.forest.trees;
        let seed = options.seed.wrapping_add(fold as u64);
        let forest = match fit(&train, options, seed, &mut |trees| grown(before + trees)) {
            Ok(forest) => forest,
            Err(TrainError::NoRows | TrainError::OneClass(_)) => continue,
            Err(error) => return Err(error),
        };
        answers.uncalibrated.extend(said(&uncalibrated(&forest)?, &test_table));
        answers.probabilities.extend(said(&forest, &test_table));
        match fit_isolation(&train, options) {
            Ok(isolation) => {
                let strange = |row| isolation.score(test_table.values_of(row)) >= isolation.threshold();
                answers.strange.extend((0..test.len()).map(strange));
            }
            // A table of other classes than windows have.
            Err(TrainError::NoBenign) => answers.strange.resize(answers.rows.len() + test.len(), false),
            Err(error) => return Err(error),
        }
        answers.rows.extend(test);
    }
    Ok(answers)
}

fn uncalibrated(forest: &Forest) -> Result<Forest, TrainError> {
    let mut parts = forest.parts().clone();
    parts.calibration = Calibration::default();
    Ok(Forest::new(parts)?)
}

fn said(forest: &Forest, table: &Table) -> Vec<f32> {
    let mut out = vec![0.0; table.len() * forest.classes().len()];
    forest.batch(table.values(), &mut out);
    out
}

/// Counts what was said against what is so.
pub fn judge(table: &Table, left_out: &str, answers: &Answers) -> Judged {
    let classes = table.class().names();
    let labels: Vec<u16> = answers.rows.iter().map(|row| table.class().of()[*row]).collect();
    let mut confusion = Confusion::new(classes);
    for (label, said) in labels.iter().zip(answers.probabilities.chunks_exact(classes.len())) {
        confusion.add(usize::from(*label), highest(said));
    }
    Judged {
        left_out: left_out.to_owned(),
        macro_f1: confusion.macro_f1(),
        weighted_f1: confusion.weighted_f1(),
        benign_false_positives: confusion.benign_false_positives(),
        confusion,
        sure: CONFIDENCES
            .map(|confidence| sure(classes, &labels, &answers.probabilities, confidence))
            .to_vec(),
        uncalibrated: reliability(&answers.uncalibrated, &labels, classes.len()),
        calibrated: reliability(&answers.probabilities, &labels, classes.len()),
        groups: Vec::new(),
        strange: strange(classes, &labels, &answers.strange),
    }
}

fn sure(classes: &[String], labels: &[u16], probabilities: &[f32], confidence: f32) -> Sure {
    // How many rows there are of each kind, and how many of them are named.
    let (mut rows, mut hits) = ([0_u64; 2], [0_u64; 2]);
    let benign = classes.iter().position(|class| *class == BENIGN);
    for (label, said) in labels.iter().zip(probabilities.chunks_exact(classes.len())) {
        let (label, named) = (usize::from(*label), highest(said));
        let attack = usize::from(Some(label) != benign);
        rows[attack] += 1;
        let hit = Some(named) != benign && said[named] >= confidence && (attack == 0 || named == label);
        hits[attack] += u64::from(hit);
    }
    let share = |of: usize| hits[of] as f64 / rows[of].max(1) as f64;
    Sure { confidence, benign_false_positives: share(0), found: share(1) }
}

fn strange(classes: &[String], labels: &[u16], strange: &[bool]) -> Vec<Strange> {
    let one = |(class, name): (usize, &String)| {
        let of_class = labels.iter().zip(strange).filter(|(label, _)| usize::from(**label) == class);
        let rows = of_class.clone().count() as u64;
        let found = of_class.filter(|(_, strange)| **strange).count();
        Strange { class: name.clone(), rows, share: found as f64 / rows.max(1) as f64 }
    };
    classes.iter().enumerate().map(one).collect()
}

/// What became of each group that was left out.
pub fn judge_groups(table: &Table, folds: &Folds, answers: &Answers) -> Vec<GroupScore> {
    let classes = table.class().names();
    let mut counts = vec![Confusion::new(classes); folds.names.len()];
    for (row, said) in answers.rows.iter().zip(answers.probabilities.chunks_exact(classes.len())) {
        if let Some(fold) = folds.of[*row] {
            counts[usize::from(fold)].add(usize::from(table.class().of()[*row]), highest(said));
        }
    }
    let asked = folds.names.iter().zip(&counts).filter(|(_, counts)| counts.rows() > 0);
    asked.map(|(name, counts)| group(name, counts)).collect()
}

fn group(name: &str, counts: &Confusion) -> GroupScore {
    let scores = counts.scores();
    let class = scores.iter().max_by_key(|score| score.rows).map(|score| score.class.clone());
    let benign = counts.classes.iter().position(|class| class == BENIGN);
    let called_benign: u64 = benign.map_or(0, |benign| counts.counts.iter().map(|row| row[benign]).sum());
    GroupScore {
        name: name.to_owned(),
        class: class.unwrap_or_default(),
        rows: counts.rows(),
        recall: counts.accuracy(),
        called_attack: (counts.rows() - called_benign) as f64 / counts.rows().max(1) as f64,
    }
}
