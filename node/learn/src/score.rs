//! How well classes were told apart.

use serde::{Deserialize, Serialize};
use smartfw_core::model::BENIGN;

/// How often each class was taken for each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    /// The classes, in the order of the counts.
    pub classes: Vec<String>,
    /// For each true class, how often it was taken for each.
    pub counts: Vec<Vec<u64>>,
}

/// How well one class was told from the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassScore {
    /// The class.
    pub class: String,
    /// Its rows.
    pub rows: u64,
    /// The share of what was called so that is so.
    pub precision: f64,
    /// The share of what is so that was called so.
    pub recall: f64,
    /// The harmonic mean of both.
    pub f1: f64,
}

impl Confusion {
    /// Nothing counted yet.
    pub fn new(classes: &[String]) -> Self {
        Self { classes: classes.to_vec(), counts: vec![vec![0; classes.len()]; classes.len()] }
    }

    /// Counts one row.
    pub fn add(&mut self, truth: usize, taken_for: usize) {
        self.counts[truth][taken_for] += 1;
    }

    /// Each class's score, but of classes that neither are nor were said to be.
    pub fn scores(&self) -> Vec<ClassScore> {
        (0..self.classes.len()).filter_map(|class| self.score(class)).collect()
    }

    fn score(&self, class: usize) -> Option<ClassScore> {
        let rows: u64 = self.counts[class].iter().sum();
        let called: u64 = self.counts.iter().map(|counts| counts[class]).sum();
        let right = self.counts[class][class];
        (rows + called > 0).then(|| ClassScore {
            class: self.classes[class].clone(),
            rows,
            precision: share(right, called),
            recall: share(right, rows),
            f1: share(2 * right, rows + called),
        })
    }

    /// The mean of the classes' F1.
    pub fn macro_f1(&self) -> f64 {
        let scores = self.scores();
        scores.iter().map(|score| score.f1).sum::<f64>() / scores.len().max(1) as f64
    }

    /// The mean of the classes' F1, each as often as it has rows.
    pub fn weighted_f1(&self) -> f64 {
        let sum: f64 = self.scores().iter().map(|score| score.f1 * score.rows as f64).sum();
        sum / self.rows().max(1) as f64
    }

    /// The share of rows that were called what they are.
    pub fn accuracy(&self) -> f64 {
        let right = (0..self.classes.len()).map(|class| self.counts[class][class]).sum();
        share(right, self.rows())
    }

    /// The share of benign rows that were called an attack; 0 where there are none.
    pub fn benign_false_positives(&self) -> f64 {
        let benign = self.classes.iter().position(|class| *class == BENIGN);
        benign.map_or(0.0, |benign| {
            let rows: u64 = self.counts[benign].iter().sum();
            share(rows - self.counts[benign][benign], rows)
        })
    }

    /// How many rows were counted.
    pub fn rows(&self) -> u64 {
        self.counts.iter().flatten().sum()
    }
}

fn share(part: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { part as f64 / of as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 90 of 100 benign rows right, 40 of 50 scans, and a class that nobody ever saw.
    fn confusion() -> Confusion {
        let classes = ["benign", "port_scan", "slow_dos"].map(str::to_owned);
        let mut confusion = Confusion::new(&classes);
        for (truth, taken_for, times) in [(0, 0, 90), (0, 1, 10), (1, 1, 40), (1, 0, 10)] {
            (0..times).for_each(|_| confusion.add(truth, taken_for));
        }
        confusion
    }

    #[test]
    fn scores_are_what_their_formulas_say() {
        let scores = confusion().scores();
        assert_eq!(scores.len(), 2, "a class that is nowhere is not counted");
        let scan = &scores[1];
        assert!((scan.precision - 0.8).abs() < 1e-12 && (scan.recall - 0.8).abs() < 1e-12);
        let (benign, scan) = (0.9, 0.8);
        assert!((confusion().macro_f1() - (benign + scan) / 2.0).abs() < 1e-12);
        assert!((confusion().weighted_f1() - (benign * 100.0 + scan * 50.0) / 150.0).abs() < 1e-12);
        assert!((confusion().accuracy() - 130.0 / 150.0).abs() < 1e-12);
        assert!((confusion().benign_false_positives() - 0.1).abs() < 1e-12);
    }

    #[test]
    fn nothing_counted_is_no_division_by_nothing() {
        let nothing = Confusion::new(&["benign".to_owned()]);
        assert_eq!((nothing.macro_f1(), nothing.accuracy(), nothing.weighted_f1()), (0.0, 0.0, 0.0));
    }
}
